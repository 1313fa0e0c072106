//! Lanes that are limited: rates, circuits, long failure, and ways around.

use std::sync::Arc;

use hooklatch_core::delivery::control::{
    Breaker, LaneControl, LaneEvent, LaneHealth, LaneReport, PROBES_TO_CLOSE, Passage, Patience,
    Phase, Rate, Sample, WhileOpen,
};
use hooklatch_core::delivery::lifecycle::Next;
use hooklatch_core::delivery::{DeliveryStatus, Lane, Reason, Trigger};
use hooklatch_core::ids::AttemptId;
use hooklatch_core::time::{Millis, Timestamp};

use super::world::{PROJECT, connection, endpoint};
use super::{Fixture, World};
use crate::{FinishAttempt, Finished, LaneReporting, Lease, LeaseTerms, Leases, Reported, Terms};

/// Longer than anything that a test with real time behind it may dither.
const SPAN: Millis = Millis::from_seconds(600);

/// Terms on which the lane of endpoint 1 is limited, and no other.
struct Limited {
    control: LaneControl,
}

impl LeaseTerms for Limited {
    fn terms(&self, _: Lane) -> Terms {
        Terms {
            capacity: 1_000,
            live_max: usize::MAX,
            span: SPAN,
        }
    }

    fn control(&self, lane: Lane) -> Option<LaneControl> {
        (lane == first_lane()).then_some(self.control)
    }
}

fn first_lane() -> Lane {
    Lane::of_endpoint(endpoint(1))
}

fn lease<F: Fixture>(world: &World<F>, control: LaneControl) -> Leases {
    world.lease_with(1_000, Arc::new(Limited { control }))
}

fn at_rate(per_second: u32, burst: u32) -> LaneControl {
    LaneControl {
        rate: Some(Rate { per_second, burst }),
        ..LaneControl::default()
    }
}

const BREAKER: Breaker = Breaker {
    failure_percent: 50,
    minimum_attempts: 4,
    window: Millis::from_seconds(600),
    cooldown: Millis::from_seconds(300),
};

fn with_breaker(while_open: WhileOpen) -> LaneControl {
    LaneControl {
        breaker: Some(BREAKER),
        while_open,
        ..LaneControl::default()
    }
}

fn admit_many<F: Fixture>(world: &World<F>, count: usize, endpoints: &[i64]) {
    let calls = (0..count)
        .map(|n| world.inbound(&format!("k{n}"), "{}").to(endpoints))
        .collect();
    world.admit_all(calls);
}

fn reporting(sample: Sample, started_at: Timestamp) -> LaneReporting {
    LaneReporting {
        lane: first_lane(),
        project: PROJECT,
        subject: endpoint(1).to_string(),
        report: LaneReport {
            sample,
            started_at,
            breaker: Some(BREAKER),
            patience: Some(Patience {
                disable_after: Millis::from_seconds(7_200),
            }),
            resumed_at: None,
        },
    }
}

/// Ends an attempt and tells what it says of its lane.
fn tell<F: Fixture>(world: &World<F>, lease: &Lease, next: Next, sample: Sample) -> Reported {
    let attempt = lease.delivery.attempt_in_progress().expect("it was leased");
    let finish = FinishAttempt {
        delivery_id: lease.delivery.id,
        token: attempt.id,
        next,
        attempt: Some(attempt.clone()),
    };
    let reporting = reporting(sample, attempt.started_at);
    let store = world.store();
    let told = world
        .fixture
        .wait(store.finish_and_report(finish, reporting));
    told.expect("the store is available")
}

fn health<F: Fixture>(world: &World<F>) -> LaneHealth {
    let store = world.store();
    let health = store.health(vec![Lane::of_endpoint(endpoint(9)), first_lane()]);
    let health = world.fixture.wait(health).expect("the store is available");
    assert_eq!(health[0], LaneHealth::default(), "nothing is known of it");
    health[1]
}

fn phase<F: Fixture>(world: &World<F>, control: LaneControl) -> Phase {
    control.phase(&health(world), world.store().now())
}

fn again() -> Next {
    Next::Retry {
        after: Millis::ZERO,
        counts: true,
    }
}

/// A rate is one for all who lease, and what waits for it is as it was.
pub fn a_rate_holds_over_all_who_lease_and_a_wait_burns_no_attempt<F: Fixture>() {
    let world = World::<F>::new();
    admit_many(&world, 30, &[1]);
    // So slow that no time that a real store takes brings another.
    let control = at_rate(1, 5);
    let begun = world.store().now();
    let leased: Vec<Lease> = std::thread::scope(|scope| {
        let lease = || lease(&world, control).leased;
        let callers: Vec<_> = (0..4).map(|_| scope.spawn(lease)).collect();
        let ended = callers.into_iter().map(|caller| caller.join());
        ended
            .flat_map(|leased| leased.expect("nobody panics"))
            .collect()
    });
    let passed = world.store().now().since(begun).get() / 1_000;
    let most = 5 + usize::try_from(passed).expect("time goes on") + 1;
    assert!((5..=most).contains(&leased.len()), "{}", leased.len());
    world.advance(Millis::from_seconds(3));
    let more = lease(&world, control).leased;
    assert!(more.len() >= 3, "{}", more.len());
    let waited = more.iter().map(|lease| {
        let delivery = &lease.delivery;
        (delivery.attempts, delivery.budget.free_attempts)
    });
    assert!(waited.into_iter().all(|counted| counted == (1, 0)));
}

/// The wait is told, so that nobody looks in vain, and is no other lane's.
pub fn a_used_up_rate_says_how_long_it_waits_and_holds_no_other_lane_back<F: Fixture>() {
    let world = World::<F>::new();
    admit_many(&world, 10, &[1, 2]);
    let control = at_rate(1, 1);
    let first = lease(&world, control);
    let of_first = |leases: &Leases| {
        let lanes = leases.leased.iter().map(|lease| lease.delivery.lane());
        lanes.filter(|lane| *lane == first_lane()).count()
    };
    assert_eq!(of_first(&first), 1);
    assert_eq!(first.leased.len(), 11, "the other lane has all of its own");
    let wait = first.next_due_in.expect("more is due");
    assert!(
        Millis::ZERO < wait && wait <= Millis::from_seconds(1),
        "{wait:?}"
    );
    // Asked again and again within the wait, the lane gives nothing and says so each time.
    let again = lease(&world, control);
    if again.leased.is_empty() {
        let wait = again.next_due_in.expect("more is due");
        assert!(
            Millis::ZERO < wait && wait <= Millis::from_seconds(1),
            "{wait:?}"
        );
    }
    let late = world.inbound("late", "{}").to(&[2]);
    world.accepted(late);
    let others = lease(&world, control);
    assert!(
        others.leased.len() > of_first(&others),
        "what came to the other lane goes"
    );
    world.advance(Millis::from_seconds(2));
    assert_eq!(of_first(&lease(&world, control)), 1, "a burst of one");
}

/// Starting anew gives no new burst.
pub fn a_rate_survives_a_crash<F: Fixture>() {
    let mut world = World::<F>::new();
    admit_many(&world, 10, &[1]);
    let control = at_rate(1, 4);
    assert_eq!(lease(&world, control).leased.len(), 4);
    world.fixture.crash();
    let after = lease(&world, control).leased.len();
    assert!(after <= 2, "{after}: the bucket was full again");
}

/// A slow start.
pub fn a_resumed_lane_is_drained_at_a_rate_that_grows<F: Fixture>() {
    let world = World::<F>::new();
    admit_many(&world, 60, &[1]);
    let control = LaneControl {
        resumed_at: Some(world.store().now()),
        ..LaneControl::default()
    };
    let first = lease(&world, control).leased.len();
    assert!((1..20).contains(&first), "{first}");
    world.advance(Millis::from_seconds(31));
    let rest = lease(&world, control).leased.len();
    assert_eq!(first + rest, 60, "then nothing holds it");
}

/// A circuit, from closed to closed.
pub fn a_circuit_opens_over_failures_waits_is_probed_and_closes<F: Fixture>() {
    let world = World::<F>::new();
    admit_many(&world, 8, &[1]);
    let control = with_breaker(WhileOpen::Wait);
    let leased = lease(&world, control).leased;
    assert_eq!(leased.len(), 8);
    let mut opened = Vec::new();
    for lease in &leased {
        opened.extend(tell(&world, lease, again(), Sample::Failure).events);
    }
    assert!(
        matches!(
            opened[..],
            [LaneEvent::CircuitOpened {
                attempts: 4,
                failed: 4,
                ..
            }]
        ),
        "once: {opened:?}"
    );
    let open = lease(&world, control);
    assert!(open.leased.is_empty(), "it waits, and burns no attempt");
    assert!(open.next_due_in.expect("it is probed") > Millis::ZERO);
    assert!(matches!(phase(&world, control), Phase::Open { .. }));
    world.advance(BREAKER.cooldown);
    for probe in 1..=PROBES_TO_CLOSE {
        assert_eq!(phase(&world, control), Phase::HalfOpen);
        let probing = lease(&world, control).leased;
        assert_eq!(probing.len(), 1, "probe {probe} alone");
        assert!(lease(&world, control).leased.is_empty());
        let told = tell(&world, &probing[0], Next::Deliver, Sample::Success);
        let closes = probe == PROBES_TO_CLOSE;
        assert_eq!(told.events.contains(&LaneEvent::CircuitClosed), closes);
    }
    assert_eq!(phase(&world, control), Phase::Closed);
    assert!(
        !lease(&world, control).leased.is_empty(),
        "it goes on, slowly"
    );
    let store = world.store();
    let audit = world.fixture.wait(store.audit_log(PROJECT, 10));
    let audit = audit.expect("the store is available");
    let actions: Vec<_> = audit.iter().map(|entry| entry.action.as_str()).collect();
    assert_eq!(actions, ["circuit.closed", "circuit.opened"]);
    assert_eq!(audit[0].subject, endpoint(1).to_string());
}

/// A failover endpoint takes what an open circuit would hold.
pub fn an_open_circuit_with_another_way_lets_deliveries_go_around<F: Fixture>() {
    let world = World::<F>::new();
    admit_many(&world, 6, &[1]);
    let control = with_breaker(WhileOpen::Divert);
    for lease in lease(&world, control).leased {
        assert_eq!(lease.passage, Passage::Through);
        tell(&world, &lease, again(), Sample::Failure);
    }
    let around = lease(&world, control).leased;
    assert_eq!(around.len(), 6);
    assert!(around.iter().all(|lease| lease.passage == Passage::Around));
    for lease in &around {
        world.finish_with(lease, None, Next::FailOver(endpoint(2)));
    }
    let there = lease(&world, control).leased;
    assert_eq!(there.len(), 6);
    let goes_there = |lease: &Lease| lease.delivery.endpoint_id == Some(endpoint(2));
    assert!(there.iter().all(goes_there));
}

/// Long failure: a warning, then the end, each told once to people.
pub fn long_failure_is_told_once_and_survives_a_crash<F: Fixture>() {
    let mut world = World::<F>::new();
    world.accepted(world.inbound("k", "{}"));
    let fail = |world: &mut World<F>, pass: i64| {
        world.advance(Millis::from_seconds(pass));
        let leased = world.lease_one();
        let told = tell(world, &leased, again(), Sample::Failure);
        world.fixture.crash();
        told.events
    };
    assert_eq!(fail(&mut world, 0), []);
    let since = health(&world).failing_since.expect("it fails");
    let warned = fail(&mut world, 3_600);
    assert!(
        matches!(warned[..], [LaneEvent::FailingLong { .. }]),
        "{warned:?}"
    );
    assert_eq!(fail(&mut world, 10), []);
    let given_up = [LaneEvent::GivenUp { since }];
    assert_eq!(fail(&mut world, 3_600), given_up);
    assert_eq!(fail(&mut world, 10)[..1], given_up, "until it is done");
    let store = world.store();
    let audit = world.fixture.wait(store.audit_log(PROJECT, 10));
    let audit = audit.expect("the store is available");
    let told = |action: &str| audit.iter().filter(|it| it.action == action).count();
    assert_eq!(
        (told("endpoint.failing"), told("endpoint.disabled")),
        (1, 1)
    );
}

/// INV-5: only a result that counts says something.
pub fn an_overtaken_attempt_says_nothing_of_its_lane<F: Fixture>() {
    let world = World::<F>::new();
    world.accepted(world.inbound("k", "{}"));
    let mut frozen = world.lease_one();
    if let hooklatch_core::delivery::State::Delivering { lease } = &mut frozen.delivery.state {
        lease.attempt_id = AttemptId::from_number(lease.attempt_id.number() - 1);
    }
    let told = tell(&world, &frozen, again(), Sample::Failure);
    assert_eq!(told.finished, Finished::Fenced);
    assert_eq!(health(&world), LaneHealth::default());
}

/// A delivery that went over is the other endpoint's from then on.
pub fn what_fails_over_goes_to_the_other_endpoint_and_its_numbers_go_on<F: Fixture>() {
    let mut world = World::<F>::new();
    let id = world.accepted(world.inbound("k", "{}"));
    let over = world.attempt(Next::Fail(Reason::AttemptsExhausted).or_over_to(Some(endpoint(2))));
    assert_eq!(over.endpoint_id, Some(endpoint(2)));
    world.fixture.crash();
    let leased = world.lease_one();
    assert_eq!(leased.delivery.lane(), Lane::of_endpoint(endpoint(2)));
    assert_eq!(leased.delivery.trigger, Trigger::Failover);
    assert_eq!(
        (leased.delivery.attempts, leased.delivery.attempts_spent()),
        (2, 1)
    );
    world.finish(&leased, Next::Deliver);
    assert_eq!(world.statuses(id), [DeliveryStatus::Delivered]);
    let attempts = world.attempts(&leased.delivery);
    let went: Vec<_> = attempts.iter().map(|attempt| attempt.endpoint_id).collect();
    assert_eq!(went, [Some(endpoint(1)), Some(endpoint(2))]);
    assert_eq!(
        world.message(id).deliveries[0].endpoint_id,
        Some(endpoint(2))
    );
}

/// A paused connection stands in nobody's way.
pub fn what_waits_for_a_paused_connection_is_set_aside_and_comes_back<F: Fixture>() {
    let world = World::<F>::new();
    admit_many(&world, 3, &[1, 2]);
    let aside = Lane::of_connection(connection(1));
    let store = world.store();
    let shift = |from, to| {
        let shifted = world.fixture.wait(store.shift(connection(1), from, to));
        shifted.expect("the store is available");
    };
    shift(first_lane(), aside);
    let lanes = |leased: &[Lease]| {
        let mut lanes: Vec<_> = leased.iter().map(|lease| lease.delivery.lane()).collect();
        lanes.dedup();
        lanes
    };
    let leased = world.lease_with(1_000, Arc::new(NotAside));
    assert_eq!(lanes(&leased.leased), [Lane::of_endpoint(endpoint(2))]);
    // Whoever leases it when it may go on puts it back.
    let back = world.lease();
    assert_eq!((lanes(&back), back.len()), (vec![aside], 3));
    world.finish_with(&back[0], None, Next::Shift(first_lane()));
    let first = world.lease_one();
    assert_eq!(first.delivery.lane(), first_lane());
    assert_eq!(
        (first.delivery.attempts, first.delivery.trigger),
        (1, Trigger::First)
    );
    world.finish_with(&back[1], None, again());
    shift(aside, first_lane());
    assert_eq!(lanes(&world.lease()), [first_lane()]);
}

/// Terms on which nothing goes that was set aside.
struct NotAside;

impl LeaseTerms for NotAside {
    fn terms(&self, lane: Lane) -> Terms {
        Terms {
            capacity: if lane == Lane::of_connection(connection(1)) {
                0
            } else {
                1_000
            },
            live_max: usize::MAX,
            span: SPAN,
        }
    }
}

/// What is not limited is as fast as ever.
pub fn a_lane_without_limits_has_no_state<F: Fixture>() {
    let world = World::<F>::new();
    admit_many(&world, 20, &[1]);
    let long_ago = LaneControl {
        resumed_at: Some(Timestamp::from_millis(0)),
        ..LaneControl::default()
    };
    assert_eq!(lease(&world, long_ago).leased.len(), 20);
    assert_eq!(health(&world), LaneHealth::default());
}
