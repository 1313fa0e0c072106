//! The row of a request that did not become a message when it arrived: a repetition or a conflict
//! in one table, a refused one in another.

use std::collections::HashMap;
use std::sync::Arc;

use hooklatch_core::ids::{MessageId, RequestId};
use hooklatch_core::message::{Effect, Envelope, Request, RequestOutcome};
use hooklatch_store::record::Code;
use hooklatch_store::record::envelope;
use hooklatch_store::record::request::{Columns, decode as decode_columns, encode_diff};
use tokio_postgres::types::Type;
use tokio_postgres::{Client, Row};

use super::among::{Among, Param};
use super::{digest_or_none_at, wide_at, wide_or_none_at};
use crate::fault::Fault;

/// The columns, in the order in which [`decode`] takes them.
macro_rules! select_requests {
    ($rest:literal) => {
        concat!(
            "SELECT id, project, source, outcome, cause, effect, original, released, checksum, \
             fingerprint, received, meta, diff FROM hooklatch.requests ",
            $rest
        )
    };
}

/// Reads a request that was not refused.
pub(crate) async fn load(db: &Client, id: RequestId) -> Result<Option<Request>, Fault> {
    let mut found = load_all(db, &Among::of([id.number()])).await?;
    Ok(found.remove(&id.number()))
}

/// Reads a request that was not refused, and keeps it from being changed until the transaction
/// ends.
pub(crate) async fn lock(db: &Client, id: RequestId) -> Result<Option<Request>, Fault> {
    let sql = select_requests!("WHERE id = $1 FOR UPDATE");
    let params: [Param<'_>; 1] = [(&id.number(), Type::INT8)];
    let row = db.query_typed_opt(sql, &params).await?;
    row.as_ref().map(decode).transpose()
}

/// Reads requests that were not refused.
pub(crate) async fn load_all(db: &Client, among: &Among) -> Result<HashMap<i64, Request>, Fault> {
    let sql = select_requests!("WHERE id = ANY($1) AND id >= $2 AND id <= $3");
    if among.is_empty() {
        return Ok(HashMap::new());
    }
    let rows = db.query_typed(sql, &among.params()).await?;
    let decoded = rows.iter().map(|row| {
        let request = decode(row)?;
        Ok((request.id.number(), request))
    });
    decoded.collect()
}

fn decode(row: &Row) -> Result<Request, Fault> {
    Ok(decode_columns(Columns {
        id: row.try_get(0)?,
        project: row.try_get(1)?,
        source: row.try_get(2)?,
        outcome: wide_at(row, 3)?,
        cause: wide_or_none_at(row, 4)?,
        effect: wide_at(row, 5)?,
        original: row.try_get(6)?,
        released: row.try_get(7)?,
        checksum: digest_or_none_at(row, 8)?,
        fingerprint: digest_or_none_at(row, 9)?,
        received: row.try_get(10)?,
        meta: row.try_get(11)?,
        diff: row.try_get(12)?,
    })?)
}

/// Reads refused requests, with what surrounded them.
pub(crate) async fn refused(
    db: &Client,
    among: &Among,
) -> Result<HashMap<i64, (Request, Arc<Envelope>)>, Fault> {
    let sql = "SELECT id, project, source, received, meta, envelope FROM hooklatch.refused \
               WHERE id = ANY($1) AND id >= $2 AND id <= $3";
    if among.is_empty() {
        return Ok(HashMap::new());
    }
    let rows = db.query_typed(sql, &among.params()).await?;
    let decoded = rows.iter().map(|row| {
        let request = decode_refused(row)?;
        let envelope = envelope::decode(row.try_get(5)?)?;
        Ok((request.id.number(), (request, Arc::new(envelope))))
    });
    decoded.collect()
}

fn decode_refused(row: &Row) -> Result<Request, Fault> {
    Ok(decode_columns(Columns {
        id: row.try_get(0)?,
        project: row.try_get(1)?,
        source: row.try_get(2)?,
        outcome: RequestOutcome::Rejected.code(),
        cause: None,
        effect: Effect::None.code(),
        original: None,
        released: None,
        checksum: None,
        fingerprint: None,
        received: row.try_get(3)?,
        meta: row.try_get(4)?,
        diff: None,
    })?)
}

/// Writes what a person's decision changed.
pub(crate) async fn update_effect(db: &Client, request: &Request) -> Result<(), Fault> {
    let sql = "UPDATE hooklatch.requests SET effect = $2::bigint, released = $3 WHERE id = $1";
    let released = request.released_message_id.map(MessageId::number);
    db.execute_typed(
        sql,
        &[
            (&request.id.number(), Type::INT8),
            (&request.effect.code(), Type::INT8),
            (&released, Type::INT8),
        ],
    )
    .await?;
    Ok(())
}

/// Writes what differs from the original's payload.
pub(crate) async fn update_diff(db: &Client, id: RequestId, diff: &[String]) -> Result<(), Fault> {
    let sql = "UPDATE hooklatch.requests SET diff = $2 WHERE id = $1";
    let diff = encode_diff(diff);
    let params: [Param<'_>; 2] = [(&id.number(), Type::INT8), (&diff, Type::TEXT)];
    db.execute_typed(sql, &params).await?;
    Ok(())
}
