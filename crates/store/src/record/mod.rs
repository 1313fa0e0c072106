//! How records are stored, whatever the store: which number stands for what, and which text.
//!
//! All of it is a stored format. What queries look at has a column of its own; the rest is one
//! JSON text with a version number in it, so that anybody can read it with a shell. A backend
//! moves columns in and out of its rows and never looks into them, so that what one backend wrote
//! is what another one reads.

pub mod attempt;
pub mod claim;
mod codes;
pub mod delivery;
pub mod entry;
pub mod envelope;
pub mod message;
pub mod replay;
pub mod request;
pub mod shadow;
pub mod transformed;

pub use codes::Code;

use hooklatch_core::claim::Scope;
use hooklatch_core::key::Checksum;
use hooklatch_core::message::KeyRecord;

use crate::StoreError;

/// The version of the JSON texts.
const VERSION: u32 = 1;

/// Why a record cannot be understood: a bug, or a newer version wrote it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Unreadable(pub String);

impl From<serde_json::Error> for Unreadable {
    fn from(error: serde_json::Error) -> Self {
        Self(error.to_string())
    }
}

impl From<Unreadable> for StoreError {
    fn from(Unreadable(what): Unreadable) -> Self {
        Self::Unreadable(what)
    }
}

/// Refuses a record from a newer version.
fn check_version(found: u32, what: &str) -> Result<(), Unreadable> {
    if found == VERSION {
        Ok(())
    } else {
        Err(Unreadable(format!("{what} of version {found}")))
    }
}

/// A scope from its text.
fn decode_scope(text: &str) -> Result<Scope, Unreadable> {
    text.parse()
        .map_err(|error| Unreadable(format!("the scope {text}: {error}")))
}

/// A key from its column and from what of it is in the JSON text.
fn decode_key(
    checksum: Option<[u8; 32]>,
    text: Option<String>,
    scope: Option<&str>,
) -> Result<Option<KeyRecord>, Unreadable> {
    match (checksum, text, scope) {
        (Some(checksum), Some(text), Some(scope)) => Ok(Some(KeyRecord {
            text,
            checksum: Checksum::from_bytes(checksum),
            scope: decode_scope(scope)?,
        })),
        (Some(_) | None, _, _) => Ok(None),
    }
}

/// A number that a column holds in a wider type.
fn narrow<T: TryFrom<i64>>(number: i64, what: &str) -> Result<T, Unreadable> {
    number
        .try_into()
        .map_err(|_| Unreadable(format!("{number} is no {what}")))
}
