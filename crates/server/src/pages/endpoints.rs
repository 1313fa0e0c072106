//! Endpoints: where messages are delivered, and how it goes.

use axum::extract::Path;
use axum::response::{IntoResponse, Redirect, Response};
use hooklatch_core::config::Scope;
use http::{Method, StatusCode};
use maud::{Markup, html};
use serde_json::{Map, Value, json};

use super::api::{encoded, with_query};
use super::fields::{Field, Filled, plain};
use super::form::{Form, Submitted};
use super::frame::{Page, Place};
use super::session::Viewer;
use super::ui;
use super::wire::{Attempt, Endpoint, Listed, Refusal};

const NAME: Field<'_> = Field {
    name: "name",
    label: "Name",
    hint: "For people.",
    pointer: "/name",
};
const URL: Field<'_> = Field {
    name: "url",
    label: "URL",
    hint: "Where requests go. Private addresses are refused unless the operator has allowed their network.",
    pointer: "/url",
};
const TENANT: Field<'_> = Field {
    name: "tenant",
    label: "Tenant",
    hint: "The id of your customer that owns it, for sends to a tenant.",
    pointer: "/tenant",
};
const TYPES: Field<'_> = Field {
    name: "event_types",
    label: "Event types",
    hint: "For sends to a tenant or to all: one a line, such as order.*. Empty takes all.",
    pointer: "/event_types",
};
const ENVIRONMENT: Field<'_> = Field {
    name: "environment",
    label: "Environment",
    hint: "Such as production. A replay across environments asks first.",
    pointer: "/environment",
};
const TIMEOUT: Field<'_> = Field {
    name: "timeout_seconds",
    label: "Timeout in seconds",
    hint: "For one attempt, from its beginning to the end of the answer.",
    pointer: "/timeout_seconds",
};
const UNCERTAIN: Field<'_> = Field {
    name: "on_uncertain",
    label: "Sent, and no answer came",
    hint: "Retry: at least once. Hold: at most once, a person decides.",
    pointer: "/on_uncertain",
};

/// The answer with a signing secret is shown once, and kept nowhere.
const SECRET_NOTE: &str = "Copy it now: it is shown this once. The receiver verifies the header webhook-signature with it.";

pub(super) async fn list(viewer: Viewer) -> Result<Page, Page> {
    let endpoints: Listed<Endpoint> = viewer
        .get("/v1/endpoints?limit=250")
        .await
        .map_err(|refusal| viewer.refused(&refusal))?;
    let body = html! {
        @if endpoints.data.is_empty() {
            (ui::empty("There is no endpoint yet.", &html! {
                p { "An endpoint is a URL of yours, or of a customer, that messages are delivered to." }
                @if viewer.may(Scope::Manage) { p { a.button.primary href="/endpoints/new" { "New endpoint" } } }
            }))
        } @else {
            table.rows {
                thead { tr { th { "Name" } th { "State" } th { "URL" } th { "Tenant" } th { "Environment" } } }
                tbody { @for endpoint in &endpoints.data { (row(endpoint)) } }
            }
            @if endpoints.next_cursor.is_some() { p.muted { "The newest 250." } }
        }
    };
    let actions = html! {
        @if viewer.may(Scope::Manage) { a.button href="/endpoints/new" { "New endpoint" } }
    };
    Ok(viewer.page(Place::Endpoints, "Endpoints", actions, body))
}

fn row(endpoint: &Endpoint) -> Markup {
    html! {
        tr id=(endpoint.id) {
            td { a.row href={ "/endpoints/" (endpoint.id) } { (endpoint.name) } }
            td { (ui::badge(state(endpoint))) @if !endpoint.warnings.is_empty() { " " span.flag { "warning" } } }
            td.key { code { (endpoint.url) } }
            td { (endpoint.tenant.as_deref().unwrap_or("—")) }
            td { (endpoint.environment.as_deref().unwrap_or("—")) }
        }
    }
}

fn state(endpoint: &Endpoint) -> &'static str {
    match (endpoint.disabled.is_null(), endpoint.paused) {
        (false, _) => "disabled",
        (true, true) => "paused",
        (true, false) => "active",
    }
}

fn fields(filled: &Filled<'_>) -> Markup {
    html! {
        (filled.line(NAME, "text", "shop"))
        (filled.line(URL, "url", "https://example.com/webhooks"))
        (filled.line(TENANT, "text", ""))
        (filled.lines(TYPES, 2, "order.*"))
        (filled.line(ENVIRONMENT, "text", "production"))
        (filled.line(TIMEOUT, "number", "30"))
        (filled.choice(UNCERTAIN, &plain(&["retry", "hold"])))
    }
}

fn filled_from(endpoint: &Endpoint) -> Form {
    Form::of([
        ("name", endpoint.name.clone()),
        ("url", endpoint.url.clone()),
        ("tenant", endpoint.tenant.clone().unwrap_or_default()),
        (
            "event_types",
            endpoint.event_types.clone().unwrap_or_default().join("\n"),
        ),
        (
            "environment",
            endpoint.environment.clone().unwrap_or_default(),
        ),
        ("timeout_seconds", endpoint.timeout_seconds.to_string()),
        ("on_uncertain", endpoint.on_uncertain.clone()),
    ])
}

/// What the form asks the API for. What it shows empty is taken away.
fn input(form: &Form) -> Value {
    let mut input = Map::new();
    for name in ["name", "url", "tenant", "environment", "on_uncertain"] {
        input.insert(name.to_owned(), json!(form.text(name)));
    }
    let types = Some(form.lines("event_types")).filter(|types| !types.is_empty());
    input.insert("event_types".to_owned(), json!(types));
    let timeout = form.text("timeout_seconds").map(|text| {
        text.parse::<i64>()
            .map_or_else(|_| json!(text), |seconds| json!(seconds))
    });
    input.insert("timeout_seconds".to_owned(), json!(timeout));
    Value::Object(input)
}

pub(super) async fn new(viewer: Viewer) -> Page {
    editor(&viewer, "New endpoint", "/endpoints", &Form::empty(), None)
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
        p.path { a href="/endpoints" data-up { "Endpoints" } }
        form.edit method="post" action=(action) {
            (viewer.token())
            (filled.wrong())
            (fields(&filled))
            div.actions { button.primary type="submit" { "Save" } }
        }
    };
    let page = viewer.page(Place::Endpoints, title, html! {}, body);
    match refusal {
        Some(_) => page.with_status(StatusCode::UNPROCESSABLE_ENTITY),
        None => page,
    }
}

pub(super) async fn create(Submitted { viewer, form }: Submitted) -> Response {
    let made: Result<Endpoint, _> = viewer
        .tell(Method::POST, "/v1/endpoints", &input(&form))
        .await;
    match made {
        Ok(endpoint) => with_secret(&viewer, &endpoint).into_response(),
        Err(refusal) => {
            editor(&viewer, "New endpoint", "/endpoints", &form, Some(&refusal)).into_response()
        }
    }
}

/// A secret that was made now. A redirect would have to carry it in an address.
fn with_secret(viewer: &Viewer, endpoint: &Endpoint) -> Page {
    let href = format!("/endpoints/{}", endpoint.id);
    let body = html! {
        @if let Some(secret) = &endpoint.secret {
            h2 { "Its signing secret" }
            p { (SECRET_NOTE) }
            div.copyable { code { (secret) } (ui::copy("Copy", secret)) }
        }
        p { a.button.primary href=(href) { "Go on to the endpoint" } }
    };
    viewer.page(Place::Endpoints, &endpoint.name, html! {}, body)
}

async fn found(viewer: &Viewer, id: &str) -> Result<Endpoint, Page> {
    let path = format!("/v1/endpoints/{}", encoded(id));
    viewer
        .get(&path)
        .await
        .map_err(|refusal| viewer.refused(&refusal))
}

pub(super) async fn show(viewer: Viewer, Path(id): Path<String>) -> Result<Page, Page> {
    let endpoint = found(&viewer, &id).await?;
    let path = format!("/v1/attempts?limit=20&endpoint_id={}", endpoint.id);
    let attempts: Option<Listed<Attempt>> = viewer.find(&path).await;
    let form = filled_from(&endpoint);
    let filled = Filled {
        form: &form,
        refusal: None,
    };
    let body = html! {
        p.path { a href="/endpoints" data-up { "Endpoints" } " / " (ui::id(&endpoint.id)) " " (ui::copy("Copy id", &endpoint.id)) }
        @if !endpoint.disabled.is_null() {
            div.notice.bad role="status" { p { "It is disabled: " (disabled(&endpoint.disabled)) ". Its deliveries wait until a person resumes it." } }
        }
        @for warning in &endpoint.warnings { div.notice.warn { p { (warning) } } }
        div.columns {
            section {
                h2 { "Where it goes" }
                div.copyable { code { (endpoint.url) } (ui::copy("Copy", &endpoint.url)) }
                (ui::facts(&[
                    ("State", ui::badge(state(&endpoint))),
                    ("Timeout", html! { (endpoint.timeout_seconds) " s" }),
                    ("Retries", retries(&endpoint.retry)),
                    ("At the same time", html! { (endpoint.rate_limit["concurrency"]) " attempts" }),
                ]))
                h3 { "The last attempts" }
                div #attempts data-live="swap" { (attempts_table(attempts.as_ref())) }
                p { a href=(with_query("/messages", [("endpoint_id", endpoint.id.as_str())])) { "All its messages" } " · "
                    a href=(with_query("/messages", [("endpoint_id", endpoint.id.as_str()), ("status", "failed")])) { "What failed" } }
            }
            section {
                @if viewer.may(Scope::Manage) {
                    h2 { "Change it" }
                    form.edit method="post" action={ "/endpoints/" (endpoint.id) } {
                        (viewer.token())
                        (fields(&filled))
                        div.actions { button.primary type="submit" { "Save" } }
                    }
                }
            }
        }
    };
    Ok(viewer.page(
        Place::Endpoints,
        &endpoint.name,
        actions(&viewer, &endpoint),
        body,
    ))
}

fn disabled(why: &Value) -> String {
    let reason = why["reason"].as_str().or_else(|| why.as_str());
    reason.unwrap_or("it answered 410 Gone").replace('_', " ")
}

fn retries(retry: &Value) -> Markup {
    html! {
        (retry["strategy"].as_str().unwrap_or("by the default schedule"))
        @if let Some(most) = retry["max_attempts"].as_u64() { ", at most " (most) " attempts" }
        @if let Some(age) = retry["max_age_seconds"].as_i64() { ", for " (ui::span(age)) }
    }
}

fn attempts_table(attempts: Option<&Listed<Attempt>>) -> Markup {
    let attempts = attempts
        .map(|listed| listed.data.as_slice())
        .unwrap_or_default();
    html! {
        @if attempts.is_empty() { p.muted { "None yet." } }
        @else {
            table.rows.short {
                thead { tr { th { "Started" } th { "Outcome" } th { "Why" } th.number { "Answer" } th.number { "Took" } } }
                tbody {
                    @for attempt in attempts {
                        tr id=(attempt.id) {
                            td { a.row href={ "/messages/" (attempt.message_id) } { (ui::time(&attempt.started_at)) } }
                            td { (ui::badge(&attempt.outcome)) }
                            td { (attempt.trigger.replace('_', " ")) @if let Some(error) = &attempt.error { ": " (error) } }
                            td.number data-label="answered" { @match attempt.status_code { Some(code) => code { (code) }, None => "—" } }
                            td.number data-label="took" { @if let Some(span) = attempt.duration_ms { (span) " ms" } }
                        }
                    }
                }
            }
        }
    }
}

fn actions(viewer: &Viewer, endpoint: &Endpoint) -> Markup {
    let path = |verb: &str| format!("/endpoints/{}/{verb}", endpoint.id);
    html! {
        @if viewer.may(Scope::Manage) {
            @if endpoint.paused || !endpoint.disabled.is_null() { (viewer.button(&path("resume"), "Resume", None)) }
            @else { (viewer.button(&path("pause"), "Pause", Some("Its deliveries wait until a person resumes it. Go on?"))) }
            (viewer.button(&path("rotate"), "Rotate the secret", Some("A new secret signs from now on, and the old one beside it for a day. Go on?")))
            (viewer.button(&path("delete"), "Delete", Some("Its waiting deliveries end, and its connections go with it. Go on?")))
        }
    }
}

pub(super) async fn change(
    Path(id): Path<String>,
    Submitted { viewer, form }: Submitted,
) -> Result<Response, Page> {
    let endpoint = found(&viewer, &id).await?;
    let path = format!("/v1/endpoints/{}", endpoint.id);
    let changed: Result<Endpoint, _> = viewer.tell(Method::PATCH, &path, &input(&form)).await;
    let action = format!("/endpoints/{}", endpoint.id);
    Ok(match changed {
        Ok(_) => Redirect::to(&action).into_response(),
        Err(refusal) => {
            editor(&viewer, &endpoint.name, &action, &form, Some(&refusal)).into_response()
        }
    })
}

pub(super) async fn rotate(Path(id): Path<String>, submitted: Submitted) -> Result<Page, Page> {
    let viewer = submitted.viewer;
    let path = format!("/v1/endpoints/{}/rotate-secret", encoded(&id));
    let rotated: Result<Endpoint, _> = viewer.tell(Method::POST, &path, &Value::Null).await;
    let endpoint = rotated.map_err(|refusal| viewer.refused(&refusal))?;
    Ok(with_secret(&viewer, &endpoint))
}
