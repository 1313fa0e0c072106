//! What a request carried: its envelope and its body, by the number of the message or request.

use std::sync::Arc;

use bytes::Bytes;
use hooklatch_core::message::Envelope;
use rusqlite::{Connection, OptionalExtension, params};

use super::{VERSION, check_version};
use crate::fault::Fault;

#[derive(serde::Serialize)]
struct Written<'a> {
    v: u32,
    method: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    path: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    query: Option<&'a str>,
    headers: &'a [(String, String)],
}

#[derive(serde::Deserialize)]
struct Stored {
    v: u32,
    method: String,
    #[serde(default)]
    path: String,
    #[serde(default)]
    query: Option<String>,
    headers: Vec<(String, String)>,
}

/// An envelope as it is stored.
pub(crate) fn encode_envelope(envelope: &Envelope) -> String {
    let written = Written {
        v: VERSION,
        method: &envelope.method,
        path: &envelope.path,
        query: envelope.query.as_deref(),
        headers: &envelope.headers,
    };
    serde_json::to_string(&written).expect("strings and lists always serialise")
}

fn decode_envelope(text: &str) -> Result<Envelope, Fault> {
    let stored: Stored = serde_json::from_str(text)?;
    check_version(stored.v, "an envelope")?;
    Ok(Envelope {
        method: stored.method,
        path: stored.path,
        query: stored.query,
        headers: stored.headers,
    })
}

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
        Some(text) => decode_envelope(&text).map(Arc::new),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_envelope_survives_its_row() {
        let full = Envelope {
            method: "PUT".into(),
            path: "/a b".into(),
            query: Some("x=\"1\"".into()),
            headers: vec![
                ("x-a".into(), "\u{e9}\n".into()),
                ("x-a".into(), String::new()),
            ],
        };
        for envelope in [full, Envelope::default()] {
            let text = encode_envelope(&envelope);
            assert_eq!(decode_envelope(&text).unwrap(), envelope);
        }
    }

    #[test]
    fn an_envelope_of_a_newer_version_is_unreadable() {
        assert!(decode_envelope(r#"{"v":2,"method":"POST","headers":[]}"#).is_err());
    }
}
