//! How one request went, as the rules and the records want to know it.

use std::time::Duration;

use hooklatch_core::delivery::attempt::Timing;
use hooklatch_core::delivery::verdict::Happened;
use hooklatch_core::retry::retry_after;
use hooklatch_core::time::Timestamp;
use hooklatch_egress::{Answer, Attempted, SendError};

use crate::record;

/// How a request went.
pub(crate) struct Sent {
    pub happened: Happened,
    pub witness: Witness,
    pub answer: Option<Answer>,
    pub status_seen: Option<u16>,
    pub error: Option<String>,
    pub timing: Timing,
    pub duration: Duration,
    pub request_headers: Vec<(String, String)>,
}

/// Whom an attempt says something of.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Witness {
    /// Of its endpoint.
    Endpoint,
    /// Of us alone: nothing could be made to be sent, or we stopped.
    Ourselves,
}

impl Sent {
    pub(crate) fn new(attempted: Attempted, now: Timestamp) -> Self {
        let timing = attempted.timing;
        let sent = Self {
            duration: timing.total,
            timing: Timing {
                dns_us: timing.dns.map(micros),
                tcp_us: timing.tcp.map(micros),
                tls_us: timing.tls.map(micros),
                first_byte_us: timing.first_byte.map(micros),
            },
            ..Self::ended(Happened::NotSent)
        };
        match attempted.result {
            Ok(answer) => Self {
                happened: answered(&answer, now),
                answer: Some(answer),
                ..sent
            },
            Err(error) => Self {
                happened: if error.request_written() {
                    Happened::Uncertain
                } else {
                    Happened::NotSent
                },
                status_seen: status_seen(&error),
                error: Some(error.to_string()),
                ..sent
            },
        }
    }

    pub(crate) fn not_sent(error: String) -> Self {
        Self {
            error: Some(error),
            witness: Witness::Ourselves,
            ..Self::ended(Happened::NotSent)
        }
    }

    // Whether the request had been written is lost with the connection, so nobody knows (O5).
    pub(crate) fn cut_short(duration: Duration) -> Self {
        let error = "the gateway stopped before the answer came; its outcome is not known";
        Self {
            error: Some(error.to_owned()),
            duration,
            witness: Witness::Ourselves,
            ..Self::ended(Happened::Uncertain)
        }
    }

    fn ended(happened: Happened) -> Self {
        Self {
            happened,
            witness: Witness::Endpoint,
            answer: None,
            status_seen: None,
            error: None,
            timing: Timing::default(),
            duration: Duration::ZERO,
            request_headers: Vec::new(),
        }
    }
}

fn answered(answer: &Answer, now: Timestamp) -> Happened {
    let receipt = record::header(answer, "hooklatch-receipt");
    let wait = record::header(answer, "retry-after");
    Happened::Answered {
        status: answer.status,
        retry_after: wait.and_then(|header| retry_after(header, now)),
        receipt: receipt.and_then(|header| header.parse().ok()),
    }
}

/// The status of an answer that had begun and did not come to its end.
fn status_seen(error: &SendError) -> Option<u16> {
    match error {
        SendError::Timeout { status, .. } | SendError::Broken { status, .. } => *status,
        SendError::Refused(_)
        | SendError::Dns { .. }
        | SendError::Connect { .. }
        | SendError::Tls { .. }
        | SendError::BadAnswer { .. }
        | SendError::HeadTooLarge { .. } => None,
    }
}

fn micros(span: Duration) -> u64 {
    u64::try_from(span.as_micros()).unwrap_or(u64::MAX)
}
