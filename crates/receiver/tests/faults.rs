//! What befalls real servers and real processes: a replica that is cut off, memory that runs out, a
//! receiver that is killed or frozen with a claim in its hands, a clock that is wrong. What a store
//! cannot promise is asserted as well, so that its documentation cannot say more.

#![expect(clippy::unwrap_used, reason = "the helpers of tests fail as tests do")]

mod support;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Duration;

use hooklatch_receiver::claim::{Origin, StateName};
use hooklatch_receiver::kit::Receiver;
use hooklatch_receiver::memcached::MemcachedStore;
use hooklatch_receiver::mysql::MysqlStore;
use hooklatch_receiver::postgres::PostgresStore;
use hooklatch_receiver::redis::RedisStore;
use hooklatch_receiver::run::{Begun, Completed, Leased, Run, Settings};
use hooklatch_receiver::sqlite::SqliteStore;
use hooklatch_receiver::store::Store;

use support::services::{self, Disk, until_it_answers};
use support::targets::{delivery, postgres_pool};

/// A lease that does not lapse during a test.
const LONG: Duration = Duration::from_secs(120);
/// A lease that does.
const SHORT: Duration = Duration::from_secs(1);
/// The event of the tests with another process.
const EVENT: u32 = 1;

/// Says to this test, started again as a process of its own, on which store it works.
const PLACE: &str = "HOOKLATCH_TEST_ELSEWHERE";
/// And how long its lease is, in milliseconds.
const LEASE_MS: &str = "HOOKLATCH_TEST_LEASE_MS";

fn settings(lease: Duration) -> Settings {
    Settings {
        lease,
        attempts_max: 1_000,
        ..Settings::default()
    }
}

fn kit<S: Store>(store: S, lease: Duration) -> Receiver<S> {
    Receiver::new(store, settings(lease))
}

async fn begun<S: Store>(kit: &Receiver<S>, event: u32) -> Begun<Leased<S>> {
    kit.begin(&delivery(event))
        .await
        .expect("the store answers")
}

async fn run<S: Store>(kit: &Receiver<S>, event: u32) -> Run<Leased<S>> {
    match begun(kit, event).await {
        Begun::Run(run) => run,
        other => panic!("it is free: {other:?}"),
    }
}

/// The run of an event, as soon as its lease has lapsed.
async fn taken_over<S: Store>(kit: &Receiver<S>) -> Run<Leased<S>> {
    until_it_answers(|| async {
        match begun(kit, EVENT).await {
            Begun::Run(run) => Ok(run),
            busy => Err(format!("{busy:?}")),
        }
    })
    .await
}

fn client(address: &str) -> redis::Client {
    redis::Client::open(address).unwrap()
}

async fn order(address: &str, words: &[&str]) {
    let mut connection = client(address).get_connection_manager().await.unwrap();
    let mut command = redis::cmd(words[0]);
    command.arg(&words[1..]);
    let () = command.query_async(&mut connection).await.unwrap();
}

fn free_port() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port().to_string()
}

fn port_of(url: &str) -> String {
    let url: url::Url = url.parse().unwrap();
    url.port().unwrap().to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn v4_a_redis_failover_forgets_what_no_replica_had_unless_claims_wait_for_one() {
    let primary = services::redis(&["--repl-diskless-sync-delay", "0"]);
    let replica = services::redis(&["--replicaof", "127.0.0.1", &port_of(&primary.address)]);
    let store = RedisStore::connect(&client(&primary.address))
        .await
        .unwrap();
    let waits = store
        .clone()
        .with_min_replicas_acked(1, Duration::from_millis(300));
    let (careful, hasty) = (kit(waits, LONG), kit(store, LONG));

    // While there is no replica, nothing is claimed; as soon as there is one, it is.
    let first = delivery(1);
    let kept = until_it_answers(|| careful.begin(&first)).await;
    assert!(matches!(kept, Begun::Run(_)), "{kept:?}");

    // The replica is cut off, and nobody is told.
    order(&replica.address, &["REPLICAOF", "127.0.0.1", &free_port()]).await;
    assert!(careful.begin(&delivery(2)).await.is_err());
    let seen = careful.store().lookup(&delivery(2).key).await.unwrap();
    assert_eq!(
        seen.unwrap().state,
        StateName::Released,
        "it was given back"
    );
    let forgotten = run(&hasty, 3).await;
    assert_eq!(forgotten.origin(), Origin::First);

    drop(primary);
    order(&replica.address, &["REPLICAOF", "NO", "ONE"]).await;
    let promoted = RedisStore::connect(&client(&replica.address))
        .await
        .unwrap();
    let promoted = kit(promoted, LONG);
    let known = begun(&promoted, 1).await;
    assert!(matches!(known, Begun::Busy { .. }), "{known:?}");
    let again = run(&promoted, 3).await;
    assert_eq!(
        again.origin(),
        Origin::First,
        "the failover forgot the claim"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn v4_redis_refuses_claims_when_its_memory_is_full_and_must_not_evict() {
    let arguments = ["--maxmemory", "2mb", "--maxmemory-policy", "noeviction"];
    let service = services::redis(&arguments);
    let store = RedisStore::connect(&client(&service.address))
        .await
        .unwrap();
    let kit = kit(store, LONG);
    let held = run(&kit, 0).await;
    let mut refused = None;
    for event in 1..20_000 {
        match kit.begin(&delivery(event)).await {
            Ok(_begun) => {}
            Err(_full) => {
                refused = Some(event);
                break;
            }
        }
    }
    assert!(refused.is_some(), "it never ran full");
    let still = begun(&kit, 0).await;
    assert!(matches!(still, Begun::Busy { .. }), "{still:?}");
    drop(held);
}

/// The bytes of an item, as Memcached keeps them.
fn stored_bytes(stream: &mut BufReader<TcpStream>, name: &str) -> usize {
    let ask = format!("get {name}\r\n");
    stream.get_mut().write_all(ask.as_bytes()).unwrap();
    let mut line = String::new();
    stream.read_line(&mut line).unwrap();
    let bytes: usize = line.trim().rsplit(' ').next().unwrap().parse().unwrap();
    let mut rest = vec![0; bytes + "\r\nEND\r\n".len()];
    stream.read_exact(&mut rest).unwrap();
    bytes
}

#[tokio::test(flavor = "multi_thread")]
async fn v4_memcached_may_evict_a_live_claim_whose_event_then_runs_again() {
    let service = services::memcached(8);
    let kit = kit(MemcachedStore::new(service.address.parse().unwrap()), LONG);
    let held = run(&kit, EVENT).await;
    drop(run(&kit, 2).await);
    let busy = begun(&kit, 2).await;
    assert!(matches!(busy, Begun::Busy { .. }), "{busy:?}");

    // Claims compete with claims: an eviction takes what is of the same size.
    let mut stream = BufReader::new(TcpStream::connect(&service.address).unwrap());
    let name = format!("hooklatch:c:{}", delivery(2).key);
    let value = "x".repeat(stored_bytes(&mut stream, &name));
    let stream = stream.get_mut();
    for number in 0..60_000 {
        let name = format!("hooklatch:c:{number:064}");
        let line = format!("set {name} 0 0 {} noreply\r\n{value}\r\n", value.len());
        stream.write_all(line.as_bytes()).unwrap();
    }
    stream.write_all(b"mn\r\n").unwrap();
    let mut done = [0; 4];
    stream.read_exact(&mut done).unwrap();
    assert_eq!(&done, b"MN\r\n");

    let again = run(&kit, EVENT).await;
    assert_eq!((again.attempt(), again.origin()), (1, Origin::First));
    // Who had it before can record nothing: the effect may have happened twice, and is told so.
    assert_eq!(held.complete(b"").await.unwrap(), Completed::Fenced);
}

/// This test as a process of its own, which does what [`elsewhere`] does.
struct Elsewhere {
    child: Child,
    orders: ChildStdin,
    said: BufReader<ChildStdout>,
}

impl Elsewhere {
    fn start(test: &str, place: &str, lease: Duration, clock: Option<&str>) -> Self {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command
            .args([test, "--exact", "--nocapture"])
            .env(PLACE, place)
            .env(LEASE_MS, lease.as_millis().to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped());
        if let Some(clock) = clock {
            command
                .env("LD_PRELOAD", faketime())
                .env("FAKETIME", clock)
                .env("FAKETIME_DONT_FAKE_MONOTONIC", "1");
        }
        let mut child = command.spawn().unwrap();
        Self {
            orders: child.stdin.take().unwrap(),
            said: BufReader::new(child.stdout.take().unwrap()),
            child,
        }
    }

    /// The next thing that it says of its own accord.
    fn hear(&mut self) -> String {
        let mut line = String::new();
        loop {
            line.clear();
            let read = self.said.read_line(&mut line).unwrap();
            assert!(read > 0, "it ended without a word");
            // The harness may have begun the line.
            if let Some((_, word)) = line.split_once("elsewhere: ") {
                return word.trim().to_owned();
            }
        }
    }

    fn complete(&mut self) -> String {
        self.orders.write_all(b"complete\n").unwrap();
        self.hear()
    }

    fn signal(&self, name: &str) {
        // The shell has a kill of its own wherever there is a shell.
        let command = format!("kill -{name} {}", self.child.id());
        let sent = Command::new("sh").args(["-c", &command]).status();
        assert!(sent.unwrap().success(), "{command}");
    }
}

impl Drop for Elsewhere {
    fn drop(&mut self) {
        // It may have ended by itself, or have been killed by the test.
        let _killed = self.child.kill();
        let _ended = self.child.wait();
    }
}

/// The library that gives a process another clock.
fn faketime() -> PathBuf {
    let directories = std::fs::read_dir("/usr/lib").unwrap().flatten();
    let mut found = directories.map(|it| it.path().join("faketime/libfaketimeMT.so.1"));
    found
        .find(|path| path.exists())
        .expect("install Debian's package faketime, or run `cargo xtask test`")
}

/// In the other process: asks for the event, says what came of it, and completes it when told to.
/// Answers whether this is that process.
async fn elsewhere() -> bool {
    let Ok(place) = std::env::var(PLACE) else {
        return false;
    };
    let lease_ms: u64 = std::env::var(LEASE_MS).unwrap().parse().unwrap();
    let lease = Duration::from_millis(lease_ms);
    match place.split_once('=').unwrap() {
        ("postgres", url) => play(PostgresStore::new(postgres_pool(url)), lease).await,
        ("mariadb", url) => play(MysqlStore::new(mysql_async::Pool::new(url)), lease).await,
        ("redis", url) => {
            let store = RedisStore::connect(&client(url)).await.unwrap();
            play(store, lease).await;
        }
        ("sqlite", path) => play(SqliteStore::open(path.as_ref()).unwrap(), lease).await,
        other => panic!("{other:?}"),
    }
    true
}

async fn play(store: impl Store, lease: Duration) {
    let begun = begun(&kit(store, lease), EVENT).await;
    let Begun::Run(run) = begun else {
        println!("elsewhere: {}", word(&begun));
        return;
    };
    println!("elsewhere: run");
    let mut line = String::new();
    let told = std::io::stdin().read_line(&mut line).unwrap();
    if told == 0 {
        return;
    }
    println!("elsewhere: {:?}", run.complete(b"").await.unwrap());
}

fn word<M>(begun: &Begun<M>) -> &'static str {
    match begun {
        Begun::Run(_) => "run",
        Begun::Done { .. } => "done",
        Begun::Busy { .. } => "busy",
        Begun::Conflict { .. } => "conflict",
        Begun::Dead { .. } => "dead",
    }
}

/// A receiver is killed with a claim in its hands: its lease is honoured, and then the event runs.
async fn a_killed_receiver_is_taken_over(test: &str, place: &str, store: impl Store) {
    let mut other = Elsewhere::start(test, place, SHORT * 2, None);
    assert_eq!(other.hear(), "run");
    other.signal("KILL");
    other.child.wait().unwrap();
    let kit = kit(store, LONG);
    let busy = begun(&kit, EVENT).await;
    assert!(matches!(busy, Begun::Busy { .. }), "{place}: {busy:?}");
    let run = taken_over(&kit).await;
    assert_eq!(
        (run.origin(), run.attempt()),
        (Origin::Takeover, 2),
        "{place}"
    );
    assert_eq!(run.complete(b"").await.unwrap(), Completed::Applied);
}

/// A receiver is frozen for longer than its lease: somebody takes over, and it records nothing.
async fn a_frozen_receiver_is_fenced(test: &str, place: &str, store: impl Store) {
    let mut other = Elsewhere::start(test, place, SHORT, None);
    assert_eq!(other.hear(), "run");
    other.signal("STOP");
    let kit = kit(store, LONG);
    let run = taken_over(&kit).await;
    other.signal("CONT");
    assert_eq!(other.complete(), "Fenced", "{place}");
    assert_eq!(run.complete(b"mine").await.unwrap(), Completed::Applied);
    let done = begun(&kit, EVENT).await;
    assert!(matches!(done, Begun::Done { result: Some(kept) } if kept == b"mine"));
}

#[tokio::test(flavor = "multi_thread")]
async fn v2_kill_nine_of_a_receiver_delays_its_event_and_loses_nothing() {
    const TEST: &str = "v2_kill_nine_of_a_receiver_delays_its_event_and_loses_nothing";
    if elsewhere().await {
        return;
    }
    let service = services::postgres(Disk::Unsynced);
    let store = PostgresStore::new(postgres_pool(&service.address));
    until_it_answers(|| store.create_tables()).await;
    let place = format!("postgres={}", service.address);
    a_killed_receiver_is_taken_over(TEST, &place, store).await;

    let service = services::redis(&["--loglevel", "warning"]);
    let store = RedisStore::connect(&client(&service.address))
        .await
        .unwrap();
    let place = format!("redis={}", service.address);
    a_killed_receiver_is_taken_over(TEST, &place, store).await;

    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("claims.db");
    let store = SqliteStore::open(&path).unwrap();
    let place = format!("sqlite={}", path.display());
    a_killed_receiver_is_taken_over(TEST, &place, store).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn v2_a_receiver_that_was_frozen_past_its_lease_records_nothing() {
    const TEST: &str = "v2_a_receiver_that_was_frozen_past_its_lease_records_nothing";
    if elsewhere().await {
        return;
    }
    let service = services::postgres(Disk::Unsynced);
    let store = PostgresStore::new(postgres_pool(&service.address));
    until_it_answers(|| store.create_tables()).await;
    let place = format!("postgres={}", service.address);
    a_frozen_receiver_is_fenced(TEST, &place, store).await;

    let service = services::redis(&["--loglevel", "warning"]);
    let store = RedisStore::connect(&client(&service.address))
        .await
        .unwrap();
    let place = format!("redis={}", service.address);
    a_frozen_receiver_is_fenced(TEST, &place, store).await;
}

/// What a receiver whose clock is an hour off hears of a lease that somebody else has.
async fn heard_with_a_wrong_clock(test: &str, place: &str, store: impl Store) -> Vec<String> {
    let held = run(&kit(store, LONG), EVENT).await;
    let mut heard = Vec::new();
    for clock in ["-1h", "+1h"] {
        let mut other = Elsewhere::start(test, place, LONG, Some(clock));
        heard.push(other.hear());
    }
    drop(held);
    heard
}

#[tokio::test(flavor = "multi_thread")]
async fn v4_where_the_server_has_a_clock_a_wrong_one_of_a_receiver_ends_no_lease() {
    const TEST: &str = "v4_where_the_server_has_a_clock_a_wrong_one_of_a_receiver_ends_no_lease";
    if elsewhere().await {
        return;
    }
    let service = services::postgres(Disk::Unsynced);
    let store = PostgresStore::new(postgres_pool(&service.address));
    until_it_answers(|| store.create_tables()).await;
    let place = format!("postgres={}", service.address);
    assert_eq!(
        heard_with_a_wrong_clock(TEST, &place, store).await,
        ["busy", "busy"]
    );

    let service = services::mariadb(Disk::Unsynced);
    let pool = mysql_async::Pool::new(service.address.as_str());
    let store = MysqlStore::new(pool.clone());
    until_it_answers(|| store.create_tables()).await;
    let place = format!("mariadb={}", service.address);
    assert_eq!(
        heard_with_a_wrong_clock(TEST, &place, store).await,
        ["busy", "busy"]
    );
    pool.disconnect().await.unwrap();

    let service = services::redis(&["--loglevel", "warning"]);
    let store = RedisStore::connect(&client(&service.address))
        .await
        .unwrap();
    let place = format!("redis={}", service.address);
    assert_eq!(
        heard_with_a_wrong_clock(TEST, &place, store).await,
        ["busy", "busy"]
    );

    // SQLite has the processes' clock alone, and says so.
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("claims.db");
    let store = SqliteStore::open(&path).unwrap();
    let place = format!("sqlite={}", path.display());
    assert_eq!(
        heard_with_a_wrong_clock(TEST, &place, store).await,
        ["busy", "run"]
    );
}
