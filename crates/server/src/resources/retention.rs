//! How long the caller's project keeps its past.

use axum::extract::State;
use axum::routing::get;
use axum::{Json, Router};
use hooklatch_core::config::{Project, Scope};
use hooklatch_core::ids::ProjectId;
use hooklatch_core::retention::RetentionSettings;
use serde_json::Value;

use crate::app::App;
use crate::caller::Caller;
use crate::directory::{Change, Document, Snapshot};
use crate::json::ApiJson;
use crate::problem::Problem;

pub(super) fn routes() -> Router<App> {
    Router::new().route("/v1/retention", get(show).put(set))
}

async fn show(State(app): State<App>, caller: Caller) -> Result<Json<RetentionSettings>, Problem> {
    caller.require(Scope::Read)?;
    let snapshot = app.directory().snapshot();
    Ok(Json(own(&snapshot, caller.project)?.retention))
}

/// What is left out is kept for as long as the gateway's own settings say.
async fn set(
    State(app): State<App>,
    caller: Caller,
    ApiJson(retention): ApiJson<RetentionSettings>,
) -> Result<Json<Value>, Problem> {
    caller.require(Scope::Manage)?;
    let errors = retention.check();
    if !errors.is_empty() {
        return Err(errors.into());
    }
    let saved = app.directory().change(caller.project, |deciding| {
        let project = Project {
            retention,
            ..own(deciding.snapshot, caller.project)?.clone()
        };
        Ok(Change {
            answer: project.public()["retention"].clone(),
            documents: vec![Document::Project(project)],
        })
    });
    Ok(Json(saved.await?))
}

fn own(snapshot: &Snapshot, id: ProjectId) -> Result<&Project, Problem> {
    let found = snapshot.projects().find(|project| project.id == id);
    found
        .map(|project| &**project)
        .ok_or_else(|| Problem::not_found("project", id))
}
