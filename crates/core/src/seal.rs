//! Seals secrets for storage, so that a copy of the database alone reveals none of them.
//!
//! XChaCha20-Poly1305 with a nonce that the caller draws at random. The id of what owns the secret
//! is bound in: a sealed text that is moved to another row does not open there. The text form
//! starts with a version, so that a later scheme can stand beside this one.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use chacha20poly1305::aead::{Aead, Payload};
use chacha20poly1305::{KeyInit, XChaCha20Poly1305, XNonce};
use zeroize::Zeroizing;

use crate::secret::{MASK, Secret};

/// Bytes of a sealing key.
pub const KEY_BYTES: usize = 32;
/// Bytes of a nonce.
pub const NONCE_BYTES: usize = 24;

const VERSION_PREFIX: &str = "hl1:";

/// Whether a text looks like a sealed one.
pub(crate) fn is_sealed(text: &str) -> bool {
    text.starts_with(VERSION_PREFIX)
}

/// The key that every stored secret is sealed with.
#[derive(Clone)]
pub struct SealingKey(Zeroizing<[u8; KEY_BYTES]>);

/// Why a text is not a sealing key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an encryption key is 32 bytes in base64, as `openssl rand -base64 32` prints it")]
pub struct SealingKeyError;

/// Why a sealed secret does not open.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SealError {
    /// It was sealed by a version that this one does not know.
    #[error("the secret was sealed by another version of hooklatch")]
    UnknownVersion,
    /// It is not what any seal looks like.
    #[error("the sealed secret is damaged")]
    Malformed,
    /// The key is another, the owner is another, or a bit has changed.
    #[error("the secret does not open: is HOOKLATCH_ENCRYPTION_KEY the key it was sealed with?")]
    Refused,
}

impl SealingKey {
    /// The key with these bytes.
    pub fn from_bytes(bytes: [u8; KEY_BYTES]) -> Self {
        Self(Zeroizing::new(bytes))
    }

    /// The key that this base64 text says; white space around it does not matter.
    pub fn from_base64(text: &str) -> Result<Self, SealingKeyError> {
        let bytes = Zeroizing::new(STANDARD.decode(text.trim()).map_err(|_| SealingKeyError)?);
        let bytes = <[u8; KEY_BYTES]>::try_from(bytes.as_slice()).map_err(|_| SealingKeyError)?;
        Ok(Self::from_bytes(bytes))
    }

    /// The key as base64 text, for a key file.
    pub fn to_base64(&self) -> Secret {
        Secret::new(STANDARD.encode(self.0.as_slice()))
    }

    /// Seals `plain` for `owner`. A nonce must never serve twice: draw it at random.
    pub fn seal(&self, owner: &str, plain: &[u8], nonce: [u8; NONCE_BYTES]) -> String {
        let payload = Payload {
            msg: plain,
            aad: owner.as_bytes(),
        };
        let sealed = self
            .cipher()
            .encrypt(&XNonce::from(nonce), payload)
            .expect("only a text of 256 GiB or more cannot be sealed");
        let mut bytes = Vec::with_capacity(NONCE_BYTES + sealed.len());
        bytes.extend_from_slice(&nonce);
        bytes.extend_from_slice(&sealed);
        format!("{VERSION_PREFIX}{}", STANDARD.encode(bytes))
    }

    /// Opens what [`SealingKey::seal`] made for the same owner.
    pub fn open(&self, owner: &str, sealed: &str) -> Result<Zeroizing<Vec<u8>>, SealError> {
        let text = sealed
            .strip_prefix(VERSION_PREFIX)
            .ok_or(SealError::UnknownVersion)?;
        let bytes = STANDARD.decode(text).map_err(|_| SealError::Malformed)?;
        let (nonce, sealed) = bytes
            .split_first_chunk::<NONCE_BYTES>()
            .ok_or(SealError::Malformed)?;
        let payload = Payload {
            msg: sealed,
            aad: owner.as_bytes(),
        };
        let plain = self
            .cipher()
            .decrypt(&XNonce::from(*nonce), payload)
            .map_err(|_| SealError::Refused)?;
        Ok(Zeroizing::new(plain))
    }

    fn cipher(&self) -> XChaCha20Poly1305 {
        XChaCha20Poly1305::new(&(*self.0).into())
    }
}

impl fmt::Debug for SealingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SealingKey({MASK})")
    }
}

/// Seals the secrets of one owner, each under a nonce of its own.
pub struct Sealer<'a> {
    key: &'a SealingKey,
    owner: &'a str,
    nonces: &'a mut dyn FnMut() -> [u8; NONCE_BYTES],
}

impl<'a> Sealer<'a> {
    /// Seals for `owner`; `nonces` draws a new random nonce at each call.
    pub fn new(
        key: &'a SealingKey,
        owner: &'a str,
        nonces: &'a mut dyn FnMut() -> [u8; NONCE_BYTES],
    ) -> Self {
        Self { key, owner, nonces }
    }

    /// Seals one secret.
    pub fn seal(&mut self, secret: &Secret) -> String {
        self.key
            .seal(self.owner, secret.expose().as_bytes(), (self.nonces)())
    }
}

/// Opens the secrets of one owner.
#[derive(Debug, Clone, Copy)]
pub struct Opener<'a> {
    key: &'a SealingKey,
    owner: &'a str,
}

impl<'a> Opener<'a> {
    /// Opens what was sealed for `owner`.
    pub fn new(key: &'a SealingKey, owner: &'a str) -> Self {
        Self { key, owner }
    }

    /// Opens one secret.
    pub fn open(&self, sealed: &str) -> Result<Secret, SealError> {
        let plain = self.key.open(self.owner, sealed)?;
        let text = std::str::from_utf8(&plain).map_err(|_| SealError::Malformed)?;
        Ok(Secret::from(text))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OWNER: &str = "src_0000000000001";

    fn key(byte: u8) -> SealingKey {
        SealingKey::from_bytes([byte; KEY_BYTES])
    }

    #[test]
    fn what_is_sealed_opens_again() {
        for plain in [&b""[..], b"whsec_test", &[0xff; 1_000]] {
            let sealed = key(1).seal(OWNER, plain, [7; NONCE_BYTES]);
            assert!(sealed.starts_with("hl1:"), "{sealed}");
            assert_eq!(key(1).open(OWNER, &sealed).unwrap().as_slice(), plain);
        }
    }

    #[test]
    fn what_was_sealed_by_the_first_version_still_opens() {
        // Made with libsodium, through PyNaCl.
        let stored = "hl1:BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcH6kT7jd6VPBF5nfhLkVduqjD+REzBRJAVIAE=";
        assert_eq!(key(1).seal(OWNER, b"whsec_test", [7; NONCE_BYTES]), stored);
        assert_eq!(
            key(1).open(OWNER, stored).unwrap().as_slice(),
            b"whsec_test"
        );
    }

    #[test]
    fn another_key_or_another_owner_opens_nothing() {
        let sealed = key(1).seal(OWNER, b"whsec_test", [7; NONCE_BYTES]);
        assert_eq!(key(2).open(OWNER, &sealed), Err(SealError::Refused));
        assert_eq!(
            key(1).open("src_0000000000002", &sealed),
            Err(SealError::Refused)
        );
    }

    #[test]
    fn one_changed_bit_anywhere_is_noticed() {
        let sealed = key(1).seal(OWNER, b"whsec_test", [7; NONCE_BYTES]);
        let bytes = STANDARD.decode(&sealed[VERSION_PREFIX.len()..]).unwrap();
        for index in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[index] ^= 1;
            let text = format!("{VERSION_PREFIX}{}", STANDARD.encode(changed));
            assert_eq!(
                key(1).open(OWNER, &text),
                Err(SealError::Refused),
                "byte {index}"
            );
        }
    }

    #[test]
    fn what_is_not_a_seal_is_named_as_such() {
        assert_eq!(
            key(1).open(OWNER, "whsec_test"),
            Err(SealError::UnknownVersion)
        );
        assert_eq!(
            key(1).open(OWNER, "hl2:AAAA"),
            Err(SealError::UnknownVersion)
        );
        assert_eq!(key(1).open(OWNER, "hl1:AAAA"), Err(SealError::Malformed));
        assert_eq!(key(1).open(OWNER, "hl1:*"), Err(SealError::Malformed));
    }

    #[test]
    fn a_key_is_32_bytes_of_base64_and_never_shows() {
        let text = key(3).to_base64();
        let read = SealingKey::from_base64(&format!(" {}\n", text.expose())).unwrap();
        let sealed = key(3).seal(OWNER, b"x", [0; NONCE_BYTES]);
        assert!(read.open(OWNER, &sealed).is_ok());
        for wrong in ["", "AAAA", "not base64!", &STANDARD.encode([0; 31])] {
            assert!(SealingKey::from_base64(wrong).is_err(), "{wrong}");
        }
        assert_eq!(format!("{:?}", key(3)), "SealingKey(***)");
    }

    #[test]
    fn every_secret_of_an_owner_gets_a_nonce_of_its_own() {
        let key = key(1);
        let mut count = 0;
        let mut nonces = || {
            count += 1;
            [count; NONCE_BYTES]
        };
        let mut sealer = Sealer::new(&key, OWNER, &mut nonces);
        let secret = Secret::from("same");
        let (first, second) = (sealer.seal(&secret), sealer.seal(&secret));
        assert_ne!(first, second);
        assert_eq!(Opener::new(&key, OWNER).open(&first), Ok(secret.clone()));
        assert_eq!(Opener::new(&key, OWNER).open(&second), Ok(secret));
    }
}
