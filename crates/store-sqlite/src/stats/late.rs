//! Attempts that are recorded, or recorded otherwise, long after they began.

use hooklatch_core::delivery::attempt::Attempt;
use hooklatch_core::ids::{EndpointId, ProjectId};
use hooklatch_core::time::Timestamp;
use hooklatch_store::CountsQuery;
use hooklatch_store::node::sums::{Slot, Sums, is_late, minute_at};
use hooklatch_store::record::Code;
use rusqlite::{Connection, Row, params};

use super::{ATTEMPTS_MARK, mark};
use crate::fault::Fault;
use crate::rows::attempt;

/// What is to be added to the sums, or taken from them.
pub(crate) struct Late {
    place: i64,
    /// The attempt's number.
    pub attempt: i64,
    /// Where it counts.
    pub slot: Slot,
    /// How long it took.
    pub millis: i64,
    /// 1 to add, -1 to take.
    pub sign: i64,
}

/// Notes an attempt that began long ago and is recorded now.
pub(crate) fn note_late(db: &Connection, attempt: &Attempt, now: Timestamp) -> Result<(), Fault> {
    if is_late(attempt.id, now) {
        note(db, attempt, 1)?;
    }
    Ok(())
}

/// Notes that the record of an attempt is about to be replaced.
pub(crate) fn note_replaced(
    db: &Connection,
    attempt: &Attempt,
    now: Timestamp,
) -> Result<(), Fault> {
    if is_late(attempt.id, now) {
        if let Some(known) = attempt::load(db, attempt.id)? {
            note(db, &known, -1)?;
        }
        note(db, attempt, 1)?;
    }
    Ok(())
}

fn note(db: &Connection, attempt: &Attempt, sign: i64) -> Result<(), Fault> {
    let sql = "INSERT INTO stats_late (attempt, project, endpoint, outcome, trigger, millis, sign) \
               VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)";
    db.prepare_cached(sql)?.execute(params![
        attempt.id.number(),
        attempt.project_id.number(),
        attempt.endpoint_id.map(EndpointId::number),
        attempt.outcome.code(),
        attempt.trigger.code(),
        i64::try_from(attempt.duration_ms).unwrap_or(i64::MAX),
        sign,
    ])?;
    Ok(())
}

/// What is noted and not added yet; a bounded part of it.
pub(super) fn all(db: &Connection) -> Result<Vec<Late>, Fault> {
    let sql = "SELECT id, attempt, project, endpoint, outcome, trigger, millis, sign \
               FROM stats_late ORDER BY id LIMIT 10000";
    let mut statement = db.prepare_cached(sql)?;
    let mut rows = statement.query([])?;
    let mut late = Vec::new();
    while let Some(row) = rows.next()? {
        late.push(decode(row)?);
    }
    Ok(late)
}

fn decode(row: &Row<'_>) -> Result<Late, Fault> {
    let attempt = row.get(1)?;
    Ok(Late {
        place: row.get(0)?,
        attempt,
        slot: Slot::attempt(attempt, row.get(2)?, row.get(3)?, row.get(4)?, row.get(5)?),
        millis: row.get(6)?,
        sign: row.get(7)?,
    })
}

/// Adds what is noted and belongs to what is summed.
pub(super) fn add(
    db: &Connection,
    project: ProjectId,
    query: CountsQuery,
    sums: &mut Sums,
) -> Result<(), Fault> {
    let mark = mark(db, ATTEMPTS_MARK)?;
    let asked = minute_at(query.from)..minute_at(query.to);
    for late in all(db)? {
        let own = late.slot.project == project.number();
        if own && late.attempt <= mark && asked.contains(&late.slot.at) {
            sums.add(late.slot, late.sign, late.sign * late.millis);
        }
    }
    Ok(())
}

/// Forgets what was added.
pub(super) fn forget(db: &Connection, late: &[Late]) -> Result<(), Fault> {
    let sql = "DELETE FROM stats_late WHERE id = ?1";
    for one in late {
        db.prepare_cached(sql)?.execute([one.place])?;
    }
    Ok(())
}
