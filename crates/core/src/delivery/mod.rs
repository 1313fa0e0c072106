//! A message on its way to one endpoint: its states, its attempts, its budget.

pub mod attempt;
pub mod control;
mod elsewhere;
pub mod lane;
pub mod lifecycle;
pub mod order;
pub mod scheduler;
mod sharing;
pub mod verdict;

use std::fmt;

use crate::ids::{AttemptId, ConnectionId, DeliveryId, EndpointId, MessageId, ProjectId, ReplayId};
use crate::time::Timestamp;
use order::OrderKey;

pub use lane::Lane;

/// Why an attempt was made (D3); receivers see it too (O2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Trigger {
    /// The first attempt.
    First,
    /// The retry schedule.
    Retry,
    /// A person asked for it.
    Manual,
    /// A replay: a person asked for it and for many others.
    Replay,
    /// A duplicate arrived while the original's delivery had failed.
    Redrive,
    /// The outcome of the attempt before is not known: its node ended or froze.
    Recovery,
    /// The delivery went over to its endpoint's failover endpoint.
    Failover,
}

impl Trigger {
    /// The name on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::First => "first",
            Self::Retry => "retry",
            Self::Manual => "manual",
            Self::Replay => "replay",
            Self::Redrive => "redrive",
            Self::Recovery => "recovery",
            Self::Failover => "failover",
        }
    }
}

/// Why a delivery stands where it stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// The retry policy has no attempt left.
    AttemptsExhausted,
    /// The retry policy's maximum age has passed.
    TooOld,
    /// The policy says that the endpoint's status is final.
    StatusIsFinal,
    /// The receiver's receipt says that it will never take it.
    RejectedByReceiver,
    /// The endpoint answered 410 and is disabled.
    EndpointGone,
    /// The endpoint was disabled.
    EndpointDisabled,
    /// The endpoint was deleted.
    EndpointDeleted,
    /// The outcome of an attempt is not known, and the endpoint wants a person to decide.
    Uncertain,
    /// A person cancelled it.
    CancelledByPerson,
    /// The script of its connection failed; the last attempt says how.
    TransformFailed,
}

impl Reason {
    /// Whether a duplicate of the message may start the delivery again (D2): never what a person
    /// stopped or a receiver rejected.
    pub const fn may_be_redriven(self) -> bool {
        match self {
            Self::AttemptsExhausted
            | Self::TooOld
            | Self::StatusIsFinal
            | Self::EndpointGone
            | Self::EndpointDisabled => true,
            Self::RejectedByReceiver
            | Self::EndpointDeleted
            | Self::Uncertain
            | Self::CancelledByPerson
            | Self::TransformFailed => false,
        }
    }
}

impl Reason {
    /// Whether the endpoint was given up, so that another one may take its place. Not where a
    /// receiver refused the message itself, or a person has to decide.
    pub const fn is_the_endpoints(self) -> bool {
        match self {
            Self::AttemptsExhausted
            | Self::TooOld
            | Self::EndpointGone
            | Self::EndpointDisabled => true,
            Self::StatusIsFinal
            | Self::RejectedByReceiver
            | Self::EndpointDeleted
            | Self::Uncertain
            | Self::CancelledByPerson
            | Self::TransformFailed => false,
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::AttemptsExhausted => "every attempt of the retry policy failed",
            Self::TooOld => "the retry policy's maximum age has passed",
            Self::StatusIsFinal => "the endpoint's status is final by its retry policy",
            Self::RejectedByReceiver => "the receiver's receipt says that it will never take it",
            Self::EndpointGone => "the endpoint answered 410 Gone and was disabled",
            Self::EndpointDisabled => "the endpoint is disabled",
            Self::EndpointDeleted => "the endpoint was deleted",
            Self::Uncertain => "the outcome of the last attempt is not known",
            Self::CancelledByPerson => "a person cancelled it",
            Self::TransformFailed => {
                "the connection's script failed; the last attempt says how. Repair it and retry"
            }
        })
    }
}

/// The right to attempt a delivery until a moment (O4).
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Lease {
    /// The attempt that it was given for, and its fencing token: attempts are numbered in the
    /// order in which they are given out, so that a later lease always has a larger one.
    pub attempt_id: AttemptId,
    /// When it was given.
    pub started_at: Timestamp,
    /// When it ends by itself.
    pub until: Timestamp,
}

/// Where a delivery stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// It waits for its time.
    Pending {
        /// The next attempt is made no earlier than this; never while others of its order key are
        /// before it.
        due: Timestamp,
    },
    /// An attempt is being made.
    Delivering {
        /// By whom and until when.
        lease: Lease,
    },
    /// It waits for a person.
    Held {
        /// Why.
        reason: Reason,
    },
    /// The receiver has it.
    Delivered {
        /// Since when.
        at: Timestamp,
    },
    /// It was given up.
    Failed {
        /// When.
        at: Timestamp,
        /// Why.
        reason: Reason,
    },
    /// It was called off.
    Cancelled {
        /// When.
        at: Timestamp,
        /// Why.
        reason: Reason,
    },
}

/// The names of the states, as people filter by them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "each names the state of the same name")]
pub enum DeliveryStatus {
    Pending,
    Delivering,
    Delivered,
    Failed,
    Held,
    Cancelled,
}

impl DeliveryStatus {
    /// The name on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Delivering => "delivering",
            Self::Delivered => "delivered",
            Self::Failed => "failed",
            Self::Held => "held",
            Self::Cancelled => "cancelled",
        }
    }

    /// The stable number that stores keep.
    pub const fn code(self) -> i64 {
        match self {
            Self::Pending => 0,
            Self::Delivering => 1,
            Self::Delivered => 2,
            Self::Failed => 3,
            Self::Held => 4,
            Self::Cancelled => 5,
        }
    }

    /// Whether nothing more happens without a person or a duplicate.
    pub const fn is_final(self) -> bool {
        match self {
            Self::Delivered | Self::Failed | Self::Cancelled => true,
            Self::Pending | Self::Delivering | Self::Held => false,
        }
    }
}

impl State {
    /// The state's name.
    pub const fn status(&self) -> DeliveryStatus {
        match self {
            Self::Pending { .. } => DeliveryStatus::Pending,
            Self::Delivering { .. } => DeliveryStatus::Delivering,
            Self::Held { .. } => DeliveryStatus::Held,
            Self::Delivered { .. } => DeliveryStatus::Delivered,
            Self::Failed { .. } => DeliveryStatus::Failed,
            Self::Cancelled { .. } => DeliveryStatus::Cancelled,
        }
    }

    /// Why it stands there, where there is a reason to tell.
    pub const fn reason(&self) -> Option<Reason> {
        match self {
            Self::Pending { .. } | Self::Delivering { .. } | Self::Delivered { .. } => None,
            Self::Held { reason }
            | Self::Failed { reason, .. }
            | Self::Cancelled { reason, .. } => Some(*reason),
        }
    }
}

/// From where the retry policy counts: a redriven or manually retried delivery has a fresh budget,
/// while its attempt numbers go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Budget {
    /// Attempts that do not count.
    pub free_attempts: u32,
    /// When the maximum age began to run. Of a cancelled delivery, which has no age to watch, the
    /// moment until when the attempt that was cancelled may run.
    pub since: Timestamp,
}

/// One message for one connection, or for one endpoint that the send API named.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Delivery {
    /// Its id.
    pub id: DeliveryId,
    /// What is delivered.
    pub message_id: MessageId,
    /// The project that owns it.
    pub project_id: ProjectId,
    /// Where it goes; none where the message names a URL.
    pub endpoint_id: Option<EndpointId>,
    /// The connection that led there; none where the send API named the endpoint.
    pub connection_id: Option<ConnectionId>,
    /// What it queues behind, [`Lane`] as a number.
    pub lane: i64,
    /// Whether the connection's id is appended to the `webhook-id` (O1).
    pub suffix_webhook_id: bool,
    /// Where it stands.
    pub state: State,
    /// Attempts started so far.
    pub attempts: u32,
    /// What the next attempt, or the one under way, was made for.
    pub trigger: Trigger,
    /// From where the retry policy counts.
    pub budget: Budget,
    /// The replay that it was last sent again by, until something else starts it again.
    #[serde(default)]
    pub replay_id: Option<ReplayId>,
    /// When it was made.
    pub created_at: Timestamp,
    /// What it goes one after the other with, where its endpoint is ordered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub order_key: Option<OrderKey>,
}

impl Delivery {
    /// What it queues behind.
    pub const fn lane(&self) -> Lane {
        Lane(self.lane)
    }

    /// Attempts that count against the retry policy.
    pub const fn attempts_spent(&self) -> u32 {
        self.attempts.saturating_sub(self.budget.free_attempts)
    }

    /// When the next attempt is due, if one is.
    pub const fn next_attempt_at(&self) -> Option<Timestamp> {
        match self.state {
            State::Pending { due } if due.as_millis() < Timestamp::NEVER.as_millis() => Some(due),
            State::Pending { .. }
            | State::Delivering { .. }
            | State::Held { .. }
            | State::Delivered { .. }
            | State::Failed { .. }
            | State::Cancelled { .. } => None,
        }
    }
}

/// A message's status: the first in this order that any of its deliveries has.
const MESSAGE_STATUS_ORDER: [DeliveryStatus; 6] = [
    DeliveryStatus::Failed,
    DeliveryStatus::Held,
    DeliveryStatus::Delivering,
    DeliveryStatus::Pending,
    DeliveryStatus::Cancelled,
    DeliveryStatus::Delivered,
];

/// The status of a message whose deliveries stand at `statuses`; none without deliveries.
pub fn message_status(statuses: &[DeliveryStatus]) -> Option<DeliveryStatus> {
    MESSAGE_STATUS_ORDER
        .into_iter()
        .find(|status| statuses.contains(status))
}
