//! History by time: partitions are made ahead of their time and dropped whole.
//!
//! A number begins with its time, so a partition of a day is a range of numbers. Every partitioned
//! table has the same ranges.

use std::collections::BTreeSet;

use hooklatch_core::ids::{MessageId, first_number_at};
use hooklatch_core::time::{Millis, Timestamp};
use tokio_postgres::Client;
use tokio_postgres::types::Type;

use crate::fault::{Fault, Remedy};

/// The tables that are partitioned by time, in the order in which a day's are detached: once the
/// ended deliveries are, nobody starts one of them again.
const TABLES: [&str; 7] = [
    "deliveries_done",
    "messages",
    "strays",
    "payloads",
    "requests",
    "transformed",
    "attempts",
];

/// What one partition spans: a day.
pub(crate) const SPAN: Millis = Millis::from_seconds(86_400);

/// Partitions are made for so long ahead.
pub(crate) const AHEAD: Millis = Millis::from_seconds(2 * 86_400);

/// The lock under which partitions are made and dropped: "hklt" and "part" in ASCII. Whoever makes
/// takes it for a transaction, and whoever drops for the session, since what is detached without
/// stopping anybody cannot be in a transaction.
const LOCK: i64 = 0x686b_6c74_7061_7274;

/// One day.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Day(i64);

impl Day {
    /// The day of a time.
    pub(crate) fn of(time: Timestamp) -> Self {
        Self(time.as_millis().max(0) / SPAN.get())
    }

    /// The day in whose partitions a number lies.
    pub(crate) fn of_number(number: i64) -> Self {
        // Every kind of number begins with its time.
        Self::of(MessageId::from_number(number).minted_at())
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

/// Makes sure that there are partitions for certain days.
pub(crate) async fn ensure_days(client: &Client, days: &BTreeSet<Day>) -> Result<(), Fault> {
    for day in days {
        if !exists(client, *day).await? {
            make(client, *day).await?;
        }
    }
    Ok(())
}

/// Whether every table of a day is there for whoever writes.
async fn exists(client: &Client, day: Day) -> Result<bool, Fault> {
    let tables = TABLES.map(|of| format!("hooklatch.{}", day.table(of)));
    let attached = attached(client, &tables).await?;
    Ok(attached.len() == TABLES.len())
}

/// Which of some tables are partitions, and not about to be none.
async fn attached(client: &Client, tables: &[String]) -> Result<Vec<String>, Fault> {
    let sql = "SELECT name FROM unnest($1::text[]) name \
               JOIN pg_catalog.pg_inherits i ON i.inhrelid = to_regclass(name)::oid \
               WHERE NOT i.inhdetachpending";
    let rows = client
        .query_typed(sql, &[(&tables, Type::TEXT_ARRAY)])
        .await?;
    Ok(rows.iter().map(|row| row.get(0)).collect())
}

/// Those of some messages' numbers whose day has not been dropped, in their order.
pub(crate) async fn kept(client: &Client, numbers: &[i64]) -> Result<Vec<i64>, Fault> {
    let table = |number: &i64| {
        let day = Day::of(MessageId::from_number(*number).minted_at());
        format!("hooklatch.{}", day.table("messages"))
    };
    let mut tables: Vec<String> = numbers.iter().map(table).collect();
    tables.sort_unstable();
    tables.dedup();
    let attached = attached(client, &tables).await?;
    let kept = numbers
        .iter()
        .filter(|number| attached.contains(&table(number)));
    Ok(kept.copied().collect())
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

/// What became of a day.
enum Tended {
    Dropped,
    Kept,
    Young,
}

/// Drops the history of days that ended before a time, and repairs days that were not dropped to
/// the end. Claims stay: they are the ledger's. A day stays as long as one of its deliveries has
/// not ended (INV-6).
pub(crate) async fn tend(client: &Client, before: Option<Timestamp>) -> Result<Dropped, Fault> {
    finalize(client).await?;
    let mut dropped = Dropped::default();
    for (day, whole) in days(client).await? {
        let due = before.is_some_and(|before| day.next().begins() <= before);
        if whole && !due {
            continue;
        }
        match tend_day(client, day, due).await {
            Ok(Tended::Dropped) => dropped.days += 1,
            Ok(Tended::Kept) => dropped.kept += 1,
            Ok(Tended::Young) => {}
            Err(fault) if fault.remedy() == Remedy::Reconnect => return Err(fault),
            Err(fault) => {
                tracing::warn!(%fault, day = %day.begins(), "history was not dropped; trying again");
            }
        }
    }
    Ok(dropped)
}

/// Ends what was cut off while it detached a table: until then the table is hidden, and no other
/// one of its parent can be detached.
async fn finalize(client: &Client) -> Result<(), Fault> {
    let sql = "SELECT p.relname::text, c.relname::text FROM pg_catalog.pg_inherits i \
               JOIN pg_catalog.pg_class c ON c.oid = i.inhrelid \
               JOIN pg_catalog.pg_class p ON p.oid = i.inhparent \
               JOIN pg_catalog.pg_namespace n ON n.oid = p.relnamespace \
               WHERE n.nspname = 'hooklatch' AND c.relkind = 'r' AND i.inhdetachpending";
    for row in client.query(sql, &[]).await? {
        let (of, table): (String, String) = (row.try_get(0)?, row.try_get(1)?);
        let sql = format!("ALTER TABLE hooklatch.{of} DETACH PARTITION hooklatch.{table} FINALIZE");
        if let Err(error) = client.batch_execute(&sql).await {
            let fault = Fault::from(error);
            tracing::warn!(%fault, table, "a table is hidden until its readers end; trying again");
        }
    }
    Ok(())
}

/// Drops a day that is due; attaches again what is left of one that has to stay.
async fn tend_day(client: &Client, day: Day, due: bool) -> Result<Tended, Fault> {
    if due && !has_live(client, day).await? {
        return locked(client, drop_day(client, day)).await;
    }
    if !exists(client, day).await? {
        tracing::warn!(day = %day.begins(), "a day that was half dropped is made whole again");
        make(client, day).await?;
    }
    Ok(if due { Tended::Kept } else { Tended::Young })
}

/// Does something while nobody else makes or drops partitions. The session's end lets go of the
/// lock as well, so it has to be one that is not used on after a failure.
async fn locked<T>(
    client: &Client,
    work: impl Future<Output = Result<T, Fault>>,
) -> Result<T, Fault> {
    client
        .execute("SELECT pg_advisory_lock($1)", &[&LOCK])
        .await?;
    let done = work.await;
    client
        .execute("SELECT pg_advisory_unlock($1)", &[&LOCK])
        .await?;
    done
}

/// Drops a day, or answers that it has to stay.
async fn drop_day(client: &Client, day: Day) -> Result<Tended, Fault> {
    for of in TABLES {
        detach(client, of, &day.table(of)).await?;
    }
    // Now nobody starts one of its deliveries again; somebody may have just before.
    if has_live(client, day).await? {
        make(client, day).await?;
        return Ok(Tended::Kept);
    }
    for of in TABLES {
        let sql = format!("DROP TABLE IF EXISTS hooklatch.{}", day.table(of));
        client.batch_execute(&sql).await?;
    }
    Ok(Tended::Dropped)
}

/// The days for which there is history, the oldest first, and whether each is whole.
async fn days(client: &Client) -> Result<Vec<(Day, bool)>, Fault> {
    let sql = "SELECT substring(c.relname FROM '_d([0-9]+)$')::bigint AS day, \
                   COUNT(*) FILTER (WHERE NOT i.inhdetachpending) \
               FROM pg_catalog.pg_class c \
               JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
               LEFT JOIN pg_catalog.pg_inherits i ON i.inhrelid = c.oid \
               WHERE n.nspname = 'hooklatch' AND c.relkind = 'r' \
               AND c.relname ~ '^(messages|attempts|strays|payloads|requests|deliveries_done|transformed)_d[0-9]+$' \
               GROUP BY 1 ORDER BY 1";
    let rows = client.query(sql, &[]).await?;
    let days = rows.iter().map(|row| {
        let attached: i64 = row.get(1);
        (Day(row.get(0)), attached == TABLES.len() as i64)
    });
    Ok(days.collect())
}

/// Whether a delivery that has not ended needs a day: for itself when it ends, for its message, or
/// for the record of an attempt whose lease was taken on that day.
async fn has_live(client: &Client, day: Day) -> Result<bool, Fault> {
    let (from, to) = (
        first_number_at(day.begins()),
        first_number_at(day.next().begins()),
    );
    let sql = "SELECT \
        EXISTS (SELECT FROM hooklatch.deliveries_live WHERE id >= $1 AND id < $2) \
        OR EXISTS (SELECT FROM hooklatch.deliveries_live WHERE message >= $1 AND message < $2) \
        OR EXISTS (SELECT FROM hooklatch.deliveries_live WHERE token >= $1 AND token < $2)";
    Ok(client.query_one(sql, &[&from, &to]).await?.get(0))
}

/// Takes a table out of its parent, without a lock that anybody would wait for. Ends when nobody
/// sees it there any more.
async fn detach(client: &Client, of: &str, table: &str) -> Result<(), Fault> {
    let name = format!("hooklatch.{table}");
    let sql = "SELECT FROM pg_catalog.pg_inherits WHERE inhrelid = to_regclass($1)";
    if client.query_opt(sql, &[&name]).await?.is_none() {
        return Ok(());
    }
    let sql = format!("ALTER TABLE hooklatch.{of} DETACH PARTITION {name} CONCURRENTLY");
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
