//! Figures, in memory: counted whenever they are asked for.

use hooklatch_core::ids::{EndpointId, ProjectId, SourceId};
use hooklatch_core::message::{Origin, RequestOutcome};
use hooklatch_core::time::Timestamp;

use super::{MemoryStore, State, ready};
use crate::node::sums::{Slot, Sums};
use crate::record::Code;
use crate::stats::WAITING_COUNTED_MAX;
use crate::{Answer, Counts, CountsQuery, RolledUp, Stats, StoreError, Waiting};

impl Stats for MemoryStore {
    fn counts(&self, project: ProjectId, query: CountsQuery) -> Answer<'_, Counts> {
        let counted = self.lock().and_then(|state| {
            let mut sums = Sums::default();
            state.count_arrivals(project, query, &mut sums);
            state.count_attempts(project, query, &mut sums);
            sums.counts(query.step).map_err(StoreError::from)
        });
        ready(counted)
    }

    fn waiting(&self, project: ProjectId, endpoints: Vec<EndpointId>) -> Answer<'_, Vec<Waiting>> {
        ready(self.lock().map(|state| {
            let of_one = |endpoint| state.waiting(project, endpoint);
            endpoints.into_iter().map(of_one).collect()
        }))
    }

    fn last_arrivals(
        &self,
        project: ProjectId,
        sources: Vec<SourceId>,
    ) -> Answer<'_, Vec<Option<Timestamp>>> {
        ready(self.lock().map(|state| {
            let of_one = |source| state.last_arrival(project, source);
            sources.into_iter().map(of_one).collect()
        }))
    }

    fn roll_up(&self) -> Answer<'_, RolledUp> {
        ready(self.lock().map(|_| RolledUp::Done))
    }
}

fn inside(query: CountsQuery, minted: Timestamp) -> bool {
    (query.from..query.to).contains(&minted)
}

impl State {
    fn count_arrivals(&self, project: ProjectId, query: CountsQuery, sums: &mut Sums) {
        for parcel in self.messages.values() {
            let message = &parcel.message;
            let own = message.project_id == project && message.origin != Origin::Released;
            if own && inside(query, message.id.minted_at()) {
                let source = message.source_id.map(SourceId::number);
                let outcome = RequestOutcome::Accepted.code();
                let number = message.id.number();
                let slot = Slot::arrival(number, project.number(), source, outcome, None);
                sums.add(slot, 1, i64::from(message.key.is_none()));
            }
        }
        for stored in self.requests.values() {
            let request = &stored.request;
            if request.project_id == project && inside(query, request.id.minted_at()) {
                let source = request.source_id.map(SourceId::number);
                let (outcome, cause) = (request.outcome.code(), request.cause.map(Code::code));
                let number = request.id.number();
                let slot = Slot::arrival(number, project.number(), source, outcome, cause);
                sums.add(slot, 1, 0);
            }
        }
    }

    fn count_attempts(&self, project: ProjectId, query: CountsQuery, sums: &mut Sums) {
        for attempt in self.attempts.values() {
            if attempt.project_id == project && inside(query, attempt.id.minted_at()) {
                let endpoint = attempt.endpoint_id.map(EndpointId::number);
                let (outcome, trigger) = (attempt.outcome.code(), attempt.trigger.code());
                let number = attempt.id.number();
                let slot = Slot::attempt(number, project.number(), endpoint, outcome, trigger);
                let took = i64::try_from(attempt.duration_ms).unwrap_or(i64::MAX);
                sums.add(slot, 1, took);
            }
        }
    }

    fn waiting(&self, project: ProjectId, endpoint_id: EndpointId) -> Waiting {
        let own = self.unfinished().filter(|delivery| {
            delivery.project_id == project
                && delivery.endpoint_id == Some(endpoint_id)
                && super::deliveries::is_waiting(delivery)
        });
        let (mut count, mut oldest) = (0, None);
        for delivery in own {
            count += 1;
            let made = delivery.id.minted_at();
            oldest = Some(oldest.map_or(made, |known: Timestamp| known.min(made)));
        }
        Waiting {
            endpoint_id,
            count: u64::min(count, WAITING_COUNTED_MAX),
            oldest,
        }
    }

    fn last_arrival(&self, project: ProjectId, source: SourceId) -> Option<Timestamp> {
        let messages = self.messages.values().map(|parcel| &parcel.message);
        let accepted = messages
            .filter(|message| message.project_id == project && message.source_id == Some(source))
            .filter(|message| message.origin != Origin::Released)
            .map(|message| message.id.minted_at());
        let requests = self.requests.values().map(|stored| &stored.request);
        let repeated = requests
            .filter(|request| request.project_id == project && request.source_id == Some(source))
            .filter(|request| request.outcome != RequestOutcome::Rejected)
            .map(|request| request.id.minted_at());
        accepted.chain(repeated).max()
    }
}
