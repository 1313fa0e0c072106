//! How a delivery moves from state to state. Every move goes through here, on every store.

use super::attempt::{Attempt, AttemptOutcome, Timing};
use super::{Budget, Delivery, Lane, Lease, Reason, State, Trigger};
use crate::ids::{AttemptId, ConnectionId, DeliveryId, EndpointId, MessageId, ProjectId};
use crate::invariants;
use crate::time::{Millis, Timestamp};

/// Where a new delivery leads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Destination {
    /// The endpoint; none where the message names a URL.
    pub endpoint_id: Option<EndpointId>,
    /// The connection that leads there, if one does.
    pub connection_id: Option<ConnectionId>,
    /// What the delivery queues behind.
    pub lane: Lane,
    /// Whether the connection's id is appended to the `webhook-id` (O1).
    pub suffix_webhook_id: bool,
}

/// What an attempt means for its delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// The receiver has it.
    Deliver,
    /// Give it up.
    Fail(Reason),
    /// Try again.
    Retry {
        /// No earlier than this after the attempt is finished. A span, not a time: only the
        /// store's clock says when a delivery is due.
        after: Millis,
        /// Whether the attempt counts against the retry policy.
        counts: bool,
    },
    /// Let a person decide.
    Hold(Reason),
    /// Call it off.
    Cancel(Reason),
}

/// What a person asks of a delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Command {
    /// Attempt it now, with a fresh budget.
    Retry,
    /// Make no further attempt.
    Cancel,
}

/// Why a command was not carried out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CommandRefused {
    /// An attempt is under way.
    #[error("an attempt is under way; ask again when it has ended")]
    UnderWay,
    /// There is nothing left to cancel.
    #[error("the delivery has already ended; there is nothing to cancel")]
    AlreadyEnded,
}

/// What a finished attempt did to its delivery.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Finish {
    /// The delivery moved.
    Applied(Delivery),
    /// The lease had been overtaken or the delivery had ended: nothing changes (INV-5).
    Fenced,
}

/// A delivery that was just leased.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Leasing {
    /// The delivery under its new lease.
    pub delivery: Delivery,
    /// The record of the attempt before, where its outcome was lost with its node.
    pub lost: Option<Attempt>,
}

impl Delivery {
    /// A new delivery, first due at `due`.
    pub fn opened(
        id: DeliveryId,
        message_id: MessageId,
        project_id: ProjectId,
        destination: &Destination,
        due: Timestamp,
        now: Timestamp,
    ) -> Self {
        Self {
            id,
            message_id,
            project_id,
            endpoint_id: destination.endpoint_id,
            connection_id: destination.connection_id,
            lane: destination.lane.0,
            suffix_webhook_id: destination.suffix_webhook_id,
            state: State::Pending { due },
            attempts: 0,
            trigger: Trigger::First,
            budget: Budget {
                free_attempts: 0,
                since: due.max(now),
            },
            created_at: now,
        }
    }

    /// Leases the delivery for its next attempt, if it is due or its last lease has ended.
    pub fn lease(&self, attempt_id: AttemptId, now: Timestamp, span: Millis) -> Option<Leasing> {
        let lost = match self.state {
            State::Pending { due } if due <= now => None,
            State::Delivering { lease } if lease.until <= now => Some(self.lost(&lease, now)),
            State::Pending { .. }
            | State::Delivering { .. }
            | State::Held { .. }
            | State::Delivered { .. }
            | State::Failed { .. }
            | State::Cancelled { .. } => return None,
        };
        let lease = Lease {
            attempt_id,
            started_at: now,
            until: now + span,
        };
        let delivery = Self {
            state: State::Delivering { lease },
            attempts: self.attempts + 1,
            trigger: if lost.is_some() {
                Trigger::Recovery
            } else {
                self.trigger
            },
            ..self.clone()
        };
        invariants::moved(self, &delivery);
        Some(Leasing { delivery, lost })
    }

    /// The record of an attempt whose node ended or froze before it said how it went.
    fn lost(&self, lease: &Lease, now: Timestamp) -> Attempt {
        let error = "the gateway stopped or froze during this attempt; its outcome is not known";
        Attempt {
            outcome: AttemptOutcome::Uncertain,
            error: Some(error.to_owned()),
            duration_ms: now.since(lease.started_at).get().unsigned_abs(),
            ..self.attempt_under(lease)
        }
    }

    /// The attempt under way, while one is.
    pub fn attempt_in_progress(&self) -> Option<Attempt> {
        match &self.state {
            State::Delivering { lease } => Some(self.attempt_under(lease)),
            State::Pending { .. }
            | State::Held { .. }
            | State::Delivered { .. }
            | State::Failed { .. }
            | State::Cancelled { .. } => None,
        }
    }

    fn attempt_under(&self, lease: &Lease) -> Attempt {
        Attempt {
            id: lease.attempt_id,
            delivery_id: self.id,
            message_id: self.message_id,
            project_id: self.project_id,
            endpoint_id: self.endpoint_id,
            number: self.attempts,
            trigger: self.trigger,
            outcome: AttemptOutcome::InProgress,
            status_code: None,
            error: None,
            receipt: None,
            request_headers: Vec::new(),
            response_headers: Vec::new(),
            response_body: bytes::Bytes::new(),
            response_truncated: false,
            started_at: lease.started_at,
            duration_ms: 0,
            timing: Timing::default(),
            fenced: false,
        }
    }

    /// Applies what came of the attempt `token`. With `attempted` false the lease was given back
    /// before anything was sent, and the attempt does not count at all.
    pub fn finish(&self, token: AttemptId, attempted: bool, next: Next, now: Timestamp) -> Finish {
        match self.state {
            State::Delivering { lease } if lease.attempt_id == token => {}
            State::Delivering { .. }
            | State::Pending { .. }
            | State::Held { .. }
            | State::Delivered { .. }
            | State::Failed { .. }
            | State::Cancelled { .. } => return Finish::Fenced,
        }
        let attempts = if attempted {
            self.attempts
        } else {
            self.attempts - 1
        };
        let (state, trigger, free) = match next {
            Next::Deliver => (State::Delivered { at: now }, self.trigger, 0),
            Next::Fail(reason) => (State::Failed { at: now, reason }, self.trigger, 0),
            Next::Cancel(reason) => (State::Cancelled { at: now, reason }, self.trigger, 0),
            Next::Hold(reason) => (State::Held { reason }, self.trigger, 0),
            Next::Retry { after, counts } => {
                let trigger = if attempted {
                    Trigger::Retry
                } else {
                    self.trigger
                };
                (
                    State::Pending { due: now + after },
                    trigger,
                    u32::from(attempted && !counts),
                )
            }
        };
        let budget = Budget {
            free_attempts: self.budget.free_attempts + free,
            ..self.budget
        };
        let moved = Self {
            state,
            attempts,
            trigger,
            budget,
            ..self.clone()
        };
        invariants::moved(self, &moved);
        Finish::Applied(moved)
    }

    /// Carries out what a person asks.
    ///
    /// # Errors
    /// Where the delivery stands in a state that does not allow it.
    pub fn command(&self, command: Command, now: Timestamp) -> Result<Self, CommandRefused> {
        let moved = match (command, &self.state) {
            (Command::Retry, State::Delivering { .. }) => return Err(CommandRefused::UnderWay),
            (
                Command::Retry,
                State::Pending { .. }
                | State::Held { .. }
                | State::Delivered { .. }
                | State::Failed { .. }
                | State::Cancelled { .. },
            ) => self.afresh(Trigger::Manual, now),
            (
                Command::Cancel,
                State::Pending { .. } | State::Delivering { .. } | State::Held { .. },
            ) => {
                let reason = Reason::CancelledByPerson;
                Self {
                    state: State::Cancelled { at: now, reason },
                    ..self.clone()
                }
            }
            (
                Command::Cancel,
                State::Delivered { .. } | State::Failed { .. } | State::Cancelled { .. },
            ) => return Err(CommandRefused::AlreadyEnded),
        };
        Ok(moved)
    }

    /// The delivery started again by a duplicate of its message, if it may be (D2).
    pub fn redriven(&self, now: Timestamp) -> Option<Self> {
        match self.state {
            State::Failed { reason, .. } if reason.may_be_redriven() => {
                Some(self.afresh(Trigger::Redrive, now))
            }
            State::Failed { .. }
            | State::Pending { .. }
            | State::Delivering { .. }
            | State::Held { .. }
            | State::Delivered { .. }
            | State::Cancelled { .. } => None,
        }
    }

    fn afresh(&self, trigger: Trigger, now: Timestamp) -> Self {
        Self {
            state: State::Pending { due: now },
            trigger,
            budget: Budget {
                free_attempts: self.attempts,
                since: now,
            },
            ..self.clone()
        }
    }
}
