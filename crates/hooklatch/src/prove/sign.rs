//! Signs what is delivered, as the provider does whose receiver is tried. Each delivery is signed
//! anew, with the time at which it is sent.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use hooklatch_core::provider::{Preset, Recipe};
use hooklatch_core::secret::Secret;
use hooklatch_core::signature::{self, SigningSecret, SigningSecretError};
use hooklatch_core::verify::{Algorithm, Encoding, Scheme};
use sha1::Sha1;
use sha2::{Sha256, Sha512};

/// How deliveries are signed.
pub(super) enum Signer {
    /// Not at all; what Standard Webhooks has besides is sent.
    Unsigned,
    /// Standard Webhooks, with headers that begin so.
    Standard(&'static str, Box<SigningSecret>),
    /// Stripe's own scheme.
    Stripe(Secret),
    /// An HMAC of the body in a header.
    Hmac(BodyHmac, Secret),
}

/// Where an HMAC of the body stands, and how it is written.
#[derive(Debug, Clone, Copy)]
pub(super) struct BodyHmac {
    header: &'static str,
    algorithm: Algorithm,
    encoding: Encoding,
    prefix: &'static str,
}

/// Why deliveries cannot be signed.
#[derive(Debug, thiserror::Error)]
pub(super) enum SignerError {
    /// The secret is none.
    #[error("the secret cannot be used")]
    Secret(#[source] SigningSecretError),
    /// The scheme is not known here.
    #[error(
        "this command does not sign as {0} does: it signs Standard Webhooks, Stripe, and what \
             is an HMAC of the body"
    )]
    Scheme(&'static str),
    /// A provider was named, and no secret.
    #[error("name the secret by which the receiver checks {0}'s signatures: --secret")]
    Missing(&'static str),
}

impl Signer {
    /// How a provider signs, or else Standard Webhooks.
    pub fn new(
        preset: Option<&'static Preset>,
        secret: Option<Secret>,
    ) -> Result<Self, SignerError> {
        let Some(secret) = secret else {
            return match preset {
                Some(preset) => Err(SignerError::Missing(preset.display_name)),
                None => Ok(Self::Unsigned),
            };
        };
        let standard = |prefix| {
            let parsed = SigningSecret::parse(secret.expose());
            let parsed = parsed.map_err(SignerError::Secret)?;
            Ok(Self::Standard(prefix, Box::new(parsed)))
        };
        let Some(preset) = preset else {
            return standard(WEBHOOK);
        };
        match preset.verifier {
            Recipe::StandardWebhooks => standard(WEBHOOK),
            Recipe::Scheme {
                scheme: Scheme::Svix,
            } => standard(SVIX),
            Recipe::Stripe => Ok(Self::Stripe(secret)),
            Recipe::Hmac {
                header,
                algorithm,
                encoding,
                prefix,
            } => {
                let place = BodyHmac {
                    header,
                    algorithm,
                    encoding,
                    prefix,
                };
                Ok(Self::Hmac(place, secret))
            }
            Recipe::Scheme { .. } | Recipe::Paypal | Recipe::AwsSns => {
                Err(SignerError::Scheme(preset.display_name))
            }
        }
    }

    /// The headers that sign a delivery made at this time.
    pub fn headers(&self, id: &str, seconds: i64, body: &[u8]) -> Vec<(String, String)> {
        match self {
            Self::Unsigned => standard_headers(WEBHOOK, id, seconds, None),
            Self::Standard(prefix, secret) => {
                let secret = std::slice::from_ref(&**secret);
                let signature = signature::sign(secret, id, seconds, body);
                standard_headers(prefix, id, seconds, Some(signature))
            }
            Self::Stripe(secret) => {
                let time = seconds.to_string();
                let parts = [time.as_bytes(), b".", body];
                let signature = hex(&mac::<Hmac<Sha256>>(secret, &parts));
                let value = format!("t={time},v1={signature}");
                vec![("stripe-signature".to_owned(), value)]
            }
            Self::Hmac(place, secret) => {
                let hash = match place.algorithm {
                    Algorithm::Sha1 => mac::<Hmac<Sha1>>(secret, &[body]),
                    Algorithm::Sha256 => mac::<Hmac<Sha256>>(secret, &[body]),
                    Algorithm::Sha512 => mac::<Hmac<Sha512>>(secret, &[body]),
                };
                let written = match place.encoding {
                    Encoding::Hex => hex(&hash),
                    Encoding::Base64 => STANDARD.encode(hash),
                };
                vec![(
                    place.header.to_owned(),
                    format!("{}{written}", place.prefix),
                )]
            }
        }
    }
}

const WEBHOOK: &str = "webhook";
const SVIX: &str = "svix";

fn standard_headers(
    prefix: &str,
    id: &str,
    seconds: i64,
    signature: Option<String>,
) -> Vec<(String, String)> {
    let mut headers = vec![
        (format!("{prefix}-id"), id.to_owned()),
        (format!("{prefix}-timestamp"), seconds.to_string()),
    ];
    headers.extend(signature.map(|signature| (format!("{prefix}-signature"), signature)));
    headers
}

fn mac<M: Mac + KeyInit>(secret: &Secret, parts: &[&[u8]]) -> Vec<u8> {
    let key = secret.expose().as_bytes();
    let mut mac = <M as KeyInit>::new_from_slice(key).expect("an HMAC takes a key of any length");
    parts.iter().for_each(|part| mac.update(part));
    mac.finalize().into_bytes().to_vec()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use hooklatch_core::provider::{preset, presets, verifier_spec};
    use hooklatch_core::time::Timestamp;
    use hooklatch_core::verify::{SignedRequest, Verifier};
    use serde_json::json;

    use super::*;

    const NOW: i64 = 1_760_000_000;
    const SECRET: &str = "whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=";

    fn verified(provider: &str, body: &str) -> Option<bool> {
        let preset = preset(provider).unwrap();
        let signer = match Signer::new(Some(preset), Some(Secret::from(SECRET))) {
            Ok(signer) => signer,
            Err(SignerError::Scheme(_)) => return None,
            Err(other) => panic!("{provider}: {other}"),
        };
        let headers = signer.headers("msg_1", NOW, b"{}");
        let spec = verifier_spec(Some(preset), Some(json!({ "secret": SECRET }))).unwrap();
        let request = SignedRequest {
            method: "POST",
            url: "https://shop.example/hooks",
            headers: &headers,
            query: "",
            body: body.as_bytes(),
        };
        let now = Timestamp::from_millis(NOW * 1_000);
        Some(Verifier::new(spec).unwrap().verify(&request, now).is_ok())
    }

    #[test]
    fn k7_what_is_signed_here_is_taken_by_the_gateways_own_verifier() {
        let mut signed = 0;
        for preset in presets() {
            if let Some(taken) = verified(preset.id, "{}") {
                assert!(taken, "{}", preset.id);
                assert_eq!(verified(preset.id, "[]"), Some(false), "{}", preset.id);
                signed += 1;
            }
        }
        assert!(signed >= 12, "{signed}");
        assert_eq!(verified("slack", "{}"), None);
    }

    #[test]
    fn without_a_secret_nothing_is_signed_and_a_provider_needs_one() {
        let headers = Signer::new(None, None)
            .unwrap()
            .headers("msg_1", NOW, b"{}");
        let names: Vec<&str> = headers.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["webhook-id", "webhook-timestamp"]);
        assert!(Signer::new(preset("stripe"), None).is_err());
        let short = Signer::new(None, Some(Secret::from("whsec_hush")));
        let said = short.err().unwrap();
        assert!(!format!("{said:?} {said}").contains("hush"));
    }
}
