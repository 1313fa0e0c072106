//! The long form of the chaos harness: 1,000 events in each store and mode, as a table.
//!
//! ```text
//! cargo run --example chaos -p hooklatch-receiver [events]
//! ```

#[path = "../tests/support/mod.rs"]
mod support;

use std::sync::Arc;
use std::time::Instant;

use hooklatch_receiver::memcached::MemcachedStore;
use hooklatch_receiver::memory::MemoryStore;
use hooklatch_receiver::mysql::MysqlStore;
use hooklatch_receiver::postgres::PostgresStore;
use hooklatch_receiver::redis::RedisStore;
use hooklatch_receiver::sqlite::SqliteStore;

use support::chaos::{Target, WORKERS, storm};
use support::services::{self, Disk};
use support::targets::{Leases, MarkFirst, MysqlTx, PostgresTx, SqliteTx, SqlxTx, postgres_pool};

const SEED: u64 = 7;

async fn row(name: &str, target: impl Target, events: u32) {
    let start = Instant::now();
    let report = storm(Arc::new(target), events, SEED).await;
    println!(
        "{name:<34} {:>7} {:>11} {:>6} {:>9} {:>8.1}",
        report.events,
        report.deliveries,
        report.lost,
        report.repeated,
        start.elapsed().as_secs_f64()
    );
}

#[tokio::main]
async fn main() {
    let asked = std::env::args().nth(1);
    let events = asked.map_or(1_000, |text| text.parse().expect("a number of events"));
    println!("{WORKERS} workers, half of the deliveries die, seed {SEED}");
    println!(
        "{:<34} {:>7} {:>11} {:>6} {:>9} {:>8}",
        "store and mode", "events", "deliveries", "lost", "repeated", "seconds"
    );
    row("mark first (the mistake)", MarkFirst::default(), events).await;
    row("memory, leased", Leases::new(MemoryStore::new()), events).await;
    let dir = tempfile::tempdir().expect("a temporary directory");
    let file = SqliteStore::open(&dir.path().join("claims.db")).expect("a file");
    row("sqlite, leased", Leases::new(file), events).await;
    row(
        "sqlite, in transaction",
        SqliteTx::new(&dir.path().join("effects.db")),
        events,
    )
    .await;
    let service = services::postgres(Disk::Unsynced);
    let target = PostgresTx::new(&service.address).await;
    row("postgres, in transaction", target, events).await;
    let target = SqlxTx::new(&service.address).await;
    target.forget().await;
    row("postgres, in transaction (sqlx)", target, events).await;
    PostgresTx::new(&service.address).await.forget().await;
    let store = PostgresStore::new(postgres_pool(&service.address));
    row("postgres, leased", Leases::new(store), events).await;
    let service = services::mariadb(Disk::Unsynced);
    let target = MysqlTx::new(&service.address).await;
    let pool = target.pool.clone();
    row("mariadb, in transaction", target, events).await;
    MysqlTx::new(&service.address).await.forget().await;
    row(
        "mariadb, leased",
        Leases::new(MysqlStore::new(pool)),
        events,
    )
    .await;
    let service = services::redis(&[]);
    let client = redis::Client::open(service.address.as_str()).expect("a URL");
    let store = RedisStore::connect(&client).await.expect("it answers");
    row("redis, leased", Leases::new(store), events).await;
    let service = services::memcached(64);
    let store = MemcachedStore::new(service.address.parse().expect("an address"));
    row("memcached, leased", Leases::new(store), events).await;
}
