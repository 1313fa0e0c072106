//! The adding up: a reader counts, the writer adds what it counted.

use std::collections::HashMap;

use hooklatch_core::ids::ProjectId;
use hooklatch_core::time::Timestamp;
use hooklatch_store::RolledUp;
use hooklatch_store::node::sums::{ATTEMPTS_SETTLED_AFTER, Level, Sums, minute_at};
use hooklatch_store::stats::{HOURS_KEPT, MINUTES_KEPT};
use rusqlite::{Connection, params};

use super::late::{self, Late};
use super::{
    ARRIVALS_MARK, ATTEMPTS_MARK, Range, STEP_ROWS, add_arrivals, add_attempts, mark, settled,
};
use crate::fault::Fault;
use crate::writer::Batch;

/// What one step has counted.
pub(crate) struct Rolling {
    arrivals: Range,
    attempts: Range,
    sums: Sums,
    last: HashMap<(i64, i64), i64>,
    late: Vec<Late>,
    more: bool,
}

impl Rolling {
    /// Counts a bounded part of what is not summed yet, as one moment shows it.
    pub(crate) fn count(db: &Connection, now: Timestamp) -> Result<Self, Fault> {
        let arrivals = arrivals_range(db)?;
        let attempts = attempts_range(db, now)?;
        let mut sums = Sums::default();
        add_arrivals(db, None, arrivals.0, &mut sums)?;
        add_attempts(db, None, attempts.0, &mut sums)?;
        let late = late::all(db)?;
        for one in &late {
            // What begins after the mark is counted, or will be, with the others.
            if one.attempt <= attempts.0.after {
                sums.add(one.slot, one.sign, one.sign * one.millis);
            }
        }
        Ok(Self {
            last: last_of(db, None, arrivals.0)?,
            arrivals: arrivals.0,
            attempts: attempts.0,
            sums,
            late,
            more: arrivals.1 || attempts.1,
        })
    }

    /// Whether the writer has nothing to do: where nothing was found, the marks may stay.
    pub(crate) fn is_empty(&self) -> bool {
        self.sums.is_empty() && self.late.is_empty()
    }

    /// Whether there is more to count.
    pub(crate) fn outcome(&self) -> RolledUp {
        if self.more {
            RolledUp::More
        } else {
            RolledUp::Done
        }
    }
}

/// What may be counted, and whether there is more.
type Step = (Range, bool);

fn arrivals_range(db: &Connection) -> Result<Step, Fault> {
    let after = mark(db, ARRIVALS_MARK)?;
    let sql = "SELECT MAX(COALESCE((SELECT MAX(id) FROM messages), 0), \
                          COALESCE((SELECT MAX(id) FROM requests), 0))";
    let seen: i64 = db.prepare_cached(sql)?.query_row([], |row| row.get(0))?;
    let messages = "SELECT MAX(id), COUNT(*) FROM \
                    (SELECT id FROM messages WHERE id > ?1 ORDER BY id LIMIT ?2)";
    let requests = "SELECT MAX(id), COUNT(*) FROM \
                    (SELECT id FROM requests WHERE id > ?1 ORDER BY id LIMIT ?2)";
    bounded(db, &[messages, requests], after, seen.max(after))
}

fn attempts_range(db: &Connection, now: Timestamp) -> Result<Step, Fault> {
    let after = mark(db, ATTEMPTS_MARK)?;
    let attempts = "SELECT MAX(id), COUNT(*) FROM \
                    (SELECT id FROM attempts WHERE id > ?1 ORDER BY id LIMIT ?2)";
    let end = settled(now, ATTEMPTS_SETTLED_AFTER).max(after);
    bounded(db, &[attempts], after, end)
}

/// Up to `end`, or as far as so many rows go.
fn bounded(db: &Connection, tables: &[&str], after: i64, end: i64) -> Result<Step, Fault> {
    let mut up_to = end;
    let mut more = false;
    for sql in tables {
        let mut statement = db.prepare_cached(sql)?;
        let (last, found): (Option<i64>, i64) =
            statement.query_row([after, STEP_ROWS], |row| Ok((row.get(0)?, row.get(1)?)))?;
        if let (Some(last), true) = (last, found == STEP_ROWS) {
            more |= last < end;
            up_to = up_to.min(last);
        }
    }
    Ok((Range { after, up_to }, more))
}

/// The last arrival of each source that was not refused (3), by source and project.
pub(super) fn last_of(
    db: &Connection,
    project: Option<ProjectId>,
    range: Range,
) -> Result<HashMap<(i64, i64), i64>, Fault> {
    let messages = "SELECT source, project, id FROM messages WHERE id > ?1 AND id <= ?2 \
                    AND source IS NOT NULL AND request IS NULL \
                    AND (?3 IS NULL OR project = ?3)";
    let requests = "SELECT source, project, id FROM requests WHERE id > ?1 AND id <= ?2 \
                    AND source IS NOT NULL AND outcome <> 3 AND (?3 IS NULL OR project = ?3)";
    let mut last = HashMap::new();
    for sql in [messages, requests] {
        let mut statement = db.prepare_cached(sql)?;
        let row = params![range.after, range.up_to, project.map(ProjectId::number)];
        let mut rows = statement.query(row)?;
        while let Some(row) = rows.next()? {
            let id: i64 = row.get(2)?;
            let known = last.entry((row.get(0)?, row.get(1)?)).or_insert(id);
            *known = id.max(*known);
        }
    }
    Ok(last)
}

/// Adds what was counted, and moves the marks; unless another step has moved them meanwhile.
pub(crate) fn roll_up(batch: &mut Batch<'_>, rolling: &Rolling) -> Result<(), Fault> {
    let (db, now) = (batch.db, batch.now);
    if mark(db, ARRIVALS_MARK)? != rolling.arrivals.after
        || mark(db, ATTEMPTS_MARK)? != rolling.attempts.after
    {
        return Ok(());
    }
    add(db, Level::Minute, &rolling.sums)?;
    add(db, Level::Hour, &rolling.sums.by_hour())?;
    let sql = "INSERT INTO stats_last VALUES (?1, ?2, ?3) \
               ON CONFLICT (source) DO UPDATE SET id = MAX(id, excluded.id)";
    for ((source, project), id) in &rolling.last {
        db.prepare_cached(sql)?.execute([source, project, id])?;
    }
    late::forget(db, &rolling.late)?;
    set_mark(db, ARRIVALS_MARK, rolling.arrivals.up_to)?;
    set_mark(db, ATTEMPTS_MARK, rolling.attempts.up_to)?;
    prune(db, now)
}

fn add(db: &Connection, level: Level, sums: &Sums) -> Result<(), Fault> {
    let sql = "INSERT INTO stats VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9) \
               ON CONFLICT (project, level, at, kind, subject, outcome, why) \
               DO UPDATE SET many = many + excluded.many, millis = millis + excluded.millis";
    for (slot, sum) in sums.rows() {
        db.prepare_cached(sql)?.execute([
            slot.project,
            level as i64,
            slot.at,
            slot.kind,
            slot.subject,
            slot.outcome,
            slot.why,
            sum.many,
            sum.millis,
        ])?;
    }
    Ok(())
}

fn set_mark(db: &Connection, name: &str, mark: i64) -> Result<(), Fault> {
    let sql = "INSERT OR REPLACE INTO meta VALUES (?1, ?2)";
    db.prepare_cached(sql)?.execute(params![name, mark])?;
    Ok(())
}

/// Old sums that are removed in one step.
const PRUNED_PER_STEP: i64 = 2_000;

fn prune(db: &Connection, now: Timestamp) -> Result<(), Fault> {
    let sql = "DELETE FROM stats WHERE (project, level, at, kind, subject, outcome, why) IN (\
                   SELECT project, level, at, kind, subject, outcome, why FROM stats \
                   WHERE project = ?1 AND level = ?2 AND at < ?3 LIMIT ?4)";
    let projects = "SELECT DISTINCT project FROM config";
    let mut statement = db.prepare_cached(projects)?;
    let projects = statement.query_map([], |row| row.get(0))?;
    let projects: Vec<i64> = projects.collect::<Result<_, _>>()?;
    for project in projects {
        for (level, kept) in [(Level::Minute, MINUTES_KEPT), (Level::Hour, HOURS_KEPT)] {
            let before = minute_at(now - kept);
            db.prepare_cached(sql)?
                .execute([project, level as i64, before, PRUNED_PER_STEP])?;
        }
    }
    Ok(())
}
