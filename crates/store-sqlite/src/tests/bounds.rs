//! Lists that look through many rows.

use hooklatch_core::ids::{MessageId, ProjectId, SourceId};
use hooklatch_core::message::RequestOutcome;
use hooklatch_store::suite::{Call, Fixture, World, block_on};
use hooklatch_store::{
    Admissions, History, MessageFilter, Page, PageRequest, RequestFilter, RequestView, Store,
};

use super::{Small, number};

const OWN: ProjectId = ProjectId::from_number(1);
const ELSEWHERE: ProjectId = ProjectId::from_number(2);
const RARE: SourceId = SourceId::from_number(77);

fn admit_many(world: &World<Small>, prefix: &str, many: usize, change: impl Fn(Call) -> Call) {
    let keys = (0..many).map(|n| format!("{prefix}{n}"));
    let calls = keys.map(|key| change(world.inbound(&key, "{}")).arrival);
    block_on(world.fixture.store.admit(calls.collect())).unwrap();
}

/// Goes through all pages of a list.
fn all<T>(mut page: impl FnMut(PageRequest) -> Page<T>) -> Vec<T> {
    let mut items = Vec::new();
    let mut below = None;
    loop {
        let found = page(PageRequest { limit: 7, below });
        items.extend(found.items);
        below = found.next;
        if below.is_none() {
            return items;
        }
    }
}

fn messages(world: &World<Small>, filter: &MessageFilter) -> Vec<MessageId> {
    let store = &world.fixture.store;
    let found = all(|page| block_on(store.messages(OWN, filter.clone(), page)).unwrap());
    found.iter().map(|view| view.message.id).collect()
}

fn requests(world: &World<Small>, filter: &RequestFilter) -> Vec<i64> {
    let store = &world.fixture.store;
    let found = all(|page| block_on(store.requests(OWN, filter.clone(), page)).unwrap());
    let number = |view: &RequestView| match view {
        RequestView::Accepted { message, .. } => message.id.number(),
        RequestView::Other { request, .. } => request.id.number(),
    };
    found.iter().map(number).collect()
}

#[test]
fn a_page_looks_through_a_bounded_number_of_rows_and_the_next_one_goes_on() {
    let world = World::<Small>::new();
    let store = &world.fixture.store;
    let rare = world.accepted(world.inbound("rare", "{}"));
    for round in 0..3 {
        admit_many(&world, &format!("{round}-"), 7_000, |mut call| {
            call.arrival.project_id = ELSEWHERE;
            call
        });
    }
    let page = |below| {
        let page = PageRequest { limit: 10, below };
        block_on(store.messages(OWN, MessageFilter::default(), page)).unwrap()
    };
    let first = page(None);
    assert!(first.items.is_empty());
    assert!(first.next.is_some(), "there is more to look through");
    let second = page(first.next);
    assert_eq!(second.items.len(), 1);
    assert_eq!(second.items[0].message.id, rare);
    assert_eq!(second.next, None);
}

#[test]
fn what_is_listed_late_is_found_all_the_time_and_each_thing_once() {
    let mut world = World::<Small>::new();
    let by_rare = |mut call: Call| {
        call.arrival.source_id = Some(RARE);
        call.event_type("rare.type")
    };
    let filters = [
        MessageFilter {
            source_id: Some(RARE),
            ..MessageFilter::default()
        },
        MessageFilter {
            event_type: Some("rare.type".into()),
            ..MessageFilter::default()
        },
        MessageFilter {
            endpoint_id: Some(hooklatch_core::ids::EndpointId::from_number(103)),
            ..MessageFilter::default()
        },
    ];
    let of_source = RequestFilter {
        source_id: Some(RARE),
        ..RequestFilter::default()
    };
    let duplicates = RequestFilter {
        outcome: Some(RequestOutcome::Duplicate),
        ..RequestFilter::default()
    };
    let (mut expected, mut repeated, mut arrived) = (Vec::new(), Vec::new(), Vec::new());
    for round in 0..12 {
        let rare = by_rare(world.inbound(&format!("rare {round}"), "{}").to(&[1, 3]));
        let id = world.accepted(rare.clone());
        let again = world.repeated(rare).id.number();
        expected.insert(0, id);
        repeated.insert(0, again);
        arrived.splice(0..0, [again, id.number()]);
        admit_many(&world, &format!("common {round}-"), 1_500, |call| call);
        for filter in &filters {
            assert_eq!(messages(&world, filter), expected, "{filter:?}");
        }
        assert_eq!(requests(&world, &duplicates), repeated);
        assert_eq!(requests(&world, &of_source), arrived);
        for _ in 0..100 {
            block_on(world.fixture.store.ready()).unwrap();
        }
        if round % 4 == 3 {
            world.fixture.crash();
        }
    }
    let mark = number(
        &world,
        "SELECT COALESCE(MAX(value), 0) FROM meta WHERE name = 'listed'",
    );
    assert!(mark > expected[11].number(), "a slice has been written");
}
