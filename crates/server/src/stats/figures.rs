//! The figures as they are shown.

use std::collections::BTreeMap;

use hooklatch_core::cause::Cause;
use hooklatch_core::ids::{EndpointId, SourceId};
use hooklatch_core::time::Timestamp;
use hooklatch_store::{ArrivalCount, AttemptCount};
use serde::Serialize;

/// What `GET /v1/stats` answers.
#[derive(Debug, Clone, Serialize)]
pub struct StatsReport {
    /// The first moment that is counted.
    pub after: Timestamp,
    /// The first moment that is not counted any more.
    pub before: Timestamp,
    /// What one step of the series spans, in seconds.
    pub step_seconds: i64,
    /// Requests, over the whole time.
    pub requests: RequestFigures,
    /// Attempts, over the whole time.
    pub attempts: AttemptFigures,
    /// What waits now.
    pub waiting: WaitingFigures,
    /// The same step by step, the oldest first; every step is there.
    pub series: Vec<StepFigures>,
    /// Requests by source, over the whole time.
    pub sources: Vec<SourceFigures>,
    /// Attempts by endpoint, over the whole time, and what waits there now.
    pub endpoints: Vec<EndpointFigures>,
}

/// Requests.
#[derive(Debug, Clone, Serialize)]
pub struct RequestFigures {
    /// How many.
    pub total: u64,
    /// How many a second, on average.
    pub per_second: f64,
    /// How many by outcome; every outcome is there.
    pub by_outcome: BTreeMap<&'static str, u64>,
    /// How many repetitions by cause; every cause is there.
    pub by_cause: BTreeMap<&'static str, u64>,
    /// How many had no key.
    pub unkeyed: u64,
    /// The share of those that were not refused that had a key, from 0 to 1; none where nothing came.
    pub coverage: Option<f64>,
}

/// Attempts that have ended.
#[derive(Debug, Clone, Serialize)]
pub struct AttemptFigures {
    /// How many.
    pub total: u64,
    /// How many a second, on average.
    pub per_second: f64,
    /// How many by outcome.
    pub by_outcome: BTreeMap<&'static str, u64>,
    /// How many by what they were made for.
    pub by_trigger: BTreeMap<&'static str, u64>,
    /// How long one took on average, in milliseconds.
    pub average_ms: Option<f64>,
}

/// What waits now: deliveries that are pending or being delivered.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct WaitingFigures {
    /// How many.
    pub deliveries: u64,
    /// Whether there may be more: a very long queue is not counted to its end.
    pub at_least: bool,
    /// When the oldest was made.
    pub oldest_at: Option<Timestamp>,
    /// How long ago that was, in seconds.
    pub oldest_seconds: Option<f64>,
}

/// One step of the series.
#[derive(Debug, Clone, Serialize)]
pub struct StepFigures {
    /// When it begins.
    pub at: Timestamp,
    /// Requests.
    pub requests: RequestFigures,
    /// Attempts that began in it.
    pub attempts: AttemptFigures,
}

/// One source, or the send API.
#[derive(Debug, Clone, Serialize)]
pub struct SourceFigures {
    /// The source; none for the send API.
    pub source_id: Option<SourceId>,
    /// Its name, while it lives.
    pub name: Option<String>,
    /// Its requests.
    pub requests: RequestFigures,
    /// When something that was not refused last came, at any time.
    pub last_arrival_at: Option<Timestamp>,
    /// How long ago that was, in seconds.
    pub silent_seconds: Option<f64>,
}

/// One endpoint, or all bare URLs.
#[derive(Debug, Clone, Serialize)]
pub struct EndpointFigures {
    /// The endpoint; none for bare URLs.
    pub endpoint_id: Option<EndpointId>,
    /// Its name, while it lives.
    pub name: Option<String>,
    /// Attempts at it.
    pub attempts: AttemptFigures,
    /// What waits for it; none for bare URLs.
    pub waiting: Option<WaitingFigures>,
}

const OUTCOMES: [&str; 4] = ["accepted", "duplicate", "conflict", "rejected"];

impl RequestFigures {
    /// Adds counts up over so many seconds.
    pub(super) fn of<'a>(counts: impl Iterator<Item = &'a ArrivalCount>, seconds: f64) -> Self {
        let mut by_outcome: BTreeMap<_, u64> = OUTCOMES.map(|outcome| (outcome, 0)).into();
        let mut by_cause: BTreeMap<_, u64> = Cause::ALL.map(|cause| (cause.as_str(), 0)).into();
        let (mut total, mut unkeyed) = (0, 0);
        for one in counts {
            total += one.count;
            unkeyed += one.unkeyed;
            *by_outcome.entry(one.outcome.as_str()).or_default() += one.count;
            if let Some(cause) = one.cause {
                *by_cause.entry(cause.as_str()).or_default() += one.count;
            }
        }
        Self {
            total,
            per_second: per_second(total, seconds),
            coverage: coverage(total - by_outcome["rejected"], unkeyed),
            unkeyed,
            by_outcome,
            by_cause,
        }
    }
}

impl AttemptFigures {
    /// Adds counts up over so many seconds.
    pub(super) fn of<'a>(counts: impl Iterator<Item = &'a AttemptCount>, seconds: f64) -> Self {
        let (mut by_outcome, mut by_trigger) = (BTreeMap::new(), BTreeMap::new());
        let (mut total, mut millis) = (0, 0);
        for one in counts {
            total += one.count;
            millis += one.took.get();
            *by_outcome.entry(one.outcome.as_str()).or_default() += one.count;
            *by_trigger.entry(one.trigger.as_str()).or_default() += one.count;
        }
        Self {
            total,
            per_second: per_second(total, seconds),
            by_outcome,
            by_trigger,
            average_ms: (total > 0).then(|| rounded(millis as f64 / total as f64)),
        }
    }
}

/// What is refused may never have been looked at.
fn coverage(looked_at: u64, unkeyed: u64) -> Option<f64> {
    let keyed = looked_at.saturating_sub(unkeyed);
    (looked_at > 0).then(|| (keyed as f64 / looked_at as f64 * 10_000.0).round() / 10_000.0)
}

fn per_second(total: u64, seconds: f64) -> f64 {
    if seconds <= 0.0 {
        return 0.0;
    }
    rounded(total as f64 / seconds)
}

/// To three places: more would only look exact.
pub(super) fn rounded(number: f64) -> f64 {
    (number * 1_000.0).round() / 1_000.0
}
