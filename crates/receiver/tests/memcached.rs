//! Memcached passes the vectors, and is no better than its documentation says.

#![expect(clippy::unwrap_used, reason = "the helpers of tests fail as tests do")]

mod support;

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command};
use std::sync::Arc;
use std::time::Duration;

use hooklatch_receiver::claim::Hold;
use hooklatch_receiver::kit::Receiver;
use hooklatch_receiver::memcached::MemcachedStore;
use hooklatch_receiver::run::{Begun, Completed, Leased, Run, Settings};
use hooklatch_receiver::store::{Clock, Effect, Memory, Promise, Store};

use support::runner::{Bench, Time, passes_every_vector};
use support::services::{self, until_it_answers};
use support::targets::delivery;

#[tokio::test(flavor = "multi_thread")]
async fn v4_memcached_passes_every_vector() {
    let service = services::memcached(64);
    let store = Arc::new(MemcachedStore::new(service.address.parse().unwrap()));
    let promise = Promise {
        memory: Memory::Evictable,
        effect: Effect::AtLeastOnce,
        clock: Clock::Process,
    };
    assert_eq!(store.promise(), promise);
    passes_every_vector(|| Bench {
        store: Arc::clone(&store),
        time: Time::Real,
    })
    .await;
}

/// Another process, as far as a server can tell.
fn process(address: &str, lease: Duration) -> Receiver<MemcachedStore> {
    let settings = Settings {
        lease,
        ..Settings::default()
    };
    Receiver::new(MemcachedStore::new(address.parse().unwrap()), settings)
}

async fn run(kit: &Receiver<MemcachedStore>) -> Run<Leased<MemcachedStore>> {
    until_it_answers(|| async {
        match kit.begin(&delivery(1)).await {
            Ok(Begun::Run(run)) => Ok(run),
            other => Err(format!("{other:?}")),
        }
    })
    .await
}

async fn known_result(kit: &Receiver<MemcachedStore>) -> Option<Vec<u8>> {
    match kit.begin(&delivery(1)).await.unwrap() {
        Begun::Done { result } => result,
        other => panic!("{other:?}"),
    }
}

/// How many items were asked for since the server was started.
fn reads(address: &str) -> u64 {
    let mut stream = BufReader::new(TcpStream::connect(address).unwrap());
    stream.get_mut().write_all(b"stats\r\n").unwrap();
    let lines = stream.lines().map(Result::unwrap);
    let number = |line: String| line.strip_prefix("STAT cmd_get ")?.parse().ok();
    lines
        .take_while(|line| line != "END")
        .find_map(number)
        .unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_nobody_else_has_touched_is_completed_without_reading_it() {
    let service = services::memcached(63);
    let kit = process(&service.address, Duration::from_secs(60));
    let begun = run(&kit).await;
    assert_eq!(begun.renew().await.unwrap(), Hold::Kept);
    assert_eq!(begun.complete(b"done").await.unwrap(), Completed::Applied);
    assert_eq!(reads(&service.address), 0);
    assert_eq!(known_result(&kit).await.as_deref(), Some(&b"done"[..]));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_another_process_has_taken_over_is_read_before_it_is_judged() {
    let service = services::memcached(63);
    let first = process(&service.address, Duration::from_millis(100));
    let second = process(&service.address, Duration::from_secs(60));
    let slow = run(&first).await;
    let taker = run(&second).await;
    assert_eq!(taker.attempt(), 2);
    assert!(taker.fence() > slow.fence());
    assert_eq!(slow.renew().await.unwrap(), Hold::Fenced);
    assert_eq!(slow.complete(b"first").await.unwrap(), Completed::Fenced);
    assert_eq!(taker.complete(b"second").await.unwrap(), Completed::Applied);
    assert_eq!(known_result(&first).await.as_deref(), Some(&b"second"[..]));
}

fn memcached_on(port: u16) -> Child {
    let port = port.to_string();
    let arguments = ["-l", "127.0.0.1", "-U", "0", "-u", "nobody", "-p", &port];
    Command::new("memcached").args(arguments).spawn().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_counts_from_the_beginning_again_fences_whoever_held_a_claim_before() {
    let free = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = free.local_addr().unwrap();
    drop(free);
    let (first, second) = (
        process(&address.to_string(), Duration::from_secs(60)),
        process(&address.to_string(), Duration::from_secs(60)),
    );
    let mut server = memcached_on(address.port());
    let forgotten = run(&first).await;
    server.kill().unwrap();
    server.wait().unwrap();

    // Both claims are the first thing that their server stores, and so the same version.
    let mut server = memcached_on(address.port());
    let holder = run(&second).await;
    let held = until_it_answers(|| forgotten.renew()).await;
    assert_eq!(held, Hold::Fenced);
    assert_eq!(forgotten.complete(b"").await.unwrap(), Completed::Fenced);
    assert_eq!(holder.complete(b"").await.unwrap(), Completed::Applied);
    server.kill().unwrap();
    server.wait().unwrap();
}
