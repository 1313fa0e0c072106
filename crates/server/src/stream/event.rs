//! What a watcher sees.

use hooklatch_core::cause::Cause;
use hooklatch_core::delivery::attempt::{Attempt, AttemptOutcome};
use hooklatch_core::delivery::{Delivery, Trigger};
use hooklatch_core::ids::{
    AttemptId, DeliveryId, EndpointId, MessageId, ProjectId, RequestId, SourceId,
};
use hooklatch_core::message::{Direction, Effect, Message, Origin, Request, RequestOutcome};
use hooklatch_core::time::Timestamp;
use hooklatch_store::{Arrived, News};
use serde::Serialize;

use crate::history::views::DeliveryRecord;

/// What an event is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "each names its subject")]
pub enum EventKind {
    Request,
    Attempt,
    Delivery,
}

impl EventKind {
    /// Every kind.
    pub const ALL: [Self; 3] = [Self::Request, Self::Attempt, Self::Delivery];

    /// The name on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Request => "request",
            Self::Attempt => "attempt",
            Self::Delivery => "delivery",
        }
    }
}

/// One line of the log.
#[derive(Debug, Clone)]
pub struct Event {
    /// What it is about.
    pub kind: EventKind,
    /// The number of the request, the attempt or the delivery.
    pub number: i64,
    /// Whose it is.
    pub project: ProjectId,
    /// The record, as JSON.
    pub record: String,
    source_id: Option<SourceId>,
    endpoint_id: Option<EndpointId>,
    outcome: Option<&'static str>,
    cause: Option<Cause>,
    event_type: Option<String>,
}

/// A request, without what it carried: `GET /v1/requests/{id}` has the rest.
#[derive(Debug, Serialize)]
#[expect(missing_docs, reason = "the names are those of the API's contract")]
pub struct LoggedRequest<'a> {
    pub id: RequestId,
    pub project_id: ProjectId,
    pub direction: Direction,
    pub source_id: Option<SourceId>,
    pub outcome: RequestOutcome,
    pub duplicate: bool,
    pub effect: Effect,
    pub cause: Option<Cause>,
    pub evidence: Option<&'a str>,
    pub message_id: Option<MessageId>,
    pub original_message_id: Option<MessageId>,
    pub payload_differs: bool,
    pub event_type: Option<&'a str>,
    pub tenant: Option<&'a str>,
    pub key: Option<&'a str>,
    pub reason: Option<&'a str>,
    pub received_at: Timestamp,
    pub response_status: u16,
}

/// An attempt that has ended, without what was sent and answered.
#[derive(Debug, Serialize)]
#[expect(missing_docs, reason = "the names are those of the API's contract")]
pub struct LoggedAttempt<'a> {
    pub id: AttemptId,
    pub project_id: ProjectId,
    pub delivery_id: DeliveryId,
    pub message_id: MessageId,
    pub endpoint_id: Option<EndpointId>,
    pub number: u32,
    pub trigger: Trigger,
    pub outcome: AttemptOutcome,
    pub status_code: Option<u16>,
    pub error: Option<&'a str>,
    pub receipt: Option<&'a str>,
    pub started_at: Timestamp,
    pub duration_ms: u64,
    pub fenced: bool,
}

/// Which events.
#[derive(Debug, Clone, Default)]
pub struct StreamFilter {
    /// Of this kind.
    pub kind: Option<EventKind>,
    /// Through this source: requests.
    pub source_id: Option<SourceId>,
    /// To this endpoint: attempts and deliveries.
    pub endpoint_id: Option<EndpointId>,
    /// With this outcome: requests or attempts.
    pub outcome: Option<&'static str>,
    /// With this cause: repetitions.
    pub cause: Option<Cause>,
    /// Of this type: requests.
    pub event_type: Option<String>,
}

impl StreamFilter {
    /// Whether an event fits.
    pub fn fits(&self, event: &Event) -> bool {
        self.kind.is_none_or(|kind| event.kind == kind)
            && (self.source_id.is_none() || event.source_id == self.source_id)
            && (self.endpoint_id.is_none() || event.endpoint_id == self.endpoint_id)
            && (self.outcome.is_none() || event.outcome == self.outcome)
            && (self.cause.is_none() || event.cause == self.cause)
            && (self.event_type.is_none() || event.event_type == self.event_type)
    }
}

/// The events of what is new: requests, then attempts, each followed by its delivery as it stands
/// after it.
pub(super) fn events(news: &News) -> Vec<Event> {
    let mut events: Vec<Event> = news.requests.iter().map(of_request).collect();
    for attempt in &news.attempts {
        events.push(of_attempt(attempt));
        let moved = news
            .deliveries
            .iter()
            .find(|it| it.id == attempt.delivery_id);
        events.extend(moved.map(of_delivery));
    }
    events
}

fn of_request(arrived: &Arrived) -> Event {
    let record = match arrived {
        Arrived::Accepted(message) => accepted(message),
        Arrived::Other(request) => other(request),
    };
    Event {
        kind: EventKind::Request,
        number: record.id.number(),
        project: record.project_id,
        source_id: record.source_id,
        endpoint_id: None,
        outcome: Some(record.outcome.as_str()),
        cause: record.cause,
        event_type: record.event_type.map(str::to_owned),
        record: written(&record),
    }
}

fn accepted(message: &Message) -> LoggedRequest<'_> {
    LoggedRequest {
        id: message.request_id,
        project_id: message.project_id,
        direction: message.direction,
        source_id: message.source_id,
        outcome: RequestOutcome::Accepted,
        duplicate: false,
        effect: if message.routed {
            Effect::Routed
        } else {
            Effect::NoRoute
        },
        cause: None,
        evidence: None,
        message_id: Some(message.id),
        original_message_id: message.original_message_id,
        payload_differs: message.origin == Origin::Conflicting,
        event_type: message.event_type.as_deref(),
        tenant: message.tenant.as_deref(),
        key: message.key.as_ref().map(|key| key.text.as_str()),
        reason: None,
        received_at: message.received_at,
        response_status: message.response_status,
    }
}

fn other(request: &Request) -> LoggedRequest<'_> {
    LoggedRequest {
        id: request.id,
        project_id: request.project_id,
        direction: request.direction,
        source_id: request.source_id,
        outcome: request.outcome,
        duplicate: request.outcome == RequestOutcome::Duplicate,
        effect: request.effect,
        cause: request.cause,
        evidence: request.evidence.as_deref(),
        message_id: request.released_message_id.or(request.original_message_id),
        original_message_id: request.original_message_id,
        payload_differs: request.payload_differs,
        event_type: request.event_type.as_deref(),
        tenant: None,
        key: request.key.as_ref().map(|key| key.text.as_str()),
        reason: request.reason.as_deref(),
        received_at: request.received_at,
        response_status: request.response_status,
    }
}

fn of_attempt(attempt: &Attempt) -> Event {
    let record = LoggedAttempt {
        id: attempt.id,
        project_id: attempt.project_id,
        delivery_id: attempt.delivery_id,
        message_id: attempt.message_id,
        endpoint_id: attempt.endpoint_id,
        number: attempt.number,
        trigger: attempt.trigger,
        outcome: attempt.outcome,
        status_code: attempt.status_code,
        error: attempt.error.as_deref(),
        receipt: attempt.receipt.as_deref(),
        started_at: attempt.started_at,
        duration_ms: attempt.duration_ms,
        fenced: attempt.fenced,
    };
    Event {
        kind: EventKind::Attempt,
        number: attempt.id.number(),
        project: attempt.project_id,
        source_id: None,
        endpoint_id: attempt.endpoint_id,
        outcome: Some(attempt.outcome.as_str()),
        cause: None,
        event_type: None,
        record: written(&record),
    }
}

fn of_delivery(delivery: &Delivery) -> Event {
    Event {
        kind: EventKind::Delivery,
        number: delivery.id.number(),
        project: delivery.project_id,
        source_id: None,
        endpoint_id: delivery.endpoint_id,
        outcome: None,
        cause: None,
        event_type: None,
        record: written(&DeliveryRecord::of(delivery)),
    }
}

fn written(record: &impl Serialize) -> String {
    serde_json::to_string(record).expect("records have text keys and plain values")
}
