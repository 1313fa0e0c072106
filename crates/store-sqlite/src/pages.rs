//! Lists, page by page, newest first.
//!
//! A page looks through a bounded number of rows, however rare what is asked for is: a list that
//! a person waits for never holds a snapshot open for long.

use std::fmt::Write as _;

use hooklatch_core::delivery::attempt::Attempt;
use hooklatch_core::delivery::{Delivery, message_status};
use hooklatch_core::ids::{
    AttemptId, EndpointId, MessageId, ProjectId, RequestId, SourceId, first_number_at,
};
use hooklatch_core::message::RequestOutcome;
use hooklatch_store::{
    AttemptFilter, MessageFilter, MessageView, Page, PageRequest, RequestFilter, RequestView,
    StatusFilter, TimeRange,
};
use rusqlite::{Connection, Params, params};

use crate::fault::Fault;
use crate::history;
use crate::rows::{Code, attempt, delivery, message};

/// Rows that are looked through for one page.
const ROWS_PER_PAGE_MAX: i64 = 5_000;

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
}

/// Goes through candidates, newest first: rows of (number, whether its columns fit).
fn gather<T>(
    db: &Connection,
    sql: &str,
    params: impl Params,
    limit: usize,
    mut load: impl FnMut(i64) -> Result<Option<T>, Fault>,
) -> Result<Page<T>, Fault> {
    let mut statement = db.prepare_cached(sql)?;
    let mut rows = statement.query(params)?;
    let mut items = Vec::new();
    let mut last = None;
    let mut seen = 0;
    while let Some(row) = rows.next()? {
        seen += 1;
        let number: i64 = row.get(0)?;
        let fits: bool = row.get(1)?;
        let item = if fits { load(number)? } else { None };
        match item {
            // One more than asked for: so there is a next page.
            Some(_) if items.len() == limit => return Ok(Page { items, next: last }),
            Some(item) => {
                items.push(item);
                last = Some(number);
            }
            None if items.len() == limit => {}
            None => last = Some(number),
        }
    }
    let next = last.filter(|_| seen == ROWS_PER_PAGE_MAX);
    Ok(Page { items, next })
}

/// Messages of a project.
pub(crate) fn messages(
    db: &Connection,
    project: ProjectId,
    filter: &MessageFilter,
    page: PageRequest,
) -> Result<Page<MessageView>, Fault> {
    let span = Span::of(filter.time, page);
    let ids = filter.ids.as_deref().map(json_of_ids);
    let sql = format!(
        "SELECT id, project = ?3 AND (?4 IS NULL OR source IS ?4) \
             AND (?5 IS NULL OR tenant IS ?5) AND (?6 IS NULL OR event_type IS ?6) \
         FROM messages WHERE id >= ?1 AND id < ?2 {} ORDER BY id DESC LIMIT ?7",
        if ids.is_some() {
            "AND id IN (SELECT value FROM json_each(?8))"
        } else {
            "AND ?8 IS NULL"
        }
    );
    let source = filter.source_id.map(SourceId::number);
    let params = params![
        span.from,
        span.to,
        project.number(),
        source,
        filter.tenant,
        filter.event_type,
        ROWS_PER_PAGE_MAX,
        ids,
    ];
    gather(db, &sql, params, page.limit, |number| {
        let id = MessageId::from_number(number);
        let Some(stored) = message::load(db, id)? else {
            return Ok(None);
        };
        let deliveries = delivery::of_message(db, id, stored.following)?;
        if fits_deliveries(filter, &deliveries) {
            history::view(db, stored, deliveries).map(Some)
        } else {
            Ok(None)
        }
    })
}

fn json_of_ids(ids: &[MessageId]) -> String {
    let numbers: Vec<i64> = ids.iter().map(|id| id.number()).collect();
    serde_json::to_string(&numbers).expect("numbers always serialise")
}

fn fits_deliveries(filter: &MessageFilter, deliveries: &[Delivery]) -> bool {
    let to = |endpoint| deliveries.iter().any(|it| it.endpoint_id == Some(endpoint));
    let stands_at = |status| {
        let statuses: Vec<_> = deliveries.iter().map(|it| it.state.status()).collect();
        match status {
            StatusFilter::Delivery(wanted) => message_status(&statuses) == Some(wanted),
            StatusFilter::NoRoute => statuses.is_empty(),
        }
    };
    filter.endpoint_id.is_none_or(to) && filter.status.is_none_or(stands_at)
}

/// Requests of a project: those that became messages and those that did not.
pub(crate) fn requests(
    db: &Connection,
    project: ProjectId,
    filter: &RequestFilter,
    page: PageRequest,
) -> Result<Page<RequestView>, Fault> {
    let span = Span::of(filter.time, page);
    let checksums = filter.checksums.as_ref().map(|checksums| {
        let texts = checksums.iter().map(|it| it.to_string().to_uppercase());
        let texts: Vec<String> = texts.collect();
        serde_json::to_string(&texts).expect("strings always serialise")
    });
    let params = params![
        span.from,
        span.to,
        project.number(),
        filter.source_id.map(SourceId::number),
        checksums,
        ROWS_PER_PAGE_MAX,
        filter.outcome.map(Code::code),
        filter.cause.map(Code::code),
        filter.message_id.map(MessageId::number),
    ];
    gather(db, &requests_sql(filter), params, page.limit, |number| {
        history::request(db, project, RequestId::from_number(number))
    })
}

fn requests_sql(filter: &RequestFilter) -> String {
    let common = "(?4 IS NULL OR source IS ?4) \
                  AND (?5 IS NULL OR hex(checksum) IN (SELECT value FROM json_each(?5)))";
    let accepted =
        matches!(filter.outcome, None | Some(RequestOutcome::Accepted)) && filter.cause.is_none();
    let other = filter.outcome != Some(RequestOutcome::Accepted);
    let about = filter.message_id.is_some();
    let mut sides = Vec::new();
    if accepted {
        let about = if about { "AND id = ?9" } else { "" };
        sides.push(format!(
            "SELECT id, project = ?3 AND request IS NULL AND {common} FROM messages \
             WHERE id >= ?1 AND id < ?2 {about}"
        ));
    }
    if other {
        let (index, about) = if about {
            ("INDEXED BY requests_original", "AND original = ?9")
        } else {
            ("", "")
        };
        sides.push(format!(
            "SELECT id, project = ?3 AND {common} AND (?7 IS NULL OR outcome IS ?7) \
                 AND (?8 IS NULL OR cause IS ?8) \
             FROM requests {index} WHERE id >= ?1 AND id < ?2 {about}"
        ));
    }
    let mut sql = sides.join(" UNION ALL ");
    // Every parameter is named, so that all forms take the same ones.
    write!(
        sql,
        " ORDER BY 1 DESC LIMIT ?6 + 0 * coalesce(?7, ?8, ?9, 0)"
    )
    .expect("a string takes everything");
    sql
}

/// Attempts of a project that have ended.
pub(crate) fn attempts(
    db: &Connection,
    project: ProjectId,
    filter: &AttemptFilter,
    page: PageRequest,
) -> Result<Page<Attempt>, Fault> {
    let span = Span::of(filter.time, page);
    let sql = "SELECT id, project = ?3 AND (?4 IS NULL OR trigger IS ?4) \
                   AND (?5 IS NULL OR outcome IS ?5) AND (?6 IS NULL OR endpoint IS ?6) \
               FROM attempts WHERE id >= ?1 AND id < ?2 ORDER BY id DESC LIMIT ?7";
    let params = params![
        span.from,
        span.to,
        project.number(),
        filter.trigger.map(Code::code),
        filter.outcome.map(Code::code),
        filter.endpoint_id.map(EndpointId::number),
        ROWS_PER_PAGE_MAX,
    ];
    gather(db, sql, params, page.limit, |number| {
        attempt::load(db, AttemptId::from_number(number))
    })
}
