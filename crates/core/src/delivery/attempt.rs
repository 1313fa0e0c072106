//! One HTTP try of a delivery, as it is kept for people to see.

use bytes::Bytes;

use super::Trigger;
use crate::ids::{AttemptId, DeliveryId, EndpointId, MessageId, ProjectId, ReplayId};
use crate::time::Timestamp;

/// How an attempt ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AttemptOutcome {
    /// The receiver took it.
    Delivered,
    /// The receiver did not take it, or was not reached.
    Failed,
    /// The request was written, but no answer came: it may have been taken (O5).
    Uncertain,
    /// It has not ended.
    InProgress,
    /// The receiver's receipt says that it will never take it.
    Rejected,
}

impl AttemptOutcome {
    /// The name on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Delivered => "delivered",
            Self::Failed => "failed",
            Self::Uncertain => "uncertain",
            Self::InProgress => "in_progress",
            Self::Rejected => "rejected",
        }
    }

    /// The stable number that stores keep.
    pub const fn code(self) -> i64 {
        match self {
            Self::Delivered => 0,
            Self::Failed => 1,
            Self::Uncertain => 2,
            Self::InProgress => 3,
            Self::Rejected => 4,
        }
    }
}

/// How long the phases of an attempt took, in microseconds; none for a phase that did not happen,
/// as on a connection that was used before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
pub struct Timing {
    /// Looking the host's name up.
    pub dns_us: Option<u64>,
    /// Opening the TCP connection.
    pub tcp_us: Option<u64>,
    /// The TLS handshake.
    pub tls_us: Option<u64>,
    /// From the request being written to the first byte of the answer.
    pub first_byte_us: Option<u64>,
}

/// The record of one attempt.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Attempt {
    /// Its id.
    pub id: AttemptId,
    /// The delivery it belongs to.
    pub delivery_id: DeliveryId,
    /// The message that was sent.
    pub message_id: MessageId,
    /// The project that owns it.
    pub project_id: ProjectId,
    /// Where it went; none where the message names a URL.
    pub endpoint_id: Option<EndpointId>,
    /// From 1.
    pub number: u32,
    /// What it was made for.
    pub trigger: Trigger,
    /// How it ended.
    pub outcome: AttemptOutcome,
    /// The status of the answer.
    pub status_code: Option<u16>,
    /// What went wrong, for people.
    pub error: Option<String>,
    /// What the receiver's receipt said (O3).
    pub receipt: Option<String>,
    /// The headers that were sent; signatures and custom values that may be secret are masked.
    pub request_headers: Vec<(String, String)>,
    /// The headers of the answer.
    pub response_headers: Vec<(String, String)>,
    /// The first bytes of the answer's body.
    #[serde(skip)]
    pub response_body: Bytes,
    /// Whether the answer went on after what was kept.
    pub response_truncated: bool,
    /// When it began.
    pub started_at: Timestamp,
    /// How long it took, in whole milliseconds, rounded up.
    pub duration_ms: u64,
    /// How long its phases took.
    pub timing: Timing,
    /// Its lease had been overtaken: the result is recorded and was not applied (O4).
    pub fenced: bool,
    /// The replay that it belongs to.
    #[serde(default)]
    pub replay_id: Option<ReplayId>,
}
