//! PostgreSQL.

use std::sync::Arc;
use std::time::Duration;

use deadpool_postgres::{Manager, Pool};
use hooklatch_receiver::kit::Receiver;
use hooklatch_receiver::postgres::{self, ClaimDurability, PostgresStore, Wait};
use hooklatch_receiver::run::Begun;
use tokio_postgres::{Config, NoTls};

use crate::measure::{
    BARE, BOOK, Call, KEY_ROW, call, compare_in_transaction, compare_leased, delivery, key, kit,
    leased,
};
use crate::support::services::{self, Disk};
use crate::support::targets::PostgresTx;

/// What a pool of connections that transactions are begun on should have.
const OPTIONS: &str = "-c lock_timeout=2s";
const WAIT: Wait = Wait::UpTo(Duration::from_secs(2));
const INSERT: &str = "INSERT INTO bare VALUES ($1, 0)";
const UPDATE: &str = "UPDATE bare SET done = 1 WHERE k = $1";
const KEEP: &str = "INSERT INTO event_keys VALUES ($1) ON CONFLICT DO NOTHING";

/// Measures both modes.
pub async fn measure(events: usize) {
    let service = services::postgres(Disk::Synced);
    let pool = pool(&service.address);
    PostgresTx::on(pool.clone()).await;
    let client = pool.get().await.expect("it answers");
    let tables = format!("{BARE}; {KEY_ROW}");
    client.batch_execute(&tables).await.expect("tables");
    drop(client);
    let (one, two) = (one(pool.clone()), two(pool.clone()));
    for (name, durability) in [
        ("postgres", ClaimDurability::AsConfigured),
        ("postgres, claims unsynced", ClaimDurability::Unsynced),
    ] {
        let store = PostgresStore::new(pool.clone()).with_claim_durability(durability);
        let kit = kit(store);
        let ours = call(move || leased(kit.clone()));
        compare_leased(name, events, Arc::clone(&one), Arc::clone(&two), ours).await;
    }
    let (own, keyed) = (own(pool.clone()), keyed(pool.clone()));
    let kit = kit(PostgresStore::new(pool.clone()));
    for (name, wait) in [
        ("postgres", Wait::AsConfigured),
        ("postgres, kit's wait", WAIT),
    ] {
        let ours = ours(pool.clone(), kit.clone(), wait);
        compare_in_transaction(name, events, own.clone(), keyed.clone(), ours).await;
    }
}

fn pool(url: &str) -> Pool {
    let mut config: Config = url.parse().expect("an address");
    config.options(OPTIONS);
    let pool = Pool::builder(Manager::new(config, NoTls)).max_size(16);
    pool.build().expect("a pool without timeouts")
}

async fn write(pool: &Pool, statement: &str, key: &str) {
    let client = pool.get().await.expect("it answers");
    let prepared = client.prepare_cached(statement).await.expect("a statement");
    client.execute(&prepared, &[&key]).await.expect("a row");
}

fn one(pool: Pool) -> Call {
    call(move || {
        let pool = pool.clone();
        async move { write(&pool, INSERT, &key()).await }
    })
}

fn two(pool: Pool) -> Call {
    call(move || {
        let (pool, key) = (pool.clone(), key());
        async move {
            write(&pool, INSERT, &key).await;
            write(&pool, UPDATE, &key).await;
        }
    })
}

fn own(pool: Pool) -> Call {
    call(move || {
        let pool = pool.clone();
        async move {
            let mut client = pool.get().await.expect("it answers");
            let book = client.prepare_cached(BOOK).await.expect("a statement");
            let tx = client.transaction().await.expect("it answers");
            tx.execute(&book, &[]).await.expect("a row");
            tx.commit().await.expect("it answers");
        }
    })
}

fn keyed(pool: Pool) -> Call {
    call(move || {
        let pool = pool.clone();
        async move {
            let mut client = pool.get().await.expect("it answers");
            let book = client.prepare_cached(BOOK).await.expect("a statement");
            let keep = client.prepare_cached(KEEP).await.expect("a statement");
            let tx = client.transaction().await.expect("it answers");
            let fresh = tx.execute(&keep, &[&key()]).await.expect("a row");
            assert_eq!(fresh, 1);
            tx.execute(&book, &[]).await.expect("a row");
            tx.commit().await.expect("it answers");
        }
    })
}

fn ours(pool: Pool, kit: Receiver<PostgresStore>, wait: Wait) -> Call {
    call(move || {
        let (pool, kit) = (pool.clone(), kit.clone());
        async move {
            let mut client = pool.get().await.expect("it answers");
            let book = client.prepare_cached(BOOK).await.expect("a statement");
            let mut tx = client.transaction().await.expect("it answers");
            let claim = kit.claim(&delivery());
            let begun = postgres::begin_in(&mut tx, &claim, wait).await;
            let Ok(Begun::Run(mut run)) = begun else {
                panic!("a fresh event: {begun:?}");
            };
            run.transaction().execute(&book, &[]).await.expect("a row");
            run.complete(b"").await.expect("it answers");
            tx.commit().await.expect("it answers");
        }
    })
}
