//! Whether the process is up, and whether it can take a request.

use axum::extract::State;
use axum::routing::get;
use axum::{Json, Router};
use serde_json::{Value, json};

use crate::app::App;
use crate::problem::Problem;

pub(crate) fn routes() -> Router<App> {
    Router::new()
        .route("/healthz", get(healthz))
        .route("/readyz", get(readyz))
}

async fn healthz() -> Json<Value> {
    Json(json!({"status": "ok"}))
}

async fn readyz(State(app): State<App>) -> Result<Json<Value>, Problem> {
    let settings = app.settings();
    match tokio::time::timeout(settings.ready_timeout, app.store().ready()).await {
        Ok(Ok(())) => Ok(Json(
            json!({"status": "ready", "store": settings.kept.as_str()}),
        )),
        Ok(Err(error)) => Err(error.into()),
        Err(_) => Err(Problem::unavailable("the store does not answer in time")),
    }
}
