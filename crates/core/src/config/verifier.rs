//! A source's verifier as it is kept: its secrets sealed, beside the form that may be shown.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::{FieldError, Making, Source};
use crate::ids::SourceId;
use crate::provider::{self, Preset};
use crate::seal::{Opener, SealingKey};
use crate::verify::{StoredVerifierError, Verifier};

/// Fields of a verifier under which a client writes its secrets.
const SECRET_FIELDS: [&str; 4] = ["secret", "secrets", "value", "password"];

/// A verifier that shows no secret and holds none in clear.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SealedVerifier {
    stored: Value,
    public: Value,
}

impl SealedVerifier {
    /// Seals a verifier for its source.
    pub(super) fn seal(verifier: &Verifier, owner: SourceId, making: &mut Making<'_>) -> Self {
        let stored = making.with_sealer(&owner.to_string(), |sealer| verifier.to_stored(sealer));
        Self {
            stored,
            public: verifier.to_public(),
        }
    }

    /// The verifier, ready for use.
    pub fn open(
        &self,
        owner: SourceId,
        sealing_key: &SealingKey,
    ) -> Result<Verifier, StoredVerifierError> {
        let owner = owner.to_string();
        Verifier::from_stored(self.stored.clone(), &Opener::new(sealing_key, &owner))
    }

    /// What may be shown.
    pub fn public(&self) -> &Value {
        &self.public
    }

    /// Whether it lets everything in.
    pub fn is_none(&self) -> bool {
        self.kind() == Some("none")
    }

    fn kind(&self) -> Option<&str> {
        self.public.get("type").and_then(Value::as_str)
    }

    /// The secrets in clear, under the name of the field that holds them.
    fn secrets(&self, opener: &Opener<'_>) -> Option<(&'static str, Value)> {
        let open = |sealed: &Value| {
            opener
                .open(sealed.as_str()?)
                .ok()
                .map(|secret| json!(secret.expose()))
        };
        if let Some(password) = self.stored.get("password") {
            return Some(("password", open(password)?));
        }
        let sealed = self.stored.get("secrets")?.as_array()?;
        let secrets: Option<Vec<Value>> = sealed.iter().map(open).collect();
        Some(("secrets", Value::Array(secrets?)))
    }
}

/// The verifier that an input leads to.
///
/// A secret is shown once, so a client that changes something else cannot repeat it: a verifier of
/// the same type without a secret keeps the secrets there are, and an input without a verifier
/// keeps the verifier. Only `{"type": "none"}` turns verification off.
pub(super) fn resolve(
    input: Option<Value>,
    preset: Option<&Preset>,
    existing: Option<&Source>,
    making: &Making<'_>,
) -> Result<Verifier, FieldError> {
    let input = match (input, existing) {
        (None, Some(source)) => return kept(source, preset, making),
        (Some(Value::Object(fields)), Some(source)) => {
            Some(Value::Object(with_secrets(fields, preset, source, making)))
        }
        (input, _) => input,
    };
    Verifier::new(provider::verifier_spec(preset, input)?)
}

fn kept(
    source: &Source,
    preset: Option<&Preset>,
    making: &Making<'_>,
) -> Result<Verifier, FieldError> {
    if source.provider.as_deref() != preset.map(|preset| preset.id) && !source.verifier.is_none() {
        let detail = "is missing: another provider signs in another way; give its secret, or \
                      set \"type\": \"none\" to let everything in";
        return Err(FieldError::new("/verifier", detail));
    }
    source
        .verifier
        .open(source.id, making.sealing_key)
        .map_err(|error| {
            FieldError::new(
                "/verifier",
                format!("cannot be kept ({error}); send it again"),
            )
        })
}

fn with_secrets(
    mut fields: Map<String, Value>,
    preset: Option<&Preset>,
    source: &Source,
    making: &Making<'_>,
) -> Map<String, Value> {
    let named = fields.get("type").and_then(Value::as_str);
    let recipe = match named {
        Some(name) => provider::preset(name),
        None => preset,
    };
    let recipe = recipe.map(|preset| json!(preset.verifier));
    let kind = recipe
        .as_ref()
        .and_then(|recipe| recipe["type"].as_str())
        .or(named);
    if kind != source.verifier.kind() || SECRET_FIELDS.iter().any(|name| fields.contains_key(*name))
    {
        return fields;
    }
    let owner = source.id.to_string();
    if let Some((name, secrets)) = source
        .verifier
        .secrets(&Opener::new(making.sealing_key, &owner))
    {
        fields.insert(name.to_owned(), secrets);
    }
    fields
}
