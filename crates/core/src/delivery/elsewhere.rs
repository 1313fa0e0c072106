//! Deliveries that go on somewhere else: over to another endpoint, or aside while they wait.

use super::lifecycle::Next;
use super::{Budget, Delivery, Lane};
use crate::ids::EndpointId;
use crate::time::Timestamp;

impl Next {
    /// The same, or where the endpoint is given up and there is another: over to that.
    #[must_use]
    pub fn or_over_to(self, failover: Option<EndpointId>) -> Self {
        match (self, failover) {
            (Self::Fail(reason), Some(other)) if reason.is_the_endpoints() => Self::FailOver(other),
            (
                Self::Deliver
                | Self::Fail(_)
                | Self::Retry { .. }
                | Self::Hold(_)
                | Self::Cancel(_)
                | Self::Shift(_)
                | Self::FailOver(_),
                _,
            ) => self,
        }
    }
}

impl Delivery {
    /// The delivery where it belongs after `next`.
    pub(super) fn placed(self, next: Next, now: Timestamp) -> Self {
        match next {
            Next::Shift(lane) => Self {
                lane: lane.0,
                ..self
            },
            Next::FailOver(endpoint) => Self {
                endpoint_id: Some(endpoint),
                lane: Lane::of_endpoint(endpoint).for_traffic_of(self.lane()).0,
                budget: Budget {
                    free_attempts: self.attempts,
                    since: now,
                },
                ..self
            },
            Next::Deliver
            | Next::Fail(_)
            | Next::Cancel(_)
            | Next::Hold(_)
            | Next::Retry { .. } => self,
        }
    }

    /// Whether a move has brought it elsewhere, so that more than its state is to be written.
    pub fn is_elsewhere_than(&self, before: &Self) -> bool {
        self.lane != before.lane || self.endpoint_id != before.endpoint_id
    }
}
