//! The store's time on this node: the database's clock, carried on by a clock that no one sets.
//!
//! Windows and leases are decided with the time that a transaction reads from the database. What
//! is carried on here only says when something arrived, and when to look again.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Instant;

use hooklatch_core::time::Timestamp;
use hooklatch_store::Clock;

/// The clock.
#[derive(Clone)]
pub(crate) struct StoreClock {
    /// Another clock in the database's place, for tests that let time pass.
    instead: Option<Arc<dyn Clock>>,
    started: Instant,
    /// The database's time at `started`, in milliseconds since 1970.
    then: Arc<AtomicI64>,
}

impl StoreClock {
    /// A clock that has seen no time yet.
    pub(crate) fn new(instead: Option<Arc<dyn Clock>>) -> Self {
        Self {
            instead,
            started: Instant::now(),
            then: Arc::default(),
        }
    }

    /// Takes over what the database's clock showed a moment ago, and answers the time that counts.
    pub(crate) fn observe(&self, database: i64) -> Timestamp {
        self.then
            .store(database - self.elapsed(), Ordering::Relaxed);
        match &self.instead {
            Some(clock) => clock.now(),
            None => Timestamp::from_millis(database),
        }
    }

    /// About what the database's clock shows now.
    pub(crate) fn now(&self) -> Timestamp {
        match &self.instead {
            Some(clock) => clock.now(),
            None => Timestamp::from_millis(self.then.load(Ordering::Relaxed) + self.elapsed()),
        }
    }

    fn elapsed(&self) -> i64 {
        i64::try_from(self.started.elapsed().as_millis()).unwrap_or(i64::MAX / 2)
    }
}
