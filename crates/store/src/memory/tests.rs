//! What the contract does not say: that what has ended takes no room.

#![expect(clippy::unwrap_used, reason = "the helpers of tests fail as tests do")]

use std::sync::Arc;

use hooklatch_core::delivery::lifecycle::Next;
use hooklatch_core::ids::ProjectId;
use hooklatch_core::retention::{Cut, PruneStep, What};
use hooklatch_core::time::Millis;

use super::{MemoryStore, State};
use crate::suite::{Fixture, TestClock, World};
use crate::{Retention, Store};

struct Kept {
    clock: Arc<TestClock>,
    store: Arc<MemoryStore>,
}

impl Fixture for Kept {
    const LEASES_END_WITH_THE_PROCESS: bool = true;

    fn new() -> Self {
        let clock = TestClock::new();
        let store = MemoryStore::with_clock(clock.clone());
        Self { clock, store }
    }

    fn store(&self) -> Arc<dyn Store> {
        self.store.clone()
    }

    fn advance(&self, span: Millis) {
        self.clock.advance(span);
    }

    fn crash(&mut self) {
        self.store = self.store.after_a_crash();
    }
}

impl World<Kept> {
    fn prune(&self) {
        let store = &self.fixture.store;
        let everything = PruneStep {
            what: What::History,
            from: 0,
            below: i64::MAX,
            cuts: [Cut {
                project: ProjectId::from_number(1),
                before: i64::MAX,
            }]
            .into(),
            rows_max: 100,
        };
        self.fixture.wait(store.prune(everything)).unwrap();
        self.fixture.wait(store.prune_ended(100)).unwrap();
    }

    /// How much there is of history, in the index, and of what remembers it.
    fn rows(&self) -> [usize; 3] {
        let state = self.fixture.store.lock().unwrap();
        let State {
            messages,
            requests,
            deliveries,
            attempts,
            claims,
            forgotten,
            index,
            ..
        } = &*state;
        [
            messages.len() + requests.len() + deliveries.len() + attempts.len(),
            index.rows(),
            claims.len() + forgotten.len(),
        ]
    }
}

#[test]
fn pruned_history_takes_no_room_and_its_claims_none_after_their_windows() {
    let world = World::<Kept>::new();
    for key in ["a", "b"] {
        world.accepted(world.inbound(key, "{}"));
        world.attempt(Next::Deliver);
        world.repeated(world.inbound(key, "{}"));
    }
    world.accepted(world.inbound("unfinished", "{}"));
    assert_eq!(world.rows(), [10, 8, 3]);
    world.prune();
    assert_eq!(world.rows(), [2, 2, 5], "two claims remember what is gone");
    world.advance(Millis::from_seconds(3_601));
    world.prune();
    assert_eq!(world.rows(), [2, 2, 0]);
}
