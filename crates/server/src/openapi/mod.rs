//! The contract of the API as an OpenAPI 3.1 document, and a page to read it.
//!
//! The document is put together from a table of operations (`operations`) and schemas that take
//! their names from our own enums. A test compares the table with the routes in the source, so that
//! none is left out. The page loads nothing from outside, and shows the reader's own URL in its
//! examples; of a key it only ever sees what the reader types, and keeps it in the page.

mod document;
mod examples;
mod operations;
mod page;
mod schemas;

pub use document::document;

use axum::Router;
use axum::extract::State;
use axum::response::{Html, IntoResponse, Response};
use axum::routing::get;
use http::{HeaderMap, HeaderName, HeaderValue, header};

use crate::app::App;
use crate::resources::base_url;

pub(crate) fn routes() -> Router<App> {
    Router::new()
        .route("/openapi.json", get(openapi))
        .route("/docs", get(docs))
}

async fn openapi(State(app): State<App>, headers: HeaderMap) -> Response {
    let text = document(&base_url(&app, &headers)).to_string();
    ([(header::CONTENT_TYPE, "application/json")], text).into_response()
}

/// What the page may do: nothing but show itself.
const POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; style-src 'unsafe-inline'; script-src 'self'; base-uri 'none'; \
     form-action 'none'; frame-ancestors 'none'",
);

async fn docs(State(app): State<App>, headers: HeaderMap) -> Response {
    let policy = HeaderName::from_static("content-security-policy");
    let page = page::page(&document(&base_url(&app, &headers)));
    ([(policy, POLICY)], Html(page)).into_response()
}

#[cfg(test)]
mod tests;
