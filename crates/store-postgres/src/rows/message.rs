//! The row of a message.

use std::collections::HashMap;

use hooklatch_core::ids::MessageId;
use hooklatch_core::message::Message;
use hooklatch_store::record::message::{Columns, decode as decode_columns, encode_meta};
use tokio_postgres::types::Type;
use tokio_postgres::{Client, Row};

use super::among::Among;
use super::{digest_at, digest_or_none_at, text_or_none_at, wide_at};
use crate::fault::Fault;
use crate::text::to_column;

/// The columns, in the order in which [`decode`] takes them, and after them what follows.
macro_rules! select_messages {
    ($rest:literal) => {
        concat!(
            "SELECT m.id, m.project, m.request, m.source, m.tenant, m.event_type, m.received, \
             m.decided, m.routed, m.deliveries, m.checksum, m.fingerprint, m.meta",
            $rest
        )
    };
}
pub(crate) use select_messages;

/// A message with how many deliveries follow its number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct StoredMessage {
    /// The message.
    pub message: Message,
    /// How many deliveries have the numbers after the message's own.
    pub following: i64,
}

/// Reads a message.
pub(crate) async fn load(db: &Client, id: MessageId) -> Result<Option<StoredMessage>, Fault> {
    let mut found = load_all(db, &Among::of([id.number()])).await?;
    Ok(found.remove(&id.number()))
}

/// Reads messages.
pub(crate) async fn load_all(
    db: &Client,
    among: &Among,
) -> Result<HashMap<i64, StoredMessage>, Fault> {
    let sql = select_messages!(
        " FROM hooklatch.messages m WHERE m.id = ANY($1) AND m.id >= $2 AND m.id <= $3"
    );
    if among.is_empty() {
        return Ok(HashMap::new());
    }
    let rows = db.query_typed(sql, &among.params()).await?;
    let decoded = rows.iter().map(|row| {
        let stored = decode(row)?;
        Ok((stored.message.id.number(), stored))
    });
    decoded.collect()
}

/// A message from its row.
pub(crate) fn decode(row: &Row) -> Result<StoredMessage, Fault> {
    let tenant = text_or_none_at(row, 4)?;
    let event_type = text_or_none_at(row, 5)?;
    let message = decode_columns(Columns {
        id: row.try_get(0)?,
        project: row.try_get(1)?,
        request: row.try_get(2)?,
        source: row.try_get(3)?,
        tenant: tenant.as_deref(),
        event_type: event_type.as_deref(),
        received: row.try_get(6)?,
        decided: row.try_get(7)?,
        routed: row.try_get(8)?,
        checksum: digest_or_none_at(row, 10)?,
        fingerprint: digest_at(row, 11)?,
        meta: row.try_get(12)?,
    })?;
    Ok(StoredMessage {
        message,
        following: wide_at(row, 9)?,
    })
}

/// Writes a message that `following` deliveries follow.
pub(crate) async fn insert(db: &Client, message: &Message, following: i64) -> Result<(), Fault> {
    let sql = "INSERT INTO hooklatch.messages (id, project, request, source, tenant, event_type, \
                   received, decided, routed, deliveries, checksum, fingerprint, meta) \
               VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)";
    let meta = encode_meta(message);
    let columns = Columns::of(message, &meta);
    let tenant = columns.tenant.map(to_column);
    let event_type = columns.event_type.map(to_column);
    let checksum = columns.checksum.as_ref().map(<[u8; 32]>::as_slice);
    let fingerprint = columns.fingerprint.as_slice();
    db.execute_typed(
        sql,
        &[
            (&columns.id, Type::INT8),
            (&columns.project, Type::INT8),
            (&columns.request, Type::INT8),
            (&columns.source, Type::INT8),
            (&tenant.as_deref(), Type::TEXT),
            (&event_type.as_deref(), Type::TEXT),
            (&columns.received, Type::INT8),
            (&columns.decided, Type::INT8),
            (&columns.routed, Type::BOOL),
            (&following, Type::INT8),
            (&checksum, Type::BYTEA),
            (&fingerprint, Type::BYTEA),
            (&columns.meta, Type::TEXT),
        ],
    )
    .await?;
    Ok(())
}
