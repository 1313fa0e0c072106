//! The transactional modes: record and effect are one commit, in every driver.

mod support;

use std::time::Duration;

use hooklatch_receiver::claim::{Claim, Intent, StateName};
use hooklatch_receiver::kit::Receiver;
use hooklatch_receiver::mysql::{self, MysqlStore};
use hooklatch_receiver::postgres::{self, PostgresStore, Wait};
use hooklatch_receiver::run::{Begun, Once};
use hooklatch_receiver::sqlite::{self, SqliteStore};
use hooklatch_receiver::store::Store;
use mysql_async::prelude::Queryable;
use sqlx::Connection;

use support::chaos::Target;
use support::services::{self, Disk};
use support::targets::{MysqlTx, PostgresTx, SqliteTx, delivery, postgres_pool, settings};

const WAIT: Duration = Duration::from_millis(100);

fn claim(event: u32) -> Claim {
    let kit = Receiver::new(hooklatch_receiver::memory::MemoryStore::new(), settings());
    kit.claim(&delivery(event))
}

async fn lock_timeout(tx: &tokio_postgres::Transaction<'_>) -> String {
    let row = tx.query_one("SHOW lock_timeout", &[]).await;
    row.expect("it answers").get(0)
}

#[tokio::test(flavor = "multi_thread")]
async fn v3_postgres_makes_record_and_effect_one_commit() {
    let service = services::postgres(Disk::Unsynced);
    let target = PostgresTx::new(&service.address).await;
    let store = PostgresStore::new(postgres_pool(&service.address));
    let (mut first, mut second) = (
        target.pool.get().await.unwrap(),
        target.pool.get().await.unwrap(),
    );
    let (first, second): (&mut tokio_postgres::Client, &mut tokio_postgres::Client) =
        (&mut first, &mut second);

    // What is rolled back has not happened, and may be run at once.
    let mut tx = first.transaction().await.unwrap();
    let begun = postgres::begin_in(&mut tx, &claim(1), WAIT).await.unwrap();
    assert!(matches!(begun, Begun::Run(_)), "{begun:?}");
    drop(begun);
    tx.rollback().await.unwrap();
    assert_eq!(store.lookup(&delivery(1).key).await.unwrap(), None);

    // While one transaction holds the key, another one is told that it is busy.
    let mut tx = first.transaction().await.unwrap();
    let mine = "SET LOCAL lock_timeout = '7s'";
    tx.batch_execute(mine).await.unwrap();
    let Begun::Run(mut run) = postgres::begin_in(&mut tx, &claim(1), WAIT).await.unwrap() else {
        panic!("it is free");
    };
    let left = lock_timeout(run.transaction()).await;
    assert_eq!(left, "7s", "the caller's own is set back");
    let mut other = second.transaction().await.unwrap();
    let begun = postgres::begin_in(&mut other, &claim(1), WAIT)
        .await
        .unwrap();
    assert!(matches!(begun, Begun::Busy { .. }), "{begun:?}");
    drop(begun);
    other.rollback().await.unwrap();
    run.complete(b"thanks").await.unwrap();
    tx.commit().await.unwrap();

    // The commit is completion: for transactions, for leases, and for people.
    let mut other = second.transaction().await.unwrap();
    other.batch_execute(mine).await.unwrap();
    let begun = postgres::begin_in(&mut other, &claim(1), WAIT)
        .await
        .unwrap();
    assert!(
        matches!(&begun, Begun::Done { result: Some(kept) } if kept == b"thanks"),
        "{begun:?}"
    );
    drop(begun);
    assert_eq!(lock_timeout(&other).await, "7s", "a known key: set back");
    let mut forced = claim(1);
    forced.intent = Intent::Replay;
    let begun = postgres::begin_in(&mut other, &forced, WAIT).await.unwrap();
    assert!(
        matches!(&begun, Begun::Run(run) if run.generation() == 2),
        "{begun:?}"
    );
    drop(begun);
    assert_eq!(lock_timeout(&other).await, "7s", "run again: set back");
    other.rollback().await.unwrap();
    let seen = store.lookup(&delivery(1).key).await.unwrap().unwrap();
    assert_eq!((seen.state, seen.generation), (StateName::Completed, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn v3_postgres_waits_as_long_as_the_session_says() {
    const SECOND: Duration = Duration::from_secs(1);
    let service = services::postgres(Disk::Unsynced);
    let target = PostgresTx::new(&service.address).await;
    let (mut first, mut second) = (
        target.pool.get().await.unwrap(),
        target.pool.get().await.unwrap(),
    );
    let third = sqlx::PgPool::connect(&service.address).await.unwrap();
    let mut third = third.acquire().await.unwrap();
    let first: &mut tokio_postgres::Client = &mut first;
    let short = "SET lock_timeout = '100ms'";
    second.batch_execute(short).await.unwrap();
    sqlx::raw_sql(short).execute(&mut *third).await.unwrap();

    // A key that is new, and then one that is run again.
    let mut event = claim(1);
    for intent in [Intent::Delivery, Intent::Replay] {
        event.intent = intent;
        let mut tx = first.transaction().await.unwrap();
        let own = "SET LOCAL lock_timeout = '7s'";
        tx.batch_execute(own).await.unwrap();
        let begun = postgres::begin_in(&mut tx, &event, Wait::AsConfigured).await;
        let Ok(Begun::Run(mut run)) = begun else {
            panic!("it is free: {begun:?}");
        };
        assert_eq!(lock_timeout(run.transaction()).await, "7s");

        let mut other = claim(1);
        other.intent = intent;
        let mut waiting = second.transaction().await.unwrap();
        let begun = postgres::begin_in(&mut waiting, &other, Wait::AsConfigured).await;
        assert!(
            matches!(&begun, Ok(Begun::Busy { retry_after }) if *retry_after == SECOND),
            "{begun:?}"
        );
        drop(begun);
        waiting.rollback().await.unwrap();

        let mut waiting = third.begin().await.unwrap();
        let begun =
            hooklatch_receiver::sqlx::begin_in(&mut waiting, &other, Wait::AsConfigured).await;
        assert!(
            matches!(&begun, Ok(Begun::Busy { retry_after }) if *retry_after == SECOND),
            "{begun:?}"
        );
        drop(begun);
        waiting.rollback().await.unwrap();

        run.complete(b"").await.unwrap();
        tx.commit().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn v3_a_rolled_back_attempt_counts_where_it_is_noted() {
    let service = services::postgres(Disk::Unsynced);
    let target = PostgresTx::new(&service.address).await;
    let mut few = settings();
    few.attempts_max = 2;
    let kit = Receiver::new(PostgresStore::new(postgres_pool(&service.address)), few);
    let mut client = target.pool.get().await.unwrap();
    let client: &mut tokio_postgres::Client = &mut client;
    for attempt in 1..=2 {
        let mut tx = client.transaction().await.unwrap();
        let begun = postgres::begin_in(&mut tx, &kit.claim(&delivery(5)), WAIT)
            .await
            .unwrap();
        assert!(
            matches!(&begun, Begun::Run(run) if run.attempt() == attempt),
            "{begun:?}"
        );
        drop(begun);
        tx.rollback().await.unwrap();
        kit.note_failure(&delivery(5), Duration::ZERO, "no")
            .await
            .unwrap();
    }
    let mut tx = client.transaction().await.unwrap();
    let begun = postgres::begin_in(&mut tx, &kit.claim(&delivery(5)), WAIT)
        .await
        .unwrap();
    assert!(matches!(&begun, Begun::Dead { error } if error == "gave up after 2 attempts: no"));
}

#[tokio::test(flavor = "multi_thread")]
async fn v3_once_by_constraint_undoes_what_a_repeat_did() {
    let service = services::postgres(Disk::Unsynced);
    let target = PostgresTx::new(&service.address).await;
    let mut client = target.pool.get().await.unwrap();
    let client: &mut tokio_postgres::Client = &mut client;
    let table = "CREATE TABLE paid (id INTEGER, CONSTRAINT paid_once UNIQUE (id));
        CREATE TABLE other (id INTEGER CONSTRAINT other_once UNIQUE)";
    client.batch_execute(table).await.unwrap();
    let mut heard = Vec::new();
    for _ in 0..2 {
        let mut tx = client.transaction().await.unwrap();
        let once = postgres::once_by_constraint(&mut tx, "paid_once", async |tx| {
            tx.execute("INSERT INTO effects VALUES (1)", &[]).await?;
            tx.execute("INSERT INTO paid VALUES (1)", &[]).await
        });
        heard.push(once.await.unwrap());
        tx.commit().await.unwrap();
    }
    assert_eq!(heard, [Once::Ran(1), Once::Done]);
    assert_eq!(target.effects().await[&1], 1);
    // Another constraint is no answer, but an error.
    let mut tx = client.transaction().await.unwrap();
    let twice = postgres::once_by_constraint(&mut tx, "paid_once", async |tx| {
        tx.execute("INSERT INTO other VALUES (1)", &[]).await?;
        tx.execute("INSERT INTO other VALUES (1)", &[]).await
    });
    assert!(twice.await.is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn v3_mariadb_makes_record_and_effect_one_commit() {
    let service = services::mariadb(Disk::Unsynced);
    let target = MysqlTx::new(&service.address).await;
    let store = MysqlStore::new(target.pool.clone());
    let mut connection = target.pool.get_conn().await.unwrap();
    let mut second = target.pool.get_conn().await.unwrap();
    // Not in a transaction: making a table would commit it.
    let table = "CREATE TABLE paid (id INTEGER, UNIQUE KEY paid_once (id))";
    second.query_drop(table).await.unwrap();
    second
        .query_drop("SET innodb_lock_wait_timeout = 1")
        .await
        .unwrap();
    let committed = || {
        let mut options = mysql_async::TxOpts::default();
        options.with_isolation_level(mysql_async::IsolationLevel::ReadCommitted);
        options
    };

    let mut tx = connection.start_transaction(committed()).await.unwrap();
    let begun = mysql::begin_in(&mut tx, &claim(1)).await.unwrap();
    assert!(matches!(begun, Begun::Run(_)), "{begun:?}");
    drop(begun);
    tx.rollback().await.unwrap();
    assert_eq!(store.lookup(&delivery(1).key).await.unwrap(), None);

    let mut tx = connection.start_transaction(committed()).await.unwrap();
    let Begun::Run(run) = mysql::begin_in(&mut tx, &claim(1)).await.unwrap() else {
        panic!("it is free");
    };
    let mut other = second.start_transaction(committed()).await.unwrap();
    let begun = mysql::begin_in(&mut other, &claim(1)).await.unwrap();
    assert!(matches!(begun, Begun::Busy { .. }), "{begun:?}");
    drop(begun);
    other.rollback().await.unwrap();
    run.complete(b"thanks").await.unwrap();
    tx.commit().await.unwrap();

    let mut other = second.start_transaction(committed()).await.unwrap();
    let begun = mysql::begin_in(&mut other, &claim(1)).await.unwrap();
    assert!(
        matches!(&begun, Begun::Done { result: Some(kept) } if kept == b"thanks"),
        "{begun:?}"
    );
    drop(begun);
    let mut heard = Vec::new();
    for _ in 0..2 {
        let once = mysql::once_by_constraint(&mut other, "paid_once", async |tx| {
            tx.query_drop("INSERT INTO effects VALUES (1)").await?;
            tx.query_drop("INSERT INTO paid VALUES (1)").await
        });
        heard.push(once.await.unwrap());
    }
    other.commit().await.unwrap();
    assert_eq!(heard, [Once::Ran(()), Once::Done]);
    assert_eq!(target.effects().await[&1], 1);
    drop((connection, second));
    target.pool.clone().disconnect().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn v3_sqlite_makes_record_and_effect_one_commit() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("shop.db");
    let target = SqliteTx::new(&path);
    let mut connection = target.connection();
    connection
        .execute_batch("CREATE TABLE paid (id INTEGER UNIQUE)")
        .unwrap();
    for ends in ["rolled back", "committed"] {
        let immediate = rusqlite::TransactionBehavior::Immediate;
        let mut tx = connection.transaction_with_behavior(immediate).unwrap();
        let Begun::Run(run) = sqlite::begin_in(&mut tx, &claim(1)).unwrap() else {
            panic!("it is free");
        };
        assert_eq!(run.attempt(), 1, "{ends}");
        run.complete(b"thanks").unwrap();
        if ends == "committed" {
            tx.commit().unwrap();
        }
    }
    let mut heard = Vec::new();
    let mut tx = connection.transaction().unwrap();
    let begun = sqlite::begin_in(&mut tx, &claim(1)).unwrap();
    assert!(
        matches!(&begun, Begun::Done { result: Some(kept) } if kept == b"thanks"),
        "{begun:?}"
    );
    drop(begun);
    for _ in 0..2 {
        let once = sqlite::once_by_constraint(&mut tx, "paid.id", |tx| {
            tx.execute("INSERT INTO effects VALUES (1)", [])?;
            tx.execute("INSERT INTO paid VALUES (1)", [])
        });
        heard.push(once.unwrap());
    }
    tx.commit().unwrap();
    assert_eq!(heard, [Once::Ran(1), Once::Done]);
    assert_eq!(target.effects().await[&1], 1);
    let store = SqliteStore::open(&path).unwrap();
    let seen = store.lookup(&delivery(1).key).await.unwrap().unwrap();
    assert_eq!(seen.state, StateName::Completed);
}
