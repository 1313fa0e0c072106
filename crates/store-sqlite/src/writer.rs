//! The one thread that writes: takes what waits, does all of it in one transaction, syncs once,
//! then answers everyone.
//!
//! Whoever is answered can rely on the disk (INV-7); whoever got an error can rely on nothing
//! having happened. If one operation of a batch turns out to be impossible, the batch is rolled
//! back and each is done by itself, so that nobody fails for another's sake.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use hooklatch_core::ids::{MessageId, Mint};
use hooklatch_core::shadow::ShadowSums;
use hooklatch_core::time::Timestamp;
use hooklatch_store::node::LaneChange;
use hooklatch_store::{Clock, Wake};
use rusqlite::Connection;

use crate::checkpoint::Checkpoints;
use crate::fault::Fault;
use crate::filter::KeyHash;
use crate::memory::{Effects, Memory, Work};
use crate::queue::{End, Operation, Queue, Taken};
use crate::{listing, receiving, schema, shadows};

/// For how long the writer sleeps when nothing comes.
const PATIENCE: Duration = Duration::from_secs(1);
/// For how long the writer lets others join at most.
const LINGER_MAX: Duration = Duration::from_millis(2);
/// Within less than this nobody comes; where a sync is that fast, a second one costs little.
const LINGER_MIN: Duration = Duration::from_micros(100);
/// Between two steps of removing what has ended.
const PRUNE_PAUSE: Duration = Duration::from_millis(50);
/// Between two looks whether claims of receivers have expired.
const SWEEP_PAUSE: Duration = Duration::from_secs(5);
/// Claims of receivers that are removed in one step.
const SWEPT_PER_STEP: usize = 100;

/// A transaction under way, with the facts that operations decide upon.
pub(crate) struct Batch<'a> {
    /// The connection, inside the transaction.
    pub db: &'a Connection,
    /// The time of the batch.
    pub now: Timestamp,
    /// Numbers what is made.
    pub mint: &'a mut Mint,
    /// The memory as of the last commit.
    pub memory: &'a Memory,
    /// The file's secret.
    pub secret: &'a [u8; 32],
    /// What this batch changes in memory.
    pub effects: Effects,
    /// The first number that this batch minted: what has it or a larger one is not answered yet.
    pub first: i64,
    /// What rules in shadow mode have said in this batch.
    pub shadows: ShadowSums,
}

impl Batch<'_> {
    /// When a message was answered; none while its own batch is under way.
    pub(crate) fn answered_at(&self, id: MessageId, decided_at: Timestamp) -> Option<Timestamp> {
        if id.number() >= self.first {
            return None;
        }
        Some(self.memory.answered.at(id).unwrap_or(decided_at))
    }

    /// Notes that a claim was written, and when it ends.
    pub(crate) fn claimed(&mut self, key: KeyHash, end: Timestamp) {
        let last_end = self.effects.claimed.entry(key).or_default();
        *last_end = end.max(*last_end);
    }

    /// Notes that something is due in a lane.
    pub(crate) fn due(&mut self, lane: hooklatch_core::delivery::Lane, at: Timestamp) {
        self.effects.lanes.push(LaneChange::Due(lane, at));
    }
}

/// Whom to call when something may have become due.
pub(crate) type Wakes = Arc<Mutex<Vec<Wake>>>;

/// The writer.
pub(crate) struct Writer {
    /// The file.
    pub path: PathBuf,
    /// The connection that writes.
    pub db: Connection,
    /// What waits.
    pub queue: Arc<Queue>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Numbers what is made.
    pub mint: Mint,
    /// The memory.
    pub memory: Memory,
    /// The file's secret.
    pub secret: [u8; 32],
    /// Moves what was written from the log to its place.
    pub checkpoints: Arc<Checkpoints>,
    /// Whom to call.
    pub wakes: Wakes,
    /// How the last batches went.
    pub pace: Pace,
    /// Whether the last batch failed for want of a working disk.
    pub troubled: Arc<AtomicBool>,
}

/// How the last batches went.
#[derive(Default)]
pub(crate) struct Pace {
    /// How many operations the last one held, with those that came while it was committed: all
    /// of them may call anew.
    callers: usize,
    /// How long its commit took.
    commit: Duration,
    /// When something that had ended was last removed; none before the first time.
    pruned: Option<Instant>,
    /// Removing failed for a reason of ours; it is not tried again before the next start.
    pruning_stopped: bool,
    /// When claims of receivers were last swept; none before the first time.
    swept: Option<Instant>,
    /// How long after that it is time again.
    sweep_pause: Duration,
}

impl Pace {
    /// For how long the others are waited for: a tenth of the last commit, and only where there
    /// are others. Those who were just answered then join those who came in the meantime; else
    /// two half crowds take turns for ever, each waiting for the other's sync.
    fn linger(&self) -> Duration {
        let linger = (self.commit / 10).min(LINGER_MAX);
        if self.callers > 1 && linger >= LINGER_MIN {
            linger
        } else {
            Duration::ZERO
        }
    }
}

impl Writer {
    /// Works until the queue is closed and, unless it was abandoned, empty.
    pub(crate) fn run(&mut self) -> End {
        let mut operations = Vec::new();
        loop {
            let linger = self.pace.linger();
            let patience = if self.pruning_is_due() {
                PRUNE_PAUSE
            } else {
                PATIENCE
            };
            let queue = Arc::clone(&self.queue);
            match queue.take(patience, self.pace.callers, linger, &mut operations) {
                Taken::Work => self.commit_together(&mut operations),
                Taken::Idle => {}
                Taken::Closed(end) => return end,
            }
            self.housekeep();
        }
    }

    fn commit_together(&mut self, operations: &mut Vec<Box<dyn Operation>>) {
        let committed = self.attempt(operations);
        self.pace.callers = operations.len() + self.queue.len();
        match committed {
            Err(fault) if fault.is_of_one_operation() && operations.len() > 1 => {
                tracing::warn!(%fault, "a batch was rolled back; doing its operations one by one");
                for operation in operations.drain(..) {
                    let mut alone = [operation];
                    let committed = self.attempt(&mut alone);
                    let [operation] = alone;
                    self.answer(operation, committed);
                }
            }
            committed => {
                for operation in operations.drain(..) {
                    self.answer(operation, committed.clone());
                }
            }
        }
    }

    fn answer(&self, operation: Box<dyn Operation>, committed: Result<Work, Fault>) {
        let work = committed.as_ref().is_ok_and(|work| *work == Work::Appeared);
        operation.answer(committed.map(|_| ()));
        if work {
            self.wake();
        }
    }

    fn wake(&self) {
        let wakes = self.wakes.lock().unwrap_or_else(PoisonError::into_inner);
        for wake in wakes.iter() {
            wake();
        }
    }

    /// Does the operations in one transaction, or none of them.
    fn attempt(&mut self, operations: &mut [Box<dyn Operation>]) -> Result<Work, Fault> {
        let now = self.clock.now();
        let first = self.mint.next(now);
        self.begin()?;
        let applied = {
            let mut batch = Batch {
                db: &self.db,
                now,
                mint: &mut self.mint,
                memory: &self.memory,
                secret: &self.secret,
                effects: Effects::default(),
                first,
                shadows: ShadowSums::default(),
            };
            let all = || {
                for operation in operations.iter_mut() {
                    operation.apply(&mut batch)?;
                }
                shadows::write(batch.db, &batch.shadows)?;
                batch.effects.listing = listing::step(&batch, operations.len())?;
                Ok(())
            };
            // What a panic leaves half done is only in the transaction, in the effects, and in
            // the mint, which may skip numbers.
            match catch_unwind(AssertUnwindSafe(all)) {
                Ok(done) => done.map(|()| batch.effects),
                Err(panic) => Err(Fault::Panicked(text_of(&*panic))),
            }
        };
        let before_commit = Instant::now();
        let committed = applied.and_then(|effects| {
            self.db.prepare_cached("COMMIT")?.execute([])?;
            Ok(effects)
        });
        self.pace.commit = before_commit.elapsed();
        match committed {
            Ok(effects) => {
                self.troubled.store(false, Ordering::Relaxed);
                let end = self.mint.next(now);
                self.memory.answered.note(first, end, self.clock.now());
                Ok(self.memory.apply(effects))
            }
            Err(fault) => {
                self.roll_back();
                self.troubled
                    .store(!fault.is_of_one_operation(), Ordering::Relaxed);
                Err(fault)
            }
        }
    }

    fn begin(&mut self) -> Result<(), Fault> {
        if !self.db.is_autocommit() {
            self.reopen()?;
        }
        self.db.prepare_cached("BEGIN IMMEDIATE")?.execute([])?;
        Ok(())
    }

    fn roll_back(&self) {
        // SQLite has already rolled back by itself after some errors.
        if !self.db.is_autocommit()
            && let Err(error) = self.db.execute_batch("ROLLBACK")
        {
            tracing::error!(%error, "failed to roll back; the file is opened anew before more");
        }
    }

    /// A connection that cannot end its transaction is of no use any more.
    fn reopen(&mut self) -> Result<(), Fault> {
        let mut db = schema::open_writer(&self.path)?;
        self.checkpoints.watch(&mut db)?;
        self.db = db;
        Ok(())
    }

    fn pruning_is_due(&self) -> bool {
        let rested = |pruned: Instant| pruned.elapsed() >= PRUNE_PAUSE;
        !self.pace.pruning_stopped
            && self.pace.pruned.is_none_or(rested)
            && self.memory.generations.has_ended(self.clock.now())
    }

    /// What is done between two batches.
    fn housekeep(&mut self) {
        if self.memory.generations.is_full()
            && let Err(fault) = self.memory.generations.rotate(&self.db)
        {
            tracing::error!(%fault, "failed to open a new generation of claims; trying again");
        }
        if self.pruning_is_due() {
            self.prune();
        }
        self.sweep_receiving();
        self.checkpoints.between_batches(&self.db);
    }

    /// Removes the claims of receivers that have expired, a few at a time.
    fn sweep_receiving(&mut self) {
        let rested = |swept: Instant| swept.elapsed() >= self.pace.sweep_pause;
        if !self.pace.swept.is_none_or(rested) {
            return;
        }
        self.pace.swept = Some(Instant::now());
        let swept = receiving::sweep_apart(&self.db, self.clock.now(), SWEPT_PER_STEP);
        let more = matches!(swept, Ok(SWEPT_PER_STEP));
        self.pace.sweep_pause = if more { PRUNE_PAUSE } else { SWEEP_PAUSE };
        if let Err(fault) = swept {
            tracing::error!(%fault, "failed to remove receivers' claims that have expired");
        }
    }

    fn prune(&mut self) {
        self.pace.pruned = Some(Instant::now());
        let now = self.clock.now();
        let generations = &mut self.memory.generations;
        let step = || generations.prune_step(&self.db, now);
        match catch_unwind(AssertUnwindSafe(step)) {
            Ok(Ok(())) => {}
            Ok(Err(fault)) => tracing::error!(%fault, "failed to remove claims that have ended"),
            Err(panic) => {
                let panic = text_of(&*panic);
                tracing::error!(%panic, "claims that seem to have ended are no longer removed");
                self.pace.pruning_stopped = true;
            }
        }
    }
}

fn text_of(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().cloned();
    let text = text.or_else(|| panic.downcast_ref::<&str>().map(|it| (*it).to_owned()));
    text.unwrap_or_else(|| "without a word".to_owned())
}
