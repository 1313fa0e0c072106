//! A claim, in columns: a stored format.

use hooklatch_core::claim::Claim;
use hooklatch_core::fingerprint::Fingerprint;
use hooklatch_core::ids::MessageId;
use hooklatch_core::key::Checksum;
use hooklatch_core::time::Timestamp;

use super::{Code, Unreadable, decode_scope};

/// A claim's columns. Times are milliseconds since 1970.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Columns<'a> {
    /// The key.
    pub checksum: [u8; 32],
    /// The scope, as it prints.
    pub scope: &'a str,
    /// What [`variant`] says.
    pub variant: &'a [u8],
    /// The kind's code.
    pub kind: i64,
    /// The key's parts: [`encode_parts`].
    pub parts: &'a str,
    /// The number of the message.
    pub message: i64,
    /// What its payload looks like.
    pub fingerprint: [u8; 32],
    /// When the key was first seen.
    pub first_seen: i64,
    /// When the window ends.
    pub expires: i64,
}

impl<'a> Columns<'a> {
    /// The columns of a claim whose texts were made before.
    pub fn of(claim: &'a Claim, scope: &'a str, parts: &'a str) -> Self {
        Self {
            checksum: *claim.checksum.as_bytes(),
            scope,
            variant: variant(claim),
            kind: claim.kind.code(),
            parts,
            message: claim.message_id.number(),
            fingerprint: *claim.fingerprint.as_bytes(),
            first_seen: claim.first_seen_at.as_millis(),
            expires: claim.expires_at.as_millis(),
        }
    }
}

/// Under `on_conflict: accept` the fingerprint is part of the claim; else nothing is. Never NULL,
/// for which a constraint would not hold.
pub fn variant(claim: &Claim) -> &[u8] {
    claim
        .variant
        .as_ref()
        .map_or(&[], |variant| variant.as_bytes())
}

/// The parts of a key, as a JSON list.
pub fn encode_parts(parts: &[String]) -> String {
    serde_json::to_string(parts).expect("strings always serialise")
}

/// A claim from its columns.
///
/// # Errors
/// Where a column does not hold what belongs there.
pub fn decode(columns: &Columns<'_>) -> Result<Claim, Unreadable> {
    let variant: Option<[u8; 32]> = columns.variant.try_into().ok();
    Ok(Claim {
        scope: decode_scope(columns.scope)?,
        checksum: Checksum::from_bytes(columns.checksum),
        parts: serde_json::from_str(columns.parts)?,
        kind: Code::of_code(columns.kind)?,
        variant: variant.map(Fingerprint::from_bytes),
        message_id: MessageId::from_number(columns.message),
        fingerprint: Fingerprint::from_bytes(columns.fingerprint),
        first_seen_at: Timestamp::from_millis(columns.first_seen),
        expires_at: Timestamp::from_millis(columns.expires),
    })
}
