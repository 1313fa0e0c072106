//! What the contract does not say: the file, its lock, its limits, its damage.

mod backup;
mod bounds;
mod export;
mod file;
mod generations;
mod lanes;
mod rollback;
mod rows;

use std::sync::Arc;

use hooklatch_core::admission::Arrival;
use hooklatch_core::time::Millis;
use hooklatch_store::suite::{Fixture, TestClock, World, block_on};
use hooklatch_store::{Clock, Store};
use tempfile::TempDir;

use crate::{Options, SqliteStore};

/// A store in a directory of its own, with options to choose.
pub(super) struct Small {
    clock: Arc<TestClock>,
    pub dir: TempDir,
    options: Options,
    pub store: Arc<SqliteStore>,
}

impl Small {
    pub fn with(options: Options) -> World<Self> {
        let clock = TestClock::new();
        let dir = tempfile::tempdir().unwrap();
        let shared: Arc<dyn Clock> = clock.clone();
        let store = SqliteStore::open(dir.path(), shared, options.clone()).unwrap();
        World {
            fixture: Self {
                clock,
                dir,
                options,
                store,
            },
        }
    }
}

impl Fixture for Small {
    const LEASES_END_WITH_THE_PROCESS: bool = true;

    fn new() -> Self {
        Self::with(Options::default()).fixture
    }

    fn store(&self) -> Arc<dyn Store> {
        self.store.clone()
    }

    fn advance(&self, span: Millis) {
        self.clock.advance(span);
    }

    fn crash(&mut self) {
        self.store.abandon();
        let clock: Arc<dyn Clock> = self.clock.clone();
        self.store = SqliteStore::open(self.dir.path(), clock, self.options.clone()).unwrap();
    }
}

/// One number out of the file.
pub(super) fn number(world: &World<Small>, sql: &'static str) -> i64 {
    let read = world.fixture.store.readers.read(move |db| {
        let number = db.query_row(sql, [], |row| row.get(0))?;
        Ok(number)
    });
    block_on(read).unwrap()
}

/// An arrival with a large body.
pub(super) fn large(world: &World<Small>, key: &str, bytes: usize) -> Arrival {
    let payload = format!("\"{}\"", "x".repeat(bytes));
    world.inbound(key, &payload).arrival
}
