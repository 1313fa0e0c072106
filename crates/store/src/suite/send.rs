//! S: the send API's rules, as far as the store decides them.

use hooklatch_core::admission::OnFailedOriginal;
use hooklatch_core::cause::Cause;
use hooklatch_core::claim::{Scope, SendTarget};
use hooklatch_core::delivery::Reason;
use hooklatch_core::delivery::lifecycle::Next;
use hooklatch_core::message::{Direction, Effect, RequestOutcome};
use hooklatch_core::time::Millis;

use super::world::{PROJECT, assert_effect, endpoint, is_accepted};
use super::{Call, Fixture, World};

fn send<F: Fixture>(world: &World<F>, key: &str, payload: &str) -> Call {
    world.call(
        Scope::Send(PROJECT, SendTarget::Endpoint(endpoint(1))),
        key,
        payload,
    )
}

/// S1.
pub fn s1_a_new_call_is_a_message<F: Fixture>() {
    let world = World::<F>::new();
    let id = world.accepted(send(&world, "k", "{}"));
    let message = world.message(id).message;
    assert_eq!(message.direction, Direction::Outbound);
    assert_eq!(message.source_id, None);
    assert_eq!(world.lease().len(), 1);
    // The same key for another target is another key (C1).
    let tenant = Scope::Send(PROJECT, SendTarget::Tenant("acme".into()));
    world.accepted(world.call(tenant, "k", "{}"));
}

/// S2.
pub fn s2_a_repeat_is_the_original_and_sends_nothing<F: Fixture>() {
    let world = World::<F>::new();
    let id = world.accepted(send(&world, "k", r#"{"a":1,"b":2}"#));
    world.attempt(Next::Deliver);
    world.advance(Millis::from_seconds(1));
    let mut again = send(&world, "k", r#"{"b":2,"a":1}"#);
    again
        .arrival
        .extra_headers
        .push(("x-other".into(), "1".into()));
    again.arrival.delay = Millis::from_seconds(5);
    let repeat = world.repeated(again);
    assert_eq!(repeat.original_message_id, Some(id));
    assert_eq!(repeat.outcome, RequestOutcome::Duplicate);
    assert_eq!(repeat.cause, Some(Cause::ProducerRetry));
    world.advance(Millis::from_seconds(60));
    assert!(world.lease().is_empty());
}

/// S3.
pub fn s3_another_payload_is_a_conflict<F: Fixture>() {
    let world = World::<F>::new();
    let id = world.accepted(send(&world, "k", r#"{"n":1}"#));
    let conflict = world.repeated(send(&world, "k", r#"{"n":2}"#));
    assert_eq!(conflict.outcome, RequestOutcome::Conflict);
    assert_eq!(conflict.response_status, 409);
    assert_eq!(conflict.original_message_id, Some(id));
    assert_eq!(world.lease().len(), 1, "nothing is created");
}

/// S4.
pub fn s4_without_a_key_every_call_is_new<F: Fixture>() {
    let world = World::<F>::new();
    for _ in 0..3 {
        let mut keyless = send(&world, "k", "{}");
        keyless.arrival.keys.clear();
        world.accepted(keyless);
    }
    assert_eq!(world.lease().len(), 3);
}

/// S6.
pub fn s6_one_key_covers_a_fan_out_and_a_repeat_adds_none<F: Fixture>() {
    let world = World::<F>::new();
    let call = |endpoints: &[i64]| {
        let scope = Scope::Send(PROJECT, SendTarget::Broadcast);
        world.call(scope, "k", "{}").to(endpoints)
    };
    let id = world.accepted(call(&[1, 2]));
    let repeat = world.repeated(call(&[1, 2, 3]));
    assert_effect(&repeat, Effect::Suppressed);
    assert_eq!(world.message(id).deliveries.len(), 2);
    assert_eq!(world.lease().len(), 2);
}

/// S7.
pub fn s7_the_same_key_twice_in_a_batch_is_one_message<F: Fixture>() {
    let world = World::<F>::new();
    let batch = ["a", "b", "a"].map(|key| send(&world, key, "{}")).to_vec();
    let mut with_conflict = batch.clone();
    with_conflict.push(send(&world, "b", r#"{"n":1}"#));
    with_conflict.push(send(&world, "c", "{}"));
    let answers = world.admit_all(with_conflict);
    let accepted: Vec<bool> = answers.iter().map(is_accepted).collect();
    assert_eq!(accepted, [true, true, false, false, true]);
    assert_eq!(answers[2].message_id, answers[0].message_id);
    assert_eq!(answers[3].message_id, answers[1].message_id);
    assert_eq!(
        world.request(answers[3].request_id).outcome,
        RequestOutcome::Conflict
    );
}

/// D2.
pub fn d2_a_repeat_of_the_send_api_redrives_only_when_asked<F: Fixture>() {
    let world = World::<F>::new();
    world.accepted(send(&world, "k", "{}"));
    world.attempt(Next::Fail(Reason::AttemptsExhausted));
    assert_effect(&world.repeated(send(&world, "k", "{}")), Effect::Suppressed);
    let asked = send(&world, "k", "{}").on_failed(OnFailedOriginal::Redrive);
    assert_effect(&world.repeated(asked), Effect::Redriven);
    assert_eq!(world.lease().len(), 1);
}
