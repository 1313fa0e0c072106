//! The contract on the reference store, and the proof that the suite can fail.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use hooklatch_core::fingerprint::Fingerprint;
use hooklatch_core::time::Millis;
use hooklatch_store::Store;
use hooklatch_store::memory::{Fault, MemoryStore};
use hooklatch_store::suite::{self, Fixture, TestClock};

struct Memory {
    clock: Arc<TestClock>,
    store: Arc<MemoryStore>,
}

impl Memory {
    fn faulty(fault: Fault) -> Self {
        let clock = TestClock::new();
        let store = MemoryStore::with_fault(clock.clone(), fault);
        Self { clock, store }
    }
}

impl Fixture for Memory {
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

hooklatch_store::contract!(Memory);

/// A memory store with a planted fault.
macro_rules! faulty {
    ($name:ident, $fault:expr) => {
        struct $name(Memory);

        impl Fixture for $name {
            const LEASES_END_WITH_THE_PROCESS: bool = true;

            fn new() -> Self {
                Self(Memory::faulty($fault))
            }

            fn store(&self) -> Arc<dyn Store> {
                self.0.store()
            }

            fn advance(&self, span: Millis) {
                self.0.advance(span);
            }

            fn crash(&mut self) {
                self.0.crash();
            }
        }
    };
}

faulty!(LookThenWrite, Fault::LookThenWrite);
faulty!(LateAnswerRevives, Fault::LateAnswerRevives);
faulty!(LeaseWithoutToken, Fault::LeaseWithoutToken);

/// Fingerprints that pass numbers through 64-bit floats.
struct ThroughFloats(Memory);

impl Fixture for ThroughFloats {
    const LEASES_END_WITH_THE_PROCESS: bool = true;

    fn new() -> Self {
        Self(Memory::new())
    }

    fn store(&self) -> Arc<dyn Store> {
        self.0.store()
    }

    fn advance(&self, span: Millis) {
        self.0.advance(span);
    }

    fn crash(&mut self) {
        self.0.crash();
    }

    fn fingerprint(&self, payload: &str) -> Fingerprint {
        let floats: serde_json::Value =
            serde_json::from_str(payload).expect("the suite sends JSON");
        let floats = match floats.get("amount").and_then(serde_json::Value::as_f64) {
            Some(amount) => serde_json::json!({ "amount": amount }),
            None => floats,
        };
        self.0.fingerprint(&floats.to_string())
    }
}

fn fails(sentence: fn()) -> bool {
    catch_unwind(AssertUnwindSafe(sentence)).is_err()
}

#[test]
fn the_suite_catches_a_store_that_looks_then_writes() {
    assert!(fails(
        suite::admission::c3_of_many_at_once_exactly_one_is_accepted::<LookThenWrite>
    ));
}

#[test]
fn the_suite_catches_a_late_answer_that_revives() {
    use suite::leases::inv_4_a_late_answer_does_not_revive_a_finished_delivery as sentence;
    assert!(fails(sentence::<LateAnswerRevives>));
}

#[test]
fn the_suite_catches_a_lease_without_a_token() {
    use suite::leases::inv_5_an_overtaken_token_changes_nothing as sentence;
    assert!(fails(sentence::<LeaseWithoutToken>));
}

#[test]
fn the_suite_catches_fingerprints_through_floats() {
    use suite::admission::c5_neighbours_beyond_64_bit_floats_differ as sentence;
    assert!(fails(sentence::<ThroughFloats>));
}
