//! What is not let in: answered with a problem, and logged as far as the log's share allows.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use axum::response::{IntoResponse, Response};
use hooklatch_core::arrive::Refused;
use hooklatch_core::ids::SourceId;
use hooklatch_core::message::{Direction, Envelope, RequestOutcome};
use hooklatch_core::time::Timestamp;
use hooklatch_store::Refused as RefusedRecord;

use crate::app::App;
use crate::directory::Gate;
use crate::problem::{FieldProblem, Kind, Problem};
use crate::seldom::Seldom;

/// That a refusal was not logged.
static NOT_LOGGED: Seldom = Seldom::new();

/// Lets each source log so many refusals per second, so that a flood costs no more than that; the
/// rest is counted.
pub(crate) struct RefusalLog {
    per_second: f64,
    buckets: Mutex<HashMap<SourceId, Bucket>>,
    left_out: AtomicU64,
}

struct Bucket {
    tokens: f64,
    filled_at: Instant,
}

impl RefusalLog {
    pub(crate) fn new(per_second: u32) -> Self {
        Self {
            per_second: f64::from(per_second),
            buckets: Mutex::default(),
            left_out: AtomicU64::new(0),
        }
    }

    /// Refusals that were answered and not logged.
    pub(crate) fn left_out(&self) -> u64 {
        self.left_out.load(Ordering::Relaxed)
    }

    fn takes_one_more(&self, source: SourceId, now: Instant) -> bool {
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        let full = Bucket {
            tokens: self.per_second,
            filled_at: now,
        };
        let bucket = buckets.entry(source).or_insert(full);
        let since = now
            .saturating_duration_since(bucket.filled_at)
            .as_secs_f64();
        bucket.tokens = (bucket.tokens + since * self.per_second).min(self.per_second);
        bucket.filled_at = now;
        let takes = bucket.tokens >= 1.0;
        if takes {
            bucket.tokens -= 1.0;
        } else {
            self.left_out.fetch_add(1, Ordering::Relaxed);
        }
        takes
    }
}

/// A request that is turned away.
pub(super) struct Refusal {
    problem: Problem,
    record: Option<(App, Box<RefusedRecord>)>,
}

impl Refusal {
    /// Turned away by a rule.
    pub(super) fn of(refused: &Refused) -> Self {
        Self::because_of(problem_of(refused))
    }

    /// Turned away before any rule was asked.
    pub(super) fn because_of(problem: Problem) -> Self {
        Self {
            problem,
            record: None,
        }
    }

    /// The same, to be logged.
    pub(super) fn logged(
        self,
        app: App,
        gate: &Gate,
        envelope: Arc<Envelope>,
        received_at: Timestamp,
    ) -> Self {
        let source = &gate.ready.source;
        let record = RefusedRecord {
            project_id: source.project,
            direction: Direction::Inbound,
            source_id: Some(source.id),
            reason: self.problem.detail().to_owned(),
            received_at,
            envelope,
            response_status: self.problem.status().as_u16(),
        };
        Self {
            record: Some((app, Box::new(record))),
            ..self
        }
    }

    /// Logs it, within the log's share, and answers under the id of the record.
    pub(super) async fn answer(self) -> Response {
        let Self {
            mut problem,
            record,
        } = self;
        if let Some((app, record)) = record {
            let source = record
                .source_id
                .expect("only what came to a source is logged");
            let metrics = app.directory().metrics();
            metrics.request(Direction::Inbound, RequestOutcome::Rejected, None);
            if app.refusals().takes_one_more(source, Instant::now()) {
                match app.store().refuse(*record).await {
                    Ok(id) => problem = problem.about(id),
                    // The sender learns the same: it is turned away.
                    Err(error) => {
                        if let Some(left_out) = NOT_LOGGED.says() {
                            tracing::warn!(%error, left_out, "a refused request was not logged");
                        }
                    }
                }
            }
        }
        problem.into_response()
    }
}

fn problem_of(refused: &Refused) -> Problem {
    match refused {
        Refused::Unverified(refusal) => Problem::new(Kind::Unauthenticated, refusal.to_string())
            .with("reason", refusal.reason()),
        Refused::KeyMissing { looked_at, element } => {
            let place = element.map_or_else(String::new, |index| format!(" of element {index}"));
            let missing = |location: &String| FieldProblem {
                pointer: location.clone(),
                detail: format!("has no value{place}; a key of this source needs one"),
            };
            let errors = looked_at.iter().map(missing).collect();
            Problem::unprocessable(refused.to_string(), errors)
        }
        Refused::Batch(error) => Problem::new(Kind::TooLarge, error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_flood_of_refusals_is_logged_at_its_rate_and_counted_beyond() {
        let log = RefusalLog::new(100);
        let (one, other) = (SourceId::from_number(1), SourceId::from_number(2));
        let start = Instant::now();
        let logged = (0..1_000)
            .filter(|_| log.takes_one_more(one, start))
            .count();
        assert_eq!((logged, log.left_out()), (100, 900));
        assert!(
            log.takes_one_more(other, start),
            "another source has a share of its own"
        );
        let later = start + Duration::from_millis(500);
        let logged = (0..1_000)
            .filter(|_| log.takes_one_more(one, later))
            .count();
        assert_eq!(logged, 50);
    }
}
