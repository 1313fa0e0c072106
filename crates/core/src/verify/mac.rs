//! Keyed hashes and their text forms. The key is hashed once, when a source is read; a request
//! costs a copy of that state and its own bytes, and no allocation.

use base64::Engine;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use hmac::{Hmac, KeyInit, Mac};
use serde::{Deserialize, Serialize};
use sha1::Sha1;
use sha2::{Sha256, Sha512};
use subtle::{Choice, ConstantTimeEq};
use zeroize::Zeroizing;

use crate::hex;
use crate::secret::Secret;

/// The hash under an HMAC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Algorithm {
    /// SHA-1: for senders that know nothing better. As an HMAC it still holds.
    Sha1,
    /// SHA-256.
    Sha256,
    /// SHA-512.
    Sha512,
}

/// How a signature is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Encoding {
    /// Base 16, in either case.
    Hex,
    /// Base64 of the standard alphabet, with or without padding.
    Base64,
}

/// A signature is its bytes, not its spelling: padding may be there or not.
pub(super) const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// The longest signature (64 bytes), rounded up to what the base64 decoder may ask for.
const SIGNATURE_BYTES_MAX: usize = 72;
/// The longest key in hex, in bytes; HMAC-SHA256 itself shortens what is over 64.
const HEX_KEY_BYTES_MAX: usize = 256;

/// A signature that was sent, decoded.
#[derive(Clone, Copy)]
pub(super) struct Signature {
    bytes: [u8; SIGNATURE_BYTES_MAX],
    len: usize,
}

impl Signature {
    pub(super) fn decode(text: &str, encoding: Encoding) -> Option<Self> {
        let mut bytes = [0; SIGNATURE_BYTES_MAX];
        let len = match encoding {
            Encoding::Hex => decode_hex(text.as_bytes(), &mut bytes)?,
            Encoding::Base64 => BASE64.decode_slice(text, &mut bytes).ok()?,
        };
        (len > 0).then_some(Self { bytes, len })
    }

    /// A hash that was computed here.
    pub(super) fn of(hash: &[u8]) -> Self {
        assert!(
            hash.len() <= SIGNATURE_BYTES_MAX,
            "no hash is longer than SHA-512"
        );
        let mut bytes = [0; SIGNATURE_BYTES_MAX];
        bytes[..hash.len()].copy_from_slice(hash);
        Self {
            bytes,
            len: hash.len(),
        }
    }

    pub(super) fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.len]
    }
}

fn decode_hex(text: &[u8], out: &mut [u8]) -> Option<usize> {
    let (pairs, rest) = text.as_chunks::<2>();
    if !rest.is_empty() || pairs.len() > out.len() {
        return None;
    }
    for (slot, [high, low]) in out.iter_mut().zip(pairs) {
        let digit = |byte: &u8| char::from(*byte).to_digit(16);
        *slot = u8::try_from(digit(high)? * 16 + digit(low)?).ok()?;
    }
    Some(pairs.len())
}

/// A secret, ready to hash with.
#[derive(Clone)]
pub(super) enum MacKey {
    Sha1(Hmac<Sha1>),
    Sha256(Hmac<Sha256>),
    Sha512(Hmac<Sha512>),
}

impl MacKey {
    pub(super) fn new(algorithm: Algorithm, secret: &[u8]) -> Self {
        match algorithm {
            Algorithm::Sha1 => Self::Sha1(keyed(secret)),
            Algorithm::Sha256 => Self::Sha256(keyed(secret)),
            Algorithm::Sha512 => Self::Sha512(keyed(secret)),
        }
    }

    /// The HMAC-SHA256 key that a provider shows in hex.
    pub(super) fn from_hex(secret: &Secret) -> Option<Self> {
        let mut key = Zeroizing::new([0; HEX_KEY_BYTES_MAX]);
        let len = decode_hex(secret.expose().as_bytes(), key.as_mut_slice())?;
        Some(Self::new(Algorithm::Sha256, &key[..len]))
    }

    /// The HMAC of a text, in lower-case hex.
    pub(super) fn hex(&self, text: &[u8]) -> String {
        match self {
            Self::Sha1(mac) => hex_of(mac, text),
            Self::Sha256(mac) => hex_of(mac, text),
            Self::Sha512(mac) => hex_of(mac, text),
        }
    }

    /// Whether one of `signatures` is this key's over `parts`. The bytes are hashed once however
    /// many signatures there are, so that a long header buys a sender no work of ours.
    pub(super) fn signed(&self, parts: &[&[u8]], signatures: &[Signature]) -> bool {
        match self {
            Self::Sha1(mac) => any_matches(mac, parts, signatures),
            Self::Sha256(mac) => any_matches(mac, parts, signatures),
            Self::Sha512(mac) => any_matches(mac, parts, signatures),
        }
        .into()
    }
}

fn keyed<M: KeyInit>(secret: &[u8]) -> M {
    M::new_from_slice(secret).expect("HMAC takes a key of any length")
}

fn hex_of<M: Mac + Clone>(mac: &M, text: &[u8]) -> String {
    hex::text(&mac.clone().chain_update(text).finalize().into_bytes())
}

fn any_matches<M: Mac + Clone>(mac: &M, parts: &[&[u8]], signatures: &[Signature]) -> Choice {
    let mut mac = mac.clone();
    for part in parts {
        mac.update(part);
    }
    let expected = mac.finalize().into_bytes();
    let mut found = Choice::from(0);
    for signature in signatures {
        found |= expected.as_slice().ct_eq(signature.as_bytes());
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    // Made with Node's own crypto.
    const SECRET: &[u8] = b"generic secret";
    const BODY: &[u8] = b"{\"order\":7}";
    const VECTORS: [(Algorithm, Encoding, &str); 6] = [
        (
            Algorithm::Sha1,
            Encoding::Hex,
            "d2f6bd7ff57a3977b4c1177125b3e186e49a2263",
        ),
        (
            Algorithm::Sha1,
            Encoding::Base64,
            "0va9f/V6OXe0wRdxJbPhhuSaImM=",
        ),
        (
            Algorithm::Sha256,
            Encoding::Hex,
            "1e4e0f47cb93678cb4b232a1ea0ae216a1153d35d5e34e72b654e33a9eb817a1",
        ),
        (
            Algorithm::Sha256,
            Encoding::Base64,
            "Hk4PR8uTZ4y0sjKh6griFqEVPTXV405ytlTjOp64F6E=",
        ),
        (
            Algorithm::Sha512,
            Encoding::Hex,
            "d239fa97f5b72c0aa2c461c190763bf9a9d548410f721fdda82957692026077e\
             dc0719f65f6159e340be00df06d5776458167feac7fc54c0612840950d4e1d51",
        ),
        (
            Algorithm::Sha512,
            Encoding::Base64,
            "0jn6l/W3LAqixGHBkHY7+anVSEEPch/dqClXaSAmB37cBxn2X2FZ40C+AN8G1XdkWBZ/6sf8VMBhKECVDU4d\
             UQ==",
        ),
    ];

    #[test]
    fn k7_every_hash_and_spelling_is_known() {
        for (algorithm, encoding, text) in VECTORS {
            let signature = Signature::decode(text, encoding).unwrap();
            let key = MacKey::new(algorithm, SECRET);
            assert!(
                key.signed(&[BODY], &[signature]),
                "{algorithm:?} {encoding:?}"
            );
            assert!(
                key.signed(&[&BODY[..3], &BODY[3..]], &[signature]),
                "in parts"
            );
            assert!(
                !key.signed(&[BODY, b" "], &[signature]),
                "{algorithm:?} {encoding:?}"
            );
            assert!(!MacKey::new(algorithm, b"other").signed(&[BODY], &[signature]));
        }
    }

    #[test]
    fn k7_upper_case_hex_and_missing_padding_are_the_same_signature() {
        for (algorithm, encoding, text) in VECTORS {
            let respelled = match encoding {
                Encoding::Hex => text.to_uppercase(),
                Encoding::Base64 => text.trim_end_matches('=').to_owned(),
            };
            let signature = Signature::decode(&respelled, encoding).unwrap();
            assert!(
                MacKey::new(algorithm, SECRET).signed(&[BODY], &[signature]),
                "{respelled}"
            );
        }
    }

    #[test]
    fn k7_a_truncated_signature_never_matches() {
        for (algorithm, encoding, text) in VECTORS {
            let key = MacKey::new(algorithm, SECRET);
            for len in 0..text.trim_end_matches('=').len() {
                let Some(signature) = Signature::decode(&text[..len], encoding) else {
                    continue;
                };
                assert!(
                    !key.signed(&[BODY], &[signature]),
                    "{} of {text}",
                    &text[..len]
                );
            }
        }
    }

    #[test]
    fn k7_one_of_several_signatures_is_enough() {
        let (algorithm, encoding, text) = VECTORS[2];
        let right = Signature::decode(text, encoding).unwrap();
        let wrong = Signature::decode(&text.replace('1', "2"), encoding).unwrap();
        let key = MacKey::new(algorithm, SECRET);
        assert!(key.signed(&[BODY], &[wrong, right]));
        assert!(!key.signed(&[BODY], &[wrong, wrong]));
        assert!(!key.signed(&[BODY], &[]));
    }

    #[test]
    fn what_is_no_signature_is_not_decoded() {
        let long = "a".repeat(2 * SIGNATURE_BYTES_MAX + 2);
        for text in ["", "a", "zz", "0g", "é0", long.as_str()] {
            assert!(Signature::decode(text, Encoding::Hex).is_none(), "{text}");
        }
        for text in ["", "a", "====", "a-_a", "AA=A", long.as_str()] {
            assert!(
                Signature::decode(text, Encoding::Base64).is_none(),
                "{text}"
            );
        }
    }
}
