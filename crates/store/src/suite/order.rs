//! Deliveries that go one after the other: per order key one at a time, in the order of acceptance
//! (INV-10).

use std::collections::BTreeSet;

use hooklatch_core::delivery::lifecycle::{Command, CommandRefused, Next};
use hooklatch_core::delivery::{Delivery, DeliveryStatus, Reason, Trigger};
use hooklatch_core::ids::{DeliveryId, MessageId};
use hooklatch_core::time::Millis;

use super::world::{PROJECT, destination};
use super::{Call, Fixture, World};
use crate::{Commanded, Finished};

const SPAN: Millis = Millis::from_seconds(10);
const SOON: Millis = Millis::from_seconds(5);
pub(super) const RETRY: Next = Next::Retry {
    after: SOON,
    counts: true,
};
pub(super) const FAIL: Next = Next::Fail(Reason::AttemptsExhausted);

impl<F: Fixture> World<F> {
    /// An arrival with an order key, to endpoint 1.
    pub(super) fn ordered(&self, name: &str, key: i64) -> Call {
        self.inbound(name, "{}").in_order(key)
    }

    /// Admits one of these names after the other, all under one order key.
    fn queue(&self, names: &[&str], key: i64) -> Vec<MessageId> {
        let names = names.iter();
        names
            .map(|name| self.accepted(self.ordered(name, key)))
            .collect()
    }

    fn leased_messages(&self) -> Vec<MessageId> {
        let leases = self.lease();
        leases
            .iter()
            .map(|lease| lease.delivery.message_id)
            .collect()
    }

    pub(super) fn first_delivery(&self, message: MessageId) -> Delivery {
        self.message(message).deliveries.remove(0)
    }

    pub(super) fn ask(&self, delivery: DeliveryId, command: Command) -> Commanded {
        let store = self.store();
        let commanded = self.fixture.wait(store.command(PROJECT, delivery, command));
        commanded.expect("the store is available")
    }

    fn done(&self, delivery: DeliveryId, command: Command) -> Delivery {
        match self.ask(delivery, command) {
            Commanded::Done(delivery) => delivery,
            other @ (Commanded::Refused(_) | Commanded::NotFound) => panic!("{other:?}"),
        }
    }
}

/// One at a time, in order, over retries too.
pub fn of_one_key_one_goes_at_a_time_in_the_order_of_acceptance<F: Fixture>() {
    let world = World::<F>::new();
    let messages = world.queue(&["a", "b", "c"], 7);
    let waiting = world.first_delivery(messages[1]);
    assert!(waiting.waits_for_turn());
    assert_eq!(waiting.state.status(), DeliveryStatus::Pending);
    assert_eq!(waiting.next_attempt_at(), None);
    for message in messages {
        let lease = world.lease_one();
        assert_eq!(lease.delivery.message_id, message);
        assert!(world.lease().is_empty(), "two of one key at once");
        world.finish(&lease, RETRY);
        assert!(world.lease().is_empty(), "one overtook a retry");
        world.advance(SOON);
        assert_eq!(world.attempt(Next::Deliver).message_id, message);
    }
    assert!(world.lease().is_empty());
}

/// Other keys, of the same lane too, go on.
pub fn a_failing_head_blocks_its_own_key_only<F: Fixture>() {
    let world = World::<F>::new();
    let failing = world.queue(&["a", "b"], 7);
    let other = world.queue(&["c", "d"], 8);
    for lease in world.lease() {
        let next = if lease.delivery.message_id == failing[0] {
            RETRY
        } else {
            Next::Deliver
        };
        world.finish(&lease, next);
    }
    assert_eq!(world.leased_messages(), [other[1]]);
    assert!(world.first_delivery(failing[1]).waits_for_turn());
}

/// No value, no order.
pub fn what_comes_without_a_key_is_not_ordered<F: Fixture>() {
    let world = World::<F>::new();
    world.queue(&["a", "b"], 7);
    for name in ["c", "d"] {
        world.accepted(world.inbound(name, "{}"));
    }
    assert_eq!(world.lease().len(), 3);
}

/// The end of one is the turn of the next, however it ends; what waits for a person keeps it.
pub fn a_failed_one_releases_the_next_and_a_held_one_does_not<F: Fixture>() {
    let world = World::<F>::new();
    let messages = world.queue(&["a", "b", "c", "d"], 7);
    world.attempt(FAIL);
    let cancelled = world.attempt(Next::Cancel(Reason::EndpointDeleted));
    assert_eq!(cancelled.message_id, messages[1]);
    let held = world.attempt(Next::Hold(Reason::Uncertain));
    assert_eq!(held.message_id, messages[2]);
    assert!(world.lease().is_empty(), "a held one blocks its key");
    let again = world.done(held.id, Command::Retry);
    assert!(again.has_turn());
    assert_eq!(world.attempt(Next::Deliver).id, held.id);
    assert_eq!(world.leased_messages(), [messages[3]]);
}

/// What a person calls off is out of the way; what was going to wait behind it is not skipped.
pub fn a_cancelled_one_releases_the_next<F: Fixture>() {
    let world = World::<F>::new();
    let messages = world.queue(&["a", "b", "c", "d"], 7);
    let ids: Vec<_> = messages
        .iter()
        .map(|id| world.first_delivery(*id).id)
        .collect();
    world.done(ids[1], Command::Cancel);
    let lease = world.lease_one();
    assert_eq!(lease.delivery.id, ids[0]);
    let refused = world.ask(ids[0], Command::Cancel);
    assert_eq!(refused, Commanded::Refused(CommandRefused::UnderWay));
    world.finish(&lease, RETRY);
    world.done(ids[0], Command::Cancel);
    assert_eq!(world.attempt(Next::Hold(Reason::Uncertain)).id, ids[2]);
    world.done(ids[2], Command::Cancel);
    assert_eq!(world.attempt(Next::Deliver).id, ids[3]);
}

/// Not by a retry of what waits.
pub fn a_person_cannot_let_one_overtake<F: Fixture>() {
    let world = World::<F>::new();
    let messages = world.queue(&["a", "b"], 7);
    let waiting = world.first_delivery(messages[1]).id;
    for wish in [Command::Retry, Command::RetryUndelivered] {
        let refused = world.ask(waiting, wish);
        assert_eq!(refused, Commanded::Refused(CommandRefused::NotItsTurn));
    }
    assert_eq!(world.leased_messages(), [messages[0]]);
}

/// A manual retry of what has ended never runs beside one of its key, and comes before what is
/// younger than it.
pub fn what_starts_again_waits_for_its_turn<F: Fixture>() {
    let world = World::<F>::new();
    let messages = world.queue(&["a", "b", "c"], 7);
    let first = world.attempt(FAIL);
    let second = world.lease_one();
    let again = world.done(first.id, Command::Retry);
    assert!(again.waits_for_turn());
    assert!(world.lease().is_empty());
    world.finish(&second, Next::Deliver);
    let retried = world.attempt(Next::Deliver);
    assert_eq!((retried.id, retried.trigger), (first.id, Trigger::Manual));
    assert_eq!(world.attempt(Next::Deliver).message_id, messages[2]);
    let alone = world.done(first.id, Command::Retry);
    assert!(alone.has_turn(), "nobody is before it");
}

/// D2, in order.
pub fn a_redriven_one_waits_for_its_turn<F: Fixture>() {
    let world = World::<F>::new();
    let messages = world.queue(&["a", "b"], 7);
    let failed = world.attempt(FAIL);
    let second = world.lease_one();
    world.repeated(world.ordered("a", 7));
    assert!(world.lease().is_empty(), "two of one key at once");
    world.finish(&second, Next::Deliver);
    let redriven = world.attempt(Next::Deliver);
    assert_eq!(
        (redriven.id, redriven.trigger),
        (failed.id, Trigger::Redrive)
    );
    assert_eq!(redriven.message_id, messages[0]);
}

/// INV-5: what is fenced changes nothing, the turn neither.
pub fn a_late_answer_gives_no_turn_on<F: Fixture>() {
    let world = World::<F>::new();
    let messages = world.queue(&["a", "b"], 7);
    let frozen = world.lease_one();
    world.advance(SPAN);
    let recovered = world.lease_one();
    assert_eq!(recovered.delivery.message_id, messages[0]);
    assert_eq!(world.finish(&frozen, Next::Deliver), Finished::Fenced);
    assert!(world.lease().is_empty());
    assert!(world.first_delivery(messages[1]).waits_for_turn());
    world.finish(&recovered, Next::Deliver);
    assert_eq!(world.leased_messages(), [messages[1]]);
}

/// An endpoint that is enabled again, or deleted, makes its lane due: the first of each key.
pub fn a_lane_made_due_keeps_the_order<F: Fixture>() {
    let world = World::<F>::new();
    let messages = world.queue(&["a", "b"], 7);
    world.attempt(RETRY);
    let store = world.store();
    let hastened = world.fixture.wait(store.hasten(destination(1).lane));
    hastened.expect("the store is available");
    assert_eq!(world.leased_messages(), [messages[0]]);
}

/// A delay is part of the order; one that is over when the turn comes does not begin again.
pub fn a_delayed_head_delays_its_key<F: Fixture>() {
    let world = World::<F>::new();
    let first = world.accepted(world.ordered("a", 7).delayed(1, SOON));
    let second = world.accepted(world.ordered("b", 7).delayed(1, SOON));
    let third = world.accepted(world.ordered("c", 7));
    let leases = world.lease_under(10, 10);
    assert!(leases.leased.is_empty());
    assert_eq!(
        leases.next_due_in,
        Some(SOON),
        "only the first is waited for"
    );
    world.advance(SOON);
    for message in [first, second, third] {
        assert_eq!(world.attempt(Next::Deliver).message_id, message);
    }
}

/// C3 and O1: one call of many, and one message that reaches an endpoint twice.
pub fn those_of_one_call_and_of_one_message_go_one_after_the_other<F: Fixture>() {
    let world = World::<F>::new();
    let mut twice = world.ordered("a", 7);
    let mut other = twice.arrival.destinations[0];
    other.connection_id = destination(2).connection_id;
    twice.arrival.destinations.push(other);
    let admitted = world.admit_all(vec![twice, world.ordered("b", 7), world.ordered("c", 8)]);
    let messages: Vec<_> = admitted
        .iter()
        .map(|admission| admission.message_id)
        .collect();
    let leases = world.lease();
    let leased: BTreeSet<_> = leases.iter().map(|it| it.delivery.message_id).collect();
    assert_eq!(leased, BTreeSet::from([messages[0], messages[2]]));
    for lease in &leases {
        world.finish(lease, Next::Deliver);
    }
    assert_eq!(world.attempt(Next::Deliver).message_id, messages[0]);
    assert_eq!(world.attempt(Next::Deliver).message_id, messages[1]);
}

/// INV-7: who has the turn is durable, and goes first after a crash.
pub fn the_order_survives_a_crash<F: Fixture>() {
    let mut world = World::<F>::new();
    let messages = world.queue(&["a", "b", "c"], 7);
    world.attempt(Next::Deliver);
    let lost = world.lease_one();
    world.fixture.crash();
    if !F::LEASES_END_WITH_THE_PROCESS {
        world.advance(SPAN);
    }
    let recovered = world.lease_one();
    assert_eq!(recovered.delivery.id, lost.delivery.id);
    assert!(recovered.lost_before);
    world.finish(&recovered, Next::Deliver);
    assert_eq!(world.attempt(Next::Deliver).message_id, messages[2]);
}
