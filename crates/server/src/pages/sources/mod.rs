//! Sources: where providers' webhooks arrive, and what is their key.

mod form;
mod sample;
mod trial;

use axum::extract::{Path, State};
use axum::response::{IntoResponse, Redirect, Response};
use hooklatch_core::config::Scope;
use http::{Method, StatusCode};
use maud::{Markup, html};
use serde_json::Value;

use super::api::{encoded, with_query};
use super::fields::Filled;
use super::form::{Form, Submitted};
use super::frame::{Page, Place};
use super::names::Names;
use super::session::Viewer;
use super::ui;
use super::wire::{Connection, Listed, Message, Refusal, Source};
use crate::app::App;

pub(super) use form::{fields, input, provider_options};
pub(super) use sample::curl;
pub(super) use trial::attempt;

pub(super) async fn list(viewer: Viewer) -> Result<Page, Page> {
    let sources: Listed<Source> = viewer
        .get("/v1/sources?limit=250")
        .await
        .map_err(|refusal| viewer.refused(&refusal))?;
    let body = html! {
        @if sources.data.is_empty() {
            (ui::empty("There is no source yet.", &html! {
                p { "A source is a URL where a provider's webhooks arrive, with the key that makes two arrivals the same." }
                p { a.button.primary href="/start" { "Start here" } }
            }))
        } @else {
            table.rows {
                thead { tr { th { "Name" } th { "State" } th { "Provider" } th { "Key" } th { "Window" } th { "Other payload" } } }
                tbody { @for source in &sources.data { (row(source)) } }
            }
            @if sources.next_cursor.is_some() { p.muted { "The newest 250." } }
        }
    };
    let actions = html! {
        @if viewer.may(Scope::Manage) { a.button href="/sources/new" { "New source" } }
    };
    Ok(viewer.page(Place::Sources, "Sources", actions, body))
}

fn row(source: &Source) -> Markup {
    html! {
        tr id=(source.id) {
            td { a.row href={ "/sources/" (source.id) } { (source.name) } }
            td { (ui::badge(state(source))) @if !source.warnings.is_empty() { " " span.flag { "warning" } } }
            td { (source.provider.as_deref().unwrap_or("—")) }
            td.key { (key_rule(&source.key)) }
            td { (window(&source.window_seconds)) }
            td { (source.on_conflict) }
        }
    }
}

fn state(source: &Source) -> &'static str {
    if source.paused { "paused" } else { "active" }
}

/// A key rule in a few words.
pub(super) fn key_rule(key: &Value) -> Markup {
    let locations = key["locations"].as_array();
    let locations: Vec<&str> = locations
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect();
    let joined = if key["mode"] == "first" {
        " or else "
    } else {
        " with "
    };
    html! {
        @if key.is_null() { span.muted { "unkeyed" } }
        @else if locations.is_empty() { "the body itself" }
        @else {
            @for (index, location) in locations.iter().enumerate() {
                @if index > 0 { (joined) }
                code { (location) }
            }
            @if key["bind_body"] == true { " and the body" }
        }
    }
}

/// A window in words.
pub(super) fn window(window: &Value) -> String {
    match window.as_i64() {
        Some(seconds) => ui::span(seconds),
        None => "forever".to_owned(),
    }
}

pub(super) async fn new(viewer: Viewer) -> Page {
    let form = Form::of([("provider", String::new())]);
    editor(&viewer, "New source", "/sources", &form, None)
}

fn editor(
    viewer: &Viewer,
    title: &str,
    action: &str,
    form: &Form,
    refusal: Option<&Refusal>,
) -> Page {
    let filled = Filled { form, refusal };
    let body = html! {
        p.path { a href="/sources" data-up { "Sources" } }
        form.edit method="post" action=(action) {
            (viewer.token())
            (filled.wrong())
            (fields(&filled))
            div.actions { button.primary type="submit" { "Save" } }
        }
    };
    let page = viewer.page(Place::Sources, title, html! {}, body);
    match refusal {
        Some(_) => page.with_status(StatusCode::UNPROCESSABLE_ENTITY),
        None => page,
    }
}

pub(super) async fn create(Submitted { viewer, form }: Submitted) -> Response {
    let made: Result<Source, _> = viewer
        .tell(Method::POST, "/v1/sources", &input(&form, None))
        .await;
    match made {
        Ok(source) => Redirect::to(&format!("/sources/{}", source.id)).into_response(),
        Err(refusal) => {
            editor(&viewer, "New source", "/sources", &form, Some(&refusal)).into_response()
        }
    }
}

async fn found(viewer: &Viewer, id: &str) -> Result<Source, Page> {
    let path = format!("/v1/sources/{}", encoded(id));
    viewer
        .get(&path)
        .await
        .map_err(|refusal| viewer.refused(&refusal))
}

pub(super) async fn show(
    State(app): State<App>,
    viewer: Viewer,
    Path(id): Path<String>,
) -> Result<Page, Page> {
    let source = found(&viewer, &id).await?;
    let path = format!("/v1/messages?limit=5&source_id={}", source.id);
    let recent: Option<Listed<Message>> = viewer.find(&path).await;
    let connections: Option<Listed<Connection>> = viewer.find("/v1/connections?limit=250").await;
    let covered = covered(&viewer, &source).await;
    let names = Names::of(&app, &viewer);
    let form = form::filled_from(&source);
    let filled = Filled {
        form: &form,
        refusal: None,
    };
    let body = html! {
        p.path { a href="/sources" data-up { "Sources" } " / " (ui::id(&source.id)) " " (ui::copy("Copy id", &source.id)) }
        @for warning in &source.warnings { div.notice.warn { p { (warning) } } }
        @if !source.unsigned_locations.is_empty() {
            div.notice.warn { p {
                "Not covered by the provider's signature: " code { (source.unsigned_locations.join(", ")) }
                ". Whoever can repeat a signed body can change it; “bind the body” closes that."
            } }
        }
        div.columns {
            section {
                h2 { "Where it arrives" }
                div.copyable { code { (source.ingest_url) } (ui::copy("Copy", &source.ingest_url)) }
                (ui::facts(&[
                    ("State", ui::badge(state(&source))),
                    ("Provider", html! { (source.provider.as_deref().unwrap_or("none")) }),
                    ("Verification", html! { (source.verifier["type"].as_str().unwrap_or("none").replace('_', " ")) }),
                    ("Key", key_rule(&source.key)),
                    ("Window", html! { (window(&source.window_seconds)) }),
                    ("With a key, last 24 hours", html! { (covered) }),
                    ("Same key, other payload", html! { (source.on_conflict) }),
                    ("A duplicate of what failed", html! { (match source.on_failed_original.as_str() { "suppress" => "changes nothing", _ => "starts the failed deliveries again" }) }),
                    ("Goes to", goes_to(&source, connections.as_ref(), &names)),
                ]))
                h3 { "Try it" }
                @match curl(source.provider.as_deref(), &source.ingest_url) {
                    Some(command) => { pre.code tabindex="0" { (command) } (ui::copy("Copy the command", &command)) },
                    None => p.muted { "Requests must be signed: send a test event from the provider's own pages." },
                }
                h3 { "The last messages" }
                @match recent.as_ref().filter(|recent| !recent.data.is_empty()) {
                    Some(recent) => {
                        table.rows.short { tbody { @for message in &recent.data { (super::messages::row(message, &names)) } } }
                        p { a href=(with_query("/messages", [("source_id", source.id.as_str())])) { "All its messages" } " · "
                            a href=(with_query("/requests", [("source_id", source.id.as_str()), ("outcome", "duplicate")])) { "Its duplicates" } }
                    },
                    None => p.muted { "None yet." },
                }
            }
            section {
                @if viewer.may(Scope::Manage) {
                    h2 { "Change it" }
                    (change_form(&viewer, &source, &filled, &html! {}))
                }
            }
        }
    };
    Ok(viewer.page(
        Place::Sources,
        &source.name,
        actions(&viewer, &source),
        body,
    ))
}

/// The share of a source's requests that had a key, in words.
async fn covered(viewer: &Viewer, source: &Source) -> String {
    let path = format!("/v1/stats?step_seconds=86400&source_id={}", source.id);
    let stats: Option<Value> = viewer.find(&path).await;
    let requests = stats.map(|stats| stats["requests"].clone());
    let requests = requests.unwrap_or_default();
    match requests["coverage"].as_f64() {
        None => "nothing came".to_owned(),
        Some(share) => {
            let unkeyed = requests["unkeyed"].as_u64().unwrap_or(0);
            format!("{:.1} %, {unkeyed} without", share * 100.0)
        }
    }
}

/// The form of a source, with a way to try its key rule on what is stored.
fn change_form(viewer: &Viewer, source: &Source, filled: &Filled<'_>, trial: &Markup) -> Markup {
    let tried_at = format!("/sources/{}/try", source.id);
    html! {
        form.edit method="post" action={ "/sources/" (source.id) } data-try=(tried_at) {
            (viewer.token())
            (filled.wrong())
            div #trial aria-live="polite" { (trial) }
            (fields(filled))
            div.actions {
                button.primary type="submit" { "Save" }
                button type="submit" formaction=(tried_at) { "Try the key on what is stored" }
            }
        }
    }
}

fn goes_to(source: &Source, connections: Option<&Listed<Connection>>, names: &Names<'_>) -> Markup {
    let from_it = |connection: &&Connection| connection.source_id.as_ref() == Some(&source.id);
    let connections: Vec<_> = connections
        .map(|listed| listed.data.iter().filter(from_it).collect())
        .unwrap_or_default();
    html! {
        @if connections.is_empty() {
            "nowhere yet: " a href=(with_query("/connections/new", [("source_id", source.id.as_str())])) { "connect it" }
        }
        @for (index, connection) in connections.iter().enumerate() {
            @if index > 0 { ", " }
            (names.endpoint_link(&connection.endpoint_id))
        }
    }
}

fn actions(viewer: &Viewer, source: &Source) -> Markup {
    let path = |verb: &str| format!("/sources/{}/{verb}", source.id);
    html! {
        @if viewer.may(Scope::Manage) {
            @if source.paused { (viewer.button(&path("resume"), "Resume", None)) }
            @else { (viewer.button(&path("pause"), "Pause", Some("Arrivals are answered 503, so that the provider tries again later. Go on?"))) }
            (viewer.button(&path("delete"), "Delete", Some("Its URL stops to work, and its connections go with it. What it received stays. Go on?")))
        }
    }
}

pub(super) async fn change(
    Path(id): Path<String>,
    Submitted { viewer, form }: Submitted,
) -> Result<Response, Page> {
    let source = found(&viewer, &id).await?;
    let path = format!("/v1/sources/{}", source.id);
    let changed: Result<Source, _> = viewer
        .tell(Method::PATCH, &path, &input(&form, Some(&source)))
        .await;
    let action = format!("/sources/{}", source.id);
    Ok(match changed {
        Ok(_) => Redirect::to(&action).into_response(),
        Err(refusal) => {
            editor(&viewer, &source.name, &action, &form, Some(&refusal)).into_response()
        }
    })
}
