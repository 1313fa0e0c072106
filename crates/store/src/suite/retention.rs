//! INV-9: what is pruned, what is not, and that claims outlive all of it.

use std::sync::Arc;

use hooklatch_core::admission::{OnConflict, ReleaseInput, ReleaseRefused};
use hooklatch_core::delivery::lifecycle::{Command, CommandRefused, Next};
use hooklatch_core::delivery::{DeliveryStatus, Reason};
use hooklatch_core::ids::{MessageId, RequestId, first_number_at};
use hooklatch_core::message::Effect;
use hooklatch_core::retention::{Cut, PruneStep, Pruned, What};
use hooklatch_core::time::Millis;
use hooklatch_core::window::Window;

use super::world::{HOUR, PROJECT, STRANGER, assert_effect, destination};
use super::{Fixture, World};
use crate::{Commanded, ReleaseOutcome};

const DAY: Millis = Millis::from_seconds(86_400);

/// A step over everything that happened up to now.
fn step<F: Fixture>(world: &World<F>, what: What) -> PruneStep {
    let before = first_number_at(world.store().now() + DAY);
    PruneStep {
        what,
        from: 0,
        below: i64::MAX,
        cuts: [Cut {
            project: PROJECT,
            before,
        }]
        .into(),
        rows_max: 100,
    }
}

fn prune<F: Fixture>(world: &World<F>, step: PruneStep) -> Pruned {
    let store = world.store();
    let pruned = world.fixture.wait(store.prune(step));
    pruned.expect("the store is available")
}

fn prune_all<F: Fixture>(world: &World<F>, what: What) -> Pruned {
    prune(world, step(world, what))
}

fn body<F: Fixture>(world: &World<F>, id: MessageId) -> Option<String> {
    let store = world.store();
    let body = store.request_body(PROJECT, id.as_request());
    let body = world.fixture.wait(body).expect("the store is available")?;
    Some(String::from_utf8(body.to_vec()).expect("the suite's payloads are texts"))
}

fn message_is_gone<F: Fixture>(world: &World<F>, id: MessageId) -> bool {
    let store = world.store();
    let found = world.fixture.wait(store.message(PROJECT, id));
    found.expect("the store is available").is_none()
}

fn release<F: Fixture>(world: &World<F>, id: RequestId) -> ReleaseOutcome {
    let store = world.store();
    let input = ReleaseInput {
        destinations: [destination(1)].into(),
        rulings: Arc::default(),
        now: store.now(),
    };
    let released = world.fixture.wait(store.release(PROJECT, id, input));
    released.expect("the store is available")
}

/// A message whose delivery has ended.
fn delivered<F: Fixture>(world: &World<F>, key: &str, payload: &str) -> MessageId {
    let call = world.inbound(key, payload).window(Window::Seconds(864_000));
    let id = world.accepted(call);
    world.attempt(Next::Deliver);
    id
}

/// INV-9.
pub fn inv9_a_claim_outlives_its_messages_payload<F: Fixture>() {
    let mut world = World::<F>::new();
    let id = delivered(&world, "k", "{\"a\":1}");
    world.advance(DAY);
    assert_eq!(prune_all(&world, What::Payloads).payloads, 1);
    world.fixture.crash();
    let view = world.message(id);
    assert_eq!(view.message.payload_pruned_at, Some(world.store().now()));
    assert!(view.body.is_empty() && view.envelope.header("x-key") == Some("k"));
    assert_eq!(body(&world, id), None);
    let again = world.repeated(world.inbound("k", "{\"a\":1}"));
    assert_eq!(again.original_message_id, Some(id));
    let other = world.repeated(world.inbound("k", "{\"a\":2}"));
    assert!(
        other.payload_differs,
        "the fingerprint outlives the payload"
    );
    let pruned = prune_all(&world, What::Payloads);
    assert_eq!(pruned.payloads, 1, "that of the request that differs");
    let other = world.request(other.id);
    assert!(other.payload_pruned_at.is_some());
}

/// INV-9.
pub fn inv9_a_claim_outlives_its_messages_history<F: Fixture>() {
    let mut world = World::<F>::new();
    let id = delivered(&world, "k", "{}");
    let repeat = world.repeated(world.inbound("k", "{}"));
    world.advance(DAY);
    assert_eq!(prune_all(&world, What::History).records, 2);
    assert_eq!(prune_all(&world, What::History).records, 0);
    world.fixture.crash();
    assert!(message_is_gone(&world, id));
    let store = world.store();
    let found = store.request(PROJECT, repeat.id);
    assert!(world.fixture.wait(found).expect("available").is_none());
    drop(store);
    let again = world.repeated(world.inbound("k", "{}"));
    assert_eq!(again.original_message_id, Some(id));
    assert_effect(&again, Effect::Suppressed);
    assert_eq!(
        release(&world, again.id),
        ReleaseOutcome::Refused(ReleaseRefused::HistoryDropped)
    );
    world.advance(Millis::from_seconds(864_000));
    world.accepted(world.inbound("k", "{}"));
}

/// INV-9.
pub fn inv9_an_unfinished_delivery_is_never_pruned<F: Fixture>() {
    let world = World::<F>::new();
    let ids: Vec<MessageId> = ["pending", "delivering", "held"]
        .into_iter()
        .map(|key| {
            let id = world.accepted(world.inbound(key, "{\"a\":1}"));
            match key {
                "delivering" => drop(world.lease_one()),
                "held" => drop(world.attempt(Next::Hold(Reason::Uncertain))),
                _ => {
                    let after = DAY + DAY;
                    world.attempt(Next::Retry {
                        after,
                        counts: true,
                    });
                }
            }
            id
        })
        .collect();
    for what in [What::Payloads, What::History] {
        let pruned = prune_all(&world, what);
        assert_eq!((pruned.payloads, pruned.records), (0, 0), "{what:?}");
    }
    for id in ids {
        assert_eq!(world.message(id).body, "{\"a\":1}");
    }
}

/// INV-9.
pub fn inv9_a_request_that_waits_for_a_person_keeps_its_payload<F: Fixture>() {
    let world = World::<F>::new();
    delivered(&world, "k", "{\"a\":1}");
    let other = world
        .inbound("k", "{\"a\":2}")
        .on_conflict(OnConflict::Quarantine);
    let held = world.repeated(other);
    world.advance(DAY);
    assert_eq!(prune_all(&world, What::Payloads).payloads, 1);
    let released = release(&world, held.id);
    let ReleaseOutcome::Released(id) = released else {
        panic!("not released: {released:?}")
    };
    assert_eq!(world.message(id).body, "{\"a\":2}");
}

/// INV-9: another project's, and what is younger, stays.
pub fn inv9_only_what_a_cut_names_goes<F: Fixture>() {
    let world = World::<F>::new();
    let old = delivered(&world, "old", "{}");
    world.advance(DAY);
    let young = delivered(&world, "young", "{}");
    for what in [What::Payloads, What::History] {
        let of = |project, before| PruneStep {
            cuts: [Cut { project, before }].into(),
            ..step(&world, what)
        };
        let everything = prune(&world, of(STRANGER, i64::MAX));
        assert_eq!((everything.payloads, everything.records), (0, 0));
        let pruned = prune(&world, of(PROJECT, young.number()));
        assert_eq!(pruned.payloads + pruned.records, 1, "{what:?}");
    }
    assert!(message_is_gone(&world, old));
    assert_eq!(world.message(young).body, "{}");
}

/// INV-9: a step looks at no more than it may, and says where to go on.
pub fn inv9_steps_are_small_and_meet_everything_once<F: Fixture>() {
    let world = World::<F>::new();
    for n in 0..7 {
        delivered(&world, &format!("k{n}"), "{}");
    }
    world.advance(DAY);
    let mut below = i64::MAX;
    let mut steps = Vec::new();
    loop {
        let pruned = prune(
            &world,
            PruneStep {
                below,
                rows_max: 3,
                ..step(&world, What::Payloads)
            },
        );
        steps.push(pruned.payloads);
        match pruned.next {
            Some(next) => below = next,
            None => break,
        }
    }
    assert_eq!(steps, [3, 3, 1]);
}

/// INV-9: the elements of a batch share what surrounded them.
pub fn inv9_an_unfinished_element_keeps_what_surrounded_its_batch<F: Fixture>() {
    let mut world = World::<F>::new();
    let first = world.inbound("one", "{\"n\":1}");
    let mut others: Vec<_> = [2, 3]
        .into_iter()
        .map(|n| {
            world
                .inbound(&format!("k{n}"), &format!("{{\"n\":{n}}}"))
                .to(&[n])
        })
        .collect();
    for other in &mut others {
        other.arrival.envelope = Arc::clone(&first.arrival.envelope);
    }
    let mut calls = vec![first];
    calls.extend(others);
    let ids: Vec<MessageId> = world
        .admit_all(calls)
        .into_iter()
        .map(|it| it.message_id)
        .collect();
    for lease in world.lease() {
        let last = lease.delivery.message_id == ids[2];
        let next = if last {
            Next::Hold(Reason::Uncertain)
        } else {
            Next::Deliver
        };
        world.finish(&lease, next);
    }
    world.advance(DAY);
    assert_eq!(prune_all(&world, What::History).records, 2);
    world.fixture.crash();
    let view = world.message(ids[2]);
    assert_eq!(view.envelope.header("x-key"), Some("one"));
    assert_eq!(view.body, "{\"n\":3}");
    assert!(message_is_gone(&world, ids[0]) && message_is_gone(&world, ids[1]));
}

/// INV-9: what a person starts again needs its payload.
pub fn inv9_a_retry_without_its_payload_is_refused<F: Fixture>() {
    let world = World::<F>::new();
    let id = world.accepted(world.inbound("k", "{}"));
    let failed = world.attempt(Next::Fail(Reason::AttemptsExhausted));
    world.advance(DAY);
    assert_eq!(prune_all(&world, What::Payloads).payloads, 1);
    let store = world.store();
    for command in [Command::Retry, Command::RetryUndelivered] {
        let asked = store.command(PROJECT, failed.id, command);
        let refused = world.fixture.wait(asked).expect("available");
        let expected = Commanded::Refused(CommandRefused::HistoryDropped);
        assert_eq!(refused, expected);
    }
    assert_eq!(world.statuses(id), [DeliveryStatus::Failed]);
}

/// INV-9: a suppressed request has its original's payload, and no other.
pub fn inv9_a_release_without_its_payload_is_refused<F: Fixture>() {
    let world = World::<F>::new();
    delivered(&world, "k", "{}");
    let repeat = world.repeated(world.inbound("k", "{}"));
    world.advance(DAY);
    prune_all(&world, What::Payloads);
    let refused = ReleaseOutcome::Refused(ReleaseRefused::HistoryDropped);
    assert_eq!(release(&world, repeat.id), refused);
}

/// D2: the duplicate says the same, so that it can be sent in the original's place.
pub fn d2_a_duplicate_brings_a_pruned_payload_back<F: Fixture>() {
    let mut world = World::<F>::new();
    let call = world.inbound("k", "{\"a\": 1}");
    let id = world.accepted(call.window(Window::Seconds(864_000)));
    world.attempt(Next::Fail(Reason::AttemptsExhausted));
    world.advance(DAY);
    assert_eq!(prune_all(&world, What::Payloads).payloads, 1);
    let repeat = world.repeated(world.inbound("k", "{\"a\":1.0}"));
    assert_effect(&repeat, Effect::Redriven);
    world.fixture.crash();
    let lease = world.lease_one();
    assert_eq!(lease.delivery.message_id, id);
    assert_eq!(lease.parcel.body, "{\"a\":1.0}");
    let view = world.message(id);
    assert_eq!(view.message.payload_pruned_at, None);
    assert_eq!(prune_all(&world, What::Payloads).payloads, 0);
}

/// A sender's own word on how long a payload is kept.
pub fn a_payload_goes_when_its_sender_said_so<F: Fixture>() {
    let mut world = World::<F>::new();
    let ended = |world: &World<F>| {
        let store = world.store();
        world
            .fixture
            .wait(store.prune_ended(10))
            .expect("available")
    };
    let kept_for = |key: &str, seconds| {
        let mut call = world.inbound(key, "{\"a\":1}");
        call.arrival.payload_kept = Some(Millis::from_seconds(seconds));
        let id = world.accepted(call);
        (id, world.store().now() + Millis::from_seconds(seconds))
    };
    let (short, until) = kept_for("short", 60);
    world.attempt(Next::Deliver);
    let (long, _) = kept_for("long", 7_200);
    world.attempt(Next::Deliver);
    let (open, _) = kept_for("open", 60);
    world.attempt(Next::Hold(Reason::Uncertain));
    assert_eq!(world.message(short).message.payload_until, Some(until));
    assert_eq!(ended(&world), 0);
    world.advance(HOUR);
    world.fixture.crash();
    ended(&world);
    assert_eq!(body(&world, short), None);
    assert!(world.message(short).message.payload_pruned_at.is_some());
    assert!(body(&world, long).is_some() && body(&world, open).is_some());
    assert_eq!(ended(&world), 0, "each is looked at once in a while");
}

/// Sizes, for a project that may keep only so many bytes.
pub fn sizes_are_told_from_the_youngest_to_the_oldest<F: Fixture>() {
    let world = World::<F>::new();
    let ids: Vec<MessageId> = ["{}", "{\"a\":1}", "[1,2]"]
        .into_iter()
        .enumerate()
        .map(|(n, payload)| delivered(&world, &format!("k{n}"), payload))
        .collect();
    world.repeated(world.inbound("k0", "{}"));
    let store = world.store();
    let mut found = Vec::new();
    let mut below = i64::MAX;
    loop {
        let sizes = store.payload_sizes(below, 2);
        let sizes = world.fixture.wait(sizes).expect("available");
        found.extend(sizes.sizes.iter().map(|it| (it.number, it.bytes)));
        assert!(sizes.sizes.iter().all(|it| it.project == PROJECT));
        match sizes.next {
            Some(next) => below = next,
            None => break,
        }
    }
    let numbers = ids.iter().map(|id| id.number());
    let mut expected: Vec<(i64, u64)> = numbers.zip([2, 7, 5]).collect();
    expected.reverse();
    assert_eq!(found, expected);
}
