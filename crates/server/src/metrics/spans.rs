//! What became of the spans of traces, where traces are recorded.

use std::sync::atomic::Ordering;

use super::text::Text;
use crate::app::App;

pub(super) fn write(app: &App, text: &mut Text) {
    let Some(tracer) = &app.settings().tracer else {
        return;
    };
    let counts = tracer.counts();
    let name = "hooklatch_spans_exported_total";
    text.metric(name, "counter", "Spans that the collector has taken.");
    text.value(name, &[], counts.exported.load(Ordering::Relaxed));
    let name = "hooklatch_spans_dropped_total";
    let help = "Spans that were dropped: the queue was full, or the collector did not take them.";
    text.metric(name, "counter", help);
    for (reason, count) in [
        ("queue_full", &counts.crowded_out),
        ("export_failed", &counts.not_taken),
    ] {
        text.value(name, &[("reason", reason)], count.load(Ordering::Relaxed));
    }
}
