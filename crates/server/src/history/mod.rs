//! What happened, for people and programs to see, and what a person can do about it.
//!
//! Everything a project has recorded is reached from here: messages, the requests that became or
//! repeated them, their deliveries and attempts, and the ledger's keys. A key with the scope `read`
//! may look; retry, cancel, release, discard and free need `manage`. Another project's things are
//! answered like things that do not exist.
//!
//! # Choices
//!
//! - An id that cannot be one is answered with 404, like one that is unknown; a value of a filter
//!   that cannot be one is answered with 422, as is a parameter that does not exist.
//! - Lists never carry a payload over 64 KiB nor more than 100 deliveries of one message; the
//!   record itself has both whole.
//! - `POST /v1/messages/{id}/retry` attempts at once every delivery that was not delivered and is
//!   not under way: failed, held, cancelled, or waiting for its time.

mod deliveries;
mod keys;
mod listing;
mod messages;
mod parameters;
mod requests;
mod retrying;
mod search;
mod under;
pub mod views;

pub use parameters::Parameters;

use axum::Router;
use axum::extract::FromRequestParts;
use axum::extract::rejection::PathRejection;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use http::header;
use http::request::Parts;
use serde::Serialize;

pub(crate) use listing::{Listed, list, whole_list};
pub(crate) use under::messages_under;

use crate::app::App;
use crate::problem::{Kind, Problem};

/// The routes of the history.
pub fn routes() -> Router<App> {
    Router::new()
        .route("/v1/messages", get(messages::list))
        .route("/v1/messages/{id}", get(messages::show))
        .route("/v1/messages/{id}/requests", get(messages::requests))
        .route("/v1/messages/{id}/deliveries", get(messages::deliveries))
        .route("/v1/messages/{id}/retry", post(messages::retry))
        .route("/v1/requests", get(requests::list_all))
        .route("/v1/requests/{id}", get(requests::show))
        .route("/v1/requests/{id}/release", post(requests::release))
        .route("/v1/requests/{id}/discard", post(requests::discard))
        .route("/v1/deliveries/{id}", get(deliveries::show))
        .route("/v1/deliveries/{id}/attempts", get(deliveries::attempts_of))
        .route("/v1/deliveries/{id}/retry", post(deliveries::retry))
        .route("/v1/deliveries/{id}/cancel", post(deliveries::cancel))
        .route("/v1/attempts", get(deliveries::attempts))
        .route("/v1/keys", get(keys::show_named).delete(keys::free_named))
        .route("/v1/keys/{key}", get(keys::show).delete(keys::free))
}

/// The last part of the path, decoded: an id, or a key.
pub(crate) struct PathText(pub String);

impl FromRequestParts<App> for PathText {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Problem> {
        let text: Result<axum::extract::Path<String>, PathRejection> =
            axum::extract::Path::from_request_parts(parts, app).await;
        match text {
            Ok(axum::extract::Path(text)) => Ok(Self(text)),
            Err(_) => Err(Problem::new(
                Kind::NotFound,
                "nothing is found under this path, which is not UTF-8 once it is decoded",
            )),
        }
    }
}

impl PathText {
    /// The id that it spells; 404 where it spells none.
    pub(crate) fn id<T: std::str::FromStr>(&self, what: &str) -> Result<T, Problem> {
        let id = self.0.parse();
        id.map_err(|_| Problem::not_found(what, &self.0))
    }
}

/// A record as JSON. Records hold parts of the store's answer, so they are written out here rather
/// than handed on.
pub(crate) fn answer(record: &impl Serialize) -> Response {
    let text = serde_json::to_vec(record).expect("records have text keys and plain values");
    ([(header::CONTENT_TYPE, "application/json")], text).into_response()
}
