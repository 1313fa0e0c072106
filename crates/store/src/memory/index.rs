//! What is found by another number than its own, so that no question goes through all of history:
//! a gateway is served from here as well.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use hooklatch_core::delivery::Delivery;
use hooklatch_core::delivery::attempt::Attempt;
use hooklatch_core::ids::{AttemptId, DeliveryId, MessageId, RequestId};
use hooklatch_core::message::{Parcel, Request, RequestOutcome};

use super::{State, StoredRequest};

/// Who belongs to whom. It follows the maps: whatever is put into them or taken out goes through
/// here.
#[derive(Clone, Default)]
pub(super) struct Index {
    of_message: BTreeMap<MessageId, BTreeSet<DeliveryId>>,
    of_delivery: BTreeMap<DeliveryId, BTreeSet<AttemptId>>,
    repeats: BTreeMap<MessageId, BTreeSet<RequestId>>,
    /// Requests that were refused.
    refused: BTreeSet<RequestId>,
    /// Deliveries that have not ended.
    unfinished: BTreeSet<DeliveryId>,
}

#[cfg(all(test, feature = "suite"))]
impl Index {
    /// How many things stand in it.
    pub(super) fn rows(&self) -> usize {
        let owned = self.of_message.values().map(BTreeSet::len);
        let owned = owned.chain(self.of_delivery.values().map(BTreeSet::len));
        let owned = owned.chain(self.repeats.values().map(BTreeSet::len));
        owned.sum::<usize>() + self.refused.len() + self.unfinished.len()
    }
}

impl State {
    pub(super) fn keep_delivery(&mut self, delivery: Delivery) {
        let id = delivery.id;
        let of_message = self.index.of_message.entry(delivery.message_id);
        of_message.or_default().insert(id);
        if delivery.state.status().is_final() {
            self.index.unfinished.remove(&id);
        } else {
            self.index.unfinished.insert(id);
        }
        self.deliveries.insert(id, delivery);
    }

    pub(super) fn keep_attempt(&mut self, attempt: Attempt) {
        let of_delivery = self.index.of_delivery.entry(attempt.delivery_id);
        of_delivery.or_default().insert(attempt.id);
        self.attempts.insert(attempt.id, attempt);
    }

    pub(super) fn keep_request(&mut self, stored: StoredRequest) {
        let request = &stored.request;
        if let Some(original) = request.original_message_id {
            let repeats = self.index.repeats.entry(original).or_default();
            repeats.insert(request.id);
        }
        if request.outcome == RequestOutcome::Rejected {
            self.index.refused.insert(request.id);
        }
        self.requests.insert(request.id, stored);
    }

    /// Lets the oldest refused requests go beyond so many.
    pub(super) fn keep_refused(&mut self, most: usize) {
        while self.index.refused.len() > most {
            if let Some(oldest) = self.index.refused.pop_first() {
                self.requests.remove(&oldest);
            }
        }
    }

    pub(super) fn forget_request(&mut self, id: RequestId) {
        let Some(stored) = self.requests.remove(&id) else {
            return;
        };
        self.index.refused.remove(&id);
        if let Some(original) = stored.request.original_message_id
            && let Some(repeats) = self.index.repeats.get_mut(&original)
        {
            repeats.remove(&id);
            if repeats.is_empty() {
                self.index.repeats.remove(&original);
            }
        }
    }

    /// Removes a message's deliveries, with their attempts and what scripts made for them.
    pub(super) fn forget_deliveries(&mut self, message: MessageId) {
        let deliveries = self.index.of_message.remove(&message);
        for delivery in deliveries.into_iter().flatten() {
            self.deliveries.remove(&delivery);
            self.transformed.remove(&delivery);
            self.index.unfinished.remove(&delivery);
            let attempts = self.index.of_delivery.remove(&delivery);
            for attempt in attempts.into_iter().flatten() {
                self.attempts.remove(&attempt);
            }
        }
    }

    pub(super) fn deliveries_of(&self, message: MessageId) -> impl Iterator<Item = &Delivery> {
        let own = self.index.of_message.get(&message).into_iter().flatten();
        own.map(|id| &self.deliveries[id])
    }

    pub(super) fn attempts_of(
        &self,
        delivery: DeliveryId,
    ) -> impl DoubleEndedIterator<Item = &Attempt> {
        let own = self.index.of_delivery.get(&delivery).into_iter().flatten();
        own.map(|id| &self.attempts[id])
    }

    pub(super) fn duplicates_of(&self, message: MessageId) -> impl Iterator<Item = &Request> {
        let own = self.index.repeats.get(&message).into_iter().flatten();
        own.map(|id| &self.requests[id].request)
    }

    /// Deliveries that have not ended.
    pub(super) fn unfinished(&self) -> impl Iterator<Item = &Delivery> {
        self.index.unfinished.iter().map(|id| &self.deliveries[id])
    }

    /// Changes deliveries that have not ended, and do not end by it.
    pub(super) fn change_unfinished(&mut self, mut change: impl FnMut(&mut Delivery)) {
        for id in &self.index.unfinished {
            let delivery = self.deliveries.get_mut(id);
            let delivery = delivery.expect("the index names only what is there");
            change(delivery);
            let ended = delivery.state.status().is_final();
            assert!(!ended, "{} ended in passing", delivery.id);
        }
    }

    /// The messages with these numbers, newest first.
    pub(super) fn messages_in(&self, numbers: Range<i64>) -> impl Iterator<Item = &Parcel> {
        let inside = self.messages.range(typed(numbers, MessageId::from_number));
        inside.rev().map(|(_, parcel)| &**parcel)
    }

    /// The attempts with these numbers, newest first.
    pub(super) fn attempts_in(&self, numbers: Range<i64>) -> impl Iterator<Item = &Attempt> {
        let inside = self.attempts.range(typed(numbers, AttemptId::from_number));
        inside.rev().map(|(_, attempt)| attempt)
    }

    /// The numbers of messages and requests within these, newest first.
    pub(super) fn numbers_in(&self, numbers: Range<i64>) -> impl Iterator<Item = i64> {
        let messages = self
            .messages
            .range(typed(numbers.clone(), MessageId::from_number));
        let requests = self.requests.range(typed(numbers, RequestId::from_number));
        let mut messages = messages.rev().map(|(id, _)| id.number()).peekable();
        let mut requests = requests.rev().map(|(id, _)| id.number()).peekable();
        std::iter::from_fn(move || {
            if messages.peek() > requests.peek() {
                messages.next()
            } else {
                requests.next()
            }
        })
    }
}

/// A range that is never the wrong way round.
fn typed<Id>(numbers: Range<i64>, id: impl Fn(i64) -> Id) -> Range<Id> {
    let first = numbers.start.min(numbers.end);
    id(first)..id(numbers.end)
}
