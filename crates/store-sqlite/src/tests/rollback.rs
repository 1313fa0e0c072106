//! What fails takes nobody with it, and leaves nothing behind.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;
use std::sync::{Arc, Mutex};
use std::thread;

use hooklatch_core::time::Millis;
use hooklatch_store::suite::{Fixture, World, block_on};
use hooklatch_store::{Admissions, Store, StoreError};

use super::{Small, large, number};
use crate::SqliteStore;
use crate::fault::Fault;
use crate::writer::Batch;

/// Lets the writer wait inside a batch until the test says go, so that others gather behind it.
struct Gate {
    inside: mpsc::Sender<()>,
    go: Mutex<mpsc::Receiver<()>>,
}

fn wait(_: &mut Batch<'_>, gate: &Gate) -> Result<(), Fault> {
    gate.inside.send(()).unwrap();
    gate.go.lock().unwrap().recv().unwrap();
    Ok(())
}

/// A thread that holds the writer, and what lets it go.
pub(super) fn hold(store: &Arc<SqliteStore>) -> (thread::JoinHandle<()>, mpsc::Sender<()>) {
    let (go, gate) = mpsc::channel();
    let (inside, entered) = mpsc::channel();
    let store = Arc::clone(store);
    let held = thread::spawn(move || {
        let go = Mutex::new(gate);
        block_on(store.write(Gate { inside, go }, 0, wait)).unwrap();
    });
    entered.recv().unwrap();
    (held, go)
}

pub(super) fn until(mut condition: impl FnMut() -> bool) {
    while !condition() {
        thread::yield_now();
    }
}

fn write_and_panic(batch: &mut Batch<'_>, (): &()) -> Result<(), Fault> {
    batch
        .db
        .execute("INSERT INTO meta VALUES ('half', 1)", [])?;
    panic!("planted");
}

#[test]
fn a_bug_in_one_operation_fails_it_alone() {
    let world = World::<Small>::new();
    let store = &world.fixture.store;
    let (held, go) = hold(store);
    thread::scope(|scope| {
        let arrival = world.inbound("neighbour", "{}").arrival;
        let good = scope.spawn(|| block_on(store.admit(vec![arrival])));
        let bad = scope.spawn(|| block_on(store.write((), 0, write_and_panic)));
        until(|| store.queue.len() == 2);
        go.send(()).unwrap();
        assert!(matches!(
            bad.join().unwrap(),
            Err(StoreError::Unavailable(Some(_)))
        ));
        assert!(good.join().unwrap().is_ok());
    });
    held.join().unwrap();
    assert_eq!(
        number(&world, "SELECT COUNT(*) FROM meta WHERE name = 'half'"),
        0
    );
    assert_eq!(number(&world, "SELECT COUNT(*) FROM messages"), 1);
    assert_eq!(world.lease().len(), 1);
    assert!(block_on(store.ready()).is_ok());
}

fn limit_pages(batch: &mut Batch<'_>, pages: &i64) -> Result<(), Fault> {
    let kept: i64 = batch
        .db
        .pragma_update_and_check(None, "max_page_count", pages, |row| row.get(0))?;
    assert_eq!(kept, *pages);
    Ok(())
}

#[test]
fn c8_a_full_disk_refuses_and_nothing_acknowledged_is_missing_when_there_is_room_again() {
    let mut world = World::<Small>::new();
    let store = Arc::clone(&world.fixture.store);
    block_on(store.write(300, 0, limit_pages)).unwrap();
    let mut acknowledged = Vec::new();
    let refused = loop {
        let arrival = large(&world, &acknowledged.len().to_string(), 20_000);
        match block_on(store.admit(vec![arrival])) {
            Ok(admissions) => acknowledged.push(admissions[0].message_id),
            Err(error) => break error,
        }
    };
    assert!(matches!(refused, StoreError::Full(_)), "{refused:?}");
    assert!(acknowledged.len() > 10, "{}", acknowledged.len());
    assert!(matches!(block_on(store.ready()), Err(StoreError::Full(_))));
    let again = large(&world, &acknowledged.len().to_string(), 20_000);
    assert!(block_on(store.admit(vec![again.clone()])).is_err());

    block_on(store.write(1_000_000, 0, limit_pages)).unwrap();
    assert!(block_on(store.ready()).is_ok());
    acknowledged.push(block_on(store.admit(vec![again])).unwrap()[0].message_id);
    assert_eq!(world.lease().len(), acknowledged.len());
    drop(store);
    world.fixture.crash();
    for id in &acknowledged {
        assert_eq!(world.message(*id).body.len(), 20_002);
    }
    assert_eq!(
        number(&world, "SELECT COUNT(*) FROM messages"),
        acknowledged.len() as i64
    );
}

#[test]
fn a_failed_batch_wakes_nobody_and_leaves_no_lane_behind() {
    let world = World::<Small>::new();
    let store = Arc::clone(&world.fixture.store);
    let woken = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&woken);
    let wake = Arc::new(move || {
        counted.fetch_add(1, Ordering::SeqCst);
    });
    hooklatch_store::Deliveries::on_work(&*store, wake);
    let pages = number(&world, "PRAGMA page_count");
    block_on(store.write(pages + 1, 0, limit_pages)).unwrap();
    let refused = block_on(store.admit(vec![large(&world, "a", 100_000)]));
    assert!(matches!(refused, Err(StoreError::Full(_))), "{refused:?}");
    assert_eq!(woken.load(Ordering::SeqCst), 0);
    let leases = world.lease_under(10, 10);
    assert!(leases.leased.is_empty());
    assert_eq!(leases.next_due_in, None);
    block_on(store.write(1_000_000, 0, limit_pages)).unwrap();
    world.accepted(world.inbound("a", "{}"));
    // Whoever waits for the commit is answered before the others are woken.
    until(|| woken.load(Ordering::SeqCst) == 1);
    world.advance(Millis::new(1));
    assert_eq!(world.lease().len(), 1);
}

#[test]
fn what_waits_is_bounded_and_the_rest_is_refused_at_once() {
    let options = crate::Options {
        queue_operations_max: 3,
        queue_bytes_max: 50_000,
        ..crate::Options::default()
    };
    let world = Small::with(options);
    let store = &world.fixture.store;
    let (held, go) = hold(store);
    thread::scope(|scope| {
        let first = large(&world, "a", 40_000);
        let waiting = scope.spawn(|| block_on(store.admit(vec![first])));
        until(|| store.queue.len() == 1);
        let too_large = large(&world, "b", 20_000);
        let refused = block_on(store.admit(vec![too_large]));
        assert!(
            matches!(refused, Err(StoreError::Overloaded)),
            "{refused:?}"
        );
        let small: Vec<_> = ["c", "d"]
            .map(|key| world.inbound(key, "{}").arrival)
            .into_iter()
            .map(|arrival| scope.spawn(|| block_on(store.admit(vec![arrival]))))
            .collect();
        until(|| store.queue.len() == 3);
        let one_more = world.inbound("e", "{}").arrival;
        let refused = block_on(store.admit(vec![one_more]));
        assert!(
            matches!(refused, Err(StoreError::Overloaded)),
            "{refused:?}"
        );
        go.send(()).unwrap();
        assert!(waiting.join().unwrap().is_ok());
        for waiting in small {
            assert!(waiting.join().unwrap().is_ok());
        }
    });
    held.join().unwrap();
}

#[test]
fn to_close_finishes_what_was_taken_and_takes_nothing_more() {
    let world = World::<Small>::new();
    let store = &world.fixture.store;
    let (held, go) = hold(store);
    thread::scope(|scope| {
        let arrival = world.inbound("a", "{}").arrival;
        let taken = scope.spawn(|| block_on(store.admit(vec![arrival])));
        until(|| store.queue.len() == 1);
        let closing = scope.spawn(|| block_on(store.close()));
        until(|| !store.queue.is_open());
        let late = world.inbound("b", "{}").arrival;
        let refused = block_on(store.admit(vec![late]));
        assert!(
            matches!(refused, Err(StoreError::Unavailable(_))),
            "{refused:?}"
        );
        go.send(()).unwrap();
        assert!(taken.join().unwrap().is_ok());
        assert!(closing.join().unwrap().is_ok());
    });
    held.join().unwrap();
}
