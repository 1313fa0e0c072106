//! The two forms a verifier takes when it leaves: stored, with its secrets sealed, and public,
//! without them. Neither has a secret in clear.

use serde_json::{Value, json};

use super::{FieldError, Verifier, VerifierSpec};
use crate::seal::{Opener, SealError, Sealer};
use crate::secret::Secret;

/// The version of the stored form. Raise it when a field changes its meaning.
const VERSION: u64 = 1;

/// Why a stored verifier cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StoredVerifierError {
    /// It was written by a later version.
    #[error("the verifier was stored by a later version of hooklatch")]
    UnknownVersion,
    /// It is not what [`Verifier::to_stored`] writes.
    #[error("the stored verifier is damaged")]
    Malformed,
    /// A secret does not open.
    #[error(transparent)]
    Seal(#[from] SealError),
    /// Its fields no longer pass the checks of this version.
    #[error(transparent)]
    Field(#[from] FieldError),
}

impl Verifier {
    /// The form to store: every secret sealed.
    pub fn to_stored(&self, sealer: &mut Sealer<'_>) -> Value {
        let mut stored = self.with_secrets(&mut |secret| Value::String(sealer.seal(secret)));
        stored["version"] = json!(VERSION);
        stored
    }

    /// Reads what [`Verifier::to_stored`] wrote.
    pub fn from_stored(
        mut stored: Value,
        opener: &Opener<'_>,
    ) -> Result<Self, StoredVerifierError> {
        let fields = stored
            .as_object_mut()
            .ok_or(StoredVerifierError::Malformed)?;
        match fields.remove("version").as_ref().and_then(Value::as_u64) {
            Some(VERSION) => {}
            Some(_) => return Err(StoredVerifierError::UnknownVersion),
            None => return Err(StoredVerifierError::Malformed),
        }
        if let Some(password) = fields.get_mut("password") {
            open_in_place(password, opener)?;
        }
        let secrets = fields.get_mut("secrets").and_then(Value::as_array_mut);
        for secret in secrets.into_iter().flatten() {
            open_in_place(secret, opener)?;
        }
        let spec = VerifierSpec::from_json(stored)?;
        Ok(Self::new(spec)?)
    }

    /// This verifier with the fields of a merge patch (RFC 7396) put over it. Another type starts
    /// afresh; secrets that the patch does not name stay.
    pub fn patched(&self, patch: Value) -> Result<Self, FieldError> {
        let mut fields = self.with_secrets(&mut |secret| json!(secret.expose()));
        match patch.get("type") {
            Some(kind) if *kind != fields["type"] => fields = patch,
            Some(_) | None => merge(&mut fields, patch)?,
        }
        Self::new(VerifierSpec::from_json(fields)?)
    }

    fn with_secrets(&self, form: &mut dyn FnMut(&Secret) -> Value) -> Value {
        let mut fields = self.to_public();
        match &self.spec {
            VerifierSpec::None {} | VerifierSpec::Paypal { .. } | VerifierSpec::AwsSns { .. } => {}
            VerifierSpec::Basic { password, .. } => fields["password"] = form(password),
            VerifierSpec::Hmac { secrets, .. }
            | VerifierSpec::ApiKey { secrets, .. }
            | VerifierSpec::StandardWebhooks { secrets }
            | VerifierSpec::Stripe { secrets }
            | VerifierSpec::Scheme { secrets, .. } => {
                fields["secrets"] = secrets.iter().map(form).collect();
            }
        }
        fields
    }

    /// The form to show: no secret at all.
    pub fn to_public(&self) -> Value {
        match &self.spec {
            VerifierSpec::None {} => json!({"type": "none"}),
            VerifierSpec::Hmac {
                header,
                algorithm,
                encoding,
                prefix,
                ..
            } => json!({
                "type": "hmac",
                "header": header,
                "algorithm": algorithm,
                "encoding": encoding,
                "prefix": prefix,
            }),
            VerifierSpec::Basic { username, .. } => json!({"type": "basic", "username": username}),
            VerifierSpec::ApiKey {
                query: Some(query), ..
            } => {
                json!({"type": "api_key", "query": query})
            }
            VerifierSpec::ApiKey {
                header,
                query: None,
                ..
            } => {
                let header = header.as_deref().unwrap_or(super::spec::API_KEY_HEADER);
                json!({"type": "api_key", "header": header})
            }
            VerifierSpec::StandardWebhooks { .. } => json!({"type": "standard_webhooks"}),
            VerifierSpec::Stripe { .. } => json!({"type": "stripe"}),
            VerifierSpec::Scheme { scheme, .. } => json!({"type": scheme}),
            VerifierSpec::Paypal { webhook_id } => {
                json!({"type": "paypal", "webhook_id": webhook_id})
            }
            VerifierSpec::AwsSns { topic_arn, confirm } => {
                json!({"type": "aws_sns", "topic_arn": topic_arn, "confirm": confirm})
            }
        }
    }
}

fn merge(fields: &mut Value, patch: Value) -> Result<(), FieldError> {
    let (Value::Object(fields), Value::Object(patch)) = (fields, patch) else {
        return Err(FieldError::new("/verifier", "should be an object"));
    };
    if ["secret", "value"]
        .iter()
        .any(|name| patch.contains_key(*name))
    {
        fields.remove("secrets");
    }
    // A header gives way to a query parameter, and the other way round.
    if patch.contains_key("query") {
        fields.remove("header");
    } else if patch.contains_key("header") {
        fields.remove("query");
    }
    for (name, value) in patch {
        if value.is_null() {
            fields.remove(&name);
        } else {
            fields.insert(name, value);
        }
    }
    Ok(())
}

fn open_in_place(sealed: &mut Value, opener: &Opener<'_>) -> Result<(), StoredVerifierError> {
    let text = sealed.as_str().ok_or(StoredVerifierError::Malformed)?;
    *sealed = Value::String(opener.open(text)?.expose().to_owned());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::provider::verifier_spec;
    use crate::seal::SealingKey;

    const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    const PUBLIC_KEY: &str = "whpk_A6EHv/POEL4dcN0Y50vAmWfk1jCbpQ1fHdyGZBJVMbg=";

    fn verifier(spec: Value) -> Verifier {
        Verifier::new(verifier_spec(None, Some(spec)).unwrap()).unwrap()
    }

    fn with_clear_secrets(verifier: &Verifier) -> Value {
        verifier.with_secrets(&mut |secret| json!(secret.expose()))
    }

    fn every_kind() -> Vec<Verifier> {
        [
            json!({"type": "none"}),
            json!({"type": "hmac", "header": "X-Sig", "algorithm": "sha512", "encoding": "base64",
                   "prefix": "v1=", "secrets": ["hush-1", "hush-2"]}),
            json!({"type": "basic", "username": "u", "password": "hush-3"}),
            json!({"type": "api_key", "secret": "hush-4"}),
            json!({"type": "api_key", "query": "key", "secret": "hush-5"}),
            json!({"type": "standard_webhooks", "secrets": [SECRET, PUBLIC_KEY]}),
            json!({"type": "stripe", "secret": "hush-6"}),
            json!({"type": "github", "secret": "hush-7"}),
            json!({"type": "slack", "secrets": ["hush-8", "hush-9"]}),
            json!({"type": "paypal", "webhook_id": "8PT597110X687430LKGECATA"}),
            json!({"type": "aws_sns", "topic_arn": "arn:aws:sns:eu-west-1:1:t", "confirm": false}),
        ]
        .map(verifier)
        .into()
    }

    #[test]
    fn a_verifier_survives_its_stored_form_with_its_secrets_sealed() {
        let key = SealingKey::from_bytes([9; 32]);
        let mut count = 0;
        let mut nonces = || {
            count += 1;
            [count; 24]
        };
        for verifier in every_kind() {
            let stored = verifier.to_stored(&mut Sealer::new(&key, "src_1", &mut nonces));
            let text = stored.to_string();
            assert!(!text.contains("hush") && !text.contains("MfKQ"), "{text}");
            let read = Verifier::from_stored(stored.clone(), &Opener::new(&key, "src_1")).unwrap();
            assert_eq!(read.to_public(), verifier.to_public());
            assert_eq!(with_clear_secrets(&read), with_clear_secrets(&verifier),);
            let moved = Verifier::from_stored(stored, &Opener::new(&key, "src_2"));
            let sealed = text.contains("hl1:");
            assert_eq!(moved.is_err(), sealed, "{text}");
        }
    }

    #[test]
    fn a_stored_verifier_of_the_first_version_is_still_read() {
        let stored = json!({
            "version": 1,
            "type": "stripe",
            "secrets": ["hl1:BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcH6kT7jd6VPBF5nfhLkVduqjD+REzBRJAVIAE="],
        });
        let key = SealingKey::from_bytes([1; 32]);
        let opener = Opener::new(&key, "src_0000000000001");
        let read = Verifier::from_stored(stored.clone(), &opener).unwrap();
        let secret = with_clear_secrets(&read);
        assert_eq!(secret, json!({"type": "stripe", "secrets": ["whsec_test"]}));

        let mut later = stored.clone();
        later["version"] = json!(2);
        let error = Verifier::from_stored(later, &opener).err();
        assert_eq!(error, Some(StoredVerifierError::UnknownVersion));
        for damaged in [
            json!([]),
            json!({"type": "none"}),
            json!({"version": 1, "password": 7}),
        ] {
            let error = Verifier::from_stored(damaged, &opener).err();
            assert_eq!(error, Some(StoredVerifierError::Malformed));
        }
    }

    #[test]
    fn what_is_shown_has_no_secret() {
        for verifier in every_kind() {
            let shown = format!("{} {verifier:?}", verifier.to_public());
            for hidden in ["hush", "MfKQ", "secrets\":", "password\":"] {
                assert!(!shown.contains(hidden), "{shown}");
            }
        }
        let hmac = &every_kind()[1];
        let shown = json!({"type": "hmac", "header": "x-sig", "algorithm": "sha512",
                           "encoding": "base64", "prefix": "v1="});
        assert_eq!(hmac.to_public(), shown);
    }

    #[test]
    fn a_patch_keeps_the_secrets_that_it_does_not_name() {
        let hmac = &every_kind()[1];
        let renamed = hmac.patched(json!({"header": "x-other"})).unwrap();
        assert_eq!(with_clear_secrets(&renamed)["header"], "x-other");
        assert_eq!(
            with_clear_secrets(&renamed)["secrets"],
            json!(["hush-1", "hush-2"])
        );
        let rotated = hmac.patched(json!({"secret": "new"})).unwrap();
        assert_eq!(with_clear_secrets(&rotated)["secrets"], json!(["new"]));
        let plain = hmac.patched(json!({"prefix": null})).unwrap();
        assert_eq!(with_clear_secrets(&plain)["prefix"], "");

        let key = verifier(json!({"type": "api_key", "header": "x-k", "secret": "k"}));
        let moved = key.patched(json!({"query": "k"})).unwrap();
        assert_eq!(
            with_clear_secrets(&moved),
            json!({"type": "api_key", "query": "k", "secrets": ["k"]})
        );

        let open = hmac.patched(json!({"type": "none"})).unwrap();
        assert_eq!(with_clear_secrets(&open), json!({"type": "none"}));
        assert!(
            hmac.patched(json!({"type": "stripe"})).is_err(),
            "another type needs its own secret"
        );
        assert!(hmac.patched(json!([])).is_err());
    }
}
