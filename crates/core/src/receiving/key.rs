//! What makes two deliveries the same event for one consumer: the scope key.
//!
//! A provider's id alone is not enough: two tenants, two providers or two consumers may meet under
//! one id. So the key is a hash over all of them, each behind its length, because `(1, 23)` and
//! `(12, 3)` must differ.
//!
//! # The encoding, version 1
//!
//! A [`ScopeKey`] is the SHA-256 of these bytes, numbers in big-endian order:
//!
//! ```text
//! 0x01                         the version
//! u32 length, tenant           in UTF-8; may be empty
//! u32 length, source           "stripe", say
//! u32 length, consumer         who does the work: "billing"
//! u32 length, part             for each part of the key, in order
//! ```
//!
//! A [`StepKey`] is the SHA-256 of these:
//!
//! ```text
//! 0x01
//! u32 32, scope key
//! u32 length, name of the step in UTF-8
//! u32 4, u32 generation
//! ```
//!
//! `vectors/receiver.json` has examples; the kits in other languages read the same file.

use std::fmt;

use sha2::{Digest, Sha256};

use crate::hex;
use crate::receiving::limits::{KEY_PART_BYTES_MAX, KEY_PARTS_MAX, STEP_NAME_BYTES_MAX};

const VERSION: u8 = 1;

/// What a key is unique in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Scope<'a> {
    /// Your customer, where you keep several apart; may be empty.
    pub tenant: &'a str,
    /// Where the event comes from.
    pub source: &'a str,
    /// Who does the work, where several do different work for one event; may be empty.
    pub consumer: &'a str,
}

/// The key of an event for one consumer.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ScopeKey([u8; 32]);

/// What a call to another system gets as its idempotency key, so that a repeat of the step is one
/// effect there too.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct StepKey([u8; 32]);

/// What a payload is compared by: the same key with another fingerprint is a conflict.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Fingerprint([u8; 32]);

/// Why there is no key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// No part, or none that says anything.
    #[error("there is no key: every part is empty")]
    Missing,
    /// A part, or what the key is unique in, is larger than any id.
    #[error("a part of the key has more than {KEY_PART_BYTES_MAX} bytes")]
    TooLong,
    /// More parts than a key may have.
    #[error("a key has at most {KEY_PARTS_MAX} parts")]
    TooManyParts,
    /// The name of a step is empty or too long.
    #[error("the name of a step has 1 to {STEP_NAME_BYTES_MAX} bytes")]
    StepName,
}

impl ScopeKey {
    /// Derives the key of an event from its parts.
    ///
    /// # Errors
    /// A key without any content is none (it would make all such events one), and every part is
    /// bounded.
    pub fn derive(scope: &Scope<'_>, parts: &[&str]) -> Result<Self, KeyError> {
        if parts.iter().all(|part| part.is_empty()) {
            return Err(KeyError::Missing);
        }
        if parts.len() > KEY_PARTS_MAX {
            return Err(KeyError::TooManyParts);
        }
        let mut hash = Sha256::new_with_prefix([VERSION]);
        for part in [scope.tenant, scope.source, scope.consumer]
            .iter()
            .chain(parts)
        {
            if part.len() > KEY_PART_BYTES_MAX {
                return Err(KeyError::TooLong);
            }
            append(&mut hash, part.as_bytes());
        }
        Ok(Self(hash.finalize().into()))
    }

    /// A key that was derived before.
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The 32 bytes.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// What a step's call to another system gets as its idempotency key.
    ///
    /// # Errors
    /// A step has a name, and not a long one.
    pub fn step(&self, step: &str, generation: u32) -> Result<StepKey, KeyError> {
        if step.is_empty() || step.len() > STEP_NAME_BYTES_MAX {
            return Err(KeyError::StepName);
        }
        let mut hash = Sha256::new_with_prefix([VERSION]);
        append(&mut hash, &self.0);
        append(&mut hash, step.as_bytes());
        append(&mut hash, &generation.to_be_bytes());
        Ok(StepKey(hash.finalize().into()))
    }
}

impl Fingerprint {
    /// The fingerprint of a body: the SHA-256 of its bytes.
    pub fn of(body: &[u8]) -> Self {
        Self(Sha256::digest(body).into())
    }

    /// A fingerprint that was made elsewhere.
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The 32 bytes.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

fn append(hash: &mut Sha256, part: &[u8]) {
    let length = u32::try_from(part.len()).expect("every part is limited far below 4 GiB");
    hash.update(length.to_be_bytes());
    hash.update(part);
}

/// Bytes from hexadecimal digits, in lower or upper case; nothing where they are not exactly `N`
/// pairs of digits.
pub fn from_hex<const N: usize>(text: &str) -> Option<[u8; N]> {
    if text.len() != 2 * N || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    let mut bytes = [0; N];
    for (at, byte) in bytes.iter_mut().enumerate() {
        *byte = u8::from_str_radix(&text[2 * at..2 * at + 2], 16).ok()?;
    }
    Some(bytes)
}

impl fmt::Display for ScopeKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        hex::write(f, &self.0)
    }
}

impl fmt::Display for StepKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        hex::write(f, &self.0)
    }
}

impl fmt::Debug for ScopeKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ScopeKey({self})")
    }
}

impl fmt::Debug for StepKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "StepKey({self})")
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        hex::write(f, &self.0)
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Fingerprint(")?;
        hex::write(f, &self.0)?;
        f.write_str(")")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SCOPE: Scope<'_> = Scope {
        tenant: "acme",
        source: "stripe",
        consumer: "billing",
    };

    #[test]
    fn v1_a_key_without_content_is_refused() {
        for parts in [&[][..], &[""], &["", ""]] {
            assert_eq!(ScopeKey::derive(&SCOPE, parts), Err(KeyError::Missing));
        }
        assert!(ScopeKey::derive(&SCOPE, &["", "x"]).is_ok());
    }

    #[test]
    fn a_key_is_bounded() {
        let long = "x".repeat(KEY_PART_BYTES_MAX + 1);
        assert_eq!(ScopeKey::derive(&SCOPE, &[&long]), Err(KeyError::TooLong));
        assert!(ScopeKey::derive(&SCOPE, &[&long[1..]]).is_ok());
        let many = vec!["x"; KEY_PARTS_MAX + 1];
        assert_eq!(ScopeKey::derive(&SCOPE, &many), Err(KeyError::TooManyParts));
    }

    #[test]
    fn bytes_survive_their_digits() {
        let key = ScopeKey::derive(&SCOPE, &["evt_1"]).unwrap();
        let text = key.to_string();
        assert_eq!(from_hex(&text), Some(*key.as_bytes()));
        assert_eq!(from_hex(&text.to_uppercase()), Some(*key.as_bytes()));
        for bad in ["", "0", "+f", "0g", "é"] {
            assert_eq!(from_hex::<1>(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_step_has_a_name() {
        let key = ScopeKey::derive(&SCOPE, &["evt_1"]).unwrap();
        let long = "x".repeat(STEP_NAME_BYTES_MAX + 1);
        for name in ["", &long] {
            assert_eq!(key.step(name, 1), Err(KeyError::StepName));
        }
        assert_ne!(key.step("charge", 1), key.step("charge", 2));
    }
}
