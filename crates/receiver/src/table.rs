//! A store that loads a record, asks the state machine and writes what it says. Such a store only
//! says how to do that atomically; the rest is here, once.

use std::time::Duration;

use crate::claim::{Claim, Claimed, Completion, Held, Hold, Sighting};
use crate::key::ScopeKey;
use crate::machine::{self, Change, Moment};
use crate::record::Record;
use crate::store::StoreError;
use crate::token;

/// Atomic change of one record.
pub(crate) trait Table: Send + Sync {
    /// Loads the record under a lock (or in a loop of compare and swap), lets `decide` look at it,
    /// and writes what it says. `decide` may be called several times; the last answer counts.
    fn change<T: Send>(
        &self,
        operation: &'static str,
        key: &ScopeKey,
        decide: impl Fn(Option<&Record>, Moment) -> Change<T> + Send + Sync,
    ) -> impl Future<Output = Result<T, StoreError>> + Send;
}

pub(crate) async fn claim(table: &impl Table, wish: &Claim) -> Result<Claimed, StoreError> {
    let decide = |prior: Option<&Record>, at: Moment| machine::claim(prior, wish, at);
    table.change("claim", &wish.key, decide).await
}

pub(crate) async fn complete(
    table: &impl Table,
    held: &Held,
    result: Option<&[u8]>,
    retention: Duration,
) -> Result<Completion, StoreError> {
    let decide = |prior: Option<&Record>, at: Moment| {
        machine::complete(prior, &held.token, result, retention, at.now_ms)
    };
    table.change("complete", &held.key, decide).await
}

pub(crate) async fn release(
    table: &impl Table,
    held: &Held,
    retry_after: Duration,
    error: &str,
) -> Result<Hold, StoreError> {
    let successor = token::random();
    let decide = |prior: Option<&Record>, at: Moment| {
        machine::release(prior, &held.token, successor, retry_after, error, at.now_ms)
    };
    table.change("release", &held.key, decide).await
}

pub(crate) async fn renew(
    table: &impl Table,
    held: &Held,
    lease: Duration,
) -> Result<Hold, StoreError> {
    let decide =
        |prior: Option<&Record>, at: Moment| machine::renew(prior, &held.token, lease, at.now_ms);
    table.change("renew", &held.key, decide).await
}

pub(crate) async fn fail(
    table: &impl Table,
    held: &Held,
    error: &str,
    retention: Duration,
) -> Result<Hold, StoreError> {
    let decide = |prior: Option<&Record>, at: Moment| {
        machine::fail(prior, &held.token, error, retention, at.now_ms)
    };
    table.change("fail", &held.key, decide).await
}

pub(crate) async fn lookup(
    table: &impl Table,
    key: &ScopeKey,
) -> Result<Option<Sighting>, StoreError> {
    let decide = |prior: Option<&Record>, at: Moment| Change {
        write: None,
        answer: prior.and_then(|record| record.sighting(at.now_ms)),
    };
    table.change("lookup", key, decide).await
}

/// The process's clock in milliseconds since 1970.
pub(crate) fn process_now_ms() -> u64 {
    let since_epoch = std::time::SystemTime::UNIX_EPOCH
        .elapsed()
        .expect("the clock is past 1970");
    u64::try_from(since_epoch.as_millis()).expect("2^64 milliseconds are far away")
}
