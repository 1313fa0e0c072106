//! Lists, page by page, newest first.
//!
//! A page looks through a bounded number of rows, however rare what is asked for is: a list that
//! a person waits for never holds a snapshot open for long. What is filtered by something that is
//! listed goes through the tail row by row, and then only through what is listed.

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
use rusqlite::types::Value;
use rusqlite::{Connection, Params, params, params_from_iter};

use crate::fault::Fault;
use crate::history;
use crate::listing::{self, Kind};
use crate::rows::{Code, attempt, delivery, message};

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

/// Messages of a project.
pub(crate) fn messages(
    db: &Connection,
    project: ProjectId,
    filter: &MessageFilter,
    page: PageRequest,
) -> Result<Page<MessageView>, Fault> {
    let mut gathering = Gathering::new(page.limit, |view: &MessageView| view.body.len());
    let span = Span::of(filter.time, page);
    let load = |number| load_message(db, filter, MessageId::from_number(number));
    let columns = [
        Value::from(project.number()),
        Value::from(filter.source_id.map(SourceId::number)),
        Value::from(filter.tenant.clone()),
        Value::from(filter.event_type.clone()),
    ];
    let params = |span: Span, more: &[Value]| {
        let span = [Value::from(span.from), Value::from(span.to)];
        params_from_iter(span.into_iter().chain(columns.clone()).chain(more.to_vec()))
    };
    match messages_found(project, filter) {
        ByWhat::Nothing => gathering.walk(db, ALL_MESSAGES, params(span, &[]), load)?,
        ByWhat::Ids(ids) => {
            gathering.walk(db, MESSAGES_BY_ID, params(span, &[Value::from(ids)]), load)?;
        }
        ByWhat::Listed(kind, value) => {
            let (tail, listed) = span.split_at(listing::mark(db)?);
            gathering.walk(db, ALL_MESSAGES, params(tail, &[]), load)?;
            let listing = [Value::from(kind as i64), Value::from(value)];
            gathering.walk(db, LISTED_MESSAGES, params(listed, &listing), load)?;
        }
    }
    Ok(gathering.page())
}

/// A message's number, and whether its columns fit.
macro_rules! select_messages {
    ($rest:literal) => {
        concat!(
            "SELECT messages.id, project = ?3 AND (?4 IS NULL OR source IS ?4) \
                 AND (?5 IS NULL OR tenant IS ?5) AND (?6 IS NULL OR event_type IS ?6) ",
            $rest
        )
    };
}

const ALL_MESSAGES: &str =
    select_messages!("FROM messages WHERE id >= ?1 AND id < ?2 ORDER BY id DESC");
const MESSAGES_BY_ID: &str = select_messages!(
    "FROM (SELECT DISTINCT value FROM json_each(?7)) CROSS JOIN messages ON messages.id = value \
     WHERE messages.id >= ?1 AND messages.id < ?2 ORDER BY messages.id DESC"
);
const LISTED_MESSAGES: &str = select_messages!(
    "FROM listed CROSS JOIN messages ON messages.id = listed.id \
     WHERE kind = ?7 AND value = ?8 AND listed.id >= ?1 AND listed.id < ?2 \
     ORDER BY listed.id DESC"
);

/// How messages are found.
enum ByWhat {
    /// Row by row.
    Nothing,
    /// By their numbers, as a JSON list.
    Ids(String),
    /// By something that is listed.
    Listed(Kind, i64),
}

/// What narrows the list down most.
fn messages_found(project: ProjectId, filter: &MessageFilter) -> ByWhat {
    if let Some(ids) = &filter.ids {
        return ByWhat::Ids(json_of_ids(ids));
    }
    if let Some(tenant) = &filter.tenant {
        return ByWhat::Listed(Kind::Tenant, listing::value_in(project, tenant.as_bytes()));
    }
    if let Some(endpoint) = filter.endpoint_id {
        return ByWhat::Listed(Kind::Endpoint, endpoint.number());
    }
    if let Some(source) = filter.source_id {
        return ByWhat::Listed(Kind::Source, source.number());
    }
    match &filter.event_type {
        Some(event_type) => {
            let value = listing::value_in(project, event_type.as_bytes());
            ByWhat::Listed(Kind::EventType, value)
        }
        None => ByWhat::Nothing,
    }
}

fn json_of_ids(ids: &[MessageId]) -> String {
    let numbers: Vec<i64> = ids.iter().map(|id| id.number()).collect();
    serde_json::to_string(&numbers).expect("numbers always serialise")
}

fn load_message(
    db: &Connection,
    filter: &MessageFilter,
    id: MessageId,
) -> Result<Option<MessageView>, Fault> {
    let Some(stored) = message::load(db, id)? else {
        return Ok(None);
    };
    let deliveries = delivery::of_message(db, id, stored.following, None)?;
    if fits_deliveries(filter, &deliveries) {
        history::view(db, stored, deliveries).map(Some)
    } else {
        Ok(None)
    }
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

/// How requests are found.
enum Found {
    /// Row by row.
    InRows,
    /// By the message that they became or repeat.
    OfMessage(MessageId),
    /// In the index of those that were refused.
    Refused,
    /// By something that is listed.
    Listed(Kind, i64),
}

fn requests_found(project: ProjectId, filter: &RequestFilter) -> Found {
    if let Some(message) = filter.message_id {
        return Found::OfMessage(message);
    }
    if let Some(cause) = filter.cause {
        return Found::Listed(Kind::Cause, listing::code_in(project, cause));
    }
    match (filter.outcome, filter.source_id) {
        (Some(RequestOutcome::Rejected), _) => Found::Refused,
        (Some(outcome @ (RequestOutcome::Duplicate | RequestOutcome::Conflict)), _) => {
            Found::Listed(Kind::Outcome, listing::code_in(project, outcome))
        }
        (Some(RequestOutcome::Accepted) | None, Some(source)) => {
            Found::Listed(Kind::Source, source.number())
        }
        (Some(RequestOutcome::Accepted) | None, None) => Found::InRows,
    }
}

/// Requests of a project: those that became messages and those that did not.
pub(crate) fn requests(
    db: &Connection,
    project: ProjectId,
    filter: &RequestFilter,
    page: PageRequest,
) -> Result<Page<RequestView>, Fault> {
    let mut gathering = Gathering::new(page.limit, |_| 0);
    let span = Span::of(filter.time, page);
    let load = |number| load_request(db, project, filter, RequestId::from_number(number));
    match requests_found(project, filter) {
        Found::InRows => walk_requests(&mut gathering, db, project, filter, span, load)?,
        Found::OfMessage(message) => {
            let sql = "SELECT id, 1 FROM requests INDEXED BY requests_original \
                       WHERE original = ?3 AND id >= ?1 AND id < ?2 \
                       UNION ALL SELECT ?3, 1 WHERE ?3 >= ?1 AND ?3 < ?2 ORDER BY 1 DESC";
            gathering.walk(db, sql, [span.from, span.to, message.number()], load)?;
        }
        Found::Refused => {
            let sql = "SELECT id, 1 FROM requests INDEXED BY requests_refused \
                       WHERE outcome = 3 AND id >= ?1 AND id < ?2 ORDER BY id DESC";
            gathering.walk(db, sql, [span.from, span.to], load)?;
        }
        Found::Listed(kind, value) => {
            let (tail, listed) = span.split_at(listing::mark(db)?);
            walk_requests(&mut gathering, db, project, filter, tail, load)?;
            let sql = "SELECT id, 1 FROM listed \
                       WHERE kind = ?3 AND value = ?4 AND id >= ?1 AND id < ?2 \
                       UNION ALL SELECT id, source IS ?4 \
                       FROM requests INDEXED BY requests_refused \
                       WHERE ?3 = 1 AND outcome = 3 AND id >= ?1 AND id < ?2 ORDER BY 1 DESC";
            gathering.walk(db, sql, [listed.from, listed.to, kind as i64, value], load)?;
        }
    }
    Ok(gathering.page())
}

fn walk_requests(
    gathering: &mut Gathering<RequestView>,
    db: &Connection,
    project: ProjectId,
    filter: &RequestFilter,
    span: Span,
    load: impl FnMut(i64) -> Result<Option<RequestView>, Fault>,
) -> Result<(), Fault> {
    let sql = "SELECT id, project = ?3 AND request IS NULL AND (?4 IS NULL OR source IS ?4) \
                   AND (?5 IS NULL OR ?5 = 0) AND ?6 IS NULL \
                   AND (?7 IS NULL OR hex(checksum) IN (SELECT value FROM json_each(?7))) \
               FROM messages WHERE id >= ?1 AND id < ?2 \
               UNION ALL \
               SELECT id, project = ?3 AND (?4 IS NULL OR source IS ?4) \
                   AND (?5 IS NULL OR outcome IS ?5) AND (?6 IS NULL OR cause IS ?6) \
                   AND (?7 IS NULL OR hex(checksum) IN (SELECT value FROM json_each(?7))) \
               FROM requests WHERE id >= ?1 AND id < ?2 ORDER BY 1 DESC";
    let checksums = filter.checksums.as_ref().map(|checksums| {
        let texts = checksums.iter().map(|it| it.to_string().to_uppercase());
        let texts: Vec<String> = texts.collect();
        serde_json::to_string(&texts).expect("strings always serialise")
    });
    let row = params![
        span.from,
        span.to,
        project.number(),
        filter.source_id.map(SourceId::number),
        filter.outcome.map(Code::code),
        filter.cause.map(Code::code),
        checksums,
    ];
    gathering.walk(db, sql, row, load)
}

fn load_request(
    db: &Connection,
    project: ProjectId,
    filter: &RequestFilter,
    id: RequestId,
) -> Result<Option<RequestView>, Fault> {
    let found = history::request(db, project, id)?;
    Ok(found.filter(|view| fits_request(filter, view)))
}

fn fits_request(filter: &RequestFilter, view: &RequestView) -> bool {
    let (outcome, cause, source, key) = match view {
        RequestView::Accepted { message, .. } => {
            let source = message.source_id;
            (RequestOutcome::Accepted, None, source, &message.key)
        }
        RequestView::Other { request, .. } => {
            let source = request.source_id;
            (request.outcome, request.cause, source, &request.key)
        }
    };
    let under = |wanted: &Vec<_>| {
        key.as_ref()
            .is_some_and(|key| wanted.contains(&key.checksum))
    };
    filter.outcome.is_none_or(|wanted| outcome == wanted)
        && filter.cause.is_none_or(|wanted| cause == Some(wanted))
        && filter.source_id.is_none_or(|wanted| source == Some(wanted))
        && filter.checksums.as_ref().is_none_or(under)
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
