//! O4: at most one live lease per delivery, with a fencing token.

use std::collections::HashSet;

use hooklatch_core::delivery::attempt::AttemptOutcome;
use hooklatch_core::delivery::lifecycle::{Command, Next};
use hooklatch_core::delivery::{DeliveryStatus, Reason, Trigger};
use hooklatch_core::time::Millis;

use super::world::PROJECT;
use super::{Fixture, World};
use crate::Finished;

const SPAN: Millis = Millis::from_seconds(10);

/// O4 and INV-5.
pub fn o4_two_leases_never_live_at_once<F: Fixture>() {
    let world = World::<F>::new();
    world.accepted(world.inbound("k", "{}"));
    world.lease_one();
    assert!(world.lease().is_empty());
    world.advance(Millis::new(SPAN.get() - 1));
    assert!(world.lease().is_empty());
}

/// O4 and D3.
pub fn o4_a_lease_that_ran_out_is_recovered_and_its_attempt_recorded<F: Fixture>() {
    let world = World::<F>::new();
    world.accepted(world.inbound("k", "{}"));
    let lost = world.lease_one();
    assert!(!lost.lost_before);
    world.advance(SPAN);
    let recovered = world.lease_one();
    assert!(recovered.lost_before);
    assert_eq!(recovered.delivery.trigger, Trigger::Recovery);
    assert_eq!(recovered.delivery.attempts, 2);
    let attempts = world.attempts(&recovered.delivery);
    let outcomes: Vec<_> = attempts.iter().map(|attempt| attempt.outcome).collect();
    assert_eq!(
        outcomes,
        [AttemptOutcome::Uncertain, AttemptOutcome::InProgress]
    );
    assert_eq!(attempts[0].number, 1);
    assert_eq!(attempts[0].trigger, Trigger::First);
}

/// O4.
pub fn o4_a_late_result_is_recorded_and_never_applied<F: Fixture>() {
    let world = World::<F>::new();
    let id = world.accepted(world.inbound("k", "{}"));
    let frozen = world.lease_one();
    world.advance(SPAN);
    let next = world.lease_one();
    assert_eq!(world.finish(&frozen, Next::Deliver), Finished::Fenced);
    assert_eq!(world.statuses(id), [DeliveryStatus::Delivering]);
    let late = world.attempts(&next.delivery).remove(0);
    assert!(late.fenced);
    assert_eq!(
        late.outcome,
        AttemptOutcome::Delivered,
        "what it reported is recorded"
    );
    assert!(matches!(
        world.finish(&next, Next::Deliver),
        Finished::Applied(_)
    ));
}

/// O4.
pub fn o4_after_a_restart_every_lease_ends_and_is_recovered<F: Fixture>() {
    let mut world = World::<F>::new();
    world.accepted(world.inbound("k", "{}").to(&[1, 2]));
    let before = world.lease();
    assert_eq!(before.len(), 2);
    world.fixture.crash();
    if !F::LEASES_END_WITH_THE_PROCESS {
        assert!(world.lease().is_empty(), "another node may hold them");
        world.advance(SPAN);
    }
    let after = world.lease();
    assert_eq!(after.len(), 2, "no waiting for leases of a dead process");
    assert!(
        after
            .iter()
            .all(|lease| lease.delivery.trigger == Trigger::Recovery)
    );
    assert_eq!(world.finish(&before[0], Next::Deliver), Finished::Fenced);
}

/// O4.
pub fn o4_many_who_lease_at_once_share_the_work<F: Fixture>() {
    let world = World::<F>::new();
    let calls = (0..100)
        .map(|n| world.inbound(&format!("k{n}"), "{}"))
        .collect();
    world.admit_all(calls);
    let leased: Vec<_> = std::thread::scope(|scope| {
        let lease = || world.lease_under(20, 20).leased;
        let threads: Vec<_> = (0..8).map(|_| scope.spawn(lease)).collect();
        let ended = threads.into_iter().map(|thread| thread.join());
        ended
            .flat_map(|leased| leased.expect("nobody panics"))
            .collect()
    });
    let deliveries: HashSet<_> = leased.iter().map(|lease| lease.delivery.id).collect();
    assert_eq!(deliveries.len(), leased.len(), "none is leased twice");
    assert_eq!(deliveries.len(), 100);
}

/// INV-4.
pub fn inv_4_a_late_answer_does_not_revive_a_finished_delivery<F: Fixture>() {
    let world = World::<F>::new();
    let id = world.accepted(world.inbound("k", "{}"));
    let lease = world.lease_one();
    let store = world.store();
    let cancel = store.command(PROJECT, lease.delivery.id, Command::Cancel);
    world.fixture.wait(cancel).expect("the store is available");
    let retry = Next::Retry {
        after: Millis::ZERO,
        counts: true,
    };
    for late in [Next::Deliver, retry, Next::Hold(Reason::Uncertain)] {
        assert_eq!(world.finish(&lease, late), Finished::Fenced);
        assert_eq!(world.statuses(id), [DeliveryStatus::Cancelled]);
    }
    assert!(world.lease().is_empty());
}

/// INV-5.
pub fn inv_5_an_overtaken_token_changes_nothing<F: Fixture>() {
    let world = World::<F>::new();
    let id = world.accepted(world.inbound("k", "{}"));
    let first = world.lease_one();
    world.advance(SPAN);
    let second = world.lease_one();
    for next in [Next::Deliver, Next::Fail(Reason::AttemptsExhausted)] {
        assert_eq!(world.finish(&first, next), Finished::Fenced);
    }
    assert_eq!(
        world.finish_with(&first, None, Next::Deliver),
        Finished::Fenced
    );
    assert_eq!(world.statuses(id), [DeliveryStatus::Delivering]);
    assert!(matches!(
        world.finish(&second, Next::Deliver),
        Finished::Applied(_)
    ));
    assert_eq!(
        world.finish(&second, Next::Deliver),
        Finished::Fenced,
        "a token is spent once"
    );
}

/// INV-6.
pub fn inv_6_what_is_not_final_can_always_be_leased_again<F: Fixture>() {
    let mut world = World::<F>::new();
    world.accepted(world.inbound("k", "{}").to(&[1, 2, 3]));
    let leases = world.lease();
    let retry = Next::Retry {
        after: Millis::from_seconds(5),
        counts: true,
    };
    world.finish(&leases[0], retry);
    world.finish_with(&leases[1], None, retry);
    world.fixture.crash();
    world.advance(SPAN);
    assert_eq!(world.lease().len(), 3);
}

/// A lane's limits hold.
pub fn a_lane_gets_no_more_than_its_terms<F: Fixture>() {
    let world = World::<F>::new();
    let calls = (0..10)
        .map(|n| world.inbound(&format!("k{n}"), "{}").to(&[1, 2]))
        .collect();
    world.admit_all(calls);
    let leased = world.lease_under(100, 3).leased;
    assert_eq!(leased.len(), 6, "three in each of two lanes");
    assert_eq!(
        world.lease_under(5, 100).leased.len(),
        5,
        "and no more than the limit in all"
    );
    assert!(world.lease_under(100, 0).leased.is_empty());
    assert_eq!(world.lease().len(), 9);
}

/// The limit of a lane holds over all who lease.
pub fn a_lane_never_has_more_live_leases_than_its_limit<F: Fixture>() {
    let world = World::<F>::new();
    let calls = (0..20)
        .map(|n| world.inbound(&format!("k{n}"), "{}"))
        .collect();
    world.admit_all(calls);
    let lease = || world.lease_live_max(100, 3).leased;
    let leased: Vec<_> = std::thread::scope(|scope| {
        let callers = [scope.spawn(lease), scope.spawn(lease)];
        let ended = callers.into_iter().map(|caller| caller.join());
        ended
            .flat_map(|leased| leased.expect("nobody panics"))
            .collect()
    });
    assert_eq!(leased.len(), 3, "three for both together");
    assert!(lease().is_empty());
    world.finish(&leased[0], Next::Deliver);
    let retry = Next::Retry {
        after: Millis::from_seconds(60),
        counts: true,
    };
    world.finish(&leased[1], retry);
    assert_eq!(lease().len(), 2, "what has ended makes room");
    assert!(lease().is_empty());
    assert_eq!(world.lease_live_max(2, 10).leased.len(), 2);
    assert_eq!(world.lease_live_max(100, 10).leased.len(), 5);
    world.advance(SPAN);
    assert_eq!(lease().len(), 3, "what ran out counts no more");
}

/// A lease that is lost takes no room for ever, and is not waited for longer than it lasts.
pub fn a_lane_at_its_limit_goes_on_when_a_lease_runs_out<F: Fixture>() {
    let world = World::<F>::new();
    world.accepted(world.inbound("lost", "{}"));
    world.accepted(world.inbound("next", "{}"));
    assert_eq!(world.lease_live_max(100, 1).leased.len(), 1);
    let full = world.lease_live_max(100, 1);
    assert!(full.leased.is_empty());
    let wait = full.next_due_in.expect("there is something to wait for");
    assert!(Millis::ZERO < wait && wait <= SPAN, "{wait:?}");
    world.advance(SPAN);
    assert_eq!(world.lease_live_max(100, 1).leased.len(), 1);
}

/// A crowded lane leaves room for the others.
pub fn no_lane_waits_for_another<F: Fixture>() {
    let world = World::<F>::new();
    let crowd = (0..50)
        .map(|n| world.inbound(&format!("k{n}"), "{}").to(&[1]))
        .collect();
    world.admit_all(crowd);
    let late = world.accepted(world.inbound("late", "{}").to(&[2]));
    let mut turns = 0;
    while world.statuses(late) == [DeliveryStatus::Pending] {
        turns += 1;
        assert!(turns <= 3, "the second lane is starved");
        world.lease_under(2, 100);
    }
}

/// The engine sleeps exactly as long as it may.
pub fn the_store_says_how_long_until_something_is_due<F: Fixture>() {
    let world = World::<F>::new();
    assert_eq!(world.lease_under(10, 10).next_due_in, None);
    world.accepted(world.inbound("k", "{}"));
    world.attempt(Next::Retry {
        after: Millis::from_seconds(30),
        counts: true,
    });
    world.advance(Millis::from_seconds(10));
    let wait = world
        .lease_under(10, 10)
        .next_due_in
        .expect("something waits");
    assert!(wait <= Millis::from_seconds(20), "{wait:?}");
    assert!(wait > Millis::ZERO);
    world.advance(Millis::from_seconds(20));
    assert_eq!(world.lease().len(), 1);
}
