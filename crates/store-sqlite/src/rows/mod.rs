//! How records lie in the file: one kind of record, one file.
//!
//! What queries look at has a column of its own; the rest is one JSON text with a version number
//! in it, so that anybody can read it with the `sqlite3` shell.

pub(crate) mod attempt;
pub(crate) mod claim;
mod codes;
pub(crate) mod delivery;
pub(crate) mod message;
pub(crate) mod payload;
pub(crate) mod request;

pub(crate) use codes::Code;

use hooklatch_core::fingerprint::Fingerprint;
use hooklatch_core::key::Checksum;
use hooklatch_core::time::Timestamp;
use rusqlite::Row;

use crate::fault::Fault;

/// The version of the JSON texts.
const VERSION: u32 = 1;

/// Refuses a record from a newer version.
fn check_version(found: u32, what: &str) -> Result<(), Fault> {
    if found == VERSION {
        Ok(())
    } else {
        Err(Fault::unreadable(format!("{what} of version {found}")))
    }
}

/// A time in a column.
fn time_at(row: &Row<'_>, column: usize) -> Result<Timestamp, Fault> {
    Ok(Timestamp::from_millis(row.get(column)?))
}

/// A code in a column.
fn code_at<C: Code>(row: &Row<'_>, column: usize) -> Result<C, Fault> {
    C::of_code(row.get(column)?)
}

/// A fingerprint in a column.
fn fingerprint_at(row: &Row<'_>, column: usize) -> Result<Fingerprint, Fault> {
    Ok(Fingerprint::from_bytes(row.get(column)?))
}

/// A checksum in a column.
fn checksum_at(row: &Row<'_>, column: usize) -> Result<Option<Checksum>, Fault> {
    let bytes: Option<[u8; 32]> = row.get(column)?;
    Ok(bytes.map(Checksum::from_bytes))
}
