//! A message, in columns and one JSON text: a stored format.

use std::borrow::Cow;

use hooklatch_core::fingerprint::Fingerprint;
use hooklatch_core::ids::{MessageId, ProjectId, RequestId, SourceId};
use hooklatch_core::message::{DirectTarget, Direction, Message, Origin};
use hooklatch_core::rules::Routing;
use hooklatch_core::time::Timestamp;

use super::{Code, Unreadable, VERSION, check_version, decode_key};

/// A message's columns. Times are milliseconds since 1970.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Columns<'a> {
    /// Its number.
    pub id: i64,
    /// The project's.
    pub project: i64,
    /// The number of its request, where that is not its own: the message was released.
    pub request: Option<i64>,
    /// The source's number.
    pub source: Option<i64>,
    /// The customer it was sent to.
    pub tenant: Option<&'a str>,
    /// Its type.
    pub event_type: Option<&'a str>,
    /// When its request arrived.
    pub received: i64,
    /// When it was decided upon.
    pub decided: i64,
    /// Whether anything has matched.
    pub routed: bool,
    /// The key.
    pub checksum: Option<[u8; 32]>,
    /// What its payload looks like.
    pub fingerprint: [u8; 32],
    /// The rest: [`encode_meta`].
    pub meta: &'a str,
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
    #[serde(default, skip_serializing_if = "is_empty")]
    routing: Cow<'a, [Routing]>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    payload_until: Option<i64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    payload_pruned: Option<i64>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes references")]
fn is_zero(number: &i64) -> bool {
    *number == 0
}

fn is_empty<T: Clone>(list: &[T]) -> bool {
    list.is_empty()
}

impl<'a> Columns<'a> {
    /// The columns of a message whose text was made before.
    pub fn of(message: &'a Message, meta: &'a str) -> Self {
        let request = (message.request_id != message.id.as_request()).then_some(message.request_id);
        let key = message.key.as_ref();
        Self {
            id: message.id.number(),
            project: message.project_id.number(),
            request: request.map(RequestId::number),
            source: message.source_id.map(SourceId::number),
            tenant: message.tenant.as_deref(),
            event_type: message.event_type.as_deref(),
            received: message.received_at.as_millis(),
            decided: message.decided_at.as_millis(),
            routed: message.routed,
            checksum: key.map(|key| *key.checksum.as_bytes()),
            fingerprint: *message.fingerprint.as_bytes(),
            meta,
        }
    }
}

/// What of a message is kept as JSON.
pub fn encode_meta(message: &Message) -> String {
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
        routing: Cow::Borrowed(&message.routing),
        payload_until: message.payload_until.map(Timestamp::as_millis),
        payload_pruned: message.payload_pruned_at.map(Timestamp::as_millis),
    };
    serde_json::to_string(&meta).expect("strings and numbers always serialise")
}

/// A message from its columns.
///
/// # Errors
/// Where a column does not hold what belongs there, or the text is of another version.
pub fn decode(columns: Columns<'_>) -> Result<Message, Unreadable> {
    let meta: Meta<'_> = serde_json::from_str(columns.meta)?;
    check_version(meta.v, "a message")?;
    let id = MessageId::from_number(columns.id);
    let request = columns.request.map(RequestId::from_number);
    let key = meta.key.map(Cow::into_owned);
    Ok(Message {
        id,
        project_id: ProjectId::from_number(columns.project),
        request_id: request.unwrap_or(id.as_request()),
        direction: Direction::of_code(meta.direction)?,
        source_id: columns.source.map(SourceId::from_number),
        tenant: columns.tenant.map(str::to_owned),
        event_type: columns.event_type.map(str::to_owned),
        key: decode_key(columns.checksum, key, meta.scope.as_deref())?,
        fingerprint: Fingerprint::from_bytes(columns.fingerprint),
        origin: Origin::of_code(meta.origin)?,
        received_at: Timestamp::from_millis(columns.received),
        decided_at: Timestamp::from_millis(columns.decided),
        routed: columns.routed,
        routing: meta.routing.into_owned(),
        suspected_duplicate_of: meta.suspected.map(MessageId::from_number),
        original_message_id: meta.original.map(MessageId::from_number),
        response_status: meta.status,
        target: meta.target.map(|(url, secret)| DirectTarget {
            url: url.into_owned(),
            sealed_secret: secret.map(Cow::into_owned),
        }),
        extra_headers: meta.headers.into_owned(),
        warnings: meta.warnings.into_owned(),
        payload_until: meta.payload_until.map(Timestamp::from_millis),
        payload_pruned_at: meta.payload_pruned.map(Timestamp::from_millis),
    })
}
