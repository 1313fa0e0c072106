//! What a request carried: its envelope and its body, by the number of the message or request.

use std::sync::Arc;

use bytes::Bytes;
use hooklatch_core::delivery::Delivery;
use hooklatch_core::message::Envelope;
use hooklatch_store::record;
use rusqlite::{Connection, OptionalExtension, params};

use crate::fault::Fault;

/// Where an envelope lies.
#[derive(Debug, Clone, Copy)]
pub(crate) enum EnvelopeAt<'a> {
    /// In the row itself.
    Here(&'a str),
    /// In the row of this number.
    SharedWith(i64),
}

/// Writes a payload.
pub(crate) fn insert(
    db: &Connection,
    id: i64,
    envelope: EnvelopeAt<'_>,
    body: Option<&[u8]>,
) -> Result<(), Fault> {
    let (shared, text) = match envelope {
        EnvelopeAt::Here(text) => (None, Some(text)),
        EnvelopeAt::SharedWith(other) => (Some(other), None),
    };
    let mut statement = db.prepare_cached("INSERT INTO payloads VALUES (?1, ?2, ?3, ?4)")?;
    statement.execute(params![id, shared, text, body])?;
    Ok(())
}

/// The envelope of a message or request.
pub(crate) fn envelope(db: &Connection, id: i64) -> Result<Arc<Envelope>, Fault> {
    let sql = "SELECT COALESCE(own.envelope, other.envelope) FROM payloads own \
               LEFT JOIN payloads other ON other.id = own.shared WHERE own.id = ?1";
    let mut statement = db.prepare_cached(sql)?;
    let text: Option<Option<String>> = statement.query_row([id], |row| row.get(0)).optional()?;
    match text.flatten() {
        Some(text) => Ok(Arc::new(record::envelope::decode(&text)?)),
        None => Err(Fault::unreadable(format!(
            "no envelope has the number {id}"
        ))),
    }
}

/// The body of a message or request, where one was kept.
pub(crate) fn body(db: &Connection, id: i64) -> Result<Option<Bytes>, Fault> {
    let mut statement = db.prepare_cached("SELECT body FROM payloads WHERE id = ?1")?;
    let body: Option<Option<Vec<u8>>> = statement.query_row([id], |row| row.get(0)).optional()?;
    Ok(body.flatten().map(Bytes::from))
}

/// Whether what a delivery sends is still there.
pub(crate) fn is_kept(db: &Connection, delivery: &Delivery) -> Result<bool, Fault> {
    has_body(db, delivery.message_id.number())
}

/// Whether a body is still there.
pub(crate) fn has_body(db: &Connection, id: i64) -> Result<bool, Fault> {
    let sql = "SELECT 1 FROM payloads WHERE id = ?1 AND body IS NOT NULL";
    Ok(db.prepare_cached(sql)?.exists([id])?)
}

/// Removes a body.
pub(crate) fn remove_body(db: &Connection, id: i64) -> Result<(), Fault> {
    let mut statement = db.prepare_cached("UPDATE payloads SET body = NULL WHERE id = ?1")?;
    statement.execute([id])?;
    Ok(())
}

/// Writes a body where it was removed; answers whether it was.
pub(crate) fn restore_body(db: &Connection, id: i64, body: &[u8]) -> Result<bool, Fault> {
    let sql = "UPDATE payloads SET body = ?2 WHERE id = ?1 AND body IS NULL";
    Ok(db.prepare_cached(sql)?.execute(params![id, body])? > 0)
}

/// Copies an envelope that is shared into its own row, because the other one may go.
pub(crate) fn adopt_envelope(db: &Connection, id: i64) -> Result<(), Fault> {
    let sql = "UPDATE payloads SET shared = NULL, envelope = \
                   (SELECT other.envelope FROM payloads other WHERE other.id = payloads.shared) \
               WHERE id = ?1 AND EXISTS \
                   (SELECT 1 FROM payloads other WHERE other.id = payloads.shared)";
    db.prepare_cached(sql)?.execute([id])?;
    Ok(())
}
