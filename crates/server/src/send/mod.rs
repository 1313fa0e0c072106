//! Takes events that a caller wants sent (S1 to S7).

mod input;

use axum::Router;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use bytes::Bytes;
use hooklatch_core::address::check_url;
use hooklatch_core::admission::{Accepted, Admission, Arrival, Decision, Repeat};
use hooklatch_core::arrive::{Call, outbound};
use hooklatch_core::claim::SendTarget;
use hooklatch_core::config::Scope;
use hooklatch_core::delivery::Lane;
use hooklatch_core::delivery::lifecycle::Destination;
use hooklatch_core::ids::EndpointId;
use hooklatch_core::limits::{FAN_OUT_MAX, SEND_BATCH_MAX};
use hooklatch_core::message::RequestOutcome;
use hooklatch_core::outgoing::{dropped_reserved, parse_idempotency_key};
use hooklatch_core::routing::Audience;
use hooklatch_core::seal::NONCE_BYTES;
use hooklatch_core::secret::Secret;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::app::App;
use crate::caller::Caller;
use crate::directory::fill;
use crate::edge::name_after;
use crate::ingest::answer::{IDEMPOTENT_REPLAYED, conflict_problem};
use crate::ingest::{Seen, difference};
use crate::json::{ApiText, unreadable};
use crate::problem::Problem;
use crate::record::MessageRecord;
use input::{SendInput, TargetInput};

const IDEMPOTENCY_KEY: &str = "idempotency-key";

pub(crate) fn routes() -> Router<App> {
    Router::new()
        .route("/v1/webhooks/send", post(send))
        .route("/v1/webhooks/send/batch", post(send_batch))
}

async fn send(
    State(app): State<App>,
    caller: Caller,
    headers: HeaderMap,
    ApiText(text): ApiText,
) -> Result<Response, Problem> {
    caller.require(Scope::Send)?;
    let mut input = SendInput::read(&text)?;
    input.key = one_key(&headers, input.key)?;
    let arrival = outbound(call(&app, &caller, input)?);
    let sent = Sent::of(&arrival);
    let admission = app.store().admit(vec![arrival]).await?.pop();
    let admission = admission.expect("a store answers each arrival with one admission");
    let id = admission.request_id;
    let mut answer = result_of(&app, admission, &sent).await?.into_response();
    name_after(&mut answer, id);
    Ok(answer)
}

/// The key from the header or from the field: both are the same thing.
fn one_key(headers: &HeaderMap, field: Option<String>) -> Result<Option<String>, Problem> {
    let Some(value) = headers.get(IDEMPOTENCY_KEY) else {
        return Ok(field);
    };
    let text = value.to_str().map_err(|_| {
        Problem::malformed("the header Idempotency-Key should have visible ASCII characters only")
    })?;
    let key = parse_idempotency_key(text);
    let key = key.map_err(|refusal| Problem::malformed(refusal.to_string()))?;
    match field {
        Some(field) if field != key => Err(Problem::malformed(
            "the header Idempotency-Key and the field idempotency_key differ; give one of them",
        )),
        Some(_) | None => Ok(Some(key)),
    }
}

fn call(app: &App, caller: &Caller, input: SendInput) -> Result<Call, Problem> {
    let snapshot = app.directory().snapshot();
    let (target, destinations) = resolve(app, caller, &input)?;
    if destinations.len() > FAN_OUT_MAX {
        let detail = format!("leads to more than {FAN_OUT_MAX} endpoints; send to tenants");
        return Err(Problem::field("/broadcast", detail));
    }
    let dropped = dropped_reserved(&input.headers);
    let warning = |name: String| format!("the header {name} is reserved and will not be sent");
    Ok(Call {
        project_id: caller.project,
        received_at: app.store().now(),
        target,
        key: input.key,
        event_type: input.event_type,
        payload: Bytes::from(input.payload),
        extra_headers: input.headers,
        warnings: dropped.into_iter().map(warning).collect(),
        delay: input.delay,
        on_failed_original: input.on_failed_original,
        sealed_secret: input.secret.map(|secret| sealed(app, caller, &secret)),
        destinations,
        disabled: snapshot.disabled(caller.project),
    })
}

fn sealed(app: &App, caller: &Caller, secret: &Secret) -> String {
    let mut nonce = [0; NONCE_BYTES];
    fill(&mut nonce);
    let owner = caller.project.to_string();
    app.directory()
        .sealing_key()
        .seal(&owner, secret.expose().as_bytes(), nonce)
}

/// For whom it is, and where that leads now (S6).
fn resolve(
    app: &App,
    caller: &Caller,
    input: &SendInput,
) -> Result<(SendTarget, Vec<Destination>), Problem> {
    let snapshot = app.directory().snapshot();
    let routed = |audience: Audience<'_>| {
        snapshot.send_destinations(caller.project, audience, input.event_type.as_deref())
    };
    Ok(match &input.target {
        TargetInput::Endpoint(text) => {
            let known = text.parse::<EndpointId>().ok();
            let known = known.filter(|id| snapshot.endpoint(caller.project, *id).is_some());
            let id = known.ok_or_else(|| Problem::not_found("endpoint", text))?;
            (SendTarget::Endpoint(id), routed(Audience::Endpoint(id)))
        }
        TargetInput::Url(text) => {
            let url = check_url(text, app.directory().reach());
            let url = url.map_err(|refusal| Problem::field("/url", refusal.to_string()))?;
            let lane = Lane::of_host(url.host_str().unwrap_or_default());
            (SendTarget::Url(url.into()), vec![direct(lane)])
        }
        TargetInput::Tenant(tenant) => (
            SendTarget::Tenant(tenant.clone()),
            routed(Audience::Tenant(tenant)),
        ),
        TargetInput::Broadcast => (SendTarget::Broadcast, routed(Audience::Broadcast)),
    })
}

fn direct(lane: Lane) -> Destination {
    Destination {
        endpoint_id: None,
        connection_id: None,
        lane,
        suffix_webhook_id: false,
    }
}

/// What is remembered of an arrival while the store has it.
struct Sent {
    seen: Seen,
    envelope: std::sync::Arc<hooklatch_core::message::Envelope>,
}

impl Sent {
    fn of(arrival: &Arrival) -> Self {
        Self {
            seen: Seen::of(arrival),
            envelope: std::sync::Arc::clone(&arrival.envelope),
        }
    }
}

/// What a call came to: the record's JSON, under its status.
struct SendResult {
    status: StatusCode,
    replayed: bool,
    record: String,
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

async fn result_of(app: &App, admission: Admission, sent: &Sent) -> Result<SendResult, Problem> {
    match &admission.decision {
        Decision::Accept(accepted) => accepted_result(accepted, sent),
        Decision::Repeat(repeat) if repeat.request.outcome == RequestOutcome::Conflict => {
            let difference = difference(app, repeat, &sent.seen).await?;
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

#[derive(Deserialize)]
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
    rest: std::collections::BTreeMap<String, Box<RawValue>>,
}

#[derive(Serialize)]
struct BatchAnswer {
    data: Vec<BatchLine>,
}

async fn send_batch(
    State(app): State<App>,
    caller: Caller,
    headers: HeaderMap,
    ApiText(text): ApiText,
) -> Result<Response, Problem> {
    caller.require(Scope::Send)?;
    if headers.contains_key(IDEMPOTENCY_KEY) {
        let detail = "a batch has no key of its own; give each item its idempotency_key";
        return Err(Problem::malformed(detail));
    }
    let items = batch_items(&text)?;
    let calls = items.iter().map(|item| {
        let input = SendInput::read(item.get().as_bytes())?;
        call(&app, &caller, input).map(outbound)
    });
    let (mut arrivals, mut places) = (Vec::new(), Vec::new());
    for arrival in calls {
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
    let data = batch_lines(&app, places, admissions).await;
    Ok(axum::Json(BatchAnswer { data }).into_response())
}

fn batch_items(text: &[u8]) -> Result<Vec<&RawValue>, Problem> {
    let input: BatchInput<'_> = serde_json::from_slice(text).map_err(|error| {
        if error.is_data() {
            Problem::field("/items", "is missing; give a list of sends")
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

/// One line per item, in their order (S7).
async fn batch_lines(
    app: &App,
    places: Vec<Result<Sent, Problem>>,
    admissions: Vec<Admission>,
) -> Vec<BatchLine> {
    let mut admissions = admissions.into_iter();
    let mut lines = Vec::with_capacity(places.len());
    for place in places {
        let result = match place {
            Ok(sent) => {
                let admission = admissions.next();
                let admission = admission.expect("a store answers each arrival");
                result_of(app, admission, &sent).await
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
