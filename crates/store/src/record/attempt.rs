//! An attempt that has ended, in columns and one JSON text: a stored format.

use std::borrow::Cow;

use bytes::Bytes;
use hooklatch_core::delivery::attempt::{Attempt, Timing};
use hooklatch_core::ids::{AttemptId, DeliveryId, EndpointId, MessageId, ProjectId, ReplayId};
use hooklatch_core::time::Timestamp;

use super::{Code, Unreadable, VERSION, check_version, narrow};

/// An attempt's columns. Times are milliseconds since 1970.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Columns<'a> {
    /// Its number.
    pub id: i64,
    /// The delivery's.
    pub delivery: i64,
    /// The message's.
    pub message: i64,
    /// The project's.
    pub project: i64,
    /// The endpoint's.
    pub endpoint: Option<i64>,
    /// Which attempt of its delivery it is.
    pub number: i64,
    /// The trigger's code.
    pub trigger: i64,
    /// The outcome's code.
    pub outcome: i64,
    /// The status that was answered.
    pub status_code: Option<i64>,
    /// When it was started.
    pub started: i64,
    /// How long it took, in milliseconds.
    pub duration_ms: i64,
    /// Whether its lease had been overtaken.
    pub fenced: bool,
    /// The rest: [`encode_meta`].
    pub meta: &'a str,
    /// The answer's body; none where it is empty.
    pub body: Option<Bytes>,
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
    #[serde(default, skip_serializing_if = "Option::is_none")]
    replay: Option<i64>,
    /// Name resolution, TCP, TLS and first byte, in microseconds.
    us: [Option<u64>; 4],
}

impl<'a> Columns<'a> {
    /// The columns of an attempt whose text was made before.
    pub fn of(attempt: &Attempt, meta: &'a str) -> Self {
        let body = &attempt.response_body;
        Self {
            id: attempt.id.number(),
            delivery: attempt.delivery_id.number(),
            message: attempt.message_id.number(),
            project: attempt.project_id.number(),
            endpoint: attempt.endpoint_id.map(EndpointId::number),
            number: attempt.number.into(),
            trigger: attempt.trigger.code(),
            outcome: attempt.outcome.code(),
            status_code: attempt.status_code.map(i64::from),
            started: attempt.started_at.as_millis(),
            duration_ms: i64::try_from(attempt.duration_ms).unwrap_or(i64::MAX),
            fenced: attempt.fenced,
            meta,
            body: (!body.is_empty()).then(|| body.clone()),
        }
    }
}

/// What of an attempt is kept as JSON.
pub fn encode_meta(attempt: &Attempt) -> String {
    let meta = Meta {
        v: VERSION,
        error: attempt.error.as_deref().map(Cow::Borrowed),
        receipt: attempt.receipt.as_deref().map(Cow::Borrowed),
        sent: Cow::Borrowed(&attempt.request_headers),
        got: Cow::Borrowed(&attempt.response_headers),
        truncated: attempt.response_truncated,
        replay: attempt.replay_id.map(ReplayId::number),
        us: [
            attempt.timing.dns_us,
            attempt.timing.tcp_us,
            attempt.timing.tls_us,
            attempt.timing.first_byte_us,
        ],
    };
    serde_json::to_string(&meta).expect("strings and numbers always serialise")
}

/// An attempt from its columns.
///
/// # Errors
/// Where a column does not hold what belongs there, or the text is of another version.
pub fn decode(columns: Columns<'_>) -> Result<Attempt, Unreadable> {
    let meta: Meta<'_> = serde_json::from_str(columns.meta)?;
    check_version(meta.v, "an attempt")?;
    let [dns_us, tcp_us, tls_us, first_byte_us] = meta.us;
    let status_code = columns.status_code.map(|code| narrow(code, "status"));
    Ok(Attempt {
        id: AttemptId::from_number(columns.id),
        delivery_id: DeliveryId::from_number(columns.delivery),
        message_id: MessageId::from_number(columns.message),
        project_id: ProjectId::from_number(columns.project),
        endpoint_id: columns.endpoint.map(EndpointId::from_number),
        number: narrow(columns.number, "attempt's number")?,
        trigger: Code::of_code(columns.trigger)?,
        outcome: Code::of_code(columns.outcome)?,
        status_code: status_code.transpose()?,
        error: meta.error.map(Cow::into_owned),
        receipt: meta.receipt.map(Cow::into_owned),
        request_headers: meta.sent.into_owned(),
        response_headers: meta.got.into_owned(),
        response_body: columns.body.unwrap_or_default(),
        response_truncated: meta.truncated,
        started_at: Timestamp::from_millis(columns.started),
        duration_ms: columns.duration_ms.unsigned_abs(),
        timing: Timing {
            dns_us,
            tcp_us,
            tls_us,
            first_byte_us,
        },
        fenced: columns.fenced,
        replay_id: meta.replay.map(ReplayId::from_number),
    })
}
