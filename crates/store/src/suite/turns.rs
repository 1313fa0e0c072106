//! INV-10 under everything at once: many callers and workers, and any order of events.

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use hooklatch_core::delivery::lifecycle::{Command, Next};
use hooklatch_core::delivery::{Delivery, Reason, State};
use hooklatch_core::ids::{DeliveryId, MessageId};
use hooklatch_core::invariants;
use hooklatch_core::time::{Millis, Timestamp};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use super::order::{FAIL, RETRY};
use super::world::{PROJECT, destination};
use super::{Fixture, World};
use crate::Lease;

/// What many callers and many workers may do at once, per key: how many run, and what was done.
struct Watched {
    running: [AtomicUsize; KEYS],
    delivered: Mutex<Vec<MessageId>>,
    deadline: Instant,
}

const KEYS: usize = 3;
const CALLERS: usize = 4;
const CALLS: usize = 24;

/// Arrivals and ends at the same moment: no turn is lost, none is given twice.
pub fn of_many_who_come_and_go_at_once_none_is_left_behind<F: Fixture>() {
    let world = World::<F>::new();
    let watched = Watched {
        running: Default::default(),
        delivered: Mutex::default(),
        deadline: Instant::now() + Duration::from_secs(60),
    };
    let accepted: Vec<Vec<MessageId>> = std::thread::scope(|scope| {
        let (world, watched) = (&world, &watched);
        let calls = move |caller: usize| {
            let one = |n: usize| {
                let key = i64::try_from(n % KEYS).expect("few keys");
                world.accepted(world.ordered(&format!("{caller}-{n}"), key))
            };
            (0..CALLS).map(one).collect()
        };
        let callers: Vec<_> = (0..CALLERS)
            .map(|caller| scope.spawn(move || calls(caller)))
            .collect();
        for _ in 0..3 {
            scope.spawn(|| work(world, watched));
        }
        let callers = callers.into_iter();
        callers
            .map(|caller| caller.join().expect("nobody panics"))
            .collect()
    });
    let delivered = watched.delivered.into_inner().expect("nobody panics");
    assert_eq!(delivered.len(), CALLERS * CALLS);
    let place = |id: &MessageId| delivered.iter().position(|it| it == id).expect("delivered");
    for of_caller in accepted {
        for key in 0..KEYS {
            let places: Vec<_> = of_caller
                .iter()
                .skip(key)
                .step_by(KEYS)
                .map(place)
                .collect();
            assert!(places.is_sorted(), "{places:?}");
        }
    }
}

fn work<F: Fixture>(world: &World<F>, watched: &Watched) {
    loop {
        for lease in world.lease() {
            let key = lease.delivery.order_key.expect("all are ordered").number();
            let running = &watched.running[usize::try_from(key).expect("few keys")];
            assert_eq!(running.fetch_add(1, Ordering::SeqCst), 0, "two at once");
            let message = lease.delivery.message_id;
            watched
                .delivered
                .lock()
                .expect("nobody panics")
                .push(message);
            running.fetch_sub(1, Ordering::SeqCst);
            world.finish(&lease, Next::Deliver);
        }
        if watched.delivered.lock().expect("nobody panics").len() == CALLERS * CALLS {
            return;
        }
        assert!(Instant::now() < watched.deadline, "a turn was lost");
        std::thread::yield_now();
    }
}

/// What may happen, in any order. Numbers are taken modulo how many there are.
#[derive(Debug, Clone)]
enum Event {
    Arrive(i64),
    Again(usize),
    Lease,
    Finish(usize, Next),
    Ask(usize, Command),
    Pass(i64),
    Hasten,
}

fn event() -> impl Strategy<Value = Event> {
    let next = prop_oneof![
        3 => Just(Next::Deliver),
        2 => Just(FAIL),
        2 => Just(RETRY),
        1 => Just(Next::Hold(Reason::Uncertain)),
        1 => Just(Next::Cancel(Reason::EndpointDeleted)),
    ];
    let wish = prop_oneof![
        Just(Command::Retry),
        Just(Command::RetryUndelivered),
        Just(Command::Cancel)
    ];
    prop_oneof![
        4 => (0_i64..2).prop_map(Event::Arrive),
        1 => any::<usize>().prop_map(Event::Again),
        4 => Just(Event::Lease),
        4 => (any::<usize>(), next).prop_map(|(at, next)| Event::Finish(at, next)),
        2 => (any::<usize>(), wish).prop_map(|(at, wish)| Event::Ask(at, wish)),
        2 => (0_i64..12).prop_map(Event::Pass),
        1 => Just(Event::Hasten),
    ]
}

/// A world, and what a test knows of it.
struct History<'w, F> {
    world: &'w World<F>,
    case: i64,
    names: Vec<(String, i64)>,
    ids: Vec<DeliveryId>,
    leases: Vec<Lease>,
}

/// Who has the turn of a key, and who waits for it.
type Queue = (Option<DeliveryId>, BTreeSet<DeliveryId>);

/// INV-10.
pub fn inv_10_whatever_happens_one_has_the_turn<F: Fixture>() {
    let config = Config {
        cases: 16,
        failure_persistence: None,
        ..Config::default()
    };
    let mut runner = TestRunner::new(config);
    let events = vec(event(), 1..40);
    // One world for all cases: each has keys of its own in it.
    let world = World::<F>::new();
    let cases = Cell::new(0);
    let whatever = runner.run(&events, |events| {
        cases.set(cases.get() + 1);
        let mut history = History {
            world: &world,
            case: cases.get(),
            names: Vec::new(),
            ids: Vec::new(),
            leases: Vec::new(),
        };
        for event in &events {
            let before = history.queues();
            history.happen(event);
            history.check(&before, event);
        }
        Ok(())
    });
    whatever.expect("INV-10 holds");
}

impl<F: Fixture> History<'_, F> {
    fn deliveries(&self) -> Vec<Delivery> {
        let store = self.world.store();
        let ids = self.ids.iter();
        ids.map(|id| {
            let found = self.world.fixture.wait(store.delivery(PROJECT, *id));
            found.expect("the store is available").expect("it exists")
        })
        .collect()
    }

    fn happen(&mut self, event: &Event) {
        let world = self.world;
        match event {
            Event::Arrive(key) => {
                let name = format!("{}-{}", self.case, self.names.len());
                let key = self.case * 10 + key;
                let message = world.accepted(world.ordered(&name, key));
                self.ids.push(world.first_delivery(message).id);
                self.names.push((name, key));
            }
            Event::Again(at) => {
                if let Some((name, key)) = pick(&self.names, *at) {
                    world.repeated(world.ordered(name, *key));
                }
            }
            Event::Lease => {
                let leased = world.lease();
                assert!(leased.iter().all(|lease| lease.delivery.has_turn()));
                self.leases.extend(leased);
            }
            Event::Finish(at, next) => {
                if let Some(lease) = pick(&self.leases, *at) {
                    world.finish(lease, *next);
                }
            }
            Event::Ask(at, wish) => {
                if let Some(id) = pick(&self.ids, *at) {
                    world.ask(*id, *wish);
                }
            }
            Event::Pass(seconds) => world.advance(Millis::from_seconds(*seconds)),
            Event::Hasten => {
                let store = world.store();
                let hastened = world.fixture.wait(store.hasten(destination(1).lane));
                hastened.expect("the store is available");
            }
        }
    }

    fn queues(&self) -> BTreeMap<i64, Queue> {
        let mut queues: BTreeMap<i64, Queue> = BTreeMap::new();
        for delivery in self.deliveries() {
            let key = delivery.order_key.expect("all are ordered").number();
            let (turn, waiting) = queues.entry(key).or_default();
            if delivery.has_turn() {
                *turn = Some(delivery.id);
            } else if delivery.waits_for_turn() {
                waiting.insert(delivery.id);
            }
        }
        queues
    }

    /// One has the turn; and where it is another than before, it is the oldest of those that
    /// waited, if any did.
    fn check(&self, before: &BTreeMap<i64, Queue>, event: &Event) {
        let deliveries = self.deliveries();
        for (key, (turn, waiting)) in self.queues() {
            let of_key = deliveries
                .iter()
                .filter(|it| it.order_key.is_some_and(|known| known.number() == key));
            let of_key: Vec<Delivery> = of_key.cloned().collect();
            assert!(
                invariants::one_turn(&of_key),
                "INV-10: {of_key:?} after {event:?}"
            );
            let live = of_key
                .iter()
                .filter(|it| matches!(it.state, State::Delivering { .. }));
            assert!(live.count() <= 1, "two at once after {event:?}");
            let Some((turn_before, waiting_before)) = before.get(&key) else {
                continue;
            };
            if turn == *turn_before {
                continue;
            }
            let oldest = waiting_before.first().copied();
            if oldest.is_some() {
                assert_eq!(turn, oldest, "{waiting:?} after {event:?}");
            }
            let ended = of_key.iter().find(|it| Some(it.id) == *turn_before);
            let ended = ended.is_none_or(|it| it.state.status().is_final());
            assert!(ended, "the turn was taken away by {event:?}");
        }
        let never = |it: &Delivery| it.next_attempt_at() == Some(Timestamp::NEVER);
        assert!(!deliveries.iter().any(never), "what waits shows no time");
    }
}

fn pick<T>(among: &[T], at: usize) -> Option<&T> {
    among.get(at.checked_rem(among.len())?)
}
