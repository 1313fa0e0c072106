//! A message with what is needed to send it: its envelope and its body.

use std::sync::Arc;

use bytes::Bytes;
use hooklatch_core::ids::MessageId;
use hooklatch_core::message::Parcel;
use hooklatch_store::record::envelope;
use tokio_postgres::{Client, Row, Statement};

use super::message::{self, select_messages};
use crate::fault::Fault;

/// Messages by their numbers; the bounds let the database look into their partitions only. An
/// envelope that is shared lies in a row of about the same time.
pub(crate) const SELECT: &str = select_messages!(
    ", COALESCE(p.envelope, shared.envelope), p.body \
     FROM hooklatch.messages m \
     JOIN hooklatch.payloads p ON p.id = m.id \
     LEFT JOIN hooklatch.payloads shared ON shared.id = p.shared \
     WHERE m.id = ANY($1) AND m.id >= $2 AND m.id <= $3 AND p.id >= $2 AND p.id <= $3"
);

/// Reads parcels by the (sorted) numbers of their messages, each by itself: one that cannot be
/// read says so.
pub(crate) async fn load_all(
    client: &Client,
    select: &Statement,
    messages: &[MessageId],
) -> Result<Vec<Result<Parcel, Fault>>, Fault> {
    let (Some(first), Some(last)) = (messages.first(), messages.last()) else {
        return Ok(Vec::new());
    };
    let numbers: Vec<i64> = messages.iter().map(|id| id.number()).collect();
    let (first, last) = (first.number(), last.number());
    let rows = client.query(select, &[&numbers, &first, &last]).await?;
    Ok(rows.iter().map(decode).collect())
}

fn decode(row: &Row) -> Result<Parcel, Fault> {
    let message = message::decode(row)?.message;
    let wrapping: Option<&str> = row.try_get(13)?;
    let wrapping = wrapping
        .ok_or_else(|| Fault::unreadable(format!("the envelope of {} is gone", message.id)))?;
    let body: Option<&[u8]> = row.try_get(14)?;
    Ok(Parcel {
        message,
        envelope: Arc::new(envelope::decode(wrapping)?),
        body: body.map(Bytes::copy_from_slice).unwrap_or_default(),
    })
}
