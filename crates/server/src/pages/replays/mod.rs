//! Replays: look at the plan first, then start, watch, pause, cancel (P1 to P4).

mod form;

use axum::extract::{Path, RawQuery, State};
use axum::response::{IntoResponse, Redirect, Response};
use hooklatch_core::config::Scope;
use http::{Method, StatusCode};
use maud::{Markup, html};
use serde::Deserialize;
use serde_json::Value;

use super::api::{encoded, with_query};
use super::fields::Filled;
use super::filters::query_of;
use super::form::{Form, Submitted};
use super::frame::{Page, Place};
use super::names::Names;
use super::session::Viewer;
use super::ui;
use super::wire::{Listed, Refusal};
use crate::app::App;

/// A replay.
#[derive(Debug, Deserialize)]
struct Replay {
    id: String,
    status: String,
    action: String,
    filter: Value,
    include_delivered: bool,
    as_new: bool,
    to_endpoint: Option<String>,
    rate_per_second: u32,
    counts: Counts,
    total: u64,
    done: u64,
    failed: u64,
    skipped: u64,
    message: String,
    reason: Option<String>,
    created_at: String,
    started_at: Option<String>,
    ended_at: Option<String>,
}

/// What a plan found.
#[derive(Debug, Deserialize)]
struct Counts {
    never_attempted: u64,
    uncertain: u64,
    failed: u64,
    delivered: u64,
}

pub(super) async fn list(viewer: Viewer, RawQuery(query): RawQuery) -> Result<Page, Page> {
    let query = query_of(query);
    let cursor = query.text("cursor").unwrap_or_default();
    let path = with_query("/v1/replays", [("limit", "50"), ("cursor", cursor)]);
    let replays: Listed<Replay> = viewer
        .get(&path)
        .await
        .map_err(|refusal| viewer.refused(&refusal))?;
    let live = cursor.is_empty();
    let body = html! {
        @if replays.data.is_empty() {
            (ui::empty("Nothing was replayed yet.", &html! {
                p { "A replay sends again what was lost or failed: first a plan that says how many, then the run." }
                @if viewer.may(Scope::Manage) { p { a.button.primary href="/replays/new" { "Plan a replay" } } }
            }))
        } @else {
            table.rows {
                thead { tr { th { "Made" } th { "Status" } th { "What" } th { "Progress" } th.number { "Failed" } } }
                tbody #rows data-live=[live.then_some("rows")] { @for replay in &replays.data { (row(replay)) } }
            }
            @let next = replays.next_cursor.as_ref().map(|cursor| with_query("/replays", [("cursor", cursor.as_str())]));
            (ui::older(replays.data.len(), next.as_ref()))
        }
    };
    let actions = html! {
        @if viewer.may(Scope::Manage) { a.button href="/replays/new" { "Plan a replay" } }
    };
    Ok(viewer.page(Place::Replays, "Replays", actions, body))
}

fn row(replay: &Replay) -> Markup {
    html! {
        tr id=(replay.id) {
            td { a.row href={ "/replays/" (replay.id) } { (ui::time(&replay.created_at)) } }
            td { (ui::badge(&replay.status)) }
            td { (what(replay)) @if let Some(reason) = &replay.reason { ": " (reason) } }
            td { (progress(replay)) }
            td.number data-label="failed" { (replay.failed) }
        }
    }
}

fn what(replay: &Replay) -> &'static str {
    match (replay.action.as_str(), replay.as_new) {
        ("cancel", _) => "call off",
        (_, true) => "send as new",
        (_, false) => "send again",
    }
}

fn progress(replay: &Replay) -> Markup {
    let ended = replay.done + replay.failed + replay.skipped;
    html! {
        progress max=(replay.total.max(1)) value=(ended) aria-label="Progress" {}
        " " span.number { (ended) " of " (replay.total) }
    }
}

pub(super) async fn new(State(app): State<App>, viewer: Viewer, RawQuery(query): RawQuery) -> Page {
    editor(&app, &viewer, &query_of(query), None)
}

fn editor(app: &App, viewer: &Viewer, form: &Form, refusal: Option<&Refusal>) -> Page {
    let filled = Filled { form, refusal };
    let names = Names::of(app, viewer);
    let body = html! {
        p.path { a href="/replays" data-up { "Replays" } }
        p { "First a plan: nothing is sent before you have seen how many it is, and started it." }
        form.edit method="post" action="/replays" {
            (viewer.token())
            (filled.wrong())
            (form::fields(&filled, &names))
            div.actions { button.primary type="submit" { "Make the plan" } }
        }
    };
    let page = viewer.page(Place::Replays, "Plan a replay", html! {}, body);
    match refusal {
        Some(_) => page.with_status(StatusCode::UNPROCESSABLE_ENTITY),
        None => page,
    }
}

pub(super) async fn create(
    State(app): State<App>,
    Submitted { viewer, form }: Submitted,
) -> Response {
    let made: Result<Replay, _> = viewer
        .tell(Method::POST, "/v1/replays", &form::input(&form))
        .await;
    match made {
        Ok(replay) => Redirect::to(&format!("/replays/{}", replay.id)).into_response(),
        Err(refusal) => editor(&app, &viewer, &form, Some(&refusal)).into_response(),
    }
}

pub(super) async fn show(
    State(app): State<App>,
    viewer: Viewer,
    Path(id): Path<String>,
) -> Result<Page, Page> {
    let path = format!("/v1/replays/{}", encoded(&id));
    let replay: Replay = viewer
        .get(&path)
        .await
        .map_err(|refusal| viewer.refused(&refusal))?;
    let names = Names::of(&app, &viewer);
    let body = html! {
        p.path { a href="/replays" data-up { "Replays" } " / " (ui::id(&replay.id)) " " (ui::copy("Copy id", &replay.id)) }
        div #replay data-live="swap" {
            div.answer { (ui::badge(&replay.status)) p { (replay.message) "." } }
            div.bar-of-replay { (progress(&replay)) }
            (commands(&viewer, &replay))
            div.columns.even {
                section { h2 { "The plan" } (plan(&replay)) }
                section { h2 { "How it goes" } (run(&replay, &names)) }
            }
        }
    };
    Ok(viewer.page(Place::Replays, "Replay", html! {}, body))
}

fn plan(replay: &Replay) -> Markup {
    let counts = &replay.counts;
    let left_out = if replay.include_delivered {
        "sent again as well"
    } else {
        "left out"
    };
    html! {
        (ui::facts(&[
            ("Never attempted", html! { (counts.never_attempted) }),
            ("Outcome not known", html! { (counts.uncertain) }),
            ("Failed", html! { (counts.failed) }),
            ("Already delivered", html! { (counts.delivered) " " span.muted { (left_out) } }),
        ]))
        h3 { "Which" }
        pre.code tabindex="0" { (serde_json::to_string_pretty(&replay.filter).unwrap_or_default()) }
    }
}

fn run(replay: &Replay, names: &Names<'_>) -> Markup {
    let moment =
        |at: &Option<String>| html! { @match at { Some(at) => (ui::time(at)), None => "—" } };
    ui::facts(&[
        ("What", html! { (what(replay)) }),
        ("Sent", html! { (replay.done) " of " (replay.total) }),
        ("Failed", html! { (replay.failed) }),
        ("Moved by themselves", html! { (replay.skipped) }),
        ("At most", html! { (replay.rate_per_second) " a second" }),
        (
            "To",
            html! {
                @match &replay.to_endpoint {
                    Some(id) => (names.endpoint_link(id)),
                    None => "where each went before",
                }
            },
        ),
        ("Made", ui::time(&replay.created_at)),
        ("Started", moment(&replay.started_at)),
        ("Ended", moment(&replay.ended_at)),
    ])
}

fn commands(viewer: &Viewer, replay: &Replay) -> Markup {
    let path = |verb: &str| format!("/replays/{}/{verb}", replay.id);
    let question = format!("{} deliveries are sent. Go on?", replay.total);
    html! {
        @if viewer.may(Scope::Manage) {
            div.actions {
                @match replay.status.as_str() {
                    "planning" | "ready" => {
                        (viewer.button(&path("start"), "Start", Some(&question)))
                        (viewer.button(&path("cancel"), "Cancel", Some("Nothing is sent. Go on?")))
                    },
                    "running" => {
                        (viewer.button(&path("pause"), "Pause", None))
                        (viewer.button(&path("cancel"), "Cancel", Some("What was not sent yet is not sent. Go on?")))
                    },
                    "paused" => {
                        (viewer.button(&path("resume"), "Resume", None))
                        (viewer.button(&path("cancel"), "Cancel", Some("What was not sent yet is not sent. Go on?")))
                    },
                    _ => {},
                }
            }
        }
    }
}

pub(super) async fn start(path: Path<String>, submitted: Submitted) -> Result<Redirect, Page> {
    command(path, submitted, "start").await
}

pub(super) async fn pause(path: Path<String>, submitted: Submitted) -> Result<Redirect, Page> {
    command(path, submitted, "pause").await
}

pub(super) async fn resume(path: Path<String>, submitted: Submitted) -> Result<Redirect, Page> {
    command(path, submitted, "resume").await
}

pub(super) async fn cancel(path: Path<String>, submitted: Submitted) -> Result<Redirect, Page> {
    command(path, submitted, "cancel").await
}

async fn command(
    Path(id): Path<String>,
    Submitted { viewer, .. }: Submitted,
    verb: &str,
) -> Result<Redirect, Page> {
    let id = encoded(&id);
    let done: Result<Value, _> = viewer
        .tell(
            Method::POST,
            &format!("/v1/replays/{id}/{verb}"),
            &Value::Null,
        )
        .await;
    done.map_err(|refusal| viewer.refused(&refusal))?;
    Ok(Redirect::to(&format!("/replays/{id}")))
}
