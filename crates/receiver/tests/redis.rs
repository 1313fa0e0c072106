//! Redis passes the vectors, and is no better than its documentation says.

#![expect(clippy::unwrap_used, reason = "the helpers of tests fail as tests do")]

mod support;

use std::sync::Arc;
use std::time::Duration;

use hooklatch_receiver::claim::{
    Claim, Claimed, Completion, Held, Hold, Intent, Metadata, StateName,
};
use hooklatch_receiver::key::{Fingerprint, ScopeKey};
use hooklatch_receiver::redis::RedisStore;
use hooklatch_receiver::store::{Clock, Effect, Memory, Promise, Store};
use hooklatch_receiver::token::{self, Token};
use redis::aio::MultiplexedConnection;

use support::runner::{Bench, Time, passes_every_vector};
use support::services::{self, until_it_answers};

const HOUR: Duration = Duration::from_hours(1);
/// Long enough not to lapse in a test.
const LEASE: Duration = Duration::from_secs(30);
const SHORT: Duration = Duration::from_millis(1);

#[tokio::test(flavor = "multi_thread")]
async fn v4_redis_passes_every_vector() {
    let service = services::redis(&[]);
    let client = redis::Client::open(service.address.as_str()).unwrap();
    let store = Arc::new(RedisStore::connect(&client).await.unwrap());
    let promise = Promise {
        memory: Memory::UntilFailover,
        effect: Effect::AtLeastOnce,
        clock: Clock::Server,
    };
    assert_eq!(store.promise(), promise);
    passes_every_vector(|| Bench {
        store: Arc::clone(&store),
        time: Time::Real,
    })
    .await;
}

fn claim(event: u8, lease: Duration) -> Claim {
    Claim {
        key: ScopeKey::from_bytes([event; 32]),
        fingerprint: Fingerprint::of(&[event]),
        token: token::random(),
        lease,
        attempts_max: 8,
        retention: HOUR,
        intent: Intent::Delivery,
        metadata: Metadata::new("stripe", "charge.succeeded", None),
    }
}

async fn run(store: &RedisStore, claim: &Claim) -> Held {
    let claimed = store.claim(claim).await.unwrap();
    let Claimed::Run(grant) = claimed else {
        panic!("it may run: {claimed:?}");
    };
    grant.held(claim.key)
}

/// Completions that stand beside records, as another process may leave them.
struct Beside {
    connection: MultiplexedConnection,
    prefix: String,
}

impl Beside {
    fn name(&self, key: &ScopeKey) -> String {
        format!("{}{{{key}}}:done", self.prefix)
    }

    async fn put(&mut self, key: &ScopeKey, token: &Token, result: &str) {
        let mut set = redis::cmd("SET");
        set.arg(self.name(key))
            .arg(format!("{}1{result}", token.to_hex()))
            .arg("EX")
            .arg(HOUR.as_secs());
        let () = set.query_async(&mut self.connection).await.unwrap();
    }

    async fn record_stays_ms(&mut self, key: &ScopeKey) -> i64 {
        let mut left = redis::cmd("PTTL");
        left.arg(format!("{}{{{key}}}", self.prefix));
        left.query_async(&mut self.connection).await.unwrap()
    }

    async fn is_there(&mut self, key: &ScopeKey) -> bool {
        let mut exists = redis::cmd("EXISTS");
        exists.arg(self.name(key));
        exists.query_async(&mut self.connection).await.unwrap()
    }
}

async fn set_up(service: &services::Service) -> (RedisStore, Beside) {
    let client = redis::Client::open(service.address.as_str()).unwrap();
    let connection = client.get_multiplexed_async_connection().await.unwrap();
    // Others may use the same server.
    let prefix = format!("test:{}:", token::random().to_hex());
    let store = RedisStore::connect(&client).await.unwrap();
    let store = store.with_prefix(&prefix);
    (store, Beside { connection, prefix })
}

/// Waits until nobody holds a record.
async fn lapsed(store: &RedisStore, key: &ScopeKey) {
    until_it_answers(|| async {
        let found = store.lookup(key).await.unwrap().unwrap();
        if found.wait.is_zero() {
            Ok(())
        } else {
            Err(found.wait)
        }
    })
    .await;
}

fn done(result: &str) -> Claimed {
    Claimed::Done {
        result: Some(result.as_bytes().to_vec()),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn v2_a_completion_beside_a_record_counts_under_the_token_that_the_record_names() {
    let service = services::redis(&[]);
    let (store, mut beside) = set_up(&service).await;

    // Whoever put it there died at once, and its lease has lapsed.
    let first = claim(1, SHORT);
    let held = run(&store, &first).await;
    lapsed(&store, &first.key).await;
    beside.put(&first.key, &held.token, "ran").await;
    assert_eq!(store.claim(&claim(1, LEASE)).await.unwrap(), done("ran"));
    let found = store.lookup(&first.key).await.unwrap().unwrap();
    assert_eq!(found.state, StateName::Completed);
    assert_eq!(found.result.as_deref(), Some(&b"ran"[..]));
    assert_eq!(store.renew(&held, LEASE).await.unwrap(), Hold::Fenced);
    let released = store.release(&held, Duration::ZERO, "late").await;
    assert_eq!(released.unwrap(), Hold::Fenced);
    assert_eq!(store.fail(&held, "late", HOUR).await.unwrap(), Hold::Fenced);
    let again = store.complete(&held, Some(b"other"), HOUR).await.unwrap();
    assert_eq!(again, Completion::AlreadyComplete);
    assert_eq!(store.claim(&claim(1, LEASE)).await.unwrap(), done("ran"));

    // That of somebody who was overtaken is nothing.
    let second = claim(2, LEASE);
    beside.put(&second.key, &token::random(), "overtaken").await;
    let held = run(&store, &second).await;
    let busy = store.claim(&claim(2, LEASE)).await.unwrap();
    assert!(matches!(busy, Claimed::Busy { .. }), "{busy:?}");
    let completed = store.complete(&held, Some(b"ran"), HOUR).await.unwrap();
    assert_eq!(completed, Completion::Applied);
    assert_eq!(store.claim(&claim(2, LEASE)).await.unwrap(), done("ran"));
    assert!(!beside.is_there(&second.key).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn v2_who_was_overtaken_leaves_no_completion_behind() {
    let service = services::redis(&[]);
    let (store, mut beside) = set_up(&service).await;
    let first = claim(1, SHORT);
    let overtaken = run(&store, &first).await;
    lapsed(&store, &first.key).await;
    let held = run(&store, &claim(1, LEASE)).await;
    let late = store.complete(&overtaken, Some(b"late"), HOUR).await;
    assert_eq!(late.unwrap(), Completion::Fenced);
    assert!(!beside.is_there(&first.key).await);
    let completed = store.complete(&held, Some(b"ran"), HOUR).await.unwrap();
    assert_eq!(completed, Completion::Applied);
    assert!(beside.is_there(&first.key).await);
    assert_eq!(store.claim(&claim(1, LEASE)).await.unwrap(), done("ran"));
}

#[tokio::test(flavor = "multi_thread")]
async fn v2_a_retention_that_differs_from_what_the_lease_leaves_is_kept_by_a_script() {
    let service = services::redis(&[]);
    let (store, mut beside) = set_up(&service).await;
    let claim = claim(1, LEASE);
    let held = run(&store, &claim).await;
    let retention = Duration::from_millis(200);
    let completed = store.complete(&held, Some(b"ran"), retention).await;
    assert_eq!(completed.unwrap(), Completion::Applied);
    assert!(!beside.is_there(&claim.key).await);
    until_it_answers(|| async {
        match store.claim(&claim).await.unwrap() {
            Claimed::Run(_) => Ok(()),
            other => Err(other),
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn v2_a_completion_whose_answer_was_lost_stays_for_its_own_retention() {
    let service = services::redis(&[]);
    let (store, mut beside) = set_up(&service).await;
    let brief = Claim {
        retention: Duration::from_mins(1),
        ..claim(1, SHORT)
    };
    let held = run(&store, &brief).await;
    beside.put(&brief.key, &held.token, "ran").await;
    let again = store.complete(&held, Some(b"other"), HOUR).await.unwrap();
    assert_eq!(again, Completion::AlreadyComplete);
    assert!(!beside.is_there(&brief.key).await);
    assert!(beside.record_stays_ms(&brief.key).await > 1_000_000);
    assert_eq!(store.claim(&claim(1, LEASE)).await.unwrap(), done("ran"));
}
