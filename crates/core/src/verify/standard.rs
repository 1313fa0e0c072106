//! Standard Webhooks: `webhook-id`, `webhook-timestamp` and the body are signed together, so the
//! id is covered, unlike most other ids that come in a header.
//!
//! A secret is `whsec_` (HMAC-SHA256, signatures `v1,`) or the sender's public key `whpk_`
//! (Ed25519, signatures `v1a,`). A signature may be 300 s old, or early.

use base64::Engine;
use ed25519_dalek::VerifyingKey;

use super::mac::{Algorithm, BASE64, Encoding, MacKey, Signature};
use super::request::malformed;
use super::{Coverage, Refusal, SignedRequest, TOLERANCE_SECONDS, Tolerance};
use crate::signature::{ED25519_PREFIX, ED25519_PUBLIC_PREFIX, HMAC_PREFIX};
use crate::time::Timestamp;

/// The names of the headers.
#[derive(Clone, Copy)]
pub(super) struct Names {
    id: &'static str,
    timestamp: &'static str,
    signature: &'static str,
}

/// As the specification has them.
pub(super) const PLAIN: Names = Names {
    id: "webhook-id",
    timestamp: "webhook-timestamp",
    signature: "webhook-signature",
};
/// As Svix, from which the specification comes, has always had them.
pub(super) const SVIX: Names = Names {
    id: "svix-id",
    timestamp: "svix-timestamp",
    signature: "svix-signature",
};

const ID_EXPECTED: &str = "the id of the message";
const TIMESTAMP_EXPECTED: &str = "seconds since 1970";
const SIGNATURE_EXPECTED: &str =
    "one to eight signatures with a blank between them, each \"v1,\" or \"v1a,\" and base64";

/// Each `v1a` signature costs a check of the whole body: a long header must not buy that.
const SIGNATURES_MAX: usize = 8;

/// The live secrets and public keys.
pub(super) struct StandardWebhooks {
    keys: Vec<Key>,
    pub(super) names: Names,
}

enum Key {
    Hmac(MacKey),
    Ed25519(VerifyingKey),
}

/// The signatures of a request by scheme.
#[derive(Default)]
struct Signatures {
    hmac: Vec<Signature>,
    ed25519: Vec<Signature>,
}

impl Names {
    /// The body, and the two headers that are signed along.
    pub(super) fn coverage(self) -> Coverage {
        Coverage::BodyAndHeaders([self.id, self.timestamp].map(str::to_owned).to_vec())
    }
}

impl StandardWebhooks {
    /// Reads the secrets; the error says what a secret should be.
    pub(super) fn new<'a>(
        secrets: impl Iterator<Item = &'a str>,
        names: Names,
    ) -> Result<Self, &'static str> {
        let keys = secrets.map(Key::parse).collect::<Result<_, _>>()?;
        Ok(Self { keys, names })
    }

    pub(super) fn verify(
        &self,
        request: &SignedRequest<'_>,
        now: Timestamp,
    ) -> Result<(), Refusal> {
        let names = self.names;
        let header = request.text(names.signature, SIGNATURE_EXPECTED)?;
        let id = request.text(names.id, ID_EXPECTED)?;
        let time = request.text(names.timestamp, TIMESTAMP_EXPECTED)?;
        let seconds = super::unix_seconds(time)
            .ok_or_else(|| malformed(names.timestamp, TIMESTAMP_EXPECTED))?;
        let signatures = Signatures::parse(header)
            .ok_or_else(|| malformed(names.signature, SIGNATURE_EXPECTED))?;
        Tolerance::BothWays(TOLERANCE_SECONDS).check(seconds, now)?;
        let parts = [id.as_bytes(), b".", time.as_bytes(), b".", request.body];
        if self.keys.iter().any(|key| key.signed(&parts, &signatures)) {
            Ok(())
        } else {
            Err(Refusal::Mismatch)
        }
    }
}

impl Key {
    fn parse(text: &str) -> Result<Self, &'static str> {
        if let Some(encoded) = text.strip_prefix(ED25519_PUBLIC_PREFIX) {
            return Self::public(encoded);
        }
        if text.starts_with(ED25519_PREFIX) {
            return Err("is a private key, which only the sender needs: \
                        give the public key, \"whpk_\" and base64");
        }
        // The prefix may be left out, as in the official libraries.
        let bytes = BASE64.decode(text.strip_prefix(HMAC_PREFIX).unwrap_or(text));
        match bytes {
            Ok(bytes) if !bytes.is_empty() => {
                Ok(Self::Hmac(MacKey::new(Algorithm::Sha256, &bytes)))
            }
            Ok(_) | Err(_) => Err("is \"whsec_\" and base64, as the sender shows it"),
        }
    }

    fn public(encoded: &str) -> Result<Self, &'static str> {
        let bytes = BASE64.decode(encoded).ok();
        bytes
            .and_then(|bytes| <[u8; 32]>::try_from(bytes).ok())
            .and_then(|bytes| VerifyingKey::from_bytes(&bytes).ok())
            .filter(|key| !key.is_weak())
            .map(Self::Ed25519)
            .ok_or("is \"whpk_\" and the 32 bytes of an Ed25519 public key in base64")
    }

    fn signed(&self, parts: &[&[u8]], signatures: &Signatures) -> bool {
        match self {
            Self::Hmac(key) => !signatures.hmac.is_empty() && key.signed(parts, &signatures.hmac),
            Self::Ed25519(_) if signatures.ed25519.is_empty() => false,
            Self::Ed25519(key) => {
                let message = parts.concat();
                signatures.ed25519.iter().any(|signature| {
                    ed25519_dalek::Signature::from_slice(signature.as_bytes())
                        .is_ok_and(|signature| key.verify_strict(&message, &signature).is_ok())
                })
            }
        }
    }
}

impl Signatures {
    /// Every signature of a known scheme; none if there are too many or not one at all.
    fn parse(header: &str) -> Option<Self> {
        let mut found = Self::default();
        for (index, item) in header.split_ascii_whitespace().enumerate() {
            if index >= SIGNATURES_MAX {
                return None;
            }
            match item.split_once(',')? {
                ("v1", text) => found.hmac.extend(Signature::decode(text, Encoding::Base64)),
                ("v1a", text) => found
                    .ed25519
                    .extend(Signature::decode(text, Encoding::Base64)),
                _ => {}
            }
        }
        (!found.hmac.is_empty() || !found.ed25519.is_empty()).then_some(found)
    }
}
