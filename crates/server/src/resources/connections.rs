//! Connections: what goes whither.

use std::sync::Arc;

use axum::extract::State;
use axum::routing::{get, post};
use axum::{Json, Router};
use hooklatch_core::config::{Connection, ConnectionInput, ConnectionPlace, Scope};
use hooklatch_core::delivery::Lane;
use hooklatch_core::ids::ConnectionId;
use hooklatch_core::time::Timestamp;
use http::StatusCode;
use serde_json::Value;

use super::list::{AskedPage, AskedUpsert, is_dry_run, page};
use super::transforms::check_scripts;
use crate::app::App;
use crate::caller::Caller;
use crate::directory::{Change, Deciding, Document, Snapshot};
use crate::json::ExactJson;
use crate::path::Id;
use crate::problem::Problem;

pub(super) fn routes() -> Router<App> {
    Router::new()
        .route("/v1/connections", post(create).put(upsert).get(list))
        .route(
            "/v1/connections/{id}",
            get(show).patch(patch).delete(delete),
        )
        .route("/v1/connections/{id}/pause", post(pause))
        .route("/v1/connections/{id}/resume", post(resume))
}

type Shown = Result<(StatusCode, Json<Value>), Problem>;

async fn create(
    State(app): State<App>,
    caller: Caller,
    ExactJson(input): ExactJson<ConnectionInput>,
) -> Shown {
    caller.require(Scope::Manage)?;
    check_scripts(&app, input.rules.as_deref()).await?;
    let made = app.directory().change(caller.project, |deciding| {
        built(input.clone(), None, &deciding)
    });
    Ok((StatusCode::CREATED, Json(made.await?.public())))
}

async fn upsert(
    State(app): State<App>,
    caller: Caller,
    asked: AskedUpsert,
    ExactJson(input): ExactJson<ConnectionInput>,
) -> Shown {
    caller.require(Scope::Manage)?;
    let dry_run = is_dry_run(asked)?;
    check_scripts(&app, input.rules.as_deref()).await?;
    let decide = |deciding: Deciding<'_>| {
        let existing = named(&deciding, input.name.as_deref());
        let status = if existing.is_some() {
            StatusCode::OK
        } else {
            StatusCode::CREATED
        };
        let change = built(input.clone(), existing, &deciding)?;
        Ok(Change {
            documents: change.documents,
            answer: (status, change.answer),
        })
    };
    if dry_run {
        let (status, connection) = app.directory().preview(caller.project, decide)?.answer;
        return Ok((status, Json(connection.public())));
    }
    let (status, connection) = app.directory().change(caller.project, decide).await?;
    set_aside(&app, &connection).await?;
    Ok((status, Json(connection.public())))
}

async fn list(
    State(app): State<App>,
    caller: Caller,
    asked: AskedPage,
) -> Result<Json<Value>, Problem> {
    caller.require(Scope::Read)?;
    let snapshot = app.directory().snapshot();
    let newest_first = snapshot.connections(caller.project).rev();
    let show = |connection: &&Arc<Connection>| Ok(connection.public());
    page(asked, newest_first, |connection| connection.id, show).map(Json)
}

async fn show(State(app): State<App>, caller: Caller, Id(id): Id) -> Result<Json<Value>, Problem> {
    caller.require(Scope::Read)?;
    let snapshot = app.directory().snapshot();
    Ok(Json(find(&snapshot, &caller, &id)?.public()))
}

async fn patch(
    State(app): State<App>,
    caller: Caller,
    Id(id): Id,
    ExactJson(patch): ExactJson<Value>,
) -> Result<Json<Value>, Problem> {
    caller.require(Scope::Manage)?;
    let rules = patch.get("rules").and_then(Value::as_array);
    check_scripts(&app, rules.map(Vec::as_slice)).await?;
    let changed = app.directory().change(caller.project, |deciding| {
        let existing = find(deciding.snapshot, &caller, &id)?;
        let input = ConnectionInput::patched(existing, patch.clone())?;
        built(input, Some(existing), &deciding)
    });
    let connection = changed.await?;
    set_aside(&app, &connection).await?;
    Ok(Json(connection.public()))
}

async fn pause(State(app): State<App>, caller: Caller, id: Id) -> Result<Json<Value>, Problem> {
    let connection = altered(&app, caller, id, Connection::pause).await?;
    set_aside(&app, &connection).await?;
    Ok(Json(connection.public()))
}

async fn resume(State(app): State<App>, caller: Caller, id: Id) -> Result<Json<Value>, Problem> {
    let connection = altered(&app, caller, id, Connection::resume).await?;
    Ok(Json(connection.public()))
}

async fn altered(
    app: &App,
    caller: Caller,
    Id(id): Id,
    alter: fn(&mut Connection, Timestamp),
) -> Result<Connection, Problem> {
    caller.require(Scope::Manage)?;
    let changed = app.directory().change(caller.project, |deciding| {
        let mut connection = find(deciding.snapshot, &caller, &id)?.clone();
        alter(&mut connection, deciding.making.now);
        Ok(Change {
            documents: vec![Document::Connection(connection.clone())],
            answer: connection,
        })
    });
    changed.await
}

/// Lets what waits for a connection that is paused wait where it stands in nobody's way. What is
/// leased at the moment, or comes from a node that does not know yet, is set aside when it is due.
async fn set_aside(app: &App, connection: &Connection) -> Result<(), Problem> {
    if connection.paused {
        let from = Lane::of_endpoint(connection.endpoint);
        let to = Lane::of_connection(connection.id);
        app.store().shift(connection.id, from, to).await?;
    }
    Ok(())
}

async fn delete(State(app): State<App>, caller: Caller, Id(id): Id) -> Result<StatusCode, Problem> {
    caller.require(Scope::Manage)?;
    let deleted = app.directory().change(caller.project, |deciding| {
        let existing = find(deciding.snapshot, &caller, &id)?;
        let now = deciding.making.now;
        let gone = Connection {
            deleted_at: Some(now),
            updated_at: now,
            ..existing.clone()
        };
        Ok(Change {
            documents: vec![Document::Connection(gone)],
            answer: (),
        })
    });
    deleted.await?;
    Ok(StatusCode::NO_CONTENT)
}

fn built(
    input: ConnectionInput,
    existing: Option<&Connection>,
    deciding: &Deciding<'_>,
) -> Result<Change<Connection>, Problem> {
    let project = deciding.making.project;
    let place = ConnectionPlace {
        new_id: ConnectionId::from_number(deciding.numbers[0]),
        existing,
        has_source: &|id| deciding.snapshot.source(project, id).is_some(),
        has_endpoint: &|id| deciding.snapshot.endpoint(project, id).is_some(),
    };
    let connection = input.build(place, &deciding.making)?;
    let documents = vec![Document::Connection(connection.clone())];
    Ok(Change {
        documents,
        answer: connection,
    })
}

fn named<'s>(deciding: &Deciding<'s>, name: Option<&str>) -> Option<&'s Connection> {
    let name = name?;
    let mut connections = deciding.snapshot.connections(deciding.making.project);
    connections
        .find(|connection| connection.name == name)
        .map(|connection| &**connection)
}

fn find<'s>(snapshot: &'s Snapshot, caller: &Caller, id: &str) -> Result<&'s Connection, Problem> {
    let found = id
        .parse()
        .ok()
        .and_then(|id| snapshot.connection(caller.project, id));
    found
        .map(|found| &**found)
        .ok_or_else(|| Problem::not_found("connection", id))
}
