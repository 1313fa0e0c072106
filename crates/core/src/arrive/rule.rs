//! How a source reads a request: now, or under a rule that it had before (C7).

use super::scope_bytes;
use crate::claim::{ClaimKey, ClaimKind, Scope};
use crate::config::{FormerRule, Source};
use crate::fingerprint::{Fingerprint, fingerprint};
use crate::ids::{GroupId, SourceId};
use crate::key::{self, Body, Extracted, KeyRule, MissingKey, PartText, extract, value_text_at};
use crate::limits::EVENT_TYPE_CHARS_MAX;
use crate::location::{Location, Split, WildPath};
use crate::shadow::{Candidate, ShadowRule};
use crate::time::Timestamp;

/// How a source reads a request, now or formerly.
#[derive(Debug)]
pub(super) struct Rule {
    key: Option<KeyRule>,
    pub(super) scope: Scope,
    scope_bytes: Vec<u8>,
    pub(super) split: Option<Split>,
    event_type: Option<Location>,
    exclude: Vec<WildPath>,
    /// When the last claim made under it has run out.
    pub(super) until: Timestamp,
}

impl Rule {
    /// How the source reads requests now.
    pub(super) fn of(source: &Source) -> Self {
        let scope = scope_of(source.id, source.group);
        Self {
            key: source.key.clone(),
            scope_bytes: scope_bytes(&scope),
            scope,
            split: source.split.clone(),
            event_type: source.event_type.clone(),
            exclude: source.fingerprint_exclude.clone(),
            until: Timestamp::NEVER,
        }
    }

    /// How it read them under a former rule.
    pub(super) fn before(source: SourceId, former: &FormerRule) -> Self {
        let scope = scope_of(source, former.group);
        Self {
            key: Some(former.key.clone()),
            scope_bytes: scope_bytes(&scope),
            scope,
            split: former.split.clone(),
            event_type: former.event_type.clone(),
            exclude: former.fingerprint_exclude.clone(),
            until: former.until,
        }
    }

    /// The type of the event; a text that is longer than any type is none.
    pub(super) fn event_type(&self, request: &key::Request<'_>, body: &Body<'_>) -> Option<String> {
        let text = value_text_at(self.event_type.as_ref()?, request, body)?;
        (text.chars().count() <= EVENT_TYPE_CHARS_MAX).then_some(text)
    }

    /// What the payload looks like under this rule (C5, K11).
    pub(super) fn fingerprint(
        &self,
        event_type: Option<&str>,
        request: &key::Request<'_>,
        body: &Body<'_>,
    ) -> Fingerprint {
        fingerprint(event_type, body, request.body, &self.exclude)
    }

    /// What a key rule in shadow mode reads, from payloads as this rule sees them.
    pub(super) fn try_out(
        &self,
        shadow: &ShadowRule,
        request: &key::Request<'_>,
        body: &Body<'_>,
        fingerprint: Fingerprint,
    ) -> Candidate {
        shadow.read(request, body, fingerprint, &self.exclude)
    }

    /// Whether both rules read the same fingerprint from every payload.
    pub(super) fn sees_payloads_like(&self, other: &Self) -> bool {
        self.event_type == other.event_type && self.exclude == other.exclude
    }

    /// The key that this rule finds, or the places that it looked at.
    pub(super) fn claim_key(
        &self,
        request: &key::Request<'_>,
        body: &Body<'_>,
        fingerprint: Fingerprint,
    ) -> Result<ClaimKey, Vec<String>> {
        let Some(rule) = &self.key else {
            return Err(Vec::new());
        };
        match extract(rule, &self.scope_bytes, request, body, &self.exclude) {
            Extracted::Missing { looked_at } => Err(looked_at),
            Extracted::Key {
                checksum,
                parts,
                bound,
            } => Ok(ClaimKey {
                scope: self.scope.clone(),
                checksum,
                fingerprint,
                parts: part_texts(parts, bound),
                kind: ClaimKind::Key,
            }),
        }
    }

    /// Whether a request without a key is refused (K5).
    pub(super) fn wants_a_key(&self) -> bool {
        self.key
            .as_ref()
            .is_some_and(|rule| rule.missing_key == MissingKey::Reject)
    }
}

/// A bound body is a part like any other: nobody can compute such a key from its raw value alone,
/// so the ledger has to find it by that value, as it finds every composite key (L1).
fn part_texts(parts: Vec<PartText>, bound: Option<Fingerprint>) -> Vec<String> {
    let bound = bound.map(|fingerprint| format!("sha256:{fingerprint}"));
    let parts = parts.into_iter().map(|part| part.text);
    parts.chain(bound).collect()
}

fn scope_of(source: SourceId, group: Option<GroupId>) -> Scope {
    group.map_or(Scope::Source(source), Scope::Group)
}
