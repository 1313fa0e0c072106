//! What the rows of `hooklatch_claims` say, as `tokio-postgres` reads them.

use tokio_postgres::Row;

use crate::claim::{Claim, Grant, Intent, Origin};
use crate::raw::{RawGrant, RawRecord};
use crate::record::Record;
use crate::token::Token;

type Error = Box<dyn std::error::Error + Send + Sync>;

/// A record and the time at which it was read, in milliseconds since 1970 by the server's clock.
pub(super) type Read = Option<(Record, u64)>;

pub(super) fn record(row: Option<Row>) -> Result<Read, Error> {
    let Some(row) = row else {
        return Ok(None);
    };
    let raw = RawRecord {
        state: row.try_get::<_, i16>("state")?.into(),
        token: row.try_get("token")?,
        fence: row.try_get("fence")?,
        epoch: row.try_get("epoch")?,
        generation: row.try_get::<_, i32>("generation")?.into(),
        origin: row.try_get::<_, i16>("origin")?.into(),
        fingerprint: row.try_get("fingerprint")?,
        attempt: row.try_get::<_, i32>("attempt")?.into(),
        until_ms: row.try_get("until_ms")?,
        result: row.try_get("result")?,
        error: row.try_get("error")?,
        provider: row.try_get("provider")?,
        event_type: row.try_get("event_type")?,
        received_at_ms: row.try_get("received_at_ms")?,
    };
    let now_ms: i64 = row.try_get("now_ms")?;
    Ok(Some((Record::try_from(raw)?, u64::try_from(now_ms)?)))
}

pub(super) fn grant(row: &Row, token: Token) -> Result<Grant, Error> {
    let raw = RawGrant {
        fence: row.try_get("fence")?,
        epoch: row.try_get("epoch")?,
        generation: row.try_get::<_, i32>("generation")?.into(),
        origin: row.try_get::<_, i16>("origin")?.into(),
        attempt: row.try_get::<_, i32>("attempt")?.into(),
    };
    Ok(raw.grant(token)?)
}

/// Of a key that nobody had seen.
pub(super) fn first_grant(row: &Row, token: Token) -> Result<Grant, Error> {
    Ok(Grant {
        token,
        fence: u64::try_from(row.try_get::<_, i64>("fence")?)?,
        epoch: u64::try_from(row.try_get::<_, i64>("epoch")?)?,
        generation: 1,
        attempt: 1,
        origin: Origin::First,
    })
}

/// The arguments that both claims share.
pub(super) struct Arguments<'a> {
    pub(super) key: &'a [u8],
    pub(super) token: &'a [u8],
    pub(super) fingerprint: &'a [u8],
    pub(super) attempts_max: i32,
    pub(super) replay: bool,
    pub(super) provider: &'a str,
    pub(super) event_type: &'a str,
    pub(super) received_at_ms: Option<i64>,
}

impl<'a> Arguments<'a> {
    pub(super) fn of(claim: &'a Claim) -> Self {
        Self {
            key: claim.key.as_bytes(),
            token: claim.token.as_bytes(),
            fingerprint: claim.fingerprint.as_bytes(),
            attempts_max: i32::try_from(claim.attempts_max).unwrap_or(i32::MAX),
            replay: claim.intent == Intent::Replay,
            provider: claim.metadata.provider(),
            event_type: claim.metadata.event_type(),
            received_at_ms: claim.metadata.received_at_ms(),
        }
    }
}
