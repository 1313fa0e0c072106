//! The live log of messages.

use axum::extract::{RawQuery, State};
use axum::response::{IntoResponse, Redirect, Response};
use hooklatch_core::config::Scope;
use hooklatch_core::ids::{MessageId, RequestId};
use maud::{Markup, html};

use super::fields::plain;
use super::filters::{OPTIONS_MAX, chooser, kept, query_of, span, words};
use super::form::Form;
use super::frame::{Page, Place};
use super::names::Names;
use super::requests::CAUSES;
use super::session::Viewer;
use super::ui;
use super::wire::{Listed, Message};
use crate::app::App;

/// Rows of a page.
pub(super) const ROWS: &str = "50";
const STATUSES: [&str; 8] = [
    "pending",
    "delivering",
    "delivered",
    "failed",
    "held",
    "cancelled",
    "no_route",
    "filtered",
];
/// The filters of the API.
const FILTERS: [&str; 9] = [
    "q",
    "key",
    "status",
    "source_id",
    "endpoint_id",
    "event_type",
    "tenant",
    "after",
    "before",
];

pub(super) async fn list(
    State(app): State<App>,
    viewer: Viewer,
    RawQuery(query): RawQuery,
) -> Result<Response, Page> {
    let query = query_of(query);
    if let Some(page) = query.text("key").and_then(page_of) {
        return Ok(Redirect::to(&page).into_response());
    }
    if query.text("cause").is_some() {
        return Ok(Redirect::to(&repetitions(&query)).into_response());
    }
    let cursor = query.text("cursor").unwrap_or_default();
    let path = kept(
        "/v1/messages",
        &query,
        &FILTERS,
        &[("limit", ROWS), ("cursor", cursor)],
    );
    let found: Result<Listed<Message>, _> = viewer.get(&path).await;
    let names = Names::of(&app, &viewer);
    let none_yet =
        names.source_options(1).is_empty() && FILTERS.iter().all(|name| query.text(name).is_none());
    // A text is looked for in thousands of payloads: not again each second.
    let live = cursor.is_empty() && query.text("q").is_none();
    let body = match &found {
        Err(refusal) if refusal.status != 422 => return Err(viewer.refused(refusal)),
        Err(refusal) => html! {
            (filters(&query, &names))
            div.notice.bad role="alert" { p { (refusal.detail) } }
        },
        Ok(found) => html! {
            (filters(&query, &names))
            @if found.data.is_empty() && found.next_cursor.is_none() { (nothing(none_yet, live, &query)) }
            @else { (table(found, &names, live)) }
            (ui::older(found.data.len(), found.next_cursor.as_ref().map(|cursor| {
                kept("/messages", &query, &FILTERS, &[("cursor", cursor)])
            }).as_ref()))
        },
    };
    let state = html! {
        (replay_these(&viewer, &query))
        @if live { span.live title="New messages appear by themselves" { "Live" } }
    };
    Ok(viewer
        .page(Place::Messages, "Messages", state, body)
        .into_response())
}

/// What is listed, as the beginning of a replay's plan, where a plan knows every filter that is set.
fn replay_these(viewer: &Viewer, query: &Form) -> Markup {
    let known = [
        "source_id",
        "endpoint_id",
        "status",
        "event_type",
        "key",
        "after",
        "before",
    ];
    let set = FILTERS
        .into_iter()
        .filter(|name| query.text(name).is_some());
    let names: Vec<&str> = set.collect();
    let fits = !names.is_empty() && names.iter().all(|name| known.contains(name));
    html! {
        @if fits && viewer.may(Scope::Manage) {
            a.button href=(kept("/replays/new", query, &known, &[])) { "Replay these" }
        }
    }
}

/// Why something came again is said of requests: their log has the same filters.
fn repetitions(query: &Form) -> String {
    let fields = ["cause", "source_id", "key", "after", "before"];
    kept("/requests", query, &fields, &[("outcome", "duplicate")])
}

/// The page of what an id names, where a text that is searched for is an id.
fn page_of(text: &str) -> Option<String> {
    let text = text.trim();
    if text.parse::<MessageId>().is_ok() {
        return Some(format!("/messages/{text}"));
    }
    text.parse::<RequestId>()
        .ok()
        .map(|id| format!("/requests/{id}"))
}

fn nothing(none_yet: bool, live: bool, query: &Form) -> Markup {
    if none_yet {
        return ui::empty(
            "Nothing has arrived yet.",
            &html! {
                p { "Make a source, give its URL to a provider, and see the first event arrive." }
                p { a.button.primary href="/start" { "Start here" } }
            },
        );
    }
    let advice = html! {
        @if query.text("key").is_some() {
            p { "A key is remembered until its window ends. "
                a href=(kept("/requests", query, &["key"], &[])) { "What arrived under it earlier" } }
        }
        p { a href="/messages" { "Show all messages" } }
    };
    html! {
        div #rows data-live=[live.then_some("swap")] { (ui::empty("No message fits.", &advice)) }
    }
}

fn table(found: &Listed<Message>, names: &Names<'_>, live: bool) -> Markup {
    html! {
        table.rows {
            thead {
                tr {
                    th { "Received" } th { "Status" } th { "Event" } th { "Route" } th { "Key" }
                    th.number { "Duplicates" } th.number { "Attempts" }
                }
            }
            tbody #rows data-live=[live.then_some("rows")] {
                @for message in &found.data { (row(message, names)) }
            }
        }
    }
}

/// One message as a row.
pub(super) fn row(message: &Message, names: &Names<'_>) -> Markup {
    let attempts: u32 = message
        .deliveries
        .iter()
        .map(|delivery| delivery.attempts)
        .sum();
    let href = format!("/messages/{}", message.id);
    html! {
        tr id=(message.id) {
            td { a.row href=(href) { (ui::time(&message.received_at)) } }
            td { (ui::badge(&message.status)) }
            td.event { (message.event_type.as_deref().unwrap_or("—")) }
            td.route { (route(message, names)) }
            td.key {
                @match &message.idempotency_key {
                    Some(key) => code title=(key) { (key) },
                    None => span.muted { "no key" },
                }
                @if message.suspected_duplicate_of.is_some() { " " span.flag { "looks like a repeat" } }
            }
            td.number data-label="duplicates" {
                @if message.duplicates == 0 { span.muted { "0" } }
                @else { strong { (message.duplicates) } }
            }
            td.number data-label="attempts" { (attempts) }
        }
    }
}

fn route(message: &Message, names: &Names<'_>) -> Markup {
    let from = match &message.source_id {
        Some(id) => names
            .source(id)
            .unwrap_or_else(|| "a deleted source".to_owned()),
        None => "send API".to_owned(),
    };
    let url = message.url.as_deref();
    let first = message.deliveries.first();
    html! {
        (from)
        @if let Some(delivery) = first {
            " → " (names.target(delivery.endpoint_id.as_deref(), url))
            @if message.deliveries_total > 1 { " +" (message.deliveries_total - 1) }
        }
    }
}

fn filters(query: &Form, names: &Names<'_>) -> Markup {
    let value = |name| query.text(name).unwrap_or_default();
    let more = ["event_type", "tenant", "after", "before"];
    html! {
        form.filters method="get" action="/messages" role="search" {
            label { span { "Key or id" }
                input #search name="key" type="search" value=(value("key")) placeholder="evt_…, msg_…"
                    spellcheck="false" autocomplete="off"; }
            (words("q", "Text in the payload", value("q"), "name, amount, …"))
            (chooser("status", "Status", &plain(&STATUSES), value("status")))
            (chooser("source_id", "Source", &names.source_options(OPTIONS_MAX), value("source_id")))
            (chooser("endpoint_id", "Endpoint", &names.endpoint_options(OPTIONS_MAX), value("endpoint_id")))
            details.more open[more.iter().any(|name| query.text(name).is_some())] {
                summary { "More" }
                div {
                    (words("event_type", "Event type", value("event_type"), "order.paid"))
                    (words("tenant", "Tenant", value("tenant"), ""))
                    (chooser("cause", "Came again because", &plain(&CAUSES), ""))
                    (span(query))
                }
            }
            button type="submit" { "Filter" }
            @if FILTERS.iter().any(|name| query.text(name).is_some()) { a.clear href="/messages" { "Show all" } }
        }
    }
}
