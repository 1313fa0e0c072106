//! SendGrid's Event Webhook: ECDSA with P-256 and SHA-256 over time and body. A source holds the
//! public key, so that nothing here could sign. The time is not compared: SendGrid's library does
//! not, and whether a retry has a new one is not said.

use base64::Engine;
use p256::ecdsa::signature::Verifier as _;
use p256::ecdsa::{Signature, VerifyingKey};

use super::mac::BASE64;
use super::request::malformed;
use super::{Refusal, SignedRequest};

const HEADER: &str = "x-twilio-email-event-webhook-signature";
const TIMESTAMP: &str = "x-twilio-email-event-webhook-timestamp";
const EXPECTED: &str = "an ECDSA signature in base64";

/// What stands before the point in a public key of P-256 (RFC 5480), in DER.
const KEY_PREFIX: [u8; 26] = [
    0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a,
    0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00,
];

/// The live public keys.
pub(super) struct SendGrid {
    keys: Vec<VerifyingKey>,
}

impl SendGrid {
    /// Reads the keys; the error says what one should be.
    pub(super) fn new<'a>(keys: impl Iterator<Item = &'a str>) -> Result<Self, &'static str> {
        let keys = keys.map(public_key).collect::<Option<_>>();
        let keys = keys.ok_or("is the public key that SendGrid shows: P-256, DER, in base64")?;
        Ok(Self { keys })
    }

    pub(super) fn verify(&self, request: &SignedRequest<'_>) -> Result<(), Refusal> {
        let text = request.text(HEADER, EXPECTED)?;
        let time = request.text(TIMESTAMP, "seconds since 1970")?;
        let signature = BASE64.decode(text).ok();
        let signature = signature
            .and_then(|bytes| Signature::from_der(&bytes).ok())
            .ok_or_else(|| malformed(HEADER, EXPECTED))?;
        let message = [time.as_bytes(), request.body].concat();
        if self
            .keys
            .iter()
            .any(|key| key.verify(&message, &signature).is_ok())
        {
            Ok(())
        } else {
            Err(Refusal::Mismatch)
        }
    }
}

fn public_key(text: &str) -> Option<VerifyingKey> {
    let der = BASE64.decode(text).ok()?;
    VerifyingKey::from_sec1_bytes(der.strip_prefix(&KEY_PREFIX)?).ok()
}
