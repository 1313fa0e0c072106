//! The contract suite on the embedded store.

use std::sync::Arc;

use hooklatch_core::time::Millis;
use hooklatch_store::suite::{Fixture, TestClock};
use hooklatch_store::{Clock, Store};
use hooklatch_store_sqlite::{Options, SqliteStore};
use tempfile::TempDir;

struct InOneFile {
    clock: Arc<TestClock>,
    dir: TempDir,
    store: Option<Arc<SqliteStore>>,
}

impl InOneFile {
    fn open(&mut self) {
        let clock: Arc<dyn Clock> = self.clock.clone();
        // Small generations, so that the suite meets closed and dropped ones.
        let options = Options {
            generation_claims_max: 4,
            readers: 2,
            ..Options::default()
        };
        let store = SqliteStore::open(self.dir.path(), clock, options);
        self.store = Some(store.expect("the store opens"));
    }
}

impl Fixture for InOneFile {
    const LEASES_END_WITH_THE_PROCESS: bool = true;

    fn new() -> Self {
        let mut fixture = Self {
            clock: TestClock::new(),
            dir: tempfile::tempdir().expect("there is a place for temporary files"),
            store: None,
        };
        fixture.open();
        fixture
    }

    fn store(&self) -> Arc<dyn Store> {
        let store = self.store.as_ref().expect("the store is open");
        Arc::clone(store) as Arc<dyn Store>
    }

    fn advance(&self, span: Millis) {
        self.clock.advance(span);
    }

    fn crash(&mut self) {
        self.store.as_ref().expect("the store is open").abandon();
        self.open();
    }
}

hooklatch_store::contract!(InOneFile);
