//! SQLite.

use std::sync::{Arc, Mutex};

use hooklatch_receiver::kit::Receiver;
use hooklatch_receiver::run::Begun;
use hooklatch_receiver::sqlite::{self, SqliteStore};
use rusqlite::{Connection, Transaction, TransactionBehavior};

use crate::measure::{
    BARE, BOOK, Call, KEY_ROW, call, compare_in_transaction, compare_leased, delivery, key, kit,
    leased,
};
use crate::support::targets::SqliteTx;

const INSERT: &str = "INSERT INTO bare VALUES (?1, 0)";
const UPDATE: &str = "UPDATE bare SET done = 1 WHERE k = ?1";
const KEEP: &str = "INSERT INTO event_keys VALUES (?1)";

/// Measures both modes.
pub async fn measure(events: usize) {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let store = SqliteStore::open(&dir.path().join("claims.db")).expect("a file");
    let target = SqliteTx::new(&dir.path().join("effects.db"));
    let connection = target.connection();
    let full = connection.pragma_update(None, "synchronous", "FULL");
    full.expect("a setting");
    let tables = format!("{BARE}; {KEY_ROW}");
    connection.execute_batch(&tables).expect("tables");
    let connection = Arc::new(Mutex::new(connection));
    let one = on_file(&connection, |connection| write(connection, INSERT, &key()));
    let two = two(Arc::clone(&connection));
    let kit = kit(store);
    let leases = kit.clone();
    let leased = call(move || leased(leases.clone()));
    compare_leased("sqlite", events, one, two, leased).await;
    let own = on_file(&connection, |connection| {
        let tx = begin(connection);
        book(&tx);
        tx.commit().expect("a file");
    });
    let keyed = on_file(&connection, |connection| {
        let tx = begin(connection);
        write(&tx, KEEP, &key());
        book(&tx);
        tx.commit().expect("a file");
    });
    let ours = on_file(&connection, move |connection| once(connection, &kit));
    compare_in_transaction("sqlite", events, own, keyed, ours).await;
}

fn on_file(
    connection: &Arc<Mutex<Connection>>,
    work: impl Fn(&mut Connection) + Clone + Send + Sync + 'static,
) -> Call {
    let connection = Arc::clone(connection);
    call(move || off_the_runtime(Arc::clone(&connection), work.clone()))
}

/// The connection is given back between the two: a handler works there.
fn two(connection: Arc<Mutex<Connection>>) -> Call {
    call(move || {
        let (connection, key) = (Arc::clone(&connection), key());
        async move {
            for statement in [INSERT, UPDATE] {
                let key = key.clone();
                let work = move |connection: &mut Connection| write(connection, statement, &key);
                off_the_runtime(Arc::clone(&connection), work).await;
            }
        }
    })
}

/// Work on the one connection, off the runtime's threads: SQLite has one writer.
async fn off_the_runtime(
    connection: Arc<Mutex<Connection>>,
    work: impl FnOnce(&mut Connection) + Send + 'static,
) {
    let task = tokio::task::spawn_blocking(move || {
        work(&mut connection.lock().expect("no panic"));
    });
    task.await.expect("no panic");
}

fn write(connection: &Connection, statement: &str, key: &str) {
    let prepared = connection.prepare_cached(statement);
    prepared
        .expect("a statement")
        .execute([key])
        .expect("a row");
}

fn book(connection: &Connection) {
    let book = connection.prepare_cached(BOOK);
    book.expect("a statement").execute([]).expect("a row");
}

fn begin(connection: &mut Connection) -> Transaction<'_> {
    let begun = connection.transaction_with_behavior(TransactionBehavior::Immediate);
    begun.expect("a lock")
}

fn once(connection: &mut Connection, kit: &Receiver<SqliteStore>) {
    let mut tx = begin(connection);
    let begun = sqlite::begin_in(&mut tx, &kit.claim(&delivery()));
    let Ok(Begun::Run(mut run)) = begun else {
        panic!("a fresh event: {begun:?}");
    };
    book(run.transaction());
    run.complete(b"").expect("a file");
    tx.commit().expect("a file");
}
