//! Idempotency keys as they come from callers and as they go to receivers (S5, O1, D4).

use sha2::{Digest, Sha256};

use crate::hex;
use crate::ids::MessageId;
use crate::limits::IDEMPOTENCY_KEY_CHARS_MAX;

/// Marks the hash input of a derived key, so that it can equal no other hash of ours.
const DERIVED_TAG: &[u8] = b"hooklatch-derived-key-v1";

/// Why a text is no idempotency key (S5).
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum KeyRefusal {
    /// Nothing is between the quotes, or nothing at all was given.
    #[error("the idempotency key is empty; leave it out, or give 1 to 255 visible characters")]
    Empty,
    /// More than 255 characters.
    #[error("the idempotency key is longer than 255 characters; hash it and send the hash")]
    TooLong,
    /// A space, a control character or one outside ASCII.
    #[error(
        "the idempotency key has a character at {position} that is not visible ASCII; \
         use letters, digits and punctuation without spaces"
    )]
    Invisible {
        /// Counted in bytes, from 0.
        position: usize,
    },
    /// The header starts with a quote and is no quoted string.
    #[error(
        "the idempotency key starts with a quote but is no quoted string; \
         write it bare, or as \"KEY\" with \\\" and \\\\ for a quote and a backslash"
    )]
    Quoting,
}

/// Reads the header `Idempotency-Key`, bare (`order-7`) or quoted as the IETF draft has it
/// (`"order-7"`): both are the same key.
pub fn parse_idempotency_key(header: &str) -> Result<String, KeyRefusal> {
    let text = header.trim_matches([' ', '\t']);
    let key = match text.strip_prefix('"') {
        Some(rest) => unquote(rest)?,
        None => text.to_owned(),
    };
    check_key(&key)?;
    Ok(key)
}

/// Whether a key is 1 to 255 visible characters of ASCII. For the field `idempotency_key`, which
/// is taken as it is.
pub fn check_key(key: &str) -> Result<(), KeyRefusal> {
    if key.is_empty() {
        return Err(KeyRefusal::Empty);
    }
    if let Some(position) = key.bytes().position(|byte| !byte.is_ascii_graphic()) {
        return Err(KeyRefusal::Invisible { position });
    }
    if key.len() > IDEMPOTENCY_KEY_CHARS_MAX {
        return Err(KeyRefusal::TooLong);
    }
    Ok(())
}

/// The key of a message that was made from a duplicate or a conflict on purpose (D4): lower-case
/// hex SHA-256 over a tag, the length of the original's key as eight bytes (big-endian), that key,
/// and the new message's id as text.
pub fn derived_key(key: &str, message: MessageId) -> String {
    let mut hash = Sha256::new();
    hash.update(DERIVED_TAG);
    hash.update((key.len() as u64).to_be_bytes());
    hash.update(key.as_bytes());
    hash.update(message.to_string().as_bytes());
    hex::text(&hash.finalize())
}

fn unquote(rest: &str) -> Result<String, KeyRefusal> {
    let mut key = String::new();
    let mut characters = rest.chars();
    loop {
        match characters.next() {
            Some('"') => break,
            Some('\\') => match characters.next() {
                Some(escaped @ ('"' | '\\')) => key.push(escaped),
                Some(_) | None => return Err(KeyRefusal::Quoting),
            },
            Some(plain) => key.push(plain),
            None => return Err(KeyRefusal::Quoting),
        }
    }
    if characters.next().is_some() {
        Err(KeyRefusal::Quoting)
    } else {
        Ok(key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn s5_bare_and_quoted_keys_are_the_same() {
        for (header, key) in [
            ("order-7", "order-7"),
            ("\"order-7\"", "order-7"),
            ("  order-7\t", "order-7"),
            ("a\"b", "a\"b"),
            ("\"a\\\"b\\\\\"", "a\"b\\"),
            (
                "8e03978e-40d5-43dd-bc93-6894a57f9324",
                "8e03978e-40d5-43dd-bc93-6894a57f9324",
            ),
        ] {
            assert_eq!(
                parse_idempotency_key(header).as_deref(),
                Ok(key),
                "{header}"
            );
        }
    }

    #[test]
    fn s5_a_key_is_1_to_255_visible_characters() {
        let longest = "k".repeat(255);
        assert_eq!(
            parse_idempotency_key(&longest).as_deref(),
            Ok(longest.as_str())
        );
        assert_eq!(check_key(&longest), Ok(()));
        for (header, refusal) in [
            ("", KeyRefusal::Empty),
            ("   ", KeyRefusal::Empty),
            ("\"\"", KeyRefusal::Empty),
            (&"k".repeat(256), KeyRefusal::TooLong),
            ("a b", KeyRefusal::Invisible { position: 1 }),
            ("\"a b\"", KeyRefusal::Invisible { position: 1 }),
            ("a\u{7f}", KeyRefusal::Invisible { position: 1 }),
            ("größe", KeyRefusal::Invisible { position: 2 }),
            ("\"a", KeyRefusal::Quoting),
            ("\"", KeyRefusal::Quoting),
            ("\"a\\n\"", KeyRefusal::Quoting),
            ("\"a\";q=1", KeyRefusal::Quoting),
        ] {
            assert_eq!(parse_idempotency_key(header), Err(refusal), "{header:?}");
        }
    }

    #[test]
    fn d4_a_derived_key_depends_on_key_and_message() {
        let [one, two] = [1, 2].map(MessageId::from_number);
        let derived = derived_key("order-7", one);
        assert_eq!(derived, derived_key("order-7", one));
        assert_ne!(derived, derived_key("order-7", two));
        assert_ne!(derived, derived_key("order-8", one));
        assert!(derived.len() == 64 && check_key(&derived).is_ok());
    }
}
