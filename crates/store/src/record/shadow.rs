//! What a rule in shadow mode has come to, in columns: a stored format.

use hooklatch_core::ids::{MessageId, RequestId};
use hooklatch_core::shadow::{SAMPLES_MAX, ShadowCounts, ShadowSample};
use hooklatch_core::time::Timestamp;

/// The columns of counts: first and last judgement in milliseconds since 1970, then judged, without
/// a key, would be suppressed, with another payload, newly and no longer suppressed.
pub type CountColumns = [i64; 8];

/// The columns of counts.
pub fn encode_counts(counts: &ShadowCounts) -> CountColumns {
    let at = |time: Option<Timestamp>| time.map_or(0, Timestamp::as_millis);
    let many = |count: u64| i64::try_from(count).unwrap_or(i64::MAX);
    [
        at(counts.since),
        at(counts.until),
        many(counts.judged),
        many(counts.without_key),
        many(counts.would_be_suppressed),
        many(counts.payload_differs),
        many(counts.newly_suppressed),
        many(counts.no_longer_suppressed),
    ]
}

/// Counts from their columns.
pub fn decode_counts([since, until, rest @ ..]: CountColumns) -> ShadowCounts {
    let [
        judged,
        without_key,
        would_be_suppressed,
        payload_differs,
        newly_suppressed,
        no_longer_suppressed,
    ] = rest.map(|count| u64::try_from(count).unwrap_or(0));
    ShadowCounts {
        since: Some(Timestamp::from_millis(since)),
        until: Some(Timestamp::from_millis(until)),
        judged,
        without_key,
        would_be_suppressed,
        payload_differs,
        newly_suppressed,
        no_longer_suppressed,
    }
}

/// A sample's columns; whether its payload differs is said by its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SampleColumns {
    /// Which of its rule's places it has.
    pub place: i64,
    /// The request's number.
    pub request: i64,
    /// The original message's number.
    pub original: i64,
    /// Whether the request was accepted.
    pub accepted: bool,
    /// When it was judged, in milliseconds since 1970.
    pub at: i64,
    /// The key, for people.
    pub key: String,
}

/// The columns of a sample at a place.
pub fn encode_sample(place: u8, sample: &ShadowSample) -> SampleColumns {
    SampleColumns {
        place: i64::from(place),
        request: sample.request_id.number(),
        original: sample.original_message_id.number(),
        accepted: sample.accepted,
        at: sample.at.as_millis(),
        key: sample.key.clone(),
    }
}

/// A sample from its columns.
pub fn decode_sample(columns: SampleColumns) -> ShadowSample {
    ShadowSample {
        request_id: RequestId::from_number(columns.request),
        original_message_id: MessageId::from_number(columns.original),
        payload_differs: columns.place >= SAMPLES_MAX as i64,
        accepted: columns.accepted,
        at: Timestamp::from_millis(columns.at),
        key: columns.key,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_and_samples_survive_their_columns() {
        let columns = [1, 2, 30, 4, 15, 6, 7, 8];
        assert_eq!(encode_counts(&decode_counts(columns)), columns);
        for place in [0, 9, 10, 19] {
            let columns = SampleColumns {
                place,
                request: 7,
                original: 5,
                accepted: true,
                at: 9,
                key: "k".to_owned(),
            };
            let sample = decode_sample(columns.clone());
            assert_eq!(sample.payload_differs, place >= 10);
            let place = u8::try_from(place).expect("it is small");
            assert_eq!(encode_sample(place, &sample), columns);
        }
    }
}
