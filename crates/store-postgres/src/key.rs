//! Where a claim stands in the ledger: the first half of its checksum as a `uuid`, which the index
//! keeps in 16 bytes, and a short hash of its scope.
//!
//! Whoever reads compares the whole checksum and the scope, so what is short only has to be even.

use std::error::Error;

use bytes::BytesMut;
use hooklatch_core::ids::ProjectId;
use hooklatch_core::key::Checksum;
use sha2::{Digest, Sha256};
use tokio_postgres::types::{FromSql, IsNull, ToSql, Type, to_sql_checked};

/// A key, as the ledger's index has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Key([u8; 16]);

impl Key {
    /// The key of a checksum.
    pub(crate) fn of(checksum: &Checksum) -> Self {
        let (half, _) = checksum.as_bytes().split_at(16);
        Self(half.try_into().expect("half of 32 bytes are 16"))
    }

    /// The lock that holds the key while its claims are decided upon. Two keys that share one by
    /// chance only wait for each other.
    pub(crate) fn lock(self) -> i64 {
        let [bytes @ .., _, _, _, _, _, _, _, _] = self.0;
        // Locks of our own have the sign bit clear; those of keys have it set.
        i64::from_be_bytes(bytes) | i64::MIN
    }
}

impl ToSql for Key {
    fn to_sql(&self, _: &Type, out: &mut BytesMut) -> Result<IsNull, Box<dyn Error + Sync + Send>> {
        out.extend_from_slice(&self.0);
        Ok(IsNull::No)
    }

    fn accepts(ty: &Type) -> bool {
        *ty == Type::UUID
    }

    to_sql_checked!();
}

impl<'a> FromSql<'a> for Key {
    fn from_sql(_: &Type, raw: &'a [u8]) -> Result<Self, Box<dyn Error + Sync + Send>> {
        Ok(Self(raw.try_into()?))
    }

    fn accepts(ty: &Type) -> bool {
        *ty == Type::UUID
    }
}

/// The place of a scope beside a key: one key may stand in two scopes.
pub(crate) fn place(scope: &str) -> i32 {
    let digest: [u8; 32] = Sha256::digest(scope.as_bytes()).into();
    let [a, b, c, d, ..] = digest;
    i32::from_be_bytes([a, b, c, d])
}

/// The hash under which a part of a composite key is found (L1), within its project.
pub(crate) fn part_hash(project: ProjectId, part: &str) -> i64 {
    let digest: [u8; 32] = Sha256::new()
        .chain_update(project.number().to_be_bytes())
        .chain_update(part.as_bytes())
        .finalize()
        .into();
    let [a, b, c, d, e, f, g, h, ..] = digest;
    i64::from_be_bytes([a, b, c, d, e, f, g, h])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_keys_lock_is_its_first_half_and_never_one_of_ours() {
        let key = Key::of(&Checksum::from_bytes([7; 32]));
        assert!(key.lock() < 0);
        let other = Key::of(&Checksum::from_bytes([8; 32]));
        assert_ne!(key.lock(), other.lock());
    }

    #[test]
    fn a_part_is_found_in_its_own_project_only() {
        let (ours, theirs) = (ProjectId::from_number(1), ProjectId::from_number(2));
        assert_eq!(part_hash(ours, "order-7"), part_hash(ours, "order-7"));
        assert_ne!(part_hash(ours, "order-7"), part_hash(theirs, "order-7"));
    }
}
