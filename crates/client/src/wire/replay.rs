//! Replays: what they shall do, and how far they have come.

use serde::{Deserialize, Serialize};

use super::wire_enum;

wire_enum! {
    /// How far a replay has come.
    ReplayStatus {
        /// Its deliveries are being looked for.
        Planning = "planning",
        /// It waits to be started.
        Ready = "ready",
        /// Its deliveries are being sent.
        Running = "running",
        /// It waits to be resumed.
        Paused = "paused",
        /// Nothing is left to do.
        Done = "done",
        /// A person called it off.
        Cancelled = "cancelled",
    }
}

/// Which deliveries a replay takes. What is absent chooses nothing out.
#[derive(Debug, Clone, Default, Serialize)]
pub struct ReplayFilter {
    /// Of these messages.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub ids: Vec<String>,
    /// Of messages through this source.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source_id: Option<String>,
    /// Made by this connection.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub connection_id: Option<String>,
    /// To this endpoint.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub endpoint_id: Option<String>,
    /// Of messages under this key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// With this status.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<String>,
    /// Of messages of this type.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub event_type: Option<String>,
    /// Of messages that came at this time or later, as RFC 3339.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub after: Option<String>,
    /// Of messages that came before this time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub before: Option<String>,
}

/// What a replay shall do.
#[derive(Debug, Clone, Default, Serialize)]
pub struct ReplayPlan {
    /// Which deliveries.
    pub filter: ReplayFilter,
    /// Whether those count that the receiver has already.
    pub include_delivered: bool,
    /// Whether each goes out under a new id and key (P2).
    pub as_new: bool,
    /// Whether a person has said so explicitly, where that is needed.
    pub confirm: bool,
    /// Where they go instead of where they went (P3).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub to_endpoint: Option<String>,
    /// At most so many per second.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rate_per_second: Option<u32>,
    /// Why.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// What a plan has found.
#[derive(Debug, Clone, Copy, Default, Deserialize, Serialize)]
#[serde(default)]
pub struct ReplayCounts {
    /// No attempt was made, and none will be by itself.
    pub never_attempted: u64,
    /// The last attempt may or may not have reached the receiver.
    pub uncertain: u64,
    /// The last attempt did not succeed.
    pub failed: u64,
    /// The receiver has it.
    pub delivered: u64,
    /// An attempt is under way, or comes by itself.
    pub under_way: u64,
    /// A person called it off.
    pub cancelled: u64,
}

/// A replay as it stands.
#[derive(Debug, Clone, Deserialize, Serialize)]
pub struct Replay {
    /// Its id.
    pub id: String,
    /// How far it has come.
    pub status: ReplayStatus,
    /// What its plan has found.
    #[serde(default)]
    pub counts: ReplayCounts,
    /// How many deliveries it takes.
    #[serde(default)]
    pub total: u64,
    /// How many of them the receiver took.
    #[serde(default)]
    pub done: u64,
    /// How many did not succeed; their own retries go on.
    #[serde(default)]
    pub failed: u64,
    /// How many had moved by themselves.
    #[serde(default)]
    pub skipped: u64,
    /// How many could not be sent because their history was dropped.
    #[serde(default)]
    pub gone: u64,
    /// How many still wait for their endpoint.
    #[serde(default)]
    pub waiting: u64,
    /// How many were handed over and not attempted yet.
    #[serde(default)]
    pub under_way: u64,
    /// All of that in a sentence.
    #[serde(default)]
    pub message: String,
}

impl Replay {
    /// How many of its deliveries it is through with.
    pub const fn through(&self) -> u64 {
        self.done + self.failed + self.skipped + self.gone + self.waiting
    }
}
