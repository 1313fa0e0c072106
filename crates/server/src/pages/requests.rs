//! Requests: every arrival, the refused ones too.

use axum::extract::{Path, RawQuery, State};
use axum::response::Redirect;
use hooklatch_core::config::Scope;
use http::Method;
use maud::{Markup, html};
use serde_json::Value;

use super::api::{encoded, with_query};
use super::fields::plain;
use super::filters::{OPTIONS_MAX, chooser, kept, query_of, span};
use super::form::{Form, Submitted};
use super::frame::{Page, Place};
use super::messages::ROWS;
use super::names::Names;
use super::session::Viewer;
use super::ui;
use super::wire::{Listed, Message, Request};
use crate::app::App;

/// The views of the log: the outcome that each shows.
const VIEWS: [(&str, &str); 5] = [
    ("", "All"),
    ("duplicate", "Duplicates"),
    ("conflict", "Conflicts"),
    ("rejected", "Refused"),
    ("accepted", "Accepted"),
];
/// Why something comes again.
pub(super) const CAUSES: [&str; 6] = [
    "concurrent",
    "producer_retry",
    "provider_retry",
    "provider_resend",
    "second_route",
    "unknown",
];
const FILTERS: [&str; 7] = [
    "outcome",
    "cause",
    "source_id",
    "key",
    "message_id",
    "after",
    "before",
];

pub(super) async fn list(
    State(app): State<App>,
    viewer: Viewer,
    RawQuery(query): RawQuery,
) -> Result<Page, Page> {
    let query = query_of(query);
    let cursor = query.text("cursor").unwrap_or_default();
    let path = kept(
        "/v1/requests",
        &query,
        &FILTERS,
        &[("limit", ROWS), ("cursor", cursor)],
    );
    let found: Result<Listed<Request>, _> = viewer.get(&path).await;
    let names = Names::of(&app, &viewer);
    let live = cursor.is_empty();
    let rows = match &found {
        Err(refusal) if refusal.status != 422 => return Err(viewer.refused(refusal)),
        Err(refusal) => html! { div.notice.bad role="alert" { p { (refusal.detail) } } },
        Ok(found) => html! {
            @if found.data.is_empty() && found.next_cursor.is_none() {
                div #rows data-live=[live.then_some("swap")] {
                    (ui::empty("No request fits.", &html! { p { a href="/requests" { "Show all requests" } } }))
                }
            } @else { (table(found, &names, live)) }
            (ui::older(found.data.len(), found.next_cursor.as_ref().map(|cursor| {
                kept("/requests", &query, &FILTERS, &[("cursor", cursor)])
            }).as_ref()))
        },
    };
    let body = html! { (views(&query)) (filters(&query, &names)) (rows) };
    let state = html! {
        @if live { span.live title="New requests appear by themselves" { "Live" } }
    };
    Ok(viewer.page(Place::Requests, "Requests", state, body))
}

fn views(query: &Form) -> Markup {
    let chosen = query.text("outcome").unwrap_or_default();
    let rest: Vec<&str> = FILTERS
        .into_iter()
        .filter(|name| !matches!(*name, "outcome" | "cause"))
        .collect();
    html! {
        nav.views aria-label="Outcome" {
            @for (outcome, label) in VIEWS {
                a href=(kept("/requests", query, &rest, &[("outcome", outcome)]))
                    aria-current=[(outcome == chosen).then_some("true")] { (label) }
            }
        }
    }
}

fn filters(query: &Form, names: &Names<'_>) -> Markup {
    let value = |name| query.text(name).unwrap_or_default();
    html! {
        form.filters method="get" action="/requests" role="search" {
            input type="hidden" name="outcome" value=(value("outcome"));
            label { span { "Key" }
                input #search name="key" type="search" value=(value("key")) placeholder="evt_…"
                    spellcheck="false" autocomplete="off"; }
            (chooser("cause", "Cause", &plain(&CAUSES), value("cause")))
            (chooser("source_id", "Source", &names.source_options(OPTIONS_MAX), value("source_id")))
            @if !value("message_id").is_empty() {
                label { span { "Message" } input name="message_id" value=(value("message_id")); }
            }
            details.more open[query.text("after").or(query.text("before")).is_some()] {
                summary { "Time" }
                div { (span(query)) }
            }
            button type="submit" { "Filter" }
            @if FILTERS.iter().any(|name| query.text(name).is_some()) { a.clear href="/requests" { "Show all" } }
        }
    }
}

fn table(found: &Listed<Request>, names: &Names<'_>, live: bool) -> Markup {
    html! {
        table.rows {
            thead {
                tr { th { "Received" } th { "Outcome" } th { "Why" } th { "Source" } th { "Key" } th { "Original" } th.number { "Answer" } }
            }
            tbody #rows data-live=[live.then_some("rows")] {
                @for request in &found.data { (row(request, names)) }
            }
        }
    }
}

fn row(request: &Request, names: &Names<'_>) -> Markup {
    html! {
        tr id=(request.id) {
            td { a.row href={ "/requests/" (request.id) } { (ui::time(&request.received_at)) } }
            td { (ui::badge(&request.outcome)) }
            td { (why(request)) }
            td {
                @match &request.source_id {
                    Some(id) => (names.source(id).unwrap_or_else(|| "a deleted source".to_owned())),
                    None => "send API",
                }
            }
            td.key {
                @match &request.key {
                    Some(key) => code title=(key) { (key) },
                    None => span.muted { "no key" },
                }
            }
            td {
                @match (&request.original_message_id, &request.message_id) {
                    (Some(id), _) => a href={ "/messages/" (id) } { "original" },
                    (None, Some(id)) => a href={ "/messages/" (id) } { "message" },
                    (None, None) => "—",
                }
            }
            td.number data-label="answered" { code { (request.response_status) } }
        }
    }
}

fn why(request: &Request) -> Markup {
    html! {
        @if let Some(cause) = &request.cause { (cause.replace('_', " ")) }
        @else if let Some(reason) = &request.reason { (reason) }
        @else { span.muted { (ui::outcome_words(&request.outcome, &request.effect)) } }
        @if request.payload_differs { " " span.flag { "payload differs" } }
        @if matches!(request.effect.as_str(), "held" | "released" | "discarded" | "redriven" | "rerouted") {
            " " span.flag { (request.effect) }
        }
    }
}

pub(super) async fn show(
    State(app): State<App>,
    viewer: Viewer,
    Path(id): Path<String>,
) -> Result<Page, Page> {
    let path = format!("/v1/requests/{}", encoded(&id));
    let request: Request = viewer
        .get(&path)
        .await
        .map_err(|refusal| viewer.refused(&refusal))?;
    let original: Option<Message> = match &request.original_message_id {
        Some(id) if request.payload_differs => viewer.find(&format!("/v1/messages/{id}")).await,
        Some(_) | None => None,
    };
    let names = Names::of(&app, &viewer);
    let payload = original
        .as_ref()
        .and_then(|message| message.payload.as_deref());
    let body = html! {
        p.path { a href="/requests" data-up { "Requests" } " / " (ui::id(&request.id)) " " (ui::copy("Copy id", &request.id)) }
        div.answer {
            (ui::badge(&request.outcome))
            p { (sentence(&request)) }
        }
        (super::message::changed_fields(&request, payload))
        div.columns {
            section { h2 { "The request" } (about(&request, &names)) }
            section {
                h2 { "What it carried" }
                @if request.body.is_some() || request.outcome != "duplicate" {
                    (ui::payload(request.body.as_deref(), request.body_encoding.as_deref(), None))
                } @else { p.muted { "The same payload as the original's." } }
                h3 { "Headers" }
                (ui::headers(&request.headers))
            }
        }
    };
    Ok(viewer.page(Place::Requests, "Request", actions(&viewer, &request), body))
}

fn sentence(request: &Request) -> Markup {
    html! {
        "It is " (ui::outcome_words(&request.outcome, &request.effect)) ". "
        @if let Some(cause) = &request.cause {
            strong { (cause.replace('_', " ")) } ": " (ui::cause(cause)) ". "
        }
        @if let Some(evidence) = &request.evidence { "Shown by: " (evidence) ". " }
        @if let Some(reason) = &request.reason { (reason) ". " }
        @if let Some(id) = &request.original_message_id { a href={ "/messages/" (id) } { "The original" } " " }
        @if let Some(id) = &request.released_message_id { a href={ "/messages/" (id) } { "The message it became" } " " }
        @if request.outcome == "accepted" {
            @if let Some(id) = &request.message_id { a href={ "/messages/" (id) } { "The message" } }
        }
    }
}

fn about(request: &Request, names: &Names<'_>) -> Markup {
    let mut facts = vec![
        ("Received", ui::time(&request.received_at)),
        (
            "Source",
            html! {
                @match &request.source_id {
                    Some(id) => (names.source_link(id)),
                    None => "the send API",
                }
            },
        ),
        (
            "Call",
            html! { code { (request.method) " " (request.path) @if let Some(query) = &request.query { "?" (query) } } },
        ),
        (
            "Answered with",
            html! { code { (request.response_status) } },
        ),
    ];
    if let Some(event) = &request.event_type {
        facts.push(("Event", html! { (event) }));
    }
    if let Some(key) = &request.key {
        facts.push((
            "Key",
            html! { a href=(with_query("/keys", [("key", key.as_str())])) { code { (key) } } },
        ));
    }
    if let Some(scope) = &request.scope {
        facts.push(("Scope of the key", html! { (names.scope(scope)) }));
    }
    if let Some(checksum) = &request.checksum {
        facts.push((
            "Key checksum",
            html! { code { (checksum.get(..16).unwrap_or_default()) "…" } },
        ));
    }
    ui::facts(&facts)
}

fn actions(viewer: &Viewer, request: &Request) -> Markup {
    let done = matches!(request.effect.as_str(), "released" | "discarded");
    let concerned = matches!(request.outcome.as_str(), "duplicate" | "conflict");
    html! {
        @if viewer.may(Scope::Manage) && concerned && !done {
            (viewer.button(
                &format!("/requests/{}/release", request.id),
                "Not a duplicate: deliver it",
                Some("It becomes a message of its own, with a webhook-id of its own, and is delivered. Go on?"),
            ))
            @if request.effect == "held" {
                (viewer.button(&format!("/requests/{}/discard", request.id), "Discard", Some("It is never delivered. Go on?")))
            }
        }
    }
}

pub(super) async fn release(
    Path(id): Path<String>,
    submitted: Submitted,
) -> Result<Redirect, Page> {
    decide(&id, &submitted.viewer, "release").await
}

pub(super) async fn discard(
    Path(id): Path<String>,
    submitted: Submitted,
) -> Result<Redirect, Page> {
    decide(&id, &submitted.viewer, "discard").await
}

async fn decide(id: &str, viewer: &Viewer, verb: &str) -> Result<Redirect, Page> {
    let path = format!("/v1/requests/{}/{verb}", encoded(id));
    let done: Result<Value, _> = viewer.tell(Method::POST, &path, &Value::Null).await;
    done.map_err(|refusal| viewer.refused(&refusal))?;
    Ok(Redirect::to(&format!("/requests/{}", encoded(id))))
}
