//! Takes events that a caller wants sent (S1 to S7).

mod arrival;
mod batch;
mod input;
mod result;

use axum::Router;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use hooklatch_core::config::Scope;
use hooklatch_core::message::Direction;
use hooklatch_core::outgoing::parse_idempotency_key;
use http::HeaderMap;

use crate::app::App;
use crate::caller::Caller;
use crate::edge::name_after;
use crate::ingest::Comparer;
use crate::json::ApiText;
use crate::problem::Problem;
use crate::trace::{Arriving, kept_of_send};
use arrival::arrival;
use input::SendInput;
use result::{Sent, result_of};

const IDEMPOTENCY_KEY: &str = "idempotency-key";

pub(crate) fn routes() -> Router<App> {
    Router::new()
        .route("/v1/webhooks/send", post(send))
        .route("/v1/webhooks/send/batch", post(batch::send_batch))
}

async fn send(
    State(app): State<App>,
    caller: Caller,
    headers: HeaderMap,
    Arriving(span): Arriving,
    ApiText { text, share }: ApiText,
) -> Result<Response, Problem> {
    caller.require(Scope::Send)?;
    let mut input = SendInput::read(&text)?;
    input.key = one_key(&headers, input.key)?;
    let trace = kept_of_send(&headers, span.as_ref());
    let arrival = arrival(&app, &caller, input, trace).await?;
    let sent = Sent::of(&arrival);
    let mut admissions = app.store().admit(vec![arrival]).await?;
    if let Some(span) = &span {
        span.note(None, &admissions);
    }
    let admission = admissions.pop();
    let admission = admission.expect("a store answers each arrival with one admission");
    let id = admission.request_id;
    app.directory()
        .metrics()
        .admitted(Direction::Outbound, &admission);
    let mut comparer = Comparer::new(&app);
    let result = result_of(&app, &mut comparer, admission, &sent).await?;
    let mut answer = result.into_response();
    name_after(&mut answer, id);
    drop(share);
    Ok(answer)
}

/// The key from the header or from the field: both are the same thing.
pub(crate) fn one_key(
    headers: &HeaderMap,
    field: Option<String>,
) -> Result<Option<String>, Problem> {
    let mut key = field;
    for value in headers.get_all(IDEMPOTENCY_KEY) {
        // What is not ASCII is refused as invisible, by the rule for keys.
        let text = value.to_str().unwrap_or("\u{fffd}");
        let named = parse_idempotency_key(text);
        let named = named.map_err(|refusal| Problem::malformed(refusal.to_string()))?;
        if key.as_ref().is_some_and(|key| *key != named) {
            return Err(Problem::malformed(
                "the header Idempotency-Key and the field idempotency_key differ; give one of them",
            ));
        }
        key = Some(named);
    }
    Ok(key)
}
