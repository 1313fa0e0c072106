//! The loop that takes replays forward: one small step of each after the other, beside live traffic.
//!
//! It holds nothing that matters. What a step came to is in the store when the step ends, so
//! whoever comes next, after a crash or on another node, goes on where it stopped.

use std::sync::Arc;
use std::time::Duration;

use hooklatch_core::replay::{Replay, ReplayStatus};
use hooklatch_core::time::Millis;
use hooklatch_store::{ReplayHolder, Store, StoreError, look_for_plan};
use tokio::sync::Notify;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

/// How long the loop sleeps where nothing moves and nobody says anything.
const IDLE: Duration = Duration::from_secs(1);
/// How often the lease on what moves is made to last longer, and others are looked for.
const HOLD_EVERY: Duration = Duration::from_secs(2);
/// How long a lease lasts: so long a replay stands still when its node dies.
const LEASE: Millis = Millis::from_seconds(10);
/// Between two pages of a plan: readers have other work as well.
const PAGE_PAUSE: Duration = Duration::from_millis(2);

/// Takes replays forward until it is told to stop. `changed` is notified when one was made or
/// commanded on this node; what other nodes did is found within a second.
pub async fn run(store: Arc<dyn Store>, changed: Arc<Notify>, stop: CancellationToken) {
    let mut runner = Runner {
        store,
        holder: ReplayHolder(rand::random::<i64>() | 1),
        held: Vec::new(),
        held_at: None,
        failing: false,
    };
    while !stop.is_cancelled() {
        let wait = runner.turn().await;
        tokio::select! {
            () = sleep(wait) => {}
            () = changed.notified() => runner.held_at = None,
            () = stop.cancelled() => return,
        }
    }
}

struct Runner {
    store: Arc<dyn Store>,
    holder: ReplayHolder,
    held: Vec<Replay>,
    held_at: Option<Instant>,
    /// The store failed the last time: it is said once.
    failing: bool,
}

impl Runner {
    /// Takes each replay one step further; answers how long nothing is to be done.
    async fn turn(&mut self) -> Duration {
        match self.try_turn().await {
            Ok(wait) => {
                self.failing = false;
                wait
            }
            Err(error) => {
                if !self.failing {
                    let error = &error as &dyn std::error::Error;
                    tracing::warn!(error, "replays wait: the store does not take them forward");
                }
                self.failing = true;
                self.held.clear();
                IDLE
            }
        }
    }

    async fn try_turn(&mut self) -> Result<Duration, StoreError> {
        let stale = self.held_at.is_none_or(|at| at.elapsed() > HOLD_EVERY);
        if stale || self.held.is_empty() {
            self.held = self.store.hold_replays(self.holder, LEASE).await?;
            self.held_at = Some(Instant::now());
        }
        let mut wait = IDLE;
        for replay in std::mem::take(&mut self.held) {
            if let Some((moved, pause)) = self.step(&replay).await? {
                wait = wait.min(pause);
                self.held.push(moved);
            }
        }
        Ok(wait)
    }

    /// Takes a replay one step further; none where there is nothing more to do here.
    async fn step(&self, replay: &Replay) -> Result<Option<(Replay, Duration)>, StoreError> {
        let moved = match replay.status() {
            ReplayStatus::Planning => {
                let step = look_for_plan(&*self.store, replay).await?;
                self.store.plan_replay(self.holder, step).await?
            }
            ReplayStatus::Running => self.store.step_replay(self.holder, replay.id()).await?,
            ReplayStatus::Ready
            | ReplayStatus::Paused
            | ReplayStatus::Done
            | ReplayStatus::Cancelled => None,
        };
        let Some(moved) = moved.filter(|moved| moved.status().is_moving()) else {
            return Ok(None);
        };
        let pause = match moved.status() {
            ReplayStatus::Running => {
                let wait = moved.next_step_in(self.store.now()).get();
                Duration::from_millis(wait.unsigned_abs())
            }
            ReplayStatus::Planning
            | ReplayStatus::Ready
            | ReplayStatus::Paused
            | ReplayStatus::Done
            | ReplayStatus::Cancelled => PAGE_PAUSE,
        };
        Ok(Some((moved, pause)))
    }
}
