//! Rules in shadow mode over several nodes: each writes rows of its own, and all see the same keys.

mod server;

use hooklatch_core::shadow::ShadowId;
use hooklatch_core::window::Window;
use hooklatch_store::suite::{Fixture, World};
use hooklatch_store::{Admissions, Shadows};
use server::InADatabase;

const RULE: ShadowId = ShadowId::from_bytes([9; 16]);
const EACH: usize = 40;

#[test]
fn what_two_nodes_judge_at_once_is_one_report() {
    let world = World::<InADatabase>::new();
    let first = world.store();
    let second = world.fixture.try_open().expect("another node opens it");
    let admit = |node: &dyn Admissions, number: usize| {
        let call = world.inbound(&format!("k{number}"), "{}");
        let key = format!("{}", number % 4);
        let call = call.tried_under(RULE, Some(&key), Window::Seconds(3_600));
        let admitted = node.admit(vec![call.arrival]);
        world.fixture.wait(admitted).expect("it is admitted");
    };
    std::thread::scope(|scope| {
        scope.spawn(|| (0..EACH).for_each(|number| admit(&*first, number)));
        scope.spawn(|| (EACH..2 * EACH).for_each(|number| admit(&*second, number)));
    });
    let by_first = world.fixture.wait(first.shadow_report(RULE));
    let by_first = by_first.expect("the store is available");
    let counts = by_first.counts;
    assert_eq!((counts.judged, counts.would_be_suppressed), (80, 76));
    assert_eq!((counts.newly_suppressed, counts.payload_differs), (76, 0));
    let by_second = world.fixture.wait(second.shadow_report(RULE));
    assert_eq!(by_second.expect("the store is available"), by_first);
    second.abandon();
}
