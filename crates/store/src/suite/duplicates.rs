//! D: what a duplicate does, and why it came.

use std::sync::Arc;

use hooklatch_core::admission::OnFailedOriginal;
use hooklatch_core::cause::{Cause, Hints};
use hooklatch_core::claim::ClaimKind;
use hooklatch_core::delivery::lifecycle::{Command, Next};
use hooklatch_core::delivery::{DeliveryStatus, Reason, Trigger};
use hooklatch_core::message::{Effect, RequestOutcome};
use hooklatch_core::time::Millis;

use super::world::{PROJECT, assert_effect};
use super::{Call, Fixture, World};
use crate::{PageRequest, RequestFilter, RequestView};

const GIVE_UP: Next = Next::Fail(Reason::AttemptsExhausted);

/// D1.
pub fn d1_a_duplicate_is_recorded_and_linked_and_never_delivered<F: Fixture>() {
    let mut world = World::<F>::new();
    let original = world.accepted(world.inbound("k", "{}"));
    world.attempt(Next::Deliver);
    world.advance(Millis::from_seconds(1));
    let repeat = world.repeated(world.inbound("k", "{}"));
    world.fixture.crash();
    assert!(world.lease().is_empty());
    let recorded = world.request(repeat.id);
    assert_eq!(recorded, repeat);
    assert_eq!(recorded.outcome, RequestOutcome::Duplicate);
    assert_eq!(recorded.original_message_id, Some(original));
    assert_eq!(recorded.key.as_ref().expect("the matched key").text, "k");
    assert_eq!(recorded.received_at, world.store().now());
    let store = world.store();
    let filter = RequestFilter {
        message_id: Some(original),
        ..RequestFilter::default()
    };
    let page = PageRequest {
        limit: 10,
        below: None,
    };
    let listed = world.fixture.wait(store.requests(PROJECT, filter, page));
    let listed = listed.expect("the store is available").items;
    assert_eq!(listed.len(), 2, "the original and its duplicate");
    let RequestView::Other { request, envelope } = &listed[0] else {
        panic!("the newest is the duplicate");
    };
    assert_eq!(request.id, repeat.id);
    assert_eq!(envelope.header("x-key"), Some("k"));
    assert!(matches!(listed[1], RequestView::Accepted { .. }));
}

/// D1.
pub fn d1_another_payload_is_kept<F: Fixture>() {
    let mut world = World::<F>::new();
    world.accepted(world.inbound("k", r#"{"n":1}"#));
    let same = world.repeated(world.inbound("k", r#"{"n": 1.0}"#));
    let other = world.repeated(world.inbound("k", r#"{"n":2}"#));
    assert!(!same.payload_differs);
    assert!(other.payload_differs);
    world.fixture.crash();
    let store = world.store();
    for (id, body) in [(same.id, r#"{"n":1}"#), (other.id, r#"{"n":2}"#)] {
        let kept = world.fixture.wait(store.request_body(PROJECT, id));
        let kept = kept.expect("the store is available");
        assert_eq!(kept.as_deref(), Some(body.as_bytes()));
    }
}

/// D2.
pub fn d2_a_duplicate_starts_exactly_the_failed_deliveries_again<F: Fixture>() {
    let mut world = World::<F>::new();
    let original = world.accepted(world.inbound("k", r#"{"n":1}"#).to(&[1, 2, 3]));
    let leases = world.lease();
    world.finish(&leases[0], Next::Deliver);
    world.finish(&leases[1], GIVE_UP);
    world.finish(&leases[2], Next::Fail(Reason::EndpointDisabled));
    let repeat = world.repeated(world.inbound("k", r#"{"n": 1}"#).to(&[1, 2, 3]));
    assert_effect(&repeat, Effect::Redriven);
    world.fixture.crash();
    let again = world.lease();
    let mut endpoints: Vec<_> = again
        .iter()
        .map(|lease| lease.delivery.endpoint_id)
        .collect();
    endpoints.sort();
    let mut failed = vec![
        leases[1].delivery.endpoint_id,
        leases[2].delivery.endpoint_id,
    ];
    failed.sort();
    assert_eq!(endpoints, failed);
    for lease in &again {
        assert_eq!(lease.delivery.trigger, Trigger::Redrive);
        assert_eq!(lease.delivery.attempts, 2, "attempt numbers go on");
        assert_eq!(lease.delivery.attempts_spent(), 1, "with a fresh budget");
        assert_eq!(&lease.parcel.body[..], br#"{"n":1}"#, "the original's body");
        assert_eq!(lease.delivery.message_id, original);
    }
}

/// D2.
pub fn d2_what_a_person_cancelled_or_a_receiver_rejected_stays<F: Fixture>() {
    let world = World::<F>::new();
    let id = world.accepted(world.inbound("k", "{}").to(&[1, 2]));
    let leases = world.lease();
    world.finish(&leases[0], Next::Fail(Reason::RejectedByReceiver));
    let store = world.store();
    let cancelled = store.command(PROJECT, leases[1].delivery.id, Command::Cancel);
    world
        .fixture
        .wait(cancelled)
        .expect("the store is available");
    let repeat = world.repeated(world.inbound("k", "{}"));
    assert_effect(&repeat, Effect::Suppressed);
    assert!(world.lease().is_empty());
    let mut statuses = world.statuses(id);
    statuses.sort_by_key(|status| status.code());
    assert_eq!(
        statuses,
        [DeliveryStatus::Failed, DeliveryStatus::Cancelled]
    );
}

/// D2.
pub fn d2_a_disabled_endpoint_is_not_started_again<F: Fixture>() {
    let world = World::<F>::new();
    world.accepted(world.inbound("k", "{}"));
    world.attempt(Next::Fail(Reason::EndpointDisabled));
    let repeat = world.repeated(world.inbound("k", "{}").disabled(&[1]));
    assert_effect(&repeat, Effect::Suppressed);
    let repeat = world.repeated(world.inbound("k", "{}"));
    assert_effect(&repeat, Effect::Redriven);
}

/// D2.
pub fn d2_another_payload_starts_nothing<F: Fixture>() {
    let world = World::<F>::new();
    world.accepted(world.inbound("k", r#"{"n":1}"#));
    world.attempt(GIVE_UP);
    let repeat = world.repeated(world.inbound("k", r#"{"n":2}"#));
    assert_effect(&repeat, Effect::Suppressed);
    assert!(world.lease().is_empty());
}

/// D2.
pub fn d2_an_original_without_a_route_is_routed_now<F: Fixture>() {
    let mut world = World::<F>::new();
    let id = world.accepted(world.inbound("k", "{}").to(&[]));
    assert!(world.lease().is_empty());
    let repeat = world.repeated(world.inbound("k", "{}").to(&[]));
    assert_effect(&repeat, Effect::Suppressed);
    let repeat = world.repeated(world.inbound("k", "{}").to(&[1, 2]));
    assert_effect(&repeat, Effect::Rerouted);
    world.fixture.crash();
    let repeat = world.repeated(world.inbound("k", "{}").to(&[1, 2]));
    assert_effect(&repeat, Effect::Suppressed);
    assert_eq!(world.lease().len(), 2);
    let view = world.message(id);
    assert!(view.message.routed);
    assert_eq!(view.deliveries.len(), 2);
}

/// D2.
pub fn d2_suppress_turns_it_off<F: Fixture>() {
    let world = World::<F>::new();
    let call = || {
        world
            .inbound("k", "{}")
            .on_failed(OnFailedOriginal::Suppress)
    };
    world.accepted(call());
    world.attempt(GIVE_UP);
    assert_effect(&world.repeated(call()), Effect::Suppressed);
    assert!(world.lease().is_empty());
}

fn hinted(call: Call, hints: Hints) -> Call {
    let mut call = call;
    call.arrival.hints = Arc::new(hints);
    call
}

/// D3.
pub fn d3_the_cause_and_its_evidence_are_recorded<F: Fixture>() {
    let mut world = World::<F>::new();
    world.accepted(world.inbound("k", "{}"));
    world.advance(Millis::from_seconds(60));
    let header = Hints {
        retry_header: Some("x-retry".into()),
        ..Hints::default()
    };
    let window = Hints {
        retry_window: Some(Millis::ZERO),
        ..Hints::default()
    };
    let cases = [
        (header, Cause::ProviderRetry),
        (window, Cause::ProviderResend),
        (Hints::default(), Cause::Unknown),
    ];
    let repeats: Vec<_> = cases
        .into_iter()
        .map(|(hints, cause)| {
            (
                world.repeated(hinted(world.inbound("k", "{}"), hints)),
                cause,
            )
        })
        .collect();
    world.fixture.crash();
    for (repeat, cause) in repeats {
        let recorded = world.request(repeat.id);
        assert_eq!(recorded.cause, Some(cause));
        assert!(
            recorded
                .evidence
                .is_some_and(|evidence| !evidence.is_empty())
        );
    }
}

/// D3.
pub fn d3_a_duplicate_before_the_answer_is_concurrent<F: Fixture>() {
    let world = World::<F>::new();
    let before = world.inbound("k", "{}");
    world.advance(Millis::from_seconds(1));
    world.accepted(world.inbound("k", "{}"));
    let repeat = world.repeated(before);
    assert_eq!(
        repeat.cause,
        Some(Cause::Concurrent),
        "it arrived before the answer"
    );
    world.advance(Millis::from_seconds(1));
    let repeat = world.repeated(world.inbound("k", "{}"));
    assert_ne!(repeat.cause, Some(Cause::Concurrent));
}

/// D5.
pub fn d5_look_alikes_are_flagged_and_delivered<F: Fixture>() {
    let mut world = World::<F>::new();
    let keyless = || {
        let mut call = world.inbound("look-alike", r#"{"n":1}"#);
        call.arrival.keys[0].kind = ClaimKind::LookAlike;
        call.arrival
    };
    let (one, two, three) = (keyless(), keyless(), keyless());
    let first = world.accepted(Call { arrival: one });
    world.advance(Millis::from_seconds(59));
    world.fixture.crash();
    let second = world.accepted(Call { arrival: two });
    assert_eq!(
        world.message(second).message.suspected_duplicate_of,
        Some(first)
    );
    assert_eq!(world.message(first).message.suspected_duplicate_of, None);
    world.advance(Millis::from_seconds(60));
    let third = world.accepted(Call { arrival: three });
    assert_eq!(world.message(third).message.suspected_duplicate_of, None);
    assert_eq!(world.message(third).message.key, None);
    assert_eq!(world.lease().len(), 3);
}

/// INV-8.
pub fn inv_8_counters_equal_requests<F: Fixture>() {
    let mut world = World::<F>::new();
    let id = world.accepted(world.inbound("k", "{}"));
    for n in 0..7 {
        assert_eq!(world.message(id).duplicates, n);
        world.repeated(world.inbound("k", if n % 2 == 0 { "{}" } else { "[]" }));
    }
    world.fixture.crash();
    assert_eq!(world.message(id).duplicates, 7);
}
