//! Replays: many deliveries, sent again or called off as one job that a person plans, looks at,
//! starts, and can stop at any time (P1 to P4).
//!
//! # Choices
//!
//! - `POST /v1/deliveries/retry` and `/cancel` are the same job, started by itself once its plan is
//!   made: whoever asks for "all of these" has said so already.
//! - `start` on a plan that is still being made is noted durably, and then waits for the plan up to
//!   [`PLAN_PATIENCE`], so that a script that creates and starts sees it run.
//! - A request key (`Idempotency-Key`) is remembered for as long as the replay is.

mod input;
mod view;

use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use hooklatch_core::config::Scope;
use hooklatch_core::ids::ReplayId;
use hooklatch_core::replay::{Action, Replay, ReplayCommand, ReplayStatus};
use hooklatch_store::{NewReplay, Opened, ReplayCommanded};
use http::{HeaderMap, HeaderValue, StatusCode};

use crate::app::App;
use crate::audit::{Said, entry};
use crate::caller::Caller;
use crate::history::{Listed, Parameters, PathText, answer, list};
use crate::json::ApiJson;
use crate::problem::Problem;
use crate::send::one_key;
use input::{BulkInput, PlanInput, Wanted};
use view::ReplayRecord;

/// How long a start waits for the plan.
const PLAN_PATIENCE: Duration = Duration::from_secs(20);
/// How often it looks.
const PLAN_LOOK: Duration = Duration::from_millis(50);

pub(crate) fn routes() -> Router<App> {
    Router::new()
        .route("/v1/replays", post(create).get(list_all))
        .route("/v1/replays/{id}", get(show))
        .route("/v1/replays/{id}/start", post(start))
        .route("/v1/replays/{id}/pause", post(pause))
        .route("/v1/replays/{id}/resume", post(resume))
        .route("/v1/replays/{id}/cancel", post(cancel))
        .route("/v1/deliveries/retry", post(retry_all))
        .route("/v1/deliveries/cancel", post(cancel_all))
}

async fn create(
    State(app): State<App>,
    caller: Caller,
    headers: HeaderMap,
    ApiJson(input): ApiJson<PlanInput>,
) -> Result<Response, Problem> {
    caller.require(Scope::Manage)?;
    let wanted = input.wanted(&app, &caller).await?;
    open(&app, &caller, &headers, wanted, "replay.create").await
}

async fn retry_all(
    State(app): State<App>,
    caller: Caller,
    headers: HeaderMap,
    ApiJson(input): ApiJson<BulkInput>,
) -> Result<Response, Problem> {
    caller.require(Scope::Manage)?;
    let wanted = input.wanted(&app, &caller, Action::Send).await?;
    open(&app, &caller, &headers, wanted, "deliveries.retry").await
}

async fn cancel_all(
    State(app): State<App>,
    caller: Caller,
    headers: HeaderMap,
    ApiJson(input): ApiJson<BulkInput>,
) -> Result<Response, Problem> {
    caller.require(Scope::Manage)?;
    let wanted = input.wanted(&app, &caller, Action::Cancel).await?;
    open(&app, &caller, &headers, wanted, "deliveries.cancel").await
}

/// Makes the replay, or answers with the one that it already is.
async fn open(
    app: &App,
    caller: &Caller,
    headers: &HeaderMap,
    wanted: Wanted,
    action: &str,
) -> Result<Response, Problem> {
    let new = NewReplay {
        project: caller.project,
        plan: wanted.plan,
        among: wanted.among,
        request_key: one_key(headers, None)?,
        created_by: Some(caller.key),
        reason: wanted.reason.clone(),
        start: wanted.start,
        audit: entry(app, caller, action, String::new(), wanted.reason),
    };
    let opened = app.store().open_replay(new).await?;
    app.replays_changed().notify_one();
    match opened {
        Opened::New(replay) => {
            let shown = answer(&ReplayRecord::of(&replay));
            Ok((StatusCode::CREATED, shown).into_response())
        }
        Opened::Known(replay) => {
            let mut shown = answer(&ReplayRecord::of(&replay));
            let replayed = HeaderValue::from_static("true");
            shown.headers_mut().insert("idempotent-replayed", replayed);
            Ok(shown)
        }
        Opened::KeyTaken(other) => Err(Problem::conflict(format!(
            "the Idempotency-Key was used for another plan, {other}; use another key"
        ))),
    }
}

async fn list_all(
    State(app): State<App>,
    caller: Caller,
    mut parameters: Parameters,
) -> Result<Response, Problem> {
    caller.require(Scope::Read)?;
    let page = parameters.page(Listed::Replays);
    parameters.finish()?;
    let page = app.store().replays(caller.project, page).await?;
    let records = page.items.iter().map(ReplayRecord::of).collect();
    Ok(list(records, Listed::Replays, page.next))
}

async fn show(
    State(app): State<App>,
    caller: Caller,
    path: PathText,
    parameters: Parameters,
) -> Result<Response, Problem> {
    caller.require(Scope::Read)?;
    let id: ReplayId = path.id("replay")?;
    parameters.finish()?;
    let replay = found(&app, &caller, id).await?;
    Ok(answer(&ReplayRecord::of(&replay)))
}

async fn found(app: &App, caller: &Caller, id: ReplayId) -> Result<Replay, Problem> {
    let replay = app.store().replay(caller.project, id).await?;
    replay.ok_or_else(|| Problem::not_found("replay", id))
}

async fn start(
    State(app): State<App>,
    caller: Caller,
    path: PathText,
    said: Said,
) -> Result<Response, Problem> {
    let id = path.id("replay")?;
    let mut replay = commanded(&app, &caller, id, ReplayCommand::Start, said).await?;
    let waited = tokio::time::timeout(PLAN_PATIENCE, async {
        while replay.status() == ReplayStatus::Planning {
            tokio::time::sleep(PLAN_LOOK).await;
            replay = found(&app, &caller, id).await?;
        }
        Ok::<(), Problem>(())
    });
    // A long plan goes on by itself, and then starts: the answer says that it is still planned.
    if let Ok(failed) = waited.await {
        failed?;
    }
    Ok(answer(&ReplayRecord::of(&replay)))
}

async fn pause(
    State(app): State<App>,
    caller: Caller,
    path: PathText,
    said: Said,
) -> Result<Response, Problem> {
    command(&app, &caller, &path, ReplayCommand::Pause, said).await
}

async fn resume(
    State(app): State<App>,
    caller: Caller,
    path: PathText,
    said: Said,
) -> Result<Response, Problem> {
    command(&app, &caller, &path, ReplayCommand::Resume, said).await
}

async fn cancel(
    State(app): State<App>,
    caller: Caller,
    path: PathText,
    said: Said,
) -> Result<Response, Problem> {
    command(&app, &caller, &path, ReplayCommand::Cancel, said).await
}

async fn command(
    app: &App,
    caller: &Caller,
    path: &PathText,
    command: ReplayCommand,
    said: Said,
) -> Result<Response, Problem> {
    let replay = commanded(app, caller, path.id("replay")?, command, said).await?;
    Ok(answer(&ReplayRecord::of(&replay)))
}

async fn commanded(
    app: &App,
    caller: &Caller,
    id: ReplayId,
    command: ReplayCommand,
    said: Said,
) -> Result<Replay, Problem> {
    caller.require(Scope::Manage)?;
    let action = format!("replay.{}", command.as_str());
    let entry = entry(app, caller, &action, id.to_string(), said.reason);
    let commanded = app
        .store()
        .command_replay(caller.project, id, command, entry)
        .await?;
    app.replays_changed().notify_one();
    match commanded {
        ReplayCommanded::Done(replay) => Ok(*replay),
        ReplayCommanded::Refused(refused) => Err(Problem::conflict(refused.to_string())),
        ReplayCommanded::NotFound => Err(Problem::not_found("replay", id)),
    }
}
