//! Messages by how their deliveries stand, however a store finds them.

use hooklatch_core::delivery::lifecycle::Next;
use hooklatch_core::delivery::{DeliveryStatus, Reason};
use hooklatch_core::ids::MessageId;
use hooklatch_core::time::Millis;

use super::world::{PROJECT, STRANGER, endpoint};
use super::{Fixture, World};
use crate::{MessageFilter, PageRequest, StatusFilter};

const RETRY: Next = Next::Retry {
    after: Millis::from_seconds(60),
    counts: true,
};
/// How attempts end, and how the delivery stands then.
const ENDS: [(Next, DeliveryStatus); 5] = [
    (Next::Deliver, DeliveryStatus::Delivered),
    (
        Next::Fail(Reason::AttemptsExhausted),
        DeliveryStatus::Failed,
    ),
    (Next::Hold(Reason::Uncertain), DeliveryStatus::Held),
    (
        Next::Cancel(Reason::CancelledByPerson),
        DeliveryStatus::Cancelled,
    ),
    (RETRY, DeliveryStatus::Pending),
];

/// Every message that a filter finds, page by page.
fn found<F: Fixture>(world: &World<F>, filter: &MessageFilter) -> Vec<MessageId> {
    let store = world.store();
    let mut found = Vec::new();
    let mut below = None;
    loop {
        let page = PageRequest { below, limit: 2 };
        let answer = store.messages(PROJECT, filter.clone(), page);
        let page = world.fixture.wait(answer).expect("the store is available");
        found.extend(page.items.iter().map(|view| view.message.id));
        match page.next {
            Some(next) => below = Some(next),
            None => return found,
        }
    }
}

/// Lists by status.
pub fn messages_of_a_status_are_listed_in_order_and_with_every_other_filter<F: Fixture>() {
    let world = World::<F>::new();
    let mut made: Vec<(MessageId, DeliveryStatus, i64)> = Vec::new();
    for n in 0..20_usize {
        let (next, status) = ENDS[n % ENDS.len()];
        let to = if n % 2 == 0 { 1 } else { 2 };
        let call = world.inbound(&format!("k{n}"), "{}").to(&[to]);
        made.push((world.accepted(call), status, to));
        world.attempt(next);
        // A stranger's stands alike, and is seen by the stranger only.
        let mut other = world.inbound(&format!("s{n}"), "{}").to(&[to]);
        other.arrival.project_id = STRANGER;
        world.accepted(other);
        world.attempt(next);
        world.advance(Millis::new(n as i64 % 3));
    }
    // The last are under way.
    for to in [1, 2] {
        let call = world.inbound(&format!("u{to}"), "{}").to(&[to]);
        made.push((world.accepted(call), DeliveryStatus::Delivering, to));
    }
    assert_eq!(world.lease().len(), 2);
    made.reverse();
    let statuses = ENDS.map(|(_, status)| status);
    for status in statuses.into_iter().chain([DeliveryStatus::Delivering]) {
        let fits = |of: Option<i64>| -> Vec<MessageId> {
            let fit = |it: &&(MessageId, DeliveryStatus, i64)| {
                it.1 == status && of.is_none_or(|to| it.2 == to)
            };
            made.iter().filter(fit).map(|it| it.0).collect()
        };
        let by_status = MessageFilter {
            status: Some(StatusFilter::Delivery(status)),
            ..MessageFilter::default()
        };
        assert_eq!(found(&world, &by_status), fits(None), "{status:?}");
        let also_by_endpoint = MessageFilter {
            endpoint_id: Some(endpoint(2)),
            ..by_status
        };
        assert_eq!(
            found(&world, &also_by_endpoint),
            fits(Some(2)),
            "{status:?}"
        );
    }
}
