//! API keys: made, listed, revoked. A key's text is shown once; only its hash is stored.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use hooklatch_core::config::{ApiKey, ApiKeyInput};
use hooklatch_core::ids::{ApiKeyId, ProjectId};
use hooklatch_core::time::Timestamp;
use http::StatusCode;
use serde_json::{Value, json};

use super::require_admin;
use crate::app::App;
use crate::caller::Caller;
use crate::directory::{Change, Document, Snapshot};
use crate::json::ApiJson;
use crate::path::Id;
use crate::problem::{Kind, Problem};
use crate::resources::list::{AskedPage, page};

pub(super) async fn create(
    State(app): State<App>,
    caller: Caller,
    ApiJson(input): ApiJson<ApiKeyInput>,
) -> Result<(StatusCode, Json<Value>), Problem> {
    require_admin(&caller)?;
    let project = input.project_id.unwrap_or(caller.project);
    let made = app.directory().change(project, |mut deciding| {
        known_project(deciding.snapshot, project)?;
        let id = ApiKeyId::from_number(deciding.numbers[0]);
        let (key, text) = input.clone().build(id, &mut deciding.making)?;
        let documents = vec![Document::ApiKey(key.clone())];
        Ok(Change {
            documents,
            answer: (key, text),
        })
    });
    let (key, text) = made.await?;
    let mut shown = shown(&key, None);
    // Shown this once.
    shown["key"] = json!(text.expose());
    Ok((StatusCode::CREATED, Json(shown)))
}

fn known_project(snapshot: &Snapshot, id: ProjectId) -> Result<(), Problem> {
    if snapshot.projects().any(|project| project.id == id) {
        return Ok(());
    }
    Err(Problem::field(
        "/project_id",
        "is no project; GET /v1/projects lists them",
    ))
}

pub(super) async fn list(
    State(app): State<App>,
    caller: Caller,
    asked: AskedPage,
) -> Result<Json<Value>, Problem> {
    require_admin(&caller)?;
    let snapshot = app.directory().snapshot();
    let keys: Vec<&Arc<ApiKey>> = snapshot.all_api_keys().rev().collect();
    let ids: Vec<ApiKeyId> = keys.iter().map(|key| key.id).collect();
    let used = last_used(&app, ids).await?;
    let show = |key: &&Arc<ApiKey>| Ok(shown(key, used.get(&key.id).copied().flatten()));
    page(asked, keys.into_iter(), |key| key.id, show).map(Json)
}

pub(super) async fn show(
    State(app): State<App>,
    caller: Caller,
    Id(id): Id,
) -> Result<Json<Value>, Problem> {
    require_admin(&caller)?;
    let snapshot = app.directory().snapshot();
    let key = find(&snapshot, &id)?;
    let used = last_used(&app, vec![key.id]).await?;
    Ok(Json(shown(key, used.get(&key.id).copied().flatten())))
}

pub(super) async fn delete(
    State(app): State<App>,
    caller: Caller,
    Id(id): Id,
) -> Result<StatusCode, Problem> {
    require_admin(&caller)?;
    let project = find(&app.directory().snapshot(), &id)?.project;
    let deleted = app.directory().change(project, |deciding| {
        let key = find(deciding.snapshot, &id)?;
        let mut others = deciding.snapshot.all_api_keys();
        if key.admin && !others.any(|other| other.admin && other.id != key.id) {
            return Err(Problem::conflict(
                "this is the last admin key; make another one first, or nobody could make keys",
            ));
        }
        let gone = ApiKey {
            deleted_at: Some(deciding.making.now),
            ..ApiKey::clone(key)
        };
        Ok(Change {
            documents: vec![Document::ApiKey(gone)],
            answer: (),
        })
    });
    deleted.await?;
    Ok(StatusCode::NO_CONTENT)
}

fn find<'s>(snapshot: &'s Snapshot, id: &str) -> Result<&'s Arc<ApiKey>, Problem> {
    let mut keys = snapshot.all_api_keys();
    let found = keys.find(|key| key.id.to_string() == id);
    found.ok_or_else(|| {
        let detail = format!("there is no API key {id}; GET /v1/api-keys lists them");
        Problem::new(Kind::NotFound, detail)
    })
}

/// When keys were last used, to the minute: as this node knows it, and as it was stored.
async fn last_used(
    app: &App,
    keys: Vec<ApiKeyId>,
) -> Result<BTreeMap<ApiKeyId, Option<Timestamp>>, Problem> {
    let stored = app.store().last_used(keys.clone()).await?;
    let newest =
        |(key, stored): (ApiKeyId, Option<Timestamp>)| (key, stored.max(app.used().last(key)));
    Ok(keys.into_iter().zip(stored).map(newest).collect())
}

fn shown(key: &ApiKey, last_used_at: Option<Timestamp>) -> Value {
    let mut shown = key.public();
    shown["last_used_at"] = json!(last_used_at);
    shown
}
