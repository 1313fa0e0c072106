//! What every page has around it, and the pages that say that something was refused.

use axum::response::{IntoResponse, Response};
use http::StatusCode;
use maud::{DOCTYPE, Markup, html};

use super::assets;
use super::form::TOKEN_FIELD;
use super::session::Viewer;
use super::wire::Refusal;

/// A page, ready to be sent.
pub(crate) struct Page {
    status: StatusCode,
    markup: Markup,
}

/// A part of the dashboard.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    Overview,
    Messages,
    Requests,
    Sources,
    Endpoints,
    Connections,
    Keys,
    Replays,
    Settings,
    Nowhere,
}

/// The places of the navigation: their names, where they are, and the key after `g`.
const PLACES: [(Place, &str, &str, char); 9] = [
    (Place::Overview, "Overview", "/", 'o'),
    (Place::Messages, "Messages", "/messages", 'm'),
    (Place::Requests, "Requests", "/requests", 'r'),
    (Place::Sources, "Sources", "/sources", 's'),
    (Place::Endpoints, "Endpoints", "/endpoints", 'e'),
    (Place::Connections, "Connections", "/connections", 'c'),
    (Place::Keys, "Keys", "/keys", 'k'),
    (Place::Replays, "Replays", "/replays", 'p'),
    (Place::Settings, "Settings", "/settings", 't'),
];

impl Page {
    /// The same with another status than 200.
    #[must_use]
    pub fn with_status(mut self, status: StatusCode) -> Self {
        self.status = status;
        self
    }
}

impl IntoResponse for Page {
    fn into_response(self) -> Response {
        let page = axum::response::Html(self.markup.into_string());
        (self.status, page).into_response()
    }
}

impl Viewer {
    /// A page of the dashboard; `actions` stand beside its title.
    pub fn page(&self, place: Place, title: &str, actions: Markup, body: Markup) -> Page {
        let inner = html! {
            (self.navigation(place))
            main #main tabindex="-1" {
                div.head { h1 { (title) } div.actions { (actions) } }
                (body)
            }
            (help())
        };
        Page {
            status: StatusCode::OK,
            markup: document(title, inner),
        }
    }

    /// The page of something that the API refused.
    pub fn refused(&self, refusal: &Refusal) -> Page {
        let status = StatusCode::from_u16(refusal.status).unwrap_or(StatusCode::BAD_GATEWAY);
        let (title, advice) = match status {
            StatusCode::NOT_FOUND => (
                "Not found",
                "It may belong to another project, or be older than what is kept.",
            ),
            StatusCode::FORBIDDEN => ("Not allowed", "Sign in with a key that has this scope."),
            _ => (refusal.title.as_str(), "Nothing was changed."),
        };
        let body = html! {
            div.notice.bad role="alert" { p { (refusal.detail) } }
            p.muted { (advice) }
        };
        self.page(Place::Nowhere, title, html! {}, body)
            .with_status(status)
    }

    /// A form that does one thing. `confirm` is asked before, where it cannot be taken back.
    pub fn button(&self, action: &str, label: &str, confirm: Option<&str>) -> Markup {
        html! {
            form.inline method="post" action=(action) data-confirm=[confirm] {
                (self.token())
                button type="submit" class=[takes_away(label).then_some("danger")] { (label) }
            }
        }
    }

    /// What each of our forms carries.
    pub fn token(&self) -> Markup {
        html! { input type="hidden" name=(TOKEN_FIELD) value=(self.form_token); }
    }

    fn navigation(&self, here: Place) -> Markup {
        html! {
            a.skip href="#main" { "Skip to the content" }
            header.bar {
                a.brand href="/" { (mark()) "hooklatch" }
                nav aria-label="Dashboard" {
                    ul {
                        @for (place, name, href, key) in PLACES {
                            li {
                                a href=(href) data-go=(key)
                                    aria-current=[(place == here).then_some("page")] { (name) }
                            }
                        }
                    }
                }
                div.account {
                    a href="/docs" { "API" }
                    span.project title="The project of the API key" { (self.project_name) }
                    form method="post" action="/sign-out" {
                        button.quiet type="submit" { "Sign out" }
                    }
                }
            }
        }
    }
}

/// Whether a button takes something away that does not come back.
fn takes_away(label: &str) -> bool {
    matches!(label, "Delete" | "Discard" | "Cancel" | "Revoke")
}

/// A page for somebody who has not signed in.
pub(super) fn bare(title: &str, body: Markup) -> Page {
    let inner = html! {
        main.bare #main {
            p.brand { (mark()) "hooklatch" }
            h1 { (title) }
            (body)
        }
    };
    Page {
        status: StatusCode::OK,
        markup: document(title, inner),
    }
}

/// The answer to a browser that asks for a page that there is not.
pub(crate) fn not_found() -> Response {
    let body = html! {
        p { "There is no such page." }
        p { a href="/" { "Go to the dashboard" } }
    };
    bare("Not found", body)
        .with_status(StatusCode::NOT_FOUND)
        .into_response()
}

fn document(title: &str, inner: Markup) -> Markup {
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                title { (title) " · hooklatch" }
                link rel="icon" type="image/svg+xml" href=(assets::icon());
                link rel="stylesheet" href=(assets::style());
                script src=(assets::script()) defer {}
            }
            body { (inner) }
        }
    }
}

/// Two arrivals, one effect.
fn mark() -> Markup {
    html! {
        svg.mark viewBox="0 0 16 16" width="16" height="16" aria-hidden="true" {
            path d="M2 3.5 7 8M2 12.5 7 8M7 8h7" {}
            circle cx="7" cy="8" r="2" {}
        }
    }
}

fn help() -> Markup {
    html! {
        dialog #help aria-labelledby="help-title" {
            h2 #help-title { "Keys" }
            dl.keys {
                @for (keys, what) in [
                    ("j / k", "the next or the previous row"),
                    ("Enter", "open the row"),
                    ("/", "search"),
                    ("u", "up, to the list"),
                    ("?", "this help"),
                ] { dt { kbd { (keys) } } dd { (what) } }
                @for (_, name, _, key) in PLACES {
                    dt { kbd { "g " (key) } } dd { (name) }
                }
            }
            form method="dialog" { button type="submit" { "Close" } }
        }
    }
}
