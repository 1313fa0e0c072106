//! The storage contract, its in-memory reference, and the suite that every backend must pass.
//!
//! A store loads the facts under lock, calls the pure function in `core`, writes what it says, and
//! commits, as one method. It holds no rule. What must leave the process comes back as data and
//! happens after the commit. The traits name no runtime and no driver: methods answer with boxed
//! futures, so that a server needs one type for every backend.

mod admissions;
mod audits;
mod claims;
mod configuration;
mod deliveries;
mod follow;
mod history;
pub mod inspection;
mod lanes;
mod ledger;
#[cfg(feature = "memory")]
pub mod memory;
pub mod node;
pub mod record;
mod replays;
mod retention;
mod scan;
mod shadows;
pub mod stats;
#[cfg(feature = "suite")]
pub mod suite;
pub mod transfer;

pub use admissions::{Admissions, REFUSED_KEPT_MAX, Refused, ReleaseOutcome};
pub use audits::{AuditLine, AuditView, Audits};
pub use claims::Claims;
pub use configuration::{AuditEntry, ConfigKind, ConfigRecord, Configuration, Expected, Saved};
pub use deliveries::{
    Commanded, Deliveries, FinishAttempt, Finished, Lease, LeaseRequest, LeaseTerms, Leases, Terms,
    Wake,
};
pub use follow::{Arrived, Following, NEWS_SCANNED_MAX, News, Seen, UNDER_WAY_MAX};
pub use history::{
    AttemptFilter, History, MessageFilter, MessageView, Page, PageRequest, RequestFilter,
    RequestView, StatusFilter, TimeRange,
};
pub use lanes::{LaneReporting, LaneStates, Reported, decode_health, encode_health};
pub use ledger::{ClaimView, Ledger};
pub use replays::{
    NewReplay, Opened, PlanStep, REPLAYS_MOVING_MAX, ReplayCommanded, ReplayHolder, Replays,
    look_for_plan,
};
pub use retention::{PayloadSize, PayloadSizes, Retention};
pub use scan::{ScanOf, ScanPage, ScanStep, Scanned, Scans};
pub use shadows::Shadows;
pub use stats::{ArrivalCount, AttemptCount, Counts, CountsQuery, RolledUp, Stats, Waiting};

use std::error::Error;
use std::future::Future;
use std::pin::Pin;

use hooklatch_core::time::Timestamp;

/// What a store answers with, later.
pub type Answer<'a, T> = Pin<Box<dyn Future<Output = Result<T, StoreError>> + Send + 'a>>;

/// Why a store did not do what it was asked, or cannot say whether it did. In none of these cases
/// was anything acknowledged.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The backend failed or is being shut down.
    #[error("the store is unavailable; nothing was recorded, repeating is safe")]
    Unavailable(#[source] Option<Box<dyn Error + Send + Sync>>),
    /// There is no room left to write.
    #[error("the store has no room left; nothing was recorded, repeating is safe")]
    Full(#[source] Option<Box<dyn Error + Send + Sync>>),
    /// More is waiting to be written than the store's queue takes.
    #[error("the store's queue is full; nothing was recorded, repeating is safe")]
    Overloaded,
    /// The connection broke while a commit was under way, and what became of it could not be looked
    /// up either. Whoever has a key repeats under it, and meets what was recorded if it was.
    #[error("whether it was recorded is not known; repeating with the same key is safe")]
    Unknown(#[source] Option<Box<dyn Error + Send + Sync>>),
    /// What is stored cannot be understood: a bug, or a file from a newer version.
    #[error("the store holds a record that this version cannot read: {0}")]
    Unreadable(String),
}

/// Where time comes from. Only a store's clock decides leases and windows.
pub trait Clock: Send + Sync + 'static {
    /// The time now.
    fn now(&self) -> Timestamp;
}

/// The machine's clock.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        let since_1970 = std::time::SystemTime::UNIX_EPOCH
            .elapsed()
            .unwrap_or_default();
        Timestamp::from_millis(i64::try_from(since_1970.as_millis()).unwrap_or(i64::MAX))
    }
}

/// A whole store.
pub trait Store:
    Admissions
    + Deliveries
    + LaneStates
    + History
    + Ledger
    + Claims
    + Configuration
    + Audits
    + Stats
    + Following
    + Replays
    + Retention
    + Scans
    + Shadows
    + Audits
    + 'static
{
    /// The store's time.
    fn now(&self) -> Timestamp;

    /// Answers once a write would be taken; an error says why it would not.
    fn ready(&self) -> Answer<'_, ()>;

    /// Takes nothing more, finishes what was taken, and closes. Later calls answer
    /// [`StoreError::Unavailable`].
    fn close(&self) -> Answer<'_, ()>;
}
