//! C: the claim.

use hooklatch_core::claim::{Scope, SendTarget};
use hooklatch_core::ids::{GroupId, SourceId};
use hooklatch_core::message::Effect;
use hooklatch_core::time::Millis;
use hooklatch_core::window::Window;

use super::world::{HOUR, PROJECT, assert_effect, checksum, is_accepted};
use super::{Fixture, World};
use crate::StoreError;

/// C1.
pub fn c1_two_scopes_never_meet<F: Fixture>() {
    let world = World::<F>::new();
    let scopes = [
        Scope::Source(SourceId::from_number(1)),
        Scope::Source(SourceId::from_number(2)),
        Scope::Group(GroupId::from_number(1)),
        Scope::Send(PROJECT, SendTarget::Broadcast),
        Scope::Send(PROJECT, SendTarget::Tenant("a".into())),
    ];
    let shared = checksum(&scopes[0], "k");
    for scope in scopes {
        let mut call = world.call(scope, "k", "{}");
        // Not even a checksum that two scopes share by chance lets them meet.
        call.arrival.keys[0].checksum = shared;
        world.accepted(call);
    }
}

/// C2.
pub fn c2_what_was_acknowledged_survives_a_crash<F: Fixture>() {
    let mut world = World::<F>::new();
    let id = world.accepted(world.inbound("k", r#"{"n":1}"#).to(&[1, 2]));
    world.fixture.crash();
    let view = world.message(id);
    assert_eq!(&view.body[..], br#"{"n":1}"#);
    assert_eq!(view.deliveries.len(), 2);
    assert_eq!(world.lease().len(), 2);
    let repeat = world.repeated(world.inbound("k", r#"{"n":1}"#));
    assert_eq!(repeat.original_message_id, Some(id));
    world.fixture.crash();
    assert_eq!(world.message(id).duplicates, 1);
}

/// C2 and K10.
pub fn c2_a_call_of_many_is_durable_as_a_whole<F: Fixture>() {
    let mut world = World::<F>::new();
    let calls = (0..300)
        .map(|n| world.inbound(&format!("k{n}"), "{}"))
        .collect();
    let admissions = world.admit_all(calls);
    world.fixture.crash();
    assert_eq!(admissions.len(), 300);
    for (n, admission) in admissions.iter().enumerate() {
        assert!(is_accepted(admission));
        let view = world.message(admission.message_id);
        assert_eq!(
            view.message.key.expect("it has a key").text,
            format!("k{n}")
        );
    }
}

/// C3.
pub fn c3_of_many_at_once_exactly_one_is_accepted<F: Fixture>() {
    let world = World::<F>::new();
    for round in 0..4 {
        let key = format!("k{round}");
        let admissions: Vec<_> = std::thread::scope(|scope| {
            let send = || world.admit(world.inbound(&key, "{}"));
            let threads: Vec<_> = (0..32).map(|_| scope.spawn(send)).collect();
            let ended = threads.into_iter().map(|thread| thread.join());
            ended
                .map(|admission| admission.expect("no sender panics"))
                .collect()
        });
        let accepted: Vec<_> = admissions
            .iter()
            .filter(|found| is_accepted(found))
            .collect();
        assert_eq!(accepted.len(), 1, "one key, one original");
        let original = accepted[0].message_id;
        assert!(admissions.iter().all(|found| found.message_id == original));
        assert_eq!(world.message(original).duplicates, 31);
    }
}

/// C3.
pub fn c3_the_second_in_one_call_is_a_concurrent_duplicate_of_the_first<F: Fixture>() {
    let world = World::<F>::new();
    let twice = vec![world.inbound("k", "{}"), world.inbound("k", "{}")];
    let admissions = world.admit_all(twice);
    assert!(is_accepted(&admissions[0]));
    assert!(!is_accepted(&admissions[1]));
    let repeat = world.request(admissions[1].request_id);
    assert_eq!(repeat.original_message_id, Some(admissions[0].message_id));
    assert_eq!(repeat.cause, Some(hooklatch_core::cause::Cause::Concurrent));
}

/// C4.
pub fn c4_the_window_runs_from_first_sight_and_does_not_slide<F: Fixture>() {
    let world = World::<F>::new();
    let first = world.accepted(world.inbound("k", "{}"));
    world.advance(Millis::new(HOUR.get() / 2));
    world.repeated(world.inbound("k", "{}"));
    world.advance(Millis::new(HOUR.get() / 2 - 1));
    world.repeated(world.inbound("k", "{}"));
    world.advance(Millis::new(1));
    let second = world.accepted(world.inbound("k", "{}"));
    assert_ne!(first, second);
    let repeat = world.repeated(world.inbound("k", "{}"));
    assert_eq!(repeat.original_message_id, Some(second));
}

/// C4.
pub fn c4_a_sliding_window_begins_anew_with_every_sight<F: Fixture>() {
    let world = World::<F>::new();
    let call = || world.inbound("k", "{}").sliding();
    let first = world.accepted(call());
    for _ in 0..3 {
        world.advance(Millis::new(HOUR.get() - 1));
        assert_eq!(world.repeated(call()).original_message_id, Some(first));
    }
    world.advance(HOUR);
    world.accepted(call());
}

/// C4.
pub fn c4_for_ever_never_ends<F: Fixture>() {
    let world = World::<F>::new();
    world.accepted(world.inbound("k", "{}").window(Window::Forever));
    world.advance(Millis::from_seconds(500 * 86_400));
    world.repeated(world.inbound("k", "{}"));
}

/// C4.
pub fn c4_a_crash_neither_opens_nor_extends_a_window<F: Fixture>() {
    let mut world = World::<F>::new();
    world.accepted(world.inbound("k", "{}"));
    world.advance(Millis::new(HOUR.get() - 1));
    world.fixture.crash();
    world.repeated(world.inbound("k", "{}"));
    world.advance(Millis::new(1));
    world.accepted(world.inbound("k", "{}"));
}

/// C5 and K9.
pub fn c5_neighbours_beyond_64_bit_floats_differ<F: Fixture>() {
    let world = World::<F>::new();
    world.accepted(world.inbound("k", r#"{"amount":9007199254740992}"#));
    let repeat = world.repeated(world.inbound("k", r#"{"amount":9007199254740993}"#));
    assert!(
        repeat.payload_differs,
        "nothing passes through a 64-bit float"
    );
    let repeat = world.repeated(world.inbound("k", r#"{ "amount": 9007199254740992.0 }"#));
    assert!(
        !repeat.payload_differs,
        "the same number in another spelling is the same"
    );
}

/// C7.
pub fn c7_a_former_rule_still_finds_the_original_and_both_keys_are_claimed<F: Fixture>() {
    let world = World::<F>::new();
    let original = world.accepted(world.inbound("old", "{}"));
    let repeat = world.repeated(world.inbound("new", "{}").also_under("old"));
    assert_eq!(repeat.original_message_id, Some(original));
    // The former rule's time is over; the claim under the new key was made in time, with the
    // window of the first sight.
    let repeat = world.repeated(world.inbound("new", "{}"));
    assert_eq!(repeat.original_message_id, Some(original));
    world.advance(HOUR);
    world.accepted(world.inbound("new", "{}"));

    let fresh = world.accepted(world.inbound("n2", "{}").also_under("o2"));
    let repeat = world.repeated(world.inbound("o2", "{}"));
    assert_eq!(repeat.original_message_id, Some(fresh));
}

/// C7.
pub fn c7_the_earliest_sight_wins<F: Fixture>() {
    let world = World::<F>::new();
    let earliest = world.accepted(world.inbound("old", "{}"));
    world.advance(Millis::new(10));
    world.accepted(world.inbound("new", "{}"));
    world.advance(Millis::new(10));
    let repeat = world.repeated(world.inbound("new", "{}").also_under("old"));
    assert_eq!(repeat.original_message_id, Some(earliest));
}

/// C8.
pub fn c8_a_closed_store_admits_nothing<F: Fixture>() {
    let world = World::<F>::new();
    let store = world.store();
    world.fixture.wait(store.close()).expect("it closes");
    let arrival = world.inbound("k", "{}").arrival;
    let refused = world.fixture.wait(store.admit(vec![arrival]));
    assert!(
        matches!(refused, Err(StoreError::Unavailable(_))),
        "{refused:?}"
    );
    assert!(world.fixture.wait(store.ready()).is_err());
}

/// INV-2.
pub fn inv_2_a_claim_names_a_message_that_exists<F: Fixture>() {
    let mut world = World::<F>::new();
    let call = world.inbound("k", "{}");
    let checksums: Vec<_> = call.arrival.keys.iter().map(|key| key.checksum).collect();
    world.accepted(call);
    world.fixture.crash();
    let store = world.store();
    let claims = world
        .fixture
        .wait(store.claims(PROJECT, checksums, None, 10));
    for view in claims.expect("the store is available") {
        world.message(view.claim.message_id);
    }
}

/// INV-9: other keys expire and are written over; this one stays.
pub fn inv_9_a_claim_inside_its_window_outlives_every_sweep<F: Fixture>() {
    let mut world = World::<F>::new();
    let kept = world.accepted(world.inbound("kept", "{}").window(Window::Forever));
    for round in 0..5 {
        let short = Window::Seconds(1);
        let calls = (0..50).map(|n| world.inbound(&format!("k{n}"), "{}").window(short));
        let admissions = world.admit_all(calls.collect());
        assert!(admissions.iter().all(is_accepted), "round {round}");
        world.advance(Millis::from_seconds(2));
    }
    world.fixture.crash();
    let repeat = world.repeated(world.inbound("kept", "{}"));
    assert_eq!(repeat.original_message_id, Some(kept));
    assert_effect(&repeat, Effect::Suppressed);
}
