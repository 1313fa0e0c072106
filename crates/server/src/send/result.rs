//! What a caller is answered.

use std::sync::Arc;

use axum::response::{IntoResponse, Response};
use hooklatch_core::admission::{Accepted, Admission, Arrival, Decision, Repeat};
use hooklatch_core::message::{Envelope, RequestOutcome};
use http::{HeaderValue, StatusCode, header};

use crate::app::App;
use crate::history::views::MessageRecord;
use crate::ingest::answer::{IDEMPOTENT_REPLAYED, conflict_problem};
use crate::ingest::{Comparer, Seen};
use crate::problem::Problem;

/// What is remembered of an arrival while the store has it.
pub(super) struct Sent {
    seen: Seen,
    envelope: Arc<Envelope>,
}

impl Sent {
    pub(super) fn of(arrival: &Arrival) -> Self {
        Self {
            seen: Seen::of(arrival),
            envelope: Arc::clone(&arrival.envelope),
        }
    }
}

/// What a call came to: the record's JSON, under its status.
pub(super) struct SendResult {
    pub(super) status: StatusCode,
    pub(super) replayed: bool,
    pub(super) record: String,
}

impl IntoResponse for SendResult {
    fn into_response(self) -> Response {
        let json = [(header::CONTENT_TYPE, "application/json")];
        let mut answer = (self.status, json, self.record).into_response();
        if self.replayed {
            answer
                .headers_mut()
                .insert(IDEMPOTENT_REPLAYED, HeaderValue::from_static("true"));
        }
        answer
    }
}

pub(super) async fn result_of(
    app: &App,
    comparer: &mut Comparer<'_>,
    admission: Admission,
    sent: &Sent,
) -> Result<SendResult, Problem> {
    match &admission.decision {
        Decision::Accept(accepted) => accepted_result(accepted, sent),
        Decision::Repeat(repeat) if repeat.request.outcome == RequestOutcome::Conflict => {
            let difference = comparer.difference(repeat, &sent.seen).await?;
            Err(conflict_problem(&admission, difference))
        }
        Decision::Repeat(repeat) => repeated_result(app, repeat).await,
    }
}

/// S1: the new message.
fn accepted_result(accepted: &Accepted, sent: &Sent) -> Result<SendResult, Problem> {
    let record = MessageRecord::of_accepted(accepted, &sent.envelope, &sent.seen.body);
    let (status, replayed) = (StatusCode::ACCEPTED, false);
    Ok(SendResult {
        status,
        replayed,
        record: text(&record),
    })
}

/// S2: the original as it is now.
async fn repeated_result(app: &App, repeat: &Repeat) -> Result<SendResult, Problem> {
    let request = &repeat.request;
    let original = request
        .original_message_id
        .expect("a repetition has an original");
    let view = app.store().message(request.project_id, original).await?;
    let view = view.ok_or_else(|| Problem::not_found("message", original))?;
    let (status, replayed) = (StatusCode::OK, true);
    Ok(SendResult {
        status,
        replayed,
        record: text(&MessageRecord::of(&view)),
    })
}

fn text(record: &MessageRecord<'_>) -> String {
    serde_json::to_string(record).expect("a record is plain JSON")
}
