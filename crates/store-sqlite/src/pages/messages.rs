//! Lists of messages.

use hooklatch_core::delivery::{Delivery, DeliveryStatus};
use hooklatch_core::ids::{EndpointId, MessageId, ProjectId, SourceId};
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
        Value::from(undelivered(filter.status)),
    ];
    let params = |span: Span, more: &[Value]| {
        let span = [Value::from(span.from), Value::from(span.to)];
        params_from_iter(span.into_iter().chain(columns.clone()).chain(more.to_vec()))
    };
    match messages_found(db, project, filter)? {
        ByWhat::Nothing => gathering.walk(db, ALL_MESSAGES, params(span, &[]), load)?,
        ByWhat::Ids(ids) => {
            gathering.walk(db, MESSAGES_BY_ID, params(span, &[Value::from(ids)]), load)?;
        }
        ByWhat::Standing(sql, status) => {
            let endpoint = Value::from(filter.endpoint_id.map(EndpointId::number));
            let standing = [Value::from(status.code()), endpoint];
            gathering.walk(db, sql, params(span, &standing), load)?;
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

/// What the row of a message without deliveries says of its status: whether it was routed.
fn undelivered(status: Option<StatusFilter>) -> Option<bool> {
    match status? {
        StatusFilter::NoRoute => Some(false),
        StatusFilter::Filtered => Some(true),
        StatusFilter::Delivery(_) => None,
    }
}

/// A message's number, and whether its columns fit.
macro_rules! select_messages {
    ($rest:literal) => {
        concat!(
            "SELECT messages.id, project = ?3 AND (?4 IS NULL OR source IS ?4) \
                 AND (?5 IS NULL OR tenant IS ?5) AND (?6 IS NULL OR event_type IS ?6) \
                 AND (?7 IS NULL OR (deliveries = 0 AND routed = ?7)) ",
            $rest
        )
    };
}

const ALL_MESSAGES: &str =
    select_messages!("FROM messages WHERE id >= ?1 AND id < ?2 ORDER BY id DESC");
const MESSAGES_BY_ID: &str = select_messages!(
    "FROM (SELECT DISTINCT value FROM json_each(?8)) CROSS JOIN messages ON messages.id = value \
     WHERE messages.id >= ?1 AND messages.id < ?2 ORDER BY messages.id DESC"
);
const LISTED_MESSAGES: &str = select_messages!(
    "FROM listed CROSS JOIN messages ON messages.id = listed.id \
     WHERE kind = ?8 AND value = ?9 AND listed.id >= ?1 AND listed.id < ?2 \
     ORDER BY listed.id DESC"
);
/// Those with a delivery that went wrong: few, in an index of their own.
const GONE_WRONG: &str = select_messages!(
    "FROM (SELECT DISTINCT message FROM deliveries INDEXED BY deliveries_wrong \
           WHERE status >= 3 AND status = ?8 AND message >= ?1 AND message < ?2 \
           AND (?9 IS NULL OR endpoint IS ?9) ORDER BY message DESC) \
     CROSS JOIN messages ON messages.id = message ORDER BY messages.id DESC"
);
/// Those with a delivery that waits, where not many do.
const WAITING: &str = select_messages!(
    "FROM (SELECT DISTINCT message FROM deliveries INDEXED BY deliveries_due \
           WHERE status <= 1 AND status = ?8 AND message >= ?1 AND message < ?2 \
           AND (?9 IS NULL OR endpoint IS ?9)) \
     CROSS JOIN messages ON messages.id = message ORDER BY messages.id DESC"
);
/// Those with a delivery under way: never more than can be sent at once.
const UNDER_WAY: &str = select_messages!(
    "FROM (SELECT DISTINCT message FROM deliveries INDEXED BY deliveries_live \
           WHERE status = 1 AND ?8 = 1 AND message >= ?1 AND message < ?2 \
           AND (?9 IS NULL OR endpoint IS ?9)) \
     CROSS JOIN messages ON messages.id = message ORDER BY messages.id DESC"
);
/// Waiting deliveries up to which that is cheaper than to look at the newest messages.
const WAITING_MAX: i64 = 20_000;

/// How messages are found.
enum ByWhat {
    /// Row by row.
    Nothing,
    /// By their numbers, as a JSON list.
    Ids(String),
    /// By how a delivery stands.
    Standing(&'static str, DeliveryStatus),
    /// By something that is listed.
    Listed(Kind, i64),
}

/// What narrows the list down most.
fn messages_found(
    db: &Connection,
    project: ProjectId,
    filter: &MessageFilter,
) -> Result<ByWhat, Fault> {
    if let Some(ids) = &filter.ids {
        return Ok(ByWhat::Ids(json_of_ids(ids)));
    }
    if let Some(StatusFilter::Delivery(status)) = filter.status
        && let Some(sql) = standing(db, status)?
    {
        return Ok(ByWhat::Standing(sql, status));
    }
    let text = |text: &String| listing::value_in(project, text.as_bytes());
    let tenant = filter.tenant.as_ref().map(|it| (Kind::Tenant, text(it)));
    let endpoint = filter.endpoint_id.map(|it| (Kind::Endpoint, it.number()));
    let source = filter.source_id.map(|it| (Kind::Source, it.number()));
    let event_type = filter
        .event_type
        .as_ref()
        .map(|it| (Kind::EventType, text(it)));
    let listed = tenant.or(endpoint).or(source).or(event_type);
    Ok(listed.map_or(ByWhat::Nothing, |(kind, value)| ByWhat::Listed(kind, value)))
}

/// How messages are found of which a delivery stands so; none where too many do.
fn standing(db: &Connection, status: DeliveryStatus) -> Result<Option<&'static str>, Fault> {
    match status {
        DeliveryStatus::Failed | DeliveryStatus::Held | DeliveryStatus::Cancelled => {
            Ok(Some(GONE_WRONG))
        }
        DeliveryStatus::Delivering => Ok(Some(UNDER_WAY)),
        DeliveryStatus::Pending => {
            let sql = "SELECT COUNT(*) FROM (SELECT 1 FROM deliveries INDEXED BY deliveries_due \
                       WHERE status <= 1 LIMIT ?1)";
            let mut statement = db.prepare_cached(sql)?;
            let waiting: i64 = statement.query_row([WAITING_MAX], |row| row.get(0))?;
            Ok((waiting < WAITING_MAX).then_some(WAITING))
        }
        DeliveryStatus::Delivered => Ok(None),
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
