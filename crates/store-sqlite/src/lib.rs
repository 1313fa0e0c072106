//! The embedded store: one SQLite file, one thread that writes, one sync for all who wait.
//!
//! Everything is in `hooklatch.db`, which any tool that knows SQLite can read. A write joins the
//! batch of those who wait, is decided upon by core inside the transaction, and is answered after
//! the commit. Readers have connections of their own and see every write that was answered.

mod admit;
mod audits;
mod backup;
mod checkpoint;
mod config;
mod deliveries;
mod due;
mod export;
mod fault;
mod figures;
mod filter;
mod follow;
mod generations;
mod history;
mod inspect;
mod lanes;
mod ledger;
mod listing;
mod memory;
mod open;
mod order;
mod pages;
mod queue;
mod readers;
mod receiving;
mod replays;
mod requests;
mod retention;
mod rows;
mod scan;
mod schema;
mod shadows;
mod stats;
mod store;
#[cfg(test)]
mod tests;
mod writer;

pub use backup::{BackedUp, BackupError, BackupProgress, BackupStage, Existing, back_up};
pub use export::Export;
pub use inspect::inspect;
pub use open::{OpenError, Options};

use std::path::Path;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use hooklatch_store::Clock;
use tokio::sync::watch;

use crate::queue::Queue;
use crate::readers::Readers;
use crate::writer::Wakes;

/// The embedded store.
pub struct SqliteStore {
    clock: Arc<dyn Clock>,
    secret: [u8; 32],
    queue: Arc<Queue>,
    readers: Arc<Readers>,
    wakes: Wakes,
    writer: Mutex<Option<JoinHandle<()>>>,
    closed: watch::Receiver<Closed>,
    /// Whether the last batch failed for want of a working disk.
    troubled: Arc<AtomicBool>,
}

/// How far the store is on its way to being closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Closed {
    No,
    Yes,
}

impl SqliteStore {
    /// Opens the store in a directory, and makes both if they do not exist.
    ///
    /// All leases are void: they ended with the process that gave them (O4).
    ///
    /// # Errors
    /// Where another process has the directory, the file is from a newer version, or the system
    /// or SQLite fails.
    pub fn open(
        dir: &Path,
        clock: Arc<dyn Clock>,
        options: Options,
    ) -> Result<Arc<Self>, OpenError> {
        open::open(dir, clock, &options)
    }

    /// Ends at once, as with the process: what was answered is on the disk, what waits is given
    /// up. Another store can be opened in the directory afterwards.
    pub fn abandon(&self) {
        self.queue.abandon();
        let writer = self
            .writer
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        let Some(writer) = writer else { return };
        if writer.thread().id() != std::thread::current().id() {
            // A panic of the writer has been told by its answers.
            drop(writer.join());
        }
    }
}

impl Drop for SqliteStore {
    fn drop(&mut self) {
        self.abandon();
    }
}
