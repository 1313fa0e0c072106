//! What the API answers, as far as pages show it.

use std::collections::BTreeMap;

use http::StatusCode;
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

/// A page of a list.
#[derive(Debug, Deserialize)]
pub(super) struct Listed<T> {
    pub data: Vec<T>,
    pub next_cursor: Option<String>,
}

/// A problem, as RFC 9457 has it.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct Refusal {
    pub title: String,
    pub status: u16,
    pub detail: String,
    pub errors: Vec<FieldRefusal>,
}

/// What is wrong with one field.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct FieldRefusal {
    pub pointer: String,
    pub detail: String,
}

impl Refusal {
    /// One of which nothing but the status is known.
    pub fn of_status(status: StatusCode) -> Self {
        Self {
            title: status.canonical_reason().unwrap_or("Refused").to_owned(),
            status: status.as_u16(),
            detail: "the gateway says no more about it; its log may".to_owned(),
            errors: Vec::new(),
        }
    }
}

/// A message.
#[derive(Debug, Deserialize)]
pub(super) struct Message {
    pub id: String,
    pub request_id: String,
    pub source_id: Option<String>,
    pub tenant: Option<String>,
    pub url: Option<String>,
    pub event_type: Option<String>,
    pub idempotency_key: Option<String>,
    pub checksum: Option<String>,
    pub fingerprint: String,
    pub origin: String,
    pub status: String,
    pub duplicates: u64,
    pub original_message_id: Option<String>,
    pub suspected_duplicate_of: Option<String>,
    pub payload: Option<Box<RawValue>>,
    pub payload_encoding: Option<String>,
    pub payload_bytes: u64,
    pub headers: BTreeMap<String, String>,
    pub received_at: String,
    pub deliveries: Vec<Delivery>,
    pub deliveries_total: usize,
    pub routing: Vec<Routing>,
    pub warnings: Vec<String>,
}

/// A delivery, from its message's record or from its own.
#[derive(Debug, Deserialize)]
pub(super) struct Delivery {
    pub id: String,
    pub endpoint_id: Option<String>,
    pub status: String,
    pub attempts: u32,
    pub next_attempt_at: Option<String>,
    #[serde(default)]
    pub reason_detail: Option<String>,
}

/// What a connection did with a message.
#[derive(Debug, Deserialize)]
pub(super) struct Routing {
    pub connection_id: String,
    pub outcome: String,
    pub rule: Option<u16>,
    pub detail: Option<String>,
    pub original_message_id: Option<String>,
    #[serde(default)]
    pub shadows: Vec<WouldDrop>,
}

/// A rule in shadow mode that would have dropped a message.
#[derive(Debug, Deserialize)]
pub(super) struct WouldDrop {
    pub rule: u16,
    pub detail: String,
    pub original_message_id: String,
}

/// A request.
#[derive(Debug, Deserialize)]
pub(super) struct Request {
    pub id: String,
    pub source_id: Option<String>,
    pub outcome: String,
    pub effect: String,
    pub cause: Option<String>,
    pub evidence: Option<String>,
    pub message_id: Option<String>,
    pub original_message_id: Option<String>,
    pub released_message_id: Option<String>,
    pub payload_differs: bool,
    pub diff: Option<Vec<String>>,
    pub event_type: Option<String>,
    pub key: Option<String>,
    pub checksum: Option<String>,
    pub scope: Option<String>,
    pub reason: Option<String>,
    pub received_at: String,
    pub method: String,
    pub path: String,
    pub query: Option<String>,
    pub headers: BTreeMap<String, String>,
    #[serde(default)]
    pub body: Option<Box<RawValue>>,
    #[serde(default)]
    pub body_encoding: Option<String>,
    pub response_status: u16,
}

/// An attempt.
#[derive(Debug, Deserialize)]
pub(super) struct Attempt {
    pub id: String,
    pub message_id: String,
    pub number: u32,
    pub trigger: String,
    pub outcome: String,
    pub status_code: Option<u16>,
    pub error: Option<String>,
    pub receipt: Option<String>,
    pub request_headers: BTreeMap<String, String>,
    pub response_headers: BTreeMap<String, String>,
    pub response_body: Option<Box<RawValue>>,
    pub response_truncated: bool,
    pub started_at: String,
    pub duration_ms: Option<u64>,
    pub timing: Timing,
    pub fenced: bool,
}

/// How long the phases of an attempt took.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Timing {
    pub dns_ms: Option<f64>,
    pub tcp_ms: Option<f64>,
    pub tls_ms: Option<f64>,
    pub first_byte_ms: Option<f64>,
}

/// A claim.
#[derive(Debug, Deserialize)]
pub(super) struct Claim {
    pub scope: String,
    pub key: String,
    pub checksum: String,
    pub message_id: String,
    pub first_seen_at: String,
    pub last_seen_at: String,
    pub expires_at: Option<String>,
    pub duplicates: u64,
}

/// A source.
#[derive(Debug, Deserialize)]
pub(super) struct Source {
    pub id: String,
    pub name: String,
    pub provider: Option<String>,
    pub verifier: Value,
    pub key: Value,
    pub window_seconds: Value,
    pub on_conflict: String,
    pub on_failed_original: String,
    pub event_type: Option<String>,
    pub paused: bool,
    pub ingest_url: String,
    pub unsigned_locations: Vec<String>,
    pub warnings: Vec<String>,
}

/// An endpoint.
#[derive(Debug, Deserialize)]
pub(super) struct Endpoint {
    pub id: String,
    pub name: String,
    pub url: String,
    pub tenant: Option<String>,
    pub event_types: Option<Vec<String>>,
    pub timeout_seconds: u32,
    pub retry: Value,
    pub rate_limit: Value,
    pub on_uncertain: String,
    pub environment: Option<String>,
    pub paused: bool,
    pub disabled: Value,
    pub warnings: Vec<String>,
    /// Shown once, when it was made.
    #[serde(default)]
    pub secret: Option<String>,
}

/// A connection.
#[derive(Debug, Deserialize)]
pub(super) struct Connection {
    pub id: String,
    pub name: String,
    pub source_id: Option<String>,
    pub event_types: Option<Vec<String>>,
    pub endpoint_id: String,
    pub paused: bool,
    pub rules: Vec<Box<RawValue>>,
}
