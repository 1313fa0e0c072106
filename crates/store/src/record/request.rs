//! A request that did not become a message when it arrived, in columns and two JSON texts: a
//! stored format.

use std::borrow::Cow;

use hooklatch_core::fingerprint::Fingerprint;
use hooklatch_core::ids::{MessageId, ProjectId, RequestId, SourceId};
use hooklatch_core::message::{Direction, Request};
use hooklatch_core::time::Timestamp;

use super::{Code, Unreadable, VERSION, check_version, decode_key};

/// A request's columns. Times are milliseconds since 1970.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Columns<'a> {
    /// Its number.
    pub id: i64,
    /// The project's.
    pub project: i64,
    /// The source's.
    pub source: Option<i64>,
    /// The outcome's code.
    pub outcome: i64,
    /// The cause's code.
    pub cause: Option<i64>,
    /// The effect's code.
    pub effect: i64,
    /// The number of the message it repeats.
    pub original: Option<i64>,
    /// The number of the message it became later.
    pub released: Option<i64>,
    /// The key.
    pub checksum: Option<[u8; 32]>,
    /// What its payload looks like.
    pub fingerprint: Option<[u8; 32]>,
    /// When it arrived.
    pub received: i64,
    /// The rest: [`encode_meta`].
    pub meta: &'a str,
    /// What differs from the original, once that is known: [`encode_diff`].
    pub diff: Option<&'a str>,
}

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
    #[serde(default, skip_serializing_if = "Option::is_none")]
    payload_pruned: Option<i64>,
}

impl<'a> Columns<'a> {
    /// The columns of a request whose texts were made before.
    pub fn of(request: &Request, meta: &'a str, diff: Option<&'a str>) -> Self {
        let key = request.key.as_ref();
        let fingerprint = request.fingerprint.as_ref();
        Self {
            id: request.id.number(),
            project: request.project_id.number(),
            source: request.source_id.map(SourceId::number),
            outcome: request.outcome.code(),
            cause: request.cause.map(Code::code),
            effect: request.effect.code(),
            original: request.original_message_id.map(MessageId::number),
            released: request.released_message_id.map(MessageId::number),
            checksum: key.map(|key| *key.checksum.as_bytes()),
            fingerprint: fingerprint.map(|seen| *seen.as_bytes()),
            received: request.received_at.as_millis(),
            meta,
            diff,
        }
    }
}

/// What of a request is kept as JSON.
pub fn encode_meta(request: &Request) -> String {
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
        payload_pruned: request.payload_pruned_at.map(Timestamp::as_millis),
    };
    serde_json::to_string(&meta).expect("strings and numbers always serialise")
}

/// What differs from the original, as a JSON list of pointers.
pub fn encode_diff(pointers: &[String]) -> String {
    serde_json::to_string(pointers).expect("strings always serialise")
}

/// A request from its columns.
///
/// # Errors
/// Where a column does not hold what belongs there, or the text is of another version.
pub fn decode(columns: Columns<'_>) -> Result<Request, Unreadable> {
    let meta: Meta<'_> = serde_json::from_str(columns.meta)?;
    check_version(meta.v, "a request")?;
    let key = meta.key.map(Cow::into_owned);
    Ok(Request {
        id: RequestId::from_number(columns.id),
        project_id: ProjectId::from_number(columns.project),
        direction: Direction::of_code(meta.direction)?,
        source_id: columns.source.map(SourceId::from_number),
        outcome: Code::of_code(columns.outcome)?,
        effect: Code::of_code(columns.effect)?,
        cause: columns.cause.map(Code::of_code).transpose()?,
        evidence: meta.evidence.map(Cow::into_owned),
        original_message_id: columns.original.map(MessageId::from_number),
        released_message_id: columns.released.map(MessageId::from_number),
        payload_differs: meta.differs,
        diff: columns.diff.map(serde_json::from_str).transpose()?,
        event_type: meta.event_type.map(Cow::into_owned),
        key: decode_key(columns.checksum, key, meta.scope.as_deref())?,
        fingerprint: columns.fingerprint.map(Fingerprint::from_bytes),
        reason: meta.reason.map(Cow::into_owned),
        received_at: Timestamp::from_millis(columns.received),
        response_status: meta.status,
        payload_pruned_at: meta.payload_pruned.map(Timestamp::from_millis),
    })
}
