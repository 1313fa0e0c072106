//! Lists of requests: those that became messages and those that did not.

use hooklatch_core::ids::{MessageId, ProjectId, RequestId, SourceId};
use hooklatch_core::message::RequestOutcome;
use hooklatch_store::record::Code;
use hooklatch_store::{Page, PageRequest, RequestFilter, RequestView};
use rusqlite::{Connection, params};

use super::{Gathering, Span};
use crate::fault::Fault;
use crate::history;
use crate::listing::{self, Kind};

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
                   AND (?7 IS NULL OR COALESCE(checksum IN (SELECT unhex(value) FROM json_each(?7)), 0)) \
               FROM messages WHERE id >= ?1 AND id < ?2 \
               UNION ALL \
               SELECT id, project = ?3 AND (?4 IS NULL OR source IS ?4) \
                   AND (?5 IS NULL OR outcome IS ?5) AND (?6 IS NULL OR cause IS ?6) \
                   AND (?7 IS NULL OR COALESCE(checksum IN (SELECT unhex(value) FROM json_each(?7)), 0)) \
               FROM requests WHERE id >= ?1 AND id < ?2 ORDER BY 1 DESC";
    let checksums = filter.checksums.as_ref().map(|checksums| {
        let texts = checksums.iter().map(ToString::to_string);
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
