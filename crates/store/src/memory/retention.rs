//! Pruning, in memory.

use std::collections::HashSet;
use std::sync::Arc;

use bytes::Bytes;
use hooklatch_core::ids::{DeliveryId, MessageId, ProjectId, RequestId};
use hooklatch_core::invariants::may_be_pruned;
use hooklatch_core::retention::{PruneStep, Pruned, Standing, What, Wrapping};
use hooklatch_core::time::Timestamp;

use super::{MemoryStore, State, ready};
use crate::{Answer, PayloadSize, PayloadSizes, Retention};

impl Retention for MemoryStore {
    fn prune(&self, step: PruneStep) -> Answer<'_, Pruned> {
        let now = self.clock.now();
        ready(self.lock().map(|mut state| state.prune(&step, now)))
    }

    fn prune_ended(&self, rows_max: usize) -> Answer<'_, usize> {
        let now = self.clock.now();
        ready(self.lock().map(|mut state| {
            // There is no thread beside this store: whoever prunes it is the one who sweeps it.
            state.sweep(now);
            let ended = |until: Option<Timestamp>| until.is_some_and(|until| until <= now);
            let messages = state.messages.values().map(|parcel| &parcel.message);
            let due = messages.filter(|it| ended(it.payload_until));
            let due = due.filter(|it| it.payload_pruned_at.is_none());
            let due: Vec<MessageId> = due.map(|message| message.id).collect();
            let due = due
                .into_iter()
                .filter(|id| state.standing(*id) == Standing::Ended);
            let due: Vec<MessageId> = due.take(rows_max).collect();
            for id in &due {
                state.prune_message_payload(*id, now);
            }
            due.len()
        }))
    }

    fn payload_sizes(&self, below: i64, rows_max: usize) -> Answer<'_, PayloadSizes> {
        ready(self.lock().map(|state| {
            let numbers = state.numbers(i64::MIN, below, rows_max);
            let next = (numbers.len() == rows_max)
                .then(|| numbers.last().copied())
                .flatten();
            let sizes = numbers.into_iter().filter_map(|number| state.size(number));
            let sizes = sizes.collect();
            PayloadSizes { sizes, next }
        }))
    }
}

impl State {
    fn prune(&mut self, step: &PruneStep, now: Timestamp) -> Pruned {
        let numbers = self.numbers(step.from, step.below, step.rows_max);
        let mut pruned = Pruned {
            next: (numbers.len() == step.rows_max)
                .then(|| numbers.last().copied())
                .flatten(),
            ..Pruned::default()
        };
        for number in numbers {
            let Some((project, standing)) = self.whose(number) else {
                continue;
            };
            // Envelopes are shared by reference here, so that nothing has to wait for others.
            if standing == Standing::Unfinished || !step.takes(project, number, Wrapping::Own) {
                continue;
            }
            match step.what {
                What::Payloads => pruned.payloads += u64::from(self.prune_payload(number, now)),
                What::History => {
                    self.forget(number, project);
                    pruned.records += 1;
                }
            }
        }
        pruned
    }

    /// The numbers of messages and requests, youngest first.
    fn numbers(&self, from: i64, below: i64, most: usize) -> Vec<i64> {
        self.numbers_in(from..below).take(most).collect()
    }

    fn whose(&self, number: i64) -> Option<(ProjectId, Standing)> {
        let id = MessageId::from_number(number);
        if let Some(parcel) = self.messages.get(&id) {
            return Some((parcel.message.project_id, self.standing(id)));
        }
        let stored = self.requests.get(&RequestId::from_number(number))?;
        let request = &stored.request;
        Some((request.project_id, Standing::of_request(request.effect)))
    }

    fn standing(&self, id: MessageId) -> Standing {
        let deliveries = self.deliveries_of(id);
        Standing::of_message(deliveries.map(|delivery| delivery.state.status()))
    }

    fn size(&self, number: i64) -> Option<PayloadSize> {
        let size = |project, body: &Bytes| PayloadSize {
            number,
            project,
            bytes: body.len() as u64,
        };
        let id = MessageId::from_number(number);
        if let Some(parcel) = self.messages.get(&id) {
            let message = &parcel.message;
            let kept = message.payload_pruned_at.is_none();
            return kept.then(|| size(message.project_id, &parcel.body));
        }
        let stored = self.requests.get(&RequestId::from_number(number))?;
        let body = stored.body.as_ref()?;
        Some(size(stored.request.project_id, body))
    }

    /// Prunes a payload; answers whether there was one.
    fn prune_payload(&mut self, number: i64, now: Timestamp) -> bool {
        let id = MessageId::from_number(number);
        if self.messages.contains_key(&id) {
            return self.prune_message_payload(id, now);
        }
        let stored = self.requests.get_mut(&RequestId::from_number(number));
        let stored = stored.expect("it was just found");
        let gone = stored.body.take().is_some();
        if gone {
            stored.request.payload_pruned_at = Some(now);
        }
        gone
    }

    fn prune_message_payload(&mut self, id: MessageId, now: Timestamp) -> bool {
        let parcel = self.messages.get_mut(&id).expect("it was just found");
        if parcel.message.payload_pruned_at.is_some() {
            return false;
        }
        let parcel = Arc::make_mut(parcel);
        parcel.message.payload_pruned_at = Some(now);
        parcel.body = Bytes::new();
        let deliveries = self.deliveries_of(id).map(|delivery| delivery.id);
        let deliveries: Vec<DeliveryId> = deliveries.collect();
        for delivery in deliveries {
            self.transformed.remove(&delivery);
        }
        true
    }

    /// Brings a pruned payload back, as a duplicate that starts deliveries again carries it (D2).
    pub(super) fn restore_payload(&mut self, id: Option<MessageId>, body: &Bytes) {
        let parcel = id.and_then(|id| self.messages.get_mut(&id));
        let Some(parcel) = parcel.filter(|it| it.message.payload_pruned_at.is_some()) else {
            return;
        };
        let parcel = Arc::make_mut(parcel);
        parcel.message.payload_pruned_at = None;
        parcel.body = body.clone();
    }

    /// Whether a message can still be sent.
    pub(super) fn has_payload(&self, id: MessageId) -> bool {
        let parcel = self.messages.get(&id);
        parcel.is_some_and(|parcel| parcel.message.payload_pruned_at.is_none())
    }

    fn forget(&mut self, number: i64, project: ProjectId) {
        let id = MessageId::from_number(number);
        if self.messages.remove(&id).is_none() {
            self.forget_request(RequestId::from_number(number));
            return;
        }
        self.forgotten.insert(id, project);
        self.forget_deliveries(id);
    }

    /// Lets go what only takes room: claims whose windows have ended, what they remember of messages
    /// that are gone, and the claims of receivers that have expired.
    fn sweep(&mut self, now: Timestamp) {
        self.claims.retain(|_, row| {
            row.retain(|claim| !may_be_pruned(claim, now));
            !row.is_empty()
        });
        let claimed = self.claims.values().flatten();
        let claimed: HashSet<MessageId> = claimed.map(|claim| claim.message_id).collect();
        self.forgotten.retain(|id, _| claimed.contains(id));
        self.sweep_receiving(now);
    }
}
