//! The row of what a script made of a request, by the delivery that sends it.

use bytes::Bytes;
use hooklatch_core::ids::DeliveryId;
use hooklatch_core::transform::Transformed;
use hooklatch_store::record::transformed::{decode_headers, encode_headers};
use tokio_postgres::Client;
use tokio_postgres::types::Type;

use super::among::Param;
use crate::fault::Fault;

/// Keeps what a delivery is sent as, unless something is kept already; answers what is kept. Nodes
/// that run the same script at once wait for each other here, and then read the same row.
pub(crate) async fn keep(
    db: &Client,
    delivery: DeliveryId,
    transformed: &Transformed,
) -> Result<Transformed, Fault> {
    let sql = "INSERT INTO hooklatch.transformed (delivery, headers, body) VALUES ($1, $2, $3) \
               ON CONFLICT (delivery) DO NOTHING";
    let headers = encode_headers(&transformed.headers);
    let params: [Param<'_>; 3] = [
        (&delivery.number(), Type::INT8),
        (&headers, Type::TEXT),
        (&transformed.body.as_ref(), Type::BYTEA),
    ];
    db.execute_typed(sql, &params).await?;
    let kept = load(db, delivery).await?;
    kept.ok_or_else(|| Fault::unreadable(format!("what {delivery} is sent as is gone")))
}

/// What a delivery is sent as.
pub(crate) async fn load(db: &Client, delivery: DeliveryId) -> Result<Option<Transformed>, Fault> {
    let sql = "SELECT headers, body FROM hooklatch.transformed WHERE delivery = $1";
    let params: [Param<'_>; 1] = [(&delivery.number(), Type::INT8)];
    let rows = db.query_typed(sql, &params).await?;
    let Some(row) = rows.first() else {
        return Ok(None);
    };
    let headers: &str = row.try_get(0)?;
    let body: &[u8] = row.try_get(1)?;
    Ok(Some(Transformed {
        headers: decode_headers(headers)?,
        body: Bytes::copy_from_slice(body),
    }))
}
