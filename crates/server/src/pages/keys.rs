//! Keys: what stands under one in the ledger, and how a person frees it (L1).

use axum::extract::{RawQuery, State};
use axum::response::Redirect;
use hooklatch_core::config::Scope;
use http::Method;
use maud::{Markup, html};
use serde_json::Value;

use super::api::with_query;
use super::filters::query_of;
use super::form::Submitted;
use super::frame::{Page, Place};
use super::names::Names;
use super::session::Viewer;
use super::ui;
use super::wire::{Claim, Listed};
use crate::app::App;

pub(super) async fn show(
    State(app): State<App>,
    viewer: Viewer,
    RawQuery(query): RawQuery,
) -> Result<Page, Page> {
    let query = query_of(query);
    let key = query.text("key").unwrap_or_default();
    let body = html! {
        form.filters method="get" action="/keys" role="search" {
            label { span { "Key" }
                input #search name="key" type="search" value=(key) placeholder="the provider's raw value, or a checksum"
                    spellcheck="false" autocomplete="off" required; }
            button.primary type="submit" { "Look up" }
        }
        @if key.is_empty() {
            (ui::empty("Which event is under a key?", &html! {
                p { "Give the id as the provider writes it, any part of a composite key, or the checksum that receivers get." }
            }))
        } @else { (claims(&app, &viewer, key).await?) }
    };
    Ok(viewer.page(Place::Keys, "Keys", html! {}, body))
}

async fn claims(app: &App, viewer: &Viewer, key: &str) -> Result<Markup, Page> {
    let path = with_query("/v1/keys", [("key", key), ("limit", "50")]);
    let found: Listed<Claim> = viewer
        .get(&path)
        .await
        .map_err(|refusal| viewer.refused(&refusal))?;
    let names = Names::of(app, viewer);
    if found.data.is_empty() {
        let log = with_query("/requests", [("key", key)]);
        return Ok(ui::empty(
            "No live key is this one.",
            &html! {
                p { "The next arrival under it counts as new. " a href=(log) { "What arrived under it earlier" } }
            },
        ));
    }
    Ok(html! {
        @for claim in &found.data { (one(viewer, claim, key, &names)) }
    })
}

fn one(viewer: &Viewer, claim: &Claim, asked: &str, names: &Names<'_>) -> Markup {
    html! {
        section.card {
            h2 { code { (claim.key) } }
            (ui::facts(&[
                ("Scope", html! { (names.scope(&claim.scope)) }),
                ("Message", html! { a href={ "/messages/" (claim.message_id) } { (ui::id(&claim.message_id)) } }),
                ("First seen", ui::time(&claim.first_seen_at)),
                ("Last seen", ui::time(&claim.last_seen_at)),
                ("Duplicates", html! { (claim.duplicates) " " a href=(with_query("/requests", [("key", claim.checksum.as_str()), ("outcome", "duplicate")])) { "show" } }),
                ("Remembered until", html! { @match &claim.expires_at { Some(end) => (ui::time(end)), None => "for ever" } }),
                ("Checksum", html! { code.long { (claim.checksum) } }),
            ]))
            @if viewer.may(Scope::Manage) {
                form.free method="post" action="/keys/free" data-confirm="The next arrival under this key counts as new and is delivered. Go on?" {
                    (viewer.token())
                    input type="hidden" name="checksum" value=(claim.checksum);
                    input type="hidden" name="scope" value=(claim.scope);
                    input type="hidden" name="key" value=(asked);
                    label { span { "Reason" } input name="reason" required maxlength="1000" placeholder="kept in the audit log"; }
                    button.danger type="submit" { "Free this key" }
                }
            }
        }
    }
}

pub(super) async fn free(Submitted { viewer, form }: Submitted) -> Result<Redirect, Page> {
    let field = |name| form.text(name).unwrap_or_default();
    let path = with_query(
        "/v1/keys",
        [
            ("key", field("checksum")),
            ("scope", field("scope")),
            ("reason", field("reason")),
        ],
    );
    let done: Result<Value, _> = viewer.tell(Method::DELETE, &path, &Value::Null).await;
    done.map_err(|refusal| viewer.refused(&refusal))?;
    Ok(Redirect::to(&with_query("/keys", [("key", field("key"))])))
}
