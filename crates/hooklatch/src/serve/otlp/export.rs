//! Takes spans from the queue and hands them over in batches. What a collector does not take is
//! tried a few times, then dropped and counted: traces are a help, and nothing waits for them.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use hooklatch_engine::trace::{Counts, Span};
use http::StatusCode;
use serde_json::Value;
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tokio_util::sync::CancellationToken;

use super::collector::{Answer, Collector};
use super::encode::{Resource, request};
use super::{Spans, Traces};
use crate::failure::Failure;

/// Spans of one export.
const BATCH_MAX: usize = 512;
/// How long a span waits for others.
const BATCH_WAIT: Duration = Duration::from_secs(1);
/// How often an export is tried.
const TRIES_MAX: u32 = 3;
/// The wait before the second try; twice as long before the next.
const TRY_WAIT: Duration = Duration::from_secs(1);
/// How long the last spans may take at the end.
const END_PATIENCE: Duration = Duration::from_secs(3);

struct Exporter {
    collector: Collector,
    resource: Resource,
    counts: Arc<Counts>,
    failing: bool,
}

/// What came of one try.
enum Tried {
    /// All but so many spans were taken.
    Taken { rejected: u64 },
    /// It may help to try again.
    Later(String),
    /// It will not.
    Never(String),
}

/// Exports what comes out of the queue until `stop`, and then what is left in it.
pub(crate) fn export(
    traces: &Traces,
    counts: Arc<Counts>,
    spans: Spans,
    stop: CancellationToken,
) -> Result<impl Future<Output = ()> + use<>, Failure> {
    let collector = Collector::new(traces);
    let collector = collector
        .map_err(|error| Failure::Failed(format!("traces cannot be exported: {error}")))?;
    let exporter = Exporter {
        collector,
        resource: Resource {
            service: traces.service.clone(),
            instance: format!("{:016x}", rand::random::<u64>()),
        },
        counts,
        failing: false,
    };
    Ok(run(exporter, spans, stop))
}

async fn run(mut exporter: Exporter, mut spans: Spans, stop: CancellationToken) {
    let mut batch = Vec::with_capacity(BATCH_MAX);
    while gather(&mut spans, &mut batch, &stop).await {
        exporter.hand_over(&batch, &stop).await;
        batch.clear();
    }
    spans.close();
    let rest = async {
        while gather(&mut spans, &mut batch, &stop).await {
            exporter.hand_over(&batch, &stop).await;
            batch.clear();
        }
    };
    if timeout(END_PATIENCE, rest).await.is_err() {
        tracing::warn!("the collector did not take the last traces in time");
    }
}

/// Fills the batch; false where nothing came before the end. After `stop` it waits for nothing.
async fn gather(spans: &mut Spans, batch: &mut Vec<Span>, stop: &CancellationToken) -> bool {
    let began = tokio::select! {
        biased;
        count = spans.recv_many(batch, BATCH_MAX) => count > 0,
        () = stop.cancelled(), if !spans.is_closed() => false,
    };
    let deadline = Instant::now() + BATCH_WAIT;
    while began && batch.len() < BATCH_MAX {
        let room = BATCH_MAX - batch.len();
        let more = tokio::select! {
            count = spans.recv_many(batch, room) => count > 0,
            () = sleep_until(deadline) => false,
            () = stop.cancelled() => false,
        };
        if !more {
            break;
        }
    }
    began
}

impl Exporter {
    async fn hand_over(&mut self, batch: &[Span], stop: &CancellationToken) {
        let body = request(&self.resource, batch).to_string();
        let many = u64::try_from(batch.len()).unwrap_or(u64::MAX);
        let mut wait = TRY_WAIT;
        let mut tries = 1;
        let failure = loop {
            match tried(self.collector.post(body.clone().into()).await) {
                Tried::Taken { rejected } => {
                    let rejected = rejected.min(many);
                    self.counts
                        .exported
                        .fetch_add(many - rejected, Ordering::Relaxed);
                    self.counts.not_taken.fetch_add(rejected, Ordering::Relaxed);
                    self.note_taken();
                    return;
                }
                Tried::Later(_) if tries < TRIES_MAX && !stop.is_cancelled() => {}
                Tried::Later(why) | Tried::Never(why) => break why,
            }
            tokio::select! {
                () = sleep(wait) => {}
                () = stop.cancelled() => {}
            }
            (tries, wait) = (tries + 1, wait * 2);
        };
        self.counts.not_taken.fetch_add(many, Ordering::Relaxed);
        if !self.failing {
            tracing::warn!(
                failure,
                "the collector does not take traces; they are dropped"
            );
            self.failing = true;
        }
    }

    fn note_taken(&mut self) {
        if self.failing {
            tracing::info!("the collector takes traces again");
            self.failing = false;
        }
    }
}

/// What an answer means, by the protocol's rules for retries.
fn tried(answered: Result<Answer, Box<dyn std::error::Error + Send + Sync>>) -> Tried {
    let Answer { status, body } = match answered {
        Ok(answer) => answer,
        Err(error) => return Tried::Later(error.to_string()),
    };
    if status.is_success() {
        let rejected = rejected(&body);
        return Tried::Taken { rejected };
    }
    let why = format!("it answered {}", status.as_u16());
    match status {
        StatusCode::TOO_MANY_REQUESTS
        | StatusCode::BAD_GATEWAY
        | StatusCode::SERVICE_UNAVAILABLE
        | StatusCode::GATEWAY_TIMEOUT => Tried::Later(why),
        _ => Tried::Never(why),
    }
}

/// How many spans a collector says that it did not take. A 64-bit number may be a text in JSON.
fn rejected(body: &[u8]) -> u64 {
    let answer: Value = serde_json::from_slice(body).unwrap_or_default();
    let rejected = &answer["partialSuccess"]["rejectedSpans"];
    let as_text = || rejected.as_str().and_then(|text| text.parse().ok());
    rejected.as_u64().or_else(as_text).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answered(status: u16, body: &'static str) -> Tried {
        tried(Ok(Answer {
            status: StatusCode::from_u16(status).unwrap(),
            body: body.into(),
        }))
    }

    #[test]
    fn only_what_may_pass_is_tried_again() {
        for status in [429, 502, 503, 504] {
            assert!(matches!(answered(status, ""), Tried::Later(_)), "{status}");
        }
        for status in [301, 400, 401, 404, 413, 500] {
            assert!(matches!(answered(status, ""), Tried::Never(_)), "{status}");
        }
        assert!(matches!(tried(Err("refused".into())), Tried::Later(_)));
    }

    #[test]
    fn what_was_taken_in_part_is_counted_as_such() {
        for (body, expected) in [
            ("", 0),
            ("{}", 0),
            ("<html>", 0),
            (r#"{"partialSuccess": {"rejectedSpans": "3"}}"#, 3),
            (r#"{"partialSuccess": {"rejectedSpans": 4}}"#, 4),
        ] {
            let Tried::Taken { rejected } = answered(200, body) else {
                panic!("{body}");
            };
            assert_eq!(rejected, expected, "{body}");
        }
    }
}
