//! A receiver's claim as SQL stores keep it: the columns of its record, and what stands beside it.

use std::time::Duration;

use hooklatch_core::receiving::call::Entry;
use hooklatch_core::receiving::raw::RawRecord;
use hooklatch_core::receiving::record::Record;

use super::Unreadable;

/// The columns of a claim.
pub struct Columns {
    /// What its key is unique in.
    pub scope: String,
    /// Its key.
    pub key: String,
    /// What a renewal gets, in milliseconds.
    pub lease_ms: i64,
    /// For how long its end is remembered, in milliseconds.
    pub retention_ms: i64,
    /// How far it is.
    pub record: RawRecord,
}

impl Columns {
    /// The columns of an entry.
    pub fn of(entry: &Entry) -> Self {
        Self {
            scope: entry.scope.clone(),
            key: entry.key.clone(),
            lease_ms: millis(entry.lease),
            retention_ms: millis(entry.retention),
            record: RawRecord::of(&entry.record),
        }
    }

    /// The entry that the columns are.
    ///
    /// # Errors
    /// A column holds what no store writes.
    pub fn decode(self) -> Result<Entry, Unreadable> {
        let record = Record::try_from(self.record);
        Ok(Entry {
            scope: self.scope,
            key: self.key,
            lease: span(self.lease_ms)?,
            retention: span(self.retention_ms)?,
            record: record.map_err(|corrupt| Unreadable(corrupt.to_string()))?,
        })
    }
}

fn millis(span: Duration) -> i64 {
    i64::try_from(span.as_millis()).unwrap_or(i64::MAX)
}

fn span(millis: i64) -> Result<Duration, Unreadable> {
    let millis = u64::try_from(millis);
    let millis = millis.map_err(|_| Unreadable("a claim's span is negative".to_owned()))?;
    Ok(Duration::from_millis(millis))
}

#[cfg(test)]
mod tests {
    use hooklatch_core::receiving::claim::{Metadata, Origin};
    use hooklatch_core::receiving::key::Fingerprint;
    use hooklatch_core::receiving::record::State;
    use hooklatch_core::receiving::token::Token;

    use super::*;

    #[test]
    fn an_entry_survives_its_columns_in_every_state() {
        let error = "the bank is closed".to_owned();
        let states = [
            State::Processing { lease_until_ms: 5 },
            State::Released {
                retry_at_ms: 6,
                error: error.clone(),
            },
            State::Completed {
                result: Some(vec![0, 255]),
                expires_at_ms: 7,
            },
            State::Completed {
                result: None,
                expires_at_ms: 7,
            },
            State::Dead {
                error,
                expires_at_ms: 8,
            },
        ];
        for state in states {
            let entry = Entry {
                scope: "shop".to_owned(),
                key: "evt_1".to_owned(),
                lease: Duration::from_millis(1),
                retention: Duration::from_secs(1),
                record: Record {
                    token: Token::from_bytes([3; 16]),
                    fence: 9,
                    epoch: 4,
                    generation: 2,
                    origin: Origin::Replay,
                    fingerprint: Fingerprint::of(b"{}"),
                    attempt: 3,
                    state,
                    metadata: Metadata::new("stripe", "charge.succeeded", Some(-1)),
                },
            };
            assert_eq!(Columns::of(&entry).decode().unwrap(), entry);
        }
    }
}
