//! Says why a duplicate came (D3): the first cause that fits, with the evidence for it.

use crate::time::{Millis, Timestamp};

/// Why a duplicate arrived.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Cause {
    /// It came before the original had been answered.
    Concurrent,
    /// A caller of the send API repeated its call.
    ProducerRetry,
    /// The provider repeated by itself.
    ProviderRetry,
    /// A person had the provider send it again.
    ProviderResend,
    /// The same event through another source of the group.
    SecondRoute,
    /// None of these could be shown.
    Unknown,
}

impl Cause {
    /// Every cause, in the order in which they are tried.
    pub const ALL: [Self; 6] = [
        Self::Concurrent,
        Self::ProducerRetry,
        Self::ProviderRetry,
        Self::ProviderResend,
        Self::SecondRoute,
        Self::Unknown,
    ];

    /// The name on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Concurrent => "concurrent",
            Self::ProducerRetry => "producer_retry",
            Self::ProviderRetry => "provider_retry",
            Self::ProviderResend => "provider_resend",
            Self::SecondRoute => "second_route",
            Self::Unknown => "unknown",
        }
    }
}

impl std::str::FromStr for Cause {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        Self::ALL
            .into_iter()
            .find(|cause| cause.as_str() == text)
            .ok_or(())
    }
}

/// What the arrival itself and its provider's profile say about retries. Made before the store is
/// asked, from the headers and the preset.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Hints {
    /// The name of a header by which the provider marks its retries, if one was there.
    pub retry_header: Option<String>,
    /// The name of a header by which the provider marks a redelivery by hand, if one was there.
    pub resend_header: Option<String>,
    /// The offsets from the first try at which the provider retries, where they are known.
    pub retry_offsets: Vec<Millis>,
    /// How long the provider goes on retrying, where it is known. Zero: it never retries.
    pub retry_window: Option<Millis>,
    /// How long the provider waits for an answer, where it is known.
    pub timeout: Option<Millis>,
}

/// The facts about one duplicate and its original.
#[derive(Debug, Clone, Copy)]
pub struct CauseFacts<'a> {
    /// The duplicate came through the send API.
    pub outbound: bool,
    /// When the duplicate arrived.
    pub received_at: Timestamp,
    /// When the original arrived.
    pub original_received_at: Timestamp,
    /// When the original was answered; none if it has not been.
    pub original_answered_at: Option<Timestamp>,
    /// Both came through one source.
    pub same_source: bool,
    /// What headers and profile say.
    pub hints: &'a Hints,
}

/// A fifth of the offset, and at least two seconds, is how far an arrival may lie from its
/// provider's schedule and still fit it.
const SCHEDULE_TOLERANCE_MIN: Millis = Millis::from_seconds(2);

/// The first cause that fits, and the evidence in a sentence.
pub fn explain(facts: &CauseFacts<'_>) -> (Cause, String) {
    if let Some(evidence) = concurrent(facts) {
        return (Cause::Concurrent, evidence);
    }
    let age = facts.received_at.since(facts.original_received_at);
    if facts.outbound {
        let evidence = format!("the caller repeated its call {} after the first", span(age));
        return (Cause::ProducerRetry, evidence);
    }
    if let Some(evidence) = provider_retry(facts, age) {
        return (Cause::ProviderRetry, evidence);
    }
    if let Some(evidence) = provider_resend(facts, age) {
        return (Cause::ProviderResend, evidence);
    }
    if !facts.same_source {
        let evidence = "the original came through another source of the group".to_owned();
        return (Cause::SecondRoute, evidence);
    }
    let evidence = format!(
        "it came {} after the original, which had been answered in time; \
         no header and no known schedule explains it",
        span(age)
    );
    (Cause::Unknown, evidence)
}

fn concurrent(facts: &CauseFacts<'_>) -> Option<String> {
    match facts.original_answered_at {
        None => Some("the original had not yet been answered".to_owned()),
        Some(answered) if facts.received_at < answered => Some(format!(
            "it came {} before the original was answered",
            span(answered.since(facts.received_at))
        )),
        Some(_) => None,
    }
}

fn provider_retry(facts: &CauseFacts<'_>, age: Millis) -> Option<String> {
    if let Some(header) = &facts.hints.retry_header {
        return Some(format!("the provider's retry header {header} is set"));
    }
    if !facts.same_source {
        return None;
    }
    if let Some(offset) = facts
        .hints
        .retry_offsets
        .iter()
        .find(|offset| fits(age, **offset))
    {
        return Some(format!(
            "it came {} after the original; the provider retries after {}",
            span(age),
            span(*offset)
        ));
    }
    let answered = facts.original_answered_at?;
    let took = answered.since(facts.original_received_at);
    let timeout = facts.hints.timeout?;
    let still_retrying = facts.hints.retry_window.is_none_or(|window| age <= window);
    (took > timeout && still_retrying).then(|| {
        format!(
            "the original was answered after {}, later than the provider's {}",
            span(took),
            span(timeout)
        )
    })
}

fn fits(age: Millis, offset: Millis) -> bool {
    let tolerance = SCHEDULE_TOLERANCE_MIN.get().max(offset.get() / 5);
    offset > Millis::ZERO && (age.get() - offset.get()).abs() <= tolerance
}

fn provider_resend(facts: &CauseFacts<'_>, age: Millis) -> Option<String> {
    if let Some(header) = &facts.hints.resend_header {
        return Some(format!("the provider's redelivery header {header} is set"));
    }
    let window = facts.hints.retry_window.filter(|_| facts.same_source)?;
    if window == Millis::ZERO {
        return Some("the provider never retries by itself".to_owned());
    }
    (age > window).then(|| {
        format!(
            "it came {} after the original; the provider stops retrying after {}",
            span(age),
            span(window)
        )
    })
}

/// A span for people: the largest unit in which it has at least two, in whole numbers.
fn span(millis: Millis) -> String {
    let millis = millis.get();
    match millis {
        0..2_000 => format!("{millis} ms"),
        2_000..120_000 => format!("{} s", millis / 1_000),
        120_000..7_200_000 => format!("{} min", millis / 60_000),
        7_200_000..172_800_000 => format!("{} h", millis / 3_600_000),
        _ => format!("{} d", millis / 86_400_000),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts(hints: &Hints) -> CauseFacts<'_> {
        CauseFacts {
            outbound: false,
            received_at: Timestamp::from_millis(1_000_000),
            original_received_at: Timestamp::from_millis(400_000),
            original_answered_at: Some(Timestamp::from_millis(400_005)),
            same_source: true,
            hints,
        }
    }

    #[test]
    fn d3_an_arrival_before_the_original_was_answered_is_concurrent_whatever_else_fits() {
        let hints = Hints {
            retry_header: Some("x-retry".into()),
            ..Hints::default()
        };
        let early = CauseFacts {
            outbound: true,
            original_answered_at: None,
            ..facts(&hints)
        };
        assert_eq!(explain(&early).0, Cause::Concurrent);
        let during = CauseFacts {
            received_at: Timestamp::from_millis(400_004),
            ..facts(&hints)
        };
        assert_eq!(explain(&during).0, Cause::Concurrent);
    }

    #[test]
    fn d3_a_repeated_call_of_the_send_api_is_a_producer_retry() {
        let hints = Hints::default();
        let outbound = CauseFacts {
            outbound: true,
            ..facts(&hints)
        };
        assert_eq!(explain(&outbound).0, Cause::ProducerRetry);
    }

    #[test]
    fn d3_a_retry_header_a_schedule_or_a_late_answer_make_a_provider_retry() {
        let header = Hints {
            retry_header: Some("x-retry-num".into()),
            ..Hints::default()
        };
        let (cause, evidence) = explain(&facts(&header));
        assert_eq!(cause, Cause::ProviderRetry);
        assert!(evidence.contains("x-retry-num"), "{evidence}");

        let schedule = Hints {
            retry_offsets: vec![Millis::from_seconds(60), Millis::from_seconds(610)],
            ..Hints::default()
        };
        assert_eq!(explain(&facts(&schedule)).0, Cause::ProviderRetry);

        let hints = Hints {
            timeout: Some(Millis::new(4)),
            ..Hints::default()
        };
        assert_eq!(explain(&facts(&hints)).0, Cause::ProviderRetry);
        let hints = Hints {
            timeout: Some(Millis::new(10_000)),
            ..Hints::default()
        };
        assert_eq!(explain(&facts(&hints)).0, Cause::Unknown);
    }

    #[test]
    fn d3_a_resend_header_or_an_arrival_past_the_retry_window_is_a_resend() {
        let header = Hints {
            resend_header: Some("x-redelivery".into()),
            ..Hints::default()
        };
        assert_eq!(explain(&facts(&header)).0, Cause::ProviderResend);
        for window in [Millis::ZERO, Millis::from_seconds(599)] {
            let hints = Hints {
                retry_window: Some(window),
                ..Hints::default()
            };
            assert_eq!(
                explain(&facts(&hints)).0,
                Cause::ProviderResend,
                "{window:?}"
            );
        }
    }

    #[test]
    fn d3_another_source_of_the_group_is_a_second_route() {
        let hints = Hints {
            retry_window: Some(Millis::ZERO),
            ..Hints::default()
        };
        let other = CauseFacts {
            same_source: false,
            ..facts(&hints)
        };
        assert_eq!(explain(&other).0, Cause::SecondRoute);
    }

    #[test]
    fn d3_without_evidence_the_cause_is_unknown() {
        assert_eq!(explain(&facts(&Hints::default())).0, Cause::Unknown);
    }
}
