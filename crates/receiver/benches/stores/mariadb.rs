//! MariaDB.

use hooklatch_receiver::kit::Receiver;
use hooklatch_receiver::mysql::{self, MysqlStore};
use hooklatch_receiver::run::Begun;
use mysql_async::prelude::Queryable;
use mysql_async::{Conn, IsolationLevel, Pool, Transaction, TxOpts};

use crate::measure::{
    BARE, BOOK, Call, KEY_ROW, call, compare_in_transaction, compare_leased, delivery, key, kit,
    leased,
};
use crate::support::services::{self, Disk};
use crate::support::targets::MysqlTx;

const INSERT: &str = "INSERT INTO bare VALUES (?, 0)";
const UPDATE: &str = "UPDATE bare SET done = 1 WHERE k = ?";
const KEEP: &str = "INSERT INTO event_keys VALUES (?)";

/// Measures both modes.
pub async fn measure(events: usize) {
    let service = services::mariadb(Disk::Synced);
    let pool = MysqlTx::new(&service.address).await.pool;
    let mut connection = pool.get_conn().await.expect("it answers");
    for table in [BARE, KEY_ROW] {
        connection.query_drop(table).await.expect("a table");
    }
    drop(connection);
    let kit = kit(MysqlStore::new(pool.clone()));
    let leases = kit.clone();
    let (one, two) = (one(pool.clone()), two(pool.clone()));
    let leased = call(move || leased(leases.clone()));
    compare_leased("mariadb", events, one, two, leased).await;
    let (own, keyed) = (own(pool.clone()), keyed(pool.clone()));
    compare_in_transaction("mariadb", events, own, keyed, ours(pool, kit)).await;
}

async fn write(pool: &Pool, statement: &str, key: &str) {
    let mut connection = pool.get_conn().await.expect("it answers");
    let done = connection.exec_drop(statement, (key,)).await;
    done.expect("a row");
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

async fn begin(connection: &mut Conn) -> Transaction<'_> {
    let mut options = TxOpts::default();
    options.with_isolation_level(IsolationLevel::ReadCommitted);
    let begun = connection.start_transaction(options).await;
    begun.expect("it answers")
}

fn own(pool: Pool) -> Call {
    call(move || {
        let pool = pool.clone();
        async move {
            let mut connection = pool.get_conn().await.expect("it answers");
            let mut tx = begin(&mut connection).await;
            tx.exec_drop(BOOK, ()).await.expect("a row");
            tx.commit().await.expect("it answers");
        }
    })
}

fn keyed(pool: Pool) -> Call {
    call(move || {
        let pool = pool.clone();
        async move {
            let mut connection = pool.get_conn().await.expect("it answers");
            let mut tx = begin(&mut connection).await;
            tx.exec_drop(KEEP, (key(),)).await.expect("a row");
            tx.exec_drop(BOOK, ()).await.expect("a row");
            tx.commit().await.expect("it answers");
        }
    })
}

fn ours(pool: Pool, kit: Receiver<MysqlStore>) -> Call {
    call(move || {
        let (pool, kit) = (pool.clone(), kit.clone());
        async move {
            let mut connection = pool.get_conn().await.expect("it answers");
            let mut tx = begin(&mut connection).await;
            let begun = mysql::begin_in(&mut tx, &kit.claim(&delivery())).await;
            let Ok(Begun::Run(mut run)) = begun else {
                panic!("a fresh event: {begun:?}");
            };
            let booked = run.transaction().exec_drop(BOOK, ()).await;
            booked.expect("a row");
            run.complete(b"").await.expect("it answers");
            tx.commit().await.expect("it answers");
        }
    })
}
