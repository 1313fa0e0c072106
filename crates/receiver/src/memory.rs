//! Records in the memory of one process: for tests, and for receivers that may forget everything
//! when they restart.
//!
//! What it promises: one process, until it ends. It is bounded by time alone: completed and dead
//! records go when their retention has run out. Evicting a record to make room would run its event
//! again, so where the table is full a claim fails instead.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::claim::{Claim, Claimed, Completion, Held, Hold, Saved, Sighting};
use crate::key::ScopeKey;
use crate::machine::{Change, Moment, holds};
use crate::record::Record;
use crate::store::{Clock, Effect, Memory, Promise, Store, StoreError};
use crate::table::{self, Table, process_now_ms};

/// Records that are kept at most, unless the caller says otherwise.
pub const RECORDS_MAX: usize = 1_000_000;

/// Records in memory.
#[derive(Clone)]
pub struct MemoryStore {
    shared: Arc<Mutex<Records>>,
    clock: Arc<dyn Fn() -> u64 + Send + Sync>,
    records_max: usize,
}

#[derive(Default)]
struct Records {
    records: HashMap<ScopeKey, Entry>,
    last_fence: u64,
}

#[derive(Default)]
struct Entry {
    record: Option<Record>,
    steps: HashMap<(u64, u32, String), Vec<u8>>,
}

/// The table has no room, and nothing in it has expired.
#[derive(Debug, thiserror::Error)]
#[error("{0} records are kept in memory, which is all there is room for")]
struct Full(usize);

impl MemoryStore {
    /// An empty store under the process's clock, for at most [`RECORDS_MAX`] records.
    pub fn new() -> Self {
        Self::with_clock(process_now_ms)
    }

    /// An empty store under another clock, in milliseconds since 1970.
    pub fn with_clock(clock: impl Fn() -> u64 + Send + Sync + 'static) -> Self {
        Self {
            shared: Arc::default(),
            clock: Arc::new(clock),
            records_max: RECORDS_MAX,
        }
    }

    /// The same store for another number of records.
    #[must_use]
    pub fn with_room_for(mut self, records_max: usize) -> Self {
        self.records_max = records_max;
        self
    }

    fn lock(&self) -> MutexGuard<'_, Records> {
        // Every change is one assignment, so that a panic elsewhere leaves nothing half done.
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for MemoryStore {
    fn default() -> Self {
        Self::new()
    }
}

impl Records {
    fn sweep(&mut self, limit: usize, now_ms: u64) -> usize {
        let expired = |entry: &Entry| {
            let record = entry.record.as_ref();
            record.is_some_and(|record| record.is_expired(now_ms))
        };
        let entries = self.records.iter();
        let gone: Vec<ScopeKey> = entries
            .filter(|(_, entry)| expired(entry))
            .map(|(key, _)| *key)
            .take(limit)
            .collect();
        for key in &gone {
            self.records.remove(key);
        }
        gone.len()
    }

    fn make_room(&mut self, records_max: usize, now_ms: u64) -> Result<(), Full> {
        if self.records.len() < records_max || self.sweep(usize::MAX, now_ms) > 0 {
            return Ok(());
        }
        Err(Full(self.records.len()))
    }
}

impl Table for MemoryStore {
    async fn change<T: Send>(
        &self,
        operation: &'static str,
        key: &ScopeKey,
        decide: impl Fn(Option<&Record>, Moment) -> Change<T> + Send + Sync,
    ) -> Result<T, StoreError> {
        let now_ms = (self.clock)();
        let mut shared = self.lock();
        let at = Moment {
            now_ms,
            next_fence: shared.last_fence + 1,
        };
        let prior = shared.records.get(key);
        let change = decide(prior.and_then(|entry| entry.record.as_ref()), at);
        if let Some(record) = change.write {
            if prior.is_none() {
                let room = shared.make_room(self.records_max, now_ms);
                room.map_err(|full| StoreError::new(operation, full))?;
            }
            shared.last_fence = shared.last_fence.max(record.fence);
            let entry = shared.records.entry(*key).or_default();
            let epoch = record.epoch;
            entry.steps.retain(|(of, _, _), _| *of == epoch);
            entry.record = Some(record);
        }
        Ok(change.answer)
    }
}

impl Store for MemoryStore {
    async fn claim(&self, claim: &Claim) -> Result<Claimed, StoreError> {
        table::claim(self, claim).await
    }

    async fn complete(
        &self,
        held: &Held,
        result: Option<&[u8]>,
        retention: Duration,
    ) -> Result<Completion, StoreError> {
        table::complete(self, held, result, retention).await
    }

    async fn release(
        &self,
        held: &Held,
        retry_after: Duration,
        error: &str,
    ) -> Result<Hold, StoreError> {
        table::release(self, held, retry_after, error).await
    }

    async fn renew(&self, held: &Held, lease: Duration) -> Result<Hold, StoreError> {
        table::renew(self, held, lease).await
    }

    async fn fail(
        &self,
        held: &Held,
        error: &str,
        retention: Duration,
    ) -> Result<Hold, StoreError> {
        table::fail(self, held, error, retention).await
    }

    async fn lookup(&self, key: &ScopeKey) -> Result<Option<Sighting>, StoreError> {
        table::lookup(self, key).await
    }

    async fn save_step(&self, held: &Held, step: &str, result: &[u8]) -> Result<Saved, StoreError> {
        let mut shared = self.lock();
        let entry = shared.records.get_mut(&held.key);
        let owned = entry.filter(|entry| holds(entry.record.as_ref(), &held.token));
        let Some(entry) = owned else {
            return Ok(Saved::Fenced);
        };
        let name = (held.epoch, held.generation, step.to_owned());
        entry.steps.entry(name).or_insert_with(|| result.to_vec());
        Ok(Saved::Saved)
    }

    async fn load_step(&self, held: &Held, step: &str) -> Result<Option<Vec<u8>>, StoreError> {
        let shared = self.lock();
        let name = (held.epoch, held.generation, step.to_owned());
        let entry = shared.records.get(&held.key);
        Ok(entry.and_then(|entry| entry.steps.get(&name).cloned()))
    }

    async fn sweep(&self, limit: u32) -> Result<u64, StoreError> {
        let now_ms = (self.clock)();
        let limit = usize::try_from(limit).expect("32 bits fit");
        Ok(self.lock().sweep(limit, now_ms) as u64)
    }

    fn promise(&self) -> Promise {
        Promise {
            memory: Memory::Process,
            effect: Effect::AtLeastOnce,
            clock: Clock::Process,
        }
    }
}
