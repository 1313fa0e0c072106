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

const WRITE: &str = "\
INSERT INTO hooklatch_claims (key, state, token, fence, epoch, generation, origin, fingerprint, \
 attempt, lease_until, expires_at, result, error, provider, event_type, received_at) \
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16) \
ON CONFLICT (key) DO UPDATE SET state = excluded.state, token = excluded.token, \
 fence = excluded.fence, epoch = excluded.epoch, generation = excluded.generation, \
 origin = excluded.origin, fingerprint = excluded.fingerprint, attempt = excluded.attempt, \
 lease_until = excluded.lease_until, expires_at = excluded.expires_at, result = excluded.result, \
 error = excluded.error, provider = excluded.provider, event_type = excluded.event_type, \
 received_at = excluded.received_at";

const LAST_FENCE: &str = "SELECT fence FROM hooklatch_fence WHERE id = 1";
const TAKE_FENCE: &str = "UPDATE hooklatch_fence SET fence = ?1 WHERE id = 1 AND fence < ?1";

/// Loads a record, asks `decide`, and writes what it says. The caller holds the write lock.
pub(super) fn change<T>(
    connection: &Connection,
    key: &ScopeKey,
    decide: impl FnOnce(Option<&Record>, Moment) -> Change<T>,
) -> Result<T, Error> {
    let prior = load(connection, key)?;
    let mut last_fence = connection.prepare_cached(LAST_FENCE)?;
    let last_fence: i64 = last_fence.query_row([], |row| row.get(0))?;
    let at = Moment {
        now_ms: process_now_ms(),
        next_fence: u64::try_from(last_fence)? + 1,
    };
    let change = decide(prior.as_ref(), at);
    if let Some(record) = &change.write {
        if record.fence == at.next_fence {
            let mut take = connection.prepare_cached(TAKE_FENCE)?;
            take.execute([sql(record.fence)])?;
        }
        write(connection, key, record)?;
    }
    Ok(change.answer)
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

fn write(connection: &Connection, key: &ScopeKey, record: &Record) -> Result<(), Error> {
    let result = match &record.state {
        State::Completed { result, .. } => result.as_deref(),
        State::Processing { .. } | State::Released { .. } | State::Dead { .. } => None,
    };
    connection.prepare_cached(WRITE)?.execute(params![
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
    Ok(())
}
