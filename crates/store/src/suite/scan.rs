//! Scans: the past of a source, from its beginning to its end.

use hooklatch_core::delivery::lifecycle::Next;
use hooklatch_core::ids::{RequestId, SourceId, first_number_at};
use hooklatch_core::retention::{Cut, PruneStep, What};
use hooklatch_core::time::Millis;

use super::world::{PROJECT, SOURCE, STRANGER, connection};
use super::{Fixture, World};
use crate::record::envelope;
use crate::{ScanOf, ScanStep, Scanned};

const ALL: ScanStep = ScanStep {
    project: PROJECT,
    of: ScanOf::Source(SOURCE),
    from: 0,
    below: i64::MAX,
    rows_max: 2,
    bytes_max: usize::MAX,
};

fn scan<F: Fixture>(world: &World<F>, step: ScanStep) -> Vec<Scanned> {
    let store = world.store();
    let mut found = Vec::new();
    let mut from = step.from;
    loop {
        let page = store.scan(ScanStep { from, ..step });
        let page = world.fixture.wait(page).expect("the store is available");
        found.extend(page.arrivals);
        match page.next {
            Some(next) => from = next,
            None => return found,
        }
    }
}

fn bodies(found: &[Scanned]) -> Vec<Option<&[u8]>> {
    found.iter().map(|it| it.body.as_deref()).collect()
}

/// Everything that arrived, in its order, each with its payload.
pub fn a_scan_meets_every_arrival_of_a_source_once_in_order<F: Fixture>() {
    let world = World::<F>::new();
    let one = world.accepted(world.inbound("one", "{\"n\":1}"));
    let repeat = world.repeated(world.inbound("one", "{\"n\":1}"));
    let differs = world.repeated(world.inbound("one", "{\"n\":2}"));
    world.accepted(world.inbound("two", "{\"n\":3}"));
    let mut elsewhere = world.inbound("three", "{}");
    elsewhere.arrival.source_id = Some(SourceId::from_number(77));
    world.accepted(elsewhere);
    let found = scan(&world, ALL);
    let n = |n: i64| Some(format!("{{\"n\":{n}}}"));
    let expected = [n(1), n(1), n(2), n(3)];
    let expected: Vec<_> = expected
        .iter()
        .map(|it| it.as_deref().map(str::as_bytes))
        .collect();
    assert_eq!(bodies(&found), expected);
    assert_eq!(found[0].request_id, one.as_request());
    assert_eq!(
        (found[1].request_id, found[2].request_id),
        (repeat.id, differs.id)
    );
    assert!(found[..3].iter().all(|it| it.message_id == Some(one)));
    let surrounded = found[1].envelope.as_deref().expect("it was kept");
    let surrounded = envelope::decode(surrounded).expect("it is readable");
    assert_eq!(surrounded.header("x-key"), Some("one"));
    let stranger = ScanStep {
        project: STRANGER,
        ..ALL
    };
    assert!(scan(&world, stranger).is_empty());
    let store = world.store();
    let size = world.fixture.wait(store.scan_size(ALL, 1_000));
    assert!(size.expect("available") >= 4);
}

/// A scan of what a connection could get meets messages only.
pub fn a_scan_for_a_connection_meets_messages_only<F: Fixture>() {
    let world = World::<F>::new();
    let one = world.accepted(world.inbound("one", "{}"));
    world.repeated(world.inbound("one", "{}"));
    let source = Some(SOURCE);
    let of = ScanOf::Connection {
        id: connection(1),
        source,
    };
    let found = scan(&world, ScanStep { of, ..ALL });
    let ids: Vec<RequestId> = found.iter().map(|it| it.request_id).collect();
    assert_eq!(ids, [one.as_request()]);
    let of = ScanOf::Connection {
        id: connection(1),
        source: None,
    };
    assert!(scan(&world, ScanStep { of, ..ALL }).is_empty());
}

/// A span of time, and a bound on bytes.
pub fn a_scan_keeps_to_its_span_and_to_its_bytes<F: Fixture>() {
    let world = World::<F>::new();
    let mut starts = Vec::new();
    for n in 0..6 {
        starts.push(world.store().now());
        world.accepted(world.inbound(&format!("k{n}"), "{\"n\":1}"));
        world.advance(Millis::from_seconds(1));
    }
    let step = ScanStep {
        from: first_number_at(starts[1]),
        below: first_number_at(starts[4]),
        bytes_max: 1,
        ..ALL
    };
    assert_eq!(scan(&world, step).len(), 3);
    let store = world.store();
    let page = world.fixture.wait(store.scan(step)).expect("available");
    assert_eq!(page.arrivals.len(), 1, "one may exceed the bytes");
}

/// What was pruned is met, and says that its payload is gone.
pub fn a_scan_meets_what_was_pruned_without_its_payload<F: Fixture>() {
    let world = World::<F>::new();
    world.accepted(world.inbound("one", "{}"));
    world.attempt(Next::Deliver);
    let store = world.store();
    let step = PruneStep {
        what: What::Payloads,
        from: 0,
        below: i64::MAX,
        cuts: [Cut {
            project: PROJECT,
            before: i64::MAX,
        }]
        .into(),
        rows_max: 10,
    };
    world.fixture.wait(store.prune(step)).expect("available");
    assert_eq!(bodies(&scan(&world, ALL)), [None]);
}
