//! How long a claim in a transaction waits for another one.

use std::time::Duration;

use crate::pg_sql::{LOOKUP, LOOKUP_AFTER};

/// How soon the sender should come back where nobody said how long to wait.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// How long to wait for another transaction that holds the key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wait {
    /// As long as the session's `lock_timeout` says: without end where it is 0, which is what
    /// PostgreSQL comes with. Set it for the pool's connections, below the sender's patience
    /// (`options=-c%20lock_timeout%3D2s` in the URL, or `ALTER ROLE … SET lock_timeout = '2s'`): of all
    /// ways to wait this one costs the server nothing.
    AsConfigured,
    /// So long, from 1 ms to an hour. `lock_timeout` is set for the claim and set back after it, which
    /// costs the server some microseconds.
    UpTo(Duration),
}

impl From<Duration> for Wait {
    fn from(wait: Duration) -> Self {
        Self::UpTo(wait)
    }
}

impl Wait {
    /// How a key that is known is looked up after the first try.
    pub(crate) fn lookup(self) -> &'static str {
        match self {
            Self::AsConfigured => LOOKUP,
            Self::UpTo(_) => LOOKUP_AFTER,
        }
    }

    /// As PostgreSQL writes it. Zero would mean to wait for ever.
    pub(crate) fn lock_timeout(self) -> Option<String> {
        match self {
            Self::AsConfigured => None,
            Self::UpTo(wait) => Some(format!("{}ms", wait.as_millis().clamp(1, 3_600_000))),
        }
    }

    /// What a sender is told after a wait in vain.
    pub(crate) fn retry_after(self) -> Duration {
        match self {
            Self::AsConfigured => RETRY_AFTER,
            Self::UpTo(wait) => wait,
        }
    }
}
