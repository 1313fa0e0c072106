//! Lists, page by page, newest first.
//!
//! A page looks through a bounded number of rows, however rare what is asked for is: a list that
//! a person waits for never holds a snapshot open for long. What is filtered by something that is
//! listed goes through the tail row by row, and then only through what is listed.

mod messages;
mod requests;

pub(crate) use messages::messages;
pub(crate) use requests::requests;

use hooklatch_core::delivery::attempt::Attempt;
use hooklatch_core::ids::{AttemptId, EndpointId, ProjectId, first_number_at};
use hooklatch_store::record::Code;
use hooklatch_store::{AttemptFilter, Page, PageRequest, TimeRange};
use rusqlite::{Connection, Params, params};

use crate::fault::Fault;
use crate::rows::attempt;

/// Rows whose columns are looked at for one page.
const SCANNED_MAX: usize = 20_000;
/// Rows that are read whole for one page.
const LOADED_MAX: usize = 5_000;

/// Which numbers are looked through: from the first, and before the second.
#[derive(Debug, Clone, Copy)]
struct Span {
    from: i64,
    to: i64,
}

impl Span {
    fn of(time: TimeRange, page: PageRequest) -> Self {
        let before = time.before.map_or(i64::MAX, first_number_at);
        Self {
            from: time.after.map_or(0, first_number_at),
            to: before.min(page.below.unwrap_or(i64::MAX)),
        }
    }

    /// What is not listed yet, and what is.
    fn split_at(self, mark: i64) -> (Self, Self) {
        let from = self.from.max(mark.saturating_add(1));
        let to = self.to.min(mark.saturating_add(1));
        (Self { from, ..self }, Self { to, ..self })
    }
}

/// Bytes of bodies on one page: past that it is short, and the next goes on.
const PAGE_BYTES_MAX: usize = 16 * 1024 * 1024;

/// A page in the making.
struct Gathering<T> {
    limit: usize,
    weigh: fn(&T) -> usize,
    bytes: usize,
    items: Vec<T>,
    /// The last number that was looked at, or that of the last item once there are enough.
    last: Option<i64>,
    next: Option<i64>,
    scanned: usize,
    loaded: usize,
    ended: bool,
}

impl<T> Gathering<T> {
    fn new(limit: usize, weigh: fn(&T) -> usize) -> Self {
        Self {
            limit,
            weigh,
            bytes: 0,
            items: Vec::new(),
            last: None,
            next: None,
            scanned: 0,
            loaded: 0,
            ended: false,
        }
    }

    /// Goes through candidates, newest first: rows of (number, whether its columns fit).
    fn walk(
        &mut self,
        db: &Connection,
        sql: &str,
        params: impl Params,
        mut load: impl FnMut(i64) -> Result<Option<T>, Fault>,
    ) -> Result<(), Fault> {
        if self.ended {
            return Ok(());
        }
        let mut statement = db.prepare_cached(sql)?;
        let mut rows = statement.query(params)?;
        while let Some(row) = rows.next()? {
            let number: i64 = row.get(0)?;
            let fits: bool = row.get(1)?;
            self.scanned += 1;
            self.loaded += usize::from(fits);
            let item = if fits { load(number)? } else { None };
            let complete = self.items.len() == self.limit;
            // One more than asked for: so there is a next page.
            if complete && item.is_some() {
                self.end();
                return Ok(());
            }
            if !complete {
                self.last = Some(number);
                self.bytes += item.as_ref().map_or(0, self.weigh);
                self.items.extend(item);
            }
            let heavy = self.bytes >= PAGE_BYTES_MAX;
            if heavy || self.scanned >= SCANNED_MAX || self.loaded >= LOADED_MAX {
                self.end();
                return Ok(());
            }
        }
        Ok(())
    }

    fn end(&mut self) {
        self.next = self.last;
        self.ended = true;
    }

    fn page(self) -> Page<T> {
        Page {
            items: self.items,
            next: self.next,
        }
    }
}

/// Attempts of a project that have ended.
pub(crate) fn attempts(
    db: &Connection,
    project: ProjectId,
    filter: &AttemptFilter,
    page: PageRequest,
) -> Result<Page<Attempt>, Fault> {
    let mut gathering = Gathering::new(page.limit, |attempt: &Attempt| attempt.response_body.len());
    let span = Span::of(filter.time, page);
    let sql = "SELECT id, project = ?3 AND (?4 IS NULL OR trigger IS ?4) \
                   AND (?5 IS NULL OR outcome IS ?5) AND (?6 IS NULL OR endpoint IS ?6) \
               FROM attempts WHERE id >= ?1 AND id < ?2 ORDER BY id DESC";
    let row = params![
        span.from,
        span.to,
        project.number(),
        filter.trigger.map(Code::code),
        filter.outcome.map(Code::code),
        filter.endpoint_id.map(EndpointId::number),
    ];
    gathering.walk(db, sql, row, |number| {
        attempt::load(db, AttemptId::from_number(number))
    })?;
    Ok(gathering.page())
}
