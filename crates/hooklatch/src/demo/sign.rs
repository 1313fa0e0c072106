//! Signatures as the demo's providers make them and as its shop checks them. They are written
//! anew here, beside the gateway's own: two hands that agree prove more than one.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

fn hmac_of(secret: &[u8], parts: &[&[u8]]) -> Hmac<Sha256> {
    let mut mac = Hmac::new_from_slice(secret).expect("an HMAC takes a key of any length");
    for part in parts {
        mac.update(part);
    }
    mac
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The value of `Stripe-Signature`.
pub(crate) fn stripe(secret: &str, seconds: u64, body: &str) -> String {
    let seconds = seconds.to_string();
    let parts = [seconds.as_bytes(), b".", body.as_bytes()];
    let signature = hmac_of(secret.as_bytes(), &parts).finalize();
    format!("t={seconds},v1={}", hex(&signature.into_bytes()))
}

/// The value of `X-Hub-Signature-256`.
pub(crate) fn github(secret: &str, body: &str) -> String {
    let signature = hmac_of(secret.as_bytes(), &[body.as_bytes()]).finalize();
    format!("sha256={}", hex(&signature.into_bytes()))
}

/// What a receiver needs to check Standard Webhooks.
pub(crate) struct StandardWebhooks {
    secret: Vec<u8>,
}

impl StandardWebhooks {
    /// With a secret as endpoints have it: `whsec_` and base64.
    pub fn new(secret: &str) -> Option<Self> {
        let encoded = secret.strip_prefix("whsec_")?;
        let secret = STANDARD.decode(encoded).ok()?;
        Some(Self { secret })
    }

    /// Whether one of the signatures in `webhook-signature` is ours.
    pub fn accepts(&self, id: &str, timestamp: &str, signatures: &str, body: &[u8]) -> bool {
        let parts = [id.as_bytes(), b".", timestamp.as_bytes(), b".", body];
        let expected = hmac_of(&self.secret, &parts);
        signatures
            .split(' ')
            .filter_map(|signature| signature.strip_prefix("v1,"))
            .filter_map(|encoded| STANDARD.decode(encoded).ok())
            .any(|signature| expected.clone().verify_slice(&signature).is_ok())
    }
}

#[cfg(test)]
mod tests {
    use hooklatch_core::provider::{preset, verifier_spec};
    use hooklatch_core::time::Timestamp;
    use hooklatch_core::verify::{SignedRequest, Verifier};

    use super::*;

    #[test]
    fn k7_the_gateway_takes_what_the_providers_sign() {
        let body = "{\"id\":\"evt_1\"}";
        let (now, secret) = (1_700_000_000, "whsec_test");
        let cases = [
            ("stripe", "stripe-signature", stripe(secret, now, body)),
            ("github", "x-hub-signature-256", github(secret, body)),
        ];
        for (provider, header, signature) in cases {
            let secret = serde_json::json!({ "secret": secret });
            let spec = verifier_spec(preset(provider), Some(secret)).unwrap();
            let verifier = Verifier::new(spec).unwrap();
            let verify = |body: &str| {
                let headers = [(header, signature.as_str())];
                let request = SignedRequest {
                    method: "POST",
                    url: "",
                    headers: &headers,
                    query: "",
                    body: body.as_bytes(),
                };
                verifier.verify(&request, Timestamp::from_millis(1_700_000_000_000))
            };
            assert_eq!(verify(body), Ok(()), "{provider}");
            assert!(verify("{}").is_err(), "{provider}");
        }
    }

    #[test]
    fn o1_the_example_of_the_specification_is_accepted() {
        let checker = StandardWebhooks::new("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap();
        let id = "msg_p5jXN8AQM9LWM0D4loKWxJek";
        let signature = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=";
        let body = br#"{"test": 2432232314}"#;
        assert!(checker.accepts(id, "1614265330", signature, body));
        let several = format!("v1a,AAAA v1,AAAA {signature}");
        assert!(checker.accepts(id, "1614265330", &several, body));
        assert!(!checker.accepts(id, "1614265331", signature, body));
        assert!(!checker.accepts(id, "1614265330", signature, b"{}"));
        assert!(!checker.accepts(id, "1614265330", "", body));
    }

    #[test]
    fn a_secret_of_another_kind_is_not_taken() {
        assert!(StandardWebhooks::new("whsk_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").is_none());
        assert!(StandardWebhooks::new("whsec_%").is_none());
    }
}
