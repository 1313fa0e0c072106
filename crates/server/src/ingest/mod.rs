//! Takes in what providers send.
//!
//! The order is a promise (K7): who sent it comes before every other question, and nothing is
//! asked of the store for a request that is not let in. What is let in costs one call of the
//! store, and is answered when that has made it durable (C2).

pub(crate) mod answer;
mod certificates;
mod certified;
mod difference;
mod handshake;
mod refusal;
mod share;

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use axum::routing::any;
use bytes::Bytes;
use hooklatch_core::admission::{Admission, Arrival};
use hooklatch_core::arrive::Asked;
use hooklatch_core::message::{Direction, Envelope};
use hooklatch_core::time::Timestamp;
use hooklatch_core::token::token_hash;
use http::request::Parts;
use http::{HeaderMap, HeaderValue, StatusCode, header};

pub(crate) use certificates::Certificates;
pub(crate) use difference::{Comparer, Difference, keep_differences};
pub(crate) use refusal::RefusalLog;
pub(crate) use share::SourceShares;

use crate::app::App;
use crate::body::{self, Whole};
use crate::directory::Gate;
use crate::heavy;
use crate::problem::{Kind, Problem};
use crate::resources::base_url;
use crate::trace::ArrivalSpan;
use certified::{Certified, Unjudged};
use refusal::Refusal;

/// How long a sender shall wait while its source is paused, in seconds.
const PAUSE_SECONDS: u32 = 30;
/// How long a sender shall wait while its source has its share of requests, in seconds.
const BUSY_SECONDS: u32 = 1;

pub(crate) fn routes() -> Router<App> {
    Router::new()
        .route("/ingest/{token}", any(ingest))
        .route("/ingest/{token}/", any(ingest))
        .route("/ingest/{token}/{*rest}", any(ingest))
}

async fn ingest(State(app): State<App>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let Some((gate, rest)) = gate_of(&app, parts.uri.path()) else {
        return unknown_token().into_response();
    };
    // Where there is no room, there is none for a log either.
    let Some(_place) = app.source_shares().enter(gate.ready.source.id) else {
        return too_many().into_response();
    };
    let span = parts.extensions.get::<ArrivalSpan>().cloned();
    let envelope = envelope(&parts, rest, span.as_ref());
    if let Some(answer) = gate.ready.intake.unsigned_handshake(&envelope) {
        return handshake::answer(answer);
    }
    let silent = gate.ready.intake.refuses_silently();
    let arrived = Arrived {
        received_at: app.store().now(),
        url: called_url(&app, &parts),
        envelope,
        gate,
        span,
        app,
    };
    match arrived.take(body).await {
        Ok(answer) => answer,
        Err(refusal) if silent => handshake::without_body(&refusal.answer().await),
        Err(refusal) => refusal.answer().await,
    }
}

/// The source that a path leads to, and the rest of the path behind the token.
fn gate_of<'p>(app: &App, path: &'p str) -> Option<(Gate, &'p str)> {
    let path = path.strip_prefix("/ingest/")?;
    let (token, rest) = path.split_at(path.find('/').unwrap_or(path.len()));
    let gate = app.directory().snapshot().gate(&token_hash(token))?.clone();
    let open = gate.until.is_none_or(|until| app.store().now() < until);
    open.then_some((gate, rest))
}

fn unknown_token() -> Problem {
    let detail = "no source has this ingest URL; copy the URL from GET /v1/sources";
    Problem::new(Kind::NotFound, detail)
}

fn too_many() -> Problem {
    let detail = "too many requests to this ingest URL are under way; nothing was recorded, \
                  repeating is safe";
    Problem::new(Kind::TooManyRequests, detail).retry_after(BUSY_SECONDS)
}

/// The URL as the sender knows it, which some signatures cover: a proxy may stand before us, so
/// the public URL says where we are, and the request only what of it was called.
fn called_url(app: &App, parts: &Parts) -> String {
    let called = parts.uri.path_and_query();
    let called = called.map_or("/", |called| called.as_str());
    format!("{}{called}", base_url(app, &parts.headers))
}

fn envelope(parts: &Parts, rest: &str, span: Option<&ArrivalSpan>) -> Envelope {
    let mut headers = lines(&parts.headers);
    headers.extend(span.map(ArrivalSpan::kept));
    Envelope {
        method: parts.method.as_str().to_owned(),
        path: rest.to_owned(),
        query: parts.uri.query().map(str::to_owned),
        headers,
    }
}

/// Every header line; a value that is not UTF-8 byte by byte as Latin-1.
fn lines(headers: &HeaderMap) -> Vec<(String, String)> {
    let line = |(name, value): (&header::HeaderName, &HeaderValue)| {
        (name.as_str().to_owned(), text_of(value))
    };
    headers.iter().map(line).collect()
}

fn text_of(value: &HeaderValue) -> String {
    match std::str::from_utf8(value.as_bytes()) {
        Ok(text) => text.to_owned(),
        Err(_) => value
            .as_bytes()
            .iter()
            .map(|byte| char::from(*byte))
            .collect(),
    }
}

/// A request for a source that there is.
struct Arrived {
    app: App,
    gate: Gate,
    span: Option<ArrivalSpan>,
    url: String,
    envelope: Envelope,
    received_at: Timestamp,
}

impl Arrived {
    async fn take(self, body: Body) -> Result<Response, Refusal> {
        let bytes_max = match self.check_door() {
            Ok(bytes_max) => bytes_max,
            Err(problem) => return Err(self.refused_before_verification(problem)),
        };
        let whole = match body::read(body, bytes_max, &self.app).await {
            Ok(whole) => whole,
            // Where there is no room, there is none for a log either.
            Err(problem) if problem.status() == StatusCode::SERVICE_UNAVAILABLE => {
                return Err(Refusal::because_of(problem));
            }
            Err(problem) => return Err(self.refused_before_verification(problem)),
        };
        let certified = match self.certified(&whole.bytes).await {
            Ok(certified) => certified,
            Err(unjudged) => return Err(self.unjudged(unjudged)),
        };
        let Self {
            app,
            gate,
            span,
            url,
            envelope,
            received_at,
        } = self;
        let length = whole.bytes.len();
        let look = move || {
            let Whole { bytes, share } = whole;
            let intake = &gate.ready.intake;
            let presented = certified.as_ref().map(Certified::presented);
            let routes = &gate.routes;
            let received =
                intake.receive_certified(envelope, &url, bytes, received_at, routes, presented);
            (received, gate, share)
        };
        // The share of memory goes with the bytes, and is held until the answer: the store holds
        // them as long.
        let (received, gate, _share) = heavy::over(length, look).await;
        let envelope = received.envelope;
        match received.outcome {
            // A store that cannot take the event cannot take the refusal either (C8).
            Ok(asked) => admit(&app, &gate, span, asked)
                .await
                .map_err(Refusal::because_of),
            Err(refused) => Err(Refusal::of(&refused).logged(app, &gate, envelope, received_at)),
        }
    }

    /// What can be said before the body is read; else the largest body that is taken.
    fn check_door(&self) -> Result<usize, Problem> {
        let source = &self.gate.ready.source;
        if !source.methods.contains(&self.envelope.method) {
            return Err(wrong_method(&source.methods));
        }
        if source.paused {
            let detail = "the source is paused; nothing was recorded, repeating is safe";
            return Err(Problem::unavailable(detail).retry_after(PAUSE_SECONDS));
        }
        Ok(source.max_body_bytes)
    }

    fn unjudged(self, unjudged: Unjudged) -> Refusal {
        match unjudged {
            Unjudged::Refused(refusal) => {
                let envelope = Arc::new(self.envelope);
                refusal.logged(self.app, &self.gate, envelope, self.received_at)
            }
            Unjudged::Later(problem) => self.refused_before_verification(problem),
        }
    }

    fn refused_before_verification(self, problem: Problem) -> Refusal {
        let Self {
            app,
            gate,
            envelope,
            received_at,
            ..
        } = self;
        // Nobody has proved who sent this, so its credential is masked like any other.
        let envelope = Arc::new(gate.ready.intake.concealed(envelope));
        Refusal::because_of(problem).logged(app, &gate, envelope, received_at)
    }
}

fn wrong_method(methods: &[String]) -> Problem {
    let allowed = methods.join(", ");
    let detail = format!("this source takes {allowed}; its setting \"methods\" says so");
    let problem = Problem::new(Kind::MethodNotAllowed, detail);
    match HeaderValue::try_from(allowed) {
        Ok(allowed) => problem.with_header(header::ALLOW, allowed),
        Err(_) => problem,
    }
}

async fn admit(
    app: &App,
    gate: &Gate,
    span: Option<ArrivalSpan>,
    asked: Asked,
) -> Result<Response, Problem> {
    let source = &gate.ready.source;
    let note = |admissions: &[Admission]| {
        if let Some(span) = &span {
            span.note(Some(source.id), admissions);
        }
    };
    match asked {
        Asked::One(arrival) => {
            let seen = Seen::of(&arrival);
            let admissions = app.store().admit(vec![*arrival]).await?;
            note(&admissions);
            let admission = the_only(admissions);
            app.directory()
                .metrics()
                .admitted(Direction::Inbound, &admission);
            if let Some(refused) = answer::conflict(&admission) {
                let difference = Comparer::new(app).difference(refused, &seen).await?;
                return Err(answer::conflict_problem(&admission, difference));
            }
            note_differences(app, [(&admission, seen)]);
            Ok(answer::one(&admission, source))
        }
        Asked::Batch(arrivals) => {
            let seen: Vec<Seen> = arrivals.iter().map(Seen::of).collect();
            let admissions = app.store().admit(arrivals).await?;
            note(&admissions);
            let metrics = app.directory().metrics();
            for admission in &admissions {
                metrics.admitted(Direction::Inbound, admission);
            }
            note_differences(app, admissions.iter().zip(seen));
            Ok(answer::batch(&admissions, source))
        }
        Asked::Handshake(answer) => Ok(handshake::answer(answer)),
        Asked::Confirm { url } => certified::confirm(app, gate, &url).await,
    }
}

fn the_only(admissions: Vec<Admission>) -> Admission {
    let mut admissions = admissions.into_iter();
    let first = admissions.next();
    first.expect("a store answers each arrival with one admission")
}

/// What is remembered of an arrival while the store has it, to compare it with its original.
#[derive(Clone)]
pub(crate) struct Seen {
    pub content_type: Option<String>,
    pub body: Bytes,
}

impl Seen {
    pub(crate) fn of(arrival: &Arrival) -> Self {
        Self {
            content_type: arrival.envelope.payload_type().map(str::to_owned),
            body: arrival.body.clone(),
        }
    }
}

fn note_differences<'a>(app: &App, seen: impl IntoIterator<Item = (&'a Admission, Seen)>) {
    let differing = |(admission, seen)| Some((answer::differing(admission)?, seen));
    keep_differences(app, seen.into_iter().filter_map(differing));
}
