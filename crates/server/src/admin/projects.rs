//! Projects.

use axum::Json;
use axum::extract::State;
use hooklatch_core::config::{Project, ProjectInput};
use hooklatch_core::ids::ProjectId;
use http::StatusCode;
use serde_json::{Value, json};

use super::require_admin;
use crate::app::App;
use crate::caller::Caller;
use crate::directory::{Change, Document, name_taken};
use crate::json::ApiJson;
use crate::path::Id;
use crate::problem::Problem;
use crate::resources::list::{AskedPage, page};

pub(super) async fn create(
    State(app): State<App>,
    caller: Caller,
    ApiJson(input): ApiJson<ProjectInput>,
) -> Result<(StatusCode, Json<Value>), Problem> {
    require_admin(&caller)?;
    let made = app.directory().change(caller.project, |mut deciding| {
        let mut known = deciding.snapshot.projects();
        if let Some(known) = known.find(|known| Some(&known.name) == input.name.as_ref()) {
            let taken = Document::Project(Project::clone(known));
            return Err(name_taken(&taken));
        }
        deciding.making.project = ProjectId::from_number(deciding.numbers[0]);
        let (project, secret) = input.clone().build(&mut deciding.making)?;
        let documents = vec![Document::Project(project.clone())];
        Ok(Change {
            documents,
            answer: (project, secret),
        })
    });
    let (project, secret) = made.await?;
    let mut shown = project.public();
    // Shown this once.
    shown["signing_secret"] = json!(secret.expose());
    Ok((StatusCode::CREATED, Json(shown)))
}

pub(super) async fn list(
    State(app): State<App>,
    caller: Caller,
    asked: AskedPage,
) -> Result<Json<Value>, Problem> {
    require_admin(&caller)?;
    let snapshot = app.directory().snapshot();
    let newest_first = snapshot.projects().rev();
    page(
        asked,
        newest_first,
        |project| project.id,
        |it| Ok(it.public()),
    )
    .map(Json)
}

pub(super) async fn show(
    State(app): State<App>,
    caller: Caller,
    Id(id): Id,
) -> Result<Json<Value>, Problem> {
    require_admin(&caller)?;
    let snapshot = app.directory().snapshot();
    let mut projects = snapshot.projects();
    let project = projects.find(|project| project.id.to_string() == id);
    let project = project.ok_or_else(|| no_such(&id))?;
    Ok(Json(project.public()))
}

pub(super) fn no_such(id: &str) -> Problem {
    Problem::new(
        crate::problem::Kind::NotFound,
        format!("there is no project {id}; GET /v1/projects lists them"),
    )
}
