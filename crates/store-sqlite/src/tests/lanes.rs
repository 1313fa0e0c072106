//! What is known of lanes never hides what is due in them.

use std::thread;

use hooklatch_core::delivery::lifecycle::Next;
use hooklatch_store::Admissions;
use hooklatch_store::suite::block_on;

use super::Small;
use super::rollback::{hold, until};
use crate::Options;

/// Found by GitHub's examples: the last deliveries of a burst were never attempted.
#[test]
fn inv_6_what_is_admitted_in_the_batch_of_a_lease_is_not_forgotten() {
    let world = Small::with(Options::default());
    let store = &world.fixture.store;
    let arrive = |key: &str| block_on(store.admit(vec![world.inbound(key, "{}").arrival]));
    arrive("first").unwrap();
    // The lane is still looked into when this lease would have ended, and not before.
    world.attempt(Next::Deliver);

    let (held, go) = hold(store);
    let leased = thread::scope(|scope| {
        let admitted = scope.spawn(|| arrive("second"));
        until(|| store.queue.len() == 1);
        let leased = scope.spawn(|| world.lease().len());
        until(|| store.queue.len() == 2);
        go.send(()).unwrap();
        assert!(admitted.join().unwrap().is_ok());
        leased.join().unwrap()
    });
    held.join().unwrap();
    assert_eq!(leased + world.lease().len(), 1);
}
