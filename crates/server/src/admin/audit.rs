//! Who changed what, when, and how it was before and after.

use axum::extract::State;
use axum::response::Response;
use hooklatch_core::config::Scope;
use hooklatch_core::ids::{ApiKeyId, AuditId};
use hooklatch_core::time::Timestamp;
use hooklatch_store::AuditView;
use serde::Serialize;
use serde_json::value::RawValue;

use crate::app::App;
use crate::caller::Caller;
use crate::history::{Listed, Parameters, list as answer_list};
use crate::problem::Problem;

/// A line of the audit log. `actor` is the API key that was used; none where the gateway acted by
/// itself. Secrets are in neither `before` nor `after`.
#[derive(Debug, Serialize)]
struct AuditRecord<'a> {
    id: AuditId,
    at: Timestamp,
    actor: Option<ApiKeyId>,
    action: &'a str,
    subject: &'a str,
    reason: Option<&'a str>,
    before: Option<&'a RawValue>,
    after: Option<&'a RawValue>,
}

pub(super) async fn list(
    State(app): State<App>,
    caller: Caller,
    mut parameters: Parameters,
) -> Result<Response, Problem> {
    caller.require(Scope::Manage)?;
    let page = parameters.page(Listed::Audit);
    parameters.finish()?;
    let page = app.store().audits(caller.project, page).await?;
    let records = page.items.iter().map(record).collect();
    Ok(answer_list(records, Listed::Audit, page.next))
}

fn record(view: &AuditView) -> AuditRecord<'_> {
    let entry = &view.line.entry;
    AuditRecord {
        id: AuditId::from_number(view.id),
        at: entry.at,
        actor: entry.actor,
        action: &entry.action,
        subject: &entry.subject,
        reason: entry.reason.as_deref(),
        before: json(view.line.before.as_deref()),
        after: json(view.line.after.as_deref()),
    }
}

fn json(text: Option<&str>) -> Option<&RawValue> {
    text.and_then(|text| serde_json::from_str(text).ok())
}
