//! What a receiver answered, as far as it says whether the event has to come again.

use std::time::Duration;

use http::header::RETRY_AFTER;
use http::{HeaderMap, StatusCode};

/// The longest wait that a receiver can ask for.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(300);
/// The receiver's word on what became of the event (O3).
const RECEIPT: &str = "hooklatch-receipt";
const RECEIPT_BYTES_MAX: usize = 32;

/// What came of one delivery.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Answer {
    /// An answer.
    Status {
        /// Its status.
        status: u16,
        /// The receiver's receipt.
        receipt: Option<String>,
        /// When to come again.
        retry_after: Option<Duration>,
    },
    /// The connection was cut, as the scenario has it.
    Cut,
    /// No connection came about.
    Unreachable,
    /// The connection broke before the answer was whole.
    Broken,
    /// The answer did not come in time.
    TimedOut,
}

impl Answer {
    /// Reads the head of an answer.
    pub fn of(status: StatusCode, headers: &HeaderMap) -> Self {
        let text = |name: &str| headers.get(name)?.to_str().ok();
        let receipt = text(RECEIPT).map(|text| {
            let end = text.floor_char_boundary(RECEIPT_BYTES_MAX);
            text[..end].to_owned()
        });
        let seconds = text(RETRY_AFTER.as_str()).and_then(|text| text.parse().ok());
        let retry_after = seconds.map(|it| Duration::from_secs(it).min(RETRY_AFTER_MAX));
        Self::Status {
            status: status.as_u16(),
            receipt,
            retry_after,
        }
    }

    /// Whether the provider is content.
    pub fn acknowledges(&self) -> bool {
        match self {
            Self::Status { status, .. } => (200..=299).contains(status),
            Self::Cut | Self::Unreachable | Self::Broken | Self::TimedOut => false,
        }
    }

    /// How long the receiver wants the next delivery to wait.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Status { retry_after, .. } => *retry_after,
            Self::Cut | Self::Unreachable | Self::Broken | Self::TimedOut => None,
        }
    }

    /// The receiver's receipt.
    pub fn receipt(&self) -> Option<&str> {
        match self {
            Self::Status { receipt, .. } => receipt.as_deref(),
            Self::Cut | Self::Unreachable | Self::Broken | Self::TimedOut => None,
        }
    }

    /// As reports have it.
    pub fn label(&self) -> String {
        match self {
            Self::Status { status, .. } => status.to_string(),
            Self::Cut => "cut".to_owned(),
            Self::Unreachable => "no connection".to_owned(),
            Self::Broken => "broken off".to_owned(),
            Self::TimedOut => "no answer".to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(status: u16, headers: &[(&'static str, &str)]) -> Answer {
        let headers = headers.iter().map(|(name, value)| {
            let name = http::HeaderName::from_static(name);
            (name, value.parse().unwrap())
        });
        Answer::of(StatusCode::from_u16(status).unwrap(), &headers.collect())
    }

    #[test]
    fn only_a_success_is_an_acknowledgement() {
        let taken = |status| answer(status, &[]).acknowledges();
        assert!(taken(200) && taken(204) && taken(299));
        assert!(!taken(302) && !taken(409) && !taken(503));
        for other in [
            Answer::Cut,
            Answer::Unreachable,
            Answer::Broken,
            Answer::TimedOut,
        ] {
            assert!(!other.acknowledges(), "{other:?}");
        }
    }

    #[test]
    fn what_the_receiver_asks_for_is_bounded() {
        let asked = |text: &str| answer(503, &[("retry-after", text)]).retry_after();
        assert_eq!(asked("7"), Some(Duration::from_secs(7)));
        assert_eq!(asked("86400"), Some(RETRY_AFTER_MAX));
        assert_eq!(asked("soon"), None);
        let long = answer(200, &[("hooklatch-receipt", &"x".repeat(99))]);
        assert_eq!(long.receipt().map(str::len), Some(RECEIPT_BYTES_MAX));
    }
}
