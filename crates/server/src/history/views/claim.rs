//! A claim.

use hooklatch_core::claim::Scope;
use hooklatch_core::fingerprint::Fingerprint;
use hooklatch_core::ids::MessageId;
use hooklatch_core::key::Checksum;
use hooklatch_core::time::Timestamp;
use hooklatch_store::ClaimView;
use serde::Serialize;

/// A claim record. `expires_at` is `null` where the key is protected for ever.
#[derive(Debug, Serialize)]
#[expect(missing_docs, reason = "the names are those of the API's contract")]
pub struct ClaimRecord<'a> {
    pub scope: &'a Scope,
    pub key: String,
    pub parts: &'a [String],
    pub checksum: Checksum,
    pub message_id: MessageId,
    pub fingerprint: Fingerprint,
    pub first_seen_at: Timestamp,
    pub last_seen_at: Timestamp,
    pub expires_at: Option<Timestamp>,
    pub duplicates: u64,
}

impl<'a> ClaimRecord<'a> {
    /// The record of a claim.
    pub fn of(view: &'a ClaimView) -> Self {
        let claim = &view.claim;
        Self {
            scope: &claim.scope,
            key: claim.key_text(),
            parts: &claim.parts,
            checksum: claim.checksum,
            message_id: claim.message_id,
            fingerprint: claim.fingerprint,
            first_seen_at: claim.first_seen_at,
            last_seen_at: view.last_seen_at,
            expires_at: Some(claim.expires_at).filter(|end| *end != Timestamp::NEVER),
            duplicates: view.duplicates,
        }
    }
}
