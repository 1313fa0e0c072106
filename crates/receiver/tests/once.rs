//! Handlers under the kit: renewals, deadlines, panics, steps, and stores that fail.

mod support;

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use hooklatch_receiver::claim::{
    Claim, Claimed, Completion, Held, Hold, Metadata, Origin, Saved, Sighting, StateName,
};
use hooklatch_receiver::event::{Event, Observer};
use hooklatch_receiver::key::ScopeKey;
use hooklatch_receiver::kit::Receiver;
use hooklatch_receiver::memory::MemoryStore;
use hooklatch_receiver::once::{Failure, Outcome};
use hooklatch_receiver::run::{Begun, Completed, Settings};
use hooklatch_receiver::store::{Promise, Store, StoreError};

use support::targets::delivery;

fn kit() -> Receiver<MemoryStore> {
    let mut settings = Settings::for_deadline(Duration::from_secs(60));
    settings.retry_after = Duration::ZERO;
    settings.attempts_max = 3;
    Receiver::new(MemoryStore::new(), settings)
}

#[derive(Default)]
struct Log(Mutex<Vec<String>>);

impl Observer for Log {
    fn observe(&self, _: Option<&ScopeKey>, _: &Metadata, event: &Event<'_>) {
        let mut told = self.0.lock().expect("no test panics with it");
        told.push(format!("{event:?}"));
    }
}

#[tokio::test]
async fn v1_a_handler_runs_once_and_every_transition_is_told() {
    let log = Arc::new(Log::default());
    let kit = kit().with_observer(Arc::clone(&log));
    let outcome = kit
        .once(delivery(1), async |_| Ok(b"thanks".to_vec()))
        .await
        .unwrap();
    let ran = Outcome::Ran {
        result: b"thanks".to_vec(),
        completed: Completed::Applied,
    };
    assert_eq!(outcome, ran);
    let again = kit
        .once(delivery(1), async |_| panic!("it has run"))
        .await
        .unwrap();
    let done = Outcome::Done {
        result: Some(b"thanks".to_vec()),
    };
    assert_eq!(again, done);
    let told = log.0.lock().unwrap().clone();
    assert_eq!(
        told,
        [
            "Begun { origin: First, attempt: 1 }",
            "Completed",
            "Duplicate { state: Completed, reason: Unknown }",
        ]
    );
}

#[tokio::test]
async fn a_panic_is_a_failed_attempt_and_the_last_one_is_the_end() {
    let kit = kit();
    for attempt in 1..=3_u32 {
        let outcome = kit
            .once(delivery(1), async |_| panic!("a poisonous event"))
            .await
            .unwrap();
        let expected = attempt < 3;
        assert_eq!(
            matches!(outcome, Outcome::Failed { .. }),
            expected,
            "{outcome:?}"
        );
        assert_eq!(
            matches!(outcome, Outcome::Died { .. }),
            !expected,
            "{outcome:?}"
        );
    }
    let dead = kit
        .once(delivery(1), async |_| Ok(Vec::new()))
        .await
        .unwrap();
    let error = "gave up after 3 attempts: the handler panicked".to_owned();
    assert_eq!(dead, Outcome::Dead { error });
}

#[tokio::test(start_paused = true)]
async fn a_handler_that_never_ends_is_stopped_at_its_deadline() {
    let kit = kit();
    let outcome = kit
        .once(delivery(1), async |_| std::future::pending().await)
        .await
        .unwrap();
    assert!(matches!(outcome, Outcome::Failed { .. }), "{outcome:?}");
    let seen = kit.store().lookup(&delivery(1).key).await.unwrap().unwrap();
    assert_eq!(seen.state, StateName::Released);
}

#[tokio::test]
async fn v2_steps_that_were_done_are_not_done_again() {
    let kit = kit();
    let charged = Arc::new(AtomicUsize::new(0));
    let mut keys = Vec::new();
    for attempt in 1..=2_u32 {
        let charged = Arc::clone(&charged);
        let (tell, told) = tokio::sync::oneshot::channel();
        let handler = async move |work: hooklatch_receiver::once::Work<MemoryStore>| {
            assert_eq!(work.attempt(), attempt);
            let charge = async |key| {
                charged.fetch_add(1, Ordering::SeqCst);
                Ok::<_, String>(format!("{key}").into_bytes())
            };
            let receipt = work.step("charge", charge).await.unwrap();
            tell.send(work.step_key("charge").unwrap().to_string())
                .unwrap();
            match attempt {
                1 => Err(Failure::Retry {
                    after: None,
                    error: "the mail server is away".to_owned(),
                }),
                _ => Ok(receipt),
            }
        };
        let outcome = kit.once(delivery(1), handler).await.unwrap();
        keys.push(told.await.unwrap());
        if let Outcome::Ran { result, .. } = outcome {
            assert_eq!(result, keys[0].as_bytes(), "the first attempt's result");
        }
    }
    assert_eq!(charged.load(Ordering::SeqCst), 1);
    assert_eq!(keys[0], keys[1], "a repeat calls with the same key");
}

#[tokio::test]
async fn who_was_overtaken_is_stopped_and_completes_nothing() {
    let settings = Settings {
        lease: Duration::from_millis(90),
        ..Settings::default()
    };
    let kit = Receiver::new(Forgetful::default(), settings);
    let store = kit.clone();
    let handler = async move |_| {
        // The store renews nothing: the lease lapses, and somebody else takes over.
        loop {
            let begun = store.begin(&delivery(1)).await.unwrap();
            if let Begun::Run(run) = begun {
                assert_eq!(run.origin(), Origin::Takeover);
                store.store().fence.store(true, Ordering::SeqCst);
                let theirs = run.complete(b"theirs").await.unwrap();
                assert_eq!(theirs, Completed::Applied);
                std::future::pending::<()>().await;
            }
            tokio::task::yield_now().await;
        }
    };
    let outcome = kit.once(delivery(1), handler).await.unwrap();
    assert_eq!(outcome, Outcome::LeaseLost);
    let seen = kit.store().lookup(&delivery(1).key).await.unwrap().unwrap();
    assert_eq!(seen.result.as_deref(), Some(&b"theirs"[..]));
}

#[tokio::test(start_paused = true)]
async fn a_completion_that_fails_is_a_success_to_the_sender_and_tried_again() {
    let kit = Receiver::new(Forgetful::default(), Settings::default());
    kit.store().down.store(true, Ordering::SeqCst);
    let store = kit.clone();
    let handler = async move |_| {
        store.store().completions_fail.store(3, Ordering::SeqCst);
        Ok(b"thanks".to_vec())
    };
    assert!(
        kit.once(delivery(1), async |_| Ok(Vec::new()))
            .await
            .is_err(),
        "fail closed"
    );
    kit.store().down.store(false, Ordering::SeqCst);
    let outcome = kit.once(delivery(1), handler).await.unwrap();
    let ran = Outcome::Ran {
        result: b"thanks".to_vec(),
        completed: Completed::Unknown,
    };
    assert_eq!(outcome, ran);
    let mut tick = tokio::time::interval(Duration::from_millis(50));
    loop {
        let seen = kit.store().lookup(&delivery(1).key).await.unwrap().unwrap();
        if seen.state == StateName::Completed {
            assert_eq!(seen.result.as_deref(), Some(&b"thanks"[..]));
            return;
        }
        tick.tick().await;
    }
}

#[tokio::test]
async fn an_answer_that_was_lost_hides_no_claim_of_ones_own() {
    let kit = Receiver::new(Forgetful::default(), Settings::default());
    kit.store().answers_lost.store(1, Ordering::SeqCst);
    let outcome = kit
        .once(delivery(1), async |_| Ok(Vec::new()))
        .await
        .unwrap();
    assert!(matches!(outcome, Outcome::Ran { .. }), "{outcome:?}");
}

/// A store in memory that fails as it is told to.
#[derive(Default)]
struct Forgetful {
    inner: MemoryStore,
    down: AtomicBool,
    /// Renewals do nothing until this is set, and say that the token is overtaken after.
    fence: AtomicBool,
    completions_fail: AtomicUsize,
    /// Claims that are made, and whose answer does not arrive.
    answers_lost: AtomicUsize,
}

fn failed(operation: &'static str) -> StoreError {
    StoreError::new(operation, "the connection broke")
}

fn take_one(count: &AtomicUsize) -> bool {
    let taken = count.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| {
        left.checked_sub(1)
    });
    taken.is_ok()
}

impl Store for Forgetful {
    async fn claim(&self, claim: &Claim) -> Result<Claimed, StoreError> {
        if self.down.load(Ordering::SeqCst) {
            return Err(failed("claim"));
        }
        let claimed = self.inner.claim(claim).await;
        match take_one(&self.answers_lost) {
            true => Err(failed("claim")),
            false => claimed,
        }
    }

    async fn complete(
        &self,
        held: &Held,
        result: Option<&[u8]>,
        retention: Duration,
    ) -> Result<Completion, StoreError> {
        if take_one(&self.completions_fail) {
            return Err(failed("complete"));
        }
        self.inner.complete(held, result, retention).await
    }

    async fn release(
        &self,
        held: &Held,
        retry_after: Duration,
        error: &str,
    ) -> Result<Hold, StoreError> {
        self.inner.release(held, retry_after, error).await
    }

    async fn renew(&self, _: &Held, _: Duration) -> Result<Hold, StoreError> {
        match self.fence.load(Ordering::SeqCst) {
            true => Ok(Hold::Fenced),
            false => Err(failed("renew")),
        }
    }

    async fn fail(
        &self,
        held: &Held,
        error: &str,
        retention: Duration,
    ) -> Result<Hold, StoreError> {
        self.inner.fail(held, error, retention).await
    }

    async fn lookup(&self, key: &ScopeKey) -> Result<Option<Sighting>, StoreError> {
        self.inner.lookup(key).await
    }

    async fn save_step(&self, held: &Held, step: &str, result: &[u8]) -> Result<Saved, StoreError> {
        self.inner.save_step(held, step, result).await
    }

    async fn load_step(&self, held: &Held, step: &str) -> Result<Option<Vec<u8>>, StoreError> {
        self.inner.load_step(held, step).await
    }

    async fn sweep(&self, limit: u32) -> Result<u64, StoreError> {
        self.inner.sweep(limit).await
    }

    fn promise(&self) -> Promise {
        self.inner.promise()
    }
}
