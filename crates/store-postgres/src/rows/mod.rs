//! Rows into records. What a column means is said in `hooklatch_store::record`; here it is only
//! taken out of its row.

pub(crate) mod among;
pub(crate) mod attempt;
pub(crate) mod claim;
pub(crate) mod delivery;
pub(crate) mod message;
pub(crate) mod parcel;
pub(crate) mod payload;
pub(crate) mod request;
pub(crate) mod transformed;
mod wide;

pub(crate) use wide::{wide_at, wide_or_none_at};

use tokio_postgres::Row;

use crate::fault::Fault;
use crate::text;

/// 32 bytes in a column.
pub(crate) fn digest_at(row: &Row, column: usize) -> Result<[u8; 32], Fault> {
    let bytes: &[u8] = row.try_get(column)?;
    digest(bytes)
}

/// 32 bytes in a column that may be empty.
pub(crate) fn digest_or_none_at(row: &Row, column: usize) -> Result<Option<[u8; 32]>, Fault> {
    let bytes: Option<&[u8]> = row.try_get(column)?;
    bytes.map(digest).transpose()
}

fn digest(bytes: &[u8]) -> Result<[u8; 32], Fault> {
    bytes
        .try_into()
        .map_err(|_| Fault::unreadable("a digest that has not 32 bytes"))
}

/// A text of strangers in a column that may be empty.
pub(crate) fn text_or_none_at(row: &Row, column: usize) -> Result<Option<String>, Fault> {
    let text: Option<String> = row.try_get(column)?;
    Ok(text.map(text::from_column))
}
