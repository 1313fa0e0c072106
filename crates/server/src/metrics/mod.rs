//! Figures for Prometheus: `GET /metrics`.
//!
//! What this process has done is counted in memory, by numbers that only grow, since a scraper takes
//! differences; what waits now is asked of the store, at most every few seconds. No label has more
//! values than a bound says, and no name of a person's is among them.

mod counters;
mod gauges;
mod spans;
mod text;

pub use counters::{Metrics, Route};
pub(crate) use gauges::Known;

use axum::Router;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use http::header;

use crate::app::App;

pub(crate) fn routes() -> Router<App> {
    Router::new().route("/metrics", get(metrics))
}

/// The text format's version 0.0.4, which every scraper reads.
const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

async fn metrics(State(app): State<App>) -> Response {
    let mut text = text::Text::default();
    app.directory().metrics().write(&mut text);
    gauges::write(&app, &mut text).await;
    spans::write(&app, &mut text);
    ([(header::CONTENT_TYPE, CONTENT_TYPE)], text.finish()).into_response()
}
