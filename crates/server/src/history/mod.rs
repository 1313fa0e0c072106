//! What happened, for people to see.

use axum::Router;

use crate::app::App;

/// The read routes of messages, requests, deliveries, attempts and keys.
pub fn routes() -> Router<App> {
    Router::new()
}
