//! The generations of the ledger.

use hooklatch_core::admission::Decision;
use hooklatch_core::time::Millis;
use hooklatch_store::Admissions;
use hooklatch_store::suite::{Fixture, World, block_on};

use super::{Small, number};
use crate::Options;

fn world() -> World<Small> {
    Small::with(Options {
        generation_claims_max: 10,
        ..Options::default()
    })
}

fn admit_many(world: &World<Small>, prefix: &str, many: usize) {
    for number in 0..many {
        world.accepted(world.inbound(&format!("{prefix}{number}"), "{}"));
    }
}

/// As the writer left them after all that was answered.
fn generations(world: &World<Small>) -> i64 {
    block_on(world.store().ready()).unwrap();
    number(world, "SELECT COUNT(*) FROM generations")
}

/// Lets the writer go round until it has nothing old to remove any more.
fn prune(world: &World<Small>, until: i64) {
    while generations(world) > until {
        std::thread::yield_now();
    }
}

#[test]
fn inv_1_a_key_of_a_closed_generation_is_still_a_duplicate() {
    let mut world = world();
    admit_many(&world, "k", 95);
    assert_eq!(generations(&world), 10);
    for round in 0..2 {
        for number in 0..95 {
            world.repeated(world.inbound(&format!("k{number}"), "{}"));
        }
        assert_eq!(
            generations(&world),
            10,
            "round {round}: repetitions claim nothing"
        );
        world.fixture.crash();
    }
}

#[test]
fn a_key_whose_window_has_ended_moves_to_the_open_generation() {
    let world = world();
    admit_many(&world, "k", 15);
    world.advance(Millis::from_seconds(3_601));
    admit_many(&world, "k", 15);
    world.repeated(world.inbound("k0", "{}"));
    world.repeated(world.inbound("k14", "{}"));
}

#[test]
fn inv_9_a_generation_goes_when_its_last_window_has_ended_and_not_before() {
    let world = world();
    admit_many(&world, "a", 10);
    world.advance(Millis::from_seconds(1_800));
    admit_many(&world, "b", 10);
    assert_eq!(generations(&world), 3);
    world.advance(Millis::from_seconds(1_801));
    prune(&world, 2);
    assert_eq!(generations(&world), 2);
    for number in 0..10 {
        world.repeated(world.inbound(&format!("b{number}"), "{}"));
    }
    assert_eq!(
        number(
            &world,
            "SELECT COUNT(*) FROM sqlite_schema WHERE name = 'claims_1'"
        ),
        0
    );
}

#[test]
fn a_window_that_slides_is_not_cut_short_by_the_end_of_its_first_generation() {
    let world = world();
    let sliding = || world.inbound("s", "{}").sliding();
    world.accepted(sliding());
    admit_many(&world, "a", 10);
    world.advance(Millis::from_seconds(1_800));
    world.repeated(sliding());
    world.advance(Millis::from_seconds(1_801));
    prune(&world, 1);
    world.repeated(sliding());
}

#[test]
fn c3_of_many_threads_with_the_same_keys_one_is_accepted_for_each() {
    let world = world();
    let store = &world.fixture.store;
    let accepted = std::sync::atomic::AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                for number in 0..50 {
                    let arrival = world.inbound(&format!("k{number}"), "{}").arrival;
                    let admissions = block_on(store.admit(vec![arrival])).unwrap();
                    if matches!(admissions[0].decision, Decision::Accept(_)) {
                        accepted.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
                    }
                }
            });
        }
    });
    assert_eq!(accepted.into_inner(), 50);
    assert_eq!(number(&world, "SELECT COUNT(*) FROM messages"), 50);
    assert_eq!(number(&world, "SELECT COUNT(*) FROM requests"), 350);
}
