//! The claim API (L2): the ledger for receivers that have no store of their own.
//!
//! A receiver claims an event under a lease, does its work, and says how that ended, with the token
//! that it was given. What a call does is decided in [`hooklatch_core::receiving`], the same rules
//! that the receiver kit has.
//!
//! # Choices
//!
//! - A claim is answered with 200 and its `outcome`, whoever gets it: that somebody else is at it is
//!   an answer, not a refusal. Only a conflict is a problem, 409, as everywhere in this API; so are
//!   a token that was overtaken (409) and a claim that is gone (404). These carry the `outcome` as
//!   well.
//! - The scope `send` of an API key suffices: claims are what a receiver makes for each event, and
//!   a receiver should not be able to change the configuration. An operator's replay of an event
//!   that is completed or dead needs `manage`, and is audited. `read` or `send` may look.
//! - Every call may be repeated: a claim with the token that it brings, the rest by the token that
//!   they need anyway.

mod answer;
mod input;

use axum::Router;
use axum::extract::State;
use axum::response::Response;
use axum::routing::post;
use hooklatch_core::config::Scope;
use hooklatch_core::receiving::call::{Call, ClaimId, Step};
use hooklatch_core::receiving::claim::Intent;
use hooklatch_core::receiving::limits::{NAME_BYTES_MAX, SCOPE_CHARS_MAX};
use hooklatch_core::receiving::token::Token;
use hooklatch_store::AuditEntry;

use crate::app::App;
use crate::caller::Caller;
use crate::history::{self, Parameters, PathText, whole_list};
use crate::json::ExactJson;
use crate::problem::Problem;
use answer::{ClaimRecord, Ending, claimed, ended, kept, step_record};
use input::{ClaimInput, HolderInput, StepInput};

pub(crate) fn routes() -> Router<App> {
    Router::new()
        .route("/v1/claims", post(claim).get(list))
        .route("/v1/claims/{id}", axum::routing::get(show))
        .route("/v1/claims/{id}/complete", post(complete))
        .route("/v1/claims/{id}/release", post(release))
        .route("/v1/claims/{id}/renew", post(renew))
        .route("/v1/claims/{id}/fail", post(fail))
        .route("/v1/claims/{id}/steps", post(keep_step).get(steps))
}

async fn claim(
    State(app): State<App>,
    caller: Caller,
    ExactJson(input): ExactJson<ClaimInput>,
) -> Result<Response, Problem> {
    caller.require(Scope::Send)?;
    let asked = input.check(random_token)?;
    if asked.wish.intent == Intent::Replay {
        caller.require(Scope::Manage)?;
    }
    let (id, token) = (asked.id, asked.wish.token);
    let call = Call::Claim {
        scope: asked.scope,
        key: asked.key,
        wish: asked.wish,
    };
    let answer = called(&app, &caller, id, call).await?;
    claimed(id, token, answer)
}

fn random_token() -> Token {
    Token::from_bytes(rand::random())
}

async fn called(
    app: &App,
    caller: &Caller,
    id: ClaimId,
    call: Call,
) -> Result<hooklatch_core::receiving::call::Answer, Problem> {
    let audit = AuditEntry {
        at: app.store().now(),
        actor: Some(caller.key),
        action: "claim.replay".to_owned(),
        subject: id.to_string(),
        reason: None,
    };
    let store = app.store();
    Ok(store.call_claim(caller.project, id.0, call, audit).await?)
}

async fn complete(
    State(app): State<App>,
    caller: Caller,
    PathText(id): PathText,
    ExactJson(input): ExactJson<HolderInput>,
) -> Result<Response, Problem> {
    end(&app, &caller, &id, Ending::Complete, input).await
}

async fn release(
    State(app): State<App>,
    caller: Caller,
    PathText(id): PathText,
    ExactJson(input): ExactJson<HolderInput>,
) -> Result<Response, Problem> {
    end(&app, &caller, &id, Ending::Release, input).await
}

async fn renew(
    State(app): State<App>,
    caller: Caller,
    PathText(id): PathText,
    ExactJson(input): ExactJson<HolderInput>,
) -> Result<Response, Problem> {
    end(&app, &caller, &id, Ending::Renew, input).await
}

async fn fail(
    State(app): State<App>,
    caller: Caller,
    PathText(id): PathText,
    ExactJson(input): ExactJson<HolderInput>,
) -> Result<Response, Problem> {
    end(&app, &caller, &id, Ending::Fail, input).await
}

/// What whoever holds a claim does with it.
async fn end(
    app: &App,
    caller: &Caller,
    id: &str,
    ending: Ending,
    input: HolderInput,
) -> Result<Response, Problem> {
    caller.require(Scope::Send)?;
    let id = parsed(id)?;
    let call = input.check(ending, random_token)?;
    let answer = called(app, caller, id, call).await?;
    ended(id, ending, answer)
}

async fn keep_step(
    State(app): State<App>,
    caller: Caller,
    PathText(id): PathText,
    ExactJson(input): ExactJson<StepInput>,
) -> Result<Response, Problem> {
    caller.require(Scope::Send)?;
    let id = parsed(&id)?;
    let step: Step = input.check()?;
    let store = app.store();
    let outcome = store.keep_claim_step(caller.project, id.0, step).await?;
    kept(id, outcome)
}

/// The step of a name, as a list of one or none.
async fn steps(
    State(app): State<App>,
    caller: Caller,
    PathText(id): PathText,
    mut parameters: Parameters,
) -> Result<Response, Problem> {
    may_look(&caller)?;
    let id = parsed(&id)?;
    let generation = parameters.parsed("generation").unwrap_or(1);
    let name = required(&mut parameters, "name", |name| name.len() <= NAME_BYTES_MAX);
    parameters.finish()?;
    let store = app.store();
    let found = store.claim_step(caller.project, id.0, generation, name.clone());
    let found = found.await?;
    let found = found.map(|result| step_record(name, generation, &result));
    Ok(whole_list(found.into_iter().collect()))
}

/// The claim of a scope and a key, as a list of one or none.
async fn list(
    State(app): State<App>,
    caller: Caller,
    mut parameters: Parameters,
) -> Result<Response, Problem> {
    may_look(&caller)?;
    let scope = required(&mut parameters, "scope", |scope| {
        scope.chars().count() <= SCOPE_CHARS_MAX
    });
    let key = required(&mut parameters, "key", |key| key.len() <= NAME_BYTES_MAX);
    parameters.finish()?;
    let id =
        ClaimId::of(&scope, &key).map_err(|error| Problem::field("/key", error.to_string()))?;
    let found = look_up(&app, &caller, id).await?;
    Ok(whole_list(found.into_iter().collect()))
}

async fn show(
    State(app): State<App>,
    caller: Caller,
    PathText(id): PathText,
) -> Result<Response, Problem> {
    may_look(&caller)?;
    let id = parsed(&id)?;
    let found = look_up(&app, &caller, id).await?;
    let record = found.ok_or_else(|| answer::gone(id))?;
    Ok(history::answer(&record))
}

async fn look_up(app: &App, caller: &Caller, id: ClaimId) -> Result<Option<ClaimRecord>, Problem> {
    let store = app.store();
    let entry = store.claim_entry(caller.project, id.0).await?;
    Ok(entry.and_then(|entry| ClaimRecord::of(id, entry, app.store().now())))
}

fn required(
    parameters: &mut Parameters,
    name: &'static str,
    fits: impl Fn(&str) -> bool,
) -> String {
    let text = parameters.text(name);
    match &text {
        None => parameters.refuse(name, "is missing; say which claim is meant"),
        Some(text) if !fits(text) => parameters.refuse(name, "is longer than any can be"),
        Some(_) => {}
    }
    text.unwrap_or_default()
}

fn parsed(id: &str) -> Result<ClaimId, Problem> {
    id.parse().map_err(|_| Problem::not_found("claim", id))
}

/// Looking needs `read`, or `send`: whoever may claim sees the result anyway.
fn may_look(caller: &Caller) -> Result<(), Problem> {
    if caller.scopes.contains(&Scope::Send) {
        return Ok(());
    }
    caller.require(Scope::Read)
}
