//! The HTTP surface: ingest, the send API, the resources that describe where things go, and the
//! dashboard.
//!
//! A handler extracts, converts, makes one call, and converts back. What a request means is decided
//! in `core`, under the lock that a store holds; what the configuration says is read from a
//! snapshot in memory, so that an arrival costs the store one call.

mod admin;
pub mod api;
pub mod app;
mod audit;
pub mod backtest;
pub mod body;
pub mod bootstrap;
pub mod caller;
mod claims;
pub mod directory;
pub mod edge;
mod health;
mod heavy;
pub mod history;
mod ingest;
pub mod json;
pub mod metrics;
pub mod openapi;
mod pages;
pub mod path;
mod patience;
pub mod problem;
mod replays;
mod resources;
pub mod retention;
mod seldom;
mod send;
pub mod serve;
pub mod stats;
pub mod stream;
pub mod tls;
mod trace;

pub use app::{App, Helpers, Kept, Scheme, Settings};
pub use caller::Caller;
pub use json::ApiJson;
pub use path::Id;
pub use problem::{FieldProblem, Kind, Problem};

use axum::Router;
use axum::middleware::from_fn_with_state;
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, header};

/// Every route, with what all of them share.
pub fn router(app: App) -> Router {
    let guarded = api_routes().layer(from_fn_with_state(app.clone(), api::guard));
    let bounded = Router::new()
        .merge(ingest::routes())
        .merge(pages::routes(api_routes().with_state(app.clone())))
        .merge(guarded)
        .fallback(no_such_path)
        .method_not_allowed_fallback(no_such_method)
        .layer(from_fn_with_state(app.clone(), edge::guard));
    let probes = health::routes()
        .merge(metrics::routes())
        .merge(openapi::routes())
        .method_not_allowed_fallback(no_such_method)
        .layer(from_fn_with_state(app.clone(), edge::probe));
    bounded.merge(probes).with_state(app)
}

/// The routes that need an API key; the dashboard asks them as whoever has signed in.
fn api_routes() -> Router<App> {
    Router::new()
        .merge(admin::routes())
        .merge(send::routes())
        .merge(resources::routes())
        .merge(history::routes())
        .merge(stats::routes())
        .merge(stream::routes())
        .merge(replays::routes())
        .merge(claims::routes())
}

/// A browser gets a page, everybody else a problem.
async fn no_such_path(headers: HeaderMap) -> Response {
    let accepts = headers.get(header::ACCEPT);
    if accepts.is_some_and(|kinds| kinds.as_bytes().starts_with(b"text/html")) {
        return pages::not_found();
    }
    let problem = Problem::new(
        Kind::NotFound,
        "there is nothing at this path; the API lies under /v1",
    );
    problem.into_response()
}

async fn no_such_method() -> Problem {
    Problem::new(
        Kind::MethodNotAllowed,
        "this path has other methods; the header Allow names them",
    )
}
