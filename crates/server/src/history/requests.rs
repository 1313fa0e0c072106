//! Requests: every arrival, what became of it, and a person's word on it (D4).

use axum::extract::State;
use axum::response::Response;
use hooklatch_core::admission::{ReleaseInput, ReleaseRefused};
use hooklatch_core::arrive::{came_in_order, came_through, sent_in_order, sent_through};
use hooklatch_core::cause::Cause;
use hooklatch_core::claim::{self, SendTarget};
use hooklatch_core::config::Scope;
use hooklatch_core::delivery::lifecycle::Destination;
use hooklatch_core::fingerprint::Fingerprint;
use hooklatch_core::ids::{ProjectId, RequestId};
use hooklatch_core::key::Body;
use hooklatch_core::message::{Direction, Request, RequestOutcome};
use hooklatch_core::routing::Audience;
use hooklatch_core::rules::Ruling;
use hooklatch_core::time::Timestamp;
use hooklatch_store::{Page, ReleaseOutcome, RequestFilter, RequestView};

use super::listing::{Listed, list};
use super::parameters::Parameters;
use super::views::{Concealments, RequestRecord};
use super::{PathText, answer, keys};
use crate::app::App;
use crate::audit::{Said, note};
use crate::caller::Caller;
use crate::problem::{Kind, Problem};

const OUTCOMES: [RequestOutcome; 4] = [
    RequestOutcome::Accepted,
    RequestOutcome::Duplicate,
    RequestOutcome::Conflict,
    RequestOutcome::Rejected,
];

pub(crate) async fn list_all(
    State(app): State<App>,
    caller: Caller,
    mut parameters: Parameters,
) -> Result<Response, Problem> {
    caller.require(Scope::Read)?;
    let mut filter = RequestFilter {
        outcome: parameters.one_of("outcome", &OUTCOMES, RequestOutcome::as_str),
        cause: parameters.one_of("cause", &Cause::ALL, Cause::as_str),
        source_id: parameters.parsed("source_id"),
        message_id: parameters.parsed("message_id"),
        checksums: None,
        time: parameters.time_range(),
    };
    let key = parameters.text("key");
    let page = parameters.page(Listed::Requests);
    parameters.finish()?;
    if let Some(key) = key {
        filter.checksums = Some(keys::under_key(&app, caller.project, &key).await?.0);
    }
    let page = app.store().requests(caller.project, filter, page).await?;
    Ok(listed(&app, caller.project, &page))
}

/// A page of requests.
pub(super) fn listed(app: &App, project: ProjectId, page: &Page<RequestView>) -> Response {
    let concealments = Concealments::of(&app.directory().snapshot(), project);
    let record = |view| RequestRecord::of(view, &concealments);
    let records = page.items.iter().map(record).collect();
    list(records, Listed::Requests, page.next)
}

pub(crate) async fn show(
    State(app): State<App>,
    caller: Caller,
    path: PathText,
    parameters: Parameters,
) -> Result<Response, Problem> {
    caller.require(Scope::Read)?;
    let id: RequestId = path.id("request")?;
    parameters.finish()?;
    shown(&app, caller.project, id).await
}

pub(crate) async fn release(
    State(app): State<App>,
    caller: Caller,
    path: PathText,
    parameters: Parameters,
    said: Said,
) -> Result<Response, Problem> {
    caller.require(Scope::Manage)?;
    let id: RequestId = path.id("request")?;
    parameters.finish()?;
    let view = found(&app, caller.project, id).await?;
    let mut destinations = destinations(&app, &view).await?;
    let rulings = rulings(&app, &view, &mut destinations).await?;
    let input = ReleaseInput {
        destinations: destinations.into(),
        rulings: rulings.into(),
        now: app.store().now(),
    };
    let outcome = app.store().release(caller.project, id, input).await?;
    let answer = decided(&app, caller.project, id, outcome).await?;
    note(&app, &caller, "request.release", id, said).await?;
    Ok(answer)
}

pub(crate) async fn discard(
    State(app): State<App>,
    caller: Caller,
    path: PathText,
    parameters: Parameters,
    said: Said,
) -> Result<Response, Problem> {
    caller.require(Scope::Manage)?;
    let id: RequestId = path.id("request")?;
    parameters.finish()?;
    let outcome = app.store().discard(caller.project, id).await?;
    let answer = decided(&app, caller.project, id, outcome).await?;
    note(&app, &caller, "request.discard", id, said).await?;
    Ok(answer)
}

/// The request as it stands after a person's word on it.
async fn decided(
    app: &App,
    project: ProjectId,
    id: RequestId,
    outcome: ReleaseOutcome,
) -> Result<Response, Problem> {
    match outcome {
        ReleaseOutcome::Released(_) | ReleaseOutcome::Discarded => shown(app, project, id).await,
        ReleaseOutcome::Refused(refused) => Err(refusal(refused)),
        ReleaseOutcome::NotFound => Err(Problem::not_found("request", id)),
    }
}

fn refusal(refused: ReleaseRefused) -> Problem {
    let (kind, reason) = match refused {
        ReleaseRefused::Accepted => (Kind::Conflict, "accepted"),
        ReleaseRefused::Rejected => (Kind::Conflict, "rejected"),
        ReleaseRefused::AlreadyReleased => (Kind::Conflict, "already_released"),
        ReleaseRefused::AlreadyDiscarded => (Kind::Conflict, "already_discarded"),
        ReleaseRefused::NotHeld => (Kind::Conflict, "not_held"),
        ReleaseRefused::NoRoute => (Kind::Conflict, "no_route"),
        ReleaseRefused::HistoryDropped => (Kind::Gone, "history_dropped"),
    };
    Problem::new(kind, refused.to_string()).with("reason", reason)
}

async fn shown(app: &App, project: ProjectId, id: RequestId) -> Result<Response, Problem> {
    let view = found(app, project, id).await?;
    let body = app.store().request_body(project, id).await?;
    let concealments = Concealments::of(&app.directory().snapshot(), project);
    let pruned_at = match (&body, &view) {
        (None, RequestView::Other { request, .. }) => original_pruned_at(app, request).await?,
        (Some(_), _) | (None, RequestView::Accepted { .. }) => None,
    };
    let record = RequestRecord::of(&view, &concealments)
        .with_body(body.as_deref())
        .with_original_pruned_at(pruned_at);
    Ok(answer(&record))
}

/// When the payload was pruned that a request repeats.
async fn original_pruned_at(app: &App, request: &Request) -> Result<Option<Timestamp>, Problem> {
    let Some(original) = request.original_message_id else {
        return Ok(None);
    };
    let original = app.store().message(request.project_id, original).await?;
    Ok(original.and_then(|view| view.message.payload_pruned_at))
}

async fn found(app: &App, project: ProjectId, id: RequestId) -> Result<RequestView, Problem> {
    let view = app.store().request(project, id).await?;
    view.ok_or_else(|| Problem::not_found("request", id))
}

/// Where a released request goes: by the connections of today for what came through a source, to
/// the target that the caller named for a send.
async fn destinations(app: &App, view: &RequestView) -> Result<Vec<Destination>, Problem> {
    let RequestView::Other { request, .. } = view else {
        return Ok(Vec::new());
    };
    let snapshot = app.directory().snapshot();
    if let Some(source) = request.source_id {
        return Ok(snapshot.source_destinations(source));
    }
    let routed = |audience: Audience<'_>| {
        let event_type = request.event_type.as_deref();
        snapshot.send_destinations(request.project_id, audience, event_type)
    };
    match target(request) {
        Some(SendTarget::Endpoint(id)) => Ok(routed(Audience::Endpoint(*id))),
        Some(SendTarget::Tenant(tenant)) => Ok(routed(Audience::Tenant(tenant))),
        Some(SendTarget::Broadcast) => Ok(routed(Audience::Broadcast)),
        Some(SendTarget::Url(_)) => original_destinations(app, request).await,
        None => Ok(Vec::new()),
    }
}

/// What the rules on its way say of a released request, by the payload that it carried; it also
/// says what its deliveries are ordered with.
async fn rulings(
    app: &App,
    view: &RequestView,
    destinations: &mut [Destination],
) -> Result<Vec<Ruling>, Problem> {
    let RequestView::Other { request, envelope } = view else {
        return Ok(Vec::new());
    };
    let snapshot = app.directory().snapshot();
    let (rulebooks, ordered) = (
        snapshot.rulebooks(destinations),
        snapshot.ordered(destinations),
    );
    if rulebooks.is_empty() && ordered.is_empty() {
        return Ok(Vec::new());
    }
    let body = app.store().request_body(request.project_id, request.id);
    let body = body.await?.unwrap_or_default();
    let fingerprint = request
        .fingerprint
        .unwrap_or(Fingerprint::from_bytes([0; 32]));
    if request.direction == Direction::Inbound {
        came_in_order(destinations, &ordered, envelope, &body);
        return Ok(came_through(&rulebooks, envelope, &body, fingerprint));
    }
    let headers = added_headers(app, request).await?;
    let read = Body::understand(Some("application/json"), &body);
    sent_in_order(destinations, &ordered, &headers, (&body, &read));
    Ok(sent_through(
        &rulebooks,
        &headers,
        (&body, &read),
        fingerprint,
    ))
}

/// The headers that a released send goes with: those of its original, if it is the same payload.
async fn added_headers(app: &App, request: &Request) -> Result<Vec<(String, String)>, Problem> {
    let Some(original) = request.original_message_id else {
        return Ok(Vec::new());
    };
    if request.payload_differs {
        return Ok(Vec::new());
    }
    let view = app.store().message(request.project_id, original).await?;
    Ok(view.map_or_else(Vec::new, |view| view.message.extra_headers))
}

fn target(request: &Request) -> Option<&SendTarget> {
    match &request.key.as_ref()?.scope {
        claim::Scope::Send(_, target) => Some(target),
        claim::Scope::Source(_)
        | claim::Scope::Group(_)
        | claim::Scope::Connection(_)
        | claim::Scope::Shadow(_) => None,
    }
}

/// A send to a bare URL goes where its original went.
async fn original_destinations(app: &App, request: &Request) -> Result<Vec<Destination>, Problem> {
    let Some(original) = request.original_message_id else {
        return Ok(Vec::new());
    };
    let view = app.store().message(request.project_id, original).await?;
    let deliveries = view.map(|view| view.deliveries).unwrap_or_default();
    let destination = |delivery: hooklatch_core::delivery::Delivery| Destination {
        endpoint_id: delivery.endpoint_id,
        connection_id: delivery.connection_id,
        lane: delivery.lane(),
        suffix_webhook_id: delivery.suffix_webhook_id,
        order_key: None,
    };
    Ok(deliveries.into_iter().map(destination).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_release_whose_history_was_dropped_is_gone_and_says_so() {
        let problem = refusal(ReleaseRefused::HistoryDropped);
        assert_eq!(problem.status(), http::StatusCode::GONE);
        assert!(problem.detail().contains("was dropped"), "{problem:?}");
        assert_eq!(problem.document(None)["reason"], "history_dropped");
        let conflict = refusal(ReleaseRefused::NotHeld);
        assert_eq!(conflict.status(), http::StatusCode::CONFLICT);
    }
}
