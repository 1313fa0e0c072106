//! A request.

use std::collections::BTreeMap;

use hooklatch_core::cause::Cause;
use hooklatch_core::claim::Scope;
use hooklatch_core::fingerprint::Fingerprint;
use hooklatch_core::ids::{MessageId, ProjectId, RequestId, SourceId};
use hooklatch_core::key::Checksum;
use hooklatch_core::message::{
    Direction, Effect, Envelope, Message, Origin, Request, RequestOutcome,
};
use hooklatch_core::time::Timestamp;
use hooklatch_store::RequestView;
use serde::Serialize;

use super::{Concealment, Concealments, Payload, Shown};

/// A request record. `message_id` is the message that the request became, or else the one that it
/// repeats; `original_message_id` is always the one that it repeats.
#[derive(Debug, Serialize)]
#[expect(missing_docs, reason = "the names are those of the API's contract")]
pub struct RequestRecord<'a> {
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
    pub released_message_id: Option<MessageId>,
    pub payload_differs: bool,
    pub diff: Option<&'a [String]>,
    pub event_type: Option<&'a str>,
    pub key: Option<&'a str>,
    pub checksum: Option<Checksum>,
    pub scope: Option<&'a Scope>,
    pub fingerprint: Option<Fingerprint>,
    pub reason: Option<&'a str>,
    pub received_at: Timestamp,
    #[serde(flatten)]
    pub surroundings: Surroundings<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub body: Option<Payload<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub body_encoding: Option<&'static str>,
    pub payload_pruned_at: Option<Timestamp>,
    pub response_status: u16,
}

/// What surrounded a request's body, as far as it is shown.
#[derive(Debug, Serialize)]
#[expect(missing_docs, reason = "the names are those of the API's contract")]
pub struct Surroundings<'a> {
    pub method: &'a str,
    pub path: &'a str,
    pub query: Option<String>,
    pub headers: BTreeMap<&'a str, String>,
}

impl<'a> RequestRecord<'a> {
    /// The record without its body.
    pub fn of(view: &'a RequestView, concealments: &Concealments) -> Self {
        match view {
            RequestView::Accepted { message, envelope } => {
                let concealment = concealments.for_source(message.source_id);
                let added = &message.extra_headers;
                Self::of_accepted(message, Surroundings::of(envelope, added, concealment))
            }
            RequestView::Other { request, envelope } => {
                let concealment = concealments.for_source(request.source_id);
                Self::of_other(request, Surroundings::of(envelope, &[], concealment))
            }
        }
    }

    /// The same with the body that it carried.
    #[must_use]
    pub fn with_body(mut self, body: Option<&'a [u8]>) -> Self {
        self.body = body.map(|body| Payload::of(body, Shown::Whole));
        self.body_encoding = self.body.as_ref().and_then(Payload::encoding);
        self
    }

    /// The same, where the body that it repeats is what was pruned.
    #[must_use]
    pub fn with_original_pruned_at(mut self, at: Option<Timestamp>) -> Self {
        self.payload_pruned_at = self.payload_pruned_at.or(at);
        self
    }

    fn of_accepted(message: &'a Message, surroundings: Surroundings<'a>) -> Self {
        let key = message.key.as_ref();
        Self {
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
            released_message_id: None,
            payload_differs: message.origin == Origin::Conflicting,
            diff: None,
            event_type: message.event_type.as_deref(),
            key: key.map(|key| key.text.as_str()),
            checksum: key.map(|key| key.checksum),
            scope: key.map(|key| &key.scope),
            fingerprint: Some(message.fingerprint),
            reason: None,
            received_at: message.received_at,
            surroundings,
            body: None,
            body_encoding: None,
            payload_pruned_at: message.payload_pruned_at,
            response_status: message.response_status,
        }
    }

    fn of_other(request: &'a Request, surroundings: Surroundings<'a>) -> Self {
        let key = request.key.as_ref();
        Self {
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
            released_message_id: request.released_message_id,
            payload_differs: request.payload_differs,
            diff: request.diff.as_deref(),
            event_type: request.event_type.as_deref(),
            key: key.map(|key| key.text.as_str()),
            checksum: key.map(|key| key.checksum),
            scope: key.map(|key| &key.scope),
            fingerprint: request.fingerprint,
            reason: request.reason.as_deref(),
            received_at: request.received_at,
            surroundings,
            body: None,
            body_encoding: None,
            payload_pruned_at: request.payload_pruned_at,
            response_status: request.response_status,
        }
    }
}

impl<'a> Surroundings<'a> {
    fn of(
        envelope: &'a Envelope,
        added: &'a [(String, String)],
        concealment: &Concealment,
    ) -> Self {
        Self {
            method: &envelope.method,
            path: &envelope.path,
            query: envelope
                .query
                .as_deref()
                .map(|query| concealment.query(query)),
            headers: concealment.headers(envelope.headers.iter().chain(added)),
        }
    }
}
