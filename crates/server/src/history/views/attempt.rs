//! An attempt.

use std::collections::BTreeMap;

use hooklatch_core::delivery::Trigger;
use hooklatch_core::delivery::attempt::{Attempt, AttemptOutcome, Timing};
use hooklatch_core::ids::{AttemptId, DeliveryId, EndpointId, MessageId, ProjectId, ReplayId};
use hooklatch_core::time::Timestamp;
use serde::Serialize;

use super::{Concealment, Payload};

/// An attempt record. What is not known yet, or never was, is `null`.
#[derive(Debug, Serialize)]
#[expect(missing_docs, reason = "the names are those of the API's contract")]
pub struct AttemptRecord<'a> {
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
    pub request_headers: BTreeMap<&'a str, String>,
    pub response_headers: BTreeMap<&'a str, String>,
    pub response_body: Option<Payload<'a>>,
    pub response_truncated: bool,
    pub started_at: Timestamp,
    pub duration_ms: Option<u64>,
    pub timing: PhaseTimes,
    pub fenced: bool,
    pub replay_id: Option<ReplayId>,
}

/// How long the phases took, in milliseconds.
#[derive(Debug, Serialize)]
#[expect(missing_docs, reason = "the names are those of the API's contract")]
pub struct PhaseTimes {
    pub dns_ms: Option<f64>,
    pub tcp_ms: Option<f64>,
    pub tls_ms: Option<f64>,
    pub first_byte_ms: Option<f64>,
}

impl<'a> AttemptRecord<'a> {
    /// The record of an attempt.
    pub fn of(attempt: &'a Attempt) -> Self {
        let concealment = Concealment::default();
        let ended = attempt.outcome != AttemptOutcome::InProgress;
        Self {
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
            request_headers: concealment.headers(&attempt.request_headers),
            response_headers: concealment.headers(&attempt.response_headers),
            response_body: attempt.status_code.map(|_| response_body(attempt)),
            response_truncated: attempt.response_truncated,
            started_at: attempt.started_at,
            duration_ms: ended.then_some(attempt.duration_ms),
            timing: PhaseTimes::of(&attempt.timing),
            fenced: attempt.fenced,
            replay_id: attempt.replay_id,
        }
    }
}

/// Always a text where it can be one: an endpoint's answer is read by people.
fn response_body(attempt: &Attempt) -> Payload<'_> {
    if attempt.response_truncated {
        Payload::beginning(&attempt.response_body)
    } else {
        Payload::text(&attempt.response_body)
    }
}

impl PhaseTimes {
    fn of(timing: &Timing) -> Self {
        let millis = |micros: Option<u64>| micros.map(|micros| micros as f64 / 1_000.0);
        Self {
            dns_ms: millis(timing.dns_us),
            tcp_ms: millis(timing.tcp_us),
            tls_ms: millis(timing.tls_us),
            first_byte_ms: millis(timing.first_byte_us),
        }
    }
}
