//! The record of one event, as stores that load, decide and write keep it.

use std::time::Duration;

use crate::receiving::claim::{Grant, Metadata, Origin, Sighting, StateName};
use crate::receiving::key::Fingerprint;
use crate::receiving::token::Token;

/// All that is known of one event. Times are milliseconds since 1970 by the store's clock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// Who may change it, while it is processing.
    pub token: Token,
    /// Larger in each later run.
    pub fence: u64,
    /// The fence of the first run.
    pub epoch: u64,
    /// 1, and one more for each replay.
    pub generation: u32,
    /// Why the present or last attempt ran.
    pub origin: Origin,
    /// The payload.
    pub fingerprint: Fingerprint,
    /// From 1, within the generation.
    pub attempt: u32,
    /// How far it is.
    pub state: State,
    /// What is known of the event.
    pub metadata: Metadata,
}

/// How far an event is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum State {
    /// Somebody runs it.
    Processing {
        /// When the lease ends.
        lease_until_ms: u64,
    },
    /// An attempt has failed.
    Released {
        /// When another may come.
        retry_at_ms: u64,
        /// Why it failed.
        error: String,
    },
    /// It has run.
    Completed {
        /// What it gave.
        result: Option<Vec<u8>>,
        /// When the record may go.
        expires_at_ms: u64,
    },
    /// It will not be run again.
    Dead {
        /// Why.
        error: String,
        /// When the record may go.
        expires_at_ms: u64,
    },
}

impl State {
    /// The state without what belongs to it.
    pub const fn name(&self) -> StateName {
        match self {
            Self::Processing { .. } => StateName::Processing,
            Self::Released { .. } => StateName::Released,
            Self::Completed { .. } => StateName::Completed,
            Self::Dead { .. } => StateName::Dead,
        }
    }

    /// When the record may go, if it is final.
    pub const fn expires_at_ms(&self) -> Option<u64> {
        match self {
            Self::Processing { .. } | Self::Released { .. } => None,
            Self::Completed { expires_at_ms, .. } | Self::Dead { expires_at_ms, .. } => {
                Some(*expires_at_ms)
            }
        }
    }

    /// When the lease ends or another attempt may come, if it is not final.
    pub const fn waits_until_ms(&self) -> Option<u64> {
        match self {
            Self::Processing { lease_until_ms } => Some(*lease_until_ms),
            Self::Released { retry_at_ms, .. } => Some(*retry_at_ms),
            Self::Completed { .. } | Self::Dead { .. } => None,
        }
    }

    /// When the lease ends, another attempt may come, or the record may go.
    pub const fn until_ms(&self) -> u64 {
        match self {
            Self::Processing { lease_until_ms } => *lease_until_ms,
            Self::Released { retry_at_ms, .. } => *retry_at_ms,
            Self::Completed { expires_at_ms, .. } | Self::Dead { expires_at_ms, .. } => {
                *expires_at_ms
            }
        }
    }

    /// Why the last attempt failed.
    pub fn error(&self) -> Option<&str> {
        match self {
            Self::Released { error, .. } | Self::Dead { error, .. } => Some(error),
            Self::Processing { .. } | Self::Completed { .. } => None,
        }
    }
}

impl Record {
    /// Whether the retention has run out. Expiry is judged by comparing times, never by whether a
    /// sweep has come by.
    pub fn is_expired(&self, now_ms: u64) -> bool {
        self.state
            .expires_at_ms()
            .is_some_and(|expires_at_ms| expires_at_ms <= now_ms)
    }

    /// The right to run it.
    pub const fn grant(&self) -> Grant {
        Grant {
            token: self.token,
            fence: self.fence,
            epoch: self.epoch,
            generation: self.generation,
            attempt: self.attempt,
            origin: self.origin,
        }
    }

    /// As people see it; nothing once its retention has run out.
    pub fn sighting(&self, now_ms: u64) -> Option<Sighting> {
        if self.is_expired(now_ms) {
            return None;
        }
        let until_ms = self.state.waits_until_ms().unwrap_or(0);
        let result = match &self.state {
            State::Completed { result, .. } => result.clone(),
            State::Processing { .. } | State::Released { .. } | State::Dead { .. } => None,
        };
        Some(Sighting {
            state: self.state.name(),
            fence: self.fence,
            generation: self.generation,
            attempt: self.attempt,
            origin: self.origin,
            fingerprint: self.fingerprint,
            result,
            error: self.state.error().map(str::to_owned),
            wait: Duration::from_millis(until_ms.saturating_sub(now_ms)),
            metadata: self.metadata.clone(),
        })
    }
}
