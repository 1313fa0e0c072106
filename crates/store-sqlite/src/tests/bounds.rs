//! Lists that look through many rows.

use hooklatch_core::ids::ProjectId;
use hooklatch_store::suite::{World, block_on};
use hooklatch_store::{Admissions, History, MessageFilter, PageRequest};

use super::Small;

const ELSEWHERE: ProjectId = ProjectId::from_number(2);

#[test]
fn a_page_looks_through_a_bounded_number_of_rows_and_the_next_one_goes_on() {
    let world = World::<Small>::new();
    let store = &world.fixture.store;
    let rare = world.accepted(world.inbound("rare", "{}"));
    let mut others: Vec<_> = (0..5_500)
        .map(|n| world.inbound(&format!("k{n}"), "{}").arrival)
        .collect();
    for other in &mut others {
        other.project_id = ELSEWHERE;
    }
    block_on(store.admit(others)).unwrap();
    let page = |below| {
        let page = PageRequest { limit: 10, below };
        let project = ProjectId::from_number(1);
        block_on(store.messages(project, MessageFilter::default(), page)).unwrap()
    };
    let first = page(None);
    assert!(first.items.is_empty());
    assert!(first.next.is_some(), "there is more to look through");
    let second = page(first.next);
    assert_eq!(second.items.len(), 1);
    assert_eq!(second.items[0].message.id, rare);
    assert_eq!(second.next, None);
}
