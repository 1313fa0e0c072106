//! The secret that signs a project's sends to bare URLs.

use axum::extract::State;
use axum::routing::post;
use axum::{Json, Router};
use hooklatch_core::config::{Project, RotationInput, Scope};
use hooklatch_core::ids::ProjectId;
use hooklatch_core::secret::Secret;
use serde_json::{Value, json};

use crate::app::App;
use crate::caller::Caller;
use crate::directory::{Change, Document, fill};
use crate::json::JsonOrNothing;
use crate::path::Id;
use crate::problem::Problem;

pub(super) fn routes() -> Router<App> {
    Router::new().route("/v1/projects/{id}/rotate-secret", post(rotate_secret))
}

/// For the caller's own project only: another's does not exist.
async fn rotate_secret(
    State(app): State<App>,
    caller: Caller,
    Id(id): Id,
    JsonOrNothing(input): JsonOrNothing<RotationInput>,
) -> Result<Json<Value>, Problem> {
    caller.require(Scope::Manage)?;
    let own = id.parse::<ProjectId>().ok();
    if own != Some(caller.project) {
        return Err(Problem::not_found("project", id));
    }
    let mut random = [0; 32];
    fill(&mut random);
    let rotation = input.build(random)?;
    let rotated = app.directory().change(caller.project, |mut deciding| {
        let project = deciding.snapshot.project(caller.project);
        let project = project.ok_or_else(|| Problem::not_found("project", &id))?;
        let mut project = Project::clone(project);
        project.rotate_secret(&rotation, &mut deciding.making);
        Ok(Change {
            documents: vec![Document::Project(project.clone())],
            answer: project,
        })
    });
    let mut shown = rotated.await?.public();
    shown["secret"] = json!(Secret::expose(&rotation.secret.to_text()));
    Ok(Json(shown))
}
