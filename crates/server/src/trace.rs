//! The span of a request that arrives, from the edge to its answer.
//!
//! It travels with the request where its trace is recorded, and costs nothing where it is not. What
//! is turned away before anything was decided on it leaves no span: otherwise whoever knows our
//! address could fill the collector.

use std::convert::Infallible;
use std::sync::{Arc, Mutex, PoisonError};

use axum::extract::{FromRequestParts, Request};
use axum::response::Response;
use hooklatch_core::admission::{Admission, Decision};
use hooklatch_core::ids::SourceId;
use hooklatch_core::message::RequestOutcome;
use hooklatch_core::trace::{self, TRACEPARENT, TRACESTATE, TraceContext, TracedArrival};
use hooklatch_engine::trace::{Attribute, Began, Kind, Name, Subject};
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Method};

use crate::app::App;
use crate::edge::X_REQUEST_ID;
use crate::metrics::Route;

const TRACEPARENT_NAME: HeaderName = HeaderName::from_static(TRACEPARENT);
const TRACESTATE_NAME: HeaderName = HeaderName::from_static(TRACESTATE);
const ARRIVAL_NAME: HeaderName = HeaderName::from_static(trace::ARRIVAL);

/// The span of a request whose trace is recorded.
#[derive(Clone)]
pub(crate) struct ArrivalSpan(Arc<Inner>);

struct Inner {
    route: Route,
    method: Method,
    began: Began,
    place: TracedArrival,
    said: Mutex<Vec<(&'static str, Attribute)>>,
}

/// A handler's view of it.
pub(crate) struct Arriving(pub Option<ArrivalSpan>);

impl<S: Sync> FromRequestParts<S> for Arriving {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(Self(parts.extensions.get::<ArrivalSpan>().cloned()))
    }
}

/// Begins the span of a request where there is to be one, and says what its lines of the log are
/// about.
pub(crate) fn begin(
    app: &App,
    name: Name,
    request: &mut Request,
) -> (Subject, Option<ArrivalSpan>) {
    let came = came_with(request.headers());
    let span = span(app, came, request);
    let trace = span.as_ref().map(ArrivalSpan::context).or(came);
    let subject = Subject {
        name,
        trace: trace.map(|context| context.trace),
    };
    (subject, span)
}

fn span(app: &App, came: Option<TraceContext>, request: &mut Request) -> Option<ArrivalSpan> {
    // Only we say which span an arrival has: what a stranger says of it would else be kept with the
    // message, and believed by a node that traces.
    request.headers_mut().remove(ARRIVAL_NAME);
    let tracer = app.settings().tracer.as_ref()?;
    let route = Route::of(request.uri().path());
    let place = match route {
        Route::Ingest | Route::Send => tracer.arrive(came)?,
        Route::Api => return None,
    };
    let span = ArrivalSpan(Arc::new(Inner {
        route,
        method: request.method().clone(),
        began: Began::now(),
        place,
        said: Mutex::default(),
    }));
    request.extensions_mut().insert(span.clone());
    Some(span)
}

fn came_with(headers: &HeaderMap) -> Option<TraceContext> {
    TraceContext::only(texts(headers, &TRACEPARENT_NAME))
}

fn texts<'a>(headers: &'a HeaderMap, name: &HeaderName) -> impl Iterator<Item = &'a str> + use<'a> {
    let values = headers.get_all(name).into_iter();
    values.map(|value: &HeaderValue| value.to_str().unwrap_or_default())
}

/// What a message keeps of the trace that a call of the send API belongs to.
pub(crate) fn kept_of_send(
    headers: &HeaderMap,
    span: Option<&ArrivalSpan>,
) -> Vec<(String, String)> {
    let (parents, states) = (
        texts(headers, &TRACEPARENT_NAME),
        texts(headers, &TRACESTATE_NAME),
    );
    let mut kept = trace::kept_of_send(parents, states);
    kept.extend(span.map(ArrivalSpan::kept));
    kept
}

impl ArrivalSpan {
    fn context(&self) -> TraceContext {
        self.0.place.context
    }

    /// The header that an envelope keeps it as.
    pub(crate) fn kept(&self) -> (String, String) {
        (trace::ARRIVAL.to_owned(), self.context().to_string())
    }

    /// Notes what was decided.
    pub(crate) fn note(&self, source: Option<SourceId>, admissions: &[Admission]) {
        let mut said = self.0.said.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(source) = source {
            said.push(("hooklatch.source.id", source.to_string().into()));
        }
        match admissions {
            [one] => note_one(one, &mut said),
            many => note_many(many, &mut said),
        }
    }

    /// Ends it with the answer, which has its name by now.
    pub(crate) fn end(self, app: &App, answer: &Response) {
        let inner = &*self.0;
        let status = answer.status();
        let said = std::mem::take(&mut *inner.said.lock().unwrap_or_else(PoisonError::into_inner));
        let Some(tracer) = app.settings().tracer.as_ref() else {
            return;
        };
        if said.is_empty() && status.is_client_error() {
            return;
        }
        let name = inner.route.as_str();
        let mut span = inner.began.end(name, Kind::Server, inner.place);
        let method = inner.method.to_string();
        span.attributes.push(("http.request.method", method.into()));
        let number = i64::from(status.as_u16());
        span.attributes
            .push(("http.response.status_code", number.into()));
        if let Some(id) = answer.headers().get(X_REQUEST_ID) {
            let id = String::from_utf8_lossy(id.as_bytes()).into_owned();
            span.attributes.push(("hooklatch.request.id", id.into()));
        }
        span.attributes.extend(said);
        span.error = status
            .is_server_error()
            .then(|| format!("answered {number}"));
        tracer.record(span);
    }
}

fn note_one(admission: &Admission, said: &mut Vec<(&'static str, Attribute)>) {
    let message = admission.message_id.to_string();
    said.push(("hooklatch.message.id", message.into()));
    said.push(("hooklatch.outcome", outcome(admission).as_str().into()));
    if let Decision::Repeat(repeat) = &admission.decision
        && let Some(cause) = repeat.request.cause
    {
        said.push(("hooklatch.cause", cause.as_str().into()));
    }
}

fn note_many(admissions: &[Admission], said: &mut Vec<(&'static str, Attribute)>) {
    for (name, wanted) in [
        ("hooklatch.accepted", RequestOutcome::Accepted),
        ("hooklatch.duplicates", RequestOutcome::Duplicate),
        ("hooklatch.conflicts", RequestOutcome::Conflict),
    ] {
        let of_it = admissions.iter().filter(|one| outcome(one) == wanted);
        let count = i64::try_from(of_it.count()).unwrap_or(i64::MAX);
        said.push((name, count.into()));
    }
}

fn outcome(admission: &Admission) -> RequestOutcome {
    match &admission.decision {
        Decision::Accept(_) => RequestOutcome::Accepted,
        Decision::Repeat(repeat) => repeat.request.outcome,
    }
}
