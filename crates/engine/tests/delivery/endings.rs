//! How the engine ends, and what it survives: a store that fails, a crash, a panic.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use hooklatch_core::config::OnUncertain;
use hooklatch_core::delivery::attempt::AttemptOutcome;
use hooklatch_core::delivery::lifecycle::Command;
use hooklatch_core::delivery::{DeliveryStatus, Lane, Reason, Trigger};
use hooklatch_core::ids::{DeliveryId, ProjectId};
use hooklatch_core::time::Millis;
use hooklatch_core::transform::Transformed;
use hooklatch_engine::Drained;
use hooklatch_store::memory::MemoryStore;
use hooklatch_store::{
    Answer, Commanded, Deliveries, FinishAttempt, Finished, LaneReporting, LeaseRequest, Leases,
    Reported, StoreError, Wake,
};
use serde_json::json;
use tokio_util::sync::CancellationToken;

use crate::receiver::{Receiver, Reply};
use crate::world::{Event, World};

const PATIENCE: Duration = Duration::from_secs(10);

/// A store that fails so many times, and then works; and that answers leases when it may.
struct Unsteady {
    store: Arc<MemoryStore>,
    failing_leases: AtomicUsize,
    failing_finishes: AtomicUsize,
    has_leased: CancellationToken,
    may_answer: CancellationToken,
}

impl Unsteady {
    fn failing(world: &World, leases: usize, finishes: usize) -> Arc<Self> {
        let unsteady = Self {
            store: Arc::clone(&world.store),
            failing_leases: AtomicUsize::new(leases),
            failing_finishes: AtomicUsize::new(finishes),
            has_leased: CancellationToken::new(),
            may_answer: CancellationToken::new(),
        };
        Arc::new(unsteady)
    }
}

fn fails(left: &AtomicUsize) -> bool {
    let take = |left: usize| left.checked_sub(1);
    left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, take)
        .is_ok()
}

fn unavailable<'a, T: Send + 'a>() -> Answer<'a, T> {
    Box::pin(std::future::ready(Err(StoreError::Unavailable(None))))
}

impl Deliveries for Unsteady {
    fn lease(&self, request: LeaseRequest) -> Answer<'_, Leases> {
        if fails(&self.failing_leases) {
            return unavailable();
        }
        let leases = self.store.lease(request);
        self.has_leased.cancel();
        Box::pin(async move {
            self.may_answer.cancelled().await;
            leases.await
        })
    }

    fn finish(&self, finish: FinishAttempt) -> Answer<'_, Finished> {
        if fails(&self.failing_finishes) {
            return unavailable();
        }
        self.store.finish(finish)
    }

    fn finish_and_report(
        &self,
        finish: FinishAttempt,
        report: LaneReporting,
    ) -> Answer<'_, Reported> {
        if fails(&self.failing_finishes) {
            return unavailable();
        }
        self.store.finish_and_report(finish, report)
    }

    fn command(
        &self,
        project: ProjectId,
        delivery: DeliveryId,
        command: Command,
    ) -> Answer<'_, Commanded> {
        self.store.command(project, delivery, command)
    }

    fn keep_transformed(
        &self,
        delivery: DeliveryId,
        transformed: Transformed,
    ) -> Answer<'_, Transformed> {
        self.store.keep_transformed(delivery, transformed)
    }

    fn transformed(&self, delivery: DeliveryId) -> Answer<'_, Option<Transformed>> {
        self.store.transformed(delivery)
    }

    fn hasten(&self, lane: Lane) -> Answer<'_, ()> {
        self.store.hasten(lane)
    }

    fn on_work(&self, wake: Wake) {
        self.store.on_work(wake);
    }
}

#[tokio::test]
async fn a_store_that_fails_loses_no_result_and_repeats_no_request() {
    let world = World::new();
    let receiver = Receiver::answering(200).await;
    let (endpoint, _) = world.endpoint(1, json!({"url": receiver.url("/")}));
    let unsteady = Unsteady::failing(&world, 2, 2);
    unsteady.may_answer.cancel();
    let _engine = world.engine_on(Arc::clone(&unsteady) as Arc<dyn Deliveries>);
    let message = world.event_for(endpoint).await;
    let delivery = world
        .delivery_with(message, DeliveryStatus::Delivered)
        .await;
    assert_eq!((delivery.attempts, receiver.seen().len()), (1, 1));
    assert_eq!(unsteady.failing_leases.load(Ordering::SeqCst), 0);
    assert_eq!(unsteady.failing_finishes.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn draining_lets_an_attempt_end_and_starts_no_other() {
    let world = World::new();
    let receiver = Receiver::start(|_| Reply::Hang).await;
    let settings = json!({"url": receiver.url("/"), "rate_limit": {"concurrency": 1}});
    let (endpoint, _) = world.endpoint(1, settings);
    let engine = world.engine();
    let under_way = world.event_for(endpoint).await;
    let waiting = world.event_for(endpoint).await;
    receiver.has_seen(1).await;
    let drain = tokio::spawn(engine.drain(PATIENCE));
    tokio::task::yield_now().await;
    receiver.release();
    assert_eq!(drain.await.unwrap(), Drained::Complete);
    let delivered = world.delivery(under_way).await;
    assert_eq!(delivered.state.status(), DeliveryStatus::Delivered);
    let pending = world.delivery(waiting).await;
    assert_eq!(pending.state.status(), DeliveryStatus::Pending);
    assert_eq!((pending.attempts, receiver.seen().len()), (0, 1));
}

#[tokio::test]
async fn draining_gives_back_what_was_leased_and_not_begun() {
    let world = World::new();
    let receiver = Receiver::answering(200).await;
    let (endpoint, _) = world.endpoint(1, json!({"url": receiver.url("/")}));
    let message = world.event_for(endpoint).await;
    let unsteady = Unsteady::failing(&world, 0, 0);
    let engine = world.engine_on(Arc::clone(&unsteady) as Arc<dyn Deliveries>);
    unsteady.has_leased.cancelled().await;
    let leased = world.delivery(message).await;
    assert_eq!(leased.state.status(), DeliveryStatus::Delivering);
    let drain = tokio::spawn(engine.drain(PATIENCE));
    tokio::task::yield_now().await;
    unsteady.may_answer.cancel();
    assert_eq!(drain.await.unwrap(), Drained::Complete);
    let pending = world.delivery(message).await;
    assert_eq!(pending.next_attempt_at(), Some(world.now()));
    assert_eq!((pending.attempts, receiver.seen().len()), (0, 0));
    assert_eq!(pending.trigger, Trigger::First);
}

#[tokio::test]
async fn o5_an_attempt_that_outlasts_the_drain_is_recorded_as_uncertain() {
    let world = World::new();
    let receiver = Receiver::start(|_| Reply::Hang).await;
    let url = receiver.url("/");
    let (endpoint, _) = world.endpoint(1, json!({"url": url, "on_uncertain": "hold"}));
    let engine = world.engine();
    let message = world.event_for(endpoint).await;
    receiver.has_seen(1).await;
    let drained = engine.drain(Duration::ZERO).await;
    assert_eq!(drained, Drained::CutShort { attempts: 1 });
    let held = world.delivery(message).await;
    assert_eq!(held.state.reason(), Some(Reason::Uncertain));
    let attempt = world.attempts(message).await.remove(0);
    assert_eq!(attempt.outcome, AttemptOutcome::Uncertain);
}

#[tokio::test]
async fn o5_an_attempt_lost_with_its_process_is_held_or_recovered() {
    let world = World::new();
    let receiver = Receiver::start(|count| match count {
        1 | 2 => Reply::Hang,
        _ => Reply::Answer(200, Vec::new()),
    })
    .await;
    let url = receiver.url("/");
    let (hold, _) = world.endpoint(1, json!({"url": url, "on_uncertain": "hold"}));
    let (retry, _) = world.endpoint(2, json!({"url": url}));
    let _engine = world.engine();
    let held = world.event_for(hold).await;
    let recovered = world.event_for(retry).await;
    receiver.has_seen(2).await;

    let after = world.after_a_crash();
    let _engine = after.engine();
    let held_delivery = after.delivery_with(held, DeliveryStatus::Held).await;
    assert_eq!(held_delivery.attempts, 1);
    after
        .delivery_with(recovered, DeliveryStatus::Delivered)
        .await;
    assert_eq!(receiver.seen().len(), 3);
    let attempts = after.attempts(recovered).await;
    let ends: Vec<_> = attempts
        .iter()
        .map(|attempt| (attempt.trigger, attempt.outcome))
        .collect();
    assert_eq!(
        ends,
        [
            (Trigger::First, AttemptOutcome::Uncertain),
            (Trigger::Recovery, AttemptOutcome::Delivered),
        ]
    );
}

#[tokio::test]
async fn o5_a_lost_attempt_is_held_though_the_engine_is_stopping() {
    let world = World::new();
    let receiver = Receiver::start(|_| Reply::Hang).await;
    let settings = json!({"url": receiver.url("/"), "on_uncertain": "hold"});
    let (endpoint, _) = world.endpoint(1, settings);
    let _engine = world.engine();
    let message = world.event_for(endpoint).await;
    receiver.has_seen(1).await;

    let after = world.after_a_crash();
    let unsteady = Unsteady::failing(&after, 0, 0);
    let engine = after.engine_on(Arc::clone(&unsteady) as Arc<dyn Deliveries>);
    unsteady.has_leased.cancelled().await;
    let drain = tokio::spawn(engine.drain(PATIENCE));
    tokio::task::yield_now().await;
    unsteady.may_answer.cancel();
    assert_eq!(drain.await.unwrap(), Drained::Complete);
    let held = after.delivery(message).await;
    assert_eq!(held.state.reason(), Some(Reason::Uncertain));
    assert_eq!(receiver.seen().len(), 1);
}

#[tokio::test]
async fn o5_that_an_attempt_was_lost_is_still_known_after_its_lease_was_given_back() {
    let world = World::new();
    let receiver = Receiver::start(|_| Reply::Hang).await;
    let (endpoint, _) = world.endpoint(1, json!({"url": receiver.url("/")}));
    let _engine = world.engine();
    let message = world.event_for(endpoint).await;
    receiver.has_seen(1).await;

    let after = world.after_a_crash();
    let unsteady = Unsteady::failing(&after, 0, 0);
    let engine = after.engine_on(Arc::clone(&unsteady) as Arc<dyn Deliveries>);
    unsteady.has_leased.cancelled().await;
    let drain = tokio::spawn(engine.drain(PATIENCE));
    tokio::task::yield_now().await;
    unsteady.may_answer.cancel();
    assert_eq!(drain.await.unwrap(), Drained::Complete);
    let given_back = after.delivery(message).await;
    assert_eq!(given_back.state.status(), DeliveryStatus::Pending);
    after.directory.change(endpoint, |endpoint| {
        endpoint.on_uncertain = OnUncertain::Hold;
    });
    let _engine = after.engine();
    let held = after.delivery_with(message, DeliveryStatus::Held).await;
    assert_eq!(held.state.reason(), Some(Reason::Uncertain));
    assert_eq!(receiver.seen().len(), 1);
}

#[tokio::test]
async fn o4_a_lease_is_counted_from_before_the_store_was_asked_for_it() {
    let world = World::new();
    let receiver = Receiver::answering(200).await;
    let (endpoint, _) = world.endpoint(1, json!({"url": receiver.url("/")}));
    let message = world.event_for(endpoint).await;
    let unsteady = Unsteady::failing(&world, 0, 0);
    let _engine = world.engine_on(Arc::clone(&unsteady) as Arc<dyn Deliveries>);
    unsteady.has_leased.cancelled().await;
    // The store's clock stands still, so that what passes here is the engine's own measure.
    let leased_at = Instant::now();
    while leased_at.elapsed() < Duration::from_millis(20) {
        tokio::task::yield_now().await;
    }
    unsteady.may_answer.cancel();
    world
        .delivery_with(message, DeliveryStatus::Delivered)
        .await;
    let attempt = world.attempts(message).await.remove(0);
    assert!(attempt.started_at.since(world.now()) >= Millis::new(20));
}

#[tokio::test]
async fn an_attempt_that_panics_leaks_no_slot_and_is_recovered_when_its_lease_ends() {
    let world = World::new();
    let receiver = Receiver::answering(200).await;
    world.directory.panic_once.store(true, Ordering::SeqCst);
    let engine = world.engine();
    let url = receiver.url("/");
    let message = world.arrive(Event::to_url(url, None)).await.message_id;
    while engine.in_flight() > 0 || world.directory.panic_once.load(Ordering::SeqCst) {
        tokio::task::yield_now().await;
    }
    world.advance(Millis::from_seconds(41));
    world
        .delivery_with(message, DeliveryStatus::Delivered)
        .await;
    assert_eq!(receiver.seen().len(), 1);
    let attempts = world.attempts(message).await;
    assert_eq!(attempts[1].trigger, Trigger::Recovery);
    assert_eq!(engine.drain(PATIENCE).await, Drained::Complete);
}
