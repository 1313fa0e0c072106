//! Figures, and what is new.

use std::collections::BTreeSet;
use std::sync::Arc;

use hooklatch_core::cause::Cause;
use hooklatch_core::delivery::Trigger;
use hooklatch_core::delivery::attempt::AttemptOutcome;
use hooklatch_core::delivery::lifecycle::Next;
use hooklatch_core::ids::{AttemptId, MessageId, RequestId, SourceId};
use hooklatch_core::message::{Direction, Envelope, RequestOutcome};
use hooklatch_core::time::{Millis, Timestamp};

use super::world::{HOUR, PROJECT, SOURCE, STRANGER, endpoint};
use super::{Fixture, World};
use crate::{Arrived, Counts, CountsQuery, News, Refused, RolledUp, Seen};

const MINUTE: Millis = Millis::from_seconds(60);

/// Everything within a day around the present, by this step.
fn around<F: Fixture>(world: &World<F>, step: Millis) -> CountsQuery {
    let now = world.store().now().as_millis();
    let day = 24 * HOUR.get();
    let midnight = now - now.rem_euclid(day);
    CountsQuery {
        from: Timestamp::from_millis(midnight - day),
        to: Timestamp::from_millis(midnight + 2 * day),
        step,
    }
}

fn counts<F: Fixture>(world: &World<F>, step: Millis) -> Counts {
    let store = world.store();
    let counted = store.counts(PROJECT, around(world, step));
    world.fixture.wait(counted).expect("the store is available")
}

fn roll_up<F: Fixture>(world: &World<F>) {
    let store = world.store();
    loop {
        let rolled = world.fixture.wait(store.roll_up());
        match rolled.expect("the store is available") {
            RolledUp::Done => return,
            RolledUp::More => {}
            RolledUp::Elsewhere => std::thread::yield_now(),
        }
    }
}

fn refuse<F: Fixture>(world: &World<F>) {
    let store = world.store();
    let refused = Refused {
        project_id: PROJECT,
        direction: Direction::Inbound,
        source_id: Some(SOURCE),
        reason: "bad signature".to_owned(),
        received_at: store.now(),
        envelope: Arc::new(Envelope::default()),
        response_status: 401,
    };
    let refused = world.fixture.wait(store.refuse(refused));
    refused.expect("the store is available");
}

/// Arrivals by outcome and cause, over all steps.
fn arrivals(counts: &Counts) -> Vec<(RequestOutcome, Option<Cause>, u64)> {
    let mut found: Vec<(RequestOutcome, Option<Cause>, u64)> = Vec::new();
    for one in &counts.arrivals {
        assert_eq!(one.source_id, Some(SOURCE));
        let known = found
            .iter_mut()
            .find(|known| (known.0, known.1) == (one.outcome, one.cause));
        match known {
            Some(known) => known.2 += one.count,
            None => found.push((one.outcome, one.cause, one.count)),
        }
    }
    found.sort_by_key(|(_, _, count)| std::cmp::Reverse(*count));
    found
}

/// Counts before, between and after the adding up agree.
pub fn arrivals_are_counted_by_outcome_and_cause<F: Fixture>() {
    let mut world = World::<F>::new();
    for n in 0..5 {
        world.accepted(world.inbound(&format!("k{n}"), "{}"));
    }
    world.advance(Millis::from_seconds(5));
    for _ in 0..3 {
        world.repeated(world.inbound("k0", "{}"));
    }
    refuse(&world);
    let expected = [
        (RequestOutcome::Accepted, None, 5),
        (RequestOutcome::Duplicate, Some(Cause::Unknown), 3),
        (RequestOutcome::Rejected, None, 1),
    ];
    assert_eq!(arrivals(&counts(&world, MINUTE)), expected);
    roll_up(&world);
    assert_eq!(arrivals(&counts(&world, MINUTE)), expected);
    world.advance(Millis::from_seconds(600));
    roll_up(&world);
    world.fixture.crash();
    roll_up(&world);
    assert_eq!(arrivals(&counts(&world, MINUTE)), expected);
    assert_eq!(arrivals(&counts(&world, HOUR)), expected);
    world.accepted(world.inbound("later", "{}"));
    let [accepted, ..] = arrivals(&counts(&world, HOUR))[..] else {
        panic!("nothing was counted");
    };
    assert_eq!(accepted, (RequestOutcome::Accepted, None, 6));
}

/// K5: how many had no key is a figure of its own, before and after the adding up.
pub fn k5_requests_without_a_key_are_counted<F: Fixture>() {
    let world = World::<F>::new();
    world.accepted(world.inbound("k0", "{}"));
    world.repeated(world.inbound("k0", "{}"));
    for n in 0..3 {
        let mut call = world.inbound("", &format!("{n}"));
        call.arrival.keys.clear();
        world.accepted(call);
    }
    let unkeyed = || {
        let counts = counts(&world, MINUTE);
        let figures = counts.arrivals.iter().map(|it| (it.count, it.unkeyed));
        figures.fold((0, 0), |sum, one| (sum.0 + one.0, sum.1 + one.1))
    };
    assert_eq!(unkeyed(), (5, 3));
    world.advance(Millis::from_seconds(600));
    roll_up(&world);
    assert_eq!(unkeyed(), (5, 3));
}

/// Each step has what happened in it, and nothing outside the question is counted.
pub fn counts_lie_in_their_steps<F: Fixture>() {
    let world = World::<F>::new();
    // The beginning of an hour, so that the steps below lie in one.
    let begin = world.store().now().as_millis();
    world.advance(Millis::new(HOUR.get() - begin.rem_euclid(HOUR.get())));
    let begin = world.store().now();
    for minute in 0..6 {
        for n in 0..=minute {
            world.accepted(world.inbound(&format!("{minute}/{n}"), "{}"));
        }
        world.advance(MINUTE);
        if minute == 3 {
            roll_up(&world);
        }
    }
    let found = |step: Millis, from: Timestamp, to: Timestamp| {
        let store = world.store();
        let query = CountsQuery { from, to, step };
        let counted = world.fixture.wait(store.counts(PROJECT, query));
        let counted = counted.expect("the store is available").arrivals;
        let of_one = |it: &crate::ArrivalCount| (it.at.since(begin).get() / 60_000, it.count);
        counted.iter().map(of_one).collect::<Vec<_>>()
    };
    let end = begin + HOUR;
    let by_minute = [(0, 1), (1, 2), (2, 3), (3, 4), (4, 5), (5, 6)];
    assert_eq!(found(MINUTE, begin, end), by_minute);
    let two = Millis::from_seconds(120);
    assert_eq!(found(two, begin, end), [(0, 3), (2, 7), (4, 11)]);
    assert_eq!(found(HOUR, begin, end), [(0, 21)]);
    assert_eq!(found(MINUTE, begin + MINUTE, begin + two), [(1, 2)]);
    assert_eq!(found(HOUR, end, end + HOUR), []);
}

/// Attempts.
pub fn attempts_are_counted_by_trigger_and_outcome<F: Fixture>() {
    let mut world = World::<F>::new();
    world.accepted(world.inbound("k", "{}"));
    world.attempt(Next::Retry {
        after: Millis::ZERO,
        counts: true,
    });
    world.attempt(Next::Deliver);
    let expected = [
        (Trigger::First, AttemptOutcome::Failed, 1),
        (Trigger::Retry, AttemptOutcome::Delivered, 1),
    ];
    let found = |world: &World<F>| {
        let mut found: Vec<_> = counts(world, MINUTE)
            .attempts
            .iter()
            .map(|it| {
                assert_eq!(it.endpoint_id, Some(endpoint(1)));
                (it.trigger, it.outcome, it.count)
            })
            .collect();
        found.sort_by_key(|(trigger, _, _)| trigger.as_str());
        found
    };
    assert_eq!(found(&world), expected);
    roll_up(&world);
    assert_eq!(found(&world), expected);
    world.advance(Millis::from_seconds(600));
    roll_up(&world);
    world.fixture.crash();
    assert_eq!(found(&world), expected);
}

/// An attempt is recorded when it ends, which may be after its minute was added up.
pub fn an_attempt_that_ends_late_is_counted_once<F: Fixture>() {
    let world = World::<F>::new();
    world.accepted(world.inbound("slow", "{}"));
    let slow = world.lease_one();
    world.advance(Millis::from_seconds(600));
    roll_up(&world);
    assert_eq!(counts(&world, HOUR).attempts, []);
    world.finish(&slow, Next::Deliver);
    let total = |world: &World<F>| {
        let attempts = counts(world, HOUR).attempts;
        attempts.iter().map(|it| it.count).sum::<u64>()
    };
    roll_up(&world);
    assert_eq!(total(&world), 1);
    roll_up(&world);
    world.advance(Millis::from_seconds(600));
    roll_up(&world);
    assert_eq!(total(&world), 1);
}

/// An attempt that was lost is recorded when the next one begins; a late answer to it changes the
/// record, and is not counted beside it.
pub fn a_lost_attempt_is_counted_once_and_as_what_it_came_to<F: Fixture>() {
    let world = World::<F>::new();
    world.accepted(world.inbound("lost", "{}"));
    let lost = world.lease_one();
    world.advance(Millis::from_seconds(600));
    roll_up(&world);
    let again = world.lease_one();
    let outcomes = |world: &World<F>| {
        let mut found: Vec<_> = counts(world, HOUR)
            .attempts
            .iter()
            .map(|it| (it.trigger.as_str(), it.outcome.as_str(), it.count))
            .collect();
        found.sort_unstable();
        found
    };
    roll_up(&world);
    assert_eq!(outcomes(&world), [("first", "uncertain", 1)]);
    world.finish(&lost, Next::Deliver);
    roll_up(&world);
    assert_eq!(outcomes(&world), [("first", "delivered", 1)]);
    world.finish(&again, Next::Deliver);
    world.advance(Millis::from_seconds(600));
    roll_up(&world);
    let both = [("first", "delivered", 1), ("recovery", "delivered", 1)];
    assert_eq!(outcomes(&world), both);
}

/// No project counts another's.
pub fn a_project_counts_its_own<F: Fixture>() {
    let world = World::<F>::new();
    world.accepted(world.inbound("k", "{}"));
    world.attempt(Next::Deliver);
    let mut other = world.inbound("k2", "{}");
    other.arrival.project_id = STRANGER;
    world.accepted(other);
    let store = world.store();
    let own = |project| {
        let counted = store.counts(project, around(&world, HOUR));
        let counted = world.fixture.wait(counted).expect("available");
        (counted.arrivals.len(), counted.attempts.len())
    };
    assert_eq!((own(PROJECT), own(STRANGER)), ((1, 1), (1, 0)));
    world.advance(Millis::from_seconds(600));
    roll_up(&world);
    assert_eq!((own(PROJECT), own(STRANGER)), ((1, 1), (1, 0)));
    let waiting = world
        .fixture
        .wait(store.waiting(STRANGER, vec![endpoint(2)]));
    assert_eq!(waiting.expect("available")[0].count, 0);
}

/// What waits, and since when.
pub fn what_waits_is_counted_with_the_oldest<F: Fixture>() {
    let world = World::<F>::new();
    let first = world.accepted(world.inbound("a", "{}").to(&[1, 2]));
    world.advance(Millis::from_seconds(5));
    world.accepted(world.inbound("b", "{}").to(&[1]));
    let store = world.store();
    let asked = vec![endpoint(1), endpoint(2), endpoint(3)];
    let waiting = || {
        let found = world.fixture.wait(store.waiting(PROJECT, asked.clone()));
        let found = found.expect("the store is available");
        let named: Vec<_> = found.iter().map(|one| one.endpoint_id).collect();
        assert_eq!(named, asked);
        found
    };
    let found = waiting();
    let many: Vec<u64> = found.iter().map(|one| one.count).collect();
    assert_eq!(many, [2, 1, 0]);
    let made = first.minted_at();
    assert_eq!(found[0].oldest.map(|at| at.since(made)), Some(Millis::ZERO));
    assert_eq!(found[2].oldest, None);
    let leases = world.lease();
    let many: Vec<u64> = waiting().iter().map(|one| one.count).collect();
    assert_eq!(many, [2, 1, 0], "what is being delivered waits as well");
    for lease in &leases {
        world.finish(lease, Next::Deliver);
    }
    assert!(waiting().iter().all(|one| one.count == 0));
}

/// When a source was last heard of.
pub fn the_last_arrival_of_a_source_is_known<F: Fixture>() {
    let world = World::<F>::new();
    let silent = SourceId::from_number(12);
    let last = || {
        let store = world.store();
        let found = world
            .fixture
            .wait(store.last_arrivals(PROJECT, vec![SOURCE, silent]));
        found.expect("the store is available")
    };
    assert_eq!(last(), [None, None]);
    world.accepted(world.inbound("a", "{}"));
    world.advance(Millis::from_seconds(100));
    let repeat = world.repeated(world.inbound("a", "{}"));
    assert_eq!(last(), [Some(repeat.id.minted_at()), None]);
    world.advance(Millis::from_seconds(100));
    refuse(&world);
    roll_up(&world);
    world.advance(Millis::from_seconds(100));
    roll_up(&world);
    assert_eq!(last(), [Some(repeat.id.minted_at()), None]);
    let store = world.store();
    let strangers = store.last_arrivals(STRANGER, vec![SOURCE]);
    assert_eq!(world.fixture.wait(strangers).expect("available"), [None]);
}

fn news<F: Fixture>(world: &World<F>, seen: Seen, limit: usize) -> News {
    let store = world.store();
    let asked = store.news(Some(PROJECT), seen, limit);
    world.fixture.wait(asked).expect("the store is available")
}

fn present<F: Fixture>(world: &World<F>) -> Seen {
    let store = world.store();
    world
        .fixture
        .wait(store.present())
        .expect("the store is available")
}

fn numbers(news: &News) -> Vec<i64> {
    let number = |arrived: &Arrived| match arrived {
        Arrived::Accepted(message) => message.id.number(),
        Arrived::Other(request) => request.id.number(),
    };
    news.requests.iter().map(number).collect()
}

/// A follower.
pub fn a_follower_sees_everything_once<F: Fixture>() {
    let world = World::<F>::new();
    world.accepted(world.inbound("before", "{}").to(&[]));
    let seen = present(&world);
    let a = world.accepted(world.inbound("a", "{}").to(&[1]));
    let b = world.accepted(world.inbound("b", "{}").to(&[2]));
    let leases = world.lease();
    world.advance(Millis::from_seconds(1));
    let repeat: RequestId = world.repeated(world.inbound("a", "{}")).id;
    let first = news(&world, seen, 100);
    let expected: [MessageId; 2] = [a, b];
    let mut expected: Vec<i64> = expected.iter().map(|id| id.number()).collect();
    expected.push(repeat.number());
    assert_eq!(numbers(&first), expected);
    assert!(first.attempts.is_empty() && !first.left_out);
    // The one that began later ends first.
    let token = |n: usize| -> AttemptId {
        let under_way = leases[n].delivery.attempt_in_progress();
        under_way.expect("it was leased").id
    };
    let (early, late) = if token(0) < token(1) { (0, 1) } else { (1, 0) };
    world.finish(&leases[late], Next::Deliver);
    let second = news(&world, first.seen, 100);
    let ended = |news: &News| news.attempts.iter().map(|it| it.id).collect::<Vec<_>>();
    assert_eq!(ended(&second), [token(late)]);
    assert_eq!(second.deliveries.len(), 1);
    assert!(numbers(&second).is_empty());
    world.advance(Millis::from_seconds(5));
    world.finish(&leases[early], Next::Deliver);
    let third = news(&world, second.seen, 100);
    assert_eq!(ended(&third), [token(early)]);
    let fourth = news(&world, third.seen, 100);
    assert!(fourth.attempts.is_empty() && fourth.requests.is_empty());
}

/// Bounds.
pub fn a_follower_is_told_what_it_missed<F: Fixture>() {
    let world = World::<F>::new();
    let seen = present(&world);
    let mut made: Vec<i64> = Vec::new();
    for n in 0..10 {
        made.push(world.accepted(world.inbound(&n.to_string(), "{}")).number());
    }
    let found = news(&world, seen.clone(), 4);
    assert!(found.left_out);
    assert_eq!(numbers(&found), made[6..], "the newest count");
    let next = news(&world, found.seen, 4);
    assert!(numbers(&next).is_empty() && !next.left_out);
    let store = world.store();
    let strangers = store.news(Some(STRANGER), seen, 100);
    let strangers = world.fixture.wait(strangers).expect("available");
    assert!(strangers.requests.is_empty());
    assert_eq!(strangers.seen.under_way, BTreeSet::new());
}
