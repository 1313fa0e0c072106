//! The dashboard: what happened, why, and what to do now, for people who look rather than read.
//!
//! It is the API's first client. A page asks the API's own routes, in this process, as whoever has
//! signed in, and shows what they answer: so a page can show and do exactly what the caller's key
//! can, every bound of the API holds here as well, and no rule lives twice. What comes back is
//! hostile, payloads above all: it reaches a page through the template's escaping only, and no
//! page runs a script that is not [`assets`]'.

mod api;
mod assets;
mod commands;
mod connections;
mod endpoints;
mod fields;
mod filters;
mod form;
mod frame;
mod keys;
mod message;
mod messages;
mod names;
mod overview;
mod replays;
mod requests;
mod retention;
mod session;
mod settings;
mod sources;
mod start;
mod ui;
mod wire;

use axum::extract::Request;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Extension, Router};
use http::{HeaderName, HeaderValue, header};

use crate::app::App;

pub(crate) use frame::not_found;

/// The routes of the dashboard, over the routes of the API.
pub(crate) fn routes(api: Router) -> Router<App> {
    Router::new()
        .route("/", get(overview::show))
        .route("/sign-in", get(session::ask).post(session::sign_in))
        .route("/sign-out", post(session::sign_out))
        .route("/start", get(start::show).post(start::make_source))
        .route("/start/endpoint", post(start::make_endpoint))
        .route("/messages", get(messages::list))
        .route("/messages/{id}", get(message::show))
        .route("/messages/{id}/payload", get(message::payload))
        .route("/messages/{id}/retry", post(message::retry))
        .route("/deliveries/{id}/retry", post(message::retry_delivery))
        .route("/deliveries/{id}/cancel", post(message::cancel_delivery))
        .route("/requests", get(requests::list))
        .route("/requests/{id}", get(requests::show))
        .route("/requests/{id}/release", post(requests::release))
        .route("/requests/{id}/discard", post(requests::discard))
        .merge(resources())
        .merge(replay_routes())
        .route("/settings", get(settings::show))
        .route("/settings/keys", post(settings::make_key))
        .route("/settings/keys/{id}/revoke", post(settings::revoke))
        .route("/settings/projects", post(settings::make_project))
        .route("/settings/retention", post(settings::set_retention))
        .route("/keys", get(keys::show))
        .route("/keys/free", post(keys::free))
        .layer(axum::middleware::from_fn(protected))
        .layer(Extension(api::Api::new(api)))
        .merge(assets::routes())
}

fn resources() -> Router<App> {
    Router::new()
        .route("/sources", get(sources::list).post(sources::create))
        .route("/sources/new", get(sources::new))
        .route("/sources/{id}", get(sources::show).post(sources::change))
        .route("/sources/{id}/try", post(sources::attempt))
        .route("/endpoints", get(endpoints::list).post(endpoints::create))
        .route("/endpoints/new", get(endpoints::new))
        .route(
            "/endpoints/{id}",
            get(endpoints::show).post(endpoints::change),
        )
        .route("/endpoints/{id}/rotate", post(endpoints::rotate))
        .route(
            "/connections",
            get(connections::list).post(connections::create),
        )
        .route("/connections/new", get(connections::new))
        .route(
            "/connections/{id}",
            get(connections::show).post(connections::change),
        )
        .merge(commands::routes("sources"))
        .merge(commands::routes("endpoints"))
        .merge(commands::routes("connections"))
}

fn replay_routes() -> Router<App> {
    Router::new()
        .route("/replays", get(replays::list).post(replays::create))
        .route("/replays/new", get(replays::new))
        .route("/replays/{id}", get(replays::show))
        .route("/replays/{id}/start", post(replays::start))
        .route("/replays/{id}/pause", post(replays::pause))
        .route("/replays/{id}/resume", post(replays::resume))
        .route("/replays/{id}/cancel", post(replays::cancel))
}

/// What a browser may do with a page: nothing but what we gave it. No script or style stands in a
/// page itself, so a payload that escaped its escaping would still run nothing.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; \
    connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

async fn protected(request: Request, next: Next) -> Response {
    let mut answer = next.run(request).await.into_response();
    for (name, value) in [
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::X_FRAME_OPTIONS, "DENY"),
        (header::REFERRER_POLICY, "same-origin"),
        (header::CACHE_CONTROL, "no-store"),
        (
            HeaderName::from_static("cross-origin-opener-policy"),
            "same-origin",
        ),
    ] {
        answer
            .headers_mut()
            .entry(name)
            .or_insert(HeaderValue::from_static(value));
    }
    answer
}
