//! Loads and writes a record on a connection, whoever holds the transaction.

use rusqlite::{Connection, OptionalExtension, Row, params};

use crate::key::ScopeKey;
use crate::machine::{Change, Moment};
use crate::raw::{RawRecord, sql};
use crate::record::{Record, State};
use crate::table::process_now_ms;

pub(super) type Error = Box<dyn std::error::Error + Send + Sync>;

const LOAD: &str = "\
SELECT state, token, fence, epoch, generation, origin, fingerprint, attempt, \
 COALESCE(lease_until, expires_at) AS until_ms, result, error, provider, event_type, received_at \
FROM hooklatch_claims WHERE key = ?1";

macro_rules! insert {
    ($on_conflict:literal) => {
        concat!(
            "INSERT INTO hooklatch_claims (key, state, token, fence, epoch, generation, origin, ",
            "fingerprint, attempt, lease_until, expires_at, result, error, provider, event_type, ",
            "received_at) ",
            "VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16) ",
            "ON CONFLICT (key) DO ",
            $on_conflict
        )
    };
}

const ADD: &str = insert!("NOTHING");
const WRITE: &str = insert!(
    "UPDATE SET state = excluded.state, token = excluded.token, \
     fence = excluded.fence, epoch = excluded.epoch, generation = excluded.generation, \
     origin = excluded.origin, fingerprint = excluded.fingerprint, attempt = excluded.attempt, \
     lease_until = excluded.lease_until, expires_at = excluded.expires_at, \
     result = excluded.result, error = excluded.error, provider = excluded.provider, \
     event_type = excluded.event_type, received_at = excluded.received_at"
);

const SWEPT_FENCE: &str = "SELECT fence FROM hooklatch_fence WHERE id = 1";

/// Claims a key. Most events are new: adding the record says so without looking first. The caller
/// holds the write lock.
pub(super) fn claim<T>(
    connection: &Connection,
    key: &ScopeKey,
    decide: impl Fn(Option<&Record>, Moment) -> Change<T>,
) -> Result<T, Error> {
    let first = decide(None, moment(connection, None)?);
    if let Some(record) = &first.write
        && write(connection, ADD, key, record)? == 1
    {
        return Ok(first.answer);
    }
    change(connection, key, decide)
}

/// Loads a record, asks `decide`, and writes what it says. The caller holds the write lock.
pub(super) fn change<T>(
    connection: &Connection,
    key: &ScopeKey,
    decide: impl FnOnce(Option<&Record>, Moment) -> Change<T>,
) -> Result<T, Error> {
    let prior = load(connection, key)?;
    let change = decide(prior.as_ref(), moment(connection, prior.as_ref())?);
    if let Some(record) = &change.write {
        write(connection, WRITE, key, record)?;
    }
    Ok(change.answer)
}

/// The next fence is larger than that of every earlier run of the key, wherever the clock stands:
/// the last one stands in the record, or, if that was swept, below the largest that was.
fn moment(connection: &Connection, prior: Option<&Record>) -> Result<Moment, Error> {
    let mut swept = connection.prepare_cached(SWEPT_FENCE)?;
    let swept: i64 = swept.query_row([], |row| row.get(0))?;
    let known = prior.map_or(0, |prior| prior.fence);
    let now_ms = process_now_ms();
    Ok(Moment {
        now_ms,
        next_fence: (known.max(u64::try_from(swept)?) + 1).max(now_ms * 1_000),
    })
}

pub(super) fn load(connection: &Connection, key: &ScopeKey) -> Result<Option<Record>, Error> {
    let mut statement = connection.prepare_cached(LOAD)?;
    let raw = statement
        .query_row([key.as_bytes().as_slice()], raw)
        .optional()?;
    Ok(raw.map(Record::try_from).transpose()?)
}

fn raw(row: &Row<'_>) -> rusqlite::Result<RawRecord> {
    Ok(RawRecord {
        state: row.get("state")?,
        token: row.get("token")?,
        fence: row.get("fence")?,
        epoch: row.get("epoch")?,
        generation: row.get("generation")?,
        origin: row.get("origin")?,
        fingerprint: row.get("fingerprint")?,
        attempt: row.get("attempt")?,
        until_ms: row.get("until_ms")?,
        result: row.get("result")?,
        error: row.get("error")?,
        provider: row.get("provider")?,
        event_type: row.get("event_type")?,
        received_at_ms: row.get("received_at")?,
    })
}

fn write(
    connection: &Connection,
    statement: &str,
    key: &ScopeKey,
    record: &Record,
) -> Result<usize, Error> {
    let result = match &record.state {
        State::Completed { result, .. } => result.as_deref(),
        State::Processing { .. } | State::Released { .. } | State::Dead { .. } => None,
    };
    let written = connection.prepare_cached(statement)?.execute(params![
        key.as_bytes().as_slice(),
        record.state.name().number(),
        record.token.as_bytes().as_slice(),
        sql(record.fence),
        sql(record.epoch),
        record.generation,
        record.origin.number(),
        record.fingerprint.as_bytes().as_slice(),
        record.attempt,
        record.state.waits_until_ms().map(sql),
        record.state.expires_at_ms().map(sql),
        result,
        record.state.error(),
        record.metadata.provider(),
        record.metadata.event_type(),
        record.metadata.received_at_ms(),
    ])?;
    Ok(written)
}
