//! The row of a message.

use std::borrow::Cow;

use hooklatch_core::claim::Scope;
use hooklatch_core::ids::{MessageId, ProjectId, RequestId, SourceId};
use hooklatch_core::message::{DirectTarget, Direction, KeyRecord, Message, Origin};
use rusqlite::{Connection, Row, params};

use super::{Code, VERSION, check_version, checksum_at, fingerprint_at, time_at};
use crate::fault::Fault;

/// A message with how many deliveries follow its number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct StoredMessage {
    /// The message.
    pub message: Message,
    /// How many deliveries have the numbers after the message's own.
    pub following: i64,
}

#[derive(serde::Serialize, serde::Deserialize)]
struct Meta<'a> {
    v: u32,
    direction: i64,
    #[serde(default, skip_serializing_if = "is_zero")]
    origin: i64,
    status: u16,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    key: Option<Cow<'a, str>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    scope: Option<Cow<'a, str>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    suspected: Option<i64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    original: Option<i64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    target: Option<(Cow<'a, str>, Option<Cow<'a, str>>)>,
    #[serde(default, skip_serializing_if = "is_empty")]
    headers: Cow<'a, [(String, String)]>,
    #[serde(default, skip_serializing_if = "is_empty")]
    warnings: Cow<'a, [String]>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes references")]
fn is_zero(number: &i64) -> bool {
    *number == 0
}

fn is_empty<T: Clone>(list: &[T]) -> bool {
    list.is_empty()
}

/// Writes a message that `following` deliveries follow.
pub(crate) fn insert(db: &Connection, message: &Message, following: usize) -> Result<(), Fault> {
    let sql = "INSERT INTO messages VALUES \
               (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)";
    let request = (message.request_id != message.id.as_request()).then_some(message.request_id);
    let key = message.key.as_ref();
    let meta = encode_meta(message);
    db.prepare_cached(sql)?.execute(params![
        message.id.number(),
        message.project_id.number(),
        request.map(RequestId::number),
        message.source_id.map(SourceId::number),
        message.tenant,
        message.event_type,
        message.received_at.as_millis(),
        message.decided_at.as_millis(),
        message.routed,
        i64::try_from(following).expect("a fan-out is bounded"),
        key.map(|key| key.checksum.as_bytes().as_slice()),
        message.fingerprint.as_bytes().as_slice(),
        meta,
    ])?;
    Ok(())
}

fn encode_meta(message: &Message) -> String {
    let key = message.key.as_ref();
    let target = message.target.as_ref();
    let meta = Meta {
        v: VERSION,
        direction: message.direction.code(),
        origin: message.origin.code(),
        status: message.response_status,
        key: key.map(|key| Cow::Borrowed(key.text.as_str())),
        scope: key.map(|key| Cow::Owned(key.scope.to_string())),
        suspected: message.suspected_duplicate_of.map(MessageId::number),
        original: message.original_message_id.map(MessageId::number),
        target: target.map(|target| {
            let secret = target.sealed_secret.as_deref();
            (target.url.as_str().into(), secret.map(Cow::Borrowed))
        }),
        headers: Cow::Borrowed(&message.extra_headers),
        warnings: Cow::Borrowed(&message.warnings),
    };
    serde_json::to_string(&meta).expect("strings and numbers always serialise")
}

/// Notes that an original that had matched nothing has matched.
pub(crate) fn set_routed(db: &Connection, id: MessageId) -> Result<(), Fault> {
    let mut statement = db.prepare_cached("UPDATE messages SET routed = 1 WHERE id = ?1")?;
    statement.execute([id.number()])?;
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
    let text = row.get_ref(12)?.as_str().map_err(rusqlite::Error::from)?;
    let meta: Meta<'_> = serde_json::from_str(text)?;
    check_version(meta.v, "a message")?;
    let id = MessageId::from_number(row.get(0)?);
    let request: Option<i64> = row.get(2)?;
    let key = match (checksum_at(row, 10)?, meta.key, meta.scope) {
        (Some(checksum), Some(text), Some(scope)) => Some(KeyRecord {
            text: text.into_owned(),
            checksum,
            scope: decode_scope(&scope)?,
        }),
        (Some(_) | None, _, _) => None,
    };
    let message = Message {
        id,
        project_id: ProjectId::from_number(row.get(1)?),
        request_id: request.map_or(id.as_request(), RequestId::from_number),
        direction: Direction::of_code(meta.direction)?,
        source_id: row.get::<_, Option<i64>>(3)?.map(SourceId::from_number),
        tenant: row.get(4)?,
        event_type: row.get(5)?,
        key,
        fingerprint: fingerprint_at(row, 11)?,
        origin: Origin::of_code(meta.origin)?,
        received_at: time_at(row, 6)?,
        decided_at: time_at(row, 7)?,
        routed: row.get(8)?,
        suspected_duplicate_of: meta.suspected.map(MessageId::from_number),
        original_message_id: meta.original.map(MessageId::from_number),
        response_status: meta.status,
        target: meta.target.map(|(url, secret)| DirectTarget {
            url: url.into_owned(),
            sealed_secret: secret.map(Cow::into_owned),
        }),
        extra_headers: meta.headers.into_owned(),
        warnings: meta.warnings.into_owned(),
    };
    Ok(StoredMessage {
        message,
        following: row.get(9)?,
    })
}

/// A scope from its text.
pub(super) fn decode_scope(text: &str) -> Result<Scope, Fault> {
    text.parse()
        .map_err(|error| Fault::unreadable(format!("the scope {text}: {error}")))
}
