//! stub
use std::fmt;
/// stub
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize,
)]
pub struct Checksum(pub [u8; 32]);
impl Checksum {
    /// stub
    pub fn from_bytes(b: [u8; 32]) -> Self {
        Self(b)
    }
    /// stub
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}
impl fmt::Display for Checksum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for b in self.0 {
            write!(f, "{b:02x}")?;
        }
        Ok(())
    }
}
