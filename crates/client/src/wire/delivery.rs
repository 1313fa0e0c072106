//! Deliveries and their attempts.

use serde::{Deserialize, Serialize};

use super::wire_enum;

wire_enum! {
    /// How a delivery stands.
    DeliveryStatus {
        /// It waits for its time.
        Pending = "pending",
        /// It is being attempted.
        Delivering = "delivering",
        /// The receiver took it.
        Delivered = "delivered",
        /// It ended without success.
        Failed = "failed",
        /// It waits for a person.
        Held = "held",
        /// A person called it off.
        Cancelled = "cancelled",
    }
}

wire_enum! {
    /// Why an attempt was made.
    Trigger {
        /// It is the first.
        First = "first",
        /// The one before failed.
        Retry = "retry",
        /// A person asked for it.
        Manual = "manual",
        /// A replay asked for it.
        Replay = "replay",
        /// A duplicate of a failed message started it again.
        Redrive = "redrive",
        /// The outcome of the one before was lost in a crash.
        Recovery = "recovery",
        /// It went over to the failover endpoint of its own.
        Failover = "failover",
    }
}

wire_enum! {
    /// What came of an attempt.
    AttemptOutcome {
        /// The receiver took it.
        Delivered = "delivered",
        /// It did not.
        Failed = "failed",
        /// Whether it did is not known.
        Uncertain = "uncertain",
        /// The attempt is under way.
        InProgress = "in_progress",
        /// The receiver wants it never again.
        Rejected = "rejected",
    }
}

/// One message for one endpoint.
#[derive(Debug, Clone, Deserialize, Serialize)]
pub struct Delivery {
    /// Its id.
    pub id: String,
    /// Its message.
    pub message_id: String,
    /// Where it goes; none where the message names a URL.
    #[serde(default)]
    pub endpoint_id: Option<String>,
    /// The connection that led there.
    #[serde(default)]
    pub connection_id: Option<String>,
    /// How it stands.
    pub status: DeliveryStatus,
    /// Attempts so far.
    #[serde(default)]
    pub attempts: u32,
    /// When the next one is due, as RFC 3339.
    #[serde(default)]
    pub next_attempt_at: Option<String>,
    /// Whether it waits until an older one with the same ordering key has ended.
    #[serde(default)]
    pub waits_for_turn: bool,
    /// Why it stands so.
    #[serde(default)]
    pub reason: Option<String>,
}

/// One HTTP try of a delivery.
#[derive(Debug, Clone, Deserialize, Serialize)]
pub struct Attempt {
    /// Its id.
    pub id: String,
    /// Its delivery.
    pub delivery_id: String,
    /// Its number, from 1.
    pub number: u32,
    /// Why it was made.
    pub trigger: Trigger,
    /// What came of it.
    pub outcome: AttemptOutcome,
    /// The receiver's status.
    #[serde(default)]
    pub status_code: Option<u16>,
    /// What went wrong.
    #[serde(default)]
    pub error: Option<String>,
    /// What the receiver said it did.
    #[serde(default)]
    pub receipt: Option<String>,
    /// When it began, as RFC 3339.
    #[serde(default)]
    pub started_at: Option<String>,
    /// How long it took.
    #[serde(default)]
    pub duration_ms: Option<f64>,
}
