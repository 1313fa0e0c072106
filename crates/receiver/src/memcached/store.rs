//! Leased mode on Memcached: read, let the state machine decide, and swap if nobody was faster.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use super::client::{Client, Version, Written};
use super::codec::{self, ResultPlace};
use super::known::Known;
use crate::claim::{Claim, Claimed, Completion, Held, Hold, Saved, Sighting};
use crate::key::ScopeKey;
use crate::machine::{self, Change, Moment, holds};
use crate::record::{Record, State};
use crate::store::{Clock, Effect, Memory, Promise, Store, StoreError};
use crate::table::{self, Table, process_now_ms};

/// How often a change is tried while others change the same record. Each time one of them wins.
const ROUNDS_MAX: usize = 200;
/// A span above this is taken for a date: such an item would be stored and be gone at once.
const SPAN_SECONDS_MAX: u64 = 30 * 86_400;
/// How long a record is kept that nobody comes back to.
const ABANDONED_SECONDS: u64 = 7 * 86_400;

type Error = Box<dyn std::error::Error + Send + Sync>;

/// Records in Memcached.
#[derive(Clone)]
pub struct MemcachedStore {
    client: Arc<Client>,
    known: Arc<Known>,
}

impl MemcachedStore {
    /// A store on this server. It is first called when it is first used.
    pub fn new(address: SocketAddr) -> Self {
        Self {
            client: Arc::new(Client::new(address)),
            known: Arc::default(),
        }
    }

    async fn load(&self, key: &ScopeKey) -> Result<Option<(Record, Version)>, Error> {
        let Some(item) = self.client.gets(&claim_name(key)).await? else {
            return Ok(None);
        };
        let (mut record, place) = codec::decode(&item.value).ok_or("an item is no record")?;
        if place == ResultPlace::OwnItem {
            let kept = self.client.gets(&result_name(key, &record)).await?;
            if let State::Completed { result, .. } = &mut record.state {
                *result = kept.map(|item| item.value);
            }
        }
        Ok(Some((record, item.version)))
    }

    async fn store(
        &self,
        key: &ScopeKey,
        record: &Record,
        since: Option<Version>,
    ) -> Result<Written, Error> {
        let expiry = expiry_of(record, process_now_ms());
        if let State::Completed {
            result: Some(result),
            ..
        } = &record.state
            && codec::place_of(record) == ResultPlace::OwnItem
        {
            // Before the record, so that whoever reads "completed" finds it. One that is there
            // already is that of an earlier try with this token.
            let name = result_name(key, record);
            self.client.add(&name, expiry, result).await?;
        }
        let bytes = codec::encode(record);
        let name = claim_name(key);
        match since {
            None => self.client.add(&name, expiry, &bytes).await,
            Some(since) => self.client.swap(&name, expiry, &bytes, since).await,
        }
    }

    /// Most events are new: adding says so without looking first. Nothing where there is a record,
    /// which an earlier call with this token may have added.
    async fn first(&self, claim: &Claim) -> Result<Option<Claimed>, Error> {
        let now_ms = process_now_ms();
        let at = Moment {
            now_ms,
            next_fence: now_ms * 1_000,
        };
        let change = machine::claim(None, claim, at);
        let Some(record) = change.write else {
            return Ok(None);
        };
        match self.store(&claim.key, &record, None).await? {
            Written::Stored(version) => {
                self.known.note(&claim.key, record, version);
                Ok(Some(change.answer))
            }
            Written::Lost => Ok(None),
        }
    }

    async fn changed<T>(
        &self,
        key: &ScopeKey,
        decide: impl Fn(Option<&Record>, Moment) -> Change<T>,
    ) -> Result<T, Error> {
        if let Some(known) = self.known.get(key) {
            // Only a write that the server accepts proves that it is still so.
            if let Tried::Written(answer) = self.tried(key, Some(known), &decide).await? {
                return Ok(answer);
            }
        }
        for _ in 0..ROUNDS_MAX {
            let loaded = self.load(key).await?;
            match self.tried(key, loaded, &decide).await? {
                Tried::Written(answer) | Tried::Unwritten(answer) => return Ok(answer),
                Tried::Lost => {}
            }
        }
        Err("the record changed with every look at it".into())
    }

    async fn tried<T>(
        &self,
        key: &ScopeKey,
        prior: Option<(Record, Version)>,
        decide: impl Fn(Option<&Record>, Moment) -> Change<T>,
    ) -> Result<Tried<T>, Error> {
        let (prior, since) = prior.unzip();
        let now_ms = process_now_ms();
        let after_prior = prior.as_ref().map_or(0, |prior| prior.fence + 1);
        let at = Moment {
            now_ms,
            next_fence: after_prior.max(now_ms * 1_000),
        };
        let change = decide(prior.as_ref(), at);
        let Some(record) = change.write else {
            return Ok(Tried::Unwritten(change.answer));
        };
        self.known.forget(key);
        Ok(match self.store(key, &record, since).await? {
            Written::Stored(version) => {
                self.known.note(key, record, version);
                Tried::Written(change.answer)
            }
            Written::Lost => Tried::Lost,
        })
    }
}

/// What came of a decision.
enum Tried<T> {
    Written(T),
    Unwritten(T),
    /// Somebody else was faster: look again.
    Lost,
}

/// The time from which on Memcached forgets an item, as it wants to hear it. Too late is harmless:
/// the times in the record decide.
fn expiry_of(record: &Record, now_ms: u64) -> u64 {
    let seconds = record.state.expires_at_ms().map_or_else(
        || {
            let wait_ms = record.state.waits_until_ms().unwrap_or(0);
            wait_ms.saturating_sub(now_ms) / 1_000 + ABANDONED_SECONDS
        },
        |expires_at_ms| expires_at_ms.saturating_sub(now_ms) / 1_000 + 2,
    );
    if seconds <= SPAN_SECONDS_MAX {
        seconds
    } else {
        now_ms / 1_000 + seconds
    }
}

fn claim_name(key: &ScopeKey) -> String {
    format!("hooklatch:c:{key}")
}

fn result_name(key: &ScopeKey, record: &Record) -> String {
    format!("hooklatch:r:{key}:{}", record.token.to_hex())
}

/// The step's own key tells event, step and generation; the epoch tells records of one key apart.
fn step_name(held: &Held, step: &str) -> Result<String, StoreError> {
    let key = held.key.step(step, held.generation);
    let key = key.map_err(|error| StoreError::new("step", error))?;
    Ok(format!("hooklatch:s:{key}:{}", held.epoch))
}

impl Table for MemcachedStore {
    async fn change<T: Send>(
        &self,
        operation: &'static str,
        key: &ScopeKey,
        decide: impl Fn(Option<&Record>, Moment) -> Change<T> + Send + Sync,
    ) -> Result<T, StoreError> {
        let changed = self.changed(key, decide).await;
        changed.map_err(|error| StoreError::new(operation, error))
    }
}

impl Store for MemcachedStore {
    async fn claim(&self, claim: &Claim) -> Result<Claimed, StoreError> {
        match self.first(claim).await {
            Ok(Some(claimed)) => Ok(claimed),
            Ok(None) => table::claim(self, claim).await,
            Err(error) => Err(StoreError::new("claim", error)),
        }
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
        let name = step_name(held, step)?;
        let saved = async {
            let loaded = self.load(&held.key).await?;
            if !holds(loaded.as_ref().map(|(record, _)| record), &held.token) {
                return Ok(Saved::Fenced);
            }
            self.client.add(&name, ABANDONED_SECONDS, result).await?;
            Ok::<_, Error>(Saved::Saved)
        };
        saved
            .await
            .map_err(|error| StoreError::new("save_step", error))
    }

    async fn load_step(&self, held: &Held, step: &str) -> Result<Option<Vec<u8>>, StoreError> {
        let found = self.client.gets(&step_name(held, step)?).await;
        let found = found.map_err(|error| StoreError::new("load_step", error))?;
        Ok(found.map(|item| item.value))
    }

    async fn sweep(&self, _limit: u32) -> Result<u64, StoreError> {
        // Every item has an expiry of its own.
        Ok(0)
    }

    fn promise(&self) -> Promise {
        Promise {
            memory: Memory::Evictable,
            effect: Effect::AtLeastOnce,
            clock: Clock::Process,
        }
    }
}
