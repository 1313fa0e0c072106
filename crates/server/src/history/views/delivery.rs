//! A delivery.

use hooklatch_core::delivery::{Delivery, DeliveryStatus, Reason, State, Trigger};
use hooklatch_core::ids::{ConnectionId, DeliveryId, EndpointId, MessageId, ProjectId};
use hooklatch_core::time::Timestamp;
use serde::Serialize;

/// A delivery record. `reason` is for programs, `reason_detail` says the same to people.
#[derive(Debug, Serialize)]
#[expect(missing_docs, reason = "the names are those of the API's contract")]
pub struct DeliveryRecord {
    pub id: DeliveryId,
    pub project_id: ProjectId,
    pub message_id: MessageId,
    pub endpoint_id: Option<EndpointId>,
    pub connection_id: Option<ConnectionId>,
    pub status: DeliveryStatus,
    pub attempts: u32,
    pub trigger: Trigger,
    pub next_attempt_at: Option<Timestamp>,
    pub waits_for_turn: bool,
    pub reason: Option<Reason>,
    pub reason_detail: Option<String>,
    pub created_at: Timestamp,
    pub ended_at: Option<Timestamp>,
}

impl DeliveryRecord {
    /// The record of a delivery.
    pub fn of(delivery: &Delivery) -> Self {
        let reason = delivery.state.reason();
        Self {
            id: delivery.id,
            project_id: delivery.project_id,
            message_id: delivery.message_id,
            endpoint_id: delivery.endpoint_id,
            connection_id: delivery.connection_id,
            status: delivery.state.status(),
            attempts: delivery.attempts,
            trigger: delivery.trigger,
            next_attempt_at: delivery.next_attempt_at(),
            waits_for_turn: delivery.waits_for_turn(),
            reason,
            reason_detail: reason.map(|reason| reason.to_string()),
            created_at: delivery.created_at,
            ended_at: ended_at(&delivery.state),
        }
    }
}

fn ended_at(state: &State) -> Option<Timestamp> {
    match state {
        State::Pending { .. } | State::Delivering { .. } | State::Held { .. } => None,
        State::Delivered { at } | State::Failed { at, .. } | State::Cancelled { at, .. } => {
            Some(*at)
        }
    }
}
