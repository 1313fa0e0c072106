//! What is kept of an attempt for people: bounded, and without what may be secret.

use bytes::Bytes;
use hooklatch_core::delivery::Delivery;
use hooklatch_core::delivery::attempt::{Attempt, AttemptOutcome, Timing};
use hooklatch_core::ids::AttemptId;
use hooklatch_core::outgoing::{Header, may_be_secret};
use hooklatch_core::secret::MASK;
use hooklatch_core::time::Timestamp;
use hooklatch_egress::Answer;

/// Characters kept of an error.
const ERROR_CHARS_MAX: usize = 500;
/// Characters kept of a receipt that is none of ours.
const RECEIPT_CHARS_MAX: usize = 64;
/// Bytes kept of the names and values of an answer's headers.
const RESPONSE_HEADER_BYTES_MAX: usize = 16 * 1024;

/// One attempt that was made, and what came of it.
pub(crate) struct Made<'a> {
    pub delivery: &'a Delivery,
    pub id: AttemptId,
    pub outcome: AttemptOutcome,
    pub started_at: Timestamp,
    pub duration_ms: u64,
    pub timing: Timing,
    pub request_headers: Vec<(String, String)>,
    pub answer: Option<Answer>,
    /// The status of an answer that did not come whole.
    pub status_seen: Option<u16>,
    pub error: Option<String>,
}

impl Made<'_> {
    /// The record of the attempt.
    pub(crate) fn into_record(self) -> Attempt {
        let delivery = self.delivery;
        let (status_code, receipt, response_headers, response_body, response_truncated) =
            match self.answer {
                Some(answer) => (
                    Some(answer.status),
                    header(&answer, "hooklatch-receipt")
                        .map(|receipt| shortened(receipt.to_owned(), RECEIPT_CHARS_MAX)),
                    kept_headers(answer.headers),
                    answer.body,
                    answer.body_truncated,
                ),
                None => (self.status_seen, None, Vec::new(), Bytes::new(), false),
            };
        Attempt {
            id: self.id,
            delivery_id: delivery.id,
            message_id: delivery.message_id,
            project_id: delivery.project_id,
            endpoint_id: delivery.endpoint_id,
            number: delivery.attempts,
            trigger: delivery.trigger,
            outcome: self.outcome,
            status_code,
            error: self.error.map(|error| shortened(error, ERROR_CHARS_MAX)),
            receipt,
            request_headers: self.request_headers,
            response_headers,
            response_body,
            response_truncated,
            started_at: self.started_at,
            duration_ms: self.duration_ms,
            timing: self.timing,
            fenced: false,
            replay_id: delivery.replay_id,
        }
    }
}

/// The first value of an answer's header; `name` in lower case.
pub(crate) fn header<'a>(answer: &'a Answer, name: &str) -> Option<&'a str> {
    let mut headers = answer.headers.iter();
    let found = headers.find(|(known, _)| known == name);
    found.map(|(_, value)| value.as_str())
}

/// The headers of a request as they are recorded.
pub(crate) fn sent_headers(headers: &[Header<'_>]) -> Vec<(String, String)> {
    let record = |(name, value): &Header<'_>| {
        let value = if may_be_secret(name) {
            MASK.to_owned()
        } else {
            String::from_utf8_lossy(value).into_owned()
        };
        (name.clone().into_owned(), value)
    };
    headers.iter().map(record).collect()
}

fn kept_headers(headers: Vec<(String, String)>) -> Vec<(String, String)> {
    let mut room = RESPONSE_HEADER_BYTES_MAX;
    let mut kept = Vec::with_capacity(headers.len());
    for (name, mut value) in headers {
        if may_be_secret(&name) {
            MASK.clone_into(&mut value);
        }
        match room.checked_sub(name.len() + value.len()) {
            Some(left) => room = left,
            None => break,
        }
        kept.push((name, value));
    }
    kept
}

fn shortened(mut text: String, chars_max: usize) -> String {
    if let Some((end, _)) = text.char_indices().nth(chars_max) {
        text.truncate(end);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_be_secret_is_masked() {
        let sent: [Header<'_>; 2] = [
            ("x-api-key".into(), b"abc".as_slice().into()),
            ("x-team".into(), b"red".as_slice().into()),
        ];
        let record = sent_headers(&sent).map_values();
        assert_eq!(record, ["x-api-key: ***", "x-team: red"]);
    }

    #[test]
    fn what_is_kept_of_an_answers_headers_is_bounded() {
        let long = "v".repeat(10_000);
        let headers = ["a", "b", "c"].map(|name| (name.to_owned(), long.clone()));
        assert_eq!(kept_headers(headers.into()).len(), 1);
    }

    #[test]
    fn a_long_error_is_cut_between_characters() {
        assert_eq!(shortened("grün".to_owned(), 3), "grü");
        assert_eq!(shortened("grün".to_owned(), 9), "grün");
    }

    trait MapValues {
        fn map_values(self) -> Vec<String>;
    }

    impl MapValues for Vec<(String, String)> {
        fn map_values(self) -> Vec<String> {
            let lines = self.into_iter();
            lines
                .map(|(name, value)| format!("{name}: {value}"))
                .collect()
        }
    }
}
