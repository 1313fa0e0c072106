//! Stripe's scheme: `t=<seconds>,v1=<hex>` over `{t}.{body}`, several `v1` while a secret rolls.
//!
//! As in Stripe's own libraries a signature may be 300 s old at most, while one from the future
//! passes: only Stripe can have made it, and a clock that is behind must not cost an event. `v0`
//! is a scheme for tests and is not looked at.

use super::mac::{Encoding, MacKey, Signature};
use super::request::malformed;
use super::{Refusal, SignedRequest, TOLERANCE_SECONDS, Tolerance};
use crate::time::Timestamp;

pub(super) const HEADER: &str = "stripe-signature";
const EXPECTED: &str = "t=<seconds since 1970>,v1=<signature in hex>";

/// The live secrets.
pub(super) struct Stripe {
    pub(super) keys: Vec<MacKey>,
}

impl Stripe {
    pub(super) fn verify(
        &self,
        request: &SignedRequest<'_>,
        now: Timestamp,
    ) -> Result<(), Refusal> {
        let text = request.text(HEADER, EXPECTED)?;
        let (time, signatures) = parse(text).ok_or_else(|| malformed(HEADER, EXPECTED))?;
        let seconds = super::unix_seconds(time).ok_or_else(|| malformed(HEADER, EXPECTED))?;
        Tolerance::Past(TOLERANCE_SECONDS).check(seconds, now)?;
        let parts = [time.as_bytes(), b".", request.body];
        if self.keys.iter().any(|key| key.signed(&parts, &signatures)) {
            Ok(())
        } else {
            Err(Refusal::Mismatch)
        }
    }
}

/// The time as it was written, and every `v1` that can be a signature: at least one.
fn parse(text: &str) -> Option<(&str, Vec<Signature>)> {
    let mut time = None;
    let mut signatures = Vec::new();
    for item in text.split(',') {
        match item.trim().split_once('=')? {
            ("t", _) if time.is_some() => return None,
            ("t", value) => time = Some(value),
            ("v1", value) => signatures.extend(Signature::decode(value, Encoding::Hex)),
            _ => {}
        }
    }
    if signatures.is_empty() {
        return None;
    }
    Some((time?, signatures))
}
