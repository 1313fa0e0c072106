//! Lanes as wholes: from when each has something due, made due at once, and freed of leases that
//! ended with their process.

use hooklatch_core::delivery::Lane;
use hooklatch_core::time::Timestamp;
use hooklatch_store::node::LaneChange;
use rusqlite::{Connection, OptionalExtension};

use crate::fault::Fault;
use crate::writer::Batch;

/// Deliveries that are made due in one operation, so that a long queue holds nobody up.
pub(crate) const HASTENED_PER_STEP: usize = 500;

/// Makes some of what waits in a lane due now; answers how many.
pub(crate) fn hasten(batch: &mut Batch<'_>, lane: &Lane) -> Result<usize, Fault> {
    let sql = "UPDATE deliveries SET at = ?2 WHERE id IN (\
                   SELECT id FROM deliveries INDEXED BY deliveries_due \
                   WHERE status <= 1 AND status = 0 AND lane = ?1 AND at > ?2 AND at < ?4 LIMIT ?3)";
    let mut statement = batch.db.prepare_cached(sql)?;
    let row = [
        lane.0,
        batch.now.as_millis(),
        HASTENED_PER_STEP as i64,
        Timestamp::NEVER.as_millis(),
    ];
    let hastened = statement.execute(row)?;
    batch.due(*lane, batch.now);
    Ok(hastened)
}

/// Voids every lease: they ended with the process that gave them (O4). Answers how many.
pub(crate) fn void_leases(db: &Connection, now: Timestamp) -> Result<usize, Fault> {
    let sql = "UPDATE deliveries SET at = MIN(at, ?1) WHERE id IN (\
                   SELECT id FROM deliveries INDEXED BY deliveries_due \
                   WHERE status <= 1 AND status = 1)";
    Ok(db.execute(sql, [now.as_millis()])?)
}

/// From when each lane has something due.
pub(crate) fn first_of_lanes(db: &Connection) -> Result<Vec<LaneChange>, Fault> {
    let sql = "SELECT lane, MIN(at) FROM deliveries INDEXED BY deliveries_due \
               WHERE status <= 1 GROUP BY lane";
    let mut statement = db.prepare(sql)?;
    let lanes = statement.query_map([], |row| {
        let first = Timestamp::from_millis(row.get(1)?);
        Ok(LaneChange::Due(Lane(row.get(0)?), first))
    })?;
    Ok(lanes.collect::<Result<_, _>>()?)
}

/// When the first thing of a lane is due after a time, or a lease ends.
pub(crate) fn first_after(
    db: &Connection,
    lane: Lane,
    now: Timestamp,
) -> Result<Option<Timestamp>, Fault> {
    let sql = "SELECT at FROM deliveries INDEXED BY deliveries_due \
               WHERE status <= 1 AND lane = ?1 AND at > ?2 ORDER BY at LIMIT 1";
    let mut statement = db.prepare_cached(sql)?;
    let first = statement.query_row([lane.0, now.as_millis()], |row| row.get(0));
    Ok(first.optional()?.and_then(ever))
}

/// When the first thing of a lane is due, or a lease ends.
pub(crate) fn first_of(db: &Connection, lane: Lane) -> Result<Option<Timestamp>, Fault> {
    let sql = "SELECT at FROM deliveries INDEXED BY deliveries_due \
               WHERE status <= 1 AND lane = ?1 ORDER BY at LIMIT 1";
    let mut statement = db.prepare_cached(sql)?;
    let first = statement.query_row([lane.0], |row| row.get(0));
    Ok(first.optional()?.and_then(ever))
}

/// A time, unless it is that of what waits for its turn.
fn ever(millis: i64) -> Option<Timestamp> {
    Some(Timestamp::from_millis(millis)).filter(|at| *at < Timestamp::NEVER)
}
