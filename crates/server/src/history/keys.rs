//! The ledger's keys: what stands under one, and how a person frees it (L1).

use std::collections::BTreeSet;

use axum::extract::State;
use axum::response::Response;
use hooklatch_core::claim;
use hooklatch_core::config::Scope;
use hooklatch_core::ids::ProjectId;
use hooklatch_core::key::Checksum;
use hooklatch_core::limits::{PAGE_MAX, REASON_CHARS_MAX};
use hooklatch_core::lookup::{Owners, Sought, seek};
use hooklatch_store::{AuditEntry, ClaimView};
use serde_json::json;

use super::listing::whole_list;
use super::parameters::Parameters;
use super::views::ClaimRecord;
use super::{PathText, answer};
use crate::app::App;
use crate::caller::Caller;
use crate::problem::Problem;

/// What a person asks for who wants a key to be free.
struct Freeing {
    scope: Option<claim::Scope>,
    reason: Option<String>,
}

pub(crate) async fn show(
    State(app): State<App>,
    caller: Caller,
    PathText(key): PathText,
    mut parameters: Parameters,
) -> Result<Response, Problem> {
    caller.require(Scope::Read)?;
    let limit = parameters.limit();
    parameters.finish()?;
    listed(&app, &caller, &key, limit).await
}

pub(crate) async fn show_named(
    State(app): State<App>,
    caller: Caller,
    mut parameters: Parameters,
) -> Result<Response, Problem> {
    caller.require(Scope::Read)?;
    let key = named_key(&mut parameters);
    let limit = parameters.limit();
    parameters.finish()?;
    listed(&app, &caller, &key, limit).await
}

pub(crate) async fn free(
    State(app): State<App>,
    caller: Caller,
    PathText(key): PathText,
    mut parameters: Parameters,
) -> Result<Response, Problem> {
    caller.require(Scope::Manage)?;
    let freeing = Freeing::read(&mut parameters);
    parameters.finish()?;
    freed(&app, &caller, &key, freeing).await
}

pub(crate) async fn free_named(
    State(app): State<App>,
    caller: Caller,
    mut parameters: Parameters,
) -> Result<Response, Problem> {
    caller.require(Scope::Manage)?;
    let key = named_key(&mut parameters);
    let freeing = Freeing::read(&mut parameters);
    parameters.finish()?;
    freed(&app, &caller, &key, freeing).await
}

/// The key as a parameter: for keys that no path can hold, `..` for example.
fn named_key(parameters: &mut Parameters) -> String {
    let key = parameters.text("key");
    if key.is_none() {
        parameters.refuse("key", "is missing; give a key or its checksum");
    }
    key.unwrap_or_default()
}

impl Freeing {
    fn read(parameters: &mut Parameters) -> Self {
        Self {
            scope: parameters.parsed("scope"),
            reason: parameters.read("reason", |text| {
                if text.chars().count() > REASON_CHARS_MAX {
                    return Err(format!("should have at most {REASON_CHARS_MAX} characters"));
                }
                Ok(text.to_owned())
            }),
        }
    }
}

async fn listed(app: &App, caller: &Caller, key: &str, limit: usize) -> Result<Response, Problem> {
    let sought = sought(app, caller.project, key);
    let claims = claims_of(app, caller.project, &sought, limit).await?;
    Ok(whole_list(claims.iter().map(ClaimRecord::of).collect()))
}

/// A text that is only a part of composite keys frees none of them: a customer's id, taken for a
/// key, would open every key of that customer.
async fn freed(
    app: &App,
    caller: &Caller,
    key: &str,
    freeing: Freeing,
) -> Result<Response, Problem> {
    let sought = sought(app, caller.project, key);
    let claims = claims_of(app, caller.project, &sought, PAGE_MAX).await?;
    let (whole, partly): (Vec<_>, Vec<_>) = claims
        .into_iter()
        .partition(|view| sought.names_all_of(&view.claim));
    if whole.is_empty() && !partly.is_empty() {
        return Err(only_a_part(key, &partly));
    }
    let mut checksums: BTreeSet<Checksum> = sought.checksums().iter().copied().collect();
    checksums.extend(whole.iter().map(|view| view.claim.checksum));
    let audit = AuditEntry {
        at: app.store().now(),
        actor: Some(caller.key),
        action: "key.free".to_owned(),
        subject: key.to_owned(),
        reason: freeing.reason,
    };
    let checksums = checksums.into_iter().collect();
    let count = app
        .store()
        .free(caller.project, checksums, freeing.scope, audit)
        .await?;
    Ok(answer(&json!({"freed": count})))
}

fn only_a_part(key: &str, claims: &[ClaimView]) -> Problem {
    let detail = format!(
        "\"{key}\" is only one part of the keys that it is found in, so nothing was freed; \
         free each by its checksum"
    );
    let checksums: Vec<String> = claims
        .iter()
        .map(|view| view.claim.checksum.to_string())
        .collect();
    Problem::conflict(detail).with("checksums", checksums)
}

fn sought(app: &App, project: ProjectId, key: &str) -> Sought {
    let snapshot = app.directory().snapshot();
    let owners = Owners {
        project,
        sources: snapshot
            .sources(project)
            .map(|ready| &ready.source)
            .collect(),
        endpoints: snapshot
            .endpoints(project)
            .map(|ready| ready.endpoint())
            .collect(),
    };
    seek(key, &owners, app.store().now())
}

/// The live claims that a text can mean.
async fn claims_of(
    app: &App,
    project: ProjectId,
    sought: &Sought,
    limit: usize,
) -> Result<Vec<ClaimView>, Problem> {
    let part = Some(sought.part().to_owned());
    let checksums = sought.checksums().to_vec();
    let mut claims = app.store().claims(project, checksums, part, limit).await?;
    if let Some(part) = sought.longest_part() {
        let part = Some(part.to_owned());
        let composite = app
            .store()
            .claims(project, Vec::new(), part, PAGE_MAX)
            .await?;
        claims.extend(
            composite
                .into_iter()
                .filter(|view| sought.names_all_of(&view.claim)),
        );
        claims.truncate(limit);
    }
    Ok(claims)
}

/// What a filter by key looks for: every checksum that the text can have, that of composite keys
/// of which it is a part included, and the live claims among them.
pub(super) async fn under_key(
    app: &App,
    project: ProjectId,
    key: &str,
) -> Result<(Vec<Checksum>, Vec<ClaimView>), Problem> {
    let sought = sought(app, project, key);
    let claims = claims_of(app, project, &sought, PAGE_MAX).await?;
    let mut checksums: BTreeSet<Checksum> = sought.checksums().iter().copied().collect();
    checksums.extend(claims.iter().map(|view| view.claim.checksum));
    Ok((checksums.into_iter().collect(), claims))
}
