//! What rules in shadow mode come to, and that they never act.

use hooklatch_core::admission::OnConflict;
use hooklatch_core::claim::Scope;
use hooklatch_core::rules::RoutingOutcome;
use hooklatch_core::shadow::{SAMPLES_MAX, ShadowId, ShadowReport};
use hooklatch_core::time::{Millis, Timestamp};
use hooklatch_core::window::Window;

use super::world::{SOURCE, World, connection};
use super::{Call, Fixture};

const WINDOW: Window = Window::Seconds(3_600);
const RULE: ShadowId = ShadowId::from_bytes([9; 16]);

fn report<F: Fixture>(world: &World<F>, shadow: ShadowId) -> ShadowReport {
    let store = world.store();
    let found = world.fixture.wait(store.shadow_report(shadow));
    found.expect("the store is available")
}

/// Judged, without a key, would be suppressed, with another payload, newly and no longer suppressed.
fn counts(report: &ShadowReport) -> [u64; 6] {
    let counts = report.counts;
    [
        counts.judged,
        counts.without_key,
        counts.would_be_suppressed,
        counts.payload_differs,
        counts.newly_suppressed,
        counts.no_longer_suppressed,
    ]
}

fn tried<F: Fixture>(world: &World<F>, real: &str, tried: &str, payload: &str) -> Call {
    let call = world.inbound(real, payload);
    call.tried_under(RULE, Some(tried), WINDOW)
}

/// The message says what would have happened to it, and is delivered.
pub fn a_rule_in_shadow_mode_drops_nothing_and_says_what_it_would_have_dropped<F: Fixture>() {
    let world = World::<F>::new();
    let call = |key: &str, payload: &str| {
        let call = world.inbound(key, payload).to(&[1, 2]);
        call.shadowed(1, RULE, Some("shared"), WINDOW)
    };
    let first = world.accepted(call("a", "{}"));
    assert_eq!(world.message(first).message.routing, []);
    let second = world.message(world.accepted(call("b", "{\"other\":1}")));
    assert_eq!(second.deliveries.len(), 2, "nothing was dropped");
    let [routing] = &second.message.routing[..] else {
        panic!(
            "one connection has such a rule: {:?}",
            second.message.routing
        );
    };
    assert_eq!(routing.connection_id, connection(1));
    assert_eq!(routing.outcome, RoutingOutcome::Routed);
    let [would_drop] = &routing.shadows[..] else {
        panic!("it says nothing: {routing:?}");
    };
    assert_eq!(would_drop.original_message_id, first);
    assert!(would_drop.payload_differs);
    let keyless = world.inbound("c", "{}").shadowed(1, RULE, None, WINDOW);
    assert_eq!(world.message(world.accepted(keyless)).message.routing, []);
    let report = report(&world, RULE);
    assert_eq!(counts(&report), [3, 1, 1, 1, 1, 0]);
    let [sample] = &report.samples[..] else {
        panic!("one would have been suppressed: {report:?}");
    };
    assert_eq!(sample.request_id, second.message.request_id);
    assert_eq!(sample.original_message_id, first);
    assert!(sample.payload_differs && sample.accepted);
    assert_eq!(sample.key, "shared");
}

/// What an acting rule drops before it, it does not see; what one after it drops, it does.
pub fn a_rule_in_shadow_mode_judges_what_reaches_it<F: Fixture>() {
    let world = World::<F>::new();
    let call = |key: &str| {
        let call = world.inbound(key, key).once(1, "acts", WINDOW);
        call.shadowed(1, RULE, Some("shared"), WINDOW)
    };
    world.accepted(call("1"));
    let dropped = world.message(world.accepted(call("2")));
    assert_eq!(dropped.deliveries, []);
    assert_eq!(counts(&report(&world, RULE)), [1, 0, 0, 0, 0, 0]);
    let other = ShadowId::from_bytes([8; 16]);
    let filtered = world
        .inbound("3", "3")
        .shadowed(1, other, Some("k"), WINDOW);
    let filtered = world.message(world.accepted(filtered.filtered(1)));
    assert_eq!(filtered.deliveries, []);
    assert_eq!(counts(&report(&world, other)), [1, 0, 0, 0, 0, 0]);
}

/// Both kinds of mistake are counted: what the rule would swallow, and what it would let twice.
pub fn a_key_in_shadow_mode_is_judged_beside_the_real_one<F: Fixture>() {
    let world = World::<F>::new();
    let first = world.accepted(tried(&world, "a", "x", "{}"));
    // New by the real key, known by the other one; with the same payload, and with another.
    world.accepted(tried(&world, "b", "x", "{}"));
    world.accepted(tried(&world, "c", "x", "{\"n\":1}"));
    // Known by the real key, new by the other one, and then known by both.
    world.repeated(tried(&world, "a", "y", "{}"));
    world.repeated(tried(&world, "a", "y", "{}"));
    world.accepted(world.inbound("d", "{}").tried_under(RULE, None, WINDOW));
    let report = report(&world, RULE);
    assert_eq!(counts(&report), [6, 1, 3, 1, 2, 1]);
    let newest = &report.samples[0];
    assert!(!newest.accepted);
    assert_eq!(newest.original_message_id, first, "whose key \"y\" became");
    let differing = report
        .samples
        .iter()
        .filter(|sample| sample.payload_differs);
    assert_eq!(differing.count(), 1);
    assert!(report.counts.since <= report.counts.until);
}

/// A refused or held conflict is an arrival like any other.
pub fn a_conflict_is_judged_as_well<F: Fixture>() {
    let world = World::<F>::new();
    world.accepted(tried(&world, "a", "x", "{}"));
    for policy in [OnConflict::Reject, OnConflict::Quarantine] {
        let call = tried(&world, "a", "x", "{\"n\":1}").on_conflict(policy);
        world.admit(call);
    }
    assert_eq!(counts(&report(&world, RULE)), [3, 0, 2, 2, 0, 0]);
}

/// C1.
pub fn c1_a_key_in_shadow_mode_protects_nothing<F: Fixture>() {
    let world = World::<F>::new();
    world.accepted(tried(&world, "a", "x", "{}"));
    world.accepted(world.inbound("x", "{\"n\":1}"));
    world.accepted(world.inbound("b", "{\"n\":2}").once(1, "x", WINDOW));
    let routed = world.message(world.accepted(world.inbound("c", "3").once(2, "x", WINDOW)));
    assert_eq!(routed.message.routing, []);
}

/// C3.
pub fn c3_of_many_at_once_a_key_in_shadow_mode_lets_one_pass<F: Fixture>() {
    let world = World::<F>::new();
    std::thread::scope(|scope| {
        for n in 0..16 {
            let world = &world;
            scope.spawn(move || world.accepted(tried(world, &format!("k{n}"), "x", "{}")));
        }
    });
    let report = report(&world, RULE);
    assert_eq!(counts(&report), [16, 0, 15, 0, 15, 0]);
    assert!(
        (1..=SAMPLES_MAX).contains(&report.samples.len()),
        "{report:?}"
    );
}

/// C4.
pub fn c4_a_key_in_shadow_mode_has_a_window_of_its_own<F: Fixture>() {
    let world = World::<F>::new();
    let short = Window::Seconds(60);
    let call = |real: &str| {
        world
            .inbound(real, real)
            .tried_under(RULE, Some("x"), short)
    };
    world.accepted(call("1"));
    world.advance(Millis::from_seconds(59));
    world.accepted(call("2"));
    world.advance(Millis::from_seconds(1));
    world.accepted(call("3"));
    assert_eq!(counts(&report(&world, RULE)), [3, 0, 1, 1, 1, 0]);
}

/// C2.
pub fn c2_what_was_judged_survives_a_crash<F: Fixture>() {
    let mut world = World::<F>::new();
    let calls = ["a", "b", "c"].map(|real| tried(&world, real, "x", "{}"));
    world.admit_all(calls.to_vec());
    let before = report(&world, RULE);
    assert_eq!(counts(&before), [3, 0, 2, 0, 2, 0]);
    world.fixture.crash();
    assert_eq!(report(&world, RULE), before);
    world.accepted(tried(&world, "d", "x", "{}"));
    assert_eq!(counts(&report(&world, RULE)), [4, 0, 3, 0, 3, 0]);
}

/// What nobody judges any more goes; what is judged stays.
pub fn what_a_rule_came_to_that_was_taken_away_is_forgotten<F: Fixture>() {
    let world = World::<F>::new();
    let other = ShadowId::from_bytes([8; 16]);
    let old = |key: &str| {
        world
            .inbound(key, "{}")
            .tried_under(other, Some("x"), WINDOW)
    };
    world.accepted(old("a"));
    world.accepted(old("b"));
    world.advance(Millis::from_seconds(60));
    world.accepted(tried(&world, "c", "y", "{}"));
    let store = world.store();
    let forget = |before: Timestamp| {
        let forgotten = world.fixture.wait(store.forget_shadows(before));
        forgotten.expect("the store is available")
    };
    let before = world.store().now() - Millis::from_seconds(30);
    assert_eq!((forget(before), forget(before)), (1, 0));
    assert_eq!(report(&world, other), ShadowReport::default());
    assert_eq!(counts(&report(&world, RULE)), [1, 0, 0, 0, 0, 0]);
}

/// L1: who looks for a key wants what protects something.
pub fn l1_a_key_in_shadow_mode_is_not_listed<F: Fixture>() {
    let world = World::<F>::new();
    world.accepted(tried(&world, "a", "x", "{}"));
    let store = world.store();
    let part = Some("x".to_owned());
    let project = super::world::PROJECT;
    let found = world
        .fixture
        .wait(store.claims(project, Vec::new(), part, 10));
    assert_eq!(found.expect("the store is available"), []);
    let scope = Scope::Source(SOURCE);
    let real = vec![super::world::checksum(&scope, "a")];
    let found = world.fixture.wait(store.claims(project, real, None, 10));
    assert_eq!(found.expect("the store is available").len(), 1);
}
