//! Who holds a claim. A token is 128 random bits, so that it never comes again: not after a
//! release, not after a takeover, and not where a record was swept and made anew.

use std::fmt;

use crate::hex;
use crate::receiving::key::from_hex;

/// The right to complete, release, renew or fail one attempt. Never shown.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Token([u8; 16]);

impl Token {
    /// A token from random bytes, or one that a store gave out.
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// The 16 bytes, for stores.
    pub const fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }

    /// The token that these 32 hexadecimal digits are.
    pub fn from_hex(text: &str) -> Option<Self> {
        from_hex(text).map(Self)
    }

    /// The token in hex, for stores that keep text.
    pub fn to_hex(&self) -> String {
        hex::text(&self.0)
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(***)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_not_shown() {
        let token = Token::from_bytes([7; 16]);
        assert_eq!(format!("{token:?}"), "Token(***)");
        assert_eq!(token.to_hex(), "07".repeat(16));
        assert_eq!(Token::from_hex(&token.to_hex()), Some(token));
        assert_eq!(Token::from_hex("07"), None);
    }
}
