//! What this process has done, in numbers that only grow.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use hooklatch_core::admission::{Admission, Decision};
use hooklatch_core::cause::Cause;
use hooklatch_core::delivery::Trigger;
use hooklatch_core::delivery::attempt::{Attempt, AttemptOutcome};
use hooklatch_core::message::{Direction, RequestOutcome};
use hooklatch_store::record::Code;
use http::StatusCode;

use super::text::Text;

/// Codes of our enums are below this.
const CODES_MAX: usize = 16;
/// The last place of a cause's row: there is none.
const NO_CAUSE: usize = CODES_MAX - 1;

/// Bounds of the buckets of durations, in microseconds.
const BUCKETS: [u64; 12] = [
    1_000, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000, 2_500_000,
    10_000_000, 30_000_000,
];

/// What a call is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "each names a part of the surface")]
pub enum Route {
    Ingest = 0,
    Send = 1,
    Api = 2,
}

impl Route {
    const ALL: [Self; 3] = [Self::Ingest, Self::Send, Self::Api];

    /// By the path.
    pub fn of(path: &str) -> Self {
        if path.starts_with("/ingest/") {
            Self::Ingest
        } else if path.starts_with("/v1/webhooks/") {
            Self::Send
        } else {
            Self::Api
        }
    }

    /// Its name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ingest => "ingest",
            Self::Send => "send",
            Self::Api => "api",
        }
    }
}

/// The counters.
pub struct Metrics {
    started: Instant,
    /// By direction, outcome and cause.
    requests: [[[AtomicU64; CODES_MAX]; 4]; 2],
    /// By trigger and outcome.
    attempts: [[AtomicU64; CODES_MAX]; CODES_MAX],
    attempt_times: Histogram,
    /// By route and the first digit of the status.
    calls: [[AtomicU64; 6]; 3],
    call_times: [Histogram; 3],
}

/// How often something took how long.
#[derive(Default)]
struct Histogram {
    buckets: [AtomicU64; BUCKETS.len()],
    count: AtomicU64,
    sum_us: AtomicU64,
}

impl Default for Metrics {
    fn default() -> Self {
        Self {
            started: Instant::now(),
            requests: Default::default(),
            attempts: Default::default(),
            attempt_times: Histogram::default(),
            calls: Default::default(),
            call_times: Default::default(),
        }
    }
}

fn add(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}

fn place(code: i64) -> usize {
    usize::try_from(code).unwrap_or(NO_CAUSE).min(CODES_MAX - 1)
}

impl Metrics {
    /// Counts what was decided on an arrival.
    pub fn admitted(&self, direction: Direction, admission: &Admission) {
        match &admission.decision {
            Decision::Accept(_) => self.request(direction, RequestOutcome::Accepted, None),
            Decision::Repeat(repeat) => {
                self.request(direction, repeat.request.outcome, repeat.request.cause);
            }
        }
    }

    /// Counts a request.
    pub fn request(&self, direction: Direction, outcome: RequestOutcome, cause: Option<Cause>) {
        let cause = cause.map_or(NO_CAUSE, |cause| place(cause.code()));
        let (direction, outcome) = (place(direction.code()), place(outcome.code()));
        add(&self.requests[direction.min(1)][outcome.min(3)][cause]);
    }

    /// Counts an attempt that has ended.
    pub fn attempted(&self, attempt: &Attempt) {
        add(&self.attempts[place(attempt.trigger.code())][place(attempt.outcome.code())]);
        let took = Duration::from_millis(attempt.duration_ms);
        self.attempt_times.observe(took);
    }

    /// Counts a call and how long it took.
    pub fn called(&self, route: Route, status: StatusCode, took: Duration) {
        let class = usize::from(status.as_u16() / 100).min(5);
        add(&self.calls[route as usize][class]);
        self.call_times[route as usize].observe(took);
    }

    pub(super) fn write(&self, text: &mut Text) {
        text.metric("hooklatch_build_info", "gauge", "The version that runs.");
        let version = env!("CARGO_PKG_VERSION");
        text.value("hooklatch_build_info", &[("version", version)], 1);
        let name = "hooklatch_uptime_seconds";
        text.metric(name, "gauge", "How long this process has run.");
        text.value(name, &[], self.started.elapsed().as_secs());
        self.write_requests(text);
        self.write_attempts(text);
        self.write_calls(text);
    }

    fn write_requests(&self, text: &mut Text) {
        let name = "hooklatch_requests_total";
        let help = "Requests that were decided on, inbound and outbound, by outcome and cause.";
        text.metric(name, "counter", help);
        for (code, outcomes) in self.requests.iter().enumerate() {
            let direction = if code == 0 { "inbound" } else { "outbound" };
            for (code, causes) in outcomes.iter().enumerate() {
                let outcome = RequestOutcome::of_code(code as i64);
                let outcome = outcome.map_or("unknown", RequestOutcome::as_str);
                for (code, counter) in causes.iter().enumerate() {
                    let many = counter.load(Ordering::Relaxed);
                    let cause = Cause::of_code(code as i64).map_or("none", Cause::as_str);
                    // One row of each outcome is always there, so that a rate begins at 0.
                    if many > 0 || (code == NO_CAUSE && outcome == "accepted") {
                        let labels = [
                            ("direction", direction),
                            ("outcome", outcome),
                            ("cause", cause),
                        ];
                        text.value(name, &labels, many);
                    }
                }
            }
        }
    }

    fn write_attempts(&self, text: &mut Text) {
        let name = "hooklatch_attempts_total";
        let help = "Attempts of this node that have ended, by what they were made for and how.";
        text.metric(name, "counter", help);
        for (code, outcomes) in self.attempts.iter().enumerate() {
            let Ok(trigger) = Trigger::of_code(code as i64) else {
                continue;
            };
            for (code, counter) in outcomes.iter().enumerate() {
                let many = counter.load(Ordering::Relaxed);
                if let Ok(outcome) = AttemptOutcome::of_code(code as i64)
                    && (many > 0 || code == 0)
                {
                    let labels = [("trigger", trigger.as_str()), ("outcome", outcome.as_str())];
                    text.value(name, &labels, many);
                }
            }
        }
        let name = "hooklatch_attempt_duration_seconds";
        text.metric(name, "histogram", "How long attempts took.");
        self.attempt_times.write(text, name, &[]);
    }

    fn write_calls(&self, text: &mut Text) {
        let name = "hooklatch_http_responses_total";
        text.metric(
            name,
            "counter",
            "Answers, by part of the surface and class of status.",
        );
        for route in Route::ALL {
            for (class, counter) in self.calls[route as usize].iter().enumerate().skip(2) {
                let class = format!("{class}xx");
                let labels = [("route", route.as_str()), ("status", class.as_str())];
                text.value(name, &labels, counter.load(Ordering::Relaxed));
            }
        }
        let name = "hooklatch_http_response_duration_seconds";
        text.metric(
            name,
            "histogram",
            "How long answers took, by part of the surface.",
        );
        for route in Route::ALL {
            let labels = [("route", route.as_str())];
            self.call_times[route as usize].write(text, name, &labels);
        }
    }
}

impl Histogram {
    fn observe(&self, took: Duration) {
        let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        if let Some(bucket) = BUCKETS.iter().position(|bound| micros <= *bound) {
            add(&self.buckets[bucket]);
        }
        add(&self.count);
        self.sum_us.fetch_add(micros, Ordering::Relaxed);
    }

    fn write(&self, text: &mut Text, name: &str, labels: &[(&str, &str)]) {
        let bucket = format!("{name}_bucket");
        let mut so_far = 0;
        for (counter, bound) in self.buckets.iter().zip(BUCKETS) {
            so_far += counter.load(Ordering::Relaxed);
            let bound = (bound as f64 / 1e6).to_string();
            let labels = [labels, &[("le", bound.as_str())]].concat();
            text.value(&bucket, &labels, so_far);
        }
        // Counted meanwhile: the whole is never less than its parts.
        let count = self.count.load(Ordering::Relaxed).max(so_far);
        let labels_of_all = [labels, &[("le", "+Inf")]].concat();
        text.value(&bucket, &labels_of_all, count);
        let sum = self.sum_us.load(Ordering::Relaxed) as f64 / 1e6;
        text.value(&format!("{name}_sum"), labels, sum);
        text.value(&format!("{name}_count"), labels, count);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_add_up_and_every_line_is_one() {
        let metrics = Metrics::default();
        for millis in [0, 2, 400, 60_000] {
            let took = Duration::from_millis(millis);
            metrics.called(Route::Ingest, StatusCode::OK, took);
        }
        let cause = Some(Cause::ProviderRetry);
        metrics.request(Direction::Inbound, RequestOutcome::Duplicate, cause);
        let mut text = Text::default();
        metrics.write(&mut text);
        let text = text.finish();
        for line in [
            "hooklatch_http_responses_total{route=\"ingest\",status=\"2xx\"} 4",
            "hooklatch_http_response_duration_seconds_bucket{route=\"ingest\",le=\"0.001\"} 1",
            "hooklatch_http_response_duration_seconds_bucket{route=\"ingest\",le=\"30\"} 3",
            "hooklatch_http_response_duration_seconds_bucket{route=\"ingest\",le=\"+Inf\"} 4",
            "hooklatch_http_response_duration_seconds_count{route=\"ingest\"} 4",
            "hooklatch_requests_total{direction=\"inbound\",outcome=\"duplicate\",\
             cause=\"provider_retry\"} 1",
        ] {
            assert!(text.contains(line), "{line} in\n{text}");
        }
    }
}
