//! Sources: where providers' webhooks arrive.

use std::sync::Arc;

use axum::extract::State;
use axum::routing::{get, post};
use axum::{Json, Router};
use hooklatch_core::config::{
    Connection, GroupFacts, Origin, Scope, Source, SourceInput, SourcePlace, secret_changes,
};
use hooklatch_core::ids::{GroupId, SourceId};
use hooklatch_core::time::Millis;
use http::{HeaderMap, StatusCode, header};
use serde::Deserialize;
use serde_json::{Value, json};

use super::list::{AskedPage, AskedUpsert, is_dry_run, page};
use crate::app::App;
use crate::caller::Caller;
use crate::directory::{Change, Deciding, Document, ReadySource, Snapshot, name_taken};
use crate::json::{ApiJson, ApiText, read};
use crate::path::Id;
use crate::problem::Problem;

pub(super) fn routes() -> Router<App> {
    Router::new()
        .route("/v1/sources", post(create).put(upsert).get(list))
        .route("/v1/sources/{id}", get(show).patch(patch).delete(delete))
        .route("/v1/sources/{id}/pause", post(pause))
        .route("/v1/sources/{id}/resume", post(resume))
        .route("/v1/sources/{id}/rotate-token", post(rotate_token))
}

type Shown = Result<(StatusCode, Json<Value>), Problem>;

async fn create(
    State(app): State<App>,
    caller: Caller,
    headers: HeaderMap,
    ApiJson(input): ApiJson<SourceInput>,
) -> Shown {
    caller.require(Scope::Manage)?;
    let source = app.directory().change(caller.project, |deciding| {
        refuse_taken(&deciding, input.name.as_deref())?;
        built(input.clone(), None, deciding)
    });
    let source = source.await?;
    Ok((StatusCode::CREATED, Json(shown(&app, &headers, &source)?)))
}

async fn upsert(
    State(app): State<App>,
    caller: Caller,
    asked: AskedUpsert,
    headers: HeaderMap,
    ApiJson(input): ApiJson<SourceInput>,
) -> Shown {
    caller.require(Scope::Manage)?;
    let dry_run = is_dry_run(asked)?;
    let decide = |deciding: Deciding<'_>| {
        let existing = named(&deciding, input.name.as_deref()).cloned();
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
                &change.answer,
                &owner,
                app.directory().sealing_key(),
            )
        });
        Ok(Change {
            documents: change.documents,
            answer: (status, change.answer, differing.unwrap_or_default()),
        })
    };
    let (status, source, differing) = if dry_run {
        app.directory().preview(caller.project, decide)?.answer
    } else {
        app.directory().change(caller.project, decide).await?
    };
    let mut shown = shown(&app, &headers, &source)?;
    if dry_run {
        shown["secret_changes"] = json!(differing);
    }
    Ok((status, Json(shown)))
}

async fn list(
    State(app): State<App>,
    caller: Caller,
    headers: HeaderMap,
    asked: AskedPage,
) -> Result<Json<Value>, Problem> {
    caller.require(Scope::Read)?;
    let snapshot = app.directory().snapshot();
    let newest_first = snapshot.sources(caller.project).rev();
    let show = |ready: &&Arc<ReadySource>| shown(&app, &headers, &ready.source);
    page(asked, newest_first, |ready| ready.source.id, show).map(Json)
}

async fn show(
    State(app): State<App>,
    caller: Caller,
    Id(id): Id,
    headers: HeaderMap,
) -> Result<Json<Value>, Problem> {
    caller.require(Scope::Read)?;
    let snapshot = app.directory().snapshot();
    let source = find(&snapshot, &caller, &id)?;
    shown(&app, &headers, source).map(Json)
}

async fn patch(
    State(app): State<App>,
    caller: Caller,
    Id(id): Id,
    headers: HeaderMap,
    ApiJson(patch): ApiJson<Value>,
) -> Result<Json<Value>, Problem> {
    caller.require(Scope::Manage)?;
    let source = app.directory().change(caller.project, |deciding| {
        let existing = find(deciding.snapshot, &caller, &id)?.clone();
        let input = SourceInput::patched(&existing, patch.clone())?;
        built(input, Some(&existing), deciding)
    });
    shown(&app, &headers, &source.await?).map(Json)
}

async fn delete(State(app): State<App>, caller: Caller, Id(id): Id) -> Result<StatusCode, Problem> {
    caller.require(Scope::Manage)?;
    let deleted = app.directory().change(caller.project, |deciding| {
        let source = find(deciding.snapshot, &caller, &id)?;
        let now = deciding.making.now;
        let gone = Source {
            deleted_at: Some(now),
            updated_at: now,
            ..source.clone()
        };
        // The source first: should the rest be lost, connections from nowhere do no harm.
        let mut documents = vec![Document::Source(Box::new(gone))];
        let from_it = |connection: &&Arc<Connection>| match connection.from {
            Origin::Source(from) => from == source.id,
            Origin::EventTypes(_) => false,
        };
        for connection in deciding
            .snapshot
            .connections(caller.project)
            .filter(from_it)
        {
            let connection = Connection::clone(connection);
            documents.push(Document::Connection(Connection {
                deleted_at: Some(now),
                ..connection
            }));
        }
        Ok(Change {
            documents,
            answer: (),
        })
    });
    deleted.await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn pause(
    state: State<App>,
    caller: Caller,
    id: Id,
    headers: HeaderMap,
) -> Result<Json<Value>, Problem> {
    set_paused(state, caller, id, headers, true).await
}

async fn resume(
    state: State<App>,
    caller: Caller,
    id: Id,
    headers: HeaderMap,
) -> Result<Json<Value>, Problem> {
    set_paused(state, caller, id, headers, false).await
}

async fn set_paused(
    State(app): State<App>,
    caller: Caller,
    Id(id): Id,
    headers: HeaderMap,
    paused: bool,
) -> Result<Json<Value>, Problem> {
    caller.require(Scope::Manage)?;
    let source = app.directory().change(caller.project, |deciding| {
        let existing = find(deciding.snapshot, &caller, &id)?;
        let now = deciding.making.now;
        let source = Source {
            paused,
            updated_at: now,
            ..existing.clone()
        };
        let documents = vec![Document::Source(Box::new(source.clone()))];
        Ok(Change {
            documents,
            answer: source,
        })
    });
    shown(&app, &headers, &source.await?).map(Json)
}

/// How long the URL before goes on where nobody says otherwise, in seconds: a day.
const OVERLAP_SECONDS_DEFAULT: i64 = 86_400;
/// The longest time for which it may, in seconds: 30 days.
const OVERLAP_SECONDS_MAX: i64 = 30 * 86_400;

/// How a token is rotated.
#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Rotation {
    overlap_seconds: Option<i64>,
}

async fn rotate_token(
    State(app): State<App>,
    caller: Caller,
    Id(id): Id,
    headers: HeaderMap,
    ApiText { text, .. }: ApiText,
) -> Result<Json<Value>, Problem> {
    caller.require(Scope::Manage)?;
    let rotation = if text.is_empty() {
        Rotation::default()
    } else {
        read::<Rotation>(&text)?
    };
    let seconds = rotation.overlap_seconds.unwrap_or(OVERLAP_SECONDS_DEFAULT);
    if !(0..=OVERLAP_SECONDS_MAX).contains(&seconds) {
        let detail = format!("should be from 0 to {OVERLAP_SECONDS_MAX}");
        return Err(Problem::field("/overlap_seconds", detail));
    }
    let rotated = app.directory().change(caller.project, |mut deciding| {
        let mut source = find(deciding.snapshot, &caller, &id)?.clone();
        source.rotate_token(Millis::from_seconds(seconds), &mut deciding.making);
        let documents = vec![Document::Source(Box::new(source.clone()))];
        Ok(Change {
            documents,
            answer: source,
        })
    });
    shown(&app, &headers, &rotated.await?).map(Json)
}

/// The source that an input leads to, with the group that is founded or changed by it.
fn built(
    input: SourceInput,
    existing: Option<&Source>,
    mut deciding: Deciding<'_>,
) -> Result<Change<Source>, Problem> {
    let [new_source, new_group] = deciding.numbers;
    let project = deciding.making.project;
    let itself = existing.map(|source| source.id);
    let sources = deciding.snapshot.sources(project);
    let others: Vec<&Source> = sources
        .map(|ready| &ready.source)
        .filter(|source| Some(source.id) != itself)
        .collect();
    let group = input.group_name().map(|name| {
        let known = deciding
            .snapshot
            .groups(project)
            .find(|group| group.name == name);
        let known = known.map(|group| &**group);
        GroupFacts {
            existing: known,
            others: &others,
            new_id: GroupId::from_number(new_group),
        }
    });
    let place = SourcePlace {
        new_id: SourceId::from_number(new_source),
        existing,
        group,
    };
    let built = input.build(place, &mut deciding.making)?;
    let mut documents: Vec<Document> = built.group.map(Document::Group).into_iter().collect();
    documents.push(Document::Source(Box::new(built.source.clone())));
    Ok(Change {
        documents,
        answer: built.source,
    })
}

/// The store would refuse the name as well, but only after a new group was stored.
fn refuse_taken(deciding: &Deciding<'_>, name: Option<&str>) -> Result<(), Problem> {
    match named(deciding, name) {
        None => Ok(()),
        Some(source) => Err(name_taken(&Document::Source(Box::new(source.clone())))),
    }
}

fn named<'s>(deciding: &Deciding<'s>, name: Option<&str>) -> Option<&'s Source> {
    let name = name?;
    let project = deciding.making.project;
    let mut sources = deciding
        .snapshot
        .sources(project)
        .map(|ready| &ready.source);
    sources.find(|source| source.name == name)
}

fn find<'s>(snapshot: &'s Snapshot, caller: &Caller, id: &str) -> Result<&'s Source, Problem> {
    let ready = id
        .parse()
        .ok()
        .and_then(|id| snapshot.source(caller.project, id));
    ready
        .map(|ready| &ready.source)
        .ok_or_else(|| Problem::not_found("source", id))
}

/// What `GET` shows, with the URL that providers shall call.
fn shown(app: &App, headers: &HeaderMap, source: &Source) -> Result<Value, Problem> {
    let token = source
        .token(app.directory().sealing_key())
        .map_err(|error| {
            tracing::error!(id = %source.id, %error, "the token of a source does not open");
            Problem::internal()
        })?;
    let base = base_url(app, headers);
    Ok(source.public(&format!("{base}/ingest/{}", token.expose())))
}

/// Where this gateway is reached from outside.
pub(crate) fn base_url(app: &App, headers: &HeaderMap) -> String {
    if let Some(url) = &app.settings().public_url {
        return url.trim_end_matches('/').to_owned();
    }
    let host = headers
        .get(header::HOST)
        .and_then(|host| host.to_str().ok());
    let scheme = app.settings().scheme.as_str();
    format!("{scheme}://{}", host.unwrap_or("localhost"))
}
