//! What is recorded of a request that was refused before any key was looked at.

use std::sync::Arc;

use crate::ids::{ProjectId, RequestId, SourceId};
use crate::message::{Direction, Effect, Envelope, Request, RequestOutcome};
use crate::time::Timestamp;

/// A request that was refused before any key was looked at, or for lack of one.
#[derive(Debug, Clone)]
pub struct Refused {
    /// The project of the source it was sent to.
    pub project_id: ProjectId,
    /// Which way it came.
    pub direction: Direction,
    /// The source it was sent to.
    pub source_id: Option<SourceId>,
    /// Why it was refused, for people.
    pub reason: String,
    /// When it arrived.
    pub received_at: Timestamp,
    /// What surrounded its body. The body itself is not kept: it is not verified.
    pub envelope: Arc<Envelope>,
    /// The status with which it was answered.
    pub response_status: u16,
}

/// The record of a refused request, under its number.
pub fn refused(refused: &Refused, id: RequestId) -> Request {
    Request {
        id,
        project_id: refused.project_id,
        direction: refused.direction,
        source_id: refused.source_id,
        outcome: RequestOutcome::Rejected,
        effect: Effect::None,
        cause: None,
        evidence: None,
        original_message_id: None,
        released_message_id: None,
        payload_differs: false,
        diff: None,
        event_type: None,
        key: None,
        fingerprint: None,
        reason: Some(refused.reason.clone()),
        received_at: refused.received_at,
        response_status: refused.response_status,
        payload_pruned_at: None,
    }
}
