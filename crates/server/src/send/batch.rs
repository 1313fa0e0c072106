//! Many calls at once: independent of each other, answered in their order (S7).

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use hooklatch_core::admission::Admission;
use hooklatch_core::config::Scope;
use hooklatch_core::limits::SEND_BATCH_MAX;
use hooklatch_core::message::Direction;
use http::HeaderMap;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::IDEMPOTENCY_KEY;
use super::arrival::arrival;
use super::input::{Fields, SendInput, unknown_among};
use super::result::{SendResult, Sent, result_of};
use crate::app::App;
use crate::caller::Caller;
use crate::ingest::Comparer;
use crate::json::{ApiText, unreadable};
use crate::problem::Problem;
use crate::trace::{Arriving, kept_of_send};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct BatchInput<'a> {
    #[serde(borrow)]
    items: Vec<&'a RawValue>,
}

/// One answer of a batch: a record or a problem, with what its own call would have said.
#[derive(Serialize)]
struct BatchLine {
    status_code: u16,
    replayed: bool,
    #[serde(flatten)]
    rest: BTreeMap<String, Box<RawValue>>,
}

#[derive(Serialize)]
struct BatchAnswer {
    data: Vec<BatchLine>,
}

pub(super) async fn send_batch(
    State(app): State<App>,
    caller: Caller,
    headers: HeaderMap,
    Arriving(span): Arriving,
    ApiText { text, share }: ApiText,
) -> Result<Response, Problem> {
    caller.require(Scope::Send)?;
    if headers.contains_key(IDEMPOTENCY_KEY) {
        let detail = "a batch has no key of its own; give each item its idempotency_key";
        return Err(Problem::malformed(detail));
    }
    let items = batch_items(&text)?;
    let trace = kept_of_send(&headers, span.as_ref());
    let (mut arrivals, mut places) = (Vec::new(), Vec::new());
    for item in items {
        let arrival = match SendInput::read(item.get().as_bytes()) {
            Ok(input) => arrival(&app, &caller, input, trace.clone()).await,
            Err(problem) => Err(problem),
        };
        places.push(arrival.map(|arrival| {
            let sent = Sent::of(&arrival);
            arrivals.push(arrival);
            sent
        }));
    }
    let admissions = match arrivals.is_empty() {
        true => Vec::new(),
        false => app.store().admit(arrivals).await?,
    };
    if let Some(span) = &span {
        span.note(None, &admissions);
    }
    for admission in &admissions {
        let metrics = app.directory().metrics();
        metrics.admitted(Direction::Outbound, admission);
    }
    let data = batch_lines(&app, places, admissions).await;
    drop(share);
    Ok(Json(BatchAnswer { data }).into_response())
}

fn batch_items(text: &[u8]) -> Result<Vec<&RawValue>, Problem> {
    let input: BatchInput<'_> = serde_json::from_slice(text).map_err(|error| {
        if error.is_data() {
            wrong_with(text)
        } else {
            unreadable(&error)
        }
    })?;
    if input.items.len() > SEND_BATCH_MAX {
        let detail = format!("may have at most {SEND_BATCH_MAX} items; send several batches");
        return Err(Problem::field("/items", detail));
    }
    Ok(input.items)
}

/// What is wrong with a JSON text that is no batch.
fn wrong_with(text: &[u8]) -> Problem {
    let Ok(fields) = serde_json::from_slice::<Fields<'_>>(text) else {
        return Problem::field("", "should be a JSON object with items");
    };
    let unknown: Vec<_> = unknown_among(&fields, &["items"]).collect();
    if unknown.is_empty() {
        Problem::field("/items", "should be a list of sends")
    } else {
        Problem::fields(unknown)
    }
}

/// One line per item, in their order (S7).
async fn batch_lines(
    app: &App,
    places: Vec<Result<Sent, Problem>>,
    admissions: Vec<Admission>,
) -> Vec<BatchLine> {
    let mut admissions = admissions.into_iter();
    let mut comparer = Comparer::new(app);
    let mut lines = Vec::with_capacity(places.len());
    for place in places {
        let result = match place {
            Ok(sent) => {
                let admission = admissions.next();
                let admission = admission.expect("a store answers each arrival");
                result_of(app, &mut comparer, admission, &sent).await
            }
            Err(problem) => Err(problem),
        };
        lines.push(line_of(result));
    }
    lines
}

fn line_of(result: Result<SendResult, Problem>) -> BatchLine {
    let (status_code, replayed, text) = match result {
        Ok(result) => (result.status.as_u16(), result.replayed, result.record),
        Err(problem) => (
            problem.status().as_u16(),
            false,
            problem.document(None).to_string(),
        ),
    };
    let rest = serde_json::from_str(&text).expect("records and problems are JSON objects");
    BatchLine {
        status_code,
        replayed,
        rest,
    }
}
