//! What the audit log says of a change: how the thing was, and how it is, without secrets.

use hooklatch_core::seal::SealingKey;
use hooklatch_core::time::Timestamp;
use hooklatch_store::{AuditEntry, AuditLine};
use serde_json::{Value, json};

use super::{Document, Snapshot};
use crate::api::actor;

/// The line about a document that is saved.
pub(super) fn line(
    before: &Snapshot,
    document: &Document,
    at: Timestamp,
    sealing_key: &SealingKey,
) -> AuditLine {
    let known = before.document(document.place());
    let gone = document.name().is_none();
    let text = |document: &Document| shown(document, sealing_key).to_string();
    AuditLine {
        entry: AuditEntry {
            at,
            actor: actor(),
            action: action(known.as_ref(), document),
            subject: subject(document),
            reason: None,
        },
        before: known.as_ref().map(text),
        after: (!gone).then(|| text(document)),
    }
}

/// As `GET` shows it. A source's ingest URL holds its token, which is a secret here.
fn shown(document: &Document, sealing_key: &SealingKey) -> Value {
    match document {
        Document::Project(project) => project.public(),
        Document::ApiKey(key) => key.public(),
        Document::Source(source) => {
            let mut shown = source.public("");
            if let Value::Object(fields) = &mut shown {
                fields.remove("ingest_url");
            }
            shown
        }
        Document::Group(group) => json!({"id": group.id, "name": group.name}),
        Document::Endpoint(endpoint) => endpoint.public(sealing_key),
        Document::Connection(connection) => connection.public(),
    }
}

fn action(known: Option<&Document>, document: &Document) -> String {
    let what = match document {
        Document::Project(_) => "project",
        Document::ApiKey(_) => "api_key",
        Document::Source(_) => "source",
        Document::Group(_) => "group",
        Document::Endpoint(_) => "endpoint",
        Document::Connection(_) => "connection",
    };
    let how = match known {
        None => "create",
        Some(_) if document.name().is_none() => "delete",
        Some(Document::Source(known)) if rotated_token(known, document) => "rotate_token",
        Some(Document::Endpoint(known)) if rotated_secret(known, document) => "rotate_secret",
        Some(_) => "update",
    };
    format!("{what}.{how}")
}

fn rotated_token(known: &hooklatch_core::config::Source, document: &Document) -> bool {
    matches!(document, Document::Source(source) if source.token_hash != known.token_hash)
}

fn rotated_secret(known: &hooklatch_core::config::Endpoint, document: &Document) -> bool {
    matches!(document, Document::Endpoint(endpoint) if endpoint.secrets != known.secrets)
}

fn subject(document: &Document) -> String {
    match document {
        Document::Project(project) => project.id.to_string(),
        Document::ApiKey(key) => key.id.to_string(),
        Document::Source(source) => source.id.to_string(),
        Document::Group(group) => group.id.to_string(),
        Document::Endpoint(endpoint) => endpoint.id.to_string(),
        Document::Connection(connection) => connection.id.to_string(),
    }
}
