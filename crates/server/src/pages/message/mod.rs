//! One message: did it run twice, and why? The answer first, then everything it rests on, in the
//! order in which it happened.

mod account;
mod change;
mod deliveries;
mod story;

use axum::extract::{Path, State};
use axum::response::{IntoResponse, Redirect, Response};
use hooklatch_core::config::Scope;
use http::{HeaderValue, Method, header};
use maud::{Markup, html};
use serde_json::Value;

use super::api::encoded;
use super::form::Submitted;
use super::frame::{Page, Place};
use super::names::Names;
use super::session::Viewer;
use super::ui;
use super::wire::{Attempt, Delivery, Listed, Message, Request, Source};
use crate::app::App;
pub(super) use change::shown as changed_fields;
use story::Story;

/// Duplicates that the page tells of; the newest.
const DUPLICATES_SHOWN: usize = 20;
/// Deliveries that the page tells of, and the attempts of each.
const DELIVERIES_SHOWN: usize = 20;
const ATTEMPTS_SHOWN: usize = 10;
/// Duplicates whose changed fields are shown with their values.
const CHANGES_SHOWN: usize = 5;

/// Everything that the page tells of.
pub(super) struct Facts {
    pub message: Message,
    pub original: Option<Request>,
    /// Where its source takes arrivals, while there is that source.
    pub ingest_url: Option<String>,
    /// The newest first.
    pub duplicates: Vec<Request>,
    /// Each with its newest attempts, the newest first.
    pub deliveries: Vec<(Delivery, Vec<Attempt>)>,
}

impl Facts {
    async fn gather(viewer: &Viewer, id: &str) -> Result<Self, Page> {
        let refused = |refusal| viewer.refused(&refusal);
        let path = format!("/v1/messages/{}", encoded(id));
        let message: Message = viewer.get(&path).await.map_err(refused)?;
        let original = viewer
            .find(&format!("/v1/requests/{}", message.request_id))
            .await;
        let ingest_url = match &message.source_id {
            Some(id) => viewer.find::<Source>(&format!("/v1/sources/{id}")).await,
            None => None,
        };
        let mut duplicates = Vec::new();
        if message.duplicates > 0 {
            let path = format!("{path}/requests?limit={}", DUPLICATES_SHOWN + 1);
            let arrivals: Listed<Request> = viewer.get(&path).await.map_err(refused)?;
            duplicates = arrivals.data;
            duplicates.retain(|request| request.id != message.request_id);
            duplicates.truncate(DUPLICATES_SHOWN);
        }
        add_bodies(viewer, &mut duplicates).await;
        let mut deliveries = Vec::new();
        for line in message.deliveries.iter().take(DELIVERIES_SHOWN) {
            let path = format!("/v1/deliveries/{}", line.id);
            let delivery: Delivery = viewer.get(&path).await.map_err(refused)?;
            let path = format!("{path}/attempts?limit={ATTEMPTS_SHOWN}");
            let attempts: Listed<Attempt> = viewer.get(&path).await.map_err(refused)?;
            deliveries.push((delivery, attempts.data));
        }
        Ok(Self {
            message,
            original,
            ingest_url: ingest_url.map(|source| source.ingest_url),
            duplicates,
            deliveries,
        })
    }

    fn may_retry(&self) -> bool {
        let open = |status: &str| matches!(status, "failed" | "held" | "cancelled" | "pending");
        self.message
            .deliveries
            .iter()
            .any(|delivery| open(&delivery.status))
    }
}

/// Lists come without bodies; those that differ are shown beside the original's.
async fn add_bodies(viewer: &Viewer, duplicates: &mut [Request]) {
    let differing = duplicates
        .iter_mut()
        .filter(|request| request.payload_differs);
    for request in differing.take(CHANGES_SHOWN) {
        let whole: Option<Request> = viewer.find(&format!("/v1/requests/{}", request.id)).await;
        if let Some(whole) = whole {
            *request = whole;
        }
    }
}

pub(super) async fn show(
    State(app): State<App>,
    viewer: Viewer,
    Path(id): Path<String>,
) -> Result<Page, Page> {
    let facts = Facts::gather(&viewer, &id).await?;
    let names = Names::of(&app, &viewer);
    let message = &facts.message;
    let title = message.event_type.as_deref().unwrap_or("Message");
    let story = Story {
        facts: &facts,
        names: &names,
        viewer: &viewer,
    };
    let body = html! {
        div #story data-live="swap" {
            p.path { a href="/messages" data-up { "Messages" } " / " (ui::id(&message.id)) " " (ui::copy("Copy id", &message.id)) }
            div.answer {
                (ui::badge(&message.status))
                p { (account::answer(&facts, &names)) }
            }
            (story.links())
            @for warning in &message.warnings { div.notice.warn { p { (warning) } } }
            div.columns {
                section aria-labelledby="timeline-title" {
                    h2 #timeline-title { "What happened" }
                    (story.timeline())
                }
                section aria-labelledby="message-title" {
                    h2 #message-title { "The message" }
                    (about(message, &names))
                    h3 { "Payload " span.muted { (ui::bytes(message.payload_bytes)) } }
                    (ui::payload(
                        message.payload.as_deref(),
                        message.payload_encoding.as_deref(),
                        Some(&format!("/messages/{}/payload", message.id)),
                    ))
                    details { summary { "Headers" } (ui::headers(&message.headers)) }
                }
            }
        }
    };
    Ok(viewer.page(Place::Messages, title, actions(&viewer, &facts), body))
}

fn actions(viewer: &Viewer, facts: &Facts) -> Markup {
    let id = &facts.message.id;
    let host = viewer.host.as_ref().and_then(|host| host.to_str().ok());
    let curl = account::curl(facts, host);
    html! {
        @if viewer.may(Scope::Manage) && facts.may_retry() {
            (viewer.button(&format!("/messages/{id}/retry"), "Retry what was not delivered", None))
        }
        @if let Some(curl) = curl { (ui::copy("Copy as curl", &curl)) }
    }
}

fn about(message: &Message, names: &Names<'_>) -> Markup {
    let key = html! {
        @match &message.idempotency_key {
            Some(key) => { a href=(super::api::with_query("/keys", [("key", key.as_str())])) { code { (key) } } },
            None => "none: it cannot be recognised when it comes again",
        }
    };
    let from = html! {
        @match &message.source_id {
            Some(id) => (names.source_link(id)),
            None => "the send API",
        }
    };
    let mut facts = vec![
        ("Received", ui::time(&message.received_at)),
        ("From", from),
        ("Key", key),
    ];
    if let Some(tenant) = &message.tenant {
        facts.push(("Tenant", html! { (tenant) }));
    }
    facts.push((
        "Payload fingerprint",
        html! { code { (message.fingerprint.get(..16).unwrap_or_default()) "…" } },
    ));
    if let Some(checksum) = &message.checksum {
        facts.push((
            "Key checksum",
            html! { code { (checksum.get(..16).unwrap_or_default()) "…" } },
        ));
    }
    ui::facts(&facts)
}

/// The payload as a file: never shown by the browser as what it claims to be.
pub(super) async fn payload(viewer: Viewer, Path(id): Path<String>) -> Result<Response, Page> {
    let path = format!("/v1/messages/{}", encoded(&id));
    let message: Message = viewer
        .get(&path)
        .await
        .map_err(|refusal| viewer.refused(&refusal))?;
    let value = message.payload.as_deref();
    let (name, bytes) = match (message.payload_encoding.as_deref(), value) {
        (Some("json"), Some(value)) => ("json", value.get().as_bytes().to_vec()),
        (Some("text"), Some(value)) => {
            let text: Option<String> = serde_json::from_str(value.get()).ok();
            ("txt", text.unwrap_or_default().into_bytes())
        }
        (_, Some(value)) => ("base64.json", value.get().as_bytes().to_vec()),
        (_, None) => ("txt", Vec::new()),
    };
    let disposition = format!("attachment; filename=\"{}.{name}\"", message.id);
    let disposition = HeaderValue::try_from(disposition).expect("an id is visible ASCII");
    let mut answer = bytes.into_response();
    let headers = answer.headers_mut();
    headers.insert(header::CONTENT_DISPOSITION, disposition);
    headers.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("application/octet-stream"),
    );
    headers.insert(
        header::CONTENT_SECURITY_POLICY,
        HeaderValue::from_static("sandbox"),
    );
    Ok(answer)
}

pub(super) async fn retry(Path(id): Path<String>, submitted: Submitted) -> Result<Redirect, Page> {
    let path = format!("/v1/messages/{}/retry", encoded(&id));
    told(&submitted.viewer, &path).await?;
    Ok(Redirect::to(&format!("/messages/{}", encoded(&id))))
}

pub(super) async fn retry_delivery(
    path: Path<String>,
    submitted: Submitted,
) -> Result<Redirect, Page> {
    command(path, submitted, "retry").await
}

pub(super) async fn cancel_delivery(
    path: Path<String>,
    submitted: Submitted,
) -> Result<Redirect, Page> {
    command(path, submitted, "cancel").await
}

async fn command(
    Path(id): Path<String>,
    submitted: Submitted,
    verb: &str,
) -> Result<Redirect, Page> {
    let path = format!("/v1/deliveries/{}/{verb}", encoded(&id));
    let done = told(&submitted.viewer, &path).await?;
    let message = done["message_id"].as_str().unwrap_or_default();
    Ok(Redirect::to(&format!("/messages/{}", encoded(message))))
}

async fn told(viewer: &Viewer, path: &str) -> Result<Value, Page> {
    let done = viewer.tell(Method::POST, path, &Value::Null).await;
    done.map_err(|refusal| viewer.refused(&refusal))
}
