//! History by time: partitions are made ahead of their time and dropped whole.
//!
//! A number begins with its time, so a partition of a day is a range of numbers. Every partitioned
//! table has the same ranges.

use hooklatch_core::ids::first_number_at;
use hooklatch_core::time::{Millis, Timestamp};
use tokio_postgres::Client;

use crate::fault::Fault;

/// The tables that are partitioned by time.
const TABLES: [&str; 6] = [
    "messages",
    "strays",
    "payloads",
    "requests",
    "deliveries_done",
    "attempts",
];

/// What one partition spans: a day.
pub(crate) const SPAN: Millis = Millis::from_seconds(86_400);

/// Partitions are made for so long ahead.
pub(crate) const AHEAD: Millis = Millis::from_seconds(2 * 86_400);

/// The lock under which partitions are made and dropped.
const LOCK: i64 = 0x686b_6c74_7061_7274;

/// One day.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Day(i64);

impl Day {
    /// The day of a time.
    pub(crate) fn of(time: Timestamp) -> Self {
        Self(time.as_millis().max(0) / SPAN.get())
    }

    fn begins(self) -> Timestamp {
        Timestamp::from_millis(self.0 * SPAN.get())
    }

    fn next(self) -> Self {
        Self(self.0 + 1)
    }

    fn table(self, of: &str) -> String {
        format!("{of}_d{}", self.0)
    }
}

/// Makes sure that there are partitions from `now` on. Answers up to when there are.
pub(crate) async fn ensure(client: &Client, now: Timestamp) -> Result<Timestamp, Fault> {
    let (first, last) = (Day::of(now), Day::of(now + AHEAD));
    let mut day = first;
    while day <= last {
        if !exists(client, day).await? {
            make(client, day).await?;
        }
        day = day.next();
    }
    Ok(day.begins())
}

async fn exists(client: &Client, day: Day) -> Result<bool, Fault> {
    // The last table that is made for a day.
    let table = format!("hooklatch.{}", day.table(TABLES[TABLES.len() - 1]));
    let sql = "SELECT to_regclass($1) IS NOT NULL";
    Ok(client.query_one(sql, &[&table]).await?.try_get(0)?)
}

async fn make(client: &Client, day: Day) -> Result<(), Fault> {
    let (from, to) = (
        first_number_at(day.begins()),
        first_number_at(day.next().begins()),
    );
    let mut sql = format!("BEGIN; SELECT pg_advisory_xact_lock({LOCK});");
    for of in TABLES {
        let table = day.table(of);
        // Made by itself and then attached, which stops nobody who writes.
        sql.push_str(&format!(
            "CREATE TABLE IF NOT EXISTS hooklatch.{table} \
                 (LIKE hooklatch.{of} INCLUDING DEFAULTS INCLUDING COMPRESSION INCLUDING STORAGE); \
             DO $$ BEGIN IF NOT EXISTS (\
                 SELECT FROM pg_catalog.pg_inherits WHERE inhrelid = 'hooklatch.{table}'::regclass\
             ) THEN \
                 ALTER TABLE hooklatch.{of} ATTACH PARTITION hooklatch.{table} \
                     FOR VALUES FROM ({from}) TO ({to}); \
             END IF; END $$;"
        ));
    }
    sql.push_str("COMMIT");
    let made = client.batch_execute(&sql).await;
    if made.is_err() {
        client.batch_execute("ROLLBACK").await?;
    }
    Ok(made?)
}

/// What was dropped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Dropped {
    /// Days whose history is gone.
    pub days: usize,
    /// Days that stay, because a delivery of theirs has not ended.
    pub kept: usize,
}

/// Drops the history of days that ended before a time. Claims stay: they are the ledger's. A day
/// stays as long as one of its deliveries has not ended (INV-6).
pub(crate) async fn drop_before(client: &Client, time: Timestamp) -> Result<Dropped, Fault> {
    let mut dropped = Dropped::default();
    for day in days(client).await? {
        if day.next().begins() > time {
            continue;
        }
        if drop_day(client, day).await? {
            dropped.days += 1;
        } else {
            dropped.kept += 1;
        }
    }
    Ok(dropped)
}

/// Drops a day, or answers that it has to stay.
async fn drop_day(client: &Client, day: Day) -> Result<bool, Fault> {
    if has_live(client, day).await? {
        return Ok(false);
    }
    for of in TABLES {
        detach(client, of, &day.table(of)).await?;
    }
    // Now nobody starts one of its deliveries again; somebody may have just before.
    if has_live(client, day).await? {
        make(client, day).await?;
        return Ok(false);
    }
    for of in TABLES {
        let sql = format!("DROP TABLE IF EXISTS hooklatch.{}", day.table(of));
        client.batch_execute(&sql).await?;
    }
    Ok(true)
}

/// The days for which there is history, the oldest first.
pub(crate) async fn days(client: &Client) -> Result<Vec<Day>, Fault> {
    let sql = "SELECT DISTINCT substring(c.relname FROM '_d([0-9]+)$')::bigint \
               FROM pg_catalog.pg_class c \
               JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
               WHERE n.nspname = 'hooklatch' AND c.relkind = 'r' \
               AND c.relname ~ '^(messages|attempts|strays|payloads|requests|deliveries_done)_d[0-9]+$' \
               ORDER BY 1";
    let rows = client.query(sql, &[]).await?;
    Ok(rows.iter().map(|row| Day(row.get(0))).collect())
}

async fn has_live(client: &Client, day: Day) -> Result<bool, Fault> {
    let (from, to) = (
        first_number_at(day.begins()),
        first_number_at(day.next().begins()),
    );
    let sql = "SELECT EXISTS (SELECT FROM hooklatch.deliveries_live \
               WHERE message >= $1 AND message < $2 OR id >= $1 AND id < $2)";
    Ok(client.query_one(sql, &[&from, &to]).await?.get(0))
}

/// Takes a table out of its parent, without a lock that anybody would wait for. Ends when nobody
/// sees it there any more.
async fn detach(client: &Client, of: &str, table: &str) -> Result<(), Fault> {
    let sql = "SELECT inhdetachpending FROM pg_catalog.pg_inherits \
               WHERE inhrelid = to_regclass($1)";
    let name = format!("hooklatch.{table}");
    let Some(found) = client.query_opt(sql, &[&name]).await? else {
        return Ok(());
    };
    let how = match found.try_get(0)? {
        // An earlier try was cut off.
        true => "FINALIZE",
        false => "CONCURRENTLY",
    };
    let sql = format!("ALTER TABLE hooklatch.{of} DETACH PARTITION {name} {how}");
    Ok(client.batch_execute(&sql).await?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_is_a_range_of_numbers_without_gap_or_overlap() {
        let time = Timestamp::from_millis(1_700_000_000_000);
        let day = Day::of(time);
        assert!(day.begins() <= time && time < day.next().begins());
        assert_eq!(Day::of(day.begins()), day);
        let last = Timestamp::from_millis(day.next().begins().as_millis() - 1);
        assert_eq!(Day::of(last), day);
        assert_eq!(day.table("messages"), "messages_d19675");
    }
}
