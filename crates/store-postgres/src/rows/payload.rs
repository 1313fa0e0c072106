//! What a request carried: its envelope and its body, by the number of the message or request.

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;
use hooklatch_core::message::Envelope;
use hooklatch_store::record::envelope;
use tokio_postgres::types::Type;
use tokio_postgres::{Client, Row};

use super::among::Among;
use crate::fault::Fault;

/// What one request carried.
#[derive(Debug, Clone)]
pub(crate) struct Payload {
    /// What surrounded it.
    pub envelope: Arc<Envelope>,
    /// Its body, where one was kept.
    pub body: Option<Bytes>,
}

/// Reads what was carried under these numbers.
pub(crate) async fn load_all(db: &Client, among: &Among) -> Result<HashMap<i64, Payload>, Fault> {
    let sql = "SELECT id, shared, envelope, body FROM hooklatch.payloads \
               WHERE id = ANY($1) AND id >= $2 AND id <= $3";
    if among.is_empty() {
        return Ok(HashMap::new());
    }
    let rows = db.query_typed(sql, &among.params()).await?;
    let shared = shared_by(db, &rows).await?;
    let mut payloads = HashMap::new();
    for row in &rows {
        let body: Option<Vec<u8>> = row.try_get(3)?;
        let payload = Payload {
            envelope: envelope_of(row, &shared)?,
            body: body.map(Bytes::from),
        };
        payloads.insert(row.try_get(0)?, payload);
    }
    Ok(payloads)
}

/// Reads what surrounded the requests of these numbers, and not their bodies.
pub(crate) async fn envelopes(
    db: &Client,
    among: &Among,
) -> Result<HashMap<i64, Arc<Envelope>>, Fault> {
    let sql = "SELECT id, shared, envelope FROM hooklatch.payloads \
               WHERE id = ANY($1) AND id >= $2 AND id <= $3";
    if among.is_empty() {
        return Ok(HashMap::new());
    }
    let rows = db.query_typed(sql, &among.params()).await?;
    let shared = shared_by(db, &rows).await?;
    let decoded = rows
        .iter()
        .map(|row| Ok((row.try_get(0)?, envelope_of(row, &shared)?)));
    decoded.collect()
}

/// The envelopes that rows share, each read once.
async fn shared_by(db: &Client, rows: &[Row]) -> Result<HashMap<i64, Arc<Envelope>>, Fault> {
    let sql = "SELECT id, envelope FROM hooklatch.payloads \
               WHERE id = ANY($1) AND id >= $2 AND id <= $3";
    let mut shared = Vec::new();
    for row in rows {
        shared.extend(row.try_get::<_, Option<i64>>(1)?);
    }
    if shared.is_empty() {
        return Ok(HashMap::new());
    }
    let rows = db.query_typed(sql, &Among::of(shared).params()).await?;
    let mut envelopes = HashMap::new();
    for row in &rows {
        if let Some(text) = row.try_get(1)? {
            envelopes.insert(row.try_get(0)?, Arc::new(envelope::decode(text)?));
        }
    }
    Ok(envelopes)
}

fn envelope_of(row: &Row, shared: &HashMap<i64, Arc<Envelope>>) -> Result<Arc<Envelope>, Fault> {
    if let Some(text) = row.try_get(2)? {
        return Ok(Arc::new(envelope::decode(text)?));
    }
    let other: Option<i64> = row.try_get(1)?;
    let envelope = other.and_then(|other| shared.get(&other));
    envelope.map(Arc::clone).ok_or_else(|| missing(row.get(0)))
}

/// There is nothing under a number that must have something.
pub(crate) fn missing(id: i64) -> Fault {
    Fault::unreadable(format!("no envelope has the number {id}"))
}

/// How many bytes the bodies under these numbers have.
pub(crate) async fn weights(db: &Client, among: &Among) -> Result<HashMap<i64, usize>, Fault> {
    let sql = "SELECT id, octet_length(body) FROM hooklatch.payloads \
               WHERE id = ANY($1) AND id >= $2 AND id <= $3 AND body IS NOT NULL";
    if among.is_empty() {
        return Ok(HashMap::new());
    }
    let rows = db.query_typed(sql, &among.params()).await?;
    let weighed = rows.iter().map(|row| {
        let bytes: i32 = row.try_get(1)?;
        Ok((row.try_get(0)?, usize::try_from(bytes).unwrap_or_default()))
    });
    weighed.collect()
}

/// The body under a number, where one was kept.
pub(crate) async fn body(db: &Client, id: i64) -> Result<Option<Bytes>, Fault> {
    let sql = "SELECT body FROM hooklatch.payloads WHERE id = $1";
    let row = db.query_typed_opt(sql, &[(&id, Type::INT8)]).await?;
    let body: Option<Vec<u8>> = match row {
        Some(row) => row.try_get(0)?,
        None => None,
    };
    Ok(body.map(Bytes::from))
}

/// Writes what a message carries.
pub(crate) async fn insert(
    db: &Client,
    id: i64,
    envelope: &Envelope,
    body: &Bytes,
) -> Result<(), Fault> {
    let sql = "INSERT INTO hooklatch.payloads (id, envelope, body) VALUES ($1, $2, $3)";
    let envelope = envelope::encode(envelope);
    let body = body.as_ref();
    db.execute_typed(
        sql,
        &[
            (&id, Type::INT8),
            (&envelope, Type::TEXT),
            (&body, Type::BYTEA),
        ],
    )
    .await?;
    Ok(())
}
