//! What a provider is answered.

use axum::response::{IntoResponse, Response};
use hooklatch_core::admission::{Admission, Decision, Repeat};
use hooklatch_core::config::{Source, SourceResponse};
use hooklatch_core::ids::{MessageId, RequestId};
use hooklatch_core::message::{Effect, RequestOutcome};
use http::{HeaderName, HeaderValue, StatusCode, header};
use serde::Serialize;
use serde_json::json;

use super::Difference;
use crate::edge::name_after;
use crate::problem::Problem;

/// Says that an answer repeats an earlier one.
pub(crate) const IDEMPOTENT_REPLAYED: HeaderName = HeaderName::from_static("idempotent-replayed");

#[derive(Serialize)]
struct Outcome {
    outcome: RequestOutcome,
    message_id: MessageId,
    request_id: RequestId,
    effect: Effect,
    message: String,
}

/// The repetition that is refused with 409, if it is one.
pub(super) fn conflict(admission: &Admission) -> Option<&Repeat> {
    differing(admission).filter(|repeat| repeat.request.effect == Effect::None)
}

/// The repetition with another payload, if it is one.
pub(super) fn differing(admission: &Admission) -> Option<&Repeat> {
    match &admission.decision {
        Decision::Accept(_) => None,
        Decision::Repeat(repeat) => Some(&**repeat).filter(|one| one.request.payload_differs),
    }
}

/// What callers of either side learn of a conflict (C6).
pub(crate) fn conflict_problem(admission: &Admission, difference: Difference) -> Problem {
    let original = admission.message_id;
    Problem::conflict(format!(
        "this key was used before with another payload, by {original}; nothing was created. Use \
         another key for another event, or send the same payload again"
    ))
    .about(admission.request_id)
    .with("original_message_id", json!(original))
    .with(
        "original_fingerprint",
        json!(difference.original_fingerprint),
    )
    .with("fingerprint", json!(difference.fingerprint))
    .with("diff", json!(difference.pointers))
}

/// The answer to a request that is one event.
pub(super) fn one(admission: &Admission, source: &Source) -> Response {
    let outcome = outcome_of(admission);
    let mut answer = with_own_response(source, || serde_json::to_vec(&outcome));
    name_after(&mut answer, admission.request_id);
    if outcome.outcome == RequestOutcome::Duplicate {
        answer
            .headers_mut()
            .insert(IDEMPOTENT_REPLAYED, HeaderValue::from_static("true"));
    }
    answer
}

/// The answer to a batch: accepted if any element is (K10).
pub(super) fn batch(admissions: &[Admission], source: &Source) -> Response {
    let outcomes: Vec<Outcome> = admissions.iter().map(outcome_of).collect();
    let has = |wanted| outcomes.iter().any(|one| one.outcome == wanted);
    let outcome = if has(RequestOutcome::Accepted) {
        RequestOutcome::Accepted
    } else if has(RequestOutcome::Duplicate) {
        RequestOutcome::Duplicate
    } else {
        RequestOutcome::Conflict
    };
    let body = json!({"outcome": outcome, "data": outcomes});
    let mut answer = with_own_response(source, || serde_json::to_vec(&body));
    if outcome == RequestOutcome::Duplicate {
        answer
            .headers_mut()
            .insert(IDEMPOTENT_REPLAYED, HeaderValue::from_static("true"));
    }
    answer
}

fn outcome_of(admission: &Admission) -> Outcome {
    let mut dropped = false;
    let (outcome, effect) = match &admission.decision {
        Decision::Accept(accepted) => {
            dropped = accepted.message.routed && accepted.deliveries.is_empty();
            let effect = if accepted.message.routed {
                Effect::Routed
            } else {
                Effect::NoRoute
            };
            (RequestOutcome::Accepted, effect)
        }
        Decision::Repeat(repeat) => (repeat.request.outcome, repeat.request.effect),
    };
    Outcome {
        outcome,
        message_id: admission.message_id,
        request_id: admission.request_id,
        effect,
        message: if dropped {
            DROPPED.to_owned()
        } else {
            sentence(outcome, effect, admission.message_id)
        },
    }
}

const DROPPED: &str =
    "accepted and stored; the rules of its connections let it pass to no endpoint";

fn sentence(outcome: RequestOutcome, effect: Effect, message: MessageId) -> String {
    match (outcome, effect) {
        (RequestOutcome::Accepted, Effect::NoRoute) => {
            "accepted and stored; no connection of this source leads to an endpoint yet".to_owned()
        }
        (RequestOutcome::Accepted, _) => "accepted; it is on its way".to_owned(),
        (RequestOutcome::Duplicate, Effect::Redriven) => format!(
            "a duplicate of {message}, whose failed deliveries are tried again; nothing that \
             was delivered is sent again"
        ),
        (RequestOutcome::Duplicate, Effect::Rerouted) => {
            format!("a duplicate of {message}, which had matched no connection and is sent now")
        }
        (RequestOutcome::Duplicate, _) => {
            format!("a duplicate of {message}; it will not be sent again")
        }
        (RequestOutcome::Conflict, Effect::Held) => format!(
            "the key of {message} with another payload; held until a person releases or \
             discards it"
        ),
        (RequestOutcome::Conflict, _) => {
            format!("the key of {message} with another payload; refused, and not sent")
        }
        (RequestOutcome::Rejected, _) => "refused".to_owned(),
    }
}

/// The source's own answer where it has one, else ours under its status.
fn with_own_response(
    source: &Source,
    usual: impl FnOnce() -> serde_json::Result<Vec<u8>>,
) -> Response {
    let status = source
        .response
        .as_ref()
        .map_or(200, |response| response.status);
    let status = StatusCode::from_u16(status).expect("a source's status was checked");
    if let Some(SourceResponse {
        content_type,
        body: Some(body),
        ..
    }) = &source.response
    {
        let content_type = content_type
            .as_deref()
            .unwrap_or("text/plain; charset=utf-8");
        return (status, [(header::CONTENT_TYPE, content_type)], body.clone()).into_response();
    }
    let body = usual().expect("an outcome is plain JSON");
    (status, [(header::CONTENT_TYPE, "application/json")], body).into_response()
}
