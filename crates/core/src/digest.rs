//! SHA-256 results that must not be mistaken for each other: a key's checksum is not a payload's
//! fingerprint.

use std::fmt;
use std::str::FromStr;

const TEXT_LEN: usize = 64;
const HEX: &[u8; 16] = b"0123456789abcdef";

/// The text is not the hexadecimal form of a SHA-256.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("expected 64 lower-case hexadecimal digits")]
pub struct DigestError;

fn encode(bytes: [u8; 32]) -> [u8; TEXT_LEN] {
    let mut text = [0; TEXT_LEN];
    for (pair, byte) in text.chunks_exact_mut(2).zip(bytes) {
        pair[0] = HEX[usize::from(byte >> 4)];
        pair[1] = HEX[usize::from(byte & 15)];
    }
    text
}

fn decode(text: &str) -> Result<[u8; 32], DigestError> {
    let digits = text.as_bytes();
    if digits.len() != TEXT_LEN {
        return Err(DigestError);
    }
    let value = |digit: u8| {
        let position = HEX
            .iter()
            .position(|hex| *hex == digit)
            .ok_or(DigestError)?;
        Ok(position as u8)
    };
    let mut bytes = [0; 32];
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        *byte = value(pair[0])? << 4 | value(pair[1])?;
    }
    Ok(bytes)
}

macro_rules! digests {
    ($($(#[$doc:meta])* $name:ident;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name([u8; 32]);

        impl $name {
            /// The digest with these bytes, as stores keep it.
            pub const fn from_bytes(bytes: [u8; 32]) -> Self {
                Self(bytes)
            }

            /// The bare bytes.
            pub const fn as_bytes(&self) -> &[u8; 32] {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(std::str::from_utf8(&encode(self.0)).expect("the digits are ASCII"))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self)
            }
        }

        impl FromStr for $name {
            type Err = DigestError;

            fn from_str(text: &str) -> Result<Self, DigestError> {
                decode(text).map(Self)
            }
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
                to.collect_str(self)
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
                let text = <std::borrow::Cow<'de, str>>::deserialize(from)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }
    )*};
}

digests! {
    /// A key as the ledger keeps it (K4).
    Checksum;
    /// What a payload is compared by (C5).
    Fingerprint;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_digest_survives_its_text_and_its_json() {
        let mut bytes = [0; 32];
        bytes[0] = 0xab;
        bytes[31] = 0x0f;
        let checksum = Checksum::from_bytes(bytes);
        let text = checksum.to_string();
        assert!(text.starts_with("ab00") && text.ends_with("000f"), "{text}");
        assert_eq!(text.parse(), Ok(checksum));
        let json = serde_json::to_string(&checksum).unwrap();
        assert_eq!(serde_json::from_str::<Checksum>(&json).unwrap(), checksum);
    }

    #[test]
    fn what_is_no_digest_is_refused() {
        for text in ["", "ab", &"A".repeat(64), &"g".repeat(64), &"0".repeat(65)] {
            assert_eq!(text.parse::<Fingerprint>(), Err(DigestError), "{text}");
        }
    }
}
