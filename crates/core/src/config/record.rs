//! The stored form of a resource: its fields with a version around them.
//!
//! A field that a later version adds is ignored here, and one that an earlier version lacked is
//! filled by its default, so versions may run side by side during an upgrade. The number rises only
//! when a field changes its meaning.

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

/// Why a stored resource cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// It was written by a later version.
    #[error("the stored {kind} has version {version}; this hooklatch reads up to {known}")]
    UnknownVersion {
        /// What kind of record it is.
        kind: &'static str,
        /// The version that was found.
        version: u64,
        /// The version that this program writes.
        known: u64,
    },
    /// It is not what this program or an earlier one wrote.
    #[error("the stored {kind} is damaged")]
    Malformed {
        /// What kind of record it is.
        kind: &'static str,
        /// What the reader met.
        #[source]
        source: Option<serde_json::Error>,
    },
}

/// A resource that a store keeps as one text. Secrets inside it are sealed already.
pub trait Record: Serialize + DeserializeOwned {
    /// What errors call it.
    const KIND: &'static str;
    /// The version that is written.
    const VERSION: u64 = 1;

    /// The text to store.
    fn to_stored(&self) -> String {
        json!({"version": Self::VERSION, "record": self}).to_string()
    }

    /// Reads what [`Record::to_stored`] wrote.
    fn from_stored(text: &str) -> Result<Self, RecordError> {
        let malformed = |source| RecordError::Malformed {
            kind: Self::KIND,
            source,
        };
        let mut stored: Value =
            serde_json::from_str(text).map_err(|error| malformed(Some(error)))?;
        let version = stored["version"].as_u64().ok_or_else(|| malformed(None))?;
        if version > Self::VERSION {
            let (kind, known) = (Self::KIND, Self::VERSION);
            return Err(RecordError::UnknownVersion {
                kind,
                version,
                known,
            });
        }
        serde_json::from_value(stored["record"].take()).map_err(|error| malformed(Some(error)))
    }
}
