//! Settings: the projects of the gateway, the API keys that open them, and who changed what.

use axum::extract::Path;
use axum::response::{IntoResponse, Redirect, Response};
use http::Method;
use maud::{Markup, html};
use serde::Deserialize;
use serde_json::{Value, json};

use super::api::encoded;
use super::fields::{Field, Filled};
use super::form::{Form, Submitted};
use super::frame::{Page, Place};
use super::retention::{self, Retention};
use super::session::Viewer;
use super::ui;
use super::wire::{Listed, Refusal};
use crate::app::Kept;

const KEY_NAME: Field<'_> = Field {
    name: "key_name",
    label: "What it is for",
    hint: "Such as the name of the program that uses it.",
    pointer: "/name",
};
const PROJECT: Field<'_> = Field {
    name: "project_id",
    label: "Project",
    hint: "A key opens one project.",
    pointer: "/project_id",
};
const PROJECT_NAME: Field<'_> = Field {
    name: "project_name",
    label: "Name of a new project",
    hint: "Nothing of one project is seen in another.",
    pointer: "/name",
};
/// Marks a form as the one of retention, so that what it said is shown again.
const RETENTION_SENT: &str = "retention_sent";
/// What a key may do; the last opens what concerns the whole gateway.
const SCOPES: [(&str, &str, &str); 4] = [
    ("read", "read", "Look."),
    ("send", "send", "Send messages."),
    (
        "manage",
        "manage",
        "Change the configuration, retry, replay, release.",
    ),
    (
        "admin",
        "admin",
        "Make projects and API keys, of the whole gateway.",
    ),
];

/// An API key, without its text.
#[derive(Debug, Deserialize)]
struct ApiKey {
    id: String,
    project_id: String,
    name: String,
    scopes: Vec<String>,
    admin: bool,
    created_at: String,
    last_used_at: Option<String>,
}

/// A project.
#[derive(Debug, Deserialize)]
struct Project {
    id: String,
    name: String,
    created_at: String,
    retention: Option<Retention>,
}

/// A change that somebody made.
#[derive(Debug, Deserialize)]
struct Change {
    at: String,
    actor: Option<String>,
    action: String,
    subject: String,
    reason: Option<String>,
}

pub(super) async fn show(viewer: Viewer) -> Result<Page, Page> {
    shown(&viewer, &Form::of([("read", "on".to_owned())]), None, None).await
}

async fn shown(
    viewer: &Viewer,
    form: &Form,
    refusal: Option<&Refusal>,
    secret: Option<Markup>,
) -> Result<Page, Page> {
    let refused = |refusal: Refusal| viewer.refused(&refusal);
    let changes: Option<Listed<Change>> = viewer.find("/v1/audit?limit=20").await;
    let filled = Filled { form, refusal };
    let kept = form.text(RETENTION_SENT).map(|_| &filled);
    let kept = retention::section(viewer, kept).await;
    if !viewer.caller.admin {
        let body = html! {
            (filled.wrong())
            div.notice.note { p { "Projects and API keys need an admin key: the first key of the gateway, or one that was made for it." } }
            (kept)
            (store(viewer.kept))
            (audit(changes.as_ref(), &[]))
        };
        return Ok(viewer.page(Place::Settings, "Settings", html! {}, body));
    }
    let keys: Listed<ApiKey> = viewer
        .get("/v1/api-keys?limit=250")
        .await
        .map_err(refused)?;
    let projects: Listed<Project> = viewer
        .get("/v1/projects?limit=250")
        .await
        .map_err(refused)?;
    let body = html! {
        @if let Some(secret) = secret { (secret) }
        (filled.wrong())
        h2 { "API keys" }
        (key_table(viewer, &keys.data, &projects.data))
        div.columns.even {
            section { h2 { "A new API key" } (key_form(viewer, &filled, &projects.data)) }
            section {
                h2 { "Projects" }
                (project_list(viewer, &filled, &projects.data))
                (kept)
            }
        }
        (store(viewer.kept))
        (audit(changes.as_ref(), &keys.data))
    };
    Ok(viewer.page(Place::Settings, "Settings", html! {}, body))
}

fn key_table(viewer: &Viewer, keys: &[ApiKey], projects: &[Project]) -> Markup {
    let project = |id: &str| projects.iter().find(|project| project.id == id);
    html! {
        table.rows {
            thead { tr { th { "Name" } th { "Project" } th { "May" } th { "Made" } th { "Last used" } th { "Revoke" } } }
            tbody {
                @for key in keys {
                    tr id=(key.id) {
                        td { (key.name) }
                        td { (project(&key.project_id).map_or(key.project_id.as_str(), |project| &project.name)) }
                        td { (key.scopes.join(", ")) @if key.admin { ", admin" } }
                        td { (ui::time(&key.created_at)) }
                        td { @match &key.last_used_at { Some(at) => (ui::time(at)), None => span.muted { "never" } } }
                        td {
                            (viewer.button(
                                &format!("/settings/keys/{}/revoke", key.id), "Revoke",
                                Some("Whoever uses it is refused from now on, and signed out here. Go on?"),
                            ))
                        }
                    }
                }
            }
        }
    }
}

fn key_form(viewer: &Viewer, filled: &Filled<'_>, projects: &[Project]) -> Markup {
    let options = projects
        .iter()
        .map(|project| (project.id.clone(), project.name.clone()));
    let options: Vec<_> = options.collect();
    html! {
        form.edit method="post" action="/settings/keys" {
            (viewer.token())
            (filled.line(KEY_NAME, "text", "shop"))
            (filled.choice(PROJECT, &options))
            @for (name, label, hint) in SCOPES {
                (filled.tick(Field { name, label, hint, pointer: "/scopes" }))
            }
            button.primary type="submit" { "Make the key" }
        }
    }
}

fn project_list(viewer: &Viewer, filled: &Filled<'_>, projects: &[Project]) -> Markup {
    let own = Retention::default();
    let kept = |project: &Project| {
        project.retention.as_ref().map_or_else(
            || (own.payloads(), own.history()),
            |kept| (kept.payloads(), kept.history()),
        )
    };
    html! {
        table.rows.short {
            thead { tr { th { "Name" } th { "Payloads kept" } th { "History kept" } th { "Made" } } }
            tbody {
                @for project in projects {
                    tr id=(project.id) {
                        td { (project.name) }
                        @let (payloads, history) = kept(project);
                        td { (payloads) }
                        td { (history) }
                        td { (ui::time(&project.created_at)) }
                    }
                }
            }
        }
        form.edit.next method="post" action="/settings/projects" {
            (viewer.token())
            (filled.line(PROJECT_NAME, "text", "staging"))
            button type="submit" { "Make the project" }
        }
    }
}

fn store(kept: Kept) -> Markup {
    let kept = match kept {
        Kept::Memory => {
            "Everything is kept in memory, and is lost when the gateway's process ends."
        }
        Kept::File => "Everything is kept in a file on the gateway's own machine.",
        Kept::Database => "Everything is kept in a PostgreSQL database that nodes share.",
    };
    html! { h2 { "Store" } p { (kept) } }
}

fn audit(changes: Option<&Listed<Change>>, keys: &[ApiKey]) -> Markup {
    let changes = changes
        .map(|listed| listed.data.as_slice())
        .unwrap_or_default();
    let name = |id: &str| {
        keys.iter()
            .find(|key| key.id == id)
            .map(|key| key.name.clone())
    };
    html! {
        h2 { "Who changed what" }
        @if changes.is_empty() { p.muted { "Nothing yet." } }
        @else {
            table.rows {
                thead { tr { th { "When" } th { "By the key" } th { "What" } th { "Of" } th { "Reason" } } }
                tbody {
                    @for change in changes {
                        tr {
                            td { (ui::time(&change.at)) }
                            td { @match &change.actor { Some(id) => (name(id).unwrap_or_else(|| id.clone())), None => "the gateway" } }
                            td { (change.action) }
                            td.key { code { (change.subject) } }
                            td { (change.reason.as_deref().unwrap_or("—")) }
                        }
                    }
                }
            }
        }
    }
}

pub(super) async fn make_key(Submitted { viewer, form }: Submitted) -> Result<Response, Page> {
    let ticked = SCOPES
        .iter()
        .map(|(name, ..)| *name)
        .filter(|name| form.is_on(name));
    let scopes: Vec<&str> = ticked.filter(|name| *name != "admin").collect();
    let input = json!({
        "name": form.text("key_name"),
        "project_id": form.text("project_id"),
        "scopes": scopes,
        "admin": form.is_on("admin"),
    });
    let made: Result<Value, _> = viewer.tell(Method::POST, "/v1/api-keys", &input).await;
    once(&viewer, &form, made, "key", "The new API key").await
}

pub(super) async fn make_project(Submitted { viewer, form }: Submitted) -> Result<Response, Page> {
    let input = json!({"name": form.text("project_name")});
    let made: Result<Value, _> = viewer.tell(Method::POST, "/v1/projects", &input).await;
    let title = "The new project's signing secret, for sends to bare URLs";
    once(&viewer, &form, made, "signing_secret", title).await
}

pub(super) async fn set_retention(Submitted { viewer, form }: Submitted) -> Result<Response, Page> {
    let input = retention::input(&form);
    let set: Result<Value, _> = viewer.tell(Method::PUT, "/v1/retention", &input).await;
    match set {
        Ok(_) => Ok(Redirect::to("/settings#retention").into_response()),
        Err(refusal) => {
            let page = shown(&viewer, &form.with(RETENTION_SENT), Some(&refusal), None).await?;
            let status = refusal.status.try_into().unwrap_or_default();
            Ok(page.with_status(status).into_response())
        }
    }
}

/// What was made, with its secret, which is shown this once; a redirect would have to carry it in
/// an address.
async fn once(
    viewer: &Viewer,
    form: &Form,
    made: Result<Value, Refusal>,
    field: &str,
    title: &str,
) -> Result<Response, Page> {
    let page = match &made {
        Err(refusal) => {
            let page = shown(viewer, form, Some(refusal), None).await?;
            page.with_status(refusal.status.try_into().unwrap_or_default())
        }
        Ok(made) => {
            let secret = made[field].as_str().unwrap_or_default();
            let shown_once = html! {
                div.notice.good role="status" {
                    p { (title) ". Copy it now: it is shown this once." }
                    div.copyable { code { (secret) } (ui::copy("Copy", secret)) }
                }
            };
            shown(viewer, &Form::empty(), None, Some(shown_once)).await?
        }
    };
    Ok(page.into_response())
}

pub(super) async fn revoke(
    Path(id): Path<String>,
    Submitted { viewer, .. }: Submitted,
) -> Result<Redirect, Page> {
    let path = format!("/v1/api-keys/{}", encoded(&id));
    let done: Result<Value, _> = viewer.tell(Method::DELETE, &path, &Value::Null).await;
    done.map_err(|refusal| viewer.refused(&refusal))?;
    Ok(Redirect::to("/settings"))
}
