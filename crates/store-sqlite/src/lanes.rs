//! What limits lanes beyond their concurrency: a row for each that has such a limit, read and
//! written in the transaction that leases or finishes.

use hooklatch_core::delivery::Lane;
use hooklatch_core::delivery::control::{Bucket, Grant, LaneControl, LaneHealth, Passage};
use hooklatch_core::ids::{ConnectionId, DeliveryId};
use hooklatch_core::time::{Millis, Timestamp};
use hooklatch_store::node::LaneChange;
use hooklatch_store::{
    Finished, LaneReporting, LeaseRequest, Reported, Terms, decode_health, encode_health,
};
use rusqlite::{Connection, OptionalExtension, params};

use crate::config;
use crate::deliveries::{self, PreparedFinish};
use crate::fault::Fault;
use crate::writer::Batch;

/// What limits one lane in one pass.
pub(crate) struct Held {
    control: LaneControl,
    bucket: Bucket,
    health: LaneHealth,
    grant: Grant,
}

impl Held {
    /// For what the lane's deliveries are leased.
    pub(crate) fn passage(held: Option<&Self>) -> Passage {
        held.map_or(Passage::Through, |held| held.grant.passage)
    }

    /// At most so many may be leased.
    pub(crate) fn most(held: Option<&Self>) -> usize {
        held.map_or(usize::MAX, |held| held.grant.most)
    }

    /// How long nothing may be leased, if nothing may.
    pub(crate) fn wait(held: Option<&Self>) -> Option<Millis> {
        held.and_then(|held| held.grant.wait)
    }

    /// The terms of the lane within what limits it.
    pub(crate) fn within(held: Option<&Self>, terms: Terms) -> Terms {
        let Some(held) = held else {
            return terms;
        };
        Terms {
            live_max: terms.live_max.min(held.grant.live_max),
            ..terms
        }
    }
}

/// Reads what limits a lane; nothing where nothing does.
pub(crate) fn held(
    batch: &Batch<'_>,
    request: &LeaseRequest,
    lane: Lane,
) -> Result<Option<Held>, Fault> {
    let control = request.terms.control(lane);
    let Some(control) = control.filter(|control| control.holds(batch.now)) else {
        return Ok(None);
    };
    let (bucket, health) = load(batch.db, lane.for_live())?;
    let grant = control.grant(bucket, &health, batch.now);
    Ok(Some(Held {
        control,
        bucket,
        health,
        grant,
    }))
}

/// Takes from a lane's bucket what was leased; answers how long the lane has to wait, if it has to.
pub(crate) fn take(
    batch: &mut Batch<'_>,
    lane: Lane,
    held: &Held,
    many: usize,
) -> Result<Option<Millis>, Fault> {
    if many == 0 || held.grant.passage == Passage::Around {
        return Ok(None);
    }
    let taken = held
        .control
        .take(held.bucket, &held.health, many, batch.now);
    let Some((left, wait)) = taken else {
        return Ok(None);
    };
    let sql = "INSERT INTO lanes (lane, full_at_us) VALUES (?1, ?2) \
               ON CONFLICT (lane) DO UPDATE SET full_at_us = excluded.full_at_us";
    let mut statement = batch.db.prepare_cached(sql)?;
    // One bucket for live traffic and replays.
    statement.execute([lane.for_live().0, left.full_at_us])?;
    if let Some(wait) = wait {
        let deferred = LaneChange::deferred(lane, wait, batch.now);
        batch.effects.lanes.push(deferred);
    }
    Ok(wait)
}

fn load(db: &Connection, lane: Lane) -> Result<(Bucket, LaneHealth), Fault> {
    let sql = "SELECT full_at_us, health FROM lanes WHERE lane = ?1";
    let mut statement = db.prepare_cached(sql)?;
    let row = statement.query_row([lane.0], |row| {
        let full_at_us = row.get(0)?;
        let health: Option<String> = row.get(1)?;
        Ok((Bucket { full_at_us }, health))
    });
    let (bucket, health) = row.optional()?.unwrap_or_default();
    let health = health.as_deref().map(decode_health).unwrap_or_default();
    Ok((bucket, health))
}

/// How lanes fare.
pub(crate) fn health(db: &Connection, lanes: &[Lane]) -> Result<Vec<LaneHealth>, Fault> {
    let mut found = Vec::with_capacity(lanes.len());
    for lane in lanes {
        found.push(load(db, *lane)?.1);
    }
    Ok(found)
}

/// Records an attempt, moves its delivery, and notes what the attempt says of its lane.
pub(crate) fn finish_and_report(
    batch: &mut Batch<'_>,
    (prepared, reporting): &(PreparedFinish, LaneReporting),
) -> Result<Reported, Fault> {
    let finished = deliveries::finish(batch, prepared)?;
    let events = match &finished {
        Finished::Fenced => Vec::new(),
        Finished::Applied(_) => {
            let (_, health) = load(batch.db, reporting.lane)?;
            let (next, events, entries) = reporting.apply(&health, batch.now);
            if next != health {
                let sql = "INSERT INTO lanes (lane, health) VALUES (?1, ?2) \
                           ON CONFLICT (lane) DO UPDATE SET health = excluded.health";
                let row = params![reporting.lane.0, encode_health(&next)];
                batch.db.prepare_cached(sql)?.execute(row)?;
            }
            if next.is_open() || !events.is_empty() {
                // A probe that has ended makes room for the next, or for everything.
                batch.due(reporting.lane, batch.now);
            }
            for entry in &entries {
                config::audit(batch, reporting.project, entry)?;
            }
            events
        }
    };
    Ok(Reported { finished, events })
}

/// Deliveries that are shifted in one operation, so that a long queue holds nobody up.
pub(crate) const SHIFTED_PER_STEP: usize = 500;

/// What waits in a lane and came by a connection.
pub(crate) fn waiting(
    db: &Connection,
    connection: ConnectionId,
    lane: Lane,
) -> Result<Vec<DeliveryId>, Fault> {
    let sql = "SELECT id FROM deliveries INDEXED BY deliveries_due \
               WHERE status <= 1 AND status = 0 AND lane = ?1 AND connection = ?2";
    let mut statement = db.prepare_cached(sql)?;
    let ids = statement.query_map([lane.0, connection.number()], |row| row.get(0))?;
    let ids = ids.map(|id| id.map(DeliveryId::from_number));
    Ok(ids.collect::<Result<_, _>>()?)
}

/// Moves what still waits of these to another lane, due as it is.
pub(crate) fn shift(
    batch: &mut Batch<'_>,
    (ids, from, to): &(Vec<DeliveryId>, Lane, Lane),
) -> Result<(), Fault> {
    let sql = "UPDATE deliveries SET lane = ?3 \
               WHERE id = ?1 AND lane = ?2 AND status = 0 RETURNING at";
    for id in ids {
        let mut statement = batch.db.prepare_cached(sql)?;
        let row = [id.number(), from.0, to.0];
        let due: Option<i64> = statement.query_row(row, |row| row.get(0)).optional()?;
        drop(statement);
        let due = due.map(Timestamp::from_millis);
        // What waits for others of its order key has no time.
        if let Some(due) = due.filter(|due| *due < Timestamp::NEVER) {
            batch.due(*to, due);
        }
    }
    Ok(())
}
