//! C6 and D4: another payload under a known key, and a person's word on it.

use hooklatch_core::admission::{OnConflict, ReleaseInput, ReleaseRefused};
use hooklatch_core::claim::{Scope, SendTarget};
use hooklatch_core::ids::RequestId;
use hooklatch_core::message::{Effect, Origin, RequestOutcome};
use hooklatch_core::time::Millis;
use hooklatch_core::window::Window;

use super::world::{PROJECT, STRANGER, assert_effect, destination, endpoint};
use super::{Call, Fixture, World};
use crate::ReleaseOutcome;

fn release<F: Fixture>(world: &World<F>, id: RequestId) -> ReleaseOutcome {
    let store = world.store();
    let input = ReleaseInput {
        destinations: [destination(1)].into(),
        rulings: [].into(),
        now: store.now(),
    };
    let released = world.fixture.wait(store.release(PROJECT, id, input));
    released.expect("the store is available")
}

fn discard<F: Fixture>(world: &World<F>, id: RequestId) -> ReleaseOutcome {
    let store = world.store();
    world
        .fixture
        .wait(store.discard(PROJECT, id))
        .expect("the store is available")
}

/// C6.
pub fn c6_suppress_records_a_flagged_duplicate_with_its_body<F: Fixture>() {
    let world = World::<F>::new();
    let original = world.accepted(world.inbound("k", r#"{"n":1}"#));
    let repeat = world.repeated(world.inbound("k", r#"{"n":2}"#));
    assert_eq!(repeat.outcome, RequestOutcome::Duplicate);
    assert_effect(&repeat, Effect::Suppressed);
    assert!(repeat.payload_differs);
    assert_eq!(repeat.original_message_id, Some(original));
    let store = world.store();
    let body = world.fixture.wait(store.request_body(PROJECT, repeat.id));
    assert_eq!(
        body.expect("the store is available").as_deref(),
        Some(&br#"{"n":2}"#[..])
    );
}

/// C6.
pub fn c6_accept_makes_a_message_whose_repeat_is_its_duplicate<F: Fixture>() {
    let world = World::<F>::new();
    let call = |n: u32| {
        world
            .inbound("k", &format!(r#"{{"n":{n}}}"#))
            .on_conflict(OnConflict::Accept)
    };
    let first = world.accepted(call(1));
    let second = world.accepted(call(2));
    let third = world.accepted(call(3));
    for (n, original) in [(1, first), (2, second), (3, third), (2, second)] {
        let repeat = world.repeated(call(n));
        assert_eq!(repeat.original_message_id, Some(original), "payload {n}");
        assert!(!repeat.payload_differs);
    }
    let view = world.message(second);
    assert_eq!(view.message.origin, Origin::Conflicting);
    assert_eq!(view.message.original_message_id, Some(first));
    assert_eq!(world.lease().len(), 3);
}

/// C6.
pub fn c6_reject_creates_nothing<F: Fixture>() {
    let world = World::<F>::new();
    let original = world.accepted(world.inbound("k", r#"{"n":1}"#));
    let call = world
        .inbound("k", r#"{"n":2}"#)
        .on_conflict(OnConflict::Reject);
    let refused = world.repeated(call);
    assert_eq!(refused.outcome, RequestOutcome::Conflict);
    assert_effect(&refused, Effect::None);
    assert_eq!(refused.response_status, 409);
    assert_eq!(refused.original_message_id, Some(original));
    assert_eq!(world.lease().len(), 1, "only the original is delivered");
}

/// C6 and D4.
pub fn c6_quarantine_holds_until_a_person_releases<F: Fixture>() {
    let mut world = World::<F>::new();
    let original = world.accepted(world.inbound("k", r#"{"n":1}"#));
    assert_eq!(world.lease().len(), 1);
    let call = world
        .inbound("k", r#"{"n":2}"#)
        .on_conflict(OnConflict::Quarantine);
    let held = world.repeated(call);
    assert_eq!(held.outcome, RequestOutcome::Conflict);
    assert_effect(&held, Effect::Held);
    assert_eq!(held.response_status, 200);
    world.fixture.crash();
    let ReleaseOutcome::Released(released) = release(&world, held.id) else {
        panic!("a held request can be released");
    };
    let view = world.message(released);
    assert_eq!(&view.body[..], br#"{"n":2}"#);
    assert_eq!(view.message.origin, Origin::Released);
    assert_eq!(view.message.original_message_id, Some(original));
    assert_eq!(world.request(held.id).released_message_id, Some(released));
}

/// C6 and D4: a provider that repeats what is held makes several held requests of one event.
pub fn c6_what_was_released_is_known_and_is_not_released_again<F: Fixture>() {
    let mut world = World::<F>::new();
    let original = world.accepted(quarantined(&world, 1));
    let held = world.repeated(quarantined(&world, 2));
    let retried = world.repeated(quarantined(&world, 2));
    let other = world.repeated(quarantined(&world, 3));
    let ReleaseOutcome::Released(released) = release(&world, held.id) else {
        panic!("a held request can be released");
    };
    let again = ReleaseOutcome::Refused(ReleaseRefused::AlreadyReleased);
    assert_eq!(release(&world, retried.id), again);
    assert_effect(&world.request(retried.id), Effect::Held);
    assert_eq!(discard(&world, retried.id), ReleaseOutcome::Discarded);
    world.fixture.crash();
    for (n, message) in [(2, released), (1, original)] {
        let repeat = world.repeated(quarantined(&world, n));
        assert_eq!(repeat.outcome, RequestOutcome::Duplicate, "payload {n}");
        assert_eq!(repeat.original_message_id, Some(message), "payload {n}");
        assert!(!repeat.payload_differs);
    }
    let ReleaseOutcome::Released(_) = release(&world, other.id) else {
        panic!("another payload is another event");
    };
    assert_eq!(world.lease().len(), 3);
}

/// C4 and D4: a released payload is known for as long as its key is, and no longer.
pub fn c4_a_release_does_not_extend_the_window<F: Fixture>() {
    let world = World::<F>::new();
    let minute = |n| quarantined(&world, n).window(Window::Seconds(60));
    world.accepted(minute(1));
    let held = world.repeated(minute(2));
    world.advance(Millis::from_seconds(59));
    assert!(matches!(
        release(&world, held.id),
        ReleaseOutcome::Released(_)
    ));
    world.repeated(minute(2));
    world.advance(Millis::from_seconds(1));
    world.accepted(minute(2));
}

fn quarantined<F: Fixture>(world: &World<F>, n: u32) -> Call {
    let call = world.inbound("k", &format!(r#"{{"n":{n}}}"#));
    call.on_conflict(OnConflict::Quarantine)
}

/// D4.
pub fn d4_what_would_go_nowhere_stays_held<F: Fixture>() {
    let world = World::<F>::new();
    world.accepted(quarantined(&world, 1));
    let held = world.repeated(quarantined(&world, 2));
    let store = world.store();
    let nowhere = ReleaseInput {
        destinations: [].into(),
        rulings: [].into(),
        now: store.now(),
    };
    let refused = world.fixture.wait(store.release(PROJECT, held.id, nowhere));
    assert_eq!(
        refused.expect("the store is available"),
        ReleaseOutcome::Refused(ReleaseRefused::NoRoute)
    );
    assert_effect(&world.request(held.id), Effect::Held);
    assert!(matches!(
        release(&world, held.id),
        ReleaseOutcome::Released(_)
    ));
}

/// C6 and D4.
pub fn d4_a_released_conflict_goes_without_the_originals_headers<F: Fixture>() {
    let world = World::<F>::new();
    let target = SendTarget::Endpoint(endpoint(1));
    let call = |n: u32| {
        let scope = Scope::Send(PROJECT, target.clone());
        let mut call = world.call(scope, "k", &format!(r#"{{"n":{n}}}"#));
        call.arrival.extra_headers = vec![("x-of".to_owned(), n.to_string())];
        call
    };
    let original = world.accepted(call(1));
    for (n, headers) in [(1, 1), (2, 0)] {
        let repeat = world.repeated(call(n));
        let ReleaseOutcome::Released(released) = release(&world, repeat.id) else {
            panic!("payload {n} can be released");
        };
        let message = world.message(released).message;
        assert_eq!(message.original_message_id, Some(original));
        assert_eq!(message.extra_headers.len(), headers, "payload {n}");
    }
}

/// C6.
pub fn c6_quarantine_holds_until_a_person_discards<F: Fixture>() {
    let world = World::<F>::new();
    world.accepted(world.inbound("k", r#"{"n":1}"#));
    let quarantine = |n: u32| {
        let call = world.inbound("k", &format!(r#"{{"n":{n}}}"#));
        call.on_conflict(OnConflict::Quarantine)
    };
    let held = world.repeated(quarantine(2));
    assert_eq!(discard(&world, held.id), ReleaseOutcome::Discarded);
    assert_effect(&world.request(held.id), Effect::Discarded);
    let again = ReleaseOutcome::Refused(ReleaseRefused::AlreadyDiscarded);
    assert_eq!(discard(&world, held.id), again);
    assert_eq!(release(&world, held.id), again);
    let duplicate = world.repeated(world.inbound("k", r#"{"n":1}"#));
    let not_held = ReleaseOutcome::Refused(ReleaseRefused::NotHeld);
    assert_eq!(discard(&world, duplicate.id), not_held);
}

/// C6.
pub fn c6_the_difference_is_kept<F: Fixture>() {
    let mut world = World::<F>::new();
    world.accepted(world.inbound("k", r#"{"n":1}"#));
    let repeat = world.repeated(world.inbound("k", r#"{"n":2}"#));
    let store = world.store();
    let kept = world
        .fixture
        .wait(store.keep_diff(repeat.id, vec!["/n".to_owned()]));
    kept.expect("the store is available");
    world.fixture.crash();
    assert_eq!(world.request(repeat.id).diff, Some(vec!["/n".to_owned()]));
}

/// D4.
pub fn d4_a_suppressed_request_is_released_once<F: Fixture>() {
    let world = World::<F>::new();
    let original = world.accepted(world.inbound("k", r#"{"n":1}"#));
    let repeat = world.repeated(world.inbound("k", r#"{"n":1}"#));
    let ReleaseOutcome::Released(released) = release(&world, repeat.id) else {
        panic!("a suppressed request can be released");
    };
    assert_ne!(released, original);
    assert_eq!(
        &world.message(released).body[..],
        br#"{"n":1}"#,
        "the original's body"
    );
    let again = ReleaseOutcome::Refused(ReleaseRefused::AlreadyReleased);
    assert_eq!(release(&world, repeat.id), again);
    assert_eq!(world.lease().len(), 2);
    assert_effect(&world.request(repeat.id), Effect::Released);
}

/// D4.
pub fn d4_what_is_no_duplicate_cannot_be_released<F: Fixture>() {
    let world = World::<F>::new();
    let original = world.accepted(world.inbound("k", "{}"));
    let accepted = ReleaseOutcome::Refused(ReleaseRefused::Accepted);
    assert_eq!(release(&world, original.as_request()), accepted);
    assert_eq!(
        release(&world, RequestId::from_number(5)),
        ReleaseOutcome::NotFound
    );
    let repeat = world.repeated(world.inbound("k", "{}"));
    let store = world.store();
    let input = ReleaseInput {
        destinations: [].into(),
        rulings: [].into(),
        now: store.now(),
    };
    let foreign = world
        .fixture
        .wait(store.release(STRANGER, repeat.id, input));
    assert_eq!(
        foreign.expect("the store is available"),
        ReleaseOutcome::NotFound
    );
}

/// INV-1.
pub fn inv_1_one_live_claim_per_key_and_fingerprint<F: Fixture>() {
    let world = World::<F>::new();
    let call = |n: u32| {
        world
            .inbound("k", &format!(r#"{{"n":{n}}}"#))
            .on_conflict(OnConflict::Accept)
    };
    let checksums = vec![call(1).arrival.keys[0].checksum];
    for n in [1, 2, 1, 2, 3, 1] {
        world.admit(call(n));
    }
    let store = world.store();
    let claims = world
        .fixture
        .wait(store.claims(PROJECT, checksums, None, 10));
    let claims = claims.expect("the store is available");
    let claims: Vec<_> = claims.into_iter().map(|view| view.claim).collect();
    assert_eq!(claims.len(), 3);
    assert!(hooklatch_core::invariants::one_live_claim(
        &claims,
        store.now()
    ));
}
