//! Projects, and the API keys that open them.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{
    EndpointSecret, FieldError, Making, Record, Rotation, SecretHash, check, read, rotation,
};
use crate::ids::{ApiKeyId, ProjectId};
use crate::retention::RetentionSettings;
use crate::seal::{Opener, SealError, SealingKey};
use crate::secret::Secret;
use crate::signature::SigningSecret;
use crate::time::Timestamp;
use crate::token;

/// A tenant of the gateway itself. Nothing of one project is visible in another.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Project {
    /// Its id.
    pub id: ProjectId,
    /// Its name, unique in the gateway.
    pub name: String,
    /// What signs a send to a bare URL that brings no secret of its own, sealed.
    pub signing_secret_sealed: String,
    /// How long its past is kept.
    #[serde(default)]
    pub retention: RetentionSettings,
    /// Those that it replaced and that sign beside it for a while, sealed, newest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub replaced_secrets: Vec<EndpointSecret>,
    /// When it was made.
    pub created_at: Timestamp,
}

/// A key to one project. Only its hash is kept.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ApiKey {
    /// Its id.
    pub id: ApiKeyId,
    /// The project that it opens.
    pub project: ProjectId,
    /// What it is for.
    pub name: String,
    /// The hash by which it is found.
    pub hash: SecretHash,
    /// What may be done with it.
    pub scopes: BTreeSet<Scope>,
    /// Whether it also opens the projects and API keys of the whole gateway.
    #[serde(default)]
    pub admin: bool,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was deleted.
    #[serde(default)]
    pub deleted_at: Option<Timestamp>,
}

/// What may be done with an API key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Scope {
    /// Look.
    Read,
    /// Send events.
    Send,
    /// Change the configuration, retry, replay, release.
    Manage,
}

/// A project as a client writes it.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ProjectInput {
    /// Required; unique in the gateway.
    pub name: Option<String>,
}

/// An API key as a client writes it.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ApiKeyInput {
    /// Required.
    pub name: Option<String>,
    /// The project that it opens; the caller's own if left out.
    pub project_id: Option<ProjectId>,
    /// Required: at least one.
    pub scopes: Option<BTreeSet<Scope>>,
    /// Whether it also opens the projects and API keys of the whole gateway.
    pub admin: Option<bool>,
}

impl Record for Project {
    const KIND: &'static str = "project";
}

impl Record for ApiKey {
    const KIND: &'static str = "API key";
}

impl Scope {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Read, Self::Send, Self::Manage];
}

impl Project {
    /// What signs a send to a bare URL that brings no secret of its own: the newest first, each with
    /// when it stops to sign.
    ///
    /// # Errors
    /// Where a secret was sealed with another key.
    pub fn signing_secrets(
        &self,
        sealing_key: &SealingKey,
    ) -> Result<Vec<(SigningSecret, Option<Timestamp>)>, SealError> {
        let owner = self.id.to_string();
        let opener = Opener::new(sealing_key, &owner);
        let newest = (&self.signing_secret_sealed, None);
        let replaced = self.replaced_secrets.iter();
        let replaced = replaced.map(|secret| (&secret.sealed, secret.retired_at));
        let all = std::iter::once(newest).chain(replaced);
        all.map(|(sealed, retired_at)| {
            let text = opener.open(sealed)?;
            let secret = SigningSecret::parse(text.expose()).map_err(|_| SealError::Malformed)?;
            Ok((secret, retired_at))
        })
        .collect()
    }

    /// Puts a new secret before the others, which go on signing for a while.
    pub fn rotate_secret(&mut self, rotation: &Rotation, making: &mut Making<'_>) {
        let newest = EndpointSecret {
            sealed: std::mem::take(&mut self.signing_secret_sealed),
            created_at: self.created_at,
            retired_at: None,
        };
        let mut secrets = std::mem::take(&mut self.replaced_secrets);
        secrets.insert(0, newest);
        rotation::rotate(&mut secrets, &self.id.to_string(), rotation, making);
        self.signing_secret_sealed = secrets.remove(0).sealed;
        self.replaced_secrets = secrets;
    }

    /// What `GET` shows.
    pub fn public(&self) -> Value {
        json!({
            "id": self.id,
            "name": self.name,
            "retention": self.retention,
            "created_at": self.created_at,
        })
    }
}

impl ProjectInput {
    /// Reads the input from JSON.
    pub fn from_json(value: Value) -> Result<Self, Vec<FieldError>> {
        read(value)
    }

    /// Makes the project that `making` names, and its signing secret, to be shown this once.
    pub fn build(self, making: &mut Making<'_>) -> Result<(Project, Secret), Vec<FieldError>> {
        let mut errors = Vec::new();
        let name = check::name(self.name, &mut errors);
        if !errors.is_empty() {
            return Err(errors);
        }
        let id = making.project;
        let secret = SigningSecret::generate_hmac(making.draw()).to_text();
        let signing_secret_sealed = making.seal(&id.to_string(), &secret);
        Ok((
            Project {
                id,
                name,
                signing_secret_sealed,
                retention: RetentionSettings::default(),
                replaced_secrets: Vec::new(),
                created_at: making.now,
            },
            secret,
        ))
    }
}

impl ApiKey {
    /// A key whose text is known already: the first one, which comes from the environment.
    pub fn first(id: ApiKeyId, project: ProjectId, text: &Secret, now: Timestamp) -> Self {
        Self {
            id,
            project,
            name: "first".to_owned(),
            hash: SecretHash(token::api_key_hash(text.expose())),
            scopes: Scope::ALL.into(),
            admin: true,
            created_at: now,
            deleted_at: None,
        }
    }

    /// Whether it may be used for this.
    pub fn allows(&self, scope: Scope) -> bool {
        self.deleted_at.is_none() && self.scopes.contains(&scope)
    }

    /// What `GET` shows.
    pub fn public(&self) -> Value {
        json!({
            "id": self.id,
            "project_id": self.project,
            "name": self.name,
            "scopes": self.scopes,
            "admin": self.admin,
            "created_at": self.created_at,
        })
    }
}

impl ApiKeyInput {
    /// Reads the input from JSON.
    pub fn from_json(value: Value) -> Result<Self, Vec<FieldError>> {
        read(value)
    }

    /// Makes a key and its text, to be shown this once. That the project exists is the caller's
    /// to check.
    pub fn build(
        self,
        id: ApiKeyId,
        making: &mut Making<'_>,
    ) -> Result<(ApiKey, Secret), Vec<FieldError>> {
        let mut errors = Vec::new();
        let name = check::name(self.name, &mut errors);
        let scopes = self.scopes.unwrap_or_default();
        if scopes.is_empty() {
            let detail = "is missing; name some of \"read\", \"send\", \"manage\"";
            errors.push(FieldError::new("/scopes", detail));
        }
        if !errors.is_empty() {
            return Err(errors);
        }
        let text = token::generate_api_key(making.draw());
        let key = ApiKey {
            name,
            scopes,
            admin: self.admin.unwrap_or(false),
            ..ApiKey::first(
                id,
                self.project_id.unwrap_or(making.project),
                &text,
                making.now,
            )
        };
        Ok((key, text))
    }
}
