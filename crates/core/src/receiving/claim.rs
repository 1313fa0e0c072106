//! What a receiver asks of a store, and what it may hear. Plain data: stores, the state machine
//! and the kit speak in these words.

use std::time::Duration;

use crate::receiving::key::{Fingerprint, ScopeKey};
use crate::receiving::limits::{METADATA_BYTES_MAX, cut};
use crate::receiving::token::Token;

/// A wish to run one event.
#[derive(Debug, Clone)]
pub struct Claim {
    /// The event, for one consumer.
    pub key: ScopeKey,
    /// The payload.
    pub fingerprint: Fingerprint,
    /// The token that the claimant will hold. Asking again with the same token, after an answer
    /// that was lost, finds one's own claim.
    pub token: Token,
    /// How long the run is protected unless it is renewed.
    pub lease: Duration,
    /// How often an event may be tried before it is dead.
    pub attempts_max: u32,
    /// How long stores that forget by themselves keep what nobody comes back to; also how long an
    /// event is dead whose attempts are used up.
    pub retention: Duration,
    /// Why it should run.
    pub intent: Intent,
    /// What people want to know about it.
    pub metadata: Metadata,
}

/// Why an event should run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Intent {
    /// It was delivered: it runs unless it has run.
    Delivery,
    /// An operator wants it run once more though it is completed or dead. Never what a provider
    /// asked for.
    Replay,
}

/// What a record says about its event, for people.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Metadata {
    provider: String,
    event_type: String,
    received_at_ms: Option<i64>,
}

/// Who may change a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Held {
    /// The event.
    pub key: ScopeKey,
    /// The proof.
    pub token: Token,
    /// Which run of the event, for its steps.
    pub generation: u32,
    /// Which record of the key, for its steps.
    pub epoch: u64,
}

/// What became of a claim.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Claimed {
    /// It is ours to run.
    Run(Grant),
    /// Somebody runs it, or it was released until later.
    Busy {
        /// When to ask again.
        retry_after: Duration,
    },
    /// It has run.
    Done {
        /// What it gave; none if that was too large, or the store has lost it.
        result: Option<Vec<u8>>,
    },
    /// The key is known with another payload.
    Conflict {
        /// How far the other one is.
        state: StateName,
    },
    /// It will not be run again.
    Dead {
        /// Why.
        error: String,
    },
}

/// The right to run an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Grant {
    /// The proof.
    pub token: Token,
    /// Larger in each later run of the event: for ordering, not for ownership.
    pub fence: u64,
    /// Which record of the key this is: the fence of its first run.
    pub epoch: u64,
    /// 1, and one more for each replay.
    pub generation: u32,
    /// From 1, within the generation.
    pub attempt: u32,
    /// Why it runs.
    pub origin: Origin,
}

/// Why an attempt runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Origin {
    /// Nobody has seen the event.
    First,
    /// The attempt before was released.
    Retry,
    /// The lease of the attempt before has lapsed: its process died, or is slow.
    Takeover,
    /// The event has run so long ago that its record was not to be kept: it may run twice.
    Expired,
    /// An operator asked for it.
    Replay,
}

/// How far an event is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum StateName {
    /// Somebody runs it.
    Processing,
    /// An attempt has failed, and another may come.
    Released,
    /// It has run.
    Completed,
    /// It will not be run again.
    Dead,
}

/// What became of a completion.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Completion {
    /// It is recorded.
    Applied,
    /// This very attempt was completed before; the first result stays.
    AlreadyComplete,
    /// Somebody else holds the event by now.
    Fenced,
    /// The store has forgotten the event.
    Gone,
}

/// What became of a release, a renewal or a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hold {
    /// It is recorded.
    Kept,
    /// Somebody else holds the event by now, or nobody does.
    Fenced,
}

/// What became of the result of a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Saved {
    /// It is kept, or one was kept before.
    Saved,
    /// Somebody else holds the event by now.
    Fenced,
}

/// A record as people see it: without its token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sighting {
    /// How far the event is.
    pub state: StateName,
    /// Larger in each later run.
    pub fence: u64,
    /// 1, and one more for each replay.
    pub generation: u32,
    /// From 1, within the generation.
    pub attempt: u32,
    /// Why the present or last attempt ran.
    pub origin: Origin,
    /// The payload.
    pub fingerprint: Fingerprint,
    /// What the event gave, if it is completed and the result was kept.
    pub result: Option<Vec<u8>>,
    /// Why the last attempt failed.
    pub error: Option<String>,
    /// Until the lease ends, or until it may be tried again; zero if that is past.
    pub wait: Duration,
    /// What is known of the event.
    pub metadata: Metadata,
}

impl Metadata {
    /// What is known of an event, and when it came in by the receiver's clock, in milliseconds
    /// since 1970. Long texts are cut off.
    pub fn new(provider: &str, event_type: &str, received_at_ms: Option<i64>) -> Self {
        Self {
            provider: cut(provider, METADATA_BYTES_MAX).to_owned(),
            event_type: cut(event_type, METADATA_BYTES_MAX).to_owned(),
            received_at_ms,
        }
    }

    /// Who sent it.
    pub fn provider(&self) -> &str {
        &self.provider
    }

    /// What happened.
    pub fn event_type(&self) -> &str {
        &self.event_type
    }

    /// When it came in, by the receiver's clock, in milliseconds since 1970.
    pub const fn received_at_ms(&self) -> Option<i64> {
        self.received_at_ms
    }
}

impl Grant {
    /// The grant of a claim, as who may change the record.
    pub const fn held(&self, key: ScopeKey) -> Held {
        Held {
            key,
            token: self.token,
            generation: self.generation,
            epoch: self.epoch,
        }
    }
}

impl Origin {
    /// The number that stores keep.
    pub const fn number(self) -> u8 {
        match self {
            Self::First => 1,
            Self::Retry => 2,
            Self::Takeover => 3,
            Self::Expired => 4,
            Self::Replay => 5,
        }
    }

    /// What the claim API calls it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::First => "first",
            Self::Retry => "retry",
            Self::Takeover => "takeover",
            Self::Expired => "expired",
            Self::Replay => "replay",
        }
    }

    /// The origin that the claim API calls so.
    pub fn from_name(name: &str) -> Option<Self> {
        let mut origins = (1..=5).filter_map(Self::from_number);
        origins.find(|origin| origin.name() == name)
    }

    /// The origin with this number.
    pub fn from_number(number: i64) -> Option<Self> {
        [
            Self::First,
            Self::Retry,
            Self::Takeover,
            Self::Expired,
            Self::Replay,
        ]
        .into_iter()
        .find(|origin| i64::from(origin.number()) == number)
    }
}

impl StateName {
    /// The number that stores keep.
    pub const fn number(self) -> u8 {
        match self {
            Self::Processing => 1,
            Self::Completed => 2,
            Self::Released => 3,
            Self::Dead => 4,
        }
    }

    /// What the claim API calls it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Processing => "processing",
            Self::Completed => "completed",
            Self::Released => "released",
            Self::Dead => "dead",
        }
    }

    /// The state that the claim API calls so.
    pub fn from_name(name: &str) -> Option<Self> {
        let mut states = (1..=4).filter_map(Self::from_number);
        states.find(|state| state.name() == name)
    }

    /// The state with this number.
    pub fn from_number(number: i64) -> Option<Self> {
        [
            Self::Processing,
            Self::Completed,
            Self::Released,
            Self::Dead,
        ]
        .into_iter()
        .find(|state| i64::from(state.number()) == number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_a_number_and_a_name_is_found_by_both() {
        for number in 1..=5 {
            let origin = Origin::from_number(number).unwrap();
            assert_eq!(Origin::from_name(origin.name()), Some(origin));
        }
        for number in 1..=4 {
            let state = StateName::from_number(number).unwrap();
            assert_eq!(StateName::from_name(state.name()), Some(state));
        }
        assert_eq!(Origin::from_number(6), None);
        assert_eq!(StateName::from_number(5), None);
    }
}
