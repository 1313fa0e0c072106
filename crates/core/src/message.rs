//! What arrives and what it becomes: the plain records of requests and messages.

use std::sync::Arc;

use bytes::Bytes;

use crate::cause::Cause;
use crate::claim::Scope;
use crate::fingerprint::Fingerprint;
use crate::ids::{MessageId, ProjectId, RequestId, SourceId};
use crate::key::Checksum;
use crate::rules::Routing;
use crate::time::Timestamp;

/// Which way a request came.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    /// A provider called a source.
    Inbound,
    /// A caller used the send API.
    Outbound,
}

/// What surrounded the body of a request: kept as it came, so that people can see it and
/// endpoints can have it (O6). The elements of a split request share one.
#[derive(Debug, Clone, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
pub struct Envelope {
    /// The HTTP method.
    pub method: String,
    /// What followed the ingest token in the path, with its leading slash; empty if nothing did.
    pub path: String,
    /// The query without its question mark.
    pub query: Option<String>,
    /// Header names in lower case, and values, in the order in which they came. A value that is
    /// not UTF-8 is kept byte by byte as Latin-1.
    pub headers: Vec<(String, String)>,
}

impl Envelope {
    /// The first value of a header; `name` in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| value.as_str())
    }

    /// The type by which the body is read (K3): what the header says, but for Amazon SNS, which
    /// sends its JSON as text and says by a header of its own that it is a message of its.
    pub fn payload_type(&self) -> Option<&str> {
        let said = self.header("content-type");
        let text = said.is_some_and(|kind| kind.starts_with("text/plain"));
        if text && self.header("x-amz-sns-message-type").is_some() {
            return Some("application/json");
        }
        said
    }
}

/// A key as it stands on a message or a request.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct KeyRecord {
    /// The key's parts, as the provider or the caller wrote them, joined.
    pub text: String,
    /// The key (K4).
    pub checksum: Checksum,
    /// Whose key it is.
    pub scope: Scope,
}

/// Where a message goes that names a URL instead of an endpoint.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct DirectTarget {
    /// The URL, checked when the message was accepted and again at every connect.
    pub url: String,
    /// The caller's signing secret, sealed; without one the project's signs.
    pub sealed_secret: Option<String>,
}

/// How a message came to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Origin {
    /// A request was accepted under a key of its own, or without one.
    Accepted,
    /// A person said of a suppressed or held request that it is not a duplicate (D4).
    Released,
    /// The source accepts another payload under a known key (C6, `on_conflict: accept`).
    Conflicting,
    /// A replay sent another message once more, as a new one (P2, `as_new`).
    Replayed,
    /// A replay sent another message elsewhere, under that one's id and key (P3, `to_endpoint`).
    Copied,
    /// The same, where the key that receivers see of the other one is derived (D4).
    CopiedDerived,
}

impl Origin {
    /// Whether the key that receivers see must differ from the original's, or a correct receiver
    /// would drop the message (D4).
    pub const fn derives_key(self) -> bool {
        match self {
            Self::Accepted | Self::Copied => false,
            Self::Released | Self::Conflicting | Self::Replayed | Self::CopiedDerived => true,
        }
    }

    /// Whether a request became this message when it arrived.
    pub const fn is_arrival(self) -> bool {
        match self {
            Self::Accepted | Self::Conflicting => true,
            Self::Released | Self::Replayed | Self::Copied | Self::CopiedDerived => false,
        }
    }

    /// Whether it goes out under the name of the message that it is a copy of.
    pub const fn is_copy(self) -> bool {
        match self {
            Self::Copied | Self::CopiedDerived => true,
            Self::Accepted | Self::Released | Self::Conflicting | Self::Replayed => false,
        }
    }
}

/// One business event. Immutable but for `routed` and `routing`.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Message {
    /// Its id, and its `webhook-id`.
    pub id: MessageId,
    /// The project that owns it.
    pub project_id: ProjectId,
    /// The request that became it.
    pub request_id: RequestId,
    /// Which way it came.
    pub direction: Direction,
    /// The source it came through; none for the send API.
    pub source_id: Option<SourceId>,
    /// The customer it was sent to, where the caller named one.
    pub tenant: Option<String>,
    /// Its type, where one is known.
    pub event_type: Option<String>,
    /// Its key; none where it came unkeyed.
    pub key: Option<KeyRecord>,
    /// What its payload looks like (C5).
    pub fingerprint: Fingerprint,
    /// How it came to be.
    pub origin: Origin,
    /// When its request arrived.
    pub received_at: Timestamp,
    /// When it was decided upon, shortly before it became durable and was answered.
    pub decided_at: Timestamp,
    /// Whether any connection or endpoint matched, then or later.
    pub routed: bool,
    /// What the rules of its connections did with it; a connection where no rule did anything has
    /// only its delivery.
    #[serde(default)]
    pub routing: Vec<Routing>,
    /// A keyless message that looked the same shortly before (D5).
    pub suspected_duplicate_of: Option<MessageId>,
    /// The message that first had this key, where this one carries another payload or was
    /// released.
    pub original_message_id: Option<MessageId>,
    /// The status with which the request was answered.
    pub response_status: u16,
    /// Where it goes if that is no endpoint.
    pub target: Option<DirectTarget>,
    /// Headers that the caller of the send API adds.
    pub extra_headers: Vec<(String, String)>,
    /// What the caller should know about what was left out.
    pub warnings: Vec<String>,
    /// Until when its payload is kept at most, where the caller said so.
    #[serde(default)]
    pub payload_until: Option<Timestamp>,
    /// When its payload was pruned.
    #[serde(default)]
    pub payload_pruned_at: Option<Timestamp>,
}

impl Message {
    /// The message whose id receivers see: its own, or that of the one it is a copy of.
    pub fn sent_as(&self) -> MessageId {
        let copied = self.original_message_id;
        copied.filter(|_| self.origin.is_copy()).unwrap_or(self.id)
    }
}

/// What became of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RequestOutcome {
    /// It became a message.
    Accepted,
    /// It was recognised as a repetition.
    Duplicate,
    /// It carried another payload under a known key, and was refused or held.
    Conflict,
    /// It was refused before any key was looked at, or for lack of one.
    Rejected,
}

impl RequestOutcome {
    /// The name on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Accepted => "accepted",
            Self::Duplicate => "duplicate",
            Self::Conflict => "conflict",
            Self::Rejected => "rejected",
        }
    }
}

/// What a request set in motion.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Effect {
    /// Deliveries were made.
    Routed,
    /// No connection matched.
    NoRoute,
    /// Nothing: it had already happened.
    Suppressed,
    /// The original's failed deliveries were started again (D2).
    Redriven,
    /// The original had matched no connection, and now did (D2).
    Rerouted,
    /// It waits for a person (C6, `quarantine`).
    Held,
    /// A person made it a message of its own (D4).
    Released,
    /// A person discarded it.
    Discarded,
    /// Nothing: it was refused.
    None,
}

/// The record of a request that did not become a message when it arrived. (What did is recorded
/// with its message; both share one number.)
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Request {
    /// Its id.
    pub id: RequestId,
    /// The project, where it is known.
    pub project_id: ProjectId,
    /// Which way it came.
    pub direction: Direction,
    /// The source it came through; none for the send API.
    pub source_id: Option<SourceId>,
    /// What became of it.
    pub outcome: RequestOutcome,
    /// What it set in motion.
    pub effect: Effect,
    /// Why it came, for a duplicate or a conflict.
    pub cause: Option<Cause>,
    /// What shows the cause.
    pub evidence: Option<String>,
    /// The message it repeats.
    pub original_message_id: Option<MessageId>,
    /// The message it became later, by a person's decision.
    pub released_message_id: Option<MessageId>,
    /// Whether its payload differs from the original's.
    pub payload_differs: bool,
    /// JSON pointers to what differs, where both are JSON.
    pub diff: Option<Vec<String>>,
    /// Its type, where one is known.
    pub event_type: Option<String>,
    /// The matched key.
    pub key: Option<KeyRecord>,
    /// What its payload looks like.
    pub fingerprint: Option<Fingerprint>,
    /// Why it was refused, for a rejected request.
    pub reason: Option<String>,
    /// When it arrived.
    pub received_at: Timestamp,
    /// The status with which it was answered.
    pub response_status: u16,
    /// When its own payload was pruned.
    #[serde(default)]
    pub payload_pruned_at: Option<Timestamp>,
}

/// A message with what is needed to send it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parcel {
    /// The message.
    pub message: Message,
    /// What surrounded the original request.
    pub envelope: Arc<Envelope>,
    /// The bytes to deliver.
    pub body: Bytes,
}
