//! A record as SQL stores have it: columns, before anybody knows that they make sense. A row that
//! does not is an error of the store, never a guess.

use crate::claim::{Grant, Metadata, Origin, StateName};
use crate::key::Fingerprint;
use crate::record::{Record, State};
use crate::token::Token;

/// The columns of a record.
pub(crate) struct RawRecord {
    pub(crate) state: i64,
    pub(crate) token: Vec<u8>,
    pub(crate) fence: i64,
    pub(crate) epoch: i64,
    pub(crate) generation: i64,
    pub(crate) origin: i64,
    pub(crate) fingerprint: Vec<u8>,
    pub(crate) attempt: i64,
    /// The end of the lease, or of the retention.
    pub(crate) until_ms: i64,
    pub(crate) result: Option<Vec<u8>>,
    pub(crate) error: Option<String>,
    pub(crate) provider: String,
    pub(crate) event_type: String,
    pub(crate) received_at_ms: Option<i64>,
}

/// The columns of a grant.
pub(crate) struct RawGrant {
    pub(crate) fence: i64,
    pub(crate) epoch: i64,
    pub(crate) generation: i64,
    pub(crate) origin: i64,
    pub(crate) attempt: i64,
}

/// A row is not what this kit writes.
#[derive(Debug, thiserror::Error)]
#[error("the column {0} of hooklatch_claims holds what no kit writes")]
pub(crate) struct Corrupt(&'static str);

impl TryFrom<RawRecord> for Record {
    type Error = Corrupt;

    fn try_from(raw: RawRecord) -> Result<Self, Corrupt> {
        let state = StateName::from_number(raw.state).ok_or(Corrupt("state"))?;
        let until_ms = number(raw.until_ms, "lease_until or expires_at")?;
        let error = raw.error.unwrap_or_default();
        let state = match state {
            StateName::Processing => State::Processing {
                lease_until_ms: until_ms,
            },
            StateName::Released => State::Released {
                retry_at_ms: until_ms,
                error,
            },
            StateName::Completed => State::Completed {
                result: raw.result,
                expires_at_ms: until_ms,
            },
            StateName::Dead => State::Dead {
                error,
                expires_at_ms: until_ms,
            },
        };
        let token = raw.token.try_into().map_err(|_| Corrupt("token"))?;
        let fingerprint = raw.fingerprint.try_into();
        let fingerprint = fingerprint.map_err(|_| Corrupt("fingerprint"))?;
        Ok(Self {
            token: Token::from_bytes(token),
            fence: number(raw.fence, "fence")?,
            epoch: number(raw.epoch, "epoch")?,
            generation: number(raw.generation, "generation")?,
            origin: Origin::from_number(raw.origin).ok_or(Corrupt("origin"))?,
            fingerprint: Fingerprint::from_bytes(fingerprint),
            attempt: number(raw.attempt, "attempt")?,
            state,
            metadata: Metadata::stored(&raw.provider, &raw.event_type, raw.received_at_ms),
        })
    }
}

impl RawGrant {
    pub(crate) fn grant(&self, token: Token) -> Result<Grant, Corrupt> {
        Ok(Grant {
            token,
            fence: number(self.fence, "fence")?,
            epoch: number(self.epoch, "epoch")?,
            generation: number(self.generation, "generation")?,
            attempt: number(self.attempt, "attempt")?,
            origin: Origin::from_number(self.origin).ok_or(Corrupt("origin"))?,
        })
    }
}

fn number<T: TryFrom<i64>>(value: i64, column: &'static str) -> Result<T, Corrupt> {
    T::try_from(value).map_err(|_| Corrupt(column))
}

/// A number of ours as SQL has it.
pub(crate) fn sql(number: u64) -> i64 {
    i64::try_from(number).expect("milliseconds, fences and generations stay below 2^63")
}
