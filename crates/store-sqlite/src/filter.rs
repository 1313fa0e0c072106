//! Says of a generation of claims that a key is not in it, so that a new key reads nothing there.
//!
//! A blocked Bloom filter of 16 bits a key: one cache line a question, about one wrong "perhaps"
//! in a thousand. Keys are hashed with a secret, because strangers choose them.

use sha2::{Digest, Sha256};

const BITS_PER_KEY: usize = 16;
const WORDS: usize = 8;
const BLOCK_BITS: usize = WORDS * 64;

/// A key or a part of one, hashed with the file's secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct KeyHash {
    block: u64,
    bits: u64,
}

impl KeyHash {
    /// The hash of a key's checksum.
    pub(crate) fn of_key(secret: &[u8; 32], checksum: &[u8; 32]) -> Self {
        Self::of(secret, b"key", checksum)
    }

    /// The hash of a part of a key.
    pub(crate) fn of_part(secret: &[u8; 32], part: &str) -> Self {
        Self::of(secret, b"part", part.as_bytes())
    }

    fn of(secret: &[u8; 32], what: &[u8], bytes: &[u8]) -> Self {
        let digest = Sha256::new()
            .chain_update(secret)
            .chain_update(what)
            .chain_update(bytes)
            .finalize();
        let word = |at: usize| {
            let bytes = digest[at..at + 8].try_into();
            u64::from_le_bytes(bytes.expect("a digest has 32 bytes"))
        };
        Self {
            block: word(0),
            bits: word(8),
        }
    }

    /// The hash as a column keeps it.
    pub(crate) const fn as_column(self) -> i64 {
        self.block.cast_signed()
    }
}

/// The filter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Filter {
    blocks: Vec<[u64; WORDS]>,
}

impl Filter {
    /// An empty filter for this many keys.
    pub(crate) fn for_keys(keys: usize) -> Self {
        let blocks = (keys * BITS_PER_KEY).div_ceil(BLOCK_BITS).max(1);
        Self {
            blocks: vec![[0; WORDS]; blocks],
        }
    }

    /// Notes a key.
    pub(crate) fn insert(&mut self, key: KeyHash) {
        let at = self.place(key);
        for (word, bit) in self.blocks[at].iter_mut().zip(bits(key)) {
            *word |= bit;
        }
    }

    /// Whether the key may have been noted.
    pub(crate) fn may_contain(&self, key: KeyHash) -> bool {
        let block = &self.blocks[self.place(key)];
        block
            .iter()
            .zip(bits(key))
            .all(|(word, bit)| word & bit != 0)
    }

    fn place(&self, key: KeyHash) -> usize {
        // The upper half of a product is an even draw without a division.
        let wide = u128::from(key.block) * self.blocks.len() as u128;
        (wide >> 64) as usize
    }

    /// The filter as a column keeps it.
    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        let words = self.blocks.iter().flatten();
        words.flat_map(|word| word.to_le_bytes()).collect()
    }

    /// The filter from its column; none where the bytes are not one.
    pub(crate) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        if bytes.is_empty() || !bytes.len().is_multiple_of(BLOCK_BITS / 8) {
            return None;
        }
        let (words, _) = bytes.as_chunks::<8>();
        let words: Vec<u64> = words.iter().copied().map(u64::from_le_bytes).collect();
        let (blocks, _) = words.as_chunks::<WORDS>();
        Some(Self {
            blocks: blocks.to_vec(),
        })
    }
}

/// One bit for each word of a block.
fn bits(key: KeyHash) -> impl Iterator<Item = u64> {
    (0..WORDS).map(move |word| 1 << ((key.bits >> (word * 6)) & 63))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(number: u32) -> KeyHash {
        let mut checksum = [0; 32];
        checksum[..4].copy_from_slice(&number.to_le_bytes());
        KeyHash::of_key(&[7; 32], &checksum)
    }

    #[test]
    fn what_was_noted_is_found_and_hardly_anything_else() {
        let mut filter = Filter::for_keys(10_000);
        for number in 0..10_000 {
            filter.insert(key(number));
        }
        assert!((0..10_000).all(|number| filter.may_contain(key(number))));
        let wrong = (10_000..110_000).filter(|number| filter.may_contain(key(*number)));
        let wrong = wrong.count();
        assert!(wrong < 400, "{wrong} of 100000 were taken for known");
    }

    #[test]
    fn a_filter_survives_its_column() {
        let mut filter = Filter::for_keys(100);
        filter.insert(key(1));
        assert_eq!(Filter::from_bytes(&filter.to_bytes()), Some(filter));
        assert_eq!(Filter::from_bytes(&[0; 63]), None);
    }
}
