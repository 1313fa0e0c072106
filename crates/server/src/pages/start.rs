//! The first start, by the hand: a source, its first event, and where it goes.

use axum::extract::{RawQuery, State};
use axum::response::{IntoResponse, Redirect, Response};
use http::{Method, StatusCode};
use maud::{Markup, html};
use serde_json::json;

use super::api::{encoded, with_query};
use super::fields::{Field, Filled};
use super::filters::query_of;
use super::form::{Form, Submitted};
use super::frame::{Page, Place};
use super::messages;
use super::names::Names;
use super::session::Viewer;
use super::sources::{self, curl};
use super::ui;
use super::wire::{Connection, Endpoint, Listed, Message, Refusal, Source};
use crate::app::App;

const NAME: Field<'_> = Field {
    name: "name",
    label: "Name of the source",
    hint: "For people; it can be changed later.",
    pointer: "/name",
};
const PROVIDER: Field<'_> = Field {
    name: "provider",
    label: "Who sends?",
    hint: "Its preset knows where the key is, how it signs and how long it tries again.",
    pointer: "/provider",
};
const SECRET: Field<'_> = Field {
    name: "secret",
    label: "Webhook secret",
    hint: "From the provider's own pages; kept sealed. None is needed for a sender of your own.",
    pointer: "/verifier",
};
const URL: Field<'_> = Field {
    name: "url",
    label: "Your service's URL",
    hint: "Where each event is delivered.",
    pointer: "/url",
};

pub(super) async fn show(
    State(app): State<App>,
    viewer: Viewer,
    RawQuery(query): RawQuery,
) -> Result<Page, Page> {
    let query = query_of(query);
    match query.text("source") {
        None => {
            let form = Form::of([("name", "my-first-source".to_owned())]);
            Ok(first(&viewer, &form, None))
        }
        Some(id) => second(&app, &viewer, id, &Form::empty(), None).await,
    }
}

/// Which provider.
fn first(viewer: &Viewer, form: &Form, refusal: Option<&Refusal>) -> Page {
    let filled = Filled { form, refusal };
    let body = html! {
        (steps(1))
        form.edit method="post" action="/start" {
            (viewer.token())
            (filled.wrong())
            (filled.choice(PROVIDER, &sources::provider_options()))
            (filled.line(NAME, "text", "stripe"))
            (filled.line(SECRET, "password", ""))
            div.actions { button.primary type="submit" { "Make the source" } }
        }
    };
    shown(viewer, body, refusal)
}

fn shown(viewer: &Viewer, body: Markup, refusal: Option<&Refusal>) -> Page {
    let page = viewer.page(Place::Nowhere, "Get started", html! {}, body);
    match refusal {
        Some(_) => page.with_status(StatusCode::UNPROCESSABLE_ENTITY),
        None => page,
    }
}

fn steps(now: u8) -> Markup {
    html! {
        ol.steps {
            @for (number, step) in (1..).zip(["Make a source", "See an event arrive", "Deliver it"]) {
                li aria-current=[(number == now).then_some("step")] { (step) }
            }
        }
    }
}

/// Where the form leads to whoever sends for themselves: events that have an id are recognised by it.
pub(super) async fn make_source(Submitted { viewer, form }: Submitted) -> Response {
    let mut input = sources::input(&form, None);
    if form.text("provider").is_none() {
        input["key"] = json!({"locations": ["body:$.id"]});
        input["event_type"] = json!("body:$.type");
    }
    let made: Result<Source, _> = viewer.tell(Method::POST, "/v1/sources", &input).await;
    match made {
        Ok(source) => {
            Redirect::to(&with_query("/start", [("source", source.id.as_str())])).into_response()
        }
        Err(refusal) => first(&viewer, &form, Some(&refusal)).into_response(),
    }
}

/// What to copy, the first event as it arrives, and where it shall go.
async fn second(
    app: &App,
    viewer: &Viewer,
    id: &str,
    form: &Form,
    refusal: Option<&Refusal>,
) -> Result<Page, Page> {
    let path = format!("/v1/sources/{}", encoded(id));
    let source: Source = viewer
        .get(&path)
        .await
        .map_err(|refusal| viewer.refused(&refusal))?;
    let path = format!("/v1/messages?limit=3&source_id={}", source.id);
    let arrived: Listed<Message> = viewer
        .get(&path)
        .await
        .map_err(|refusal| viewer.refused(&refusal))?;
    let names = Names::of(app, viewer);
    let filled = Filled { form, refusal };
    let body = html! {
        div #step data-live="swap" { (steps(if arrived.data.is_empty() { 2 } else { 3 })) }
        h2 { "Give this URL to " (source.provider.as_deref().unwrap_or("your sender")) }
        div.copyable { code #ingest { (source.ingest_url) } (ui::copy("Copy", &source.ingest_url)) }
        @match curl(source.provider.as_deref(), &source.ingest_url) {
            Some(command) => {
                p { "Or send a first event yourself. Send it twice: the second is recognised." }
                pre.code #command tabindex="0" { (command) }
                (ui::copy("Copy the command", &command))
            },
            None => p { "Then send a test event from the provider's own pages." },
        }
        h2 { "Its first event" }
        div #arrived data-live="swap" aria-live="polite" { (arrivals(&arrived, &names)) }
        h2 { "Deliver it to your service" }
        form.edit method="post" action="/start/endpoint" {
            (viewer.token())
            (filled.wrong())
            input type="hidden" name="source" value=(source.id);
            input type="hidden" name="source_name" value=(source.name);
            (filled.line(URL, "url", "https://example.com/webhooks"))
            div.actions { button type="submit" { "Connect" } }
        }
    };
    Ok(shown(viewer, body, refusal))
}

fn arrivals(arrived: &Listed<Message>, names: &Names<'_>) -> Markup {
    html! {
        @if arrived.data.is_empty() {
            p.waiting { "Waiting for it…" }
        } @else {
            table.rows.short { tbody { @for message in &arrived.data { (messages::row(message, names)) } } }
            p { a.button.primary href={ "/messages/" (arrived.data[0].id) } { "See what happened to it" } }
        }
    }
}

pub(super) async fn make_endpoint(
    State(app): State<App>,
    Submitted { viewer, form }: Submitted,
) -> Result<Response, Page> {
    let source = form.text("source").unwrap_or_default();
    let name = form.text("source_name").unwrap_or("first");
    let connected = connect(&viewer, source, name, form.text("url")).await;
    match connected {
        Ok(page) => Ok(page.into_response()),
        Err(refusal) => Ok(second(&app, &viewer, source, &form, Some(&refusal))
            .await?
            .into_response()),
    }
}

async fn connect(
    viewer: &Viewer,
    source: &str,
    name: &str,
    url: Option<&str>,
) -> Result<Page, Refusal> {
    let input = json!({"name": format!("{name}-endpoint"), "url": url});
    let endpoint: Endpoint = viewer.tell(Method::PUT, "/v1/endpoints", &input).await?;
    let input = json!({"name": format!("{name}-to-endpoint"), "source_id": source, "endpoint_id": endpoint.id});
    let _: Connection = viewer.tell(Method::PUT, "/v1/connections", &input).await?;
    let body = html! {
        (steps(3))
        div.notice.good role="status" { p { "Connected. Each new event of this source is delivered to " code { (endpoint.url) } "." } }
        @if let Some(secret) = &endpoint.secret {
            h2 { "The signing secret of your endpoint" }
            p { "Copy it now: it is shown this once. Your service verifies the header webhook-signature with it." }
            div.copyable { code { (secret) } (ui::copy("Copy", secret)) }
        }
        p { a.button.primary href="/messages" { "Go to the messages" } }
    };
    Ok(viewer.page(Place::Nowhere, "Get started", html! {}, body))
}
