//! A message.

use std::collections::BTreeMap;

use hooklatch_core::admission::Accepted;
use hooklatch_core::delivery::{Delivery, DeliveryStatus, Reason, message_status};
use hooklatch_core::fingerprint::Fingerprint;
use hooklatch_core::ids::{
    ConnectionId, DeliveryId, EndpointId, MessageId, ProjectId, RequestId, SourceId,
};
use hooklatch_core::key::Checksum;
use hooklatch_core::message::{Direction, Envelope, Message, Origin, RequestOutcome};
use hooklatch_core::rules::{Routing, RoutingOutcome, WouldDrop};
use hooklatch_core::time::Timestamp;
use hooklatch_store::MessageView;
use serde::Serialize;

use super::{Concealment, Payload, Shown};

/// Deliveries of one message that a list carries; the record of its own has all.
pub const DELIVERIES_LISTED_MAX: usize = 100;

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
    pub unkeyed: bool,
    pub fingerprint: Fingerprint,
    pub outcome: &'static str,
    pub origin: Origin,
    pub status: &'static str,
    pub duplicates: u64,
    pub original_message_id: Option<MessageId>,
    pub suspected_duplicate: bool,
    pub suspected_duplicate_of: Option<MessageId>,
    pub payload: Payload<'a>,
    pub payload_encoding: Option<&'static str>,
    pub payload_bytes: usize,
    pub payload_truncated: bool,
    pub payload_pruned_at: Option<Timestamp>,
    pub payload_expires_at: Option<Timestamp>,
    pub headers: BTreeMap<&'a str, String>,
    pub received_at: Timestamp,
    pub deliveries: Vec<DeliveryLine>,
    pub deliveries_total: usize,
    pub routing: Vec<RoutingLine<'a>>,
    pub warnings: &'a [String],
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

/// What one connection did with a message.
#[derive(Debug, Serialize)]
#[expect(missing_docs, reason = "the names are those of the API's contract")]
pub struct RoutingLine<'a> {
    pub connection_id: ConnectionId,
    pub outcome: RoutingOutcome,
    pub rule: Option<u16>,
    pub detail: Option<&'a str>,
    pub original_message_id: Option<MessageId>,
    pub shadows: &'a [WouldDrop],
}

/// The record of a message of the send API, which has no source whose verifier hides anything.
pub fn message_record(view: &MessageView) -> MessageRecord<'_> {
    MessageRecord::of(view)
}

/// What a record is made of.
struct Parts<'a> {
    message: &'a Message,
    envelope: &'a Envelope,
    body: &'a [u8],
    deliveries: &'a [Delivery],
    duplicates: u64,
}

impl<'a> MessageRecord<'a> {
    /// The whole record of a message of the send API.
    pub fn of(view: &'a MessageView) -> Self {
        Self::shown(view, Shown::Whole, &Concealment::default())
    }

    /// The whole record of a message of the send API that was accepted just now.
    pub fn of_accepted(accepted: &'a Accepted, envelope: &'a Envelope, body: &'a [u8]) -> Self {
        let parts = Parts {
            message: &accepted.message,
            envelope,
            body,
            deliveries: &accepted.deliveries,
            duplicates: 0,
        };
        Self::new(&parts, Shown::Whole, &Concealment::default())
    }

    /// The record of any message.
    pub fn shown(view: &'a MessageView, shown: Shown, concealment: &Concealment) -> Self {
        let parts = Parts {
            message: &view.message,
            envelope: &view.envelope,
            body: &view.body,
            deliveries: &view.deliveries,
            duplicates: view.duplicates,
        };
        Self::new(&parts, shown, concealment)
    }

    fn new(parts: &Parts<'a>, shown: Shown, concealment: &Concealment) -> Self {
        let message = parts.message;
        let pruned = message.payload_pruned_at.is_some();
        let payload = if pruned {
            Payload::LeftOut
        } else {
            Payload::of(parts.body, shown)
        };
        let listed = match shown {
            Shown::Whole => usize::MAX,
            Shown::Listed => DELIVERIES_LISTED_MAX,
        };
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
            unkeyed: message.key.is_none(),
            fingerprint: message.fingerprint,
            outcome: RequestOutcome::Accepted.as_str(),
            origin: message.origin,
            status: status(message, parts.deliveries),
            duplicates: parts.duplicates,
            original_message_id: message.original_message_id,
            suspected_duplicate: message.suspected_duplicate_of.is_some(),
            suspected_duplicate_of: message.suspected_duplicate_of,
            payload_encoding: payload.encoding(),
            payload_truncated: !pruned && matches!(payload, Payload::LeftOut),
            payload_pruned_at: message.payload_pruned_at,
            payload_expires_at: message.payload_until,
            payload,
            payload_bytes: parts.body.len(),
            headers: headers(message, parts.envelope, concealment),
            received_at: message.received_at,
            deliveries: parts
                .deliveries
                .iter()
                .take(listed)
                .map(DeliveryLine::of)
                .collect(),
            deliveries_total: parts.deliveries.len(),
            routing: routing(&message.routing, parts.deliveries, listed),
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

/// What each connection did, in the order in which they were made; where no rule did anything, the
/// delivery says it.
fn routing<'a>(
    recorded: &'a [Routing],
    deliveries: &[Delivery],
    most: usize,
) -> Vec<RoutingLine<'a>> {
    let mut lines: BTreeMap<ConnectionId, RoutingLine<'a>> = deliveries
        .iter()
        .filter_map(|delivery| delivery.connection_id)
        .map(|id| (id, RoutingLine::plain(id)))
        .collect();
    lines.extend(
        recorded
            .iter()
            .map(|routing| (routing.connection_id, RoutingLine::of(routing))),
    );
    lines.into_values().take(most).collect()
}

impl<'a> RoutingLine<'a> {
    fn plain(connection_id: ConnectionId) -> Self {
        Self {
            connection_id,
            outcome: RoutingOutcome::Routed,
            rule: None,
            detail: None,
            original_message_id: None,
            shadows: &[],
        }
    }

    fn of(routing: &'a Routing) -> Self {
        Self {
            connection_id: routing.connection_id,
            outcome: routing.outcome,
            rule: routing.rule,
            detail: routing.detail.as_deref(),
            original_message_id: routing.original_message_id,
            shadows: &routing.shadows,
        }
    }
}

/// The status of a message: that of its deliveries, else why there are none.
pub(crate) fn status(message: &Message, deliveries: &[Delivery]) -> &'static str {
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

/// What arrived with an inbound message; what the caller added to an outbound one.
fn headers<'a>(
    message: &'a Message,
    envelope: &'a Envelope,
    concealment: &Concealment,
) -> BTreeMap<&'a str, String> {
    match message.direction {
        Direction::Inbound => concealment.headers(&envelope.headers),
        Direction::Outbound => concealment.headers(&message.extra_headers),
    }
}
