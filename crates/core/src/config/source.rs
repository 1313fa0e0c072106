//! A source: where a provider's webhooks arrive.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::{FormerRule, Making, Record, SealedVerifier, SecretHash, Window};
use crate::admission::{OnConflict, OnFailedOriginal};
use crate::claim::OnTrial;
use crate::ids::{GroupId, ProjectId, SourceId};
use crate::key::KeyRule;
use crate::limits::LIVE_SECRETS_MAX;
use crate::location::{Location, Split, WildPath};
use crate::seal::{Opener, SealError, SealingKey};
use crate::secret::Secret;
use crate::shadow::ShadowRule;
use crate::time::{Millis, Timestamp};
use crate::token;

/// A source with every field checked. Its secrets are sealed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Source {
    /// Its id: the scope of its claims, unless it is in a group.
    pub id: SourceId,
    /// The project it belongs to.
    pub project: ProjectId,
    /// Its name, unique in the project.
    pub name: String,
    /// The provider whose preset it was made with.
    pub provider: Option<String>,
    /// Who may send.
    pub verifier: SealedVerifier,
    /// The hash by which an ingest URL finds its source.
    pub token_hash: SecretHash,
    /// Tokens that were replaced and still lead here for a while.
    #[serde(default)]
    pub former_tokens: Vec<FormerToken>,
    /// The token itself, sealed: the URL is shown again, for people copy it from the list.
    pub token_sealed: String,
    /// Where the key is; absent for an unkeyed source.
    pub key: Option<KeyRule>,
    /// The group that `key.group` names.
    pub group: Option<GroupId>,
    /// A key rule that is tried beside it, and never acts.
    #[serde(default)]
    pub shadow_key: Option<ShadowKey>,
    /// How long claims live.
    pub window: Window,
    /// Whether every sight of a key starts the window again.
    pub sliding: bool,
    /// What happens on the same key with another payload.
    pub on_conflict: OnConflict,
    /// What a duplicate does for an original that could not be delivered.
    pub on_failed_original: OnFailedOriginal,
    /// Where the event type is.
    pub event_type: Option<Location>,
    /// The array whose elements are messages of their own.
    pub split: Option<Split>,
    /// What fingerprints and content rules leave out.
    pub fingerprint_exclude: Vec<WildPath>,
    /// The methods that may be used, in upper case.
    pub methods: Vec<String>,
    /// What is answered instead of the usual outcome.
    pub response: Option<SourceResponse>,
    /// The largest body.
    pub max_body_bytes: usize,
    /// Whether arrivals are refused with 503 for now.
    pub paused: bool,
    /// Rules that are still looked up (C7).
    #[serde(default)]
    pub former_rules: Vec<FormerRule>,
    /// When the last claim that was made under this rule with a former window has run out.
    #[serde(default)]
    pub claims_until: Timestamp,
    /// Locations that the verifier does not cover (K8).
    #[serde(default)]
    pub unsigned_locations: Vec<String>,
    /// What a person should know about these settings.
    #[serde(default)]
    pub warnings: Vec<String>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was changed last.
    pub updated_at: Timestamp,
    /// When it was deleted. One of the same name that is made later is a new scope.
    #[serde(default)]
    pub deleted_at: Option<Timestamp>,
}

/// A key rule in shadow mode.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ShadowKey {
    /// The rule.
    pub key: KeyRule,
    /// For how long a key is protected.
    #[serde(default)]
    pub window_seconds: Window,
}

/// A token that was replaced.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct FormerToken {
    /// Its hash.
    pub hash: SecretHash,
    /// From when it leads nowhere.
    pub until: Timestamp,
}

/// What a source answers with instead of the usual outcome.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceResponse {
    /// The success status.
    pub status: u16,
    /// The body's type.
    pub content_type: Option<String>,
    /// The body; without one the usual outcome is answered, under this status.
    pub body: Option<String>,
}

impl Record for Source {
    const KIND: &'static str = "source";
}

impl Source {
    /// Its key rule in shadow mode, prepared.
    pub fn shadow(&self) -> Option<ShadowRule> {
        let shadow = self.shadow_key.as_ref()?;
        let reading = (&self.event_type, &self.split, &self.fingerprint_exclude);
        let reading = serde_json::to_string(&reading).expect("locations always serialise");
        let of = OnTrial::Source(self.id);
        let rule = ShadowRule::new(of, shadow.key.clone(), shadow.window_seconds, &reading);
        Some(rule)
    }

    /// The token of the ingest URL.
    pub fn token(&self, sealing_key: &SealingKey) -> Result<Secret, SealError> {
        Opener::new(sealing_key, &self.id.to_string()).open(&self.token_sealed)
    }

    /// Gives the source another ingest URL; the one before goes on for `overlap`, so that the
    /// provider can be told. Of many in a row the last few go on.
    pub fn rotate_token(&mut self, overlap: Millis, making: &mut Making<'_>) {
        let now = making.now;
        self.former_tokens.retain(|former| former.until > now);
        if overlap > Millis::ZERO {
            let former = FormerToken {
                hash: self.token_hash,
                until: now + overlap,
            };
            self.former_tokens.insert(0, former);
            self.former_tokens.truncate(LIVE_SECRETS_MAX - 1);
        } else {
            // Whoever wants no overlap wants it of none.
            self.former_tokens.clear();
        }
        let token = token::generate_token(making.draw());
        self.token_hash = SecretHash(token::token_hash(token.expose()));
        self.token_sealed = making.seal(&self.id.to_string(), &token);
        self.updated_at = now;
    }

    /// What `GET` shows. The caller puts the URL together, because only it knows where it listens.
    pub fn public(&self, ingest_url: &str) -> Value {
        let mut shown = self.settings();
        let former = self.former_rules.iter();
        let added = json!({
            "id": self.id,
            "project_id": self.project,
            "ingest_url": ingest_url,
            "former_ingest_urls_until": self.former_tokens.iter().map(|it| it.until).max(),
            "unsigned_locations": self.unsigned_locations,
            "former_rules": former
                .map(|rule| json!({"key": rule.key, "until": rule.until}))
                .collect::<Value>(),
            "warnings": self.warnings,
            "created_at": self.created_at,
            "updated_at": self.updated_at,
        });
        if let Value::Object(added) = added {
            shown.extend(added);
        }
        Value::Object(shown)
    }

    /// The fields that an input can set, as it would set them, less the secrets.
    pub(super) fn settings(&self) -> Map<String, Value> {
        let settings = json!({
            "name": self.name,
            "provider": self.provider,
            "verifier": self.verifier.public(),
            "key": self.key,
            "shadow_key": self.shadow_key,
            "window_seconds": self.window,
            "sliding": self.sliding,
            "on_conflict": self.on_conflict,
            "on_failed_original": self.on_failed_original,
            "event_type": self.event_type,
            "split": self.split,
            "fingerprint_exclude": self.fingerprint_exclude,
            "methods": self.methods,
            "response": self.response,
            "max_body_bytes": self.max_body_bytes,
            "paused": self.paused,
        });
        match settings {
            Value::Object(settings) => settings,
            other => unreachable!("an object was written, not {other}"),
        }
    }
}
