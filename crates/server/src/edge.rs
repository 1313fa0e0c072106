//! What every request passes on its way in, and every answer on its way out.
//!
//! Each answer names its request, so that a caller's report leads to a line of the log; and there
//! is a bound to what is under way at once, so that a flood is turned away instead of filling the
//! memory.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use hooklatch_core::ids::RequestId;
use hooklatch_core::limits::{HEADER_BYTES_MAX, HEADERS_MAX};
use hooklatch_engine::trace::{Name, about};
use http::{HeaderMap, HeaderName, HeaderValue};

use crate::app::App;
use crate::metrics::Route;
use crate::problem::{Kind, Problem};
use crate::trace;

/// The header that names a request.
pub const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Names calls that leave no record of their own: unique within the process by a counter, and
/// between processes by chance.
#[derive(Debug)]
pub struct CallNames {
    process: u64,
    next: AtomicU64,
}

impl CallNames {
    /// Names that start with this process's own number, drawn at random.
    pub fn new(process: u64) -> Self {
        Self {
            process,
            next: AtomicU64::new(1),
        }
    }

    fn next(&self) -> Name {
        Name::Call {
            process: self.process,
            number: self.next.fetch_add(1, Ordering::Relaxed),
        }
    }
}

/// Bounds what is under way, names every answer, and begins and ends the span of the request.
pub async fn guard(State(app): State<App>, mut request: Request, next: Next) -> Response {
    let began = Instant::now();
    let route = Route::of(request.uri().path());
    let name = app.call_names().next();
    let (subject, span) = trace::begin(&app, name, &mut request);
    let answer = match admit(&app, request.headers()) {
        Ok(flight) => {
            let answer = about(subject, next.run(request)).await;
            drop(flight);
            answer
        }
        Err(problem) => problem.into_response(),
    };
    let metrics = app.directory().metrics();
    metrics.called(route, answer.status(), began.elapsed());
    let answer = named(answer, || name.to_string());
    if let Some(span) = span {
        span.end(&app, &answer);
    }
    answer
}

/// Only names the answer: a probe is answered while the gateway is full, or whoever watches it would
/// end it for being busy.
pub async fn probe(State(app): State<App>, request: Request, next: Next) -> Response {
    let answer = match check_headers(request.headers()) {
        Ok(()) => next.run(request).await,
        Err(problem) => problem.into_response(),
    };
    named(answer, || app.call_names().next().to_string())
}

fn admit(app: &App, headers: &HeaderMap) -> Result<tokio::sync::OwnedSemaphorePermit, Problem> {
    check_headers(headers)?;
    app.flights().try_acquire_owned().map_err(|_| {
        Problem::unavailable(
            "too many requests are under way; nothing was recorded, repeating is safe",
        )
    })
}

fn check_headers(headers: &HeaderMap) -> Result<(), Problem> {
    let lines = headers
        .iter()
        .map(|(name, value)| name.as_str().len() + value.len());
    if headers.len() > HEADERS_MAX || lines.sum::<usize>() > HEADER_BYTES_MAX {
        let detail = format!(
            "a request may have at most {HEADERS_MAX} headers with {HEADER_BYTES_MAX} bytes in all"
        );
        return Err(Problem::new(Kind::HeadersTooLarge, detail));
    }
    Ok(())
}

/// Gives the answer its name, unless it has that of what was recorded, and writes out a problem
/// under that name.
fn named(mut answer: Response, name: impl FnOnce() -> String) -> Response {
    let problem = answer.extensions_mut().remove::<Problem>();
    let recorded = problem
        .as_ref()
        .and_then(Problem::request)
        .map(|id| id.to_string());
    if problem.is_none() && answer.headers().contains_key(X_REQUEST_ID) {
        return answer;
    }
    let id = recorded.unwrap_or_else(name);
    if let Some(problem) = problem {
        answer = written_out(problem, &id, answer.headers());
    }
    if let Ok(value) = HeaderValue::try_from(id) {
        answer.headers_mut().insert(X_REQUEST_ID, value);
    }
    answer
}

/// Names the answer after the request that was recorded.
pub(crate) fn name_after(answer: &mut Response, id: RequestId) {
    let id = HeaderValue::try_from(id.to_string()).expect("an id is visible ASCII");
    answer.headers_mut().insert(X_REQUEST_ID, id);
}

/// The problem's answer, with the headers that the router added, `Allow` above all.
fn written_out(problem: Problem, id: &str, added: &HeaderMap) -> Response {
    let mut answer = problem.into_answer(id);
    for (name, value) in added {
        if !answer.headers().contains_key(name) {
            answer.headers_mut().insert(name, value.clone());
        }
    }
    answer
}
