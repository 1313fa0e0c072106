//! A record as one item. Version 1, numbers in big-endian order:
//!
//! ```text
//! 1, state, origin, 0 no result | 1 an empty one | 2 in an item of its own
//! 16 token, 8 fence, 8 epoch, 4 generation, 4 attempt, 8 until, 32 fingerprint
//! 8 received at in ms, or the smallest number
//! u16 length and text of each: provider, event type, error
//! ```

use crate::raw::RawRecord;
use crate::record::{Record, State};

const VERSION: u8 = 1;

/// Where the result of a completed record is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ResultPlace {
    Nowhere,
    Empty,
    OwnItem,
}

/// The bytes of a record, without its result.
pub(super) fn encode(record: &Record) -> Vec<u8> {
    let place = match place_of(record) {
        ResultPlace::Nowhere => 0,
        ResultPlace::Empty => 1,
        ResultPlace::OwnItem => 2,
    };
    let (state, origin) = (record.state.name().number(), record.origin.number());
    let until_ms = record.state.waits_until_ms();
    let until_ms = until_ms.or_else(|| record.state.expires_at_ms());
    let until_ms = until_ms.expect("every state has one of both");
    let received_at_ms = record.metadata.received_at_ms().unwrap_or(i64::MIN);
    let mut bytes = vec![VERSION, state, origin, place];
    bytes.extend(record.token.as_bytes());
    bytes.extend(record.fence.to_be_bytes());
    bytes.extend(record.epoch.to_be_bytes());
    bytes.extend(record.generation.to_be_bytes());
    bytes.extend(record.attempt.to_be_bytes());
    bytes.extend(until_ms.to_be_bytes());
    bytes.extend(record.fingerprint.as_bytes());
    bytes.extend(received_at_ms.to_be_bytes());
    let texts = [
        record.metadata.provider(),
        record.metadata.event_type(),
        record.state.error().unwrap_or_default(),
    ];
    for text in texts {
        let length = u16::try_from(text.len()).expect("texts of a record are cut off below 64 KiB");
        bytes.extend(length.to_be_bytes());
        bytes.extend(text.as_bytes());
    }
    bytes
}

/// Where the result of this record belongs.
pub(super) fn place_of(record: &Record) -> ResultPlace {
    match &record.state {
        State::Completed {
            result: Some(result),
            ..
        } if result.is_empty() => ResultPlace::Empty,
        State::Completed {
            result: Some(_), ..
        } => ResultPlace::OwnItem,
        State::Completed { result: None, .. }
        | State::Processing { .. }
        | State::Released { .. }
        | State::Dead { .. } => ResultPlace::Nowhere,
    }
}

/// A record, and where its result is.
pub(super) fn decode(bytes: &[u8]) -> Option<(Record, ResultPlace)> {
    let mut bytes = bytes;
    let [VERSION, state, origin, place] = take::<4>(&mut bytes)? else {
        return None;
    };
    let (place, result) = match place {
        0 => (ResultPlace::Nowhere, None),
        1 => (ResultPlace::Empty, Some(Vec::new())),
        2 => (ResultPlace::OwnItem, None),
        _ => return None,
    };
    let token = take::<16>(&mut bytes)?.to_vec();
    let fence = i64::from_be_bytes(take(&mut bytes)?);
    let epoch = i64::from_be_bytes(take(&mut bytes)?);
    let generation = u32::from_be_bytes(take(&mut bytes)?).into();
    let attempt = u32::from_be_bytes(take(&mut bytes)?).into();
    let until_ms = i64::from_be_bytes(take(&mut bytes)?);
    let fingerprint = take::<32>(&mut bytes)?.to_vec();
    let received_at_ms = i64::from_be_bytes(take(&mut bytes)?);
    let raw = RawRecord {
        state: state.into(),
        token,
        fence,
        epoch,
        generation,
        origin: origin.into(),
        fingerprint,
        attempt,
        until_ms,
        result,
        received_at_ms: (received_at_ms != i64::MIN).then_some(received_at_ms),
        provider: text(&mut bytes)?,
        event_type: text(&mut bytes)?,
        error: Some(text(&mut bytes)?),
    };
    Some((Record::try_from(raw).ok()?, place))
}

fn take<const LENGTH: usize>(bytes: &mut &[u8]) -> Option<[u8; LENGTH]> {
    let (taken, rest) = bytes.split_first_chunk()?;
    *bytes = rest;
    Some(*taken)
}

fn text(bytes: &mut &[u8]) -> Option<String> {
    let length = usize::from(u16::from_be_bytes(take(bytes)?));
    let (text, rest) = bytes.split_at_checked(length)?;
    *bytes = rest;
    String::from_utf8(text.to_vec()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::claim::{Metadata, Origin};
    use crate::key::Fingerprint;
    use crate::token::Token;

    fn record(state: State) -> Record {
        Record {
            token: Token::from_bytes([1; 16]),
            fence: 7,
            epoch: 6,
            generation: 2,
            origin: Origin::Replay,
            fingerprint: Fingerprint::from_bytes([3; 32]),
            attempt: 4,
            state,
            metadata: Metadata::new("stripe", "charge.succeeded", Some(5)),
        }
    }

    #[test]
    fn a_record_comes_back_as_it_was() {
        let error = || "the bank is closed".to_owned();
        for state in [
            State::Processing { lease_until_ms: 9 },
            State::Released {
                retry_at_ms: 9,
                error: error(),
            },
            State::Completed {
                result: None,
                expires_at_ms: 9,
            },
            State::Completed {
                result: Some(Vec::new()),
                expires_at_ms: 9,
            },
            State::Dead {
                error: error(),
                expires_at_ms: 9,
            },
        ] {
            let record = record(state);
            let (read, place) = decode(&encode(&record)).unwrap();
            assert_eq!((&read, place), (&record, place_of(&record)));
        }
    }

    #[test]
    fn a_cut_off_item_is_no_record() {
        let bytes = encode(&record(State::Processing { lease_until_ms: 9 }));
        for length in 0..bytes.len() {
            assert!(decode(&bytes[..length]).is_none(), "{length}");
        }
    }
}
