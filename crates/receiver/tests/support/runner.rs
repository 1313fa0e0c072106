//! Runs the vectors against a store, whichever it is.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use hooklatch_receiver::claim::{
    Claim, Claimed, Completion, Grant, Held, Hold, Intent, Metadata, Saved, StateName,
};
use hooklatch_receiver::key::{Fingerprint, ScopeKey};
use hooklatch_receiver::store::{Store, StoreError};
use hooklatch_receiver::token::{self, Token};

use super::file::{Counts, Expect, Operation, Vector, file};

/// How time passes for a store.
#[derive(Clone)]
pub enum Time {
    /// By itself.
    Real,
    /// When it is told to.
    Set(Arc<AtomicU64>),
}

/// A store to run one vector on.
pub struct Bench<S> {
    pub store: Arc<S>,
    pub time: Time,
}

/// Runs the 28 vectors and the ones beyond them, and fails with all that the store does not do.
pub async fn passes_every_vector<S: Store>(bench: impl Fn() -> Bench<S>) {
    let file = file();
    assert_eq!(file.machine.len(), 28);
    let vectors: Vec<Vector> = file.machine.into_iter().chain(file.machine_more).collect();
    let failures = failures(vectors, bench).await;
    assert!(failures.is_empty(), "{failures:#?}");
}

/// What fails of these vectors, all run at once: most of their time is waiting.
pub async fn failures<S: Store>(
    vectors: Vec<Vector>,
    bench: impl Fn() -> Bench<S>,
) -> Vec<(String, String)> {
    let run = |vector: Vector| {
        let bench = bench();
        tokio::spawn(async move {
            let id = vector.id.clone();
            let failure = run_vector(bench, vector).await.err();
            failure.map(|failure| (id, failure))
        })
    };
    let runs: Vec<_> = vectors.into_iter().map(run).collect();
    let mut failures = Vec::new();
    for run in runs {
        failures.extend(run.await.expect("a vector does not panic"));
    }
    failures
}

async fn run_vector<S: Store>(bench: Bench<S>, vector: Vector) -> Result<(), String> {
    for round in 0..vector.rounds {
        let mut run = Run {
            bench: &bench,
            salt: rand_salt(),
            grants: HashMap::new(),
        };
        for (index, operation) in vector.operations.iter().enumerate() {
            let outcome = run.operate(operation).await;
            outcome.map_err(|error| {
                let (id, name) = (&vector.id, &vector.name);
                format!("{id} ({name}), round {round}, operation {index} {operation:?}: {error}")
            })?;
        }
    }
    Ok(())
}

fn rand_salt() -> String {
    token::random().to_hex()
}

struct Run<'a, S> {
    bench: &'a Bench<S>,
    salt: String,
    grants: HashMap<String, Grant>,
}

impl<S: Store> Run<'_, S> {
    fn key(&self, name: &str) -> ScopeKey {
        ScopeKey::from_bytes(*Fingerprint::of(format!("{}{name}", self.salt).as_bytes()).as_bytes())
    }

    fn held(&self, key: &str, token: &str) -> Held {
        let forged = Grant {
            token: Token::from_bytes([0xfe; 16]),
            fence: 0,
            epoch: 0,
            generation: 1,
            attempt: 1,
            origin: hooklatch_receiver::claim::Origin::First,
        };
        self.grants
            .get(token)
            .unwrap_or(&forged)
            .held(self.key(key))
    }

    fn claim(&self, key: &str, fingerprint: &str, lease_ms: u64) -> Claim {
        Claim {
            key: self.key(key),
            fingerprint: Fingerprint::of(fingerprint.as_bytes()),
            token: token::random(),
            lease: Duration::from_millis(lease_ms),
            attempts_max: 8,
            retention: Duration::from_secs(86_400),
            intent: Intent::Delivery,
            metadata: Metadata::new("stripe", "charge.succeeded", None),
        }
    }

    async fn operate(&mut self, operation: &Operation) -> Result<(), String> {
        let store = &self.bench.store;
        match operation {
            Operation::Begin { expect, .. } => {
                let heard = self.begin(operation).await?;
                compare(expect, heard)
            }
            Operation::ParallelBegin { .. } => self.parallel_begin(operation).await,
            Operation::RaceCompleteBegin { .. } => self.race(operation).await,
            Operation::Advance { ms } => {
                self.advance(*ms).await;
                Ok(())
            }
            Operation::Sweep { limit } => store.sweep(*limit).await.map(|_| ()).map_err(text),
            Operation::LoadStep {
                key,
                generation,
                step,
                expect,
            } => {
                let mut held = self.held(key, "t1");
                held.generation = *generation;
                let found = store.load_step(&held, step).await.map_err(text)?;
                let found = found.map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
                equal(&expect.result, &found)
            }
            Operation::Lookup { key, expect } => {
                let heard = self.lookup(key).await?;
                compare(expect, heard)
            }
            Operation::Complete { expect, .. }
            | Operation::Release { expect, .. }
            | Operation::Renew { expect, .. }
            | Operation::Fail { expect, .. }
            | Operation::SaveStep { expect, .. } => {
                let word = self.settle(operation).await.map_err(text)?;
                equal(&expect.outcome.as_deref(), &Some(word))
            }
        }
    }

    /// What a holder does.
    async fn settle(&self, operation: &Operation) -> Result<&'static str, StoreError> {
        let store = &self.bench.store;
        let millis = Duration::from_millis;
        match operation {
            Operation::Complete {
                key,
                token,
                result,
                retention_ms,
                ..
            } => {
                let (held, result) = (self.held(key, token), Some(result.as_bytes()));
                let done = store.complete(&held, result, millis(*retention_ms));
                done.await.map(completion)
            }
            Operation::Release {
                key,
                token,
                retry_after_ms,
                error,
                ..
            } => {
                let held = self.held(key, token);
                let done = store.release(&held, millis(*retry_after_ms), error);
                done.await.map(hold)
            }
            Operation::Renew {
                key,
                token,
                lease_ms,
                ..
            } => {
                let held = self.held(key, token);
                store.renew(&held, millis(*lease_ms)).await.map(hold)
            }
            Operation::Fail {
                key,
                token,
                error,
                retention_ms,
                ..
            } => {
                let held = self.held(key, token);
                let done = store.fail(&held, error, millis(*retention_ms));
                done.await.map(hold)
            }
            Operation::SaveStep {
                key,
                token,
                step,
                result,
                ..
            } => {
                let held = self.held(key, token);
                let saved = store.save_step(&held, step, result.as_bytes()).await?;
                Ok(match saved {
                    Saved::Saved => "saved",
                    Saved::Fenced => "fenced",
                })
            }
            _ => unreachable!("only what a holder does comes here"),
        }
    }

    async fn begin(&mut self, operation: &Operation) -> Result<Expect, String> {
        let Operation::Begin {
            key,
            fingerprint,
            lease_ms,
            attempts_max,
            force,
            r#as,
            with_token,
            expect: _,
        } = operation
        else {
            unreachable!("only begin comes here");
        };
        let mut claim = self.claim(key, fingerprint, *lease_ms);
        claim.attempts_max = attempts_max.unwrap_or(8);
        if *force {
            claim.intent = Intent::Replay;
        }
        if let Some(name) = with_token {
            claim.token = self.grants[name].token;
        }
        let claimed = self.bench.store.claim(&claim).await.map_err(text)?;
        if let (Claimed::Run(grant), Some(name)) = (&claimed, r#as) {
            if self.grants.values().any(|known| known.token == grant.token) {
                return Err("the token was given out before".to_owned());
            }
            self.grants.insert(name.clone(), *grant);
        }
        Ok(heard(claimed))
    }

    async fn lookup(&self, key: &str) -> Result<Expect, String> {
        let found = self
            .bench
            .store
            .lookup(&self.key(key))
            .await
            .map_err(text)?;
        let Some(found) = found else {
            return Ok(Expect {
                state: Some("absent".to_owned()),
                ..Expect::default()
            });
        };
        let state = match found.state {
            StateName::Processing => "processing",
            StateName::Released => "released",
            StateName::Completed => "completed",
            StateName::Dead => "dead",
        };
        if found.metadata.event_type() != "charge.succeeded" {
            return Err(format!("metadata is lost: {:?}", found.metadata));
        }
        Ok(Expect {
            state: Some(state.to_owned()),
            attempt: Some(found.attempt),
            generation: Some(found.generation),
            result: found
                .result
                .map(|bytes| String::from_utf8_lossy(&bytes).into_owned()),
            error: found.error,
            ..Expect::default()
        })
    }

    async fn advance(&self, ms: u64) {
        match &self.bench.time {
            Time::Set(now) => {
                now.fetch_add(ms, Ordering::SeqCst);
            }
            Time::Real => {
                let start = Instant::now();
                let mut tick = tokio::time::interval(Duration::from_millis(5));
                while start.elapsed() < Duration::from_millis(ms) {
                    tick.tick().await;
                }
            }
        }
    }

    async fn parallel_begin(&mut self, operation: &Operation) -> Result<(), String> {
        let Operation::ParallelBegin {
            key,
            fingerprint,
            lease_ms,
            count,
            r#as,
            expect,
        } = operation
        else {
            unreachable!("only parallel_begin comes here");
        };
        let begin = |_| {
            let claim = self.claim(key, fingerprint, *lease_ms);
            let store = Arc::clone(&self.bench.store);
            tokio::spawn(async move { store.claim(&claim).await })
        };
        let tasks: Vec<_> = (0..*count).map(begin).collect();
        let mut seen = Vec::new();
        for task in tasks {
            seen.push(task.await.expect("no panic").map_err(text)?);
        }
        let grant = seen.iter().find_map(|claimed| match claimed {
            Claimed::Run(grant) => Some(*grant),
            _ => None,
        });
        self.grants.extend(grant.map(|grant| (r#as.clone(), grant)));
        check_counts(expect, &seen)
    }

    async fn race(&mut self, operation: &Operation) -> Result<(), String> {
        let Operation::RaceCompleteBegin {
            key,
            token,
            result,
            retention_ms,
            fingerprint,
            lease_ms,
            expect,
        } = operation
        else {
            unreachable!("only race_complete_begin comes here");
        };
        let held = self.held(key, token);
        let claim = self.claim(key, fingerprint, *lease_ms);
        let (completing, claiming) = (Arc::clone(&self.bench.store), Arc::clone(&self.bench.store));
        let (result, retention) = (result.clone(), Duration::from_millis(*retention_ms));
        let completion = tokio::spawn(async move {
            completing
                .complete(&held, Some(result.as_bytes()), retention)
                .await
        });
        let claimed = tokio::spawn(async move { claiming.claim(&claim).await });
        let completed = completion.await.expect("no panic").map_err(text)?;
        let claimed = claimed.await.expect("no panic").map_err(text)?;
        let winners = usize::from(completed == Completion::Applied)
            + usize::from(matches!(claimed, Claimed::Run(_)));
        if winners == expect.winners {
            Ok(())
        } else {
            Err(format!("{winners} winners: {completed:?} and {claimed:?}"))
        }
    }
}

fn check_counts(expect: &Counts, seen: &[Claimed]) -> Result<(), String> {
    let run = seen
        .iter()
        .filter(|claimed| matches!(claimed, Claimed::Run(_)))
        .count();
    let busy = seen
        .iter()
        .filter(|claimed| matches!(claimed, Claimed::Busy { .. }))
        .count();
    let right_attempt = seen.iter().all(|claimed| match claimed {
        Claimed::Run(grant) => grant.attempt == expect.attempt,
        _ => true,
    });
    if (run, busy) == (expect.run, expect.busy) && right_attempt {
        Ok(())
    } else {
        Err(format!("{run} run, {busy} busy: {seen:?}"))
    }
}

fn heard(claimed: Claimed) -> Expect {
    let mut expect = Expect::default();
    let word = match claimed {
        Claimed::Run(grant) => {
            expect.attempt = Some(grant.attempt);
            expect.generation = Some(grant.generation);
            "run"
        }
        Claimed::Busy { retry_after } => {
            assert!(retry_after > Duration::ZERO, "busy says how long");
            "busy"
        }
        Claimed::Done { result } => {
            expect.result = result.map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
            "done"
        }
        Claimed::Conflict { .. } => "conflict",
        Claimed::Dead { error } => {
            expect.error = Some(error);
            "dead"
        }
    };
    expect.outcome = Some(word.to_owned());
    expect
}

fn compare(expect: &Expect, heard: Expect) -> Result<(), String> {
    let said = |said: &Option<String>, heard: Option<String>| said.as_ref().and(heard);
    let number = |said: Option<u32>, heard: Option<u32>| said.and(heard);
    let of_interest = Expect {
        outcome: said(&expect.outcome, heard.outcome),
        state: said(&expect.state, heard.state),
        attempt: number(expect.attempt, heard.attempt),
        generation: number(expect.generation, heard.generation),
        result: said(&expect.result, heard.result),
        error: said(&expect.error, heard.error),
    };
    equal(expect, &of_interest)
}

fn completion(completion: Completion) -> &'static str {
    match completion {
        Completion::Applied => "applied",
        Completion::AlreadyComplete => "already_complete",
        Completion::Fenced => "fenced",
        Completion::Gone => "gone",
    }
}

fn hold(hold: Hold) -> &'static str {
    match hold {
        Hold::Kept => "ok",
        Hold::Fenced => "fenced",
    }
}

fn equal<T: PartialEq + std::fmt::Debug>(expected: &T, heard: &T) -> Result<(), String> {
    if expected == heard {
        Ok(())
    } else {
        Err(format!("expected {expected:?}, heard {heard:?}"))
    }
}

fn text(error: StoreError) -> String {
    let source = std::error::Error::source(&error).map(ToString::to_string);
    format!("{error}: {}", source.unwrap_or_default())
}
