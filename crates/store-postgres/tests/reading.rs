//! What the contract does not say of reading: history over many partitions, texts that the
//! database's type does not hold, and pages that would be too large.

mod server;

use bytes::Bytes;
use hooklatch_core::delivery::DeliveryStatus;
use hooklatch_core::delivery::lifecycle::Next;
use hooklatch_core::ids::{EndpointId, MessageId, ProjectId};
use hooklatch_core::time::{Millis, Timestamp};
use hooklatch_core::window::Window;
use hooklatch_store::suite::{Fixture, World};
use hooklatch_store::{
    AttemptFilter, AuditEntry, ConfigKind, ConfigRecord, Expected, MessageFilter, MessageView,
    Page, PageRequest, RequestFilter, Saved, StatusFilter, TimeRange,
};
use server::InADatabase;

const DAY: Millis = Millis::from_seconds(86_400);
const PAGE: PageRequest = PageRequest {
    limit: 100,
    below: None,
};

/// The project that the suite's arrivals belong to.
fn project(world: &World<InADatabase>) -> ProjectId {
    world.inbound("any", "{}").arrival.project_id
}

fn messages(
    world: &World<InADatabase>,
    filter: &MessageFilter,
    page: PageRequest,
) -> Page<MessageView> {
    let store = world.store();
    let found = store.messages(project(world), filter.clone(), page);
    world.fixture.wait(found).expect("the store is available")
}

fn found(world: &World<InADatabase>, filter: &MessageFilter) -> Vec<MessageId> {
    let page = messages(world, filter, PAGE);
    assert_eq!(page.next, None);
    page.items.iter().map(|view| view.message.id).collect()
}

#[test]
fn history_of_many_days_is_read_as_one() {
    let world = World::<InADatabase>::new();
    let mut made = Vec::new();
    let mut begun: Vec<Timestamp> = Vec::new();
    for day in 0..4 {
        begun.push(world.store().now());
        made.push(world.accepted(world.inbound(&format!("day {day}"), "{}")));
        world.attempt(Next::Deliver);
        world.advance(DAY);
    }
    let newest_first: Vec<MessageId> = made.iter().rev().copied().collect();
    let all = MessageFilter::default();
    assert_eq!(found(&world, &all), newest_first);
    let two = PageRequest {
        limit: 2,
        below: None,
    };
    let next = messages(&world, &all, two).next;
    assert_eq!(next, Some(made[2].number()));
    let two_days = TimeRange {
        after: Some(begun[1]),
        before: Some(begun[3]),
    };
    let inside = MessageFilter {
        time: two_days,
        ..MessageFilter::default()
    };
    assert_eq!(found(&world, &inside), [made[2], made[1]]);
    let delivered = MessageFilter {
        status: Some(StatusFilter::Delivery(DeliveryStatus::Delivered)),
        endpoint_id: Some(EndpointId::from_number(101)),
        ..MessageFilter::default()
    };
    assert_eq!(found(&world, &delivered).len(), 4);
    let store = world.store();
    let requests = store.requests(project(&world), RequestFilter::default(), PAGE);
    assert_eq!(world.fixture.wait(requests).unwrap().items.len(), 4);
    let attempts = store.attempts(project(&world), AttemptFilter::default(), PAGE);
    let attempts = world.fixture.wait(attempts).unwrap().items;
    let of: Vec<MessageId> = attempts.iter().map(|attempt| attempt.message_id).collect();
    assert_eq!(of, newest_first);
}

#[test]
fn what_happens_to_a_message_days_later_is_seen_with_it() {
    let world = World::<InADatabase>::new();
    let unrouted = world.inbound("k", "{}").to(&[]).window(Window::Forever);
    let id = world.accepted(unrouted);
    let before = world.accepted(world.inbound("other", "{}"));
    world.attempt(Next::Deliver);
    world.advance(Millis::from_seconds(3 * 86_400));
    world.repeated(world.inbound("k", "{}").to(&[7]));
    let to_seven = MessageFilter {
        endpoint_id: Some(EndpointId::from_number(107)),
        ..MessageFilter::default()
    };
    assert_eq!(found(&world, &to_seven), [id], "while it is live");
    let delivered = world.attempt(Next::Deliver);
    assert_eq!(delivered.message_id, id);
    assert_eq!(found(&world, &to_seven), [id], "and once it has ended");
    let view = world.message(id);
    assert_eq!(view.duplicates, 1);
    assert_eq!(view.deliveries, [delivered]);
    let store = world.store();
    let repeats = RequestFilter {
        message_id: Some(id),
        ..RequestFilter::default()
    };
    let repeats = store.requests(project(&world), repeats, PAGE);
    assert_eq!(world.fixture.wait(repeats).unwrap().items.len(), 2);
    assert_ne!(before, id);
}

#[test]
fn texts_that_the_database_does_not_hold_as_they_are_are_found_again() {
    let world = World::<InADatabase>::new();
    let mut call = world.inbound("k", "{}").event_type("order\0paid");
    call.arrival.tenant = Some("\u{1}0 & co".into());
    let id = world.accepted(call);
    world.accepted(world.inbound("other", "{}").event_type("order"));
    let by_type = MessageFilter {
        event_type: Some("order\0paid".into()),
        ..MessageFilter::default()
    };
    let by_tenant = MessageFilter {
        tenant: Some("\u{1}0 & co".into()),
        ..MessageFilter::default()
    };
    for filter in [by_type, by_tenant] {
        assert_eq!(found(&world, &filter), [id], "{filter:?}");
    }
    let message = world.message(id).message;
    assert_eq!(message.event_type.as_deref(), Some("order\0paid"));
    assert_eq!(message.tenant.as_deref(), Some("\u{1}0 & co"));
}

#[test]
fn names_and_reasons_may_hold_anything_too() {
    let world = World::<InADatabase>::new();
    let (store, project) = (world.store(), project(&world));
    let record = |number| ConfigRecord {
        kind: ConfigKind::Source,
        number,
        project_id: project,
        name: Some("a\0b".into()),
        document: "{}".into(),
        revision: 1,
    };
    let saved = world.fixture.wait(store.save(record(1), Expected::Nothing));
    assert_eq!(saved.unwrap(), Saved::Done { revision: 1 });
    let again = world.fixture.wait(store.save(record(2), Expected::Nothing));
    assert_eq!(again.unwrap(), Saved::NameTaken);
    assert_eq!(world.fixture.wait(store.load()).unwrap(), [record(1)]);
    let entry = AuditEntry {
        at: store.now(),
        actor: None,
        action: "key.free".into(),
        subject: "\0".into(),
        reason: Some("\u{1}".into()),
    };
    let freed = store.free(project, Vec::new(), None, entry.clone());
    assert_eq!(world.fixture.wait(freed).unwrap(), 0);
    let log = world.fixture.wait(store.audit_log(project, 9)).unwrap();
    assert_eq!(log, [entry]);
}

/// Of names that are saved at one moment one is saved.
#[test]
fn a_name_that_two_save_at_once_is_taken_for_one_of_them() {
    let world = World::<InADatabase>::new();
    let (store, project) = (world.store(), project(&world));
    let save = |number| {
        let record = ConfigRecord {
            kind: ConfigKind::Endpoint,
            number,
            project_id: project,
            name: Some("same".into()),
            document: "{}".into(),
            revision: 1,
        };
        let saved = world.fixture.wait(store.save(record, Expected::Nothing));
        saved.unwrap()
    };
    let saved: Vec<Saved> = std::thread::scope(|scope| {
        let savers: Vec<_> = (1..=4)
            .map(|number| scope.spawn(move || save(number)))
            .collect();
        savers.into_iter().map(|it| it.join().unwrap()).collect()
    });
    let done = saved
        .iter()
        .filter(|it| **it == Saved::Done { revision: 1 });
    assert_eq!(done.count(), 1, "{saved:?}");
    let taken = saved.iter().filter(|it| **it == Saved::NameTaken);
    assert_eq!(taken.count(), 3, "{saved:?}");
}

#[test]
fn a_page_of_large_bodies_is_short_and_the_next_goes_on() {
    let world = World::<InADatabase>::new();
    let mut made = Vec::new();
    for number in 0..4 {
        let mut call = world.inbound(&format!("k{number}"), "{}");
        call.arrival.body = Bytes::from(vec![b'x'; 6 << 20]);
        made.push(world.accepted(call));
    }
    let first = messages(&world, &MessageFilter::default(), PAGE);
    assert_eq!(first.items.len(), 3, "18 MiB are past the bound of 16");
    assert_eq!(first.next, Some(made[1].number()));
    let rest = PageRequest {
        below: first.next,
        ..PAGE
    };
    let second = messages(&world, &MessageFilter::default(), rest);
    assert_eq!(second.items[0].body.len(), 6 << 20);
    assert_eq!((second.items.len(), second.next), (1, None));
}
