//! The row of a request that did not become a message when it arrived.

use std::borrow::Cow;

use hooklatch_core::fingerprint::Fingerprint;
use hooklatch_core::ids::{MessageId, ProjectId, RequestId, SourceId};
use hooklatch_core::message::{Direction, KeyRecord, Request};
use rusqlite::{Connection, Row, params};

use super::message::decode_scope;
use super::{Code, VERSION, check_version, checksum_at, code_at, time_at};
use crate::fault::Fault;

#[derive(serde::Serialize, serde::Deserialize)]
struct Meta<'a> {
    v: u32,
    direction: i64,
    status: u16,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    differs: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    evidence: Option<Cow<'a, str>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    reason: Option<Cow<'a, str>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    event_type: Option<Cow<'a, str>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    key: Option<Cow<'a, str>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    scope: Option<Cow<'a, str>>,
}

/// Writes a request.
pub(crate) fn insert(db: &Connection, request: &Request) -> Result<(), Fault> {
    let sql = "INSERT INTO requests VALUES \
               (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)";
    let key = request.key.as_ref();
    db.prepare_cached(sql)?.execute(params![
        request.id.number(),
        request.project_id.number(),
        request.source_id.map(SourceId::number),
        request.outcome.code(),
        request.cause.map(Code::code),
        request.effect.code(),
        request.original_message_id.map(MessageId::number),
        request.released_message_id.map(MessageId::number),
        key.map(|key| key.checksum.as_bytes().as_slice()),
        request
            .fingerprint
            .as_ref()
            .map(|seen| seen.as_bytes().as_slice()),
        request.received_at.as_millis(),
        encode_meta(request),
        request.diff.as_deref().map(encode_diff),
    ])?;
    Ok(())
}

fn encode_meta(request: &Request) -> String {
    let key = request.key.as_ref();
    let meta = Meta {
        v: VERSION,
        direction: request.direction.code(),
        status: request.response_status,
        differs: request.payload_differs,
        evidence: request.evidence.as_deref().map(Cow::Borrowed),
        reason: request.reason.as_deref().map(Cow::Borrowed),
        event_type: request.event_type.as_deref().map(Cow::Borrowed),
        key: key.map(|key| Cow::Borrowed(key.text.as_str())),
        scope: key.map(|key| Cow::Owned(key.scope.to_string())),
    };
    serde_json::to_string(&meta).expect("strings and numbers always serialise")
}

fn encode_diff(pointers: &[String]) -> String {
    serde_json::to_string(pointers).expect("strings always serialise")
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

/// Writes what differs from the original's payload.
pub(crate) fn update_diff(db: &Connection, id: RequestId, diff: &[String]) -> Result<(), Fault> {
    let mut statement = db.prepare_cached("UPDATE requests SET diff = ?2 WHERE id = ?1")?;
    statement.execute(params![id.number(), encode_diff(diff)])?;
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
    let text = row.get_ref(11)?.as_str().map_err(rusqlite::Error::from)?;
    let meta: Meta<'_> = serde_json::from_str(text)?;
    check_version(meta.v, "a request")?;
    let key = match (checksum_at(row, 8)?, meta.key, meta.scope) {
        (Some(checksum), Some(text), Some(scope)) => Some(KeyRecord {
            text: text.into_owned(),
            checksum,
            scope: decode_scope(&scope)?,
        }),
        (Some(_) | None, _, _) => None,
    };
    let cause: Option<i64> = row.get(4)?;
    let fingerprint: Option<[u8; 32]> = row.get(9)?;
    let diff: Option<String> = row.get(12)?;
    Ok(Request {
        id: RequestId::from_number(row.get(0)?),
        project_id: ProjectId::from_number(row.get(1)?),
        direction: Direction::of_code(meta.direction)?,
        source_id: row.get::<_, Option<i64>>(2)?.map(SourceId::from_number),
        outcome: code_at(row, 3)?,
        effect: code_at(row, 5)?,
        cause: cause.map(Code::of_code).transpose()?,
        evidence: meta.evidence.map(Cow::into_owned),
        original_message_id: row.get::<_, Option<i64>>(6)?.map(MessageId::from_number),
        released_message_id: row.get::<_, Option<i64>>(7)?.map(MessageId::from_number),
        payload_differs: meta.differs,
        diff: diff.map(|text| serde_json::from_str(&text)).transpose()?,
        event_type: meta.event_type.map(Cow::into_owned),
        key,
        fingerprint: fingerprint.map(Fingerprint::from_bytes),
        reason: meta.reason.map(Cow::into_owned),
        received_at: time_at(row, 10)?,
        response_status: meta.status,
    })
}
