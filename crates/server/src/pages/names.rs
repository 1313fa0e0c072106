//! The names behind the ids that records carry.

use std::sync::Arc;

use maud::{Markup, html};

use super::session::Viewer;
use crate::app::App;
use crate::directory::Snapshot;

/// The names of a project's configuration, now.
pub(super) struct Names<'a> {
    snapshot: Arc<Snapshot>,
    viewer: &'a Viewer,
}

impl<'a> Names<'a> {
    pub fn of(app: &App, viewer: &'a Viewer) -> Self {
        let snapshot = app.directory().snapshot();
        Self { snapshot, viewer }
    }

    /// A source's name; none where it was deleted.
    pub fn source(&self, id: &str) -> Option<String> {
        let id = id.parse().ok()?;
        let ready = self.snapshot.source(self.viewer.caller.project, id)?;
        Some(ready.source.name.clone())
    }

    /// An endpoint's name; none where it was deleted.
    pub fn endpoint(&self, id: &str) -> Option<String> {
        let id = id.parse().ok()?;
        let ready = self.snapshot.endpoint(self.viewer.caller.project, id)?;
        Some(ready.endpoint().name.clone())
    }

    /// A connection's name; none where it was deleted.
    pub fn connection(&self, id: &str) -> Option<String> {
        let id = id.parse().ok()?;
        let found = self.snapshot.connection(self.viewer.caller.project, id)?;
        Some(found.name.clone())
    }

    /// The name of the endpoint that a delivery goes to.
    pub fn target(&self, endpoint: Option<&str>, url: Option<&str>) -> String {
        match endpoint {
            Some(id) => self
                .endpoint(id)
                .unwrap_or_else(|| "a deleted endpoint".to_owned()),
            None => url.unwrap_or("a URL").to_owned(),
        }
    }

    /// A source's name as a link.
    pub fn source_link(&self, id: &str) -> Markup {
        linked("sources", id, self.source(id))
    }

    /// An endpoint's name as a link.
    pub fn endpoint_link(&self, id: &str) -> Markup {
        linked("endpoints", id, self.endpoint(id))
    }

    /// A connection's name as a link.
    pub fn connection_link(&self, id: &str) -> Markup {
        linked("connections", id, self.connection(id))
    }

    /// What a claim's scope is called.
    pub fn scope(&self, scope: &str) -> String {
        let named = match scope.split_once(':') {
            Some(("source", id)) => self.source(id).map(|name| format!("source {name}")),
            Some(("connection", id)) => {
                self.connection(id).map(|name| format!("connection {name}"))
            }
            Some(_) | None => None,
        };
        named.unwrap_or_else(|| scope.to_owned())
    }

    /// The sources as options of a filter, at most `most`.
    pub fn source_options(&self, most: usize) -> Vec<(String, String)> {
        let sources = self.snapshot.sources(self.viewer.caller.project).rev();
        let pair = |ready: &Arc<crate::directory::ReadySource>| {
            (ready.source.id.to_string(), ready.source.name.clone())
        };
        sorted(sources.take(most).map(pair).collect())
    }

    /// The endpoints as options of a filter, at most `most`.
    pub fn endpoint_options(&self, most: usize) -> Vec<(String, String)> {
        let endpoints = self.snapshot.endpoints(self.viewer.caller.project).rev();
        let pair = |ready: &Arc<hooklatch_engine::ReadyEndpoint>| {
            (
                ready.endpoint().id.to_string(),
                ready.endpoint().name.clone(),
            )
        };
        sorted(endpoints.take(most).map(pair).collect())
    }
}

fn sorted(mut options: Vec<(String, String)>) -> Vec<(String, String)> {
    options.sort_by(|one, other| one.1.cmp(&other.1));
    options
}

fn linked(place: &str, id: &str, name: Option<String>) -> Markup {
    html! {
        @match name {
            Some(name) => a href={ "/" (place) "/" (id) } { (name) },
            None => span.muted { "deleted " code { (id) } },
        }
    }
}
