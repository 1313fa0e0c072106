//! How records lie in the file: which column of which table holds what. What the columns mean is
//! said in `hooklatch_store::record`, for every store.

pub(crate) mod attempt;
pub(crate) mod claim;
pub(crate) mod delivery;
pub(crate) mod message;
pub(crate) mod payload;
pub(crate) mod request;
pub(crate) mod transformed;

use rusqlite::Row;

use crate::fault::Fault;

/// A text in a column, as it lies there.
fn text_at<'a>(row: &'a Row<'_>, column: usize) -> Result<&'a str, Fault> {
    let text = row.get_ref(column)?.as_str();
    Ok(text.map_err(rusqlite::Error::from)?)
}

/// A text in a column that may hold none.
fn text_or_none_at<'a>(row: &'a Row<'_>, column: usize) -> Result<Option<&'a str>, Fault> {
    let text = row.get_ref(column)?.as_str_or_null();
    Ok(text.map_err(rusqlite::Error::from)?)
}
