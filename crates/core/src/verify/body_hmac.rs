//! An HMAC of the body in one header: GitHub, Shopify and most others, and the `hmac` verifier.
//!
//! It covers the body and nothing else: a delivery id beside it can be changed on the way (K8).

use super::mac::{Encoding, MacKey, Signature};
use super::request::malformed;
use super::{Refusal, SignedRequest};

/// The header, how its value is written, and the live secrets.
pub(super) struct BodyHmac {
    pub(super) header: String,
    pub(super) prefix: String,
    pub(super) encoding: Encoding,
    pub(super) keys: Vec<MacKey>,
}

impl BodyHmac {
    pub(super) fn verify(&self, request: &SignedRequest<'_>) -> Result<(), Refusal> {
        let expected = self.expected();
        let text = request.text(&self.header, expected)?;
        let signature = text
            .strip_prefix(self.prefix.as_str())
            .and_then(|text| Signature::decode(text, self.encoding))
            .ok_or_else(|| malformed(&self.header, expected))?;
        let signatures = [signature];
        if self
            .keys
            .iter()
            .any(|key| key.signed(&[request.body], &signatures))
        {
            Ok(())
        } else {
            Err(Refusal::Mismatch)
        }
    }

    fn expected(&self) -> &'static str {
        match (self.encoding, self.prefix.is_empty()) {
            (Encoding::Hex, true) => "the signature in hex",
            (Encoding::Hex, false) => "the source's prefix and the signature in hex",
            (Encoding::Base64, true) => "the signature in base64",
            (Encoding::Base64, false) => "the source's prefix and the signature in base64",
        }
    }
}
