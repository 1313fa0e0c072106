//! The row of a delivery: numbers only, so that it can be moved where it lies.

use hooklatch_core::delivery::{Budget, Delivery, DeliveryStatus, Lease, State};
use hooklatch_core::ids::{AttemptId, ConnectionId, DeliveryId, EndpointId, MessageId, ProjectId};
use hooklatch_core::time::Timestamp;
use rusqlite::{Connection, Row, params};

use super::{Code, code_at, time_at};
use crate::fault::Fault;

/// The columns, in the order in which [`decode`] takes them.
macro_rules! select {
    ($rest:literal) => {
        concat!(
            "SELECT id, message, project, endpoint, connection, lane, status, at, attempts, \
             trigger, token, started, reason, free_attempts, since, created, suffix \
             FROM deliveries ",
            $rest
        )
    };
}
pub(crate) use select;

/// What a state says, in columns.
struct Columns {
    at: Option<i64>,
    lease: Option<(i64, i64)>,
    reason: Option<i64>,
}

impl Columns {
    fn of(state: &State) -> Self {
        let (at, lease) = match state {
            State::Pending { due } => (Some(*due), None),
            State::Delivering { lease } => (Some(lease.until), Some(lease)),
            State::Held { .. } => (None, None),
            State::Delivered { at } | State::Failed { at, .. } | State::Cancelled { at, .. } => {
                (Some(*at), None)
            }
        };
        Self {
            at: at.map(Timestamp::as_millis),
            lease: lease.map(|it| (it.attempt_id.number(), it.started_at.as_millis())),
            reason: state.reason().map(Code::code),
        }
    }
}

/// Writes a new delivery.
pub(crate) fn insert(db: &Connection, delivery: &Delivery) -> Result<(), Fault> {
    let sql = "INSERT INTO deliveries VALUES \
               (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17)";
    let columns = Columns::of(&delivery.state);
    let before_the_first = (delivery.id.number(), delivery.created_at.as_millis());
    let (token, started) = columns.lease.unwrap_or(before_the_first);
    db.prepare_cached(sql)?.execute(params![
        delivery.id.number(),
        delivery.message_id.number(),
        delivery.project_id.number(),
        delivery.endpoint_id.map(EndpointId::number),
        delivery.connection_id.map(ConnectionId::number),
        delivery.lane,
        delivery.state.status().code(),
        columns.at,
        delivery.attempts,
        delivery.trigger.code(),
        token,
        started,
        columns.reason,
        delivery.budget.free_attempts,
        delivery.budget.since.as_millis(),
        delivery.created_at.as_millis(),
        delivery.suffix_webhook_id,
    ])?;
    Ok(())
}

/// Writes what can change of a delivery.
pub(crate) fn update(db: &Connection, delivery: &Delivery) -> Result<(), Fault> {
    let sql = "UPDATE deliveries SET status = ?2, at = ?3, attempts = ?4, trigger = ?5, \
               token = COALESCE(?6, token), started = COALESCE(?7, started), reason = ?8, \
               free_attempts = ?9, since = ?10 WHERE id = ?1";
    let columns = Columns::of(&delivery.state);
    let changed = db.prepare_cached(sql)?.execute(params![
        delivery.id.number(),
        delivery.state.status().code(),
        columns.at,
        delivery.attempts,
        delivery.trigger.code(),
        columns.lease.map(|(token, _)| token),
        columns.lease.map(|(_, started)| started),
        columns.reason,
        delivery.budget.free_attempts,
        delivery.budget.since.as_millis(),
    ])?;
    assert_eq!(changed, 1, "{} was read a moment ago", delivery.id);
    Ok(())
}

/// Reads a delivery.
pub(crate) fn load(db: &Connection, id: DeliveryId) -> Result<Option<Delivery>, Fault> {
    let mut statement = db.prepare_cached(select!("WHERE id = ?1"))?;
    let mut rows = statement.query([id.number()])?;
    rows.next()?.map(decode).transpose()
}

/// Reads the deliveries of a message, in the order in which they were made.
pub(crate) fn of_message(
    db: &Connection,
    message: MessageId,
    following: i64,
    status: Option<DeliveryStatus>,
) -> Result<Vec<Delivery>, Fault> {
    let first = message.number();
    let status = status.map(DeliveryStatus::code);
    let mut deliveries = Vec::new();
    if following > 0 {
        let sql = select!("WHERE id > ?1 AND id <= ?2 AND (?3 IS NULL OR status = ?3) ORDER BY id");
        let mut statement = db.prepare_cached(sql)?;
        let mut rows = statement.query(params![first, first + following, status])?;
        while let Some(row) = rows.next()? {
            deliveries.push(decode(row)?);
        }
    }
    let sql = select!(
        "WHERE id IN (SELECT delivery FROM strays WHERE message = ?1) \
         AND (?2 IS NULL OR status = ?2) ORDER BY id"
    );
    let mut statement = db.prepare_cached(sql)?;
    let mut rows = statement.query(params![first, status])?;
    while let Some(row) = rows.next()? {
        deliveries.push(decode(row)?);
    }
    Ok(deliveries)
}

/// A delivery from its row.
pub(crate) fn decode(row: &Row<'_>) -> Result<Delivery, Fault> {
    Ok(Delivery {
        id: DeliveryId::from_number(row.get(0)?),
        message_id: MessageId::from_number(row.get(1)?),
        project_id: ProjectId::from_number(row.get(2)?),
        endpoint_id: row.get::<_, Option<i64>>(3)?.map(EndpointId::from_number),
        connection_id: row.get::<_, Option<i64>>(4)?.map(ConnectionId::from_number),
        lane: row.get(5)?,
        suffix_webhook_id: row.get(16)?,
        state: decode_state(row)?,
        attempts: row.get(8)?,
        trigger: code_at(row, 9)?,
        budget: Budget {
            free_attempts: row.get(13)?,
            since: time_at(row, 14)?,
        },
        created_at: time_at(row, 15)?,
    })
}

fn decode_state(row: &Row<'_>) -> Result<State, Fault> {
    Ok(match code_at(row, 6)? {
        DeliveryStatus::Pending => State::Pending {
            due: time_at(row, 7)?,
        },
        DeliveryStatus::Delivering => State::Delivering {
            lease: Lease {
                attempt_id: AttemptId::from_number(row.get(10)?),
                started_at: time_at(row, 11)?,
                until: time_at(row, 7)?,
            },
        },
        DeliveryStatus::Held => State::Held {
            reason: code_at(row, 12)?,
        },
        DeliveryStatus::Delivered => State::Delivered {
            at: time_at(row, 7)?,
        },
        DeliveryStatus::Failed => State::Failed {
            at: time_at(row, 7)?,
            reason: code_at(row, 12)?,
        },
        DeliveryStatus::Cancelled => State::Cancelled {
            at: time_at(row, 7)?,
            reason: code_at(row, 12)?,
        },
    })
}
