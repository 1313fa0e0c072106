//! A sweep removes what may go, however early it looks, and nothing else (V6).

#![expect(clippy::unwrap_used, reason = "the helpers of tests fail as tests do")]

mod support;

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use hooklatch_receiver::claim::{Claim, Claimed, Completion, Intent, Metadata};
use hooklatch_receiver::key::{Fingerprint, ScopeKey};
use hooklatch_receiver::mysql::MysqlStore;
use hooklatch_receiver::postgres::PostgresStore;
use hooklatch_receiver::sqlite::SqliteStore;
use hooklatch_receiver::store::Store;
use hooklatch_receiver::token;
use mysql_async::TxOpts;
use mysql_async::prelude::Queryable;

use support::services::{self, Disk, until_it_answers};
use support::targets::postgres_pool;

/// A claim without a lease and without a retention: a sweep may look at it at once.
fn claim(event: u8) -> Claim {
    Claim {
        key: ScopeKey::from_bytes([event; 32]),
        fingerprint: Fingerprint::of(&[event]),
        token: token::random(),
        lease: Duration::ZERO,
        attempts_max: 8,
        retention: Duration::ZERO,
        intent: Intent::Delivery,
        metadata: Metadata::new("stripe", "charge.succeeded", None),
    }
}

async fn removes_only_what_may_go(store: impl Store) {
    let (open, kept) = (claim(1), claim(2));
    let Ok(Claimed::Run(opened)) = store.claim(&open).await else {
        panic!("it is free");
    };
    let Ok(Claimed::Run(completed)) = store.claim(&kept).await else {
        panic!("it is free");
    };
    let retention = Duration::from_millis(400);
    let held = completed.held(kept.key);
    let done = store.complete(&held, Some(b"done"), retention).await;
    assert_eq!(done.unwrap(), Completion::Applied);

    assert_eq!(store.sweep(10).await.unwrap(), 0);
    assert!(store.lookup(&open.key).await.unwrap().is_some());
    assert!(store.lookup(&kept.key).await.unwrap().is_some());

    until_it_answers(|| async {
        let found = store.lookup(&kept.key).await.unwrap();
        found.map_or(Ok(()), |found| Err(found.state))
    })
    .await;
    assert_eq!(store.sweep(10).await.unwrap(), 1);
    assert_eq!(store.sweep(10).await.unwrap(), 0);

    // Nobody else has come: it is still its holder's.
    let held = opened.held(open.key);
    let done = store.complete(&held, Some(b""), retention).await;
    assert_eq!(done.unwrap(), Completion::Applied);
}

#[tokio::test(flavor = "multi_thread")]
async fn v6_a_sweep_of_postgres_removes_only_what_may_go() {
    let service = services::postgres(Disk::Unsynced);
    let store = PostgresStore::new(postgres_pool(&service.address));
    until_it_answers(|| store.create_tables()).await;
    removes_only_what_may_go(store).await;
}

/// Expired records, few of them on each page, so that a sweep cannot look at all of them at once.
const MANY_PAGES: &str = "\
ALTER TABLE hooklatch_claims SET (fillfactor = 10); \
INSERT INTO hooklatch_claims (key, state, token, fence, epoch, generation, origin, fingerprint, \
 attempt, expires_at) \
SELECT sha256(n::text::bytea), 2, ''::bytea, n, n, 1, 1, sha256(''::bytea), 1, clock_timestamp() \
FROM generate_series(1, 60000) n";

#[tokio::test(flavor = "multi_thread")]
async fn v6_sweeps_of_a_large_table_of_postgres_come_to_every_part_of_it() {
    let service = services::postgres(Disk::Unsynced);
    let pool = postgres_pool(&service.address);
    let store = PostgresStore::new(pool.clone());
    until_it_answers(|| store.create_tables()).await;
    let client = pool.get().await.unwrap();
    client.batch_execute(MANY_PAGES).await.unwrap();
    let pages =
        "SELECT pg_relation_size('hooklatch_claims') / current_setting('block_size')::bigint";
    let pages: i64 = client.query_one(pages, &[]).await.unwrap().get(0);
    assert!(pages > 2 * 4_096, "a sweep looks at 4,096 of {pages} pages");

    let first = store.sweep(100_000).await.unwrap();
    assert!((1..60_000).contains(&first), "{first}");
    until_it_answers(|| async {
        store.sweep(100_000).await.unwrap();
        let left = "SELECT count(*) FROM hooklatch_claims";
        match client.query_one(left, &[]).await.unwrap().get::<_, i64>(0) {
            0 => Ok(()),
            left => Err(left),
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn v6_a_sweep_of_mariadb_removes_only_what_may_go() {
    let service = services::mariadb(Disk::Unsynced);
    let pool = mysql_async::Pool::new(service.address.as_str());
    let store = MysqlStore::new(pool.clone());
    until_it_answers(|| store.create_tables()).await;
    removes_only_what_may_go(store).await;
    pool.disconnect().await.unwrap();
}

/// More records than a sweep looks at, of which one in 500 has expired.
const MANY_KEYS: &str = "\
INSERT INTO hooklatch_claims (`key`, state, token, fence, epoch, generation, origin, fingerprint, \
 attempt, until_at) \
SELECT UNHEX(SHA2(seq, 256)), 2, '', seq, seq, 1, 1, '', 1, IF(seq % 500 = 0, 0, 1 << 62) \
FROM seq_1_to_100000";

/// Sweeps until so many more are gone.
async fn sweep_more(store: &impl Store, many: u64) {
    let left = AtomicU64::new(many);
    until_it_answers(|| async {
        let gone = store.sweep(1_000).await.unwrap();
        match left.fetch_sub(gone, Ordering::Relaxed) - gone {
            0 => Ok(()),
            left => Err(left),
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn v6_sweeps_of_a_large_table_of_mariadb_come_to_every_part_and_wait_for_nobody() {
    let service = services::mariadb(Disk::Unsynced);
    let pool = mysql_async::Pool::new(service.address.as_str());
    let store = MysqlStore::new(pool.clone());
    until_it_answers(|| store.create_tables()).await;
    let mut client = pool.get_conn().await.unwrap();
    client.query_drop(MANY_KEYS).await.unwrap();
    let mut tx = client.start_transaction(TxOpts::default()).await.unwrap();
    let held = "UPDATE hooklatch_claims SET attempt = 2 WHERE `key` = UNHEX(SHA2(500, 256))";
    tx.query_drop(held).await.unwrap();

    let gone = store.sweep(1_000).await.unwrap();
    assert!((1..199).contains(&gone), "{gone}");
    sweep_more(&store, 199 - gone).await;
    tx.rollback().await.unwrap();
    sweep_more(&store, 1).await;
    let left = "SELECT COUNT(*), SUM(until_at = 0) FROM hooklatch_claims";
    let left: Option<(u64, u64)> = client.query_first(left).await.unwrap();
    assert_eq!(left, Some((99_800, 0)));
    drop(client);
    pool.disconnect().await.unwrap();
}

#[tokio::test]
async fn v6_a_sweep_of_sqlite_removes_only_what_may_go() {
    let dir = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(&dir.path().join("claims.db")).unwrap();
    removes_only_what_may_go(store).await;
}
