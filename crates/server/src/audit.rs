//! Who did what, and why: every command of a person is noted, with the words that came with it.

use axum::extract::{FromRequest, Request};
use hooklatch_core::limits::REASON_CHARS_MAX;
use hooklatch_store::AuditEntry;
use serde::Deserialize;

use crate::app::App;
use crate::caller::Caller;
use crate::json::{ApiText, unreadable};
use crate::problem::Problem;

/// What a person says with a command: the body may be left out, or be `{"reason": "…"}`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Said {
    /// Why.
    pub reason: Option<String>,
}

impl FromRequest<App> for Said {
    type Rejection = Problem;

    async fn from_request(request: Request, app: &App) -> Result<Self, Problem> {
        let ApiText { text, share } = ApiText::from_request(request, app).await?;
        if text.is_empty() {
            return Ok(Self::default());
        }
        let value = serde_json::from_slice(&text).map_err(|error| unreadable(&error))?;
        let said: Self = hooklatch_core::config::read(value)?;
        drop(share);
        check_reason(said.reason.as_deref()).map_err(|detail| Problem::field("/reason", detail))?;
        Ok(said)
    }
}

/// Refuses a reason that is too long; the error says what to write instead.
pub(crate) fn check_reason(reason: Option<&str>) -> Result<(), String> {
    match reason {
        Some(text) if text.chars().count() > REASON_CHARS_MAX => {
            Err(format!("should have at most {REASON_CHARS_MAX} characters"))
        }
        Some(_) | None => Ok(()),
    }
}

/// What is noted of a command.
pub(crate) fn entry(
    app: &App,
    caller: &Caller,
    action: &str,
    subject: String,
    reason: Option<String>,
) -> AuditEntry {
    AuditEntry {
        at: app.store().now(),
        actor: Some(caller.key),
        action: action.to_owned(),
        subject,
        reason,
    }
}

/// Notes a command that was carried out.
pub(crate) async fn note(
    app: &App,
    caller: &Caller,
    action: &str,
    subject: impl ToString,
    said: Said,
) -> Result<(), Problem> {
    let entry = entry(app, caller, action, subject.to_string(), said.reason);
    Ok(app.store().audit(caller.project, entry).await?)
}
