//! What a store has to do, and what it can promise. Every store passes the same vectors.

use std::future::Future;
use std::time::Duration;

use crate::claim::{Claim, Claimed, Completion, Held, Hold, Saved, Sighting};
use crate::key::ScopeKey;

/// A place that remembers what has run.
///
/// Every method is atomic by itself, and every write after [`claim`](Self::claim) depends on the
/// token: who was overtaken changes nothing. Repeating a call with the same arguments, after an
/// answer that was lost, is safe.
pub trait Store: Send + Sync + 'static {
    /// Decides whether an event runs now, and records it if it does.
    fn claim(&self, claim: &Claim) -> impl Future<Output = Result<Claimed, StoreError>> + Send;

    /// Records that it has run. A lease that has lapsed is no hindrance as long as nobody else
    /// took over.
    fn complete(
        &self,
        held: &Held,
        result: Option<&[u8]>,
        retention: Duration,
    ) -> impl Future<Output = Result<Completion, StoreError>> + Send;

    /// Ends the lease in place: the event may be tried again after `retry_after`. The record
    /// stays, with its fingerprint and its count of attempts.
    fn release(
        &self,
        held: &Held,
        retry_after: Duration,
        error: &str,
    ) -> impl Future<Output = Result<Hold, StoreError>> + Send;

    /// Lets the lease end `lease` from now.
    fn renew(
        &self,
        held: &Held,
        lease: Duration,
    ) -> impl Future<Output = Result<Hold, StoreError>> + Send;

    /// Records that it will never succeed.
    fn fail(
        &self,
        held: &Held,
        error: &str,
        retention: Duration,
    ) -> impl Future<Output = Result<Hold, StoreError>> + Send;

    /// Shows a record; nothing once its retention has run out.
    fn lookup(
        &self,
        key: &ScopeKey,
    ) -> impl Future<Output = Result<Option<Sighting>, StoreError>> + Send;

    /// Keeps what a step gave; the first result stays.
    fn save_step(
        &self,
        held: &Held,
        step: &str,
        result: &[u8],
    ) -> impl Future<Output = Result<Saved, StoreError>> + Send;

    /// What a step gave, in an earlier attempt of this generation.
    fn load_step(
        &self,
        held: &Held,
        step: &str,
    ) -> impl Future<Output = Result<Option<Vec<u8>>, StoreError>> + Send;

    /// Removes up to `limit` completed and dead records whose retention has run out, and says how
    /// many. Each call may look through a part of the records only, so that none found does not mean
    /// that there are none. Nothing depends on it but space.
    fn sweep(&self, limit: u32) -> impl Future<Output = Result<u64, StoreError>> + Send;

    /// What this store can honestly give.
    fn promise(&self) -> Promise;
}

/// What a store can honestly give.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Promise {
    /// How far one can rely on a record.
    pub memory: Memory,
    /// Whether record and effect can be one commit.
    pub effect: Effect,
    /// Whose clock ends leases.
    pub clock: Clock,
}

/// How far one can rely on a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Memory {
    /// A record that was acknowledged survives a crash.
    Durable,
    /// It lives while the server does; a failover, an eviction or a restart may lose it.
    UntilFailover,
    /// It may be evicted at any time, and a restart loses all.
    Evictable,
    /// It lives as long as the process.
    Process,
}

/// Whether record and effect can be one commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// In the caller's transaction the effect happens exactly once.
    ExactlyOnceInTransaction,
    /// At least once; a repeat needs a crash or a lapsed lease, and steps keep it harmless.
    AtLeastOnce,
}

/// Whose clock ends leases.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Clock {
    /// The server's: it is the same for everybody.
    Server,
    /// Each process's own: a lease has to be longer than twice the largest skew between them.
    Process,
}

/// The store could not answer. Whether it has written is not known.
#[derive(Debug, thiserror::Error)]
#[error("the store is unavailable ({operation}); repeating is safe")]
pub struct StoreError {
    operation: &'static str,
    source: Box<dyn std::error::Error + Send + Sync>,
}

impl StoreError {
    /// `operation` is the method that failed.
    pub fn new(
        operation: &'static str,
        source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> Self {
        Self {
            operation,
            source: source.into(),
        }
    }

    /// The method that failed.
    pub const fn operation(&self) -> &'static str {
        self.operation
    }
}
