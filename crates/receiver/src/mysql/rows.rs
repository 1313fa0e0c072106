//! Statements and rows of `hooklatch_claims`, whoever holds the transaction.

use mysql_async::prelude::Queryable;
use mysql_async::{Params, Row};

use crate::claim::Claim;
use crate::key::ScopeKey;
use crate::limits::{LEASE_MAX, RETENTION_MAX, millis};
use crate::machine::{Change, Moment};
use crate::raw::{RawRecord, sql};
use crate::record::{Record, State};
use crate::table::process_now_ms;

pub(super) type Error = Box<dyn std::error::Error + Send + Sync>;

/// A duplicate key.
pub(super) const DUPLICATE: u16 = 1062;
/// Another transaction held a row for too long. Only the statement is undone.
pub(super) const LOCK_WAIT: u16 = 1205;
/// A deadlock. The transaction is undone.
pub(super) const DEADLOCK: u16 = 1213;

macro_rules! now_us {
    () => {
        "TIMESTAMPDIFF(MICROSECOND, '1970-01-01', UTC_TIMESTAMP(6))"
    };
}
pub(super) use now_us;

macro_rules! select {
    ($lock:literal) => {
        concat!(
            "SELECT state, token, fence, epoch, generation, origin, fingerprint, attempt, ",
            "until_at, result, error, provider, event_type, received_at, ",
            now_us!(),
            " AS now_us FROM hooklatch_claims WHERE `key` = ?",
            $lock
        )
    };
}

pub(super) const LOOKUP: &str = select!("");
pub(super) const LOCK: &str = select!(" FOR UPDATE");

const INSERT: &str = concat!(
    "INSERT INTO hooklatch_claims (`key`, state, token, fence, epoch, generation, origin, ",
    "fingerprint, attempt, until_at, result, provider, event_type, received_at) ",
    "VALUES (?, ?, ?, ?, ?, 1, 1, ?, 1, ",
    now_us!(),
    " + ?, '', ?, ?, ?)"
);

const WRITE: &str = "\
UPDATE hooklatch_claims SET state = ?, token = ?, fence = ?, epoch = ?, generation = ?, \
 origin = ?, fingerprint = ?, attempt = ?, until_at = ?, result = ?, error = ?, provider = ?, \
 event_type = ?, received_at = ? WHERE `key` = ?";

/// What an error of the server is about.
pub(super) fn code(error: &mysql_async::Error) -> Option<u16> {
    match error {
        mysql_async::Error::Server(error) => Some(error.code),
        _ => None,
    }
}

/// How a record that nobody has seen begins.
#[derive(Debug, Clone, Copy)]
pub(super) enum Opened {
    /// Under its lease.
    Leased,
    /// Completed at once: a commit will make it true.
    InTransaction,
}

/// Inserts the record of a first attempt; none where the key is taken.
pub(super) async fn insert(
    connection: &mut impl Queryable,
    claim: &Claim,
    opened: Opened,
) -> mysql_async::Result<Option<u64>> {
    // A process's clock will do for a fence: it orders, and owns nothing.
    let fence = process_now_ms() * 1_000;
    let (state, until_ms) = match opened {
        Opened::Leased => (1, millis(claim.lease, LEASE_MAX)),
        Opened::InTransaction => (2, millis(claim.retention, RETENTION_MAX)),
    };
    let arguments = Params::Positional(vec![
        claim.key.as_bytes().as_slice().into(),
        state.into(),
        claim.token.as_bytes().as_slice().into(),
        sql(fence).into(),
        sql(fence).into(),
        claim.fingerprint.as_bytes().as_slice().into(),
        sql(until_ms * 1_000).into(),
        claim.metadata.provider().into(),
        claim.metadata.event_type().into(),
        claim.metadata.received_at_ms().into(),
    ]);
    match connection.exec_drop(INSERT, arguments).await {
        Ok(()) => Ok(Some(fence)),
        Err(error) if code(&error) == Some(DUPLICATE) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Loads a record under a lock, asks `decide`, and writes what it says; nothing where the record
/// is gone.
pub(super) async fn change<T>(
    connection: &mut impl Queryable,
    key: &ScopeKey,
    decide: impl FnOnce(Option<&Record>, Moment) -> Change<T>,
) -> Result<Option<T>, Error> {
    let row: Option<Row> = connection
        .exec_first(LOCK, (key.as_bytes().as_slice(),))
        .await?;
    let Some((prior, now_ms)) = record(row)? else {
        return Ok(None);
    };
    let at = Moment {
        now_ms,
        next_fence: (prior.fence + 1).max(now_ms * 1_000),
    };
    let change = decide(Some(&prior), at);
    if let Some(record) = change.write {
        connection.exec_drop(WRITE, arguments(key, &record)).await?;
    }
    Ok(Some(change.answer))
}

fn arguments(key: &ScopeKey, record: &Record) -> Params {
    let result = match &record.state {
        State::Completed { result, .. } => result.as_deref(),
        State::Processing { .. } | State::Released { .. } | State::Dead { .. } => None,
    };
    Params::Positional(vec![
        record.state.name().number().into(),
        record.token.as_bytes().as_slice().into(),
        sql(record.fence).into(),
        sql(record.epoch).into(),
        record.generation.into(),
        record.origin.number().into(),
        record.fingerprint.as_bytes().as_slice().into(),
        record.attempt.into(),
        sql(record.state.until_ms() * 1_000).into(),
        result.into(),
        record.state.error().into(),
        record.metadata.provider().into(),
        record.metadata.event_type().into(),
        record.metadata.received_at_ms().into(),
        key.as_bytes().as_slice().into(),
    ])
}

/// A record and the time at which it was read, in milliseconds since 1970 by the server's clock.
pub(super) fn record(row: Option<Row>) -> Result<Option<(Record, u64)>, Error> {
    let Some(mut row) = row else {
        return Ok(None);
    };
    let until_us: i64 = column(&mut row, "until_at")?;
    let now_us: i64 = column(&mut row, "now_us")?;
    let error: Option<Vec<u8>> = column(&mut row, "error")?;
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    let raw = RawRecord {
        state: column(&mut row, "state")?,
        token: column(&mut row, "token")?,
        fence: column(&mut row, "fence")?,
        epoch: column(&mut row, "epoch")?,
        generation: column(&mut row, "generation")?,
        origin: column(&mut row, "origin")?,
        fingerprint: column(&mut row, "fingerprint")?,
        attempt: column(&mut row, "attempt")?,
        // Rounded so that a lease is never over in one place and alive in another.
        until_ms: until_us.div_euclid(1_000) + i64::from(until_us % 1_000 != 0),
        result: column(&mut row, "result")?,
        error: error.map(text),
        provider: text(column(&mut row, "provider")?),
        event_type: text(column(&mut row, "event_type")?),
        received_at_ms: column(&mut row, "received_at")?,
    };
    Ok(Some((
        Record::try_from(raw)?,
        u64::try_from(now_us / 1_000)?,
    )))
}

fn column<T: mysql_async::prelude::FromValue>(
    row: &mut Row,
    name: &'static str,
) -> Result<T, Error> {
    let value = row.take_opt(name);
    let value = value.ok_or_else(|| format!("the column {name} is missing"))?;
    Ok(value?)
}
