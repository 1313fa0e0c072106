//! Who calls the API: the owner of a key, and what the key may do.

use std::collections::BTreeSet;

use axum::extract::FromRequestParts;
use hooklatch_core::config::Scope;
use hooklatch_core::ids::{ApiKeyId, ProjectId};
use hooklatch_core::token::api_key_hash;
use http::HeaderMap;
use http::header::AUTHORIZATION;
use http::request::Parts;

use crate::app::App;
use crate::problem::Problem;

/// The owner of a valid API key.
#[derive(Debug, Clone)]
pub struct Caller {
    /// The project that the key belongs to.
    pub project: ProjectId,
    /// The key.
    pub key: ApiKeyId,
    /// What it may do.
    pub scopes: BTreeSet<Scope>,
    /// Whether it also opens what concerns the whole gateway.
    pub admin: bool,
}

impl Caller {
    /// Refuses with 403 what the key's scopes do not cover.
    pub fn require(&self, scope: Scope) -> Result<(), Problem> {
        if self.scopes.contains(&scope) {
            return Ok(());
        }
        let scope = match scope {
            Scope::Read => "read",
            Scope::Send => "send",
            Scope::Manage => "manage",
        };
        Err(Problem::forbidden(format!(
            "this needs an API key with the scope \"{scope}\"; the key that was sent has other scopes"
        )))
    }
}

impl FromRequestParts<App> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Problem> {
        // The dashboard asks in this process for somebody whom it has recognised already; nothing
        // that comes over a connection can put a caller here.
        if let Some(caller) = parts.extensions.get::<Self>() {
            return Ok(caller.clone());
        }
        let text = bearer_of(&parts.headers).ok_or_else(|| {
            Problem::unauthenticated(
                "send the header \"Authorization: Bearer hl_…\" with one of the project's API keys",
            )
        })?;
        let snapshot = app.directory().snapshot();
        let key = snapshot.api_key(&api_key_hash(text)).ok_or_else(|| {
            Problem::unauthenticated("the API key is not known; it may have been deleted")
        })?;
        let scopes = key.scopes.clone();
        Ok(Self {
            project: key.project,
            key: key.id,
            scopes,
            admin: key.admin,
        })
    }
}

/// The API key that a call brings.
pub(crate) fn bearer_of(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}
