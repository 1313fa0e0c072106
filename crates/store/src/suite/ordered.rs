//! Order holds where deliveries come back or go elsewhere: within a replay, and over a failover
//! (INV-10).

use std::collections::BTreeMap;

use hooklatch_core::delivery::Lane;
use hooklatch_core::delivery::lifecycle::Next;
use hooklatch_core::ids::MessageId;

use super::order::FAIL;
use super::replays::{HOLDER, TICK, load, plan, started, turn};
use super::world::endpoint;
use super::{Fixture, World};
use crate::Lease;

/// Messages of two keys in turn, all of which have failed, by their keys.
fn failed_in_order<F: Fixture>(world: &World<F>) -> BTreeMap<i64, Vec<MessageId>> {
    let mut messages: BTreeMap<i64, Vec<MessageId>> = BTreeMap::new();
    for number in 0..8 {
        let key = 7 + number % 2;
        let message = world.accepted(world.ordered(&format!("k{number}"), key));
        messages.entry(key).or_default().push(message);
    }
    for _ in 0..4 {
        for lease in one_of_each(world) {
            world.finish(&lease, FAIL);
        }
    }
    messages
}

/// Leases all that is due, and sees to it that no key has two.
fn one_of_each<F: Fixture>(world: &World<F>) -> Vec<Lease> {
    let leased = world.lease();
    let mut keys: Vec<_> = leased.iter().map(|it| it.delivery.order_key).collect();
    keys.sort_unstable();
    keys.dedup();
    assert_eq!(
        keys.len(),
        leased.len(),
        "two of one key at once: {leased:?}"
    );
    leased
}

/// Takes part in a replay until it has ended; answers what was sent, in its order.
fn replayed<F: Fixture>(world: &mut World<F>, next: impl Fn(&Lease) -> Next) -> Vec<MessageId> {
    let id = started(world, plan());
    let mut sent = Vec::new();
    for step in 0..1_000 {
        if load(world, id).status().has_ended() {
            return sent;
        }
        turn(world, HOLDER);
        // Nobody comes between a lease and its end: two of a key would be leased at once.
        let leased = one_of_each(world);
        assert!(
            world.lease().is_empty(),
            "one overtook another that is under way"
        );
        for lease in leased {
            let next = next(&lease);
            if next == Next::Deliver {
                sent.push(lease.delivery.message_id);
            }
            world.finish(&lease, next);
        }
        if step == 3 {
            world.fixture.crash();
        }
        world.advance(TICK);
    }
    panic!("it does not end: {:?}", load(world, id));
}

fn of_key(sent: &[MessageId], key: &[MessageId]) -> Vec<MessageId> {
    let own = sent.iter().filter(|message| key.contains(message));
    own.copied().collect()
}

/// INV-10.
pub fn inv_10_a_replay_keeps_the_order_of_each_key<F: Fixture>() {
    let mut world = World::<F>::new();
    let messages = failed_in_order(&world);
    let sent = replayed(&mut world, |_| Next::Deliver);
    assert_eq!(sent.len(), 8, "each once");
    for (key, messages) in &messages {
        assert_eq!(&of_key(&sent, messages), messages, "key {key}");
    }
}

/// INV-10.
pub fn inv_10_what_comes_during_a_replay_waits_for_its_turn<F: Fixture>() {
    let world = World::<F>::new();
    let messages = failed_in_order(&world);
    let id = started(&world, plan());
    turn(&world, HOLDER);
    let leased = one_of_each(&world);
    let Some(head) = leased.first() else {
        panic!("the replay hands nothing over: {:?}", load(&world, id));
    };
    let key = head.delivery.order_key.expect("it is ordered").number();
    let live = world.accepted(world.ordered("live", key));
    assert!(world.first_delivery(live).waits_for_turn());
    assert!(world.lease().is_empty());
    world.finish(head, Next::Deliver);
    let next = one_of_each(&world);
    let next: Vec<_> = next.iter().map(|it| it.delivery.message_id).collect();
    assert_eq!(next, [messages[&key][1]], "the oldest that waits is next");
}

/// INV-10.
pub fn inv_10_what_fails_over_keeps_the_turn_of_its_key<F: Fixture>() {
    let mut world = World::<F>::new();
    let first = world.accepted(world.ordered("a", 7));
    let second = world.accepted(world.ordered("b", 7));
    world.attempt(FAIL.or_over_to(Some(endpoint(2))));
    assert!(world.first_delivery(second).waits_for_turn());
    world.fixture.crash();
    let over = world.lease_one();
    assert_eq!(over.delivery.message_id, first);
    assert_eq!(over.delivery.lane(), Lane::of_endpoint(endpoint(2)));
    assert!(world.lease().is_empty(), "the next one overtook it");
    world.finish(&over, Next::Deliver);
    let next = world.lease_one();
    assert_eq!(next.delivery.message_id, second);
    assert_eq!(next.delivery.lane(), Lane::of_endpoint(endpoint(1)));
}

/// INV-10.
pub fn inv_10_a_failover_within_a_replay_keeps_the_order<F: Fixture>() {
    let mut world = World::<F>::new();
    let messages = failed_in_order(&world);
    // At its own endpoint each still fails, and is taken by the other.
    let sent = replayed(&mut world, |lease| {
        if lease.delivery.endpoint_id == Some(endpoint(1)) {
            FAIL.or_over_to(Some(endpoint(2)))
        } else {
            Next::Deliver
        }
    });
    for (key, messages) in &messages {
        assert_eq!(&of_key(&sent, messages), messages, "key {key}");
    }
}
