//! What stored configuration cannot be used for: named by whose it is, never by what it holds.

use hooklatch_core::config::{FieldError, RecordError};
use hooklatch_core::ids::{ConnectionId, SourceId};
use hooklatch_core::seal::SealError;
use hooklatch_core::verify::StoredVerifierError;

/// Why the stored configuration cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SnapshotError {
    /// A document cannot be read.
    #[error(transparent)]
    Record(#[from] RecordError),
    /// A secret does not open.
    #[error("a secret of {owner} cannot be used: {source}")]
    Seal {
        /// Whose secret it is.
        owner: String,
        /// What is wrong with it.
        #[source]
        source: SealError,
    },
    /// The rules of a connection cannot be used.
    #[error("the rules of {owner} cannot be used: {source}")]
    Rules {
        /// Whose rules they are.
        owner: ConnectionId,
        /// What is wrong with the first of them.
        #[source]
        source: FieldError,
    },
    /// A verifier cannot be read.
    #[error("the verifier of {owner} cannot be used: {source}")]
    Verifier {
        /// Whose verifier it is.
        owner: SourceId,
        /// What is wrong with it.
        #[source]
        source: StoredVerifierError,
    },
}
