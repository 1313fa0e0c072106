//! Records as they stand in Redis, and what the scripts answer.

use std::time::Duration;

use super::{Error, Field};
use crate::claim::{Claim, Claimed, StateName};
use crate::raw::{RawGrant, RawRecord};
use crate::record::Record;
use crate::token::Token;

pub(super) fn unknown(word: &str) -> Error {
    format!("the script answered {word:?}").into()
}

/// What `claim.lua` writes for a key that nobody has seen.
pub(super) fn first_record(claim: &Claim, fence: u64, retention_ms: u64) -> String {
    let (provider, event_type) = (claim.metadata.provider(), claim.metadata.event_type());
    format!(
        "10{}{} {fence} {fence} 1 1 1 {retention_ms} {} {} {}\n{provider}{event_type}",
        claim.token.to_hex(),
        claim.fingerprint,
        received_at(claim),
        provider.len(),
        event_type.len(),
    )
}

/// A completion beside a record, as claim.lua has it.
pub(super) fn completion_record(token: &str, result: Option<&[u8]>) -> Vec<u8> {
    let (kept, result) = result.map_or((b'0', &[][..]), |result| (b'1', result));
    let mut record = Vec::with_capacity(token.len() + 1 + result.len());
    record.extend_from_slice(token.as_bytes());
    record.push(kept);
    record.extend_from_slice(result);
    record
}

/// In milliseconds since 1970; empty where it is not known.
pub(super) fn received_at(claim: &Claim) -> String {
    let received_at_ms = claim.metadata.received_at_ms();
    received_at_ms.map(|ms| ms.to_string()).unwrap_or_default()
}

fn unhex(text: &[u8]) -> Vec<u8> {
    let digit = |byte: u8| {
        char::from(byte)
            .to_digit(16)
            .and_then(|d| u8::try_from(d).ok())
    };
    let (pairs, _) = text.as_chunks::<2>();
    let byte = |[high, low]: &[u8; 2]| Some(digit(*high)? * 16 + digit(*low)?);
    pairs.iter().filter_map(byte).collect()
}

/// The fields of an answer, by position.
struct Fields<'a>(&'a [Field]);

impl Fields<'_> {
    fn bytes(&self, at: usize) -> Field {
        self.0.get(at).cloned().flatten()
    }

    fn text(&self, at: usize) -> String {
        String::from_utf8_lossy(&self.bytes(at).unwrap_or_default()).into_owned()
    }

    fn number(&self, at: usize) -> Result<i64, Error> {
        let text = self.text(at);
        let number = text.parse();
        number.map_err(|_| format!("{text:?} should be a number").into())
    }
}

pub(super) fn read_claimed(answer: &[Field], token: Token) -> Result<Claimed, Error> {
    let fields = Fields(answer);
    Ok(match fields.text(0).as_str() {
        "run" => {
            let raw = RawGrant {
                fence: fields.number(1)?,
                epoch: fields.number(2)?,
                generation: fields.number(3)?,
                origin: fields.number(4)?,
                attempt: fields.number(5)?,
            };
            Claimed::Run(raw.grant(token)?)
        }
        "busy" => Claimed::Busy {
            retry_after: Duration::from_millis(u64::try_from(fields.number(1)?)?),
        },
        "done" => Claimed::Done {
            result: fields.bytes(1),
        },
        "dead" => Claimed::Dead {
            error: fields.text(1),
        },
        "conflict" => {
            let state = StateName::from_number(fields.number(1)?);
            Claimed::Conflict {
                state: state.ok_or_else(|| unknown("conflict"))?,
            }
        }
        other => return Err(unknown(other)),
    })
}

/// A record as `lookup.lua` shows it, and the time at which it did.
pub(super) fn read_record(values: &[Field]) -> Result<(Record, u64), Error> {
    let fields = Fields(values);
    let raw = RawRecord {
        state: fields.number(0)?,
        attempt: fields.number(1)?,
        generation: fields.number(2)?,
        provider: fields.text(3),
        event_type: fields.text(4),
        received_at_ms: fields.number(5).ok(),
        result: fields.bytes(6),
        error: fields.bytes(7).map(|_| fields.text(7)),
        token: unhex(&fields.bytes(8).unwrap_or_default()),
        fence: fields.number(9)?,
        epoch: fields.number(10)?,
        origin: fields.number(11)?,
        fingerprint: unhex(&fields.bytes(12).unwrap_or_default()),
        until_ms: fields.number(13)?,
    };
    Ok((Record::try_from(raw)?, u64::try_from(fields.number(14)?)?))
}
