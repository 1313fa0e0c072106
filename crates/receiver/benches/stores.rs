//! What the kit costs: begin and complete beside a bare insert into the same store, and an event in
//! a transaction beside the user's own transaction. One run, one machine, 8 callers at once; every
//! database syncs to the disk.
//!
//! ```text
//! cargo bench -p hooklatch-receiver [-- events]
//! ```

#[path = "../tests/support/mod.rs"]
mod support;

use std::sync::Arc;
use std::time::{Duration, Instant};

use hooklatch_receiver::key::{Fingerprint, Scope, ScopeKey};
use hooklatch_receiver::kit::{Delivery, Receiver};
use hooklatch_receiver::memcached::MemcachedStore;
use hooklatch_receiver::mysql::{self, MysqlStore};
use hooklatch_receiver::postgres::{self, ClaimDurability, PostgresStore};
use hooklatch_receiver::redis::RedisStore;
use hooklatch_receiver::run::{Begun, Completed, Settings};
use hooklatch_receiver::sqlite::{self, SqliteStore};
use hooklatch_receiver::store::Store;
use mysql_async::prelude::Queryable;

use support::services::{self, Disk};
use support::targets::{MysqlTx, PostgresTx, SqliteTx};

const CALLERS: usize = 8;
const EVENTS_DEFAULT: usize = 2_000;
const WAIT: Duration = Duration::from_secs(2);
const BARE: &str = "CREATE TABLE IF NOT EXISTS bare (k VARCHAR(64) NOT NULL PRIMARY KEY)";

/// A fresh event for each call.
fn delivery() -> Delivery {
    let id = hooklatch_receiver::token::Token::random().to_hex();
    let scope = Scope {
        source: "bench",
        ..Scope::default()
    };
    let key = ScopeKey::derive(&scope, &[&id]).expect("an id");
    Delivery::new(key, Fingerprint::of(id.as_bytes()))
}

/// Microseconds for each call, from [`CALLERS`] at once.
async fn timed<F: Future<Output = ()> + Send>(
    events: usize,
    call: impl Fn() -> F + Clone + Send + 'static,
) -> f64 {
    let caller = |_| {
        let call = call.clone();
        tokio::spawn(async move {
            for _ in 0..events / CALLERS {
                call().await;
            }
        })
    };
    let start = Instant::now();
    let callers: Vec<_> = (0..CALLERS).map(caller).collect();
    for caller in callers {
        caller.await.expect("a caller does not panic");
    }
    start.elapsed().as_secs_f64() * 1e6 / events as f64
}

/// Each side five times by turns, so that a disturbance meets both; the medians count.
async fn compared<A, B>(
    name: &str,
    events: usize,
    bare: impl Fn() -> A + Clone + Send + 'static,
    ours: impl Fn() -> B + Clone + Send + 'static,
) where
    A: Future<Output = ()> + Send,
    B: Future<Output = ()> + Send,
{
    let (mut bares, mut our_own) = (Vec::new(), Vec::new());
    for _ in 0..5 {
        bares.push(timed(events / 5, bare.clone()).await);
        our_own.push(timed(events / 5, ours.clone()).await);
    }
    let (bare, ours) = (median(bares), median(our_own));
    println!("{name:<44} {bare:>9.0} {ours:>9.0} {:>7.2}", ours / bare);
}

fn median(mut times: Vec<f64>) -> f64 {
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}

async fn leased<S: Store>(kit: Receiver<S>) {
    let begun = kit.begin(&delivery()).await.expect("the store answers");
    let Begun::Run(run) = begun else {
        panic!("a fresh event: {begun:?}");
    };
    let completed = run.complete(b"").await.expect("the store answers");
    assert_eq!(completed, Completed::Applied);
}

fn kit<S: Store>(store: S) -> Receiver<S> {
    Receiver::new(store, Settings::default())
}

async fn bench_postgres(events: usize) {
    let service = services::postgres(Disk::Synced);
    let target = PostgresTx::new(&service.address).await;
    let pool = target.pool.clone();
    pool.get()
        .await
        .expect("it answers")
        .batch_execute(BARE)
        .await
        .expect("a table");
    let bare_pool = pool.clone();
    let bare = move || {
        let pool = bare_pool.clone();
        async move {
            let client = pool.get().await.expect("it answers");
            let insert = "INSERT INTO bare VALUES ($1)";
            let insert = client.prepare_cached(insert).await.expect("a statement");
            let id = delivery().key.to_string();
            client.execute(&insert, &[&id]).await.expect("it is fresh");
        }
    };
    for (name, durability) in [
        ("postgres, leased", ClaimDurability::AsConfigured),
        (
            "postgres, leased, claims unsynced",
            ClaimDurability::Unsynced,
        ),
    ] {
        let store = PostgresStore::new(pool.clone()).with_claim_durability(durability);
        let kit = kit(store);
        compared(name, events, bare.clone(), move || leased(kit.clone())).await;
    }
    let (own_pool, our_pool) = (pool.clone(), pool.clone());
    let kit = kit(PostgresStore::new(pool));
    let own = move || {
        let pool = own_pool.clone();
        async move {
            let mut client = pool.get().await.expect("it answers");
            let client: &mut tokio_postgres::Client = &mut client;
            let tx = client.transaction().await.expect("it answers");
            tx.execute("INSERT INTO effects VALUES (1)", &[])
                .await
                .expect("a row");
            tx.commit().await.expect("it answers");
        }
    };
    let ours = move || {
        let (pool, kit) = (our_pool.clone(), kit.clone());
        async move {
            let mut client = pool.get().await.expect("it answers");
            let client: &mut tokio_postgres::Client = &mut client;
            let mut tx = client.transaction().await.expect("it answers");
            let claim = kit.claim(&delivery());
            let begun = postgres::begin_in(&mut tx, &claim, WAIT)
                .await
                .expect("it answers");
            let Begun::Run(mut run) = begun else {
                panic!("a fresh event: {begun:?}");
            };
            let insert = "INSERT INTO effects VALUES (1)";
            run.transaction().execute(insert, &[]).await.expect("a row");
            run.complete(b"").await.expect("it answers");
            tx.commit().await.expect("it answers");
        }
    };
    compared("postgres, in transaction", events, own, ours).await;
}

async fn bench_mariadb(events: usize) {
    let service = services::mariadb(Disk::Synced);
    let target = MysqlTx::new(&service.address).await;
    let pool = target.pool.clone();
    let mut connection = pool.get_conn().await.expect("it answers");
    connection.query_drop(BARE).await.expect("a table");
    drop(connection);
    let (bare_pool, own_pool, our_pool) = (pool.clone(), pool.clone(), pool.clone());
    let bare = move || {
        let pool = bare_pool.clone();
        async move {
            let mut connection = pool.get_conn().await.expect("it answers");
            let id = delivery().key.to_string();
            let insert = "INSERT INTO bare VALUES (?)";
            connection
                .exec_drop(insert, (id,))
                .await
                .expect("it is fresh");
        }
    };
    let kit = kit(MysqlStore::new(pool));
    let leases = kit.clone();
    compared("mariadb, leased", events, bare, move || {
        leased(leases.clone())
    })
    .await;
    let own = move || {
        let pool = own_pool.clone();
        async move {
            let mut connection = pool.get_conn().await.expect("it answers");
            let options = mysql_async::TxOpts::default();
            let mut tx = connection
                .start_transaction(options)
                .await
                .expect("it answers");
            tx.exec_drop("INSERT INTO effects VALUES (1)", ())
                .await
                .expect("a row");
            tx.commit().await.expect("it answers");
        }
    };
    let ours = move || {
        let (pool, kit) = (our_pool.clone(), kit.clone());
        async move {
            let mut connection = pool.get_conn().await.expect("it answers");
            let options = mysql_async::TxOpts::default();
            let mut tx = connection
                .start_transaction(options)
                .await
                .expect("it answers");
            let claim = kit.claim(&delivery());
            let begun = mysql::begin_in(&mut tx, &claim).await.expect("it answers");
            let Begun::Run(mut run) = begun else {
                panic!("a fresh event: {begun:?}");
            };
            let insert = "INSERT INTO effects VALUES (1)";
            run.transaction()
                .exec_drop(insert, ())
                .await
                .expect("a row");
            run.complete(b"").await.expect("it answers");
            tx.commit().await.expect("it answers");
        }
    };
    compared("mariadb, in transaction", events, own, ours).await;
}

/// One caller: SQLite has one writer.
async fn bench_sqlite(events: usize) {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let store = SqliteStore::open(&dir.path().join("claims.db")).expect("a file");
    let target = SqliteTx::new(&dir.path().join("effects.db"));
    let connection = target.connection();
    connection
        .pragma_update(None, "synchronous", "FULL")
        .expect("a setting");
    connection.execute_batch(BARE).expect("a table");
    let connection = Arc::new(std::sync::Mutex::new(connection));
    let (bares, owns, ours) = (Arc::clone(&connection), Arc::clone(&connection), connection);
    let bare = move || {
        let connection = Arc::clone(&bares);
        async move {
            let insert = move || {
                let connection = connection.lock().expect("no panic");
                let id = delivery().key.to_string();
                connection
                    .execute("INSERT INTO bare VALUES (?1)", [id])
                    .expect("it is fresh");
            };
            tokio::task::spawn_blocking(insert).await.expect("no panic");
        }
    };
    let leases = kit(store);
    let claims = leases.clone();
    compared("sqlite, leased", events, bare, move || {
        leased(leases.clone())
    })
    .await;
    let immediate = rusqlite::TransactionBehavior::Immediate;
    let own = move || {
        let connection = Arc::clone(&owns);
        async move {
            let own = move || {
                let mut connection = connection.lock().expect("no panic");
                let tx = connection
                    .transaction_with_behavior(immediate)
                    .expect("a lock");
                tx.execute("INSERT INTO effects VALUES (1)", [])
                    .expect("a row");
                tx.commit().expect("a file");
            };
            tokio::task::spawn_blocking(own).await.expect("no panic");
        }
    };
    let ours = move || {
        let (connection, kit) = (Arc::clone(&ours), claims.clone());
        async move {
            let ours = move || {
                let mut connection = connection.lock().expect("no panic");
                let mut tx = connection
                    .transaction_with_behavior(immediate)
                    .expect("a lock");
                let begun = sqlite::begin_in(&mut tx, &kit.claim(&delivery()));
                let Ok(Begun::Run(mut run)) = begun else {
                    panic!("a fresh event: {begun:?}");
                };
                let insert = "INSERT INTO effects VALUES (1)";
                run.transaction().execute(insert, []).expect("a row");
                run.complete(b"").expect("a file");
                tx.commit().expect("a file");
            };
            tokio::task::spawn_blocking(ours).await.expect("no panic");
        }
    };
    compared("sqlite, in transaction", events, own, ours).await;
}

async fn bench_redis(events: usize) {
    let service = services::redis(&[]);
    let client = redis::Client::open(service.address.as_str()).expect("a URL");
    let connection = client.get_connection_manager().await.expect("it answers");
    let bare = move || {
        let mut connection = connection.clone();
        async move {
            let mut set = redis::cmd("SET");
            set.arg(delivery().key.to_string())
                .arg("1")
                .arg("NX")
                .arg("EX")
                .arg(86_400);
            let () = set.query_async(&mut connection).await.expect("it is fresh");
        }
    };
    let kit = kit(RedisStore::connect(&client).await.expect("it answers"));
    compared("redis, leased", events, bare, move || leased(kit.clone())).await;
}

async fn bench_memcached(events: usize) {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let service = services::memcached(64);
    let address = service.address.clone();
    let streams = Arc::new(std::sync::Mutex::new(Vec::new()));
    for _ in 0..CALLERS {
        let stream = tokio::net::TcpStream::connect(&address)
            .await
            .expect("it answers");
        streams.lock().expect("no panic").push(stream);
    }
    let bare = move || {
        let streams = Arc::clone(&streams);
        async move {
            let stream = streams.lock().expect("no panic").pop();
            let mut stream = stream.expect("one for each caller");
            let add = format!("add {} 0 600 1\r\n1\r\n", delivery().key);
            stream.write_all(add.as_bytes()).await.expect("it answers");
            let mut answer = [0; 8];
            stream.read_exact(&mut answer).await.expect("it answers");
            assert_eq!(&answer, b"STORED\r\n");
            streams.lock().expect("no panic").push(stream);
        }
    };
    let kit = kit(MemcachedStore::new(
        service.address.parse().expect("an address"),
    ));
    compared("memcached, leased", events, bare, move || {
        leased(kit.clone())
    })
    .await;
}

#[tokio::main]
async fn main() {
    // `cargo bench` passes an argument of its own.
    let asked = std::env::args().skip(1).find_map(|text| text.parse().ok());
    let events = asked.unwrap_or(EVENTS_DEFAULT);
    println!("{events} events, {CALLERS} callers, microseconds for each event");
    println!(
        "{:<44} {:>9} {:>9} {:>7}",
        "store and mode", "bare", "ours", "times"
    );
    bench_postgres(events).await;
    bench_mariadb(events).await;
    bench_sqlite(events).await;
    bench_redis(events * 5).await;
    bench_memcached(events * 5).await;
}
