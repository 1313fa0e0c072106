//! The row of an attempt that has ended.

use std::borrow::Cow;

use bytes::Bytes;
use hooklatch_core::delivery::attempt::{Attempt, Timing};
use hooklatch_core::ids::{AttemptId, DeliveryId, EndpointId, MessageId, ProjectId};
use rusqlite::{Connection, Row, params};

use super::{Code, VERSION, check_version, code_at, time_at};
use crate::fault::Fault;

/// The columns, in the order in which [`decode`] takes them.
macro_rules! select {
    ($rest:literal) => {
        concat!(
            "SELECT id, delivery, message, project, endpoint, number, trigger, outcome, \
             status_code, started, duration_ms, fenced, meta, body FROM attempts ",
            $rest
        )
    };
}

#[derive(serde::Serialize, serde::Deserialize)]
struct Meta<'a> {
    v: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    error: Option<Cow<'a, str>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    receipt: Option<Cow<'a, str>>,
    sent: Cow<'a, [(String, String)]>,
    got: Cow<'a, [(String, String)]>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    truncated: bool,
    /// Name resolution, TCP, TLS and first byte, in microseconds.
    us: [Option<u64>; 4],
}

/// What of an attempt is kept as JSON. Made before the writer's queue, not behind it.
pub(crate) fn encode_meta(attempt: &Attempt) -> String {
    let meta = Meta {
        v: VERSION,
        error: attempt.error.as_deref().map(Cow::Borrowed),
        receipt: attempt.receipt.as_deref().map(Cow::Borrowed),
        sent: Cow::Borrowed(&attempt.request_headers),
        got: Cow::Borrowed(&attempt.response_headers),
        truncated: attempt.response_truncated,
        us: [
            attempt.timing.dns_us,
            attempt.timing.tcp_us,
            attempt.timing.tls_us,
            attempt.timing.first_byte_us,
        ],
    };
    serde_json::to_string(&meta).expect("strings and numbers always serialise")
}

/// Whether an attempt's result was applied.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Applied {
    /// It was.
    Yes,
    /// Its lease had been overtaken.
    Fenced,
}

/// Writes an attempt whose result was applied, or that was lost.
pub(crate) fn insert(db: &Connection, attempt: &Attempt, meta: &str) -> Result<(), Fault> {
    let sql = "INSERT INTO attempts VALUES \
               (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14)";
    write(db, sql, attempt, meta, Applied::Yes)
}

/// Writes an attempt whose lease had been overtaken, over the record of its being lost.
pub(crate) fn replace(db: &Connection, attempt: &Attempt, meta: &str) -> Result<(), Fault> {
    let sql = "INSERT OR REPLACE INTO attempts VALUES \
               (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14)";
    write(db, sql, attempt, meta, Applied::Fenced)
}

fn write(
    db: &Connection,
    sql: &str,
    attempt: &Attempt,
    meta: &str,
    applied: Applied,
) -> Result<(), Fault> {
    let body = (!attempt.response_body.is_empty()).then_some(attempt.response_body.as_ref());
    db.prepare_cached(sql)?.execute(params![
        attempt.id.number(),
        attempt.delivery_id.number(),
        attempt.message_id.number(),
        attempt.project_id.number(),
        attempt.endpoint_id.map(EndpointId::number),
        attempt.number,
        attempt.trigger.code(),
        attempt.outcome.code(),
        attempt.status_code,
        attempt.started_at.as_millis(),
        i64::try_from(attempt.duration_ms).unwrap_or(i64::MAX),
        applied == Applied::Fenced,
        meta,
        body,
    ])?;
    Ok(())
}

/// Reads an attempt.
pub(crate) fn load(db: &Connection, id: AttemptId) -> Result<Option<Attempt>, Fault> {
    let mut statement = db.prepare_cached(select!("WHERE id = ?1"))?;
    let mut rows = statement.query([id.number()])?;
    rows.next()?.map(decode).transpose()
}

/// Reads the attempts of a delivery, the first one first.
pub(crate) fn of_delivery(db: &Connection, delivery: DeliveryId) -> Result<Vec<Attempt>, Fault> {
    let sql = select!("INDEXED BY attempts_delivery WHERE delivery = ?1 ORDER BY id");
    let mut statement = db.prepare_cached(sql)?;
    let mut rows = statement.query([delivery.number()])?;
    let mut attempts = Vec::new();
    while let Some(row) = rows.next()? {
        attempts.push(decode(row)?);
    }
    Ok(attempts)
}

fn decode(row: &Row<'_>) -> Result<Attempt, Fault> {
    let text = row.get_ref(12)?.as_str().map_err(rusqlite::Error::from)?;
    let meta: Meta<'_> = serde_json::from_str(text)?;
    check_version(meta.v, "an attempt")?;
    let [dns_us, tcp_us, tls_us, first_byte_us] = meta.us;
    let body: Option<Vec<u8>> = row.get(13)?;
    let duration_ms: i64 = row.get(10)?;
    Ok(Attempt {
        id: AttemptId::from_number(row.get(0)?),
        delivery_id: DeliveryId::from_number(row.get(1)?),
        message_id: MessageId::from_number(row.get(2)?),
        project_id: ProjectId::from_number(row.get(3)?),
        endpoint_id: row.get::<_, Option<i64>>(4)?.map(EndpointId::from_number),
        number: row.get(5)?,
        trigger: code_at(row, 6)?,
        outcome: code_at(row, 7)?,
        status_code: row.get(8)?,
        error: meta.error.map(Cow::into_owned),
        receipt: meta.receipt.map(Cow::into_owned),
        request_headers: meta.sent.into_owned(),
        response_headers: meta.got.into_owned(),
        response_body: body.map(Bytes::from).unwrap_or_default(),
        response_truncated: meta.truncated,
        started_at: time_at(row, 9)?,
        duration_ms: duration_ms.unsigned_abs(),
        timing: Timing {
            dns_us,
            tcp_us,
            tls_us,
            first_byte_us,
        },
        fenced: row.get(11)?,
    })
}
