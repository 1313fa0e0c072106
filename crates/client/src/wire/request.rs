//! Arrivals as the gateway logged them, and the ledger's claims.

use serde::{Deserialize, Serialize};

use super::wire_enum;

wire_enum! {
    /// Which way a request came.
    Direction {
        /// A provider called a source.
        Inbound = "inbound",
        /// A caller used the send API.
        Outbound = "outbound",
    }
}

wire_enum! {
    /// What became of a request.
    Outcome {
        /// It became a message.
        Accepted = "accepted",
        /// It repeated one.
        Duplicate = "duplicate",
        /// It carried another payload under a known key.
        Conflict = "conflict",
        /// It was refused before any key was looked at, or for lack of one.
        Rejected = "rejected",
    }
}

wire_enum! {
    /// Why a duplicate came.
    Cause {
        /// The original had not yet been answered.
        Concurrent = "concurrent",
        /// A caller of the send API repeated its call.
        ProducerRetry = "producer_retry",
        /// The provider repeated by itself.
        ProviderRetry = "provider_retry",
        /// A person had the provider send it again.
        ProviderResend = "provider_resend",
        /// The same event came through another source.
        SecondRoute = "second_route",
        /// Nothing shows why.
        Unknown = "unknown",
    }
}

wire_enum! {
    /// What a request set in motion.
    Effect {
        /// Deliveries were made.
        Routed = "routed",
        /// No connection matched.
        NoRoute = "no_route",
        /// Nothing: it had already happened.
        Suppressed = "suppressed",
        /// The original's failed deliveries were started again.
        Redriven = "redriven",
        /// The original had matched no connection, and now did.
        Rerouted = "rerouted",
        /// It waits for a person.
        Held = "held",
        /// A person made it a message of its own.
        Released = "released",
        /// A person discarded it.
        Discarded = "discarded",
        /// Nothing: it was refused.
        None = "none",
    }
}

/// One arrival.
#[derive(Debug, Clone, Deserialize, Serialize)]
pub struct RequestRecord {
    /// Its id.
    pub id: String,
    /// What became of it.
    pub outcome: Outcome,
    /// Which way it came.
    #[serde(default)]
    pub direction: Option<Direction>,
    /// The source it came through.
    #[serde(default)]
    pub source_id: Option<String>,
    /// What it set in motion.
    #[serde(default)]
    pub effect: Option<Effect>,
    /// Why it came, for a duplicate.
    #[serde(default)]
    pub cause: Option<Cause>,
    /// What shows the cause.
    #[serde(default)]
    pub evidence: Option<String>,
    /// The message it became.
    #[serde(default)]
    pub message_id: Option<String>,
    /// The message it repeated.
    #[serde(default)]
    pub original_message_id: Option<String>,
    /// Whether its payload differs from the original's.
    #[serde(default)]
    pub payload_differs: bool,
    /// JSON pointers to what differs.
    #[serde(default)]
    pub diff: Option<Vec<String>>,
    /// Its key.
    #[serde(default)]
    pub key: Option<String>,
    /// Why it was refused.
    #[serde(default)]
    pub reason: Option<String>,
    /// When it arrived, as RFC 3339.
    #[serde(default)]
    pub received_at: Option<String>,
    /// The status with which it was answered.
    #[serde(default)]
    pub response_status: Option<u16>,
}

/// A key that the ledger holds.
#[derive(Debug, Clone, Deserialize, Serialize)]
pub struct Claim {
    /// Whose key it is.
    pub scope: String,
    /// The key, as the provider or the caller wrote it.
    #[serde(default)]
    pub key: Option<String>,
    /// The key as the ledger has it.
    pub checksum: String,
    /// The message that has it.
    #[serde(default)]
    pub message_id: Option<String>,
    /// What that message's payload looks like.
    #[serde(default)]
    pub fingerprint: Option<String>,
    /// When it was first seen, as RFC 3339.
    #[serde(default)]
    pub first_seen_at: Option<String>,
    /// When it was last seen.
    #[serde(default)]
    pub last_seen_at: Option<String>,
    /// When it is forgotten; none: never.
    #[serde(default)]
    pub expires_at: Option<String>,
    /// How many requests repeated it.
    #[serde(default)]
    pub duplicates: u64,
}

/// What came of the wish to free a key.
#[derive(Debug, Clone, Default, Deserialize, Serialize)]
#[serde(default)]
pub struct Freed {
    /// How many claims were freed, where the server says so.
    pub freed: Option<u64>,
}
