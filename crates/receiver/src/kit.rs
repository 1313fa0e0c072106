//! The kit: begins events in a store, and runs handlers so that each has its effect once.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::claim::{Claim, Claimed, Hold, Intent, Metadata, StateName};
use crate::event::{Event, Observer, Reason, Silent, Told};
use crate::key::{Fingerprint, ScopeKey};
use crate::run::{Begun, Leased, Run, Settings};
use crate::store::{Store, StoreError};
use crate::token;

/// How often an event that runs elsewhere is looked at while somebody waits for it.
const WAIT_STEP: Duration = Duration::from_millis(50);

/// A store, and how events are run on it. Cheap to clone.
pub struct Receiver<S> {
    pub(crate) store: Arc<S>,
    pub(crate) settings: Settings,
    pub(crate) observer: Arc<dyn Observer>,
}

/// One arrival of an event.
#[derive(Debug, Clone)]
pub struct Delivery {
    /// The event, for one consumer.
    pub key: ScopeKey,
    /// The payload.
    pub fingerprint: Fingerprint,
    /// What is known of it.
    pub metadata: Metadata,
    /// Whether it was delivered, or an operator wants it once more.
    pub intent: Intent,
    /// Why it comes again, if it does and the sender says so.
    pub reason: Reason,
}

/// The store could not answer. Nothing was run: repeating is safe.
#[derive(Debug, thiserror::Error)]
#[error("the store is unavailable; nothing was run, repeating is safe")]
pub struct Unavailable(#[from] StoreError);

impl Delivery {
    /// A delivery of which nothing more is known.
    pub fn new(key: ScopeKey, fingerprint: Fingerprint) -> Self {
        Self {
            key,
            fingerprint,
            metadata: Metadata::default(),
            intent: Intent::Delivery,
            reason: Reason::Unknown,
        }
    }

    /// The same, with what is known of the event.
    #[must_use]
    pub fn with_metadata(mut self, metadata: Metadata) -> Self {
        self.metadata = metadata;
        self
    }

    /// The same, to run even if the event is completed or dead. Only ever for an operator.
    #[must_use]
    pub fn forced(mut self) -> Self {
        self.intent = Intent::Replay;
        self
    }
}

impl<S: Store> Receiver<S> {
    /// A kit on this store.
    pub fn new(store: S, settings: Settings) -> Self {
        Self {
            store: Arc::new(store),
            settings,
            observer: Arc::new(Silent),
        }
    }

    /// The same kit, which tells what happens.
    #[must_use]
    pub fn with_observer(mut self, observer: impl Observer) -> Self {
        self.observer = Arc::new(observer);
        self
    }

    /// The store.
    pub fn store(&self) -> &S {
        &self.store
    }

    /// How events are run.
    pub const fn settings(&self) -> &Settings {
        &self.settings
    }

    /// What a delivery asks of a store: for `begin_in`, where record and effect are one commit.
    pub fn claim(&self, delivery: &Delivery) -> Claim {
        Claim {
            key: delivery.key,
            fingerprint: delivery.fingerprint,
            token: token::random(),
            lease: self.settings.lease,
            attempts_max: self.settings.attempts_max,
            retention: self.settings.retention,
            intent: delivery.intent,
            metadata: delivery.metadata.clone(),
        }
    }

    /// Begins to run an event, or says why not. Whoever wants a handler run with all that belongs
    /// to it (its own task, a deadline, renewals, panics) calls [`once`](Self::once) instead.
    ///
    /// # Errors
    /// The store does not answer. Do not run the event.
    pub async fn begin(&self, delivery: &Delivery) -> Result<Begun<Leased<S>>, Unavailable> {
        let claim = self.claim(delivery);
        let claimed = self.claim_with_one_retry(&claim).await?;
        let told = self.told(delivery);
        tell_claimed(&told, &claimed, delivery.reason);
        Ok(match claimed {
            Claimed::Run(grant) => {
                let store = Arc::clone(&self.store);
                Begun::Run(Run::leased(delivery.key, grant, store, self.settings))
            }
            Claimed::Busy { retry_after } => Begun::Busy { retry_after },
            Claimed::Done { result } => Begun::Done { result },
            Claimed::Conflict { state } => Begun::Conflict { state },
            Claimed::Dead { error } => Begun::Dead { error },
        })
    }

    /// The same, but waits for an event that runs elsewhere, as long as the settings say.
    pub(crate) async fn begin_or_wait(
        &self,
        delivery: &Delivery,
    ) -> Result<Begun<Leased<S>>, Unavailable> {
        let give_up = Instant::now() + self.settings.busy_wait;
        loop {
            let begun = self.begin(delivery).await?;
            let Begun::Busy { retry_after } = begun else {
                return Ok(begun);
            };
            let left = give_up.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(Begun::Busy { retry_after });
            }
            tokio::time::sleep(left.min(WAIT_STEP)).await;
        }
    }

    /// An answer that was lost may hide a claim of our own: the same token finds it again.
    async fn claim_with_one_retry(&self, claim: &Claim) -> Result<Claimed, StoreError> {
        match self.store.claim(claim).await {
            Ok(claimed) => Ok(claimed),
            Err(_) => self.store.claim(claim).await,
        }
    }

    /// Counts an attempt that was rolled back together with its record: the event may be tried
    /// again after `retry_after`, or is dead once its attempts are used up. For
    /// `begin_in`, after the rollback.
    ///
    /// # Errors
    /// The store does not answer; the attempt is not counted.
    pub async fn note_failure(
        &self,
        delivery: &Delivery,
        retry_after: Duration,
        error: &str,
    ) -> Result<(), Unavailable> {
        let claimed = self.claim_with_one_retry(&self.claim(delivery)).await?;
        if let Claimed::Run(grant) = claimed {
            let held = grant.held(delivery.key);
            self.give_back(
                &self.told(delivery),
                &held,
                grant.attempt,
                retry_after,
                error,
            )
            .await?;
        }
        Ok(())
    }

    /// Releases an attempt, or buries its event if it was the last one.
    pub(crate) async fn give_back(
        &self,
        told: &Told,
        held: &crate::claim::Held,
        attempt: u32,
        retry_after: Duration,
        error: &str,
    ) -> Result<GivenBack, StoreError> {
        if attempt < self.settings.attempts_max {
            let hold = self.store.release(held, retry_after, error).await?;
            return Ok(match hold {
                Hold::Kept => {
                    told.tell(&Event::Released { error });
                    GivenBack::Released
                }
                Hold::Fenced => GivenBack::Fenced,
            });
        }
        let error = crate::machine::gave_up(attempt, Some(error));
        self.bury(told, held, &error).await
    }

    /// Records that an event will never succeed.
    pub(crate) async fn bury(
        &self,
        told: &Told,
        held: &crate::claim::Held,
        error: &str,
    ) -> Result<GivenBack, StoreError> {
        let hold = self
            .store
            .fail(held, error, self.settings.retention)
            .await?;
        Ok(match hold {
            Hold::Kept => {
                told.tell(&Event::Dead { error });
                GivenBack::Dead
            }
            Hold::Fenced => GivenBack::Fenced,
        })
    }

    pub(crate) fn told(&self, delivery: &Delivery) -> Told {
        Told {
            observer: Arc::clone(&self.observer),
            key: delivery.key,
            metadata: delivery.metadata.clone(),
        }
    }
}

/// What became of an attempt that failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum GivenBack {
    Released,
    Dead,
    Fenced,
}

fn tell_claimed(told: &Told, claimed: &Claimed, reason: Reason) {
    let event = match claimed {
        Claimed::Run(grant) => Event::Begun {
            origin: grant.origin,
            attempt: grant.attempt,
        },
        Claimed::Busy { .. } => Event::Duplicate {
            state: StateName::Processing,
            reason: Reason::Concurrent,
        },
        Claimed::Done { .. } => Event::Duplicate {
            state: StateName::Completed,
            reason,
        },
        Claimed::Dead { .. } => Event::Duplicate {
            state: StateName::Dead,
            reason,
        },
        Claimed::Conflict { state } => Event::Conflict { state: *state },
    };
    told.tell(&event);
}

impl<S> Clone for Receiver<S> {
    fn clone(&self) -> Self {
        Self {
            store: Arc::clone(&self.store),
            settings: self.settings,
            observer: Arc::clone(&self.observer),
        }
    }
}
