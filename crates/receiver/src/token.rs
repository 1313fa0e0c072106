//! Who holds a claim: [`Token`], and where a new one comes from.

pub use hooklatch_core::receiving::token::Token;

/// A token that nobody else has.
pub fn random() -> Token {
    Token::from_bytes(rand::random())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_never_comes_again() {
        assert_ne!(random(), random());
    }
}
