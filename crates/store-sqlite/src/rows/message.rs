//! The row of a message.

use hooklatch_core::ids::MessageId;
use hooklatch_core::message::Message;
use hooklatch_core::rules::Routing;
use hooklatch_store::record::message::{self as record, Columns};
use rusqlite::{Connection, Row, params};

use super::{text_at, text_or_none_at};
use crate::fault::Fault;

/// A message with how many deliveries follow its number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct StoredMessage {
    /// The message.
    pub message: Message,
    /// How many deliveries have the numbers after the message's own.
    pub following: i64,
}

/// Writes a message that `following` deliveries follow.
pub(crate) fn insert(db: &Connection, message: &Message, following: usize) -> Result<(), Fault> {
    let sql = "INSERT INTO messages VALUES \
               (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)";
    let meta = record::encode_meta(message);
    let columns = Columns::of(message, &meta);
    db.prepare_cached(sql)?.execute(params![
        columns.id,
        columns.project,
        columns.request,
        columns.source,
        columns.tenant,
        columns.event_type,
        columns.received,
        columns.decided,
        columns.routed,
        i64::try_from(following).expect("a fan-out is bounded"),
        columns.checksum.as_ref().map(<[u8; 32]>::as_slice),
        columns.fingerprint.as_slice(),
        columns.meta,
    ])?;
    Ok(())
}

/// Notes that an original that had matched nothing has matched, and what the rules did with it.
pub(crate) fn set_routed(db: &Connection, id: MessageId, routing: &[Routing]) -> Result<(), Fault> {
    let stored = load(db, id)?;
    let stored = stored.unwrap_or_else(|| panic!("INV-2: {id} was read a moment ago"));
    let message = Message {
        routing: routing.to_vec(),
        ..stored.message
    };
    let sql = "UPDATE messages SET routed = 1, meta = ?2 WHERE id = ?1";
    let meta = record::encode_meta(&message);
    db.prepare_cached(sql)?
        .execute(params![id.number(), meta])?;
    Ok(())
}

/// Writes what of a message is kept as JSON.
pub(crate) fn set_meta(db: &Connection, id: MessageId, meta: &str) -> Result<(), Fault> {
    let mut statement = db.prepare_cached("UPDATE messages SET meta = ?2 WHERE id = ?1")?;
    statement.execute(params![id.number(), meta])?;
    Ok(())
}

/// Reads a message.
pub(crate) fn load(db: &Connection, id: MessageId) -> Result<Option<StoredMessage>, Fault> {
    let sql = "SELECT id, project, request, source, tenant, event_type, received, decided, \
               routed, deliveries, checksum, fingerprint, meta FROM messages WHERE id = ?1";
    let mut statement = db.prepare_cached(sql)?;
    let mut rows = statement.query([id.number()])?;
    rows.next()?.map(decode).transpose()
}

fn decode(row: &Row<'_>) -> Result<StoredMessage, Fault> {
    let message = record::decode(Columns {
        id: row.get(0)?,
        project: row.get(1)?,
        request: row.get(2)?,
        source: row.get(3)?,
        tenant: text_or_none_at(row, 4)?,
        event_type: text_or_none_at(row, 5)?,
        received: row.get(6)?,
        decided: row.get(7)?,
        routed: row.get(8)?,
        checksum: row.get(10)?,
        fingerprint: row.get(11)?,
        meta: text_at(row, 12)?,
    })?;
    Ok(StoredMessage {
        message,
        following: row.get(9)?,
    })
}
