//! Lists of messages.

use hooklatch_core::delivery::Delivery;
use hooklatch_core::ids::{MessageId, ProjectId, SourceId};
use hooklatch_store::{MessageFilter, MessageView, Page, PageRequest, StatusFilter};
use rusqlite::types::Value;
use rusqlite::{Connection, params_from_iter};

use super::{Gathering, Span};
use crate::fault::Fault;
use crate::history;
use crate::listing::{self, Kind};
use crate::rows::{delivery, message};

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
    if fits_deliveries(filter, stored.message.routed, &deliveries) {
        history::view(db, stored, deliveries).map(Some)
    } else {
        Ok(None)
    }
}

fn fits_deliveries(filter: &MessageFilter, routed: bool, deliveries: &[Delivery]) -> bool {
    let to = |endpoint| deliveries.iter().any(|it| it.endpoint_id == Some(endpoint));
    let stands_at = |status: StatusFilter| {
        let statuses: Vec<_> = deliveries.iter().map(|it| it.state.status()).collect();
        status.fits(routed, &statuses)
    };
    filter.endpoint_id.is_none_or(to) && filter.status.is_none_or(stands_at)
}
