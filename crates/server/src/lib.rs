//! The HTTP surface: ingest, the send API, and the resources that describe where things go.
//!
//! A handler extracts, converts, makes one call, and converts back. What a request means is decided
//! in `core`, under the lock that a store holds; what the configuration says is read from a
//! snapshot in memory, so that an arrival costs the store one call.

pub mod app;
pub mod body;
pub mod bootstrap;
pub mod caller;
pub mod directory;
pub mod edge;
mod health;
mod heavy;
pub mod history;
mod ingest;
pub mod json;
pub mod path;
pub mod problem;
mod resources;
mod send;
pub mod serve;

pub use app::{App, Settings};
pub use caller::Caller;
pub use json::ApiJson;
pub use path::Id;
pub use problem::{FieldProblem, Kind, Problem};

use axum::Router;
use axum::middleware::from_fn_with_state;

/// Every route, with what all of them share.
pub fn router(app: App) -> Router {
    let bounded = Router::new()
        .merge(ingest::routes())
        .merge(send::routes())
        .merge(resources::routes())
        .merge(history::routes())
        .fallback(no_such_path)
        .method_not_allowed_fallback(no_such_method)
        .layer(from_fn_with_state(app.clone(), edge::guard));
    let probes = health::routes()
        .method_not_allowed_fallback(no_such_method)
        .layer(from_fn_with_state(app.clone(), edge::probe));
    bounded.merge(probes).with_state(app)
}

async fn no_such_path() -> Problem {
    Problem::new(
        Kind::NotFound,
        "there is nothing at this path; the API lies under /v1",
    )
}

async fn no_such_method() -> Problem {
    Problem::new(
        Kind::MethodNotAllowed,
        "this path has other methods; the header Allow names them",
    )
}
