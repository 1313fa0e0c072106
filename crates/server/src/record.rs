//! A message as the API shows it.

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hooklatch_core::admission::Accepted;
use hooklatch_core::delivery::{Delivery, DeliveryStatus, Reason, message_status};
use hooklatch_core::fingerprint::Fingerprint;
use hooklatch_core::ids::{
    ConnectionId, DeliveryId, EndpointId, MessageId, ProjectId, RequestId, SourceId,
};
use hooklatch_core::key::Checksum;
use hooklatch_core::message::{Direction, Envelope, Message};
use hooklatch_core::time::Timestamp;
use hooklatch_store::MessageView;
use serde::Serialize;
use serde_json::value::RawValue;

/// A message record.
#[derive(Debug, Serialize)]
#[expect(missing_docs, reason = "the names are those of the API's contract")]
pub struct MessageRecord<'a> {
    pub id: MessageId,
    pub project_id: ProjectId,
    pub request_id: RequestId,
    pub direction: Direction,
    pub source_id: Option<SourceId>,
    pub tenant: Option<&'a str>,
    pub url: Option<&'a str>,
    pub event_type: Option<&'a str>,
    pub idempotency_key: Option<&'a str>,
    pub checksum: Option<Checksum>,
    pub fingerprint: Fingerprint,
    pub outcome: &'static str,
    pub status: &'static str,
    pub duplicates: u64,
    pub suspected_duplicate: bool,
    pub suspected_duplicate_of: Option<MessageId>,
    pub original_message_id: Option<MessageId>,
    pub payload: Payload<'a>,
    pub payload_encoding: &'static str,
    pub headers: BTreeMap<&'a str, String>,
    pub received_at: Timestamp,
    pub deliveries: Vec<DeliveryLine>,
    pub warnings: &'a [String],
}

/// A payload: as JSON where it is JSON, as the sender wrote it.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub enum Payload<'a> {
    /// The JSON text.
    Json(&'a RawValue),
    /// Any other text.
    Text(&'a str),
    /// What is no text, in base64.
    Base64(String),
}

/// A delivery as it stands in its message's record.
#[derive(Debug, Serialize)]
#[expect(missing_docs, reason = "the names are those of the API's contract")]
pub struct DeliveryLine {
    pub id: DeliveryId,
    pub endpoint_id: Option<EndpointId>,
    pub connection_id: Option<ConnectionId>,
    pub status: DeliveryStatus,
    pub attempts: u32,
    pub next_attempt_at: Option<Timestamp>,
    pub reason: Option<Reason>,
}

impl<'a> MessageRecord<'a> {
    /// The record of a message that a store shows.
    pub fn of(view: &'a MessageView) -> Self {
        let duplicates = view.duplicates;
        Self::new(
            &view.message,
            &view.envelope,
            &view.body,
            &view.deliveries,
            duplicates,
        )
    }

    /// The record of a message that was accepted just now.
    pub fn of_accepted(accepted: &'a Accepted, envelope: &'a Envelope, body: &'a [u8]) -> Self {
        Self::new(&accepted.message, envelope, body, &accepted.deliveries, 0)
    }

    fn new(
        message: &'a Message,
        envelope: &'a Envelope,
        body: &'a [u8],
        deliveries: &[Delivery],
        duplicates: u64,
    ) -> Self {
        let (payload, payload_encoding) = payload(body);
        Self {
            id: message.id,
            project_id: message.project_id,
            request_id: message.request_id,
            direction: message.direction,
            source_id: message.source_id,
            tenant: message.tenant.as_deref(),
            url: message.target.as_ref().map(|target| target.url.as_str()),
            event_type: message.event_type.as_deref(),
            idempotency_key: message.key.as_ref().map(|key| key.text.as_str()),
            checksum: message.key.as_ref().map(|key| key.checksum),
            fingerprint: message.fingerprint,
            outcome: "accepted",
            status: status(message, deliveries),
            duplicates,
            suspected_duplicate: message.suspected_duplicate_of.is_some(),
            suspected_duplicate_of: message.suspected_duplicate_of,
            original_message_id: message.original_message_id,
            payload,
            payload_encoding,
            headers: headers(message, envelope),
            received_at: message.received_at,
            deliveries: deliveries.iter().map(DeliveryLine::of).collect(),
            warnings: &message.warnings,
        }
    }
}

impl DeliveryLine {
    fn of(delivery: &Delivery) -> Self {
        Self {
            id: delivery.id,
            endpoint_id: delivery.endpoint_id,
            connection_id: delivery.connection_id,
            status: delivery.state.status(),
            attempts: delivery.attempts,
            next_attempt_at: delivery.next_attempt_at(),
            reason: delivery.state.reason(),
        }
    }
}

fn payload(body: &[u8]) -> (Payload<'_>, &'static str) {
    if let Ok(raw) = serde_json::from_slice::<&RawValue>(body) {
        return (Payload::Json(raw), "json");
    }
    match std::str::from_utf8(body) {
        Ok(text) => (Payload::Text(text), "text"),
        Err(_) => (Payload::Base64(STANDARD.encode(body)), "base64"),
    }
}

/// What arrived with an inbound message; what the caller added to an outbound one.
fn headers<'a>(message: &'a Message, envelope: &'a Envelope) -> BTreeMap<&'a str, String> {
    let lines = match message.direction {
        Direction::Inbound => &envelope.headers,
        Direction::Outbound => &message.extra_headers,
    };
    let mut headers: BTreeMap<&str, String> = BTreeMap::new();
    for (name, value) in lines {
        let line = headers.entry(name).or_default();
        if !line.is_empty() {
            line.push_str(", ");
        }
        line.push_str(value);
    }
    headers
}

fn status(message: &Message, deliveries: &[Delivery]) -> &'static str {
    let statuses: Vec<_> = deliveries
        .iter()
        .map(|delivery| delivery.state.status())
        .collect();
    match message_status(&statuses) {
        Some(status) => status.as_str(),
        None if message.routed => "filtered",
        None => "no_route",
    }
}
