//! Spans of what this process does, for whoever collects them, and whose work a line of the log is
//! about.
//!
//! A span is recorded when it has ended, and only for a trace that is recorded; without a tracer
//! nothing here is ever asked. Recording never waits: where the queue to the collector is full, the
//! span is dropped and counted.

mod span;
mod subject;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use hooklatch_core::trace::{SampleRatio, SpanId, TraceContext, TracedArrival, arrive};
use tokio::sync::mpsc;

pub use span::{Attribute, Began, Kind, Span};
pub use subject::{Name, Subject, about, subject};

/// Spans that wait for the collector; at about 500 bytes each.
const QUEUE_MAX: usize = 8_192;

/// Takes spans and hands them to an exporter.
#[derive(Debug)]
pub struct Tracer {
    ratio: SampleRatio,
    queue: mpsc::Sender<Span>,
    counts: Arc<Counts>,
}

/// What became of the spans.
#[derive(Debug, Default)]
pub struct Counts {
    /// Those that the collector has taken.
    pub exported: AtomicU64,
    /// Those for which there was no room in the queue.
    pub crowded_out: AtomicU64,
    /// Those that the collector did not take.
    pub not_taken: AtomicU64,
}

impl Tracer {
    /// A tracer, and the end of the queue that an exporter reads.
    pub fn new(ratio: SampleRatio) -> (Arc<Self>, mpsc::Receiver<Span>) {
        let (queue, spans) = mpsc::channel(QUEUE_MAX);
        let counts = Arc::default();
        let tracer = Self {
            ratio,
            queue,
            counts,
        };
        (Arc::new(tracer), spans)
    }

    /// What became of the spans so far.
    pub fn counts(&self) -> &Arc<Counts> {
        &self.counts
    }

    /// What is recorded of an arrival that came from this place in a trace.
    pub fn arrive(&self, came: Option<TraceContext>) -> Option<TracedArrival> {
        arrive(came, self.ratio, rand::random())
    }

    /// The span of an attempt of a request with these headers, where its arrival is recorded.
    pub fn attempt(&self, headers: &[(String, String)]) -> Option<TracedArrival> {
        let arrival = TraceContext::of_arrival(headers)?;
        Some(TracedArrival {
            context: arrival.child(SpanId::from_bytes(rand::random())),
            parent: Some(arrival.span),
        })
    }

    /// Records a span that has ended.
    pub fn record(&self, span: Span) {
        if self.queue.try_send(span).is_err() {
            self.counts.crowded_out.fetch_add(1, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_full_queue_drops_and_counts() {
        let (tracer, mut spans) = Tracer::new(SampleRatio::ALL);
        let place = tracer.arrive(None).unwrap();
        for _ in 0..QUEUE_MAX + 3 {
            tracer.record(Began::now().end("ingest", Kind::Server, place));
        }
        assert_eq!(tracer.counts().crowded_out.load(Ordering::Relaxed), 3);
        assert_eq!(spans.recv().await.unwrap().place, place);
        assert_eq!(spans.len(), QUEUE_MAX - 1);
    }
}
