//! The adding up: one node at a time, of one moment, a bounded part in each transaction.

use hooklatch_core::ids::{ProjectId, first_number_at};
use hooklatch_core::time::{Millis, Timestamp};
use hooklatch_store::RolledUp;
use hooklatch_store::node::sums::{ATTEMPTS_SETTLED_AFTER, Level, Sums, minute_at};
use hooklatch_store::stats::{HOURS_KEPT, MINUTES_KEPT};
use tokio_postgres::types::Type;
use tokio_postgres::{Client, IsolationLevel};

use super::{Range, add_arrivals, add_attempts, late, marks};
use crate::columns::array;
use crate::fault::{Fault, Remedy};
use crate::rows::among::Param;

/// The lock of the one node that adds up, held by its transaction: "hklt" and "sums" in ASCII.
const LOCK: i64 = 0x686b_6c74_7375_6d73;
/// How old a request is before it is added up: an open transaction is ended long before.
const ARRIVALS_SETTLED_AFTER: Millis = Millis::from_seconds(30);
/// Rows that are counted in one transaction.
const STEP_ROWS: i64 = 50_000;
/// Old sums that are removed in one transaction.
const PRUNED_PER_STEP: i64 = 2_000;

/// Adds up a bounded part of what is not summed yet.
pub(crate) async fn roll_up(client: &mut Client, now: Timestamp) -> Result<RolledUp, Fault> {
    let transaction = client
        .build_transaction()
        .isolation_level(IsolationLevel::RepeatableRead)
        .start()
        .await?;
    let rolled = step(transaction.client(), now).await;
    match rolled {
        Ok(rolled) => {
            transaction.commit().await?;
            Ok(rolled)
        }
        // Another node has moved the marks since this moment began.
        Err(fault) if fault.remedy() == Remedy::Again => Ok(RolledUp::Elsewhere),
        Err(fault) => Err(fault),
    }
}

async fn step(db: &Client, now: Timestamp) -> Result<RolledUp, Fault> {
    let locked = db
        .query_typed(
            "SELECT pg_try_advisory_xact_lock($1)",
            &[(&LOCK, Type::INT8)],
        )
        .await?;
    let locked = locked.first().map(|row| row.try_get(0)).transpose()?;
    if locked != Some(true) {
        return Ok(RolledUp::Elsewhere);
    }
    let marks = marks(db).await?;
    let arrivals = of_arrivals(db, marks.arrivals, now).await?;
    let attempts = of_attempts(db, marks.attempts, now).await?;
    let mut sums = Sums::default();
    add_arrivals(db, None, arrivals.range, &mut sums).await?;
    add_attempts(db, None, attempts.range, &mut sums).await?;
    let noted = late::all(db).await?;
    for one in &noted {
        // What begins after the mark is counted, or will be, with the others.
        if one.attempt <= marks.attempts {
            sums.add(one.slot, one.sign, one.sign * one.millis);
        }
    }
    // Where nothing was found, nothing is written, and the marks stay.
    if sums.is_empty() && noted.is_empty() {
        return Ok(RolledUp::Done);
    }
    add(db, Level::Minute, &sums).await?;
    add(db, Level::Hour, &sums.by_hour()).await?;
    note_last(db, arrivals.range).await?;
    late::forget(db, &noted).await?;
    move_mark(db, "summed_arrivals", arrivals.range).await?;
    move_mark(db, "summed_attempts", attempts.range).await?;
    prune(db, now).await?;
    Ok(if arrivals.more || attempts.more {
        RolledUp::More
    } else {
        RolledUp::Done
    })
}

/// What may be counted.
struct Part {
    range: Range,
    more: bool,
}

async fn of_arrivals(db: &Client, after: i64, now: Timestamp) -> Result<Part, Fault> {
    let end = first_number_at(now - ARRIVALS_SETTLED_AFTER) - 1;
    bounded(db, &["messages", "requests"], after, end).await
}

async fn of_attempts(db: &Client, after: i64, now: Timestamp) -> Result<Part, Fault> {
    let end = first_number_at(now - ATTEMPTS_SETTLED_AFTER) - 1;
    bounded(db, &["attempts"], after, end).await
}

/// Up to `end`, or as far as so many rows go.
async fn bounded(db: &Client, tables: &[&str], after: i64, end: i64) -> Result<Part, Fault> {
    let end = end.max(after);
    let mut up_to = end;
    for table in tables {
        let sql = format!(
            "SELECT id FROM hooklatch.{table} WHERE id > $1 AND id <= $2 \
             ORDER BY id OFFSET $3 LIMIT 1"
        );
        let params: [Param<'_>; 3] = [
            (&after, Type::INT8),
            (&end, Type::INT8),
            (&(STEP_ROWS - 1), Type::INT8),
        ];
        if let Some(row) = db.query_typed(&sql, &params).await?.first() {
            up_to = up_to.min(row.try_get(0)?);
        }
    }
    Ok(Part {
        range: Range { after, up_to },
        more: up_to < end,
    })
}

/// The last arrival of each source that was not refused: source, project and number.
pub(super) async fn last_of(
    db: &Client,
    project: Option<ProjectId>,
    range: Range,
) -> Result<Vec<(i64, i64, i64)>, Fault> {
    // A source has one project.
    let sql = "SELECT source, MAX(project), MAX(id) FROM (\
                   SELECT source, project, id FROM hooklatch.messages \
                   WHERE id > $1 AND id <= $2 AND source IS NOT NULL AND request IS NULL \
                   AND ($3::bigint IS NULL OR project = $3) \
                   UNION ALL SELECT source, project, id FROM hooklatch.requests \
                   WHERE id > $1 AND id <= $2 AND source IS NOT NULL \
                   AND ($3::bigint IS NULL OR project = $3)\
               ) arrived GROUP BY source";
    let project = project.map(ProjectId::number);
    let rows = db.query_typed(sql, &range.params(&project)).await?;
    let last = rows
        .iter()
        .map(|row| Ok((row.try_get(0)?, row.try_get(1)?, row.try_get(2)?)));
    last.collect()
}

async fn note_last(db: &Client, range: Range) -> Result<(), Fault> {
    let sql = "INSERT INTO hooklatch.stats_last (source, project, id) \
               SELECT * FROM unnest($1::bigint[], $2::bigint[], $3::bigint[]) \
               ON CONFLICT (source) DO UPDATE SET id = GREATEST(stats_last.id, excluded.id)";
    let last = last_of(db, None, range).await?;
    if last.is_empty() {
        return Ok(());
    }
    let columns = [
        array(&last, |it| it.0),
        array(&last, |it| it.1),
        array(&last, |it| it.2),
    ];
    execute(db, sql, &columns).await
}

async fn add(db: &Client, level: Level, sums: &Sums) -> Result<(), Fault> {
    let sql = "INSERT INTO hooklatch.stats \
                   (project, level, at, kind, subject, outcome, why, many, millis) \
               SELECT * FROM unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::bigint[], \
                   $5::bigint[], $6::bigint[], $7::bigint[], $8::bigint[], $9::bigint[]) \
               ON CONFLICT (project, level, at, kind, subject, outcome, why) DO UPDATE \
               SET many = stats.many + excluded.many, millis = stats.millis + excluded.millis";
    if sums.is_empty() {
        return Ok(());
    }
    let rows: Vec<_> = sums.rows().collect();
    let columns = [
        array(&rows, |(slot, _)| slot.project),
        array(&rows, |_| level as i64),
        array(&rows, |(slot, _)| slot.at),
        array(&rows, |(slot, _)| slot.kind),
        array(&rows, |(slot, _)| slot.subject),
        array(&rows, |(slot, _)| slot.outcome),
        array(&rows, |(slot, _)| slot.why),
        array(&rows, |(_, sum)| sum.many),
        array(&rows, |(_, sum)| sum.millis),
    ];
    execute(db, sql, &columns).await
}

async fn execute(
    db: &Client,
    sql: &str,
    columns: &[Box<dyn tokio_postgres::types::ToSql + Sync + Send + '_>],
) -> Result<(), Fault> {
    let params: Vec<Param<'_>> = columns
        .iter()
        .map(|column| -> Param<'_> { (&**column, Type::INT8_ARRAY) })
        .collect();
    db.execute_typed(sql, &params).await?;
    Ok(())
}

async fn move_mark(db: &Client, name: &str, range: Range) -> Result<(), Fault> {
    if range.up_to > range.after {
        let sql = "UPDATE hooklatch.meta SET value = $2 WHERE name = $1";
        let params: [Param<'_>; 2] = [(&name, Type::TEXT), (&range.up_to, Type::INT8)];
        db.execute_typed(sql, &params).await?;
    }
    Ok(())
}

async fn prune(db: &Client, now: Timestamp) -> Result<(), Fault> {
    let sql = "DELETE FROM hooklatch.stats WHERE ctid = ANY (ARRAY(\
                   SELECT ctid FROM hooklatch.stats \
                   WHERE project IN (SELECT DISTINCT project FROM hooklatch.config) \
                   AND level = $1 AND at < $2 LIMIT $3))";
    for (level, kept) in [(Level::Minute, MINUTES_KEPT), (Level::Hour, HOURS_KEPT)] {
        let before = minute_at(now - kept);
        let params: [Param<'_>; 3] = [
            (&(level as i64), Type::INT8),
            (&before, Type::INT8),
            (&PRUNED_PER_STEP, Type::INT8),
        ];
        db.execute_typed(sql, &params).await?;
    }
    Ok(())
}
