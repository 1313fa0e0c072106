//! The row of what a script made of a request, by the delivery that sends it.

use bytes::Bytes;
use hooklatch_core::ids::DeliveryId;
use hooklatch_core::transform::Transformed;
use hooklatch_store::record::transformed::{decode_headers, encode_headers};
use rusqlite::{Connection, OptionalExtension, params};

use crate::fault::Fault;
use crate::writer::Batch;

/// Keeps what a delivery is sent as, unless something is kept already; answers what is kept.
pub(crate) fn keep(
    batch: &mut Batch<'_>,
    (delivery, transformed): &(DeliveryId, Transformed),
) -> Result<Transformed, Fault> {
    if let Some(kept) = load(batch.db, *delivery)? {
        return Ok(kept);
    }
    let headers = encode_headers(&transformed.headers);
    let mut statement = batch
        .db
        .prepare_cached("INSERT INTO transformed VALUES (?1, ?2, ?3)")?;
    statement.execute(params![
        delivery.number(),
        headers,
        transformed.body.as_ref()
    ])?;
    Ok(transformed.clone())
}

/// What a delivery is sent as.
pub(crate) fn load(db: &Connection, delivery: DeliveryId) -> Result<Option<Transformed>, Fault> {
    let sql = "SELECT headers, body FROM transformed WHERE delivery = ?1";
    let mut statement = db.prepare_cached(sql)?;
    let row = |row: &rusqlite::Row<'_>| Ok((row.get(0)?, row.get(1)?));
    let found: Option<(String, Vec<u8>)> =
        statement.query_row([delivery.number()], row).optional()?;
    let Some((headers, body)) = found else {
        return Ok(None);
    };
    Ok(Some(Transformed {
        headers: decode_headers(&headers)?,
        body: Bytes::from(body),
    }))
}
