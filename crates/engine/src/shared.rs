//! What the loop, the attempts and the handle of one engine share.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use hooklatch_core::delivery::Lane;
use hooklatch_core::delivery::control::LaneControl;
use hooklatch_core::delivery::scheduler::{Room, Scheduler};
use hooklatch_core::time::Millis;
use hooklatch_egress::Sender;
use hooklatch_store::{Deliveries, LeaseTerms, Terms};
use tokio::sync::Notify;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::destination::{lane_control, lane_terms};
use crate::directory::Directory;
use crate::settings::{Settings, millis};
use crate::standing::Told;
use crate::tokens::Tokens;
use crate::trace::Tracer;
use crate::transformer::Transformer;

pub(crate) struct Shared {
    pub store: Arc<dyn Deliveries>,
    pub directory: Arc<dyn Directory>,
    pub sender: Sender,
    pub transformer: Arc<dyn Transformer>,
    /// What takes the spans of attempts.
    pub tracer: Option<Arc<Tracer>>,
    /// What was told of endpoints.
    pub told: Told,
    /// What lets us in where a token is wanted.
    pub tokens: Tokens,
    /// Held for a few counts only, and never across an await.
    scheduler: Mutex<Scheduler>,
    started: Instant,
    /// There is something to poll the scheduler for.
    pub work: Notify,
    /// The last attempt under way ended.
    idle: Notify,
    /// Nothing more is leased.
    pub stop: CancellationToken,
    /// Attempts under way end now.
    pub cut: CancellationToken,
}

impl Shared {
    pub(crate) fn new(
        store: Arc<dyn Deliveries>,
        directory: Arc<dyn Directory>,
        sender: Sender,
        transformer: Arc<dyn Transformer>,
        settings: &Settings,
        stop: CancellationToken,
    ) -> Self {
        Self {
            store,
            directory,
            sender,
            transformer,
            tracer: settings.tracer.clone(),
            told: Told::default(),
            tokens: Tokens::default(),
            scheduler: Mutex::new(Scheduler::new(settings.limits())),
            started: Instant::now(),
            work: Notify::new(),
            idle: Notify::new(),
            stop,
            cut: CancellationToken::new(),
        }
    }

    /// The scheduler. A panic elsewhere never leaves it half-changed: it does no work of others.
    pub(crate) fn scheduler(&self) -> MutexGuard<'_, Scheduler> {
        self.scheduler
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// The time on the scheduler's clock.
    pub(crate) fn now(&self) -> Millis {
        millis(self.started.elapsed())
    }

    /// When the scheduler's clock shows `time`.
    pub(crate) fn instant(&self, time: Millis) -> Instant {
        self.started + std::time::Duration::from_millis(time.get().unsigned_abs())
    }

    /// Waits until no attempt is under way.
    pub(crate) async fn idle(&self) {
        while self.scheduler().in_flight() > 0 {
            self.idle.notified().await;
        }
    }

    /// Something may have become due.
    pub(crate) fn wake(&self) {
        self.scheduler().handle_woken();
        self.work.notify_one();
    }
}

impl LeaseTerms for Shared {
    fn terms(&self, lane: Lane) -> Terms {
        let terms = lane_terms(&*self.directory, lane);
        Terms {
            capacity: self.scheduler().capacity(lane, terms.capacity),
            ..terms
        }
    }

    fn control(&self, lane: Lane) -> Option<LaneControl> {
        lane_control(&*self.directory, lane)
    }
}

/// The place of one leased delivery. It comes back however the attempt ends, by a panic too; the
/// delivery itself is then found again when its lease ends.
pub(crate) struct Slot {
    shared: Arc<Shared>,
    lane: Lane,
}

impl Slot {
    /// Takes the place of a delivery that was just leased.
    pub(crate) fn take(shared: &Arc<Shared>, lane: Lane) -> Self {
        shared.scheduler().handle_leased(lane);
        Self {
            shared: Arc::clone(shared),
            lane,
        }
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let mut scheduler = self.shared.scheduler();
        let room = scheduler.handle_finished(self.lane);
        let idle = scheduler.in_flight() == 0;
        drop(scheduler);
        match room {
            Room::Wanted => self.shared.work.notify_one(),
            Room::NotWanted => {}
        }
        if idle {
            self.shared.idle.notify_one();
        }
    }
}
