//! What the kit says while it works: one event per transition, for logs and counters.

use crate::claim::{Metadata, Origin, StateName};
use crate::key::ScopeKey;

/// Hears of every transition. Called on the path of a delivery: keep it short, and do not panic.
pub trait Observer: Send + Sync + 'static {
    /// Something happened to the event under `key`; there is none where a request was refused
    /// before, or has none.
    fn observe(&self, key: Option<&ScopeKey>, metadata: &Metadata, event: &Event<'_>);
}

/// What happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event<'a> {
    /// An attempt begins. [`Origin::Takeover`] says that the one before was given up or is slow,
    /// [`Origin::Expired`] that the event may have run long ago.
    Begun {
        /// Why.
        origin: Origin,
        /// Which.
        attempt: u32,
    },
    /// A delivery was none: the event runs elsewhere, or has run.
    Duplicate {
        /// How far the event is.
        state: StateName,
        /// Why it came again, as far as is known.
        reason: Reason,
    },
    /// The key is known with another payload.
    Conflict {
        /// How far the other one is.
        state: StateName,
    },
    /// The event is completed.
    Completed,
    /// The effect has happened, and its completion could not be recorded: it may happen again.
    CompleteFailed {
        /// Whether somebody else had taken over, or the store did not answer.
        fenced: bool,
    },
    /// An attempt failed; another may come.
    Released {
        /// Why.
        error: &'a str,
    },
    /// The event will not be run again: a person should look.
    Dead {
        /// Why.
        error: &'a str,
    },
    /// Somebody else has taken over while the handler ran; it was stopped.
    LeaseLost,
    /// A request was not let in: its signature fails, or its key is none.
    Refused {
        /// Why.
        why: &'a str,
    },
    /// A handler ran without the protection of a key or of the store, as the settings allow.
    RanUnprotected {
        /// Why.
        why: &'a str,
    },
}

/// Why a delivery came again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Reason {
    /// Another one is being worked on at this moment.
    Concurrent,
    /// The sender had no answer, or a bad one.
    ProviderRetry,
    /// A person pressed redeliver at the sender.
    ProviderResend,
    /// It belongs to a replay.
    Replay,
    /// Nobody knows.
    Unknown,
}

impl<O: Observer + ?Sized> Observer for std::sync::Arc<O> {
    fn observe(&self, key: Option<&ScopeKey>, metadata: &Metadata, event: &Event<'_>) {
        (**self).observe(key, metadata, event);
    }
}

/// Hears everything and says nothing.
pub(crate) struct Silent;

impl Observer for Silent {
    fn observe(&self, _: Option<&ScopeKey>, _: &Metadata, _: &Event<'_>) {}
}

/// What an observer is told about one delivery.
#[derive(Clone)]
pub(crate) struct Told {
    pub(crate) observer: std::sync::Arc<dyn Observer>,
    pub(crate) key: ScopeKey,
    pub(crate) metadata: Metadata,
}

impl Told {
    pub(crate) fn tell(&self, event: &Event<'_>) {
        self.observer
            .observe(Some(&self.key), &self.metadata, event);
    }
}
