//! Messages, and everything that belongs to one.

use axum::extract::State;
use axum::response::Response;
use hooklatch_core::config::Scope;
use hooklatch_core::delivery::DeliveryStatus;
use hooklatch_core::ids::{MessageId, ProjectId};
use hooklatch_core::message::Origin;
use hooklatch_store::{MessageFilter, MessageView, Page, RequestFilter, StatusFilter};

use super::listing::{Listed, list as answer_list, paged};
use super::parameters::Parameters;
use super::search::Search;
use super::views::{Concealments, DeliveryRecord, MessageRecord, Shown};
use super::{PathText, answer, requests as request_routes, retrying, under};
use crate::app::App;
use crate::audit::{Said, note};
use crate::caller::Caller;
use crate::problem::{Kind, Problem};

/// A status of messages as people name it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Status {
    Delivery(DeliveryStatus),
    NoRoute,
    Filtered,
}

const STATUSES: [Status; 8] = [
    Status::Delivery(DeliveryStatus::Pending),
    Status::Delivery(DeliveryStatus::Delivering),
    Status::Delivery(DeliveryStatus::Delivered),
    Status::Delivery(DeliveryStatus::Failed),
    Status::Delivery(DeliveryStatus::Held),
    Status::Delivery(DeliveryStatus::Cancelled),
    Status::NoRoute,
    Status::Filtered,
];

impl Status {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Delivery(status) => status.as_str(),
            Self::NoRoute => "no_route",
            Self::Filtered => "filtered",
        }
    }

    /// The same as the store names it.
    const fn filter(self) -> StatusFilter {
        match self {
            Self::Delivery(status) => StatusFilter::Delivery(status),
            Self::NoRoute => StatusFilter::NoRoute,
            Self::Filtered => StatusFilter::Filtered,
        }
    }
}

pub(crate) async fn list(
    State(app): State<App>,
    caller: Caller,
    mut parameters: Parameters,
) -> Result<Response, Problem> {
    caller.require(Scope::Read)?;
    let status = parameters.one_of("status", &STATUSES, Status::as_str);
    let mut filter = MessageFilter {
        ids: None,
        source_id: parameters.parsed("source_id"),
        endpoint_id: parameters.parsed("endpoint_id"),
        tenant: parameters.text("tenant"),
        event_type: parameters.text("event_type"),
        status: status.map(Status::filter),
        time: parameters.time_range(),
    };
    let key = parameters.text("key");
    let search = parameters.read("q", Search::read);
    let page = parameters.page(Listed::Messages);
    parameters.finish()?;
    if let Some(key) = key {
        filter.ids = Some(under::messages_under(&app, caller.project, &key).await?);
    }
    let page = match search {
        None => app.store().messages(caller.project, filter, page).await?,
        Some(search) => search.messages(&app, caller.project, filter, page).await?,
    };
    Ok(listed(&app, caller.project, &page))
}

fn listed(app: &App, project: ProjectId, page: &Page<MessageView>) -> Response {
    let concealments = Concealments::of(&app.directory().snapshot(), project);
    let record = |view| record(view, Shown::Listed, &concealments);
    let records = page.items.iter().map(record).collect();
    answer_list(records, Listed::Messages, page.next)
}

fn record<'a>(
    view: &'a MessageView,
    shown: Shown,
    concealments: &Concealments,
) -> MessageRecord<'a> {
    let concealment = concealments.for_source(view.message.source_id);
    MessageRecord::shown(view, shown, concealment)
}

pub(crate) async fn show(
    State(app): State<App>,
    caller: Caller,
    path: PathText,
    parameters: Parameters,
) -> Result<Response, Problem> {
    caller.require(Scope::Read)?;
    let id = path.id("message")?;
    parameters.finish()?;
    let view = found(&app, caller.project, id).await?;
    let concealments = Concealments::of(&app.directory().snapshot(), caller.project);
    Ok(answer(&record(&view, Shown::Whole, &concealments)))
}

/// The original and what repeated it. A message that was made by a release has the one request
/// that was released.
pub(crate) async fn requests(
    State(app): State<App>,
    caller: Caller,
    path: PathText,
    mut parameters: Parameters,
) -> Result<Response, Problem> {
    caller.require(Scope::Read)?;
    let id = path.id("message")?;
    let page = parameters.page(Listed::Requests);
    parameters.finish()?;
    let message = found(&app, caller.project, id).await?.message;
    let page = match message.origin {
        Origin::Released | Origin::Replayed | Origin::Copied | Origin::CopiedDerived => {
            let request = app
                .store()
                .request(caller.project, message.request_id)
                .await?;
            let number = message.request_id.number();
            let items = request.into_iter().collect();
            paged(items, |_| number, page)
        }
        Origin::Accepted | Origin::Conflicting => {
            let filter = RequestFilter {
                message_id: Some(id),
                ..RequestFilter::default()
            };
            app.store().requests(caller.project, filter, page).await?
        }
    };
    Ok(request_routes::listed(&app, caller.project, &page))
}

pub(crate) async fn deliveries(
    State(app): State<App>,
    caller: Caller,
    path: PathText,
    mut parameters: Parameters,
) -> Result<Response, Problem> {
    caller.require(Scope::Read)?;
    let id = path.id("message")?;
    let page = parameters.page(Listed::Deliveries);
    parameters.finish()?;
    let mut deliveries = found(&app, caller.project, id).await?.deliveries;
    deliveries.sort_by_key(|delivery| delivery.id);
    let page = paged(deliveries, |delivery| delivery.id.number(), page);
    let records = page.items.iter().map(DeliveryRecord::of).collect();
    Ok(answer_list(records, Listed::Deliveries, page.next))
}

pub(crate) async fn retry(
    State(app): State<App>,
    caller: Caller,
    path: PathText,
    parameters: Parameters,
    said: Said,
) -> Result<Response, Problem> {
    caller.require(Scope::Manage)?;
    let id: MessageId = path.id("message")?;
    parameters.finish()?;
    let view = found(&app, caller.project, id).await?;
    if let Some(at) = view.message.payload_pruned_at {
        let detail = format!(
            "the payload was pruned at {at}, as the project's retention says; there is nothing \
             left to send. What happened stays on record"
        );
        return Err(Problem::new(Kind::Gone, detail));
    }
    let retried = retrying::retry_all(&app, view).await?;
    note(&app, &caller, "message.retry", id, said).await?;
    Ok(answer(&retried))
}

async fn found(app: &App, project: ProjectId, id: MessageId) -> Result<MessageView, Problem> {
    let view = app.store().message(project, id).await?;
    view.ok_or_else(|| Problem::not_found("message", id))
}
