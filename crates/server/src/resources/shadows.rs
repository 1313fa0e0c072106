//! What rules in shadow mode have come to since they were set.

use axum::Router;
use axum::extract::State;
use axum::response::Response;
use axum::routing::get;
use hooklatch_core::config::{Connection, Rule, Scope, ShadowKey};
use hooklatch_core::rules::shadows_of;
use hooklatch_core::shadow::{ShadowCounts, ShadowId, ShadowSample};
use serde::Serialize;

use crate::app::App;
use crate::caller::Caller;
use crate::history::answer;
use crate::path::Id;
use crate::problem::Problem;

pub(super) fn routes() -> Router<App> {
    Router::new()
        .route("/v1/sources/{id}/shadow", get(of_source))
        .route("/v1/connections/{id}/shadow", get(of_connection))
}

/// Every rule of a source or connection that is in shadow mode.
#[derive(Debug, Serialize)]
struct Shadows<'a> {
    data: Vec<Shadowed<'a>>,
}

/// One rule, and what it has come to.
#[derive(Debug, Serialize)]
struct Shadowed<'a> {
    /// Its position in the connection; none for a source's key.
    rule: Option<u16>,
    /// What it says.
    tried: Tried<'a>,
    #[serde(flatten)]
    counts: ShadowCounts,
    samples: Vec<ShadowSample>,
}

#[derive(Debug, Serialize)]
#[serde(untagged)]
enum Tried<'a> {
    Key(&'a ShadowKey),
    Rule(&'a Rule),
}

async fn of_source(
    State(app): State<App>,
    caller: Caller,
    Id(id): Id,
) -> Result<Response, Problem> {
    caller.require(Scope::Read)?;
    let snapshot = app.directory().snapshot();
    let known = id.parse().ok();
    let ready = known.and_then(|id| snapshot.source(caller.project, id));
    let source = &ready
        .ok_or_else(|| Problem::not_found("source", &id))?
        .source;
    let mut data = Vec::new();
    if let (Some(rule), Some(key)) = (source.shadow(), &source.shadow_key) {
        data.push(shadowed(&app, None, Tried::Key(key), rule.id()).await?);
    }
    Ok(answer(&Shadows { data }))
}

async fn of_connection(
    State(app): State<App>,
    caller: Caller,
    Id(id): Id,
) -> Result<Response, Problem> {
    caller.require(Scope::Read)?;
    let snapshot = app.directory().snapshot();
    let known = id.parse().ok();
    let connection = known.and_then(|id| snapshot.connection(caller.project, id));
    let connection: &Connection =
        connection.ok_or_else(|| Problem::not_found("connection", &id))?;
    let mut data = Vec::new();
    for (position, shadow) in shadows_of(connection) {
        let tried = Tried::Rule(&connection.rules[usize::from(position)]);
        data.push(shadowed(&app, Some(position), tried, shadow).await?);
    }
    Ok(answer(&Shadows { data }))
}

async fn shadowed<'a>(
    app: &App,
    rule: Option<u16>,
    tried: Tried<'a>,
    shadow: ShadowId,
) -> Result<Shadowed<'a>, Problem> {
    let report = app.store().shadow_report(shadow).await?;
    Ok(Shadowed {
        rule,
        tried,
        counts: report.counts,
        samples: report.samples,
    })
}
