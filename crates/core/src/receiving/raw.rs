//! A record as SQL stores have it: columns, before anybody knows that they make sense. A row that
//! does not is an error of the store, never a guess.

use crate::receiving::claim::{Grant, Metadata, Origin, StateName};
use crate::receiving::key::Fingerprint;
use crate::receiving::record::{Record, State};
use crate::receiving::token::Token;

/// The columns of a record. What each means is said at [`Record`].
#[expect(missing_docs, reason = "a column is documented where its field is")]
pub struct RawRecord {
    pub state: i64,
    pub token: Vec<u8>,
    pub fence: i64,
    pub epoch: i64,
    pub generation: i64,
    pub origin: i64,
    pub fingerprint: Vec<u8>,
    pub attempt: i64,
    /// The end of the lease, or of the retention, in milliseconds since 1970.
    pub until_ms: i64,
    pub result: Option<Vec<u8>>,
    pub error: Option<String>,
    pub provider: String,
    pub event_type: String,
    pub received_at_ms: Option<i64>,
}

/// The columns of a [`Grant`].
#[expect(missing_docs, reason = "a column is documented where its field is")]
pub struct RawGrant {
    pub fence: i64,
    pub epoch: i64,
    pub generation: i64,
    pub origin: i64,
    pub attempt: i64,
}

/// A row is not what a store writes.
#[derive(Debug, thiserror::Error)]
#[error("the column {0} of a claim holds what no store writes")]
pub struct Corrupt(&'static str);

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
            metadata: Metadata::new(&raw.provider, &raw.event_type, raw.received_at_ms),
        })
    }
}

impl RawRecord {
    /// The columns of a record; the record of [`TryFrom`] again.
    pub fn of(record: &Record) -> Self {
        let state = &record.state;
        let result = match state {
            State::Completed { result, .. } => result.clone(),
            State::Processing { .. } | State::Released { .. } | State::Dead { .. } => None,
        };
        let metadata = &record.metadata;
        Self {
            state: i64::from(state.name().number()),
            token: record.token.as_bytes().to_vec(),
            fence: sql(record.fence),
            epoch: sql(record.epoch),
            generation: i64::from(record.generation),
            origin: i64::from(record.origin.number()),
            fingerprint: record.fingerprint.as_bytes().to_vec(),
            attempt: i64::from(record.attempt),
            until_ms: sql(state.until_ms()),
            result,
            error: state.error().map(str::to_owned),
            provider: metadata.provider().to_owned(),
            event_type: metadata.event_type().to_owned(),
            received_at_ms: metadata.received_at_ms(),
        }
    }
}

impl RawGrant {
    /// The grant that the columns are, for whoever holds the token.
    ///
    /// # Errors
    /// A column holds what no store writes.
    pub fn grant(&self, token: Token) -> Result<Grant, Corrupt> {
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
pub fn sql(number: u64) -> i64 {
    i64::try_from(number).expect("milliseconds, fences and generations stay below 2^63")
}
