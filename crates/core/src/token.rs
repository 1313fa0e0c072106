//! API keys and ingest tokens: what they look like, and the hash that is stored in their place.
//!
//! Both are random and long, so a plain SHA-256 suffices: there is nothing to guess that a slow
//! hash would protect. Only the hash is kept; the text is shown once.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};

use crate::secret::Secret;

/// What every API key starts with.
pub const API_KEY_PREFIX: &str = "hl_";
/// Fewest characters of an API key, its prefix included.
pub const API_KEY_CHARS_MIN: usize = 32;
/// Most characters of an API key.
pub const API_KEY_CHARS_MAX: usize = 255;

/// Why a text is not an API key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an API key starts with \"hl_\" and has 32 to 255 visible ASCII characters")]
pub struct ApiKeyError;

/// A new API key from random bytes.
pub fn generate_api_key(random: [u8; 32]) -> Secret {
    Secret::new(format!(
        "{API_KEY_PREFIX}{}",
        URL_SAFE_NO_PAD.encode(random)
    ))
}

/// Whether a text that a person chose may serve as an API key.
pub fn check_api_key(text: &str) -> Result<(), ApiKeyError> {
    let length = API_KEY_CHARS_MIN..=API_KEY_CHARS_MAX;
    let visible = text.bytes().all(|byte| byte.is_ascii_graphic());
    if text.starts_with(API_KEY_PREFIX) && length.contains(&text.len()) && visible {
        Ok(())
    } else {
        Err(ApiKeyError)
    }
}

/// What is stored of an API key, and looked up when one is presented.
pub fn api_key_hash(text: &str) -> [u8; 32] {
    Sha256::digest(text.as_bytes()).into()
}

/// A new ingest token from random bytes: safe in a URL, and not to be guessed.
pub fn generate_token(random: [u8; 24]) -> Secret {
    Secret::new(URL_SAFE_NO_PAD.encode(random))
}

/// What is stored of an ingest token, and looked up when one is presented.
pub fn token_hash(text: &str) -> [u8; 32] {
    Sha256::digest(text.as_bytes()).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_generated_api_key_is_one() {
        for byte in [0, 0x55, 0xff] {
            let key = generate_api_key([byte; 32]);
            assert_eq!(check_api_key(key.expose()), Ok(()), "{byte}");
            assert_eq!(key.expose().len(), 46);
        }
    }

    #[test]
    fn short_foreign_or_unprintable_texts_are_no_api_keys() {
        assert!(check_api_key(&format!("hl_{}", "k".repeat(29))).is_ok());
        assert!(check_api_key(&format!("hl_{}", "k".repeat(28))).is_err());
        assert!(check_api_key(&format!("hl_{}", "k".repeat(253))).is_err());
        assert!(check_api_key(&format!("sk_{}", "k".repeat(40))).is_err());
        assert!(check_api_key(&format!("hl_{} ", "k".repeat(40))).is_err());
        assert!(check_api_key(&format!("hl_{}é", "k".repeat(40))).is_err());
    }

    #[test]
    fn a_token_needs_no_escaping_in_a_url() {
        let token = generate_token([0xff; 24]);
        assert_eq!(token.expose(), "_".repeat(32));
        let token = generate_token([0xfb; 24]);
        let safe = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
        assert!(token.expose().bytes().all(safe), "{}", token.expose());
    }

    #[test]
    fn the_stored_hash_is_sha_256() {
        // The digest of "abc" in FIPS 180-4.
        let expected = [0xba, 0x78, 0x16, 0xbf];
        assert_eq!(api_key_hash("abc")[..4], expected);
        assert_eq!(token_hash("abc")[..4], expected);
    }
}
