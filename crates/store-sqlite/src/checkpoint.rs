//! Moves what was committed from the log to its place in the file, beside the writer.
//!
//! While the writer never rests, a checkpoint beside it never catches up, and a log that is not
//! caught up with cannot begin anew. Past a bound the writer therefore runs one itself, between
//! two batches.

use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use rusqlite::hooks::Wal;
use rusqlite::wal::CheckpointMode;
use rusqlite::{Connection, DEFAULT_NAME};

use crate::fault::Fault;
use crate::schema;

/// New pages in the log that are worth a checkpoint: 16 MiB.
const FRAMES_WORTH_IT: u32 = 4_096;
/// A log of this many pages is not left to a checkpoint beside the writer: 64 MiB.
const FRAMES_BEHIND: u32 = 16_384;
/// How often a checkpoint beside the writer tries to catch up.
const TRIES: u32 = 3;
/// A log of this many pages makes the writer run a checkpoint itself: 256 MiB.
const FRAMES_MAX: u32 = 65_536;

/// The pages in the log, and the wish to move them.
#[derive(Default)]
pub(crate) struct Checkpoints {
    frames: AtomicU32,
    asked_at: AtomicU32,
    wish: Mutex<Wish>,
    wished: Condvar,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Wish {
    #[default]
    Nothing,
    Checkpoint,
    End,
}

impl Checkpoints {
    /// Counts what a connection commits.
    pub(crate) fn watch(self: &Arc<Self>, db: &mut Connection) -> Result<(), Fault> {
        let counted = Arc::clone(self);
        db.wal_hook(Some(move |_: &mut Wal, frames| {
            let frames = u32::try_from(frames).unwrap_or(0);
            counted.frames.store(frames, Ordering::Relaxed);
            Ok(())
        }))?;
        Ok(())
    }

    /// Called by the writer between two batches.
    pub(crate) fn between_batches(&self, db: &Connection) {
        let frames = self.frames.load(Ordering::Relaxed);
        let asked_at = self.asked_at.load(Ordering::Relaxed);
        // A log that has begun anew is shorter than it was.
        let new = frames.checked_sub(asked_at).unwrap_or(frames);
        if new < FRAMES_WORTH_IT {
            return;
        }
        self.asked_at.store(frames, Ordering::Relaxed);
        if frames >= FRAMES_MAX {
            run(db);
        } else {
            self.wish(Wish::Checkpoint);
        }
    }

    /// Ends the thread.
    pub(crate) fn end(&self) {
        self.wish(Wish::End);
    }

    fn wish(&self, wish: Wish) {
        *self.lock() = wish;
        self.wished.notify_one();
    }

    fn lock(&self) -> MutexGuard<'_, Wish> {
        self.wish.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn await_wish(&self) -> Wish {
        let idle = |wish: &mut Wish| *wish == Wish::Nothing;
        let woken = self.wished.wait_while(self.lock(), idle);
        let mut wish = woken.unwrap_or_else(PoisonError::into_inner);
        match *wish {
            Wish::Nothing | Wish::Checkpoint => std::mem::take(&mut *wish),
            Wish::End => Wish::End,
        }
    }

    /// Starts the thread that runs checkpoints beside the writer.
    pub(crate) fn start(self: &Arc<Self>, path: &Path) -> Result<JoinHandle<()>, Fault> {
        let db = schema::open_writer(path)?;
        let wishes = Arc::clone(self);
        let thread = std::thread::Builder::new().name("sqlite-checkpoint".to_owned());
        let started = thread.spawn(move || {
            while wishes.await_wish() != Wish::End {
                catch_up(&db);
            }
        });
        Ok(started?)
    }
}

fn catch_up(db: &Connection) {
    for _ in 0..TRIES {
        match run(db) {
            Some(behind) if behind >= FRAMES_BEHIND => {}
            Some(_) | None => return,
        }
    }
}

/// Runs a checkpoint; answers how many pages are still only in the log.
fn run(db: &Connection) -> Option<u32> {
    match db.wal_checkpoint_v2(DEFAULT_NAME, CheckpointMode::PASSIVE) {
        Ok((frames, moved)) => u32::try_from(frames.saturating_sub(moved)).ok(),
        Err(error) => {
            tracing::warn!(%error, "failed to move the log's pages to their place; trying later");
            None
        }
    }
}
