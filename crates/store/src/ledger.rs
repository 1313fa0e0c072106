//! The ledger, for people to look into and to open a key by hand (L1).

use hooklatch_core::claim::{Claim, Scope};
use hooklatch_core::ids::ProjectId;
use hooklatch_core::key::Checksum;
use hooklatch_core::time::Timestamp;

use crate::{Answer, AuditEntry};

/// A claim as people see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClaimView {
    /// The claim.
    pub claim: Claim,
    /// When the key was last seen.
    pub last_seen_at: Timestamp,
    /// How many requests repeated its original under this key.
    pub duplicates: u64,
}

/// The ledger.
pub trait Ledger: Send + Sync {
    /// The project's claims under any of these keys, or of which `part` is a part as it was
    /// written, that protect their key now; at most `limit`.
    ///
    /// Stores index [`Claim::parts_to_index`]; every other key can be computed from its value, and
    /// the caller passes it among `checksums`.
    fn claims(
        &self,
        project: ProjectId,
        checksums: Vec<Checksum>,
        part: Option<String>,
        limit: usize,
    ) -> Answer<'_, Vec<ClaimView>>;

    /// Frees a key, in one scope or in all of the project's: its next arrival is new. Recorded
    /// with who and why. Answers how many claims were freed.
    fn free(
        &self,
        project: ProjectId,
        checksums: Vec<Checksum>,
        scope: Option<Scope>,
        audit: AuditEntry,
    ) -> Answer<'_, usize>;
}
