//! What a source says about its verifier: the fields, and the rules that hold when it is saved.
//! A mistake is found here, with a pointer to its field, never first at ingest.

use crate::field::FieldError;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::mac::{Algorithm, Encoding};
use super::scheme::Scheme;
use crate::secret::{MASK, Secret};

/// Secrets that may be live at once while one is rotated.
pub const SECRETS_MAX: usize = 4;
/// Where an API key is looked for unless the source says otherwise.
pub(super) const API_KEY_HEADER: &str = "x-api-key";

const NAME_BYTES_MAX: usize = 128;
const SECRET_BYTES_MAX: usize = 4_096;

/// A source's verifier as the API has it. `secret` and `secrets` are read into one list, so that
/// several may be live while one is rotated.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
pub enum VerifierSpec {
    /// Everything comes in.
    None {},
    /// An HMAC of the body in a header.
    Hmac {
        /// The header, in lower case once checked.
        header: String,
        /// The hash.
        algorithm: Algorithm,
        /// How the signature is written.
        encoding: Encoding,
        /// What stands before the signature, `sha256=` for example.
        #[serde(default)]
        prefix: String,
        /// The live secrets; their text is the key.
        secrets: Vec<Secret>,
    },
    /// HTTP basic authentication.
    Basic {
        /// The user name.
        username: String,
        /// The password.
        password: Secret,
    },
    /// A key in a header or in the query.
    ApiKey {
        /// The header; `x-api-key` if neither is given.
        #[serde(default)]
        header: Option<String>,
        /// The query parameter.
        #[serde(default)]
        query: Option<String>,
        /// The live keys.
        secrets: Vec<Secret>,
    },
    /// Standard Webhooks.
    StandardWebhooks {
        /// `whsec_` secrets and `whpk_` public keys.
        secrets: Vec<Secret>,
    },
    /// Stripe's `stripe-signature`.
    Stripe {
        /// The endpoint's signing secrets, as Stripe shows them.
        secrets: Vec<Secret>,
    },
    /// PayPal's, by a certificate.
    Paypal {
        /// The id of the webhook, as the developer dashboard shows it.
        webhook_id: String,
    },
    /// Amazon SNS's, by a certificate.
    AwsSns {
        /// The topic whose messages come in.
        topic_arn: String,
        /// Whether a subscription is confirmed by itself.
        #[serde(default = "yes")]
        confirm: bool,
    },
    /// A provider's own scheme, by whose name the `type` goes.
    #[serde(skip)]
    Scheme {
        /// Which.
        scheme: Scheme,
        /// The live secrets, or public keys, as the provider shows them.
        secrets: Vec<Secret>,
    },
}

/// The types that [`VerifierSpec`] reads itself; the schemes come beside them.
const TYPES: [&str; 8] = [
    "none",
    "hmac",
    "basic",
    "api_key",
    "standard_webhooks",
    "stripe",
    "paypal",
    "aws_sns",
];

fn wrong_type() -> FieldError {
    let schemes = Scheme::ALL.map(Scheme::as_str).join(", ");
    let detail = format!("should be one of {}, {schemes}", TYPES.join(", "));
    FieldError::new("/verifier/type", detail)
}

fn yes() -> bool {
    true
}

/// What stands beside the `type` of a provider's own scheme.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SchemeFields {
    secrets: Vec<Secret>,
}

impl VerifierSpec {
    /// Reads the API's form.
    pub fn from_json(value: Value) -> Result<Self, FieldError> {
        let Value::Object(mut fields) = value else {
            return Err(FieldError::new(
                "/verifier",
                "should be an object with a \"type\"",
            ));
        };
        gather_secrets(&mut fields)?;
        let Some(kind) = fields.get("type").and_then(Value::as_str) else {
            return Err(wrong_type());
        };
        let scheme = Scheme::named(kind);
        if scheme.is_none() && !TYPES.contains(&kind) {
            return Err(wrong_type());
        }
        if !matches!(kind, "none" | "basic" | "paypal" | "aws_sns")
            && !fields.contains_key("secrets")
        {
            let detail = "is missing: give the secret that the sender uses";
            return Err(FieldError::new("/verifier/secret", detail));
        }
        let read = match scheme {
            None => serde_json::from_value(Value::Object(fields)),
            Some(scheme) => {
                fields.remove("type");
                let fields = serde_json::from_value(Value::Object(fields));
                fields.map(|SchemeFields { secrets }| Self::Scheme { scheme, secrets })
            }
        };
        read.map_err(|error| FieldError::new("/verifier", error.to_string()))
    }

    /// The same with names in lower case, or what is wrong with it.
    pub(super) fn checked(mut self) -> Result<Self, FieldError> {
        match &mut self {
            Self::None {} => {}
            Self::Hmac {
                header,
                prefix,
                secrets,
                ..
            } => {
                check_header(header)?;
                check_prefix(prefix)?;
                check_secrets(secrets)?;
            }
            Self::Basic { username, password } => {
                check_username(username)?;
                check_secret(password, "/verifier/password")?;
            }
            Self::ApiKey {
                header,
                query,
                secrets,
            } => {
                match (header, query) {
                    (Some(_), Some(_)) => return Err(header_and_query()),
                    (Some(header), None) => check_header(header)?,
                    (None, Some(query)) => check_query(query)?,
                    (None, None) => {}
                }
                check_secrets(secrets)?;
            }
            Self::StandardWebhooks { secrets }
            | Self::Stripe { secrets }
            | Self::Scheme { secrets, .. } => {
                check_secrets(secrets)?;
            }
            Self::Paypal { webhook_id } => check_webhook_id(webhook_id)?,
            Self::AwsSns { topic_arn, .. } => check_topic_arn(topic_arn)?,
        }
        Ok(self)
    }
}

/// Turns `secret`, or `value` as API keys have it, into `secrets`. The types are looked at here,
/// because the error of the JSON reader would quote the text that it met.
fn gather_secrets(fields: &mut Map<String, Value>) -> Result<(), FieldError> {
    let is_api_key = fields.get("type").and_then(Value::as_str) == Some("api_key");
    let names: &[&str] = if is_api_key {
        &["secret", "value"]
    } else {
        &["secret"]
    };
    for name in names {
        let Some(secret) = fields.remove(*name) else {
            continue;
        };
        if fields.contains_key("secrets") {
            let detail = "give the one secret, or the list \"secrets\" while rotating, not both";
            return Err(FieldError::new(format!("/verifier/{name}"), detail));
        }
        fields.insert("secrets".to_owned(), Value::Array(vec![secret]));
    }
    let texts = |value: &Value| match value {
        Value::Array(items) => items.iter().all(Value::is_string),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Object(_) => {
            false
        }
    };
    if !fields.get("secrets").is_none_or(texts) {
        return Err(FieldError::new(
            "/verifier/secret",
            "should be a text, or a list of texts",
        ));
    }
    if !fields.get("password").is_none_or(Value::is_string) {
        return Err(FieldError::new("/verifier/password", "should be a text"));
    }
    Ok(())
}

fn check_header(header: &mut str) -> Result<(), FieldError> {
    let is_token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    if header.is_empty() || header.len() > NAME_BYTES_MAX || !header.bytes().all(is_token) {
        let detail = "should be the name of a header, for example x-signature";
        return Err(FieldError::new("/verifier/header", detail));
    }
    header.make_ascii_lowercase();
    Ok(())
}

/// As PayPal documents it: letters and digits, 50 at most.
fn check_webhook_id(id: &str) -> Result<(), FieldError> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
    if id.is_empty() || id.len() > NAME_BYTES_MAX || !id.bytes().all(plain) {
        let detail = "should be the webhook's id, as PayPal's developer dashboard shows it";
        return Err(FieldError::new("/verifier/webhook_id", detail));
    }
    Ok(())
}

fn check_topic_arn(arn: &str) -> Result<(), FieldError> {
    let parts: Vec<&str> = arn.split(':').collect();
    let is_topic = parts.len() == 6 && parts[0] == "arn" && parts[2] == "sns";
    let visible = arn.bytes().all(|byte| byte.is_ascii_graphic());
    if !is_topic || !visible || parts.contains(&"") || arn.len() > 2 * NAME_BYTES_MAX + 128 {
        let detail = "should be the topic's ARN, for example \
                      arn:aws:sns:us-east-1:123456789012:orders";
        return Err(FieldError::new("/verifier/topic_arn", detail));
    }
    Ok(())
}

fn check_prefix(prefix: &str) -> Result<(), FieldError> {
    let visible = prefix
        .bytes()
        .all(|byte| byte == b' ' || byte.is_ascii_graphic());
    // White space at the start of a header's value never arrives.
    if prefix.len() > NAME_BYTES_MAX || !visible || prefix.starts_with(' ') {
        let detail = "should be what stands before the signature, for example sha256=";
        return Err(FieldError::new("/verifier/prefix", detail));
    }
    Ok(())
}

fn check_username(username: &str) -> Result<(), FieldError> {
    let bad = |text: char| text == ':' || text.is_control();
    if username.is_empty() || username.len() > NAME_BYTES_MAX || username.contains(bad) {
        let detail = "should be a name without a colon, which ends it in HTTP";
        return Err(FieldError::new("/verifier/username", detail));
    }
    Ok(())
}

fn check_query(query: &str) -> Result<(), FieldError> {
    if query.is_empty() || query.len() > NAME_BYTES_MAX {
        let detail = "should be the name of a query parameter, for example key";
        return Err(FieldError::new("/verifier/query", detail));
    }
    Ok(())
}

fn header_and_query() -> FieldError {
    FieldError::new(
        "/verifier/query",
        "give a header or a query parameter, not both",
    )
}

fn check_secrets(secrets: &[Secret]) -> Result<(), FieldError> {
    if secrets.is_empty() || secrets.len() > SECRETS_MAX {
        let detail = format!("one to {SECRETS_MAX} secrets may be live at once");
        return Err(FieldError::new("/verifier/secrets", detail));
    }
    secrets
        .iter()
        .try_for_each(|secret| check_secret(secret, "/verifier/secret"))
}

fn check_secret(secret: &Secret, pointer: &str) -> Result<(), FieldError> {
    let text = secret.expose();
    let detail = if text.is_empty() {
        "is empty: copy it from the sender"
    } else if text == MASK {
        "is the mask that is shown in place of the secret: send the secret itself"
    } else if text.trim() != text {
        "has white space around it, which is rarely meant: copy it again"
    } else if text.len() > SECRET_BYTES_MAX {
        "is longer than 4096 bytes"
    } else {
        return Ok(());
    };
    Err(FieldError::new(pointer, detail))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::provider::verifier_spec;
    use crate::verify::Verifier;

    fn mistake(spec: Value) -> FieldError {
        match verifier_spec(None, Some(spec.clone())).and_then(Verifier::new) {
            Ok(_) => panic!("{spec} passed"),
            Err(error) => error,
        }
    }

    fn hmac(header: &str, secret: Value) -> Value {
        json!({"type": "hmac", "header": header, "algorithm": "sha256", "encoding": "hex",
               "secret": secret})
    }

    #[test]
    fn a_secret_that_cannot_be_meant_is_found_when_the_source_is_saved() {
        for secret in [json!(""), json!("s\n"), json!("***"), json!(7), Value::Null] {
            assert_eq!(
                mistake(hmac("x-s", secret.clone())).pointer,
                "/verifier/secret",
                "{secret}"
            );
        }
        for secret in ["whsec_?", "whsec_", "whpk_AAAA", "whsk_AAAA"] {
            let spec = json!({"type": "standard_webhooks", "secret": secret});
            assert_eq!(mistake(spec).pointer, "/verifier/secret", "{secret}");
        }
        for secrets in [json!([]), json!(["1", "2", "3", "4", "5"])] {
            let spec = json!({"type": "stripe", "secrets": secrets});
            assert_eq!(mistake(spec.clone()).pointer, "/verifier/secrets", "{spec}");
        }
        for both_or_none in [
            json!({"type": "stripe", "secret": "a", "secrets": ["b"]}),
            json!({"type": "stripe"}),
        ] {
            assert_eq!(mistake(both_or_none).pointer, "/verifier/secret");
        }
    }

    #[test]
    fn a_field_that_cannot_be_meant_is_found_when_the_source_is_saved() {
        let basic = |username: &str, password: Value| json!({"type": "basic", "username": username, "password": password});
        for (spec, pointer) in [
            (hmac("x signature", json!("s")), "/verifier/header"),
            (hmac("", json!("s")), "/verifier/header"),
            (
                json!({"type": "stripe", "secret": "a", "secrt": "b"}),
                "/verifier",
            ),
            (json!({"type": "none", "secret": "a"}), "/verifier"),
            (json!({"type": "nobody", "secret": "a"}), "/verifier/type"),
            (json!({"type": "nobody"}), "/verifier/type"),
            (json!({"secret": "a"}), "/verifier/type"),
            (json!({"type": 7, "secret": "a"}), "/verifier/type"),
            (json!("stripe"), "/verifier"),
            (basic("a:b", json!("p")), "/verifier/username"),
            (basic("a", json!("")), "/verifier/password"),
            (basic("a", json!(7)), "/verifier/password"),
            (json!({"type": "basic", "username": "a"}), "/verifier"),
            (
                json!({"type": "api_key", "header": "a", "query": "b", "secret": "s"}),
                "/verifier/query",
            ),
            (
                json!({"type": "api_key", "query": "", "secret": "s"}),
                "/verifier/query",
            ),
        ] {
            assert_eq!(mistake(spec.clone()).pointer, pointer, "{spec}");
        }
    }

    #[test]
    fn a_mistake_never_quotes_a_secret() {
        for spec in [
            json!({"type": "stripe", "secrets": "hush-hush"}),
            json!({"type": "stripe", "secrets": [7, "hush-hush"]}),
            json!({"type": "stripe", "secret": {"value": "hush-hush"}}),
            json!({"type": "basic", "username": "u", "password": ["hush-hush"]}),
            json!({"type": "standard_webhooks", "secret": "hush-hush"}),
            json!({"type": "nobody", "secret": "hush-hush"}),
        ] {
            let error = mistake(spec);
            assert!(!format!("{error} {error:?}").contains("hush"), "{error:?}");
        }
    }
}
