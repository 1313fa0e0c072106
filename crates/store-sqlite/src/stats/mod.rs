//! Figures: sums of what is settled, and the tail after them counted when it is asked for.
//!
//! `stats` has the sums. Two marks in `meta` say up to which number requests and attempts are in
//! them. Requests are numbered and committed by one thread, so whatever a reader sees is complete
//! up to the largest number it sees. An attempt is numbered when it begins and recorded when it
//! ends; one that ends so late that its minute may be summed already is noted in `stats_late` in
//! the transaction that records it, and added from there.

mod late;
mod roll;

pub(crate) use late::{note_late, note_replaced};
pub(crate) use roll::{Rolling, roll_up};

use hooklatch_core::ids::{EndpointId, ProjectId, SourceId, first_number_at};
use hooklatch_core::time::{Millis, Timestamp};
use hooklatch_core::{delivery::Lane, ids::MessageId};
use hooklatch_store::node::sums::{Level, Slot, Sums, minute_at};
use hooklatch_store::stats::WAITING_COUNTED_MAX;
use hooklatch_store::{Counts, CountsQuery, Waiting};
use rusqlite::{Connection, OptionalExtension, params};

use crate::fault::Fault;

/// The mark of the requests that are summed.
const ARRIVALS_MARK: &str = "summed_arrivals";
/// The mark of the attempts that are summed.
const ATTEMPTS_MARK: &str = "summed_attempts";

fn mark(db: &Connection, name: &str) -> Result<i64, Fault> {
    let mut statement = db.prepare_cached("SELECT value FROM meta WHERE name = ?1")?;
    let mark = statement.query_row([name], |row| row.get(0)).optional()?;
    Ok(mark.unwrap_or(0))
}

/// Numbers: after the first, up to the second.
#[derive(Debug, Clone, Copy)]
struct Range {
    after: i64,
    up_to: i64,
}

/// Counts what happened in a project.
pub(crate) fn counts(
    db: &Connection,
    project: ProjectId,
    query: CountsQuery,
) -> Result<Counts, Fault> {
    let mut sums = summed(db, project, query)?;
    let tail = |mark: i64| Range {
        after: mark.max(first_number_at(query.from) - 1),
        up_to: first_number_at(query.to) - 1,
    };
    let own = Some(project);
    add_arrivals(db, own, tail(mark(db, ARRIVALS_MARK)?), &mut sums)?;
    add_attempts(db, own, tail(mark(db, ATTEMPTS_MARK)?), &mut sums)?;
    late::add(db, project, query, &mut sums)?;
    Ok(sums.counts(query.step)?)
}

/// What is summed already.
fn summed(db: &Connection, project: ProjectId, query: CountsQuery) -> Result<Sums, Fault> {
    let sql = "SELECT at, kind, subject, outcome, why, many, millis FROM stats \
               WHERE project = ?1 AND level = ?2 AND at >= ?3 AND at < ?4";
    let mut statement = db.prepare_cached(sql)?;
    let mut rows = statement.query(params![
        project.number(),
        Level::for_step(query.step) as i64,
        minute_at(query.from),
        minute_at(query.to),
    ])?;
    let mut sums = Sums::default();
    while let Some(row) = rows.next()? {
        let slot = Slot {
            at: row.get(0)?,
            project: project.number(),
            kind: row.get(1)?,
            subject: row.get(2)?,
            outcome: row.get(3)?,
            why: row.get(4)?,
        };
        // Steps are few, minutes are many.
        sums.add(slot.stepped(query.step), row.get(5)?, row.get(6)?);
    }
    Ok(sums)
}

/// Adds requests row by row: one project's, or all.
fn add_arrivals(
    db: &Connection,
    project: Option<ProjectId>,
    range: Range,
    sums: &mut Sums,
) -> Result<(), Fault> {
    // A released message is no arrival; every other one was accepted (0).
    let messages = "SELECT id, project, source, 0, NULL, checksum IS NULL FROM messages \
                    WHERE id > ?1 AND id <= ?2 AND request IS NULL \
                    AND (?3 IS NULL OR project = ?3)";
    let requests = "SELECT id, project, source, outcome, cause, 0 FROM requests \
                    WHERE id > ?1 AND id <= ?2 AND (?3 IS NULL OR project = ?3)";
    for sql in [messages, requests] {
        let mut statement = db.prepare_cached(sql)?;
        let row = params![range.after, range.up_to, project.map(ProjectId::number)];
        let mut rows = statement.query(row)?;
        while let Some(row) = rows.next()? {
            let (number, project) = (row.get(0)?, row.get(1)?);
            let slot = Slot::arrival(number, project, row.get(2)?, row.get(3)?, row.get(4)?);
            sums.add(slot, 1, row.get(5)?);
        }
    }
    Ok(())
}

/// Adds attempts row by row: one project's, or all.
fn add_attempts(
    db: &Connection,
    project: Option<ProjectId>,
    range: Range,
    sums: &mut Sums,
) -> Result<(), Fault> {
    let sql = "SELECT id, project, endpoint, outcome, trigger, duration_ms FROM attempts \
               WHERE id > ?1 AND id <= ?2 AND (?3 IS NULL OR project = ?3)";
    let mut statement = db.prepare_cached(sql)?;
    let row = params![range.after, range.up_to, project.map(ProjectId::number)];
    let mut rows = statement.query(row)?;
    while let Some(row) = rows.next()? {
        let (number, project) = (row.get(0)?, row.get(1)?);
        let slot = Slot::attempt(number, project, row.get(2)?, row.get(3)?, row.get(4)?);
        sums.add(slot, 1, row.get(5)?);
    }
    Ok(())
}

/// What waits for each endpoint. Its lane is its own, so the index alone answers.
pub(crate) fn waiting(
    db: &Connection,
    project: ProjectId,
    endpoints: Vec<EndpointId>,
) -> Result<Vec<Waiting>, Fault> {
    let sql = "SELECT COUNT(*), MIN(id) FROM (SELECT id FROM deliveries INDEXED BY deliveries_due \
               WHERE status <= 1 AND lane = ?1 LIMIT ?2)";
    let mut statement = db.prepare_cached(sql)?;
    let mut waiting = Vec::with_capacity(endpoints.len());
    for endpoint_id in endpoints {
        let row = [
            Lane::of_endpoint(endpoint_id).0,
            i64::try_from(WAITING_COUNTED_MAX).unwrap_or(i64::MAX),
        ];
        let (count, oldest): (i64, Option<i64>) =
            statement.query_row(row, |row| Ok((row.get(0)?, row.get(1)?)))?;
        let own = match oldest {
            Some(oldest) => belongs(db, oldest, project)?,
            None => true,
        };
        waiting.push(Waiting {
            endpoint_id,
            count: if own { count.unsigned_abs() } else { 0 },
            oldest: oldest.filter(|_| own).map(minted_at),
        });
    }
    Ok(waiting)
}

/// An endpoint has one project, and so have all deliveries in its lane.
fn belongs(db: &Connection, delivery: i64, project: ProjectId) -> Result<bool, Fault> {
    let mut statement = db.prepare_cached("SELECT project FROM deliveries WHERE id = ?1")?;
    let owner: i64 = statement.query_row([delivery], |row| row.get(0))?;
    Ok(owner == project.number())
}

fn minted_at(number: i64) -> Timestamp {
    MessageId::from_number(number).minted_at()
}

/// When something last came through each source.
pub(crate) fn last_arrivals(
    db: &Connection,
    project: ProjectId,
    sources: &[SourceId],
) -> Result<Vec<Option<Timestamp>>, Fault> {
    let range = Range {
        after: mark(db, ARRIVALS_MARK)?,
        up_to: i64::MAX,
    };
    let tail = roll::last_of(db, Some(project), range)?;
    let sql = "SELECT id FROM stats_last WHERE source = ?1 AND project = ?2";
    let mut statement = db.prepare_cached(sql)?;
    let mut last = Vec::with_capacity(sources.len());
    for source in sources {
        let row = [source.number(), project.number()];
        let summed: Option<i64> = statement.query_row(row, |row| row.get(0)).optional()?;
        let newer = tail.get(&(source.number(), project.number())).copied();
        last.push(newer.max(summed).map(minted_at));
    }
    Ok(last)
}

/// How much is looked at in one step of adding up.
const STEP_ROWS: i64 = 50_000;

/// The end of what is certain for attempts: those that begin later may not have ended.
fn settled(now: Timestamp, after: Millis) -> i64 {
    first_number_at(now - after) - 1
}
