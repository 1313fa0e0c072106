//! What a request carried: its envelope and its body, by the number of the message or request.

use std::sync::Arc;

use bytes::Bytes;
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
