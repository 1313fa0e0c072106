//! Signs what we deliver, as Standard Webhooks has it: the receiver checks one header and knows
//! that id, time and body are ours and unchanged (O1).
//!
//! An endpoint has several live secrets while one is rotated; each adds a signature, and the
//! receiver accepts any. Keys are prepared when the secret is read, not at each attempt.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ed25519_dalek::{Signer, SigningKey};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use zeroize::Zeroizing;

use crate::secret::{MASK, Secret};

/// What a symmetric secret starts with.
pub const HMAC_PREFIX: &str = "whsec_";
/// What an asymmetric private key starts with.
pub const ED25519_PREFIX: &str = "whsk_";
/// What an asymmetric public key starts with.
pub const ED25519_PUBLIC_PREFIX: &str = "whpk_";
/// Fewest bytes of a symmetric secret that we sign with.
pub const HMAC_BYTES_MIN: usize = 16;
/// Most bytes of a symmetric secret that we sign with.
pub const HMAC_BYTES_MAX: usize = 64;

/// A secret that signs deliveries.
#[derive(Clone)]
pub enum SigningSecret {
    /// HMAC-SHA256, known to both sides: `whsec_…`, signatures `v1,…`.
    Hmac(HmacSecret),
    /// Ed25519, of which the receiver has the public half: `whsk_…`, signatures `v1a,…`.
    Ed25519(SigningKey),
}

/// The bytes of a symmetric secret and the state they make.
#[derive(Clone)]
pub struct HmacSecret {
    bytes: Zeroizing<Vec<u8>>,
    keyed: Hmac<Sha256>,
}

/// Why a text is not a signing secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SigningSecretError {
    /// It starts with none of the known prefixes.
    #[error("a signing secret starts with \"whsec_\" (HMAC) or \"whsk_\" (Ed25519)")]
    Prefix,
    /// What follows the prefix is not base64.
    #[error("a signing secret is its prefix and padded base64")]
    Base64,
    /// The symmetric secret is too short or too long.
    #[error("a \"whsec_\" secret holds 16 to 64 bytes in base64; 24 or more are recommended")]
    HmacLength,
    /// The private key is neither a seed nor a seed with its own public key.
    #[error("a \"whsk_\" key holds the 32 bytes of a seed, or 64 with its public key")]
    Ed25519Key,
}

impl SigningSecret {
    /// Reads `whsec_…` or `whsk_…`.
    pub fn parse(text: &str) -> Result<Self, SigningSecretError> {
        if let Some(encoded) = text.strip_prefix(HMAC_PREFIX) {
            return HmacSecret::new(decode(encoded)?).map(Self::Hmac);
        }
        let encoded = text
            .strip_prefix(ED25519_PREFIX)
            .ok_or(SigningSecretError::Prefix)?;
        ed25519_key(&decode(encoded)?).map(Self::Ed25519)
    }

    /// A new symmetric secret from random bytes.
    pub fn generate_hmac(random: [u8; 32]) -> Self {
        let secret = HmacSecret::new(Zeroizing::new(random.to_vec()));
        Self::Hmac(secret.expect("32 bytes are within the limits"))
    }

    /// A new private key from random bytes.
    pub fn generate_ed25519(random: [u8; 32]) -> Self {
        Self::Ed25519(SigningKey::from_bytes(&random))
    }

    /// The secret as text: what [`SigningSecret::parse`] reads.
    pub fn to_text(&self) -> Secret {
        Secret::new(match self {
            Self::Hmac(secret) => format!("{HMAC_PREFIX}{}", STANDARD.encode(&*secret.bytes)),
            Self::Ed25519(key) => format!("{ED25519_PREFIX}{}", STANDARD.encode(key.as_bytes())),
        })
    }

    /// The public key that a receiver checks `v1a` signatures with.
    pub fn public_text(&self) -> Option<String> {
        match self {
            Self::Hmac(_) => None,
            Self::Ed25519(key) => {
                let public = STANDARD.encode(key.verifying_key().as_bytes());
                Some(format!("{ED25519_PUBLIC_PREFIX}{public}"))
            }
        }
    }

    fn sign(&self, webhook_id: &str, timestamp: &str, body: &[u8]) -> String {
        let parts = [
            webhook_id.as_bytes(),
            b".",
            timestamp.as_bytes(),
            b".",
            body,
        ];
        match self {
            Self::Hmac(secret) => {
                let mut mac = secret.keyed.clone();
                parts.iter().for_each(|part| mac.update(part));
                format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes()))
            }
            // Ed25519 reads its message twice, so it has to lie in one piece.
            Self::Ed25519(key) => {
                format!(
                    "v1a,{}",
                    STANDARD.encode(key.sign(&parts.concat()).to_bytes())
                )
            }
        }
    }
}

impl HmacSecret {
    fn new(bytes: Zeroizing<Vec<u8>>) -> Result<Self, SigningSecretError> {
        if !(HMAC_BYTES_MIN..=HMAC_BYTES_MAX).contains(&bytes.len()) {
            return Err(SigningSecretError::HmacLength);
        }
        let keyed = Hmac::new_from_slice(&bytes).expect("HMAC takes a key of any length");
        Ok(Self { bytes, keyed })
    }
}

fn decode(encoded: &str) -> Result<Zeroizing<Vec<u8>>, SigningSecretError> {
    let bytes = STANDARD
        .decode(encoded)
        .map_err(|_| SigningSecretError::Base64)?;
    Ok(Zeroizing::new(bytes))
}

fn ed25519_key(bytes: &[u8]) -> Result<SigningKey, SigningSecretError> {
    if let Ok(seed) = <&[u8; 32]>::try_from(bytes) {
        return Ok(SigningKey::from_bytes(seed));
    }
    let pair = <&[u8; 64]>::try_from(bytes).map_err(|_| SigningSecretError::Ed25519Key)?;
    SigningKey::from_keypair_bytes(pair).map_err(|_| SigningSecretError::Ed25519Key)
}

impl fmt::Debug for SigningSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Hmac(_) => write!(f, "Hmac({MASK})"),
            Self::Ed25519(_) => write!(f, "Ed25519({MASK})"),
        }
    }
}

impl fmt::Debug for HmacSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "HmacSecret({MASK})")
    }
}

/// The value of `webhook-signature`: one signature of each secret, in order.
pub fn sign(
    secrets: &[SigningSecret],
    webhook_id: &str,
    timestamp_seconds: i64,
    body: &[u8],
) -> String {
    let timestamp = timestamp_seconds.to_string();
    let mut header = String::new();
    for secret in secrets {
        if !header.is_empty() {
            header.push(' ');
        }
        header.push_str(&secret.sign(webhook_id, &timestamp, body));
    }
    header
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "msg_p5jXN8AQM9LWM0D4loKWxJek";
    const TIME: i64 = 1_614_265_330;
    const BODY: &[u8] = b"{\"test\": 2432232314}";

    // Made with the npm package standardwebhooks 1.1.1.
    const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    const SIGNATURE: &str = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=";
    const OTHER_SECRET: &str = "whsec_YW5vdGhlciBzZWNyZXQgb2YgMjQgYnl0ZQ==";
    const OTHER_SIGNATURE: &str = "v1,6BrpG0W9YaICmowdDvR3cUG0ARg+mm9lprp+aW/Z4zo=";
    // Made with Node's own crypto from the seed 00 01 … 1f.
    const SEED: &str = "whsk_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
    const PUBLIC: &str = "whpk_A6EHv/POEL4dcN0Y50vAmWfk1jCbpQ1fHdyGZBJVMbg=";
    const ED25519_SIGNATURE: &str = "v1a,yoUrgEkc12aGqm0n4Sydmdz55xJfTz4AsAgieHFjmkR7LJtqVCZOQYzv\
                                     vHjI5kAey+r4iaBGxTFRrl2iBQxtDQ==";

    fn secrets(texts: &[&str]) -> Vec<SigningSecret> {
        texts
            .iter()
            .map(|text| SigningSecret::parse(text).unwrap())
            .collect()
    }

    #[test]
    fn o1_signatures_are_those_of_the_official_library() {
        assert_eq!(sign(&secrets(&[SECRET]), ID, TIME, BODY), SIGNATURE);
        assert_eq!(sign(&secrets(&[SEED]), ID, TIME, BODY), ED25519_SIGNATURE);
    }

    #[test]
    fn o1_while_rotating_every_live_secret_signs() {
        let header = sign(&secrets(&[SECRET, OTHER_SECRET, SEED]), ID, TIME, BODY);
        assert_eq!(
            header,
            format!("{SIGNATURE} {OTHER_SIGNATURE} {ED25519_SIGNATURE}")
        );
    }

    #[test]
    fn o1_id_time_and_body_all_change_the_signature() {
        for text in [SECRET, SEED] {
            let secret = secrets(&[text]);
            let honest = sign(&secret, ID, TIME, BODY);
            assert_ne!(sign(&secret, "msg_other", TIME, BODY), honest);
            assert_ne!(sign(&secret, ID, TIME + 1, BODY), honest);
            assert_ne!(sign(&secret, ID, TIME, b"{\"test\": 2432232315}"), honest);
        }
    }

    #[test]
    fn no_secret_makes_no_signature() {
        assert_eq!(sign(&[], ID, TIME, BODY), "");
    }

    #[test]
    fn a_secret_survives_its_text() {
        let made = [
            SigningSecret::generate_hmac([7; 32]),
            SigningSecret::generate_ed25519([7; 32]),
        ];
        for secret in made {
            let text = secret.to_text();
            let read = SigningSecret::parse(text.expose()).unwrap();
            let both = [secret, read].map(|secret| sign(&[secret], ID, TIME, BODY));
            assert_eq!(both[0], both[1]);
        }
    }

    #[test]
    fn a_private_key_is_read_with_or_without_its_public_half() {
        let seed = &SEED[ED25519_PREFIX.len()..];
        let public = &PUBLIC[ED25519_PUBLIC_PREFIX.len()..];
        let pair = [
            STANDARD.decode(seed).unwrap(),
            STANDARD.decode(public).unwrap(),
        ]
        .concat();
        let text = format!("{ED25519_PREFIX}{}", STANDARD.encode(&pair));
        let secret = SigningSecret::parse(&text).unwrap();
        assert_eq!(secret.public_text().as_deref(), Some(PUBLIC));
        assert_eq!(secrets(&[SECRET])[0].public_text(), None);

        let mut torn = pair;
        torn[63] ^= 1;
        let text = format!("{ED25519_PREFIX}{}", STANDARD.encode(&torn));
        assert_eq!(
            SigningSecret::parse(&text).err(),
            Some(SigningSecretError::Ed25519Key)
        );
    }

    #[test]
    fn what_is_not_a_signing_secret_is_refused() {
        let error = |text: &str| SigningSecret::parse(text).err();
        assert_eq!(error("secret"), Some(SigningSecretError::Prefix));
        assert_eq!(error(PUBLIC), Some(SigningSecretError::Prefix));
        assert_eq!(error("whsec_not base64"), Some(SigningSecretError::Base64));
        assert_eq!(error("whsec_"), Some(SigningSecretError::HmacLength));
        let encoded = |bytes: usize| format!("whsec_{}", STANDARD.encode(vec![1; bytes]));
        assert_eq!(error(&encoded(15)), Some(SigningSecretError::HmacLength));
        assert_eq!(error(&encoded(16)), None);
        assert_eq!(error(&encoded(64)), None);
        assert_eq!(error(&encoded(65)), Some(SigningSecretError::HmacLength));
        assert_eq!(error("whsk_AAAA"), Some(SigningSecretError::Ed25519Key));
    }

    #[test]
    fn a_signing_secret_never_shows() {
        for secret in secrets(&[SECRET, SEED]) {
            let shown = format!("{secret:?} {}", secret.to_text());
            assert!(shown.ends_with("(***) ***"), "{shown}");
        }
    }
}
