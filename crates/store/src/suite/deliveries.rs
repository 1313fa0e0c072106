//! The lifecycle of a delivery, through the store.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use hooklatch_core::delivery::lifecycle::{Command, CommandRefused, Next};
use hooklatch_core::delivery::{Delivery, DeliveryStatus, Reason, Trigger};
use hooklatch_core::ids::{DeliveryId, ProjectId};
use hooklatch_core::invariants;
use hooklatch_core::time::Millis;

use super::world::{PROJECT, STRANGER};
use super::{Fixture, World};
use crate::{Commanded, Finished};

const SOON: Millis = Millis::from_seconds(5);
const RETRY: Next = Next::Retry {
    after: SOON,
    counts: true,
};

fn command<F: Fixture>(
    world: &World<F>,
    project: ProjectId,
    delivery: DeliveryId,
    command: Command,
) -> Commanded {
    let store = world.store();
    let commanded = world
        .fixture
        .wait(store.command(project, delivery, command));
    commanded.expect("the store is available")
}

fn commanded<F: Fixture>(world: &World<F>, delivery: DeliveryId, wish: Command) -> Delivery {
    match command(world, PROJECT, delivery, wish) {
        Commanded::Done(delivery) => delivery,
        other @ (Commanded::Refused(_) | Commanded::NotFound) => panic!("{other:?}"),
    }
}

/// D3.
pub fn d3_attempts_carry_their_trigger_and_their_numbers_go_on<F: Fixture>() {
    let mut world = World::<F>::new();
    world.accepted(world.inbound("k", "{}"));
    world.attempt(RETRY);
    world.advance(SOON);
    let failed = world.attempt(Next::Fail(Reason::AttemptsExhausted));
    commanded(&world, failed.id, Command::Retry);
    world.attempt(Next::Fail(Reason::AttemptsExhausted));
    world.repeated(world.inbound("k", "{}"));
    let redriven = world.attempt(Next::Deliver);
    world.fixture.crash();
    let attempts = world.attempts(&redriven);
    let told: Vec<_> = attempts
        .iter()
        .map(|found| (found.number, found.trigger))
        .collect();
    let expected = [
        (1, Trigger::First),
        (2, Trigger::Retry),
        (3, Trigger::Manual),
        (4, Trigger::Redrive),
    ];
    assert_eq!(told, expected);
    assert_eq!(attempts[3].status_code, Some(200));
    assert_eq!(&attempts[3].response_body[..], b"answer");
}

/// INV-3.
pub fn inv_3_a_delivery_is_unique_per_message_and_connection<F: Fixture>() {
    let world = World::<F>::new();
    let id = world.accepted(world.inbound("k", "{}").to(&[1, 2]));
    for lease in world.lease() {
        world.finish(&lease, Next::Fail(Reason::AttemptsExhausted));
    }
    for _ in 0..3 {
        world.repeated(world.inbound("k", "{}").to(&[1, 2, 3]));
    }
    let deliveries = world.message(id).deliveries;
    assert_eq!(deliveries.len(), 2);
    assert!(invariants::one_delivery_per_connection(&deliveries));
}

/// INV-7.
pub fn inv_7_a_finished_attempt_survives_a_crash<F: Fixture>() {
    let mut world = World::<F>::new();
    let id = world.accepted(world.inbound("k", "{}"));
    let delivered = world.attempt(Next::Deliver);
    world.fixture.crash();
    assert_eq!(world.statuses(id), [DeliveryStatus::Delivered]);
    assert_eq!(world.attempts(&delivered).len(), 1);
    assert!(world.lease().is_empty());
}

/// A retry waits its time, also over a restart.
pub fn a_retry_is_due_when_its_time_has_come<F: Fixture>() {
    let mut world = World::<F>::new();
    world.accepted(world.inbound("k", "{}"));
    let waiting = world.attempt(RETRY);
    assert_eq!(waiting.next_attempt_at(), Some(world.store().now() + SOON));
    world.advance(Millis::new(SOON.get() - 1));
    world.fixture.crash();
    assert!(world.lease().is_empty());
    world.advance(Millis::new(1));
    let lease = world.lease_one();
    assert_eq!(lease.delivery.trigger, Trigger::Retry);
    assert_eq!(lease.delivery.attempts, 2);
}

/// A lease that was given back is as if it had never been.
pub fn a_lease_given_back_burns_no_attempt<F: Fixture>() {
    let world = World::<F>::new();
    world.accepted(world.inbound("k", "{}"));
    let lease = world.lease_one();
    let wait = Next::Retry {
        after: SOON,
        counts: false,
    };
    let Finished::Applied(delivery) = world.finish_with(&lease, None, wait) else {
        panic!("a live lease was fenced");
    };
    assert_eq!(delivery.attempts, 0);
    assert!(world.attempts(&delivery).is_empty());
    world.advance(SOON);
    let lease = world.lease_one();
    assert_eq!(
        (lease.delivery.attempts, lease.delivery.trigger),
        (1, Trigger::First)
    );
}

/// O3: a receiver that asks for patience costs no attempt.
pub fn a_retry_that_does_not_count_leaves_the_budget<F: Fixture>() {
    let world = World::<F>::new();
    world.accepted(world.inbound("k", "{}"));
    let waiting = world.attempt(Next::Retry {
        after: Millis::ZERO,
        counts: false,
    });
    assert_eq!((waiting.attempts, waiting.attempts_spent()), (1, 0));
    let waiting = world.attempt(Next::Retry {
        after: Millis::ZERO,
        counts: true,
    });
    assert_eq!((waiting.attempts, waiting.attempts_spent()), (2, 1));
}

/// O5.
pub fn a_held_delivery_waits_for_a_person<F: Fixture>() {
    let mut world = World::<F>::new();
    let id = world.accepted(world.inbound("k", "{}"));
    let held = world.attempt(Next::Hold(Reason::Uncertain));
    world.advance(Millis::from_seconds(86_400));
    world.fixture.crash();
    assert!(world.lease().is_empty());
    assert_eq!(world.statuses(id), [DeliveryStatus::Held]);
    assert_eq!(
        world.message(id).deliveries[0].state.reason(),
        Some(Reason::Uncertain)
    );
    commanded(&world, held.id, Command::Retry);
    assert_eq!(world.lease_one().delivery.trigger, Trigger::Manual);
}

/// A person may have anything tried again, but not twice at once.
pub fn a_person_retries_what_has_ended<F: Fixture>() {
    let world = World::<F>::new();
    let id = world.accepted(world.inbound("k", "{}"));
    let delivered = world.attempt(Next::Deliver);
    let pending = commanded(&world, delivered.id, Command::Retry);
    assert_eq!(pending.attempts_spent(), 0);
    assert_eq!(world.statuses(id), [DeliveryStatus::Pending]);
    world.lease_one();
    let refused = command(&world, PROJECT, delivered.id, Command::Retry);
    assert_eq!(refused, Commanded::Refused(CommandRefused::UnderWay));
    let foreign = command(&world, STRANGER, delivered.id, Command::Retry);
    assert_eq!(foreign, Commanded::NotFound);
}

/// Whoever retries many deliveries at once does not send again what was delivered meanwhile.
pub fn a_retry_of_the_undelivered_spares_what_was_delivered_meanwhile<F: Fixture>() {
    let mut world = World::<F>::new();
    let id = world.accepted(world.inbound("k", "{}").to(&[1, 2]));
    let [first, second] = &world.lease()[..] else {
        panic!("there are two deliveries");
    };
    world.finish(first, Next::Deliver);
    world.finish(second, Next::Fail(Reason::AttemptsExhausted));
    let wish = Command::RetryUndelivered;
    let refused = command(&world, PROJECT, first.delivery.id, wish);
    assert_eq!(
        refused,
        Commanded::Refused(CommandRefused::AlreadyDelivered)
    );
    commanded(&world, second.delivery.id, wish);
    world.fixture.crash();
    let lease = world.lease_one();
    assert_eq!(lease.delivery.id, second.delivery.id);
    assert_eq!(lease.delivery.trigger, Trigger::Manual);
    world.finish(&lease, Next::Deliver);
    assert_eq!(world.statuses(id), [DeliveryStatus::Delivered; 2]);
}

/// A person may call off what has not ended.
pub fn a_person_cancels_what_has_not<F: Fixture>() {
    let mut world = World::<F>::new();
    let id = world.accepted(world.inbound("k", "{}"));
    let waiting = world.attempt(RETRY);
    commanded(&world, waiting.id, Command::Cancel);
    world.fixture.crash();
    world.advance(SOON);
    assert!(world.lease().is_empty());
    assert_eq!(world.statuses(id), [DeliveryStatus::Cancelled]);
    let again = command(&world, PROJECT, waiting.id, Command::Cancel);
    assert_eq!(again, Commanded::Refused(CommandRefused::AlreadyEnded));
    let revived = commanded(&world, waiting.id, Command::Retry);
    assert_eq!(revived.state.status(), DeliveryStatus::Pending);
}

/// Whoever waits for an endpoint learns at once that it has changed.
pub fn hasten_makes_a_lane_due<F: Fixture>() {
    let world = World::<F>::new();
    world.accepted(world.inbound("k", "{}").to(&[1, 2]));
    for lease in world.lease() {
        world.finish(&lease, RETRY);
    }
    let lane = super::world::destination(1).lane;
    let store = world.store();
    world
        .fixture
        .wait(store.hasten(lane))
        .expect("the store is available");
    assert_eq!(world.lease_one().delivery.lane(), lane);
}

/// The engine is told of new work.
pub fn someone_is_woken_when_something_becomes_due<F: Fixture>() {
    let world = World::<F>::new();
    let woken = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&woken);
    world.store().on_work(Arc::new(move || {
        count.fetch_add(1, Ordering::SeqCst);
    }));
    world.accepted(world.inbound("k", "{}"));
    // The wake may follow the answer by a moment; the next write comes after it.
    let delivered = world.attempt(Next::Deliver);
    assert!(woken.load(Ordering::SeqCst) >= 1);
    let before = woken.load(Ordering::SeqCst);
    commanded(&world, delivered.id, Command::Retry);
    world.lease_one();
    assert!(woken.load(Ordering::SeqCst) > before);
}

/// O6: not one byte is changed on the way.
pub fn the_parcel_is_delivered_byte_for_byte<F: Fixture>() {
    let mut world = World::<F>::new();
    let mut call = world.inbound("k", "{}");
    let bytes: Vec<u8> = (0..=255).cycle().take(200_000).collect();
    call.arrival.body = bytes.clone().into();
    let envelope = Arc::clone(&call.arrival.envelope);
    world.accepted(call);
    let lease = world.lease_one();
    assert_eq!(lease.parcel.body, bytes);
    world.fixture.crash();
    if !F::LEASES_END_WITH_THE_PROCESS {
        world.advance(Millis::from_seconds(10));
    }
    let lease = world.lease_one();
    assert_eq!(lease.parcel.body, bytes);
    assert_eq!(lease.parcel.envelope, envelope);
}
