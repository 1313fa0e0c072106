//! SQLite passes the vectors, and keeps what it promises beyond them.

mod support;

use std::sync::Arc;

use hooklatch_receiver::sqlite::SqliteStore;
use hooklatch_receiver::store::{Clock, Effect, Memory, Promise, Store};

use support::runner::{Bench, Time, passes_every_vector};

#[tokio::test(flavor = "multi_thread")]
async fn v4_sqlite_passes_every_vector() {
    let dir = tempfile::tempdir().unwrap();
    let store = Arc::new(SqliteStore::open(&dir.path().join("claims.db")).unwrap());
    let promise = Promise {
        memory: Memory::Durable,
        effect: Effect::ExactlyOnceInTransaction,
        clock: Clock::Process,
    };
    assert_eq!(store.promise(), promise);
    passes_every_vector(|| Bench {
        store: Arc::clone(&store),
        time: Time::Real,
    })
    .await;
}
