//! Stores with one rule broken, which the vectors must find. Each is a mistake that a published
//! library has made.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use hooklatch_receiver::claim::{Claim, Claimed, Completion, Held, Hold, Saved, Sighting};
use hooklatch_receiver::key::ScopeKey;
use hooklatch_receiver::machine::{self, Change, Moment};
use hooklatch_receiver::record::{Record, State};
use hooklatch_receiver::store::{Clock, Effect, Memory, Promise, Store, StoreError};
use hooklatch_receiver::token::{self, Token};

/// What is broken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mutation {
    /// Nothing: the mutants' own scaffolding passes.
    None,
    /// Completing does not ask for the token.
    CompleteWithoutToken,
    /// A release deletes the record, whoever asks.
    ReleaseDeletes,
    /// A release deletes the record, if the token is right.
    ReleaseDeletesFenced,
    /// Renewing does not ask for the token.
    RenewWithoutToken,
    /// Completing is refused once the lease has lapsed.
    CompleteOnlyInsideLease,
    /// A claim reads, and then writes without looking again.
    CheckThenWrite,
    /// The token is a number that starts again with each record.
    CounterAsToken,
    /// A mismatch of the fingerprint is taken for a duplicate.
    FingerprintIgnored,
    /// The lease is as long as the record is kept.
    OneClock,
}

type StepName = (ScopeKey, u64, u32, String);

pub struct Mutant {
    mutation: Mutation,
    records: Mutex<HashMap<ScopeKey, Record>>,
    steps: Mutex<HashMap<StepName, Vec<u8>>>,
    now: Arc<AtomicU64>,
    fence: AtomicU64,
}

impl Mutant {
    pub fn new(mutation: Mutation, now: Arc<AtomicU64>) -> Self {
        Self {
            mutation,
            records: Mutex::default(),
            steps: Mutex::default(),
            now,
            fence: AtomicU64::new(0),
        }
    }

    fn is(&self, mutation: Mutation) -> bool {
        self.mutation == mutation
    }

    fn now_ms(&self) -> u64 {
        self.now.load(Ordering::SeqCst)
    }

    fn apply<T>(
        &self,
        key: &ScopeKey,
        decide: impl FnOnce(Option<&Record>, Moment) -> Change<T>,
    ) -> T {
        let at = Moment {
            now_ms: self.now_ms(),
            next_fence: self.fence.fetch_add(1, Ordering::SeqCst) + 1,
        };
        let mut records = self.records.lock().unwrap();
        let change = decide(records.get(key), at);
        if let Some(record) = change.write {
            records.insert(*key, record);
        }
        change.answer
    }

    /// The token that the mutant believes in.
    fn token(&self, held: &Held, ignored: Mutation) -> Token {
        let records = self.records.lock().unwrap();
        let own = records.get(&held.key).map(|record| record.token);
        own.filter(|_| self.is(ignored)).unwrap_or(held.token)
    }

    fn counter(&self, key: &ScopeKey) -> Token {
        let records = self.records.lock().unwrap();
        let last = records
            .get(key)
            .map_or(0, |record| u128::from_be_bytes(*record.token.as_bytes()));
        Token::from_bytes((last + 1).to_be_bytes())
    }
}

impl Store for Mutant {
    async fn claim(&self, claim: &Claim) -> Result<Claimed, StoreError> {
        let mut claim = claim.clone();
        if self.is(Mutation::CounterAsToken) {
            claim.token = self.counter(&claim.key);
        }
        if self.is(Mutation::OneClock) {
            claim.lease = claim.retention;
        }
        if self.is(Mutation::FingerprintIgnored) {
            let records = self.records.lock().unwrap();
            let prior = records.get(&claim.key);
            claim.fingerprint = prior.map_or(claim.fingerprint, |prior| prior.fingerprint);
        }
        if self.is(Mutation::CheckThenWrite) {
            let at = Moment {
                now_ms: self.now_ms(),
                next_fence: self.fence.fetch_add(1, Ordering::SeqCst) + 1,
            };
            let prior = self.records.lock().unwrap().get(&claim.key).cloned();
            let change = machine::claim(prior.as_ref(), &claim, at);
            for _ in 0..64 {
                tokio::task::yield_now().await;
            }
            if let Some(record) = change.write {
                self.records.lock().unwrap().insert(claim.key, record);
            }
            return Ok(change.answer);
        }
        Ok(self.apply(&claim.key, |prior, at| machine::claim(prior, &claim, at)))
    }

    async fn complete(
        &self,
        held: &Held,
        result: Option<&[u8]>,
        retention: Duration,
    ) -> Result<Completion, StoreError> {
        let token = self.token(held, Mutation::CompleteWithoutToken);
        let strict = self.is(Mutation::CompleteOnlyInsideLease);
        Ok(self.apply(&held.key, |prior, at| {
            let lapsed = prior.is_some_and(|prior| match prior.state {
                State::Processing { lease_until_ms } => lease_until_ms <= at.now_ms,
                State::Released { .. } | State::Completed { .. } | State::Dead { .. } => false,
            });
            if strict && lapsed {
                return Change {
                    write: None,
                    answer: Completion::Fenced,
                };
            }
            machine::complete(prior, &token, result, retention, at.now_ms)
        }))
    }

    async fn release(
        &self,
        held: &Held,
        retry_after: Duration,
        error: &str,
    ) -> Result<Hold, StoreError> {
        let fenced = self.is(Mutation::ReleaseDeletesFenced);
        if fenced || self.is(Mutation::ReleaseDeletes) {
            let mut records = self.records.lock().unwrap();
            let own = machine::holds(records.get(&held.key), &held.token);
            if own || !fenced {
                records.remove(&held.key);
                return Ok(Hold::Kept);
            }
            return Ok(Hold::Fenced);
        }
        let successor = if self.is(Mutation::CounterAsToken) {
            self.counter(&held.key)
        } else {
            token::random()
        };
        Ok(self.apply(&held.key, |prior, at| {
            machine::release(prior, &held.token, successor, retry_after, error, at.now_ms)
        }))
    }

    async fn renew(&self, held: &Held, lease: Duration) -> Result<Hold, StoreError> {
        let token = self.token(held, Mutation::RenewWithoutToken);
        Ok(self.apply(&held.key, |prior, at| {
            machine::renew(prior, &token, lease, at.now_ms)
        }))
    }

    async fn fail(
        &self,
        held: &Held,
        error: &str,
        retention: Duration,
    ) -> Result<Hold, StoreError> {
        Ok(self.apply(&held.key, |prior, at| {
            machine::fail(prior, &held.token, error, retention, at.now_ms)
        }))
    }

    async fn lookup(&self, key: &ScopeKey) -> Result<Option<Sighting>, StoreError> {
        let records = self.records.lock().unwrap();
        let record = records.get(key);
        Ok(record.and_then(|record| record.sighting(self.now_ms())))
    }

    async fn save_step(&self, held: &Held, step: &str, result: &[u8]) -> Result<Saved, StoreError> {
        if !machine::holds(self.records.lock().unwrap().get(&held.key), &held.token) {
            return Ok(Saved::Fenced);
        }
        let name = (held.key, held.epoch, held.generation, step.to_owned());
        let mut steps = self.steps.lock().unwrap();
        steps.entry(name).or_insert_with(|| result.to_vec());
        Ok(Saved::Saved)
    }

    async fn load_step(&self, held: &Held, step: &str) -> Result<Option<Vec<u8>>, StoreError> {
        let name = (held.key, held.epoch, held.generation, step.to_owned());
        Ok(self.steps.lock().unwrap().get(&name).cloned())
    }

    async fn sweep(&self, _limit: u32) -> Result<u64, StoreError> {
        let now_ms = self.now_ms();
        let mut records = self.records.lock().unwrap();
        records.retain(|_, record| !record.is_expired(now_ms));
        Ok(0)
    }

    fn promise(&self) -> Promise {
        Promise {
            memory: Memory::Process,
            effect: Effect::AtLeastOnce,
            clock: Clock::Process,
        }
    }
}
