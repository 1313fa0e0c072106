//! An event that is ours to run. A [`Run`] comes from a claim and from nowhere else, and it is used
//! up by what settles it: completing without the claim's token, or twice, does not compile.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::claim::{Completion, Grant, Held, Hold, Origin, Saved, StateName};
use crate::key::{KeyError, ScopeKey, StepKey};
use crate::limits::RESULT_BYTES_MAX;
use crate::store::{Store, StoreError};

/// An event that is ours to run, in one of two modes: [`Leased`], or [`InTx`] where record and
/// effect are one commit.
///
/// A run that is dropped without being settled frees nothing at once: its handler may have done a
/// part of its work. In leased mode its lease lapses, and the next delivery takes over; in a
/// transaction it is up to the commit.
///
/// A run is settled once:
///
/// ```compile_fail
/// # use hooklatch_receiver::{run::{Leased, Run}, store::Store};
/// async fn twice<S: Store>(run: Run<Leased<S>>) {
///     run.complete(b"").await.unwrap();
///     run.complete(b"").await.unwrap();
/// }
/// ```
///
/// There is none without a claim:
///
/// ```compile_fail
/// # use hooklatch_receiver::{key::ScopeKey, run::Run};
/// fn forged(key: ScopeKey) -> Run<()> {
///     Run { key, grant: todo!(), mode: () }
/// }
/// ```
#[must_use = "a run that is not settled holds its event until the lease lapses"]
pub struct Run<M> {
    key: ScopeKey,
    grant: Grant,
    mode: M,
}

/// What became of the wish to run an event.
#[must_use]
pub enum Begun<M> {
    /// It is ours to run.
    Run(Run<M>),
    /// It has run.
    Done {
        /// What it gave; none if that was too large, or the store has lost it.
        result: Option<Vec<u8>>,
    },
    /// Somebody runs it, or it was released until later.
    Busy {
        /// When to ask again.
        retry_after: Duration,
    },
    /// The key is known with another payload.
    Conflict {
        /// How far the other one is.
        state: StateName,
    },
    /// It will not be run again.
    Dead {
        /// Why.
        error: String,
    },
}

/// The mode with a lease: in every store. The effect happens at least once; it repeats only where
/// a process dies, or a lease lapses, between the effect and its completion.
pub struct Leased<S> {
    store: Arc<S>,
    settings: Settings,
}

/// The mode in the caller's own transaction: the effect happens exactly once, because its record is
/// committed with it or not at all.
pub struct InTx<'t, T> {
    pub(crate) tx: &'t mut T,
}

/// How events are run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    /// How long a handler may take. 30 s by default.
    pub deadline: Duration,
    /// How long a run is protected; work that takes longer is renewed every third of it. Twice the
    /// deadline by default.
    pub lease: Duration,
    /// How long a completed or dead event is known. 7 days by default; a provider's retry and
    /// resend windows have to fit in.
    pub retention: Duration,
    /// How often an event is tried before it is dead. 8 by default.
    pub attempts_max: u32,
    /// When an event may be tried again whose handler failed or panicked and did not say when.
    /// 5 s by default.
    pub retry_after: Duration,
    /// How long to wait for an event that is being run elsewhere before answering that it is
    /// busy. Not at all by default.
    pub busy_wait: Duration,
}

/// What became of a completion.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[must_use]
pub enum Completed {
    /// It is recorded, now or by an earlier call whose answer was lost.
    Applied,
    /// Somebody else has taken over, or the store has forgotten the event: the effect has happened
    /// and may happen again.
    Fenced,
    /// The store did not answer. The effect has happened; if the completion is not recorded, a
    /// delivery after the lease will run it again.
    Unknown,
}

/// What became of work that a unique constraint guards.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub enum Once<T> {
    /// It ran.
    Ran(T),
    /// It has run before; what it did this time is undone.
    Done,
}

/// Why a step gave no result.
#[derive(Debug, thiserror::Error)]
pub enum StepError<E> {
    /// The work of the step failed.
    #[error("the step failed")]
    Work(#[source] E),
    /// The name is empty or too long.
    #[error("the step cannot be named so")]
    Name(#[source] KeyError),
    /// Its result is too large to keep.
    #[error("the result of a step has at most {RESULT_BYTES_MAX} bytes")]
    TooLarge,
    /// Somebody else runs the event by now: stop.
    #[error("somebody else runs the event by now; stop, and do not complete it")]
    Fenced,
    /// The store did not answer.
    #[error("failed to look up or to keep the step")]
    Store(#[source] StoreError),
}

impl Default for Settings {
    fn default() -> Self {
        Self::for_deadline(Duration::from_secs(30))
    }
}

impl Settings {
    /// The defaults for handlers that take so long at most.
    pub fn for_deadline(deadline: Duration) -> Self {
        Self {
            deadline,
            lease: deadline * 2,
            retention: Duration::from_secs(7 * 86_400),
            attempts_max: 8,
            retry_after: Duration::from_secs(5),
            busy_wait: Duration::ZERO,
        }
    }
}

impl<M> Run<M> {
    pub(crate) const fn new(key: ScopeKey, grant: Grant, mode: M) -> Self {
        Self { key, grant, mode }
    }

    /// The event.
    pub const fn key(&self) -> &ScopeKey {
        &self.key
    }

    /// From 1, within the generation.
    pub const fn attempt(&self) -> u32 {
        self.grant.attempt
    }

    /// 1, and one more for each replay that an operator forced.
    pub const fn generation(&self) -> u32 {
        self.grant.generation
    }

    /// Why it runs.
    pub const fn origin(&self) -> Origin {
        self.grant.origin
    }

    /// Larger in each later run of the event: what it writes elsewhere can be ordered by it.
    pub const fn fence(&self) -> u64 {
        self.grant.fence
    }

    /// What a call to another system gets as its idempotency key: the same in every attempt of
    /// this generation.
    ///
    /// # Errors
    /// A step has a name, and not a long one.
    pub fn step_key(&self, step: &str) -> Result<StepKey, KeyError> {
        self.key.step(step, self.grant.generation)
    }

    pub(crate) const fn held(&self) -> Held {
        self.grant.held(self.key)
    }

    #[cfg(any(
        feature = "postgres",
        feature = "sqlx",
        feature = "mysql",
        feature = "sqlite"
    ))]
    pub(crate) fn mode_mut(&mut self) -> &mut M {
        &mut self.mode
    }
}

impl<'t, T> Run<InTx<'t, T>> {
    /// The transaction that the effect belongs into.
    pub const fn transaction(&mut self) -> &mut T {
        self.mode.tx
    }
}

impl<S: Store> Run<Leased<S>> {
    pub(crate) const fn leased(
        key: ScopeKey,
        grant: Grant,
        store: Arc<S>,
        settings: Settings,
    ) -> Self {
        Self::new(key, grant, Leased { store, settings })
    }

    pub(crate) const fn store(&self) -> &Arc<S> {
        &self.mode.store
    }

    pub(crate) const fn settings(&self) -> &Settings {
        &self.mode.settings
    }

    /// Records that the event has run, with what it gave: repeats get it as their answer. A result
    /// of more than [`RESULT_BYTES_MAX`] is not kept.
    ///
    /// # Errors
    /// The store did not answer. The effect has happened: say so to the sender, who must not be
    /// made to repeat it, and look.
    pub async fn complete(self, result: &[u8]) -> Result<Completed, StoreError> {
        complete(&*self.mode.store, &self.held(), result, &self.mode.settings).await
    }

    /// Gives the event back: it may be tried again after `retry_after`.
    ///
    /// # Errors
    /// The store did not answer; the lease will lapse.
    pub async fn release(self, retry_after: Duration, error: &str) -> Result<Hold, StoreError> {
        let held = self.held();
        self.mode.store.release(&held, retry_after, error).await
    }

    /// Records that the event will never succeed.
    ///
    /// # Errors
    /// The store did not answer; the lease will lapse, and the event be tried again.
    pub async fn fail(self, error: &str) -> Result<Hold, StoreError> {
        let retention = self.mode.settings.retention;
        self.mode.store.fail(&self.held(), error, retention).await
    }

    /// Starts the lease anew. Whoever hears [`Hold::Fenced`] stops working: somebody else runs the
    /// event.
    ///
    /// # Errors
    /// The store did not answer; the lease may be as it was.
    pub async fn renew(&self) -> Result<Hold, StoreError> {
        let lease = self.mode.settings.lease;
        self.mode.store.renew(&self.held(), lease).await
    }

    /// Does a part of the work once per generation: what an earlier attempt kept is not done again.
    /// `work` gets the key that makes a repeat one effect in the system that it calls, for the
    /// moment between the effect and the keeping of its result.
    ///
    /// # Errors
    /// The work's own, or the store's; the attempt then ends in a release or in a lapsed lease,
    /// and the next one starts at the first step that is missing.
    pub async fn step<E>(
        &self,
        name: &str,
        work: impl AsyncFnOnce(StepKey) -> Result<Vec<u8>, E>,
    ) -> Result<Vec<u8>, StepError<E>> {
        step(&*self.mode.store, &self.held(), name, work).await
    }
}

pub(crate) async fn complete<S: Store>(
    store: &S,
    held: &Held,
    result: &[u8],
    settings: &Settings,
) -> Result<Completed, StoreError> {
    let kept = (result.len() <= RESULT_BYTES_MAX).then_some(result);
    let completion = store.complete(held, kept, settings.retention).await?;
    Ok(match completion {
        Completion::Applied | Completion::AlreadyComplete => Completed::Applied,
        Completion::Fenced | Completion::Gone => Completed::Fenced,
    })
}

pub(crate) async fn step<S: Store, E>(
    store: &S,
    held: &Held,
    name: &str,
    work: impl AsyncFnOnce(StepKey) -> Result<Vec<u8>, E>,
) -> Result<Vec<u8>, StepError<E>> {
    let key = held
        .key
        .step(name, held.generation)
        .map_err(StepError::Name)?;
    if let Some(kept) = store
        .load_step(held, name)
        .await
        .map_err(StepError::Store)?
    {
        return Ok(kept);
    }
    let result = work(key).await.map_err(StepError::Work)?;
    if result.len() > RESULT_BYTES_MAX {
        return Err(StepError::TooLarge);
    }
    let saved = store.save_step(held, name, &result).await;
    match saved.map_err(StepError::Store)? {
        Saved::Saved => Ok(result),
        Saved::Fenced => Err(StepError::Fenced),
    }
}

impl<M> fmt::Debug for Run<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Run")
            .field("key", &self.key)
            .field("grant", &self.grant)
            .finish_non_exhaustive()
    }
}

impl<M> fmt::Debug for Begun<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Run(run) => run.fmt(f),
            Self::Done { result } => f.debug_struct("Done").field("result", result).finish(),
            Self::Busy { retry_after } => {
                let mut busy = f.debug_struct("Busy");
                busy.field("retry_after", retry_after).finish()
            }
            Self::Conflict { state } => f.debug_struct("Conflict").field("state", state).finish(),
            Self::Dead { error } => f.debug_struct("Dead").field("error", error).finish(),
        }
    }
}
