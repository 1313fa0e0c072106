//! Workers die, the sender repeats, and nothing is lost: in no store. In the transactional modes
//! nothing happens twice either. HOOKLATCH_CHAOS_EVENTS=1000 makes the storms long;
//! `cargo run --example chaos` runs all of them with 1,000 events and prints a table.

mod support;

use std::sync::Arc;

use hooklatch_receiver::memcached::MemcachedStore;
use hooklatch_receiver::memory::MemoryStore;
use hooklatch_receiver::mysql::MysqlStore;
use hooklatch_receiver::postgres::PostgresStore;
use hooklatch_receiver::redis::RedisStore;
use hooklatch_receiver::sqlite::SqliteStore;
use hooklatch_receiver::store::Store;

use support::chaos::{Report, Target, storm};
use support::services::{self, Disk};
use support::targets::{Leases, MarkFirst, MysqlTx, PostgresTx, SqliteTx, SqlxTx, postgres_pool};

/// Events of each storm, unless HOOKLATCH_CHAOS_EVENTS says how many.
const EVENTS_DEFAULT: u32 = 60;
const SEED: u64 = 7;

fn events() -> u32 {
    let asked = std::env::var("HOOKLATCH_CHAOS_EVENTS").ok();
    asked.map_or(EVENTS_DEFAULT, |text| {
        text.parse().expect("a number of events")
    })
}

async fn survives(store: impl Store) {
    let report = storm(Arc::new(Leases::new(store)), events(), SEED).await;
    assert_eq!(report.lost, 0, "{report:?}");
    assert!(
        report.deliveries > 2 * events() as usize,
        "nobody died: {report:?}"
    );
}

async fn survives_exactly_once(target: impl Target) {
    let report = storm(Arc::new(target), events(), SEED).await;
    assert_eq!((report.lost, report.repeated), (0, 0), "{report:?}");
    assert!(
        report.deliveries > 2 * events() as usize,
        "nobody died: {report:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_harness_finds_what_marking_first_loses() {
    let report: Report = storm(Arc::new(MarkFirst::default()), events(), SEED).await;
    assert!(report.lost > 0 && report.repeated == 0, "{report:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn v2_nothing_is_lost_in_memory_and_in_a_file() {
    survives(MemoryStore::new()).await;
    let dir = tempfile::tempdir().unwrap();
    survives(SqliteStore::open(&dir.path().join("claims.db")).unwrap()).await;
    survives_exactly_once(SqliteTx::new(&dir.path().join("effects.db"))).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn v2_v3_nothing_is_lost_in_postgres_and_nothing_repeated_in_its_transactions() {
    let service = services::postgres(Disk::Unsynced);
    survives_exactly_once(PostgresTx::new(&service.address).await).await;
    let target = SqlxTx::new(&service.address).await;
    target.forget().await;
    survives_exactly_once(target).await;
    let target = PostgresTx::new(&service.address).await;
    target.forget().await;
    survives(PostgresStore::new(postgres_pool(&service.address))).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn v2_v3_nothing_is_lost_in_mariadb_and_nothing_repeated_in_its_transactions() {
    let service = services::mariadb(Disk::Unsynced);
    let target = MysqlTx::new(&service.address).await;
    let pool = target.pool.clone();
    survives_exactly_once(target).await;
    MysqlTx::new(&service.address).await.forget().await;
    survives(MysqlStore::new(pool.clone())).await;
    pool.disconnect().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn v2_nothing_is_lost_in_redis_and_in_memcached() {
    let service = services::redis(&[]);
    let client = redis::Client::open(service.address.as_str()).unwrap();
    survives(RedisStore::connect(&client).await.unwrap()).await;
    let service = services::memcached(64);
    survives(MemcachedStore::new(service.address.parse().unwrap())).await;
}
