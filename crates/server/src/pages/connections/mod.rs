//! Connections: what goes whither, by which rules.

mod picture;
mod rates;

use axum::extract::{Path, RawQuery, State};
use axum::response::{IntoResponse, Redirect, Response};
use hooklatch_core::config::Scope;
use http::{Method, StatusCode};
use maud::{Markup, html};
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};

use super::api::encoded;
use super::fields::{Field, Filled};
use super::filters::{OPTIONS_MAX, query_of};
use super::form::{Form, Submitted};
use super::frame::{Page, Place};
use super::names::Names;
use super::session::Viewer;
use super::ui;
use super::wire::{Connection, FieldRefusal, Listed, Refusal};
use crate::app::App;
use rates::Rates;

const NAME: Field<'_> = Field {
    name: "name",
    label: "Name",
    hint: "For people.",
    pointer: "/name",
};
const SOURCE: Field<'_> = Field {
    name: "source_id",
    label: "From the source",
    hint: "Or, for the send API, the event types below.",
    pointer: "/source_id",
};
const TYPES: Field<'_> = Field {
    name: "event_types",
    label: "Or from the send API, by event type",
    hint: "One a line, such as order.*",
    pointer: "/event_types",
};
const ENDPOINT: Field<'_> = Field {
    name: "endpoint_id",
    label: "To the endpoint",
    hint: "",
    pointer: "/endpoint_id",
};
const RULES: Field<'_> = Field {
    name: "rules",
    label: "Rules",
    hint: "A JSON list of filter, deduplicate, transform and delay. They run in the order in which they stand.",
    pointer: "/rules",
};

/// What stands in the place of rules where there is none yet.
const RULES_EXAMPLE: &str = r#"[{"type": "filter", "body": {"type": {"$startsWith": "order."}}}]"#;

pub(super) async fn list(State(app): State<App>, viewer: Viewer) -> Result<Page, Page> {
    let connections: Listed<Connection> = viewer
        .get("/v1/connections?limit=250")
        .await
        .map_err(|refusal| viewer.refused(&refusal))?;
    let names = Names::of(&app, &viewer);
    let rates = Rates::now(&viewer).await;
    let body = html! {
        @if connections.data.is_empty() {
            (ui::empty("There is no connection yet.", &html! {
                p { "A connection brings the messages of a source to an endpoint, by rules." }
                @if viewer.may(Scope::Manage) { p { a.button.primary href="/connections/new" { "New connection" } } }
            }))
        } @else {
            div #picture data-live="swap" { (picture::drawn(&connections.data, &names, &rates)) }
            table.rows {
                thead { tr { th { "Name" } th { "State" } th { "From" } th { "Rules" } th { "To" } } }
                tbody { @for connection in &connections.data { (row(connection, &names)) } }
            }
            @if connections.next_cursor.is_some() { p.muted { "The newest 250." } }
        }
    };
    let actions = html! {
        @if viewer.may(Scope::Manage) { a.button href="/connections/new" { "New connection" } }
    };
    Ok(viewer.page(Place::Connections, "Connections", actions, body))
}

fn row(connection: &Connection, names: &Names<'_>) -> Markup {
    html! {
        tr id=(connection.id) {
            td { a.row href={ "/connections/" (connection.id) } { (connection.name) } }
            td { (ui::badge(state(connection))) }
            td {
                @match &connection.source_id {
                    Some(id) => (names.source_link(id)),
                    None => { "send API: " (connection.event_types.clone().unwrap_or_default().join(", ")) },
                }
            }
            td { (rules(connection)) }
            td { (names.endpoint_link(&connection.endpoint_id)) }
        }
    }
}

fn state(connection: &Connection) -> &'static str {
    if connection.paused {
        "paused"
    } else {
        "active"
    }
}

/// The kinds of the rules, in their order.
fn rules(connection: &Connection) -> Markup {
    let kinds: Vec<String> = connection.rules.iter().map(|rule| kind(rule)).collect();
    html! {
        @if kinds.is_empty() { span.muted { "no rules" } }
        @else { (kinds.join(" → ")) }
    }
}

fn kind(rule: &RawValue) -> String {
    let rule: Value = serde_json::from_str(rule.get()).unwrap_or_default();
    rule["type"].as_str().unwrap_or("rule").to_owned()
}

fn fields(filled: &Filled<'_>, names: &Names<'_>) -> Markup {
    let none = (String::new(), "the send API".to_owned());
    let sources: Vec<_> = std::iter::once(none)
        .chain(names.source_options(OPTIONS_MAX))
        .collect();
    html! {
        (filled.line(NAME, "text", "stripe to shop"))
        (filled.choice(SOURCE, &sources))
        (filled.lines(TYPES, 2, "order.*"))
        (filled.choice(ENDPOINT, &names.endpoint_options(OPTIONS_MAX)))
        (filled.lines(RULES, 8, RULES_EXAMPLE))
    }
}

fn filled_from(connection: &Connection) -> Form {
    let rules: Vec<&str> = connection.rules.iter().map(|rule| rule.get()).collect();
    let rules = if rules.is_empty() {
        String::new()
    } else {
        format!("[{}]", rules.join(",\n "))
    };
    Form::of([
        ("name", connection.name.clone()),
        (
            "source_id",
            connection.source_id.clone().unwrap_or_default(),
        ),
        (
            "event_types",
            connection
                .event_types
                .clone()
                .unwrap_or_default()
                .join("\n"),
        ),
        ("endpoint_id", connection.endpoint_id.clone()),
        ("rules", rules),
    ])
}

/// What the form asks the API for, the rules as they are written: their numbers are exact.
fn input(form: &Form) -> Result<String, Refusal> {
    let rules = form.text("rules").unwrap_or("[]");
    let rules: Box<RawValue> = serde_json::from_str(rules).map_err(|error| {
        let detail = format!("is no JSON: {error}");
        let field = FieldRefusal {
            pointer: RULES.pointer.to_owned(),
            detail: detail.clone(),
        };
        Refusal {
            status: 422,
            detail: format!("The list of rules {detail}"),
            errors: vec![field],
            ..Refusal::default()
        }
    })?;
    let mut input = Map::new();
    for name in ["name", "source_id", "endpoint_id"] {
        input.insert(name.to_owned(), json!(form.text(name)));
    }
    let types = Some(form.lines("event_types")).filter(|types| !types.is_empty());
    input.insert("event_types".to_owned(), json!(types));
    let text = Value::Object(input).to_string();
    let open = text.strip_suffix('}').unwrap_or(&text);
    Ok(format!("{open},\"rules\":{}}}", rules.get()))
}

pub(super) async fn new(State(app): State<App>, viewer: Viewer, RawQuery(query): RawQuery) -> Page {
    editor(
        &app,
        &viewer,
        "New connection",
        "/connections",
        &query_of(query),
        None,
    )
}

fn editor(
    app: &App,
    viewer: &Viewer,
    title: &str,
    action: &str,
    form: &Form,
    refusal: Option<&Refusal>,
) -> Page {
    let filled = Filled { form, refusal };
    let names = Names::of(app, viewer);
    let body = html! {
        p.path { a href="/connections" data-up { "Connections" } }
        form.edit method="post" action=(action) {
            (viewer.token())
            (filled.wrong())
            (fields(&filled, &names))
            div.actions { button.primary type="submit" { "Save" } }
        }
    };
    let page = viewer.page(Place::Connections, title, html! {}, body);
    match refusal {
        Some(_) => page.with_status(StatusCode::UNPROCESSABLE_ENTITY),
        None => page,
    }
}

pub(super) async fn create(
    State(app): State<App>,
    Submitted { viewer, form }: Submitted,
) -> Response {
    match saved(&viewer, Method::POST, "/v1/connections", &form).await {
        Ok(_) => Redirect::to("/connections").into_response(),
        Err(refusal) => editor(
            &app,
            &viewer,
            "New connection",
            "/connections",
            &form,
            Some(&refusal),
        )
        .into_response(),
    }
}

async fn saved(
    viewer: &Viewer,
    method: Method,
    path: &str,
    form: &Form,
) -> Result<Connection, Refusal> {
    viewer.tell_text(method, path, input(form)?).await
}

async fn found(viewer: &Viewer, id: &str) -> Result<Connection, Page> {
    let path = format!("/v1/connections/{}", encoded(id));
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
    let connection = found(&viewer, &id).await?;
    let names = Names::of(&app, &viewer);
    let form = filled_from(&connection);
    let filled = Filled {
        form: &form,
        refusal: None,
    };
    let may = viewer.may(Scope::Manage);
    let rates = Rates::now(&viewer).await;
    let body = html! {
        p.path { a href="/connections" data-up { "Connections" } " / " (ui::id(&connection.id)) " " (ui::copy("Copy id", &connection.id)) }
        @if connection.paused {
            div.notice.warn role="status" { p { "It is paused: what comes by it waits, and stands in nobody's way, until a person resumes it." } }
        }
        div #picture data-live="swap" { (picture::drawn(std::slice::from_ref(&connection), &names, &rates)) }
        @if may {
            form.edit method="post" action={ "/connections/" (connection.id) } {
                (viewer.token())
                (fields(&filled, &names))
                div.actions { button.primary type="submit" { "Save" } }
            }
        } @else {
            h2 { "Rules" }
            pre.code tabindex="0" { (form.text("rules").unwrap_or("none")) }
        }
    };
    Ok(viewer.page(
        Place::Connections,
        &connection.name,
        actions(&viewer, &connection),
        body,
    ))
}

fn actions(viewer: &Viewer, connection: &Connection) -> Markup {
    let path = |verb: &str| format!("/connections/{}/{verb}", connection.id);
    html! {
        @if viewer.may(Scope::Manage) {
            @if connection.paused { (viewer.button(&path("resume"), "Resume", None)) }
            @else { (viewer.button(&path("pause"), "Pause", Some("What comes by it waits until a person resumes it. Go on?"))) }
            (viewer.button(&path("delete"), "Delete", Some("New messages do not take this way any more. Go on?")))
        }
    }
}

pub(super) async fn change(
    State(app): State<App>,
    Path(id): Path<String>,
    Submitted { viewer, form }: Submitted,
) -> Result<Response, Page> {
    let connection = found(&viewer, &id).await?;
    let path = format!("/v1/connections/{}", connection.id);
    let action = format!("/connections/{}", connection.id);
    Ok(match saved(&viewer, Method::PATCH, &path, &form).await {
        Ok(_) => Redirect::to(&action).into_response(),
        Err(refusal) => editor(
            &app,
            &viewer,
            &connection.name,
            &action,
            &form,
            Some(&refusal),
        )
        .into_response(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_are_sent_as_they_are_written() {
        let form = Form::of([
            ("name", "c".into()),
            ("source_id", "src_1".into()),
            ("endpoint_id", "ep_1".into()),
            (
                "rules",
                r#"[{"type": "filter", "body": {"n": 9007199254740993.10}}]"#.into(),
            ),
        ]);
        let input = input(&form).unwrap();
        assert!(input.contains("9007199254740993.10"), "{input}");
        let read: Value = serde_json::from_str(&input).unwrap();
        assert_eq!(
            (&read["name"], &read["event_types"]),
            (&json!("c"), &Value::Null)
        );
    }

    #[test]
    fn what_is_no_list_of_rules_is_said_at_its_field() {
        let refusal = input(&Form::of([("rules", "[{".into())])).unwrap_err();
        assert_eq!(refusal.errors[0].pointer, "/rules");
    }
}
