//! What is new, in memory.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound::{Excluded, Unbounded};

use bytes::Bytes;
use hooklatch_core::delivery::Delivery;
use hooklatch_core::delivery::attempt::Attempt;
use hooklatch_core::ids::{AttemptId, MessageId, ProjectId, RequestId};
use hooklatch_core::message::Origin;

use super::{MemoryStore, State, ready};
use crate::{Answer, Arrived, Following, News, Seen};

impl Following for MemoryStore {
    fn present(&self) -> Answer<'_, Seen> {
        ready(self.lock().map(|state| state.present()))
    }

    fn news(&self, project: Option<ProjectId>, since: Seen, limit: usize) -> Answer<'_, News> {
        ready(self.lock().map(|state| {
            let own = |owner| project.is_none_or(|project| project == owner);
            let mut requests = state.arrived_since(since.requests, &own);
            let mut attempts = state.ended_since(&since, &own);
            let left_out = requests.len() > limit || attempts.len() > limit;
            requests.drain(..requests.len().saturating_sub(limit));
            attempts.drain(..attempts.len().saturating_sub(limit));
            let delivery = |attempt: &Attempt| state.deliveries.get(&attempt.delivery_id).cloned();
            News {
                deliveries: attempts.iter().filter_map(delivery).collect(),
                requests,
                attempts,
                left_out,
                seen: state.present(),
            }
        }))
    }
}

impl State {
    fn present(&self) -> Seen {
        let last_message = self.messages.keys().last().map_or(0, |id| id.number());
        let last_request = self.requests.keys().last().map_or(0, |id| id.number());
        let under_way = self.unfinished().filter_map(Delivery::attempt_in_progress);
        Seen {
            requests: last_message.max(last_request),
            attempts: self.attempts.keys().last().map_or(0, |id| id.number()),
            under_way: under_way.map(|attempt| attempt.id).collect(),
            recent: BTreeSet::new(),
        }
    }

    fn arrived_since(&self, after: i64, own: &impl Fn(ProjectId) -> bool) -> Vec<Arrived> {
        let mut arrived = BTreeMap::new();
        let new = (Excluded(MessageId::from_number(after)), Unbounded);
        for (id, parcel) in self.messages.range(new) {
            let message = &parcel.message;
            if own(message.project_id) && message.origin != Origin::Released {
                arrived.insert(id.number(), Arrived::Accepted(Box::new(message.clone())));
            }
        }
        let new = (Excluded(RequestId::from_number(after)), Unbounded);
        for (id, stored) in self.requests.range(new) {
            let request = &stored.request;
            if own(request.project_id) {
                arrived.insert(id.number(), Arrived::Other(Box::new(request.clone())));
            }
        }
        arrived.into_values().collect()
    }

    fn ended_since(&self, since: &Seen, own: &impl Fn(ProjectId) -> bool) -> Vec<Attempt> {
        let after = AttemptId::from_number(since.attempts);
        let known = since.under_way.iter().filter(|id| **id <= after);
        let known = known.filter_map(|id| self.attempts.get(id));
        let new = self.attempts.range((Excluded(after), Unbounded));
        let ended = known.chain(new.map(|(_, attempt)| attempt));
        let light = |attempt: &Attempt| Attempt {
            response_body: Bytes::new(),
            ..attempt.clone()
        };
        let ended = ended.filter(|attempt| own(attempt.project_id));
        ended.map(light).collect()
    }
}
