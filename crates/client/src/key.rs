//! Idempotency keys for callers who give none.

/// A new key: 128 random bits, so that no two calls ever meet.
pub(crate) fn mint() -> String {
    format!("auto-{:032x}", rand::random::<u128>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn s5_a_minted_key_is_visible_and_short_enough() {
        let key = mint();
        assert_eq!(key.len(), 37);
        assert!(key.chars().all(|c| c.is_ascii_graphic()));
    }

    #[test]
    fn two_minted_keys_differ() {
        assert_ne!(mint(), mint());
    }
}
