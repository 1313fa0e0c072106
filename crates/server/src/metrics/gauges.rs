//! What is now: asked of the store at most every few seconds, however often somebody scrapes.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use hooklatch_core::ids::{EndpointId, SourceId};
use hooklatch_core::time::Timestamp;
use hooklatch_store::StoreError;

use super::text::Text;
use crate::app::App;

/// For how long an answer of the store is good.
const GOOD_FOR: Duration = Duration::from_secs(5);
/// How long the store may take.
const PATIENCE: Duration = Duration::from_secs(2);
/// Projects that are asked for.
const PROJECTS_MAX: usize = 100;
/// Sources that have a line of their own: the most silent ones.
const SOURCES_MAX: usize = 200;

/// What the store said last.
#[derive(Default)]
pub(crate) struct Known(Mutex<Option<(Instant, Now)>>);

#[derive(Clone, Default)]
struct Now {
    answers: bool,
    waiting: u64,
    oldest: Option<Timestamp>,
    last: Vec<(SourceId, Timestamp)>,
}

pub(super) async fn write(app: &App, text: &mut Text) {
    let now = known(app).await;
    let gauge = |text: &mut Text, name: &str, help: &str, value: f64| {
        text.metric(name, "gauge", help);
        text.value(name, &[], value);
    };
    let help = "Whether the store answers.";
    let answers = f64::from(u8::from(now.answers));
    gauge(text, "hooklatch_store_up", help, answers);
    if now.answers {
        let help = "Deliveries that are pending or being delivered, in the whole gateway.";
        gauge(
            text,
            "hooklatch_deliveries_waiting",
            help,
            now.waiting as f64,
        );
        let oldest = now.oldest.map_or(0, |at| app.store().now().since(at).get());
        let help = "How long ago the oldest of them was made.";
        let seconds = oldest as f64 / 1_000.0;
        gauge(text, "hooklatch_oldest_waiting_seconds", help, seconds);
        write_sources(text, &now);
    }
    let help = "Live streams that are open on this node.";
    gauge(
        text,
        "hooklatch_streams",
        help,
        app.feed().watchers() as f64,
    );
    let name = "hooklatch_refusals_left_out_total";
    let help = "Refused requests that were answered and, beyond the log's rate, not logged.";
    text.metric(name, "counter", help);
    text.value(name, &[], app.refusals_left_out());
}

fn write_sources(text: &mut Text, now: &Now) {
    let name = "hooklatch_source_last_arrival_timestamp_seconds";
    let help = "When something that was not refused last came through a source.";
    text.metric(name, "gauge", help);
    for (source, at) in &now.last {
        let id = source.to_string();
        let seconds = at.as_millis() as f64 / 1_000.0;
        text.value(name, &[("source", id.as_str())], seconds);
    }
}

async fn known(app: &App) -> Now {
    let known = app.known_gauges();
    let lock = || known.0.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some((at, now)) = lock().as_ref()
        && at.elapsed() < GOOD_FOR
    {
        return now.clone();
    }
    let asked = tokio::time::timeout(PATIENCE, ask(app)).await;
    let now = match asked {
        Ok(Ok(now)) => now,
        Ok(Err(_)) | Err(_) => Now::default(),
    };
    *lock() = Some((Instant::now(), now.clone()));
    now
}

async fn ask(app: &App) -> Result<Now, StoreError> {
    let snapshot = app.directory().snapshot();
    let mut now = Now {
        answers: true,
        ..Now::default()
    };
    for project in snapshot.projects().take(PROJECTS_MAX) {
        let endpoints = snapshot.endpoints(project.id);
        let endpoints: Vec<EndpointId> = endpoints.map(|ready| ready.endpoint().id).collect();
        for waiting in app.store().waiting(project.id, endpoints).await? {
            now.waiting += waiting.count;
            now.oldest = now.oldest.into_iter().chain(waiting.oldest).min();
        }
        let sources = snapshot.sources(project.id);
        let sources: Vec<SourceId> = sources.map(|ready| ready.source.id).collect();
        let last = app
            .store()
            .last_arrivals(project.id, sources.clone())
            .await?;
        let known = sources.into_iter().zip(last);
        now.last
            .extend(known.filter_map(|(source, at)| Some((source, at?))));
    }
    now.last.sort_by_key(|(_, at)| *at);
    now.last.truncate(SOURCES_MAX);
    Ok(now)
}
