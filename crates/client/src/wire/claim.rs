//! Claims of receivers: what a receiver asks, what it is told, and what people see.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::wire_enum;

/// The right to end an attempt. Whoever has it can end the attempt, so it is never shown.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ClaimToken(String);

impl ClaimToken {
    /// 128 random bits that nobody else has.
    pub fn random() -> Self {
        Self(format!("{:032x}", rand::random::<u128>()))
    }

    /// The 32 hexadecimal digits, for who keeps it.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for ClaimToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ClaimToken(***)")
    }
}

/// The wish to run an event.
#[derive(Debug, Clone, Serialize)]
pub struct ClaimInput {
    /// Whose work it is, for example `stripe/billing`.
    pub scope: String,
    /// What makes two arrivals the same event.
    pub key: String,
    /// The SHA-256 of the payload in hexadecimal digits. Claims without one are all alike.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fingerprint: Option<String>,
    /// How long the attempt is protected, in seconds, unless it is renewed.
    pub lease_seconds: f64,
    /// How long a completed event is known, in seconds.
    pub window_seconds: f64,
    /// How often it is tried before it is dead; the server chooses where none is given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub attempts_max: Option<u32>,
    /// What finds the claim again where its answer was lost.
    pub token: ClaimToken,
    /// Whether an operator wants a completed or dead event once more.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub replay: bool,
    /// What people should know of it.
    #[serde(skip_serializing_if = "ClaimMetadata::is_empty")]
    pub metadata: ClaimMetadata,
}

/// What people should know of an event.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ClaimMetadata {
    /// Whose event it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub provider: Option<String>,
    /// Its type.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub event_type: Option<String>,
    /// When it arrived, as RFC 3339.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub received_at: Option<String>,
}

impl ClaimInput {
    /// A wish with a new token. The window should be longer than the provider's retries and resends.
    pub fn new(scope: &str, key: &str, lease: Duration, window: Duration) -> Self {
        Self {
            scope: scope.to_owned(),
            key: key.to_owned(),
            fingerprint: None,
            lease_seconds: lease.as_secs_f64(),
            window_seconds: window.as_secs_f64(),
            attempts_max: None,
            token: ClaimToken::random(),
            replay: false,
            metadata: ClaimMetadata::default(),
        }
    }

    /// For this payload, by its SHA-256 in hexadecimal digits.
    #[must_use]
    pub fn fingerprint(mut self, sha256: impl Into<String>) -> Self {
        self.fingerprint = Some(sha256.into());
        self
    }
}

impl ClaimMetadata {
    fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

wire_enum! {
    /// How far an event is.
    ClaimState {
        /// Somebody runs it.
        Processing = "processing",
        /// It has run.
        Completed = "completed",
        /// It was given back, to be tried again.
        Released = "released",
        /// It will not be run again.
        Dead = "dead",
    }
}

wire_enum! {
    /// Why an attempt runs.
    ClaimOrigin {
        /// Nobody has seen the event.
        First = "first",
        /// The attempt before was released.
        Retry = "retry",
        /// The lease of the attempt before has lapsed.
        Takeover = "takeover",
        /// The event has run so long ago that its record was not to be kept.
        Expired = "expired",
        /// An operator wants it once more.
        Replay = "replay",
    }
}

/// What became of the wish to run an event.
#[derive(Debug, Clone, PartialEq)]
pub enum Claimed {
    /// It is yours to run.
    Acquired(HeldClaim),
    /// It has run: do not run it.
    Completed(ClaimResult),
    /// Somebody runs it, or it was released until later.
    InProgress {
        /// When to ask again.
        retry_after: Duration,
    },
    /// It failed for good, or its attempts are used up.
    Dead {
        /// Why.
        error: String,
    },
    /// The key is known with another fingerprint.
    Conflict {
        /// How far the other one is.
        state: ClaimState,
    },
}

/// An event that is yours to run, until its lease ends.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct HeldClaim {
    /// Its id.
    pub id: String,
    /// What ends it.
    pub token: ClaimToken,
    /// From 1, within the generation.
    pub attempt: u32,
    /// 1, and one more for each replay.
    pub generation: u32,
    /// Larger in each later run: what it writes elsewhere can be ordered by it.
    pub fence: u64,
    /// Why it runs.
    pub origin: ClaimOrigin,
    /// When the lease ends, as RFC 3339.
    #[serde(default)]
    pub lease_expires_at: Option<String>,
}

/// What an event or a step gave: JSON, or bytes.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ClaimResult {
    /// As JSON.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub result: Option<Value>,
    /// As bytes in base64.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub result_base64: Option<String>,
}

impl ClaimResult {
    /// A result in JSON.
    pub const fn json(value: Value) -> Self {
        Self {
            result: Some(value),
            result_base64: None,
        }
    }
}

/// What became of a call by whoever holds a claim.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub enum Ended {
    /// It is recorded.
    Applied,
    /// It was completed before; the first result stays.
    AlreadyComplete,
    /// Somebody else runs the event by now: stop. Work that is done stays done, so answer whoever
    /// sent the event with success all the same.
    Fenced,
    /// There is no such claim: it was never made, or its window has ended.
    Gone,
}

/// A claim as people see it: without its token.
#[derive(Debug, Clone, Deserialize, Serialize)]
pub struct ReceiverClaim {
    /// Its id.
    pub id: String,
    /// Whose work it is.
    pub scope: String,
    /// What makes two arrivals the same event.
    pub key: String,
    /// How far it is.
    pub state: ClaimState,
    /// Attempts so far, within the generation.
    #[serde(default)]
    pub attempts: u32,
    /// 1, and one more for each replay.
    #[serde(default)]
    pub generation: u32,
    /// The fence of the last run.
    #[serde(default)]
    pub fence: u64,
    /// Why the last attempt ran.
    pub origin: ClaimOrigin,
    /// What its payload looks like.
    #[serde(default)]
    pub fingerprint: Option<String>,
    /// What it gave.
    #[serde(flatten)]
    pub result: ClaimResult,
    /// Why it failed.
    #[serde(default)]
    pub error: Option<String>,
    /// When it may be claimed again, from when it was read.
    #[serde(default)]
    pub retry_after_seconds: Option<f64>,
    /// When it is forgotten, as RFC 3339.
    #[serde(default)]
    pub expires_at: Option<String>,
    /// What people should know of it.
    #[serde(default)]
    pub metadata: ClaimMetadata,
}

/// What a step gave.
#[derive(Debug, Clone, Deserialize, Serialize)]
pub struct ClaimStep {
    /// Its name.
    pub name: String,
    /// The generation that it belongs to.
    pub generation: u32,
    /// What it gave.
    #[serde(flatten)]
    pub result: ClaimResult,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_never_printed() {
        let input = ClaimInput::new(
            "shop",
            "evt_1",
            Duration::from_secs(1),
            Duration::from_secs(9),
        );
        assert!(!format!("{input:?}").contains(input.token.as_str()));
        assert_eq!(input.token.as_str().len(), 32);
    }

    #[test]
    fn only_what_was_said_is_sent() {
        let input = ClaimInput::new(
            "shop",
            "evt_1",
            Duration::from_secs(1),
            Duration::from_secs(9),
        );
        let sent = serde_json::to_value(&input).unwrap();
        let names: Vec<_> = sent.as_object().unwrap().keys().collect();
        let expected = ["scope", "key", "lease_seconds", "window_seconds", "token"];
        assert_eq!(names, expected);
    }
}
