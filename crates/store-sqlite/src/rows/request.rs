//! The row of a request that did not become a message when it arrived.

use hooklatch_core::ids::{MessageId, RequestId};
use hooklatch_core::message::Request;
use hooklatch_store::record::Code;
use hooklatch_store::record::request::{self as record, Columns};
use rusqlite::{Connection, Row, params};

use super::{text_at, text_or_none_at};
use crate::fault::Fault;

/// Writes a request.
pub(crate) fn insert(db: &Connection, request: &Request) -> Result<(), Fault> {
    let sql = "INSERT INTO requests VALUES \
               (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)";
    let meta = record::encode_meta(request);
    let diff = request.diff.as_deref().map(record::encode_diff);
    let columns = Columns::of(request, &meta, diff.as_deref());
    db.prepare_cached(sql)?.execute(params![
        columns.id,
        columns.project,
        columns.source,
        columns.outcome,
        columns.cause,
        columns.effect,
        columns.original,
        columns.released,
        columns.checksum.as_ref().map(<[u8; 32]>::as_slice),
        columns.fingerprint.as_ref().map(<[u8; 32]>::as_slice),
        columns.received,
        columns.meta,
        columns.diff,
    ])?;
    Ok(())
}

/// Writes what a person's decision changed.
pub(crate) fn update_effect(db: &Connection, request: &Request) -> Result<(), Fault> {
    let sql = "UPDATE requests SET effect = ?2, released = ?3 WHERE id = ?1";
    db.prepare_cached(sql)?.execute(params![
        request.id.number(),
        request.effect.code(),
        request.released_message_id.map(MessageId::number),
    ])?;
    Ok(())
}

/// Writes what of a request is kept as JSON.
pub(crate) fn set_meta(db: &Connection, id: RequestId, meta: &str) -> Result<(), Fault> {
    let mut statement = db.prepare_cached("UPDATE requests SET meta = ?2 WHERE id = ?1")?;
    statement.execute(params![id.number(), meta])?;
    Ok(())
}

/// Writes what differs from the original's payload.
pub(crate) fn update_diff(db: &Connection, id: RequestId, diff: &[String]) -> Result<(), Fault> {
    let mut statement = db.prepare_cached("UPDATE requests SET diff = ?2 WHERE id = ?1")?;
    statement.execute(params![id.number(), record::encode_diff(diff)])?;
    Ok(())
}

/// Reads a request.
pub(crate) fn load(db: &Connection, id: RequestId) -> Result<Option<Request>, Fault> {
    let sql = "SELECT id, project, source, outcome, cause, effect, original, released, checksum, \
               fingerprint, received, meta, diff FROM requests WHERE id = ?1";
    let mut statement = db.prepare_cached(sql)?;
    let mut rows = statement.query([id.number()])?;
    rows.next()?.map(decode).transpose()
}

fn decode(row: &Row<'_>) -> Result<Request, Fault> {
    Ok(record::decode(Columns {
        id: row.get(0)?,
        project: row.get(1)?,
        source: row.get(2)?,
        outcome: row.get(3)?,
        cause: row.get(4)?,
        effect: row.get(5)?,
        original: row.get(6)?,
        released: row.get(7)?,
        checksum: row.get(8)?,
        fingerprint: row.get(9)?,
        received: row.get(10)?,
        meta: text_at(row, 11)?,
        diff: text_or_none_at(row, 12)?,
    })?)
}
