//! The live log: `GET /v1/stream`, as server-sent events.
//!
//! One task of each process follows the store's history while anybody watches, and hands what is new
//! to every watcher over a bounded channel; so it shows what every node records, and costs nothing
//! while nobody watches. A watcher that is too slow is told that it missed something. Each event
//! has a place in the history, from which a client goes on after a break (`Last-Event-ID`).

mod event;
mod feed;
mod place;
mod watch;

pub use event::{Event, EventKind, LoggedAttempt, LoggedRequest, StreamFilter};
pub use feed::Feed;
pub use place::Place;
pub use watch::{Watcher, open};

use axum::Router;
use axum::extract::State;
use axum::response::Response;
use axum::routing::get;
use hooklatch_core::cause::Cause;
use hooklatch_core::config::Scope;
use http::HeaderMap;

use crate::app::App;
use crate::caller::Caller;
use crate::history::Parameters;
use crate::problem::Problem;

pub(crate) fn routes() -> Router<App> {
    Router::new().route("/v1/stream", get(stream))
}

/// The outcomes of requests and of attempts.
pub(crate) const OUTCOMES: [&str; 7] = [
    "accepted",
    "duplicate",
    "conflict",
    "rejected",
    "delivered",
    "failed",
    "uncertain",
];

async fn stream(
    State(app): State<App>,
    caller: Caller,
    headers: HeaderMap,
    mut parameters: Parameters,
) -> Result<Response, Problem> {
    caller.require(Scope::Read)?;
    let filter = filter(&mut parameters);
    let named = parameters.read("last_event_id", |text| {
        text.parse::<Place>().map_err(|error| error.to_string())
    });
    parameters.finish()?;
    let place = match headers.get("last-event-id") {
        Some(value) => Some(place_of(value.to_str().unwrap_or_default())?),
        None => named,
    };
    let key = caller.key;
    let watcher = Watcher {
        project: caller.project,
        // A key that was deleted since opens nothing any more.
        allowed: Box::new(move |snapshot| {
            let mut keys = snapshot.api_keys(caller.project);
            keys.any(|known| known.id == key)
        }),
    };
    open(&app, watcher, filter, place).await
}

fn place_of(text: &str) -> Result<Place, Problem> {
    text.parse().map_err(|error: place::PlaceError| {
        Problem::malformed(format!("the header Last-Event-ID {error}"))
    })
}

/// Reads which events are asked for.
pub fn filter(parameters: &mut Parameters) -> StreamFilter {
    StreamFilter {
        kind: parameters.one_of("type", &EventKind::ALL, EventKind::as_str),
        source_id: parameters.parsed("source_id"),
        endpoint_id: parameters.parsed("endpoint_id"),
        outcome: parameters.one_of("outcome", &OUTCOMES, |outcome| outcome),
        cause: parameters.one_of("cause", &Cause::ALL, Cause::as_str),
        event_type: parameters.text("event_type"),
    }
}
