//! The threads that read: each with a connection that cannot write, and short transactions, since
//! a long one keeps the log from beginning anew.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use hooklatch_store::StoreError;
use rusqlite::Connection;
use tokio::sync::oneshot;

use crate::fault::Fault;
use crate::schema;

/// Reads that may wait.
const WAITING_MAX: usize = 1_024;

type Read = Box<dyn FnOnce(&Connection) + Send>;

/// The readers.
pub(crate) struct Readers {
    waiting: Arc<Waiting>,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

#[derive(Default)]
struct Waiting {
    state: Mutex<State>,
    arrived: Condvar,
}

#[derive(Default)]
struct State {
    reads: VecDeque<Read>,
    closed: bool,
}

impl Waiting {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn next(&self) -> Option<Read> {
        let idle = |state: &mut State| state.reads.is_empty() && !state.closed;
        let woken = self.arrived.wait_while(self.lock(), idle);
        let mut state = woken.unwrap_or_else(PoisonError::into_inner);
        state.reads.pop_front()
    }
}

impl Readers {
    /// Starts so many threads.
    pub(crate) fn start(path: &Path, threads: usize) -> Result<Self, Fault> {
        let readers = Self {
            waiting: Arc::default(),
            threads: Mutex::default(),
        };
        for number in 0..threads.max(1) {
            let db = schema::open_reader(path)?;
            let waiting = Arc::clone(&readers.waiting);
            let thread = std::thread::Builder::new().name(format!("sqlite-read-{number}"));
            let started = thread.spawn(move || {
                while let Some(read) = waiting.next() {
                    read(&db);
                }
            });
            readers.lock_threads().push(started?);
        }
        Ok(readers)
    }

    fn lock_threads(&self) -> MutexGuard<'_, Vec<JoinHandle<()>>> {
        self.threads.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reads, in a transaction of its own.
    pub(crate) async fn read<T, R>(&self, read: R) -> Result<T, StoreError>
    where
        T: Send + 'static,
        R: FnOnce(&Connection) -> Result<T, Fault> + Send + 'static,
    {
        let (reply, answer) = oneshot::channel();
        self.push(Box::new(move |db| {
            let result = match catch_unwind(AssertUnwindSafe(|| in_transaction(db, read))) {
                Ok(result) => result.map_err(StoreError::from),
                Err(_) => Err(StoreError::Unavailable(None)),
            };
            drop(reply.send(result));
        }))?;
        answer.await.unwrap_or(Err(StoreError::Unavailable(None)))
    }

    fn push(&self, read: Read) -> Result<(), StoreError> {
        let mut state = self.waiting.lock();
        if state.closed {
            return Err(StoreError::Unavailable(None));
        }
        if state.reads.len() >= WAITING_MAX {
            return Err(StoreError::Overloaded);
        }
        state.reads.push_back(read);
        drop(state);
        self.waiting.arrived.notify_one();
        Ok(())
    }

    /// Ends the threads once they have done what waits.
    pub(crate) fn end(&self) {
        self.waiting.lock().closed = true;
        self.waiting.arrived.notify_all();
        let threads: Vec<_> = self.lock_threads().drain(..).collect();
        for thread in threads {
            // A reader catches its panics.
            drop(thread.join());
        }
    }
}

fn in_transaction<T>(
    db: &Connection,
    read: impl FnOnce(&Connection) -> Result<T, Fault>,
) -> Result<T, Fault> {
    // One transaction, so that all that is read is of one moment. It ends when it is dropped.
    let _moment = db.unchecked_transaction()?;
    read(db)
}
