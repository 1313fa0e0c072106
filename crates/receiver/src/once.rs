//! Runs a handler once per event, in a task of its own.
//!
//! A client that hangs up drops the future that waits for the answer, and with it nothing else: the
//! handler goes on, its lease is renewed, and its end is recorded. Who was overtaken is stopped.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::{JoinError, JoinHandle};

use crate::claim::{Held, Hold, StateName};
use crate::event::{Event, Told};
use crate::key::{KeyError, StepKey};
use crate::kit::{Delivery, GivenBack, Receiver, Unavailable};
use crate::run::{self, Begun, Completed, Leased, Run, Settings, StepError};
use crate::store::{Store, StoreError};

/// How long a completion that failed is tried again in the background, in leases: after that
/// somebody else has taken over.
const COMPLETE_RETRY_LEASES: u32 = 10;
const COMPLETE_RETRY_FIRST: Duration = Duration::from_millis(100);
const COMPLETE_RETRY_MAX: Duration = Duration::from_secs(30);

/// Why a handler did not do its work.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Failure {
    /// It may succeed another time.
    Retry {
        /// When; the settings' `retry_after` if it does not know.
        after: Option<Duration>,
        /// Why, for people.
        error: String,
    },
    /// It never will.
    Permanent {
        /// Why, for people.
        error: String,
    },
}

/// What became of a delivery.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use]
pub enum Outcome {
    /// The handler ran, and did its work.
    Ran {
        /// What it gave.
        result: Vec<u8>,
        /// Whether that is on record. If not, the effect may happen again; answer with success all
        /// the same, because a refusal makes sure that it does.
        completed: Completed,
    },
    /// The handler ran and failed; it may be tried again.
    Failed {
        /// When.
        retry_after: Duration,
        /// Why.
        error: String,
    },
    /// The handler ran and failed, for good.
    Died {
        /// Why.
        error: String,
    },
    /// Somebody else took over while the handler ran; it was stopped.
    LeaseLost,
    /// The event has run before.
    Done {
        /// What it gave; none if that was too large, or the store has lost it.
        result: Option<Vec<u8>>,
    },
    /// It is being run, or it was released until later.
    Busy {
        /// When to ask again.
        retry_after: Duration,
    },
    /// The key is known with another payload.
    Conflict {
        /// How far the other one is.
        state: StateName,
    },
    /// It failed before, for good.
    Dead {
        /// Why.
        error: String,
    },
}

/// What a handler has in its hands: the attempt that it runs. Cheap to clone.
pub struct Work<S> {
    store: Arc<S>,
    held: Held,
    attempt: u32,
    fence: u64,
}

impl<S: Store> Work<S> {
    fn of(run: &Run<Leased<S>>) -> Self {
        Self {
            store: Arc::clone(run.store()),
            held: run.held(),
            attempt: run.attempt(),
            fence: run.fence(),
        }
    }

    /// From 1, within the generation.
    pub const fn attempt(&self) -> u32 {
        self.attempt
    }

    /// Larger in each later run of the event.
    pub const fn fence(&self) -> u64 {
        self.fence
    }

    /// What a call to another system gets as its idempotency key.
    ///
    /// # Errors
    /// A step has a name, and not a long one.
    pub fn step_key(&self, step: &str) -> Result<StepKey, KeyError> {
        self.held.key.step(step, self.held.generation)
    }

    /// Does a part of the work once per generation; see [`Run::step`].
    ///
    /// # Errors
    /// The work's own, or the store's.
    pub async fn step<E>(
        &self,
        name: &str,
        work: impl AsyncFnOnce(StepKey) -> Result<Vec<u8>, E>,
    ) -> Result<Vec<u8>, StepError<E>> {
        run::step(&*self.store, &self.held, name, work).await
    }
}

impl<S> Clone for Work<S> {
    fn clone(&self) -> Self {
        Self {
            store: Arc::clone(&self.store),
            held: self.held,
            attempt: self.attempt,
            fence: self.fence,
        }
    }
}

impl<S: Store> Receiver<S> {
    /// Runs `handler` unless the event has run, is being run, or never will.
    ///
    /// The handler runs in a task of its own, up to the settings' deadline, under a lease that is
    /// renewed. A panic counts as a failed attempt.
    ///
    /// # Errors
    /// The store does not answer: nothing was run.
    pub async fn once<H, F>(&self, delivery: Delivery, handler: H) -> Result<Outcome, Unavailable>
    where
        H: FnOnce(Work<S>) -> F + Send + 'static,
        F: Future<Output = Result<Vec<u8>, Failure>> + Send + 'static,
    {
        // From the claim on it is a task of its own: whoever is dropped between the claim and the
        // handler would hold the event until its lease lapses.
        let kit = self.clone();
        let task = tokio::spawn(async move {
            let run = match kit.begin_or_wait(&delivery).await? {
                Begun::Run(run) => run,
                Begun::Done { result } => return Ok(Outcome::Done { result }),
                Begun::Busy { retry_after } => return Ok(Outcome::Busy { retry_after }),
                Begun::Conflict { state } => return Ok(Outcome::Conflict { state }),
                Begun::Dead { error } => return Ok(Outcome::Dead { error }),
            };
            let handling = tokio::spawn(handler(Work::of(&run)));
            Ok(kit.attend(&delivery, run, handling).await)
        });
        match task.await {
            Ok(outcome) => outcome,
            Err(error) => std::panic::resume_unwind(error.into_panic()),
        }
    }

    async fn attend(
        &self,
        delivery: &Delivery,
        run: Run<Leased<S>>,
        mut handling: JoinHandle<Result<Vec<u8>, Failure>>,
    ) -> Outcome {
        let told = self.told(delivery);
        let deadline = tokio::time::sleep(self.settings.deadline);
        let ended = tokio::select! {
            handled = &mut handling => Ended::of(handled),
            () = lost(&run) => Ended::Lost,
            () = deadline => Ended::Late,
        };
        let failure = match ended {
            Ended::Handled(Ok(result)) => return self.finish(told, &run, result).await,
            Ended::Handled(Err(failure)) => failure,
            Ended::Panicked => retry("the handler panicked"),
            Ended::Late => match stop(handling).await {
                Some(result) => return self.finish(told, &run, result).await,
                None => retry("the handler did not end within its deadline"),
            },
            Ended::Lost => {
                told.tell(&Event::LeaseLost);
                return match stop(handling).await {
                    Some(result) => self.finish(told, &run, result).await,
                    None => Outcome::LeaseLost,
                };
            }
        };
        self.fail(&told, &run, failure).await
    }

    async fn finish(&self, told: Told, run: &Run<Leased<S>>, result: Vec<u8>) -> Outcome {
        let held = run.held();
        let completed = run::complete(&*self.store, &held, &result, &self.settings).await;
        let completed = completed.unwrap_or(Completed::Unknown);
        match completed {
            Completed::Applied => told.tell(&Event::Completed),
            Completed::Fenced => told.tell(&Event::CompleteFailed { fenced: true }),
            Completed::Unknown => {
                told.tell(&Event::CompleteFailed { fenced: false });
                let (store, settings) = (Arc::clone(&self.store), self.settings);
                let result = result.clone();
                tokio::spawn(async move {
                    if complete_later(&*store, &held, &result, &settings).await {
                        told.tell(&Event::Completed);
                    }
                });
            }
        }
        Outcome::Ran { result, completed }
    }

    async fn fail(&self, told: &Told, run: &Run<Leased<S>>, failure: Failure) -> Outcome {
        let held = run.held();
        let (retry_after, error, given_back) = match failure {
            Failure::Retry { after, error } => {
                let after = after.unwrap_or(self.settings.retry_after);
                let given_back = self.give_back(told, &held, run.attempt(), after, &error);
                let given_back = given_back.await;
                (after, error, given_back)
            }
            Failure::Permanent { error } => {
                let given_back = self.bury(told, &held, &error).await;
                (self.settings.retry_after, error, given_back)
            }
        };
        match given_back {
            Ok(GivenBack::Released) => Outcome::Failed { retry_after, error },
            Ok(GivenBack::Dead) => Outcome::Died { error },
            Ok(GivenBack::Fenced) => {
                told.tell(&Event::LeaseLost);
                Outcome::LeaseLost
            }
            // The lease lapses; until then the event is busy.
            Err(StoreError { .. }) => Outcome::Failed {
                retry_after: self.settings.lease,
                error,
            },
        }
    }
}

/// How a handler came to its end.
enum Ended {
    Handled(Result<Vec<u8>, Failure>),
    Panicked,
    Late,
    Lost,
}

impl Ended {
    fn of(handled: Result<Result<Vec<u8>, Failure>, JoinError>) -> Self {
        match handled {
            Ok(handled) => Self::Handled(handled),
            // Nobody else aborts the task, so that this is a panic, or the runtime's end.
            Err(_) => Self::Panicked,
        }
    }
}

fn retry(error: &str) -> Failure {
    Failure::Retry {
        after: None,
        error: error.to_owned(),
    }
}

/// Ends when somebody else has taken over. A store that does not answer is asked again: the lease
/// may have lapsed by then, but nobody else can have taken it from a store that is down.
async fn lost<S: Store>(run: &Run<Leased<S>>) {
    let third = run.settings().lease / 3;
    loop {
        tokio::time::sleep(third).await;
        if matches!(run.renew().await, Ok(Hold::Fenced)) {
            return;
        }
    }
}

/// Stops a handler, and waits until it has stopped: nothing of it runs beside the next attempt.
/// One that did its work all the same has had its effect, and is answered as one that did.
async fn stop(handling: JoinHandle<Result<Vec<u8>, Failure>>) -> Option<Vec<u8>> {
    handling.abort();
    handling.await.ok()?.ok()
}

/// Tries to record a completion until the store answers, or until it cannot matter any more.
async fn complete_later<S: Store>(
    store: &S,
    held: &Held,
    result: &[u8],
    settings: &Settings,
) -> bool {
    let give_up = tokio::time::Instant::now() + settings.lease * COMPLETE_RETRY_LEASES;
    let mut pause = COMPLETE_RETRY_FIRST;
    while tokio::time::Instant::now() < give_up {
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(COMPLETE_RETRY_MAX);
        if let Ok(completed) = run::complete(store, held, result, settings).await {
            return completed == Completed::Applied;
        }
    }
    false
}
