//! SQLite passes the vectors, and keeps what it promises beyond them.

#![expect(clippy::unwrap_used, reason = "the helpers of tests fail as tests do")]

mod support;

use std::sync::Arc;
use std::time::Duration;

use hooklatch_receiver::kit::Receiver;
use hooklatch_receiver::run::{Begun, Completed, Leased, Run, Settings};
use hooklatch_receiver::sqlite::SqliteStore;
use hooklatch_receiver::store::{Clock, Effect, Memory, Promise, Store};

use support::runner::{Bench, Time, passes_every_vector};
use support::targets::delivery;

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

async fn run(kit: &Receiver<SqliteStore>) -> Run<Leased<SqliteStore>> {
    match kit.begin(&delivery(1)).await.unwrap() {
        Begun::Run(run) => run,
        other => panic!("it is free: {other:?}"),
    }
}

/// What a clock does that was ahead by years and has been set back.
fn set_clock_back(path: &std::path::Path) -> u64 {
    let connection = rusqlite::Connection::open(path).unwrap();
    let ahead = "UPDATE hooklatch_claims SET fence = fence + 100000000000000 RETURNING fence";
    let fence: i64 = connection.query_row(ahead, [], |row| row.get(0)).unwrap();
    u64::try_from(fence).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn fences_of_a_key_grow_over_a_clock_set_back_and_a_sweep() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("claims.db");
    let settings = Settings {
        lease: Duration::ZERO,
        retention: Duration::ZERO,
        ..Settings::default()
    };
    let kit = Receiver::new(SqliteStore::open(&path).unwrap(), settings);
    drop(run(&kit).await);
    let fence = set_clock_back(&path);

    let taken_over = run(&kit).await;
    assert!(taken_over.fence() > fence);
    let fence = taken_over.fence();
    assert_eq!(taken_over.complete(b"").await.unwrap(), Completed::Applied);
    assert_eq!(kit.store().sweep(10).await.unwrap(), 1);

    let anew = run(&kit).await;
    assert_eq!(anew.attempt(), 1);
    assert!(anew.fence() > fence, "{} {fence}", anew.fence());
}

#[tokio::test(flavor = "multi_thread")]
async fn two_stores_on_one_file_begin_an_event_once() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("claims.db");
    let kit = || Receiver::new(SqliteStore::open(&path).unwrap(), Settings::default());
    let kits = [kit(), kit()];
    for event in 0..50 {
        let delivery = delivery(event);
        let (first, second) = tokio::join!(kits[0].begin(&delivery), kits[1].begin(&delivery));
        let begun = [first.unwrap(), second.unwrap()];
        let mut ran = 0;
        for begun in begun {
            if let Begun::Run(run) = begun {
                ran += 1;
                assert_eq!(run.complete(b"").await.unwrap(), Completed::Applied);
            }
        }
        assert_eq!(ran, 1, "event {event}");
    }
}
