//! What happened, in memory.

use std::ops::Range;
use std::sync::Arc;

use hooklatch_core::delivery::Delivery;
use hooklatch_core::delivery::attempt::Attempt;
use hooklatch_core::ids::{DeliveryId, MessageId, ProjectId, RequestId, first_number_at};
use hooklatch_core::message::{Parcel, RequestOutcome};

use super::{MemoryStore, State, ready};
use crate::{
    Answer, AttemptFilter, History, MessageFilter, MessageView, Page, PageRequest, RequestFilter,
    RequestView, StatusFilter, TimeRange,
};

impl History for MemoryStore {
    fn message(&self, project: ProjectId, id: MessageId) -> Answer<'_, Option<MessageView>> {
        ready(self.lock().map(|state| {
            let parcel = state.messages.get(&id)?;
            (parcel.message.project_id == project).then(|| state.view(parcel))
        }))
    }

    fn messages(
        &self,
        project: ProjectId,
        filter: MessageFilter,
        page: PageRequest,
    ) -> Answer<'_, Page<MessageView>> {
        ready(self.lock().map(|state| {
            let newest_first = state.messages_in(numbers(filter.time, page));
            let own = newest_first.filter(|parcel| parcel.message.project_id == project);
            let views = own.map(|parcel| (parcel.message.id.number(), state.view(parcel)));
            let matching = views.filter(|(_, view)| matches_message(&filter, view));
            paged(matching, page.limit)
        }))
    }

    fn request(&self, project: ProjectId, id: RequestId) -> Answer<'_, Option<RequestView>> {
        ready(
            self.lock()
                .map(|state| state.request_view(project, id.number())),
        )
    }

    fn requests(
        &self,
        project: ProjectId,
        filter: RequestFilter,
        page: PageRequest,
    ) -> Answer<'_, Page<RequestView>> {
        ready(self.lock().map(|state| {
            let newest_first = state.numbers_in(numbers(filter.time, page));
            let own = newest_first.filter_map(|it| Some((it, state.request_view(project, it)?)));
            let matching = own.filter(|(_, view)| matches_request(&filter, view));
            paged(matching, page.limit)
        }))
    }

    fn delivery(&self, project: ProjectId, id: DeliveryId) -> Answer<'_, Option<Delivery>> {
        ready(self.lock().map(|state| {
            let found = state.deliveries.get(&id);
            found
                .filter(|delivery| delivery.project_id == project)
                .cloned()
        }))
    }

    fn attempts_of(&self, project: ProjectId, id: DeliveryId) -> Answer<'_, Vec<Attempt>> {
        ready(self.lock().map(|state| {
            let ended = state.attempts_of(id);
            let under_way = state
                .deliveries
                .get(&id)
                .and_then(Delivery::attempt_in_progress);
            let all = ended.cloned().chain(under_way);
            all.filter(|attempt| attempt.project_id == project)
                .collect()
        }))
    }

    fn attempts(
        &self,
        project: ProjectId,
        filter: AttemptFilter,
        page: PageRequest,
    ) -> Answer<'_, Page<Attempt>> {
        ready(self.lock().map(|state| {
            let newest_first = state.attempts_in(numbers(filter.time, page));
            let own = newest_first.filter(|attempt| attempt.project_id == project);
            let matching = own.filter(|attempt| matches_attempt(&filter, attempt));
            let numbered = matching.map(|attempt| (attempt.id.number(), attempt.clone()));
            paged(numbered, page.limit)
        }))
    }
}

impl State {
    fn view(&self, parcel: &Parcel) -> MessageView {
        let id = parcel.message.id;
        MessageView {
            message: parcel.message.clone(),
            envelope: Arc::clone(&parcel.envelope),
            body: parcel.body.clone(),
            deliveries: self.deliveries_of(id).cloned().collect(),
            duplicates: self.duplicates_of(id).count() as u64,
        }
    }

    /// The request with this number, if it is the project's.
    fn request_view(&self, project: ProjectId, number: i64) -> Option<RequestView> {
        if let Some(parcel) = self.messages.get(&MessageId::from_number(number)) {
            let message = &parcel.message;
            let own = message.project_id == project && message.origin.is_arrival();
            return own.then(|| RequestView::Accepted {
                message: message.clone(),
                envelope: Arc::clone(&parcel.envelope),
            });
        }
        let stored = self.requests.get(&RequestId::from_number(number))?;
        (stored.request.project_id == project).then(|| RequestView::Other {
            request: stored.request.clone(),
            envelope: Arc::clone(&stored.envelope),
        })
    }
}

/// The numbers of what a page may show.
fn numbers(time: TimeRange, page: PageRequest) -> Range<i64> {
    let from = time.after.map_or(0, first_number_at);
    let to = time.before.map_or(i64::MAX, first_number_at);
    from..to.min(page.below.unwrap_or(i64::MAX))
}

fn paged<T>(mut newest_first: impl Iterator<Item = (i64, T)>, limit: usize) -> Page<T> {
    let mut items = Vec::new();
    let mut last = None;
    for (number, item) in newest_first.by_ref().take(limit) {
        last = Some(number);
        items.push(item);
    }
    let next = last.filter(|_| newest_first.next().is_some());
    Page { items, next }
}

fn matches_message(filter: &MessageFilter, view: &MessageView) -> bool {
    let message = &view.message;
    let to_endpoint = |endpoint| {
        view.deliveries
            .iter()
            .any(|d| d.endpoint_id == Some(endpoint))
    };
    let with_status = |status: StatusFilter| {
        let statuses: Vec<_> = view.deliveries.iter().map(|d| d.state.status()).collect();
        status.fits(message.routed, &statuses)
    };
    filter
        .ids
        .as_ref()
        .is_none_or(|ids| ids.contains(&message.id))
        && filter
            .source_id
            .is_none_or(|source| message.source_id == Some(source))
        && filter.endpoint_id.is_none_or(to_endpoint)
        && (filter.tenant.is_none() || message.tenant == filter.tenant)
        && (filter.event_type.is_none() || message.event_type == filter.event_type)
        && filter.status.is_none_or(with_status)
}

fn matches_request(filter: &RequestFilter, view: &RequestView) -> bool {
    let (outcome, cause, source, about, key) = match view {
        RequestView::Accepted { message, .. } => {
            let about = Some(message.id);
            (
                RequestOutcome::Accepted,
                None,
                message.source_id,
                about,
                &message.key,
            )
        }
        RequestView::Other { request, .. } => {
            let about = request.original_message_id;
            (
                request.outcome,
                request.cause,
                request.source_id,
                about,
                &request.key,
            )
        }
    };
    let with_key = |wanted: &Vec<_>| {
        key.as_ref()
            .is_some_and(|key| wanted.contains(&key.checksum))
    };
    filter.outcome.is_none_or(|wanted| outcome == wanted)
        && filter.cause.is_none_or(|wanted| cause == Some(wanted))
        && filter.source_id.is_none_or(|wanted| source == Some(wanted))
        && filter.message_id.is_none_or(|wanted| about == Some(wanted))
        && filter.checksums.as_ref().is_none_or(with_key)
}

fn matches_attempt(filter: &AttemptFilter, attempt: &Attempt) -> bool {
    filter
        .trigger
        .is_none_or(|wanted| attempt.trigger == wanted)
        && filter
            .outcome
            .is_none_or(|wanted| attempt.outcome == wanted)
        && filter
            .endpoint_id
            .is_none_or(|wanted| attempt.endpoint_id == Some(wanted))
}
