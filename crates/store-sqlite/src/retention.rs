//! Pruning: a step is one operation among those of a batch, small enough to delay nobody.
//!
//! Steps go from the youngest to the oldest, so that the elements of a batch are met before the one
//! that holds their envelope: one that has to stay takes a copy of it.

use hooklatch_core::delivery::Delivery;
use hooklatch_core::ids::{MessageId, ProjectId, RequestId};
use hooklatch_core::message::{Message, Request};
use hooklatch_core::retention::{PruneStep, Pruned, Standing, What, Wrapping};
use hooklatch_core::time::{Millis, Timestamp};
use hooklatch_store::record::{Code, message as message_record, request as request_record};
use hooklatch_store::{PayloadSize, PayloadSizes};
use rusqlite::{Connection, OptionalExtension, params};

use crate::fault::Fault;
use crate::listing::{self, Kind};
use crate::rows::message::StoredMessage;
use crate::rows::{delivery, message, payload, request};
use crate::writer::Batch;

/// An unfinished message whose payload should go is looked at again after this.
const LOOKED_AGAIN: Millis = Millis::from_seconds(600);
/// The outcome of a request that was refused.
const REFUSED: i64 = 3;

/// A payload's row, as far as a step needs it.
struct Row {
    number: i64,
    wrapping: Wrapping,
    has_body: bool,
}

/// What a payload belongs to.
enum Owner {
    Message(Box<StoredMessage>, Vec<Delivery>),
    Request(Box<Request>),
}

impl Owner {
    fn project(&self) -> ProjectId {
        match self {
            Self::Message(stored, _) => stored.message.project_id,
            Self::Request(request) => request.project_id,
        }
    }

    fn standing(&self) -> Standing {
        match self {
            Self::Message(_, deliveries) => {
                Standing::of_message(deliveries.iter().map(|it| it.state.status()))
            }
            Self::Request(request) => Standing::of_request(request.effect),
        }
    }
}

/// Carries out a step.
pub(crate) fn prune(batch: &mut Batch<'_>, step: &PruneStep) -> Result<Pruned, Fault> {
    let rows = rows(batch.db, step)?;
    let mut pruned = Pruned::default();
    if rows.len() == step.rows_max {
        pruned.next = rows.last().map(|row| row.number);
    }
    let mut forgotten = None;
    for row in rows {
        if step.what == What::Payloads && !row.has_body {
            continue;
        }
        let Some(owner) = owner(batch.db, row.number)? else {
            continue;
        };
        if !step.takes(owner.project(), row.number, row.wrapping) {
            continue;
        }
        if owner.standing() == Standing::Unfinished {
            if row.wrapping == Wrapping::Shared && step.what == What::History {
                payload::adopt_envelope(batch.db, row.number)?;
            }
            continue;
        }
        match step.what {
            What::Payloads => {
                prune_payload(batch.db, owner, batch.now)?;
                pruned.payloads += 1;
            }
            What::History => {
                forget(batch, row.number, &owner)?;
                forgotten = forgotten.max(Some(row.number));
                pruned.records += 1;
            }
        }
    }
    if let Some(number) = forgotten {
        note_forgotten(batch.db, number)?;
    }
    Ok(pruned)
}

fn rows(db: &Connection, step: &PruneStep) -> Result<Vec<Row>, Fault> {
    let sql = "SELECT id, shared IS NOT NULL, body IS NOT NULL FROM payloads \
               WHERE id >= ?1 AND id < ?2 ORDER BY id DESC LIMIT ?3";
    let mut statement = db.prepare_cached(sql)?;
    let limit = i64::try_from(step.rows_max).unwrap_or(i64::MAX);
    let rows = statement.query_map([step.from, step.below, limit], |row| {
        let wrapping = if row.get(1)? {
            Wrapping::Shared
        } else {
            Wrapping::Own
        };
        Ok(Row {
            number: row.get(0)?,
            wrapping,
            has_body: row.get(2)?,
        })
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}

fn owner(db: &Connection, number: i64) -> Result<Option<Owner>, Fault> {
    let id = MessageId::from_number(number);
    if let Some(stored) = message::load(db, id)? {
        let deliveries = delivery::of_message(db, id, stored.following, None)?;
        return Ok(Some(Owner::Message(Box::new(stored), deliveries)));
    }
    let request = request::load(db, RequestId::from_number(number))?;
    Ok(request.map(|request| Owner::Request(Box::new(request))))
}

/// Removes a body, and says so in the record of its message or request.
fn prune_payload(db: &Connection, owner: Owner, now: Timestamp) -> Result<(), Fault> {
    match owner {
        Owner::Message(stored, deliveries) => {
            payload::remove_body(db, stored.message.id.number())?;
            remove_transformed(db, &deliveries)?;
            let message = Message {
                payload_pruned_at: Some(now),
                ..stored.message
            };
            message::set_meta(db, message.id, &message_record::encode_meta(&message))
        }
        Owner::Request(request) => {
            payload::remove_body(db, request.id.number())?;
            let request = Request {
                payload_pruned_at: Some(now),
                ..*request
            };
            request::set_meta(db, request.id, &request_record::encode_meta(&request))
        }
    }
}

/// Brings a pruned payload back, as a duplicate that starts deliveries again carries it (D2).
pub(crate) fn restore_payload(db: &Connection, id: MessageId, body: &[u8]) -> Result<(), Fault> {
    if !payload::restore_body(db, id.number(), body)? {
        return Ok(());
    }
    let Some(stored) = message::load(db, id)? else {
        return Ok(());
    };
    let message = Message {
        payload_pruned_at: None,
        ..stored.message
    };
    message::set_meta(db, id, &message_record::encode_meta(&message))
}

fn remove_transformed(db: &Connection, deliveries: &[Delivery]) -> Result<(), Fault> {
    let sql = "DELETE FROM transformed WHERE delivery = ?1";
    for delivery in deliveries {
        let id = delivery.id.number();
        db.prepare_cached(sql)?.execute([id])?;
    }
    Ok(())
}

/// Removes everything of a message or request but its claims.
fn forget(batch: &mut Batch<'_>, number: i64, owner: &Owner) -> Result<(), Fault> {
    let db = batch.db;
    match owner {
        Owner::Message(stored, deliveries) => forget_message(db, &stored.message, deliveries)?,
        Owner::Request(request) => {
            delete(db, "DELETE FROM requests WHERE id = ?1", number)?;
            if request.outcome.code() == REFUSED {
                batch.effects.refused -= 1;
            } else {
                unlist_request(db, request)?;
            }
        }
    }
    delete(db, "DELETE FROM payloads WHERE id = ?1", number)
}

fn forget_message(
    db: &Connection,
    message: &Message,
    deliveries: &[Delivery],
) -> Result<(), Fault> {
    remove_transformed(db, deliveries)?;
    for delivery in deliveries {
        let id = delivery.id.number();
        delete(db, "DELETE FROM attempts WHERE delivery = ?1", id)?;
        delete(db, "DELETE FROM deliveries WHERE id = ?1", id)?;
        delete(db, "DELETE FROM replayed WHERE delivery = ?1", id)?;
        if let Some(endpoint) = delivery.endpoint_id {
            let number = message.id.number();
            listing::unlist(db, Kind::Endpoint, endpoint.number(), number)?;
        }
    }
    let number = message.id.number();
    delete(db, "DELETE FROM strays WHERE message = ?1", number)?;
    delete(db, "DELETE FROM messages WHERE id = ?1", number)?;
    let project = message.project_id;
    if let Some(source) = message.source_id {
        listing::unlist(db, Kind::Source, source.number(), number)?;
    }
    for (kind, text) in [
        (Kind::EventType, &message.event_type),
        (Kind::Tenant, &message.tenant),
    ] {
        if let Some(text) = text {
            let value = listing::value_in(project, text.as_bytes());
            listing::unlist(db, kind, value, number)?;
        }
    }
    Ok(())
}

fn unlist_request(db: &Connection, request: &Request) -> Result<(), Fault> {
    let (number, project) = (request.id.number(), request.project_id);
    if let Some(source) = request.source_id {
        listing::unlist(db, Kind::Source, source.number(), number)?;
    }
    let outcome = listing::code_in(project, request.outcome);
    listing::unlist(db, Kind::Outcome, outcome, number)?;
    match request.cause {
        Some(cause) => {
            let cause = listing::code_in(project, cause);
            listing::unlist(db, Kind::Cause, cause, number)
        }
        None => Ok(()),
    }
}

fn delete(db: &Connection, sql: &str, number: i64) -> Result<(), Fault> {
    db.prepare_cached(sql)?.execute([number])?;
    Ok(())
}

/// Notes up to which number history may be gone, so that a claim without its message is known to
/// have outlived it (INV-2).
fn note_forgotten(db: &Connection, number: i64) -> Result<(), Fault> {
    if forgotten_up_to(db)? < number {
        let sql = "INSERT OR REPLACE INTO meta VALUES ('history_pruned', ?1)";
        db.prepare_cached(sql)?.execute([number])?;
    }
    Ok(())
}

/// Up to which number history may be gone.
pub(crate) fn forgotten_up_to(db: &Connection) -> Result<i64, Fault> {
    let sql = "SELECT value FROM meta WHERE name = 'history_pruned'";
    let mut statement = db.prepare_cached(sql)?;
    let number = statement.query_row([], |row| row.get(0)).optional()?;
    Ok(number.unwrap_or(i64::MIN))
}

/// Prunes payloads whose sender let them be kept no longer; answers how many were looked at.
pub(crate) fn prune_ended(batch: &mut Batch<'_>, rows_max: &usize) -> Result<usize, Fault> {
    let sql = "SELECT at, message FROM payload_ends WHERE at <= ?1 ORDER BY at LIMIT ?2";
    let db = batch.db;
    let limit = i64::try_from(*rows_max).unwrap_or(i64::MAX);
    let due: Vec<(i64, i64)> = {
        let mut statement = db.prepare_cached(sql)?;
        let rows = statement.query_map([batch.now.as_millis(), limit], |row| {
            Ok((row.get(0)?, row.get(1)?))
        })?;
        rows.collect::<Result<_, _>>()?
    };
    for (at, number) in &due {
        let sql = "DELETE FROM payload_ends WHERE at = ?1 AND message = ?2";
        db.prepare_cached(sql)?.execute([at, number])?;
        match owner(db, *number)? {
            Some(owner) if owner.standing() == Standing::Unfinished => {
                note_end(db, batch.now + LOOKED_AGAIN, *number)?;
            }
            Some(owner @ Owner::Message(..)) if payload::has_body(db, *number)? => {
                prune_payload(db, owner, batch.now)?;
            }
            Some(_) | None => {}
        }
    }
    Ok(due.len())
}

/// Notes when a payload shall go.
pub(crate) fn note_end(db: &Connection, at: Timestamp, message: i64) -> Result<(), Fault> {
    let sql = "INSERT OR IGNORE INTO payload_ends VALUES (?1, ?2)";
    db.prepare_cached(sql)?
        .execute(params![at.as_millis(), message])?;
    Ok(())
}

/// The sizes of bodies, youngest first.
pub(crate) fn payload_sizes(
    db: &Connection,
    below: i64,
    rows_max: usize,
) -> Result<PayloadSizes, Fault> {
    let sql = "SELECT p.id, COALESCE(m.project, r.project), length(p.body) FROM payloads p \
               LEFT JOIN messages m ON m.id = p.id LEFT JOIN requests r ON r.id = p.id \
               WHERE p.id < ?1 ORDER BY p.id DESC LIMIT ?2";
    let mut statement = db.prepare_cached(sql)?;
    let limit = i64::try_from(rows_max).unwrap_or(i64::MAX);
    let mut rows = statement.query([below, limit])?;
    let mut found = PayloadSizes::default();
    let (mut seen, mut last) = (0, None);
    while let Some(row) = rows.next()? {
        let number: i64 = row.get(0)?;
        (seen, last) = (seen + 1, Some(number));
        let project: Option<i64> = row.get(1)?;
        let bytes: Option<i64> = row.get(2)?;
        if let (Some(project), Some(bytes)) = (project, bytes) {
            found.sizes.push(PayloadSize {
                number,
                project: ProjectId::from_number(project),
                bytes: bytes.unsigned_abs(),
            });
        }
    }
    found.next = last.filter(|_| seen == rows_max);
    Ok(found)
}
