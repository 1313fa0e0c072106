//! What the rules of a connection do, where the ledger decides.

use bytes::Bytes;
use hooklatch_core::claim::Scope;
use hooklatch_core::delivery::Reason;
use hooklatch_core::delivery::lifecycle::Next;
use hooklatch_core::message::Effect;
use hooklatch_core::rules::{Routing, RoutingOutcome};
use hooklatch_core::time::{Millis, Timestamp};
use hooklatch_core::transform::Transformed;
use hooklatch_core::window::Window;

use super::world::{HOUR, PROJECT, World, assert_effect, checksum, connection, is_accepted};
use super::{Call, Fixture};
use crate::AuditEntry;

const WINDOW: Window = Window::Seconds(3_600);

fn once<F: Fixture>(world: &World<F>, key: &str) -> Call {
    let payload = format!("{{\"k\":\"{key}\"}}");
    world
        .inbound(key, &payload)
        .to(&[1, 2])
        .once(1, "shared", WINDOW)
}

/// C1.
pub fn c1_a_connection_takes_a_key_once_and_names_the_original<F: Fixture>() {
    let world = World::<F>::new();
    let first = world.accepted(once(&world, "a"));
    assert_eq!(world.message(first).message.routing, []);
    let second = world.accepted(once(&world, "b"));
    let view = world.message(second);
    let lines: Vec<_> = view.deliveries.iter().map(|it| it.connection_id).collect();
    assert_eq!(
        lines,
        [Some(connection(2))],
        "the other connection has no such rule"
    );
    let [routing] = &view.message.routing[..] else {
        panic!("one connection did something: {:?}", view.message.routing);
    };
    assert_eq!(routing.connection_id, connection(1));
    assert_eq!(routing.outcome, RoutingOutcome::Deduplicated);
    assert_eq!(routing.original_message_id, Some(first));
    let elsewhere = world.inbound("c", "3").once(2, "shared", WINDOW).to(&[2]);
    let elsewhere = world.message(world.accepted(elsewhere));
    assert_eq!(
        elsewhere.deliveries.len(),
        1,
        "another connection's keys are its own"
    );
}

/// C3.
pub fn c3_the_second_in_one_call_finds_the_key_of_the_first<F: Fixture>() {
    let world = World::<F>::new();
    let admissions = world.admit_all(vec![once(&world, "a"), once(&world, "b")]);
    assert!(admissions.iter().all(is_accepted));
    let deliveries = |at: usize| world.message(admissions[at].message_id).deliveries.len();
    assert_eq!((deliveries(0), deliveries(1)), (2, 1));
}

/// C3.
pub fn c3_of_many_at_once_one_passes_the_connection<F: Fixture>() {
    let world = World::<F>::new();
    let ids: Vec<_> = std::thread::scope(|scope| {
        let world = &world;
        let admit = |n: usize| scope.spawn(move || world.accepted(once(world, &format!("k{n}"))));
        let threads: Vec<_> = (0..16).map(admit).collect();
        threads
            .into_iter()
            .map(|thread| thread.join().expect("no admission panics"))
            .collect()
    });
    let passed = |id| world.message(id).deliveries.len() == 2;
    assert_eq!(ids.into_iter().filter(|id| passed(*id)).count(), 1);
}

/// C4.
pub fn c4_a_connections_window_is_its_own<F: Fixture>() {
    let world = World::<F>::new();
    let short = Window::Seconds(60);
    let call = |key: &str| world.inbound(key, key).once(1, "shared", short);
    world.accepted(call("1"));
    world.advance(Millis::from_seconds(59));
    let inside = world.accepted(call("2"));
    assert!(world.message(inside).deliveries.is_empty());
    world.advance(Millis::from_seconds(1));
    let after = world.accepted(call("3"));
    assert_eq!(world.message(after).deliveries.len(), 1);
    assert_effect(&world.repeated(call("1")), Effect::Suppressed);
}

/// C2.
pub fn c2_what_a_rule_did_survives_a_crash<F: Fixture>() {
    let mut world = World::<F>::new();
    let first = world.accepted(once(&world, "a").filtered(2));
    world.fixture.crash();
    let [routing] = &world.message(first).message.routing[..] else {
        panic!("the filter left its record");
    };
    assert_eq!(routing.outcome, RoutingOutcome::Filtered);
    assert_eq!(routing.rule, Some(1));
    let second = world.accepted(once(&world, "b"));
    assert_eq!(world.message(second).deliveries.len(), 1);
}

/// D2.
pub fn d2_what_the_rules_dropped_counts_as_routed<F: Fixture>() {
    let world = World::<F>::new();
    let id = world.accepted(world.inbound("k", "{}").filtered(1));
    assert!(world.message(id).message.routed);
    let repeat = world.repeated(world.inbound("k", "{}"));
    assert_effect(&repeat, Effect::Suppressed);
    assert!(world.lease().is_empty());
}

/// D2.
pub fn d2_an_original_that_is_routed_now_goes_through_the_rules<F: Fixture>() {
    let mut world = World::<F>::new();
    let id = world.accepted(world.inbound("k", "{}").to(&[]));
    let now = world
        .inbound("k", "{}")
        .to(&[1, 2])
        .filtered(1)
        .once(2, "x", WINDOW);
    assert_effect(&world.repeated(now), Effect::Rerouted);
    world.fixture.crash();
    let view = world.message(id);
    assert!(view.message.routed);
    let outcomes: Vec<_> = view.message.routing.iter().map(|it| it.outcome).collect();
    assert_eq!(outcomes, [RoutingOutcome::Filtered]);
    assert_eq!(view.deliveries.len(), 1);
    let other = world.accepted(world.inbound("l", "2").to(&[2]).once(2, "x", WINDOW));
    let expected = Some(id);
    let found = |it: &Routing| it.original_message_id;
    assert_eq!(
        world.message(other).message.routing.iter().find_map(found),
        expected
    );

    let dropped = world.accepted(world.inbound("m", "{}").to(&[]));
    let repeat = world.repeated(world.inbound("m", "{}").filtered(1));
    assert_effect(&repeat, Effect::Suppressed);
    assert!(world.message(dropped).message.routed);
    assert_effect(
        &world.repeated(world.inbound("m", "{}")),
        Effect::Suppressed,
    );
}

/// A suppressed duplicate does not pass any connection.
pub fn a_duplicate_claims_nothing_for_a_connection<F: Fixture>() {
    let world = World::<F>::new();
    world.accepted(world.inbound("a", "{}"));
    let repeat = world.inbound("a", "{}").once(1, "shared", WINDOW);
    assert_effect(&world.repeated(repeat), Effect::Suppressed);
    let other = world.accepted(world.inbound("b", "2").once(1, "shared", WINDOW));
    assert_eq!(world.message(other).deliveries.len(), 1);
}

/// What never arrived stands in nobody's way.
pub fn a_connections_key_is_not_burnt_by_a_failed_delivery<F: Fixture>() {
    let world = World::<F>::new();
    let call = |key: &str| world.inbound(key, key).once(1, "shared", WINDOW);
    world.accepted(call("1"));
    world.attempt(Next::Fail(Reason::AttemptsExhausted));
    let second = world.accepted(call("2"));
    assert_eq!(world.message(second).deliveries.len(), 1);
    world.attempt(Next::Deliver);
    let third = world.message(world.accepted(call("3")));
    assert!(third.deliveries.is_empty());
    assert_eq!(third.message.routing[0].original_message_id, Some(second));
}

/// The delivery waits, and the message says why.
pub fn a_delay_makes_the_delivery_due_later<F: Fixture>() {
    let world = World::<F>::new();
    let id = world.accepted(world.inbound("k", "{}").to(&[1, 2]).delayed(1, HOUR));
    assert_eq!(world.lease().len(), 1, "the other connection does not wait");
    let routing = &world.message(id).message.routing;
    assert_eq!(
        (routing[0].outcome, routing[0].rule),
        (RoutingOutcome::Routed, Some(2))
    );
    world.advance(HOUR);
    let due = world.lease();
    assert!(
        due.iter()
            .any(|it| it.delivery.connection_id == Some(connection(1)))
    );
}

/// L1.
pub fn a_connections_key_is_listed_and_freed<F: Fixture>() {
    let world = World::<F>::new();
    let first = world.accepted(once(&world, "a"));
    let scope = Scope::Connection(connection(1));
    let store = world.store();
    let part = Some("shared".to_owned());
    let found = world
        .fixture
        .wait(store.claims(PROJECT, Vec::new(), part, 10));
    let found = found.expect("the store is available");
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!(
        (&found[0].claim.scope, found[0].claim.message_id),
        (&scope, first)
    );
    let audit = AuditEntry {
        at: Timestamp::from_millis(0),
        actor: None,
        action: "key.free".to_owned(),
        subject: "shared".to_owned(),
        reason: None,
    };
    let checksums = vec![checksum(&scope, "shared")];
    let freed = world
        .fixture
        .wait(store.free(PROJECT, checksums, Some(scope), audit));
    assert_eq!(freed.expect("the store is available"), 1);
    let second = world.accepted(once(&world, "b"));
    assert_eq!(world.message(second).deliveries.len(), 2);
}

/// Every attempt sends the same bytes.
pub fn what_a_script_made_is_kept_once_and_survives_a_crash<F: Fixture>() {
    let mut world = World::<F>::new();
    let id = world.accepted(world.inbound("k", "{}"));
    let delivery = world.message(id).deliveries[0].id;
    let read = |world: &World<F>| {
        let store = world.store();
        let found = world.fixture.wait(store.transformed(delivery));
        found.expect("the store is available")
    };
    assert_eq!(read(&world), None);
    let made = |body: &'static str| Transformed {
        headers: vec![("x-a".to_owned(), body.to_owned())],
        body: Bytes::from_static(body.as_bytes()),
    };
    for body in ["first", "second"] {
        let store = world.store();
        let kept = world
            .fixture
            .wait(store.keep_transformed(delivery, made(body)));
        assert_eq!(kept.expect("the store is available"), made("first"));
        world.fixture.crash();
    }
    assert_eq!(read(&world), Some(made("first")));
}
