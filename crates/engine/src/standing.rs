//! How endpoints fare, as their attempts show it: told to the store with the end of an attempt, and
//! heard from it when something changes.
//!
//! Where a circuit is on, each attempt is told. Where none is, only the beginning of a failure or
//! its end matters, and that nothing has changed is told once in a while: an endpoint that works
//! costs a write a minute.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use hooklatch_core::config::Endpoint;
use hooklatch_core::delivery::control::{LaneEvent, LaneReport, Patience, Sample};
use hooklatch_core::delivery::{Delivery, Lane};
use hooklatch_core::ids::EndpointId;
use hooklatch_core::time::Timestamp;
use hooklatch_store::LaneReporting;
use tokio::time::Instant;

use crate::directory::Directory;

/// The longest time without a word of an endpoint that is used.
const TOLD_EVERY: Duration = Duration::from_secs(60);
/// Of an endpoint that is given up soon, so many words are had before.
const WORDS_BEFORE_THE_END: u32 = 10;

/// What was last told of each endpoint. It has one entry for each that was used since the start.
#[derive(Default)]
pub(crate) struct Told(Mutex<HashMap<EndpointId, Word>>);

#[derive(Clone, Copy)]
struct Word {
    sample: Sample,
    success: Option<Instant>,
    failure: Option<Instant>,
}

impl Told {
    /// What the store is to be told of an attempt that ended, if anything.
    pub(crate) fn report(
        &self,
        endpoint: &Endpoint,
        delivery: &Delivery,
        sample: Sample,
        started_at: Timestamp,
    ) -> Option<LaneReporting> {
        let breaker = endpoint.control.circuit_breaker.rule();
        let patience = endpoint.patience();
        let news = || patience.is_some_and(|patience| self.is_news(endpoint.id, sample, patience));
        if breaker.is_none() && !news() {
            return None;
        }
        Some(LaneReporting {
            lane: Lane::of_endpoint(endpoint.id),
            project: delivery.project_id,
            subject: endpoint.id.to_string(),
            report: LaneReport {
                sample,
                started_at,
                breaker,
                patience,
                resumed_at: endpoint.control.resumed_at,
            },
        })
    }

    fn is_news(&self, endpoint: EndpointId, sample: Sample, patience: Patience) -> bool {
        let now = Instant::now();
        let soon = Duration::from_millis(patience.disable_after.get().unsigned_abs());
        let every = TOLD_EVERY.min(soon / WORDS_BEFORE_THE_END);
        let mut told = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let known = told.get(&endpoint).copied();
        let old = |at: Option<Instant>| at.is_none_or(|at| now.duration_since(at) >= every);
        let news = match (known, sample) {
            (None, _) => true,
            // The end of a failure that was told.
            (Some(word), Sample::Success) => word.sample == Sample::Failure || old(word.success),
            (Some(word), Sample::Failure) => old(word.failure),
        };
        if news {
            let known = known.unwrap_or(Word {
                sample,
                success: None,
                failure: None,
            });
            let word = match sample {
                Sample::Success => Word {
                    sample,
                    success: Some(now),
                    ..known
                },
                Sample::Failure => Word {
                    sample,
                    failure: Some(now),
                    ..known
                },
            };
            told.insert(endpoint, word);
        }
        news
    }
}

/// Says what has changed, and disables what is given up.
pub(crate) async fn hear(directory: &dyn Directory, endpoint: EndpointId, events: &[LaneEvent]) {
    for event in events {
        let sentence = event.sentence();
        match event {
            LaneEvent::CircuitOpened { .. } => {
                tracing::warn!(%endpoint, "a circuit opened: {sentence}");
            }
            LaneEvent::CircuitClosed => tracing::info!(%endpoint, "a circuit closed: {sentence}"),
            LaneEvent::FailingLong { .. } => {
                tracing::warn!(%endpoint, "an endpoint fails for long: {sentence}");
            }
            LaneEvent::Recovered => tracing::info!(%endpoint, "an endpoint recovered: {sentence}"),
            LaneEvent::GivenUp { .. } => directory.disable_endpoint(endpoint, sentence).await,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hooklatch_core::time::Millis;

    #[test]
    fn of_an_endpoint_that_works_or_fails_all_the_time_little_is_told() {
        let told = Told::default();
        let id = EndpointId::from_number(1);
        let patience = Patience {
            disable_after: Millis::from_seconds(432_000),
        };
        let is_news = |sample| told.is_news(id, sample, patience);
        assert!(is_news(Sample::Success), "the first word");
        assert!(!is_news(Sample::Success));
        assert!(is_news(Sample::Failure), "it began to fail");
        assert!(!is_news(Sample::Failure));
        assert!(is_news(Sample::Success), "it ended to fail");
        assert!(!is_news(Sample::Failure), "it cannot decide");
        assert!(!is_news(Sample::Success));
    }
}
