//! The store: whether it can be reached, whether its tables are ours, and whether our key opens the
//! secrets in it. It is read beside whoever works on it.

use std::path::Path;

use hooklatch_core::seal::SealingKey;
use hooklatch_core::time::Timestamp;
use hooklatch_server::directory::Document;
use hooklatch_store::inspection::{Inspection, WAITING_COUNTED_MAX};
use hooklatch_store::{Clock, SystemClock};
use hooklatch_store_sqlite::OpenError;
use serde_json::Value;

use super::finding::Finding;
use super::machine;
use crate::serve::keyfile::{self, Stored};
use crate::serve::place::Place;

/// What was found of a store, and what is configured in it.
#[derive(Default)]
pub(super) struct Looked {
    pub findings: Vec<Finding>,
    pub sources: Vec<Value>,
    pub endpoints: Vec<Value>,
}

/// Looks at the store of a place.
pub(super) async fn look(place: &Place, key: Option<&SealingKey>) -> Looked {
    let mut looked = Looked::default();
    let inspection = match inspect(place).await {
        Ok(inspection) => inspection,
        Err(finding) => {
            looked.findings.push(finding);
            return looked;
        }
    };
    looked.findings.push(schema(place, &inspection));
    if let Some(theirs) = inspection.clock {
        let apart = SystemClock.now().since(theirs).get().unsigned_abs();
        // The answer was under way for a while, which is counted as if it were the clock's fault.
        looked
            .findings
            .push(machine::clock("the database", apart, 1_000));
    }
    if inspection.documents.is_empty() {
        return looked;
    }
    let documents = documents(&inspection, &mut looked.findings);
    seals(place, key, &documents, &mut looked);
    looked.findings.push(waiting(&inspection));
    looked
}

async fn inspect(place: &Place) -> Result<Inspection, Finding> {
    match place {
        Place::Memory => {
            let found = "it is in the memory of the gateway's process, where nobody else can look";
            Err(Finding::skip("store", found))
        }
        Place::Directory(path) => {
            let path = path.clone();
            let looking = tokio::task::spawn_blocking(move || {
                hooklatch_store_sqlite::inspect(&path).map_err(|error| unreadable(&path, &error))
            });
            let broken = |_| Finding::fail("store", "the look was broken off", "try again");
            looking.await.map_err(broken)?
        }
        Place::Database(url) => {
            let found = hooklatch_store_postgres::inspect(url).await;
            found.map_err(|error| {
                let why = crate::failure::Failure::failed(url, error);
                let advice = "see whether the database is up, reachable from here, and lets this \
                              role in";
                Finding::fail("store", why.to_string(), advice)
            })
        }
    }
}

fn unreadable(path: &Path, error: &OpenError) -> Finding {
    match error {
        OpenError::Missing(_) => Finding::warn(
            "store",
            format!("{} holds no data yet", path.display()),
            "hooklatch serve makes it; if there should be data, look for it elsewhere",
        ),
        OpenError::InUse(_)
        | OpenError::Newer { .. }
        | OpenError::System { .. }
        | OpenError::Unreadable { .. } => {
            let source = std::error::Error::source(error);
            let source = source.map_or(String::new(), |source| format!(": {source}"));
            let advice = "run this as the user that runs the gateway; if the file is damaged, \
                          restore a backup";
            Finding::fail("store", format!("{error}{source}"), advice)
        }
    }
}

fn schema(place: &Place, inspection: &Inspection) -> Finding {
    let Inspection { schema, known, .. } = inspection;
    if schema == known {
        return Finding::ok(
            "store",
            format!("{place} is at version {schema}, which is ours"),
        );
    }
    if schema > known && !inspection.documents.is_empty() {
        return Finding::warn(
            "store",
            format!(
                "{place} is at version {schema}; this hooklatch knows {known}, and can read it"
            ),
            "replace the nodes of the older version",
        );
    }
    if schema > known {
        return Finding::fail(
            "store",
            format!("{place} is at version {schema}; this hooklatch knows {known}"),
            "use the newer hooklatch",
        );
    }
    let found = match schema {
        0 => format!("{place} has no tables yet"),
        _ => format!("{place} is at version {schema} and would go to {known}"),
    };
    Finding::warn(
        "store",
        found,
        "hooklatch migrate, or the next start, brings it up to date",
    )
}

fn documents(inspection: &Inspection, findings: &mut Vec<Finding>) -> Vec<Document> {
    let mut read = Vec::new();
    let mut wrong = 0;
    for record in &inspection.documents {
        match Document::read(record) {
            Ok(document) => read.push(document),
            Err(_) => wrong += 1,
        }
    }
    if wrong > 0 {
        let found = format!("{wrong} documents of the configuration cannot be read");
        let advice = "a newer hooklatch has written them, or the file is damaged: use that version, \
                      or restore a backup";
        findings.push(Finding::fail("configuration", found, advice));
    }
    read
}

/// Whether the key opens what is sealed; and what is configured, which shows only with it.
fn seals(place: &Place, key: Option<&SealingKey>, documents: &[Document], looked: &mut Looked) {
    let found = match (key, place) {
        (Some(key), _) => Ok(key.clone()),
        (None, Place::Directory(path)) => {
            // Nothing is made: where a key is needed and none is there, that is the finding.
            keyfile::load_or_make(path, Stored::Something, [0; 32])
                .map_err(|error| error.to_string())
        }
        (None, Place::Database(_)) => Err("HOOKLATCH_ENCRYPTION_KEY is not set".to_owned()),
        (None, Place::Memory) => Err("each process makes a key of its own".to_owned()),
    };
    let advice = "give the key with which the secrets were sealed: HOOKLATCH_ENCRYPTION_KEY, or the \
                  key file of this data";
    let key = match found {
        Ok(key) => key,
        Err(why) if documents.is_empty() => {
            looked
                .findings
                .push(Finding::skip("secrets", format!("there are none; {why}")));
            return;
        }
        Err(why) => {
            looked.findings.push(Finding::fail("secrets", why, advice));
            return;
        }
    };
    let now = SystemClock.now();
    let (mut all, mut shut) = (0, 0);
    for document in documents {
        if let Some(opens) = opens(document, &key, now) {
            all += 1;
            shut += usize::from(!opens);
        }
    }
    looked.findings.push(match shut {
        0 => Finding::ok(
            "secrets",
            format!("the key opens those of all {all} that have some"),
        ),
        _ => Finding::fail(
            "secrets",
            format!("the key does not open {shut} of {all}"),
            advice,
        ),
    });
    for document in documents {
        match document {
            Document::Source(source) if source.deleted_at.is_none() => {
                looked.sources.push(source.public(""));
            }
            Document::Endpoint(endpoint) if endpoint.deleted_at.is_none() => {
                looked.endpoints.push(endpoint.public(&key));
            }
            Document::Source(_)
            | Document::Endpoint(_)
            | Document::Project(_)
            | Document::ApiKey(_)
            | Document::Group(_)
            | Document::Connection(_) => {}
        }
    }
}

/// Whether the key opens a document's secrets; none where it has none.
fn opens(document: &Document, key: &SealingKey, now: Timestamp) -> Option<bool> {
    match document {
        Document::Source(source) => {
            let verifier = source.verifier.open(source.id, key).is_ok();
            Some(verifier && source.token(key).is_ok())
        }
        Document::Endpoint(endpoint) => Some(endpoint.signing_secrets(key, now).is_ok()),
        Document::Project(project) => Some(project.signing_secrets(key).is_ok()),
        Document::ApiKey(_) | Document::Group(_) | Document::Connection(_) => None,
    }
}

fn waiting(inspection: &Inspection) -> Finding {
    let at_least = inspection.waiting >= WAITING_COUNTED_MAX.unsigned_abs();
    let now = inspection.clock.unwrap_or_else(|| SystemClock.now());
    let oldest = inspection
        .oldest
        .map(|oldest| now.since(oldest).get().max(0));
    let oldest = oldest.map(|millis| millis.unsigned_abs() / 1_000);
    machine::waiting(inspection.waiting, at_least, oldest)
}
