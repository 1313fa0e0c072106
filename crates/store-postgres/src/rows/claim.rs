//! The row of a claim.

use hooklatch_core::claim::Claim;
use hooklatch_store::record::claim::{Columns, decode as decode_columns};
use tokio_postgres::Row;

use super::{digest_at, wide_at};
use crate::fault::Fault;
use crate::text;

/// The columns, in the order in which [`decode`] takes them.
macro_rules! select_claims {
    ($rest:literal) => {
        concat!(
            "SELECT c.checksum, c.scope, c.variant, c.kind, c.parts, c.message, c.fingerprint, \
             c.first_seen, c.expires, c.key, c.place, c.project ",
            $rest
        )
    };
}
pub(crate) use select_claims;

/// A claim from its row.
pub(crate) fn decode(row: &Row) -> Result<Claim, Fault> {
    let scope = text::from_column(row.try_get(1)?);
    Ok(decode_columns(&Columns {
        checksum: digest_at(row, 0)?,
        scope: &scope,
        variant: row.try_get(2)?,
        kind: wide_at(row, 3)?,
        parts: row.try_get(4)?,
        message: row.try_get(5)?,
        fingerprint: digest_at(row, 6)?,
        first_seen: row.try_get(7)?,
        expires: row.try_get(8)?,
    })?)
}
