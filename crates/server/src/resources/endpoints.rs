//! Endpoints: where messages are delivered.

use std::sync::Arc;

use axum::extract::State;
use axum::routing::{get, post};
use axum::{Json, Router};
use hooklatch_core::config::{
    BuiltEndpoint, Connection, Endpoint, EndpointInput, EndpointPlace, RotationInput, Scope,
    secret_changes,
};
use hooklatch_core::ids::EndpointId;
use hooklatch_core::secret::Secret;
use hooklatch_engine::ReadyEndpoint;
use http::StatusCode;
use serde_json::{Value, json};

use super::endpoint_state::add_state;
use super::list::{AskedPage, AskedUpsert, is_dry_run, page};
use crate::app::App;
use crate::caller::Caller;
use crate::directory::{Change, Deciding, Document, Snapshot, fill};
use crate::json::{ApiJson, JsonOrNothing};
use crate::path::Id;
use crate::problem::Problem;

pub(super) fn routes() -> Router<App> {
    Router::new()
        .route("/v1/endpoints", post(create).put(upsert).get(list))
        .route("/v1/endpoints/{id}", get(show).patch(patch).delete(delete))
        .route("/v1/endpoints/{id}/pause", post(pause))
        .route("/v1/endpoints/{id}/resume", post(resume))
        .route("/v1/endpoints/{id}/rotate-secret", post(rotate_secret))
}

type Shown = Result<(StatusCode, Json<Value>), Problem>;

async fn create(
    State(app): State<App>,
    caller: Caller,
    ApiJson(input): ApiJson<EndpointInput>,
) -> Shown {
    caller.require(Scope::Manage)?;
    let made = app.directory().change(caller.project, |deciding| {
        built(input.clone(), None, deciding)
    });
    Ok((StatusCode::CREATED, Json(shown_once(&app, made.await?))))
}

async fn upsert(
    State(app): State<App>,
    caller: Caller,
    asked: AskedUpsert,
    ApiJson(input): ApiJson<EndpointInput>,
) -> Shown {
    caller.require(Scope::Manage)?;
    let dry_run = is_dry_run(asked)?;
    let decide = |deciding: Deciding<'_>| {
        let existing = named(&deciding, input.name.as_deref());
        let status = if existing.is_some() {
            StatusCode::OK
        } else {
            StatusCode::CREATED
        };
        let change = built(input.clone(), existing.as_ref(), deciding)?;
        let differing = existing.as_ref().map(|existing| {
            let owner = existing.id.to_string();
            secret_changes(
                existing,
                &change.answer.endpoint,
                &owner,
                app.directory().sealing_key(),
            )
        });
        Ok(Change {
            documents: change.documents,
            answer: (status, change.answer, differing.unwrap_or_default()),
        })
    };
    let (status, built, differing) = if dry_run {
        app.directory().preview(caller.project, decide)?.answer
    } else {
        app.directory().change(caller.project, decide).await?
    };
    let mut shown = shown_once(&app, built);
    if dry_run {
        shown["secret_changes"] = json!(differing);
    }
    Ok((status, Json(shown)))
}

async fn list(
    State(app): State<App>,
    caller: Caller,
    asked: AskedPage,
) -> Result<Json<Value>, Problem> {
    caller.require(Scope::Read)?;
    let snapshot = app.directory().snapshot();
    let newest_first = snapshot.endpoints(caller.project).rev();
    let show =
        |ready: &&Arc<ReadyEndpoint>| Ok(ready.endpoint().public(app.directory().sealing_key()));
    let mut page = page(asked, newest_first, |ready| ready.endpoint().id, show)?;
    if let Some(shown) = page["data"].as_array_mut() {
        add_state(&app, &snapshot, caller.project, shown).await;
    }
    Ok(Json(page))
}

async fn show(State(app): State<App>, caller: Caller, Id(id): Id) -> Result<Json<Value>, Problem> {
    caller.require(Scope::Read)?;
    let snapshot = app.directory().snapshot();
    let endpoint = find(&snapshot, &caller, &id)?;
    let mut shown = [endpoint.public(app.directory().sealing_key())];
    add_state(&app, &snapshot, caller.project, &mut shown).await;
    let [shown] = shown;
    Ok(Json(shown))
}

async fn patch(
    State(app): State<App>,
    caller: Caller,
    Id(id): Id,
    ApiJson(patch): ApiJson<Value>,
) -> Result<Json<Value>, Problem> {
    caller.require(Scope::Manage)?;
    let changed = app.directory().change(caller.project, |deciding| {
        let existing = find(deciding.snapshot, &caller, &id)?.clone();
        let input = EndpointInput::patched(&existing, patch.clone(), deciding.making.sealing_key)?;
        let change = built(input, Some(&existing), deciding)?;
        Ok(Change {
            documents: change.documents,
            answer: (existing.paused, change.answer),
        })
    });
    let (was_paused, built) = changed.await?;
    if was_paused && !built.endpoint.paused {
        app.directory().hasten(built.endpoint.id).await?;
    }
    Ok(Json(shown_once(&app, built)))
}

async fn delete(State(app): State<App>, caller: Caller, Id(id): Id) -> Result<StatusCode, Problem> {
    caller.require(Scope::Manage)?;
    let deleted = app.directory().change(caller.project, |deciding| {
        let endpoint = find(deciding.snapshot, &caller, &id)?;
        let now = deciding.making.now;
        let gone = Endpoint {
            deleted_at: Some(now),
            updated_at: now,
            ..endpoint.clone()
        };
        // The endpoint first: should the rest be lost, connections to nowhere do no harm.
        let mut documents = vec![Document::Endpoint(Box::new(gone))];
        let to_it = |connection: &&Arc<Connection>| connection.endpoint == endpoint.id;
        for connection in deciding.snapshot.connections(caller.project).filter(to_it) {
            let connection = Connection::clone(connection);
            documents.push(Document::Connection(Connection {
                deleted_at: Some(now),
                ..connection
            }));
        }
        Ok(Change {
            documents,
            answer: endpoint.id,
        })
    });
    let id = deleted.await?;
    app.directory().hasten(id).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn pause(State(app): State<App>, caller: Caller, id: Id) -> Result<Json<Value>, Problem> {
    let paused = altered(&app, caller, id, |endpoint, deciding| {
        endpoint.paused = true;
        endpoint.updated_at = deciding.making.now;
    });
    Ok(Json(paused.await?.public(app.directory().sealing_key())))
}

async fn resume(State(app): State<App>, caller: Caller, id: Id) -> Result<Json<Value>, Problem> {
    let resumed = altered(&app, caller, id, |endpoint, deciding| {
        endpoint.resume(deciding.making.now);
    });
    let endpoint = resumed.await?;
    app.directory().hasten(endpoint.id).await?;
    Ok(Json(endpoint.public(app.directory().sealing_key())))
}

async fn rotate_secret(
    State(app): State<App>,
    caller: Caller,
    id: Id,
    JsonOrNothing(input): JsonOrNothing<RotationInput>,
) -> Result<Json<Value>, Problem> {
    let mut random = [0; 32];
    fill(&mut random);
    let rotation = input.build(random)?;
    let rotated = altered(&app, caller, id, |endpoint, deciding| {
        endpoint.rotate_secret(&rotation, &mut deciding.making);
    });
    let endpoint = rotated.await?;
    Ok(Json(shown_once(
        &app,
        BuiltEndpoint {
            endpoint,
            secret: Some(rotation.secret.to_text()),
        },
    )))
}

async fn altered(
    app: &App,
    caller: Caller,
    Id(id): Id,
    alter: impl Fn(&mut Endpoint, &mut Deciding<'_>) + Send + Sync,
) -> Result<Endpoint, Problem> {
    caller.require(Scope::Manage)?;
    let changed = app.directory().change(caller.project, |mut deciding| {
        let mut endpoint = find(deciding.snapshot, &caller, &id)?.clone();
        alter(&mut endpoint, &mut deciding);
        let documents = vec![Document::Endpoint(Box::new(endpoint.clone()))];
        Ok(Change {
            documents,
            answer: endpoint,
        })
    });
    changed.await
}

fn built(
    input: EndpointInput,
    existing: Option<&Endpoint>,
    mut deciding: Deciding<'_>,
) -> Result<Change<BuiltEndpoint>, Problem> {
    let new_id = EndpointId::from_number(deciding.numbers[0]);
    let project = deciding.making.project;
    let built = input.build(EndpointPlace { new_id, existing }, &mut deciding.making)?;
    let known = |id| deciding.snapshot.endpoint(project, id).cloned();
    let failover = built.endpoint.check_failover(known);
    failover.map_err(|error| vec![error])?;
    if built.endpoint.auth.is_some() {
        let ready = ReadyEndpoint::new(built.endpoint.clone(), deciding.making.sealing_key);
        if let Some(why) = ready.unusable() {
            return Err(Problem::field("/auth", why));
        }
    }
    let documents = vec![Document::Endpoint(Box::new(built.endpoint.clone()))];
    Ok(Change {
        documents,
        answer: built,
    })
}

fn named(deciding: &Deciding<'_>, name: Option<&str>) -> Option<Endpoint> {
    let name = name?;
    let endpoints = deciding.snapshot.endpoints(deciding.making.project);
    let mut endpoints = endpoints.map(|ready| ready.endpoint());
    endpoints.find(|endpoint| endpoint.name == name).cloned()
}

fn find<'s>(snapshot: &'s Snapshot, caller: &Caller, id: &str) -> Result<&'s Endpoint, Problem> {
    let ready = id
        .parse()
        .ok()
        .and_then(|id| snapshot.endpoint(caller.project, id));
    ready
        .map(|ready| ready.endpoint())
        .ok_or_else(|| Problem::not_found("endpoint", id))
}

/// What `GET` shows, and a secret that was made now, which is shown this once.
fn shown_once(app: &App, built: BuiltEndpoint) -> Value {
    let mut shown = built.endpoint.public(app.directory().sealing_key());
    if let Some(secret) = &built.secret {
        shown["secret"] = json!(Secret::expose(secret));
    }
    shown
}
