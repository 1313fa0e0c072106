//! What people see.

use std::sync::Arc;

use hooklatch_core::cause::Cause;
use hooklatch_core::delivery::attempt::AttemptOutcome;
use hooklatch_core::delivery::lifecycle::Next;
use hooklatch_core::delivery::{DeliveryStatus, Reason, Trigger};
use hooklatch_core::ids::{MessageId, SourceId};
use hooklatch_core::message::{Direction, Envelope, RequestOutcome};
use hooklatch_core::time::Millis;

use super::world::{PROJECT, SOURCE, STRANGER, endpoint};
use super::{Fixture, World};
use crate::{
    AttemptFilter, MessageFilter, PageRequest, REFUSED_KEPT_MAX, Refused, RequestFilter,
    RequestView, StatusFilter, TimeRange,
};

const PAGE: PageRequest = PageRequest {
    limit: 100,
    below: None,
};

/// Every message that a filter finds, over all its pages.
fn messages<F: Fixture>(world: &World<F>, filter: &MessageFilter) -> Vec<MessageId> {
    let store = world.store();
    let mut found = Vec::new();
    let mut below = None;
    loop {
        let page = PageRequest { below, limit: 3 };
        let page = world
            .fixture
            .wait(store.messages(PROJECT, filter.clone(), page));
        let page = page.expect("the store is available");
        assert!(page.items.len() <= 3);
        found.extend(page.items.iter().map(|view| view.message.id));
        match page.next {
            Some(next) => below = Some(next),
            None => return found,
        }
    }
}

/// Pages.
pub fn pages_go_from_the_newest_to_the_oldest_without_gap_or_overlap<F: Fixture>() {
    let mut world = World::<F>::new();
    let mut made = Vec::new();
    for n in 0..20 {
        made.push(world.accepted(world.inbound(&format!("k{n}"), "{}")));
        world.advance(Millis::new(n % 3));
    }
    made.reverse();
    assert_eq!(messages(&world, &MessageFilter::default()), made);
    world.fixture.crash();
    assert_eq!(messages(&world, &MessageFilter::default()), made);
}

/// Filters of messages.
pub fn messages_are_filtered<F: Fixture>() {
    let world = World::<F>::new();
    let plain = world.accepted(world.inbound("a", "{}").event_type("order.paid"));
    world.advance(Millis::from_seconds(10));
    let middle = world.store().now();
    let mut call = world.inbound("b", "{}").to(&[2]);
    call.arrival.source_id = Some(SourceId::from_number(12));
    call.arrival.tenant = Some("acme".into());
    let other = world.accepted(call);
    let time = |after, before| MessageFilter {
        time: TimeRange { after, before },
        ..MessageFilter::default()
    };
    let cases = [
        (
            MessageFilter {
                source_id: Some(SOURCE),
                ..MessageFilter::default()
            },
            plain,
        ),
        (
            MessageFilter {
                endpoint_id: Some(endpoint(2)),
                ..MessageFilter::default()
            },
            other,
        ),
        (
            MessageFilter {
                tenant: Some("acme".into()),
                ..MessageFilter::default()
            },
            other,
        ),
        (
            MessageFilter {
                event_type: Some("order.paid".into()),
                ..MessageFilter::default()
            },
            plain,
        ),
        (
            MessageFilter {
                ids: Some(vec![other]),
                ..MessageFilter::default()
            },
            other,
        ),
        (time(Some(middle), None), other),
        (time(None, Some(middle)), plain),
    ];
    for (filter, expected) in cases {
        assert_eq!(messages(&world, &filter), [expected], "{filter:?}");
    }
    let both = MessageFilter {
        source_id: Some(SOURCE),
        tenant: Some("acme".into()),
        ..MessageFilter::default()
    };
    assert!(messages(&world, &both).is_empty(), "every filter must hold");
}

/// A message's status.
pub fn a_messages_status_is_decided_by_its_deliveries<F: Fixture>() {
    let world = World::<F>::new();
    let unrouted = world.accepted(world.inbound("none", "{}").to(&[]));
    let filtered = world.accepted(world.inbound("filtered", "{}").filtered(1));
    let mixed = world.accepted(world.inbound("mixed", "{}").to(&[1, 2]));
    let leases = world.lease();
    world.finish(&leases[0], Next::Deliver);
    world.finish(&leases[1], Next::Fail(Reason::AttemptsExhausted));
    let done = world.accepted(world.inbound("done", "{}"));
    world.attempt(Next::Deliver);
    let waiting = world.accepted(world.inbound("waiting", "{}"));
    let cases = [
        (StatusFilter::NoRoute, unrouted),
        (StatusFilter::Filtered, filtered),
        (StatusFilter::Delivery(DeliveryStatus::Failed), mixed),
        (StatusFilter::Delivery(DeliveryStatus::Delivered), done),
        (StatusFilter::Delivery(DeliveryStatus::Pending), waiting),
    ];
    for (status, expected) in cases {
        let filter = MessageFilter {
            status: Some(status),
            ..MessageFilter::default()
        };
        assert_eq!(messages(&world, &filter), [expected], "{status:?}");
    }
    let held = StatusFilter::Delivery(DeliveryStatus::Held);
    let filter = MessageFilter {
        status: Some(held),
        ..MessageFilter::default()
    };
    assert!(messages(&world, &filter).is_empty());
}

fn requests<F: Fixture>(world: &World<F>, filter: RequestFilter) -> Vec<RequestView> {
    let store = world.store();
    let page = world.fixture.wait(store.requests(PROJECT, filter, PAGE));
    page.expect("the store is available").items
}

fn refused<F: Fixture>(world: &World<F>, reason: &str) -> Refused {
    Refused {
        project_id: PROJECT,
        direction: Direction::Inbound,
        source_id: Some(SOURCE),
        reason: reason.to_owned(),
        received_at: world.store().now(),
        envelope: Arc::new(Envelope::default()),
        response_status: 401,
    }
}

/// Filters of requests.
pub fn requests_are_filtered<F: Fixture>() {
    let mut world = World::<F>::new();
    let id = world.accepted(world.inbound("k", "{}"));
    world.advance(Millis::from_seconds(1));
    let repeat = world.repeated(world.inbound("k", "{}"));
    let checksum = repeat.key.as_ref().expect("the matched key").checksum;
    let store = world.store();
    let refusal = world
        .fixture
        .wait(store.refuse(refused(&world, "bad signature")));
    let refusal = refusal.expect("the store is available");
    world.accepted(world.inbound("other", "{}"));
    world.fixture.crash();
    let outcome = |outcome| RequestFilter {
        outcome: Some(outcome),
        ..RequestFilter::default()
    };
    let cases = [
        (RequestFilter::default(), 4),
        (outcome(RequestOutcome::Accepted), 2),
        (outcome(RequestOutcome::Duplicate), 1),
        (outcome(RequestOutcome::Conflict), 0),
        (
            RequestFilter {
                cause: Some(Cause::Unknown),
                ..RequestFilter::default()
            },
            1,
        ),
        (
            RequestFilter {
                cause: Some(Cause::Concurrent),
                ..RequestFilter::default()
            },
            0,
        ),
        (
            RequestFilter {
                message_id: Some(id),
                ..RequestFilter::default()
            },
            2,
        ),
        (
            RequestFilter {
                checksums: Some(vec![checksum]),
                ..RequestFilter::default()
            },
            2,
        ),
        (
            RequestFilter {
                source_id: Some(SOURCE),
                ..RequestFilter::default()
            },
            4,
        ),
    ];
    for (filter, expected) in cases {
        assert_eq!(
            requests(&world, filter.clone()).len(),
            expected,
            "{filter:?}"
        );
    }
    let rejected = requests(&world, outcome(RequestOutcome::Rejected));
    let [RequestView::Other { request, .. }] = &rejected[..] else {
        panic!("one was refused: {rejected:?}");
    };
    assert_eq!(request.id, refusal);
    assert_eq!(request.reason.as_deref(), Some("bad signature"));
}

/// Filters of attempts.
pub fn attempts_are_filtered<F: Fixture>() {
    let mut world = World::<F>::new();
    world.accepted(world.inbound("k", "{}").to(&[1, 2]));
    let leases = world.lease();
    let retry = Next::Retry {
        after: Millis::ZERO,
        counts: true,
    };
    world.finish(&leases[0], retry);
    world.finish(&leases[1], Next::Deliver);
    let retried = world.attempt(Next::Deliver);
    world.fixture.crash();
    let store = world.store();
    let cases = [
        (AttemptFilter::default(), 3),
        (
            AttemptFilter {
                trigger: Some(Trigger::Retry),
                ..AttemptFilter::default()
            },
            1,
        ),
        (
            AttemptFilter {
                outcome: Some(AttemptOutcome::Failed),
                ..AttemptFilter::default()
            },
            1,
        ),
        (
            AttemptFilter {
                outcome: Some(AttemptOutcome::Delivered),
                ..AttemptFilter::default()
            },
            2,
        ),
        (
            AttemptFilter {
                endpoint_id: retried.endpoint_id,
                ..AttemptFilter::default()
            },
            2,
        ),
    ];
    for (filter, expected) in cases {
        let page = world
            .fixture
            .wait(store.attempts(PROJECT, filter.clone(), PAGE));
        let items = page.expect("the store is available").items;
        assert_eq!(items.len(), expected, "{filter:?}");
        assert!(items.is_sorted_by(|newer, older| newer.id > older.id));
    }
}

/// No project sees another's things.
pub fn another_projects_things_are_not_found<F: Fixture>() {
    let world = World::<F>::new();
    let id = world.accepted(world.inbound("k", "{}"));
    let repeat = world.repeated(world.inbound("k", "{}"));
    let delivered = world.attempt(Next::Deliver);
    let store = world.store();
    let wait = &world.fixture;
    assert!(
        wait.wait(store.message(STRANGER, id))
            .expect("available")
            .is_none()
    );
    assert!(
        wait.wait(store.request(STRANGER, repeat.id))
            .expect("available")
            .is_none()
    );
    assert!(
        wait.wait(store.request_body(STRANGER, repeat.id))
            .expect("available")
            .is_none()
    );
    assert!(
        wait.wait(store.delivery(STRANGER, delivered.id))
            .expect("available")
            .is_none()
    );
    assert!(
        wait.wait(store.attempts_of(STRANGER, delivered.id))
            .expect("available")
            .is_empty()
    );
    let all = wait.wait(store.messages(STRANGER, MessageFilter::default(), PAGE));
    assert!(all.expect("available").items.is_empty());
    let all = wait.wait(store.requests(STRANGER, RequestFilter::default(), PAGE));
    assert!(all.expect("available").items.is_empty());
    let all = wait.wait(store.attempts(STRANGER, AttemptFilter::default(), PAGE));
    assert!(all.expect("available").items.is_empty());
    let found = wait
        .wait(store.delivery(PROJECT, delivered.id))
        .expect("available");
    assert_eq!(found, Some(delivered));
}

/// A flood of refused requests fills no disk.
pub fn refused_requests_are_kept_up_to_a_bound<F: Fixture>() {
    let world = World::<F>::new();
    let store = world.store();
    let id = world.accepted(world.inbound("k", "{}"));
    let each = REFUSED_KEPT_MAX / 8 + 2;
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                for n in 0..each {
                    let refusal = store.refuse(refused(&world, &n.to_string()));
                    world.fixture.wait(refusal).expect("the store is available");
                }
            });
        }
    });
    let rejected = Some(RequestOutcome::Rejected);
    let filter = RequestFilter {
        outcome: rejected,
        ..RequestFilter::default()
    };
    let mut kept = 0;
    let mut below = None;
    loop {
        let page = PageRequest {
            below,
            limit: 1_000,
        };
        let page = world
            .fixture
            .wait(store.requests(PROJECT, filter.clone(), page));
        let page = page.expect("the store is available");
        kept += page.items.len();
        match page.next {
            Some(next) => below = Some(next),
            None => break,
        }
    }
    assert_eq!(kept, REFUSED_KEPT_MAX);
    assert_eq!(world.message(id).message.id, id, "what was accepted stays");
}
