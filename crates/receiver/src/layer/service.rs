//! The service: reads the body once, verifies, runs the handler in its own task, answers.

use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::request::Parts;
use http::{HeaderValue, Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use tower_service::Service;

use super::ReceiverLayer;
use super::answer::{Answer, AnswerMode, Content, Settled, answer};
use super::intake::Arrived;
use super::response::{self, StoredResponse};
use crate::claim::Metadata;
use crate::event::Event;
use crate::kit::Delivery;
use crate::once::{Failure, Outcome, Work};
use crate::store::Store;

const REPLAYED: &str = "idempotency-replayed";
const RECEIPT: &str = "hooklatch-receipt";
const FLAG: &str = "hooklatch-flag";

type BoxError = Box<dyn std::error::Error + Send + Sync>;
type Answered = Response<Full<Bytes>>;
/// Where the handler's task leaves its answer for whoever is still waiting for it.
type Slot = Arc<Mutex<Option<Answered>>>;

/// A service that runs each event once. Made by [`ReceiverLayer`].
pub struct ReceiverService<S, I> {
    layer: ReceiverLayer<S>,
    inner: I,
}

impl<S, I> ReceiverService<S, I> {
    pub(super) const fn new(layer: ReceiverLayer<S>, inner: I) -> Self {
        Self { layer, inner }
    }
}

impl<S, I: Clone> Clone for ReceiverService<S, I> {
    fn clone(&self) -> Self {
        Self::new(self.layer.clone(), self.inner.clone())
    }
}

impl<S, I, B, R> Service<Request<B>> for ReceiverService<S, I>
where
    S: Store,
    I: Service<Request<B>, Response = Response<R>> + Clone + Send + 'static,
    I::Future: Send,
    B: http_body::Body<Data = Bytes> + From<Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
    R: http_body::Body<Data = Bytes> + Send,
    R::Error: Into<BoxError>,
{
    type Response = Answered;
    type Error = I::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Answered, I::Error>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), I::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        // The one that was asked whether it is ready is the one that is called.
        let inner = self.inner.clone();
        let inner = std::mem::replace(&mut self.inner, inner);
        let layer = self.layer.clone();
        Box::pin(async move { Ok(layer.serve(request, inner).await) })
    }
}

impl<S: Store> ReceiverLayer<S> {
    async fn serve<I, B, R>(&self, request: Request<B>, inner: I) -> Answered
    where
        I: Service<Request<B>, Response = Response<R>> + Send + 'static,
        I::Future: Send,
        B: http_body::Body<Data = Bytes> + From<Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
        R: http_body::Body<Data = Bytes> + Send,
        R::Error: Into<BoxError>,
    {
        let (parts, body) = request.into_parts();
        let bytes = match Limited::new(body, self.rules.body_bytes_max)
            .collect()
            .await
        {
            Ok(collected) => collected.to_bytes(),
            Err(error) if error.is::<LengthLimitError>() => {
                return plain(413, "the body is too large");
            }
            Err(_) => return plain(400, "the body did not come whole"),
        };
        match self.rules.read(&parts, &bytes, SystemTime::now()) {
            Arrived::Keyed(delivery) => self.run(delivery, parts, bytes, inner).await,
            Arrived::Unprotected => self.run_unprotected(parts, bytes, inner).await,
            Arrived::Unverified(refusal) => self.refuse(Settled::Unverified, &refusal.to_string()),
            Arrived::NoKey => self.refuse(Settled::NoKey, "the request has no key"),
            Arrived::BadKey(error) => self.refuse(Settled::BadKey, &error.to_string()),
        }
    }

    fn refuse(&self, settled: Settled, why: &str) -> Answered {
        self.tell_without_key(&Event::Refused { why });
        self.say(settled, None, None)
    }

    fn tell_without_key(&self, event: &Event<'_>) {
        let metadata = Metadata::new(&self.rules.source, "", None);
        self.kit.observer.observe(None, &metadata, event);
    }

    async fn run<I, B, R>(
        &self,
        delivery: Delivery,
        parts: Parts,
        bytes: Bytes,
        inner: I,
    ) -> Answered
    where
        I: Service<Request<B>, Response = Response<R>> + Send + 'static,
        I::Future: Send,
        B: From<Bytes> + Send + 'static,
        R: http_body::Body<Data = Bytes> + Send,
        R::Error: Into<BoxError>,
    {
        let slot = Slot::default();
        let (left, mode) = (Arc::clone(&slot), self.rules.policy.mode);
        let handler = move |work: Work<S>| async move {
            let mut request = Request::from_parts(parts, B::from(bytes));
            request.extensions_mut().insert(work);
            handle(inner, request, &left, mode).await
        };
        let outcome = self.kit.once(delivery, handler).await;
        let handled = slot.lock().unwrap_or_else(PoisonError::into_inner).take();
        let status = handled.as_ref().map(|handled| handled.status().as_u16());
        let lease = self.kit.settings().lease;
        let mut stored = None;
        let settled = match outcome {
            Err(_) => Settled::Unavailable,
            Ok(Outcome::Ran { .. }) => Settled::Ran(status.unwrap_or(200)),
            Ok(Outcome::Failed { retry_after, .. }) => Settled::Failed(status, retry_after),
            Ok(Outcome::Died { .. }) => Settled::Died(status),
            Ok(Outcome::LeaseLost) => Settled::LeaseLost(lease),
            Ok(Outcome::Done { result }) => {
                stored = result.and_then(|result| response::decode(&result));
                let kept = stored.as_ref().filter(|stored| stored.body.is_some());
                let kept = kept.map(|stored| stored.status);
                Settled::Done { kept }
            }
            Ok(Outcome::Busy { retry_after }) => Settled::Busy(retry_after),
            Ok(Outcome::Conflict { .. }) => Settled::Conflict,
            Ok(Outcome::Dead { .. }) => Settled::Dead,
        };
        self.say(settled, handled, stored)
    }

    async fn run_unprotected<I, B, R>(&self, parts: Parts, bytes: Bytes, inner: I) -> Answered
    where
        I: Service<Request<B>, Response = Response<R>> + Send + 'static,
        I::Future: Send,
        B: From<Bytes> + Send + 'static,
        R: http_body::Body<Data = Bytes> + Send,
        R::Error: Into<BoxError>,
    {
        let why = "the request has no key";
        self.tell_without_key(&Event::RanUnprotected { why });
        let slot = Slot::default();
        let request = Request::from_parts(parts, B::from(bytes));
        // What the handler says is the answer, whatever would be recorded of it.
        let _handled = handle(inner, request, &slot, self.rules.policy.mode).await;
        let handled = slot.lock().unwrap_or_else(PoisonError::into_inner).take();
        handled.unwrap_or_else(|| plain(500, "the work failed"))
    }

    fn say(
        &self,
        settled: Settled,
        handled: Option<Answered>,
        stored: Option<StoredResponse>,
    ) -> Answered {
        let answer = answer(settled, self.rules.policy);
        let mut response = match answer.content {
            Content::Handler => handled.unwrap_or_default(),
            Content::Stored => replay(stored),
            Content::Text(text) => plain(answer.status, text),
            Content::Empty => Response::default(),
            Content::Flagged => {
                let mut flagged = Answered::default();
                let flag = HeaderValue::from_static("payload_mismatch");
                flagged.headers_mut().insert(FLAG, flag);
                flagged
            }
        };
        *response.status_mut() =
            StatusCode::from_u16(answer.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        add_headers(&mut response, &answer);
        response
    }
}

/// Calls the handler, leaves its answer in the slot, and says what is to be recorded.
async fn handle<I, B, R>(
    mut inner: I,
    request: Request<B>,
    slot: &Slot,
    mode: AnswerMode,
) -> Result<Vec<u8>, Failure>
where
    I: Service<Request<B>, Response = Response<R>>,
    R: http_body::Body<Data = Bytes>,
    R::Error: Into<BoxError>,
{
    let retry = |error: &str| Failure::Retry {
        after: None,
        error: error.to_owned(),
    };
    let called = inner.call(request).await;
    let response = called.map_err(|_| retry("the handler failed"))?;
    let (parts, body) = response.into_parts();
    let body = body.collect().await;
    let body = body.map_err(|_| retry("the handler's answer broke off"))?;
    let body = body.to_bytes();
    let status = parts.status.as_u16();
    let verdict = verdict(status, &parts.headers, mode);
    let kept = response::encode(status, &parts.headers, &body);
    let left = Response::from_parts(parts, Full::new(body));
    *slot.lock().unwrap_or_else(PoisonError::into_inner) = Some(left);
    verdict.map(|()| kept)
}

/// Whether an answer of the handler's is a success, in the eyes of who calls.
fn verdict(status: u16, headers: &http::HeaderMap, mode: AnswerMode) -> Result<(), Failure> {
    let error = || format!("the handler answered {status}");
    let success = match mode {
        AnswerMode::Webhook => (200..=299).contains(&status),
        // A refusal is an answer like any other: a repeat gets it again.
        AnswerMode::Api => status < 500,
    };
    let permanent = (400..=499).contains(&status) && !matches!(status, 408 | 409 | 425 | 429);
    if success {
        Ok(())
    } else if permanent {
        Err(Failure::Permanent { error: error() })
    } else {
        let after = headers.get(header::RETRY_AFTER);
        let after = after.and_then(|value| value.to_str().ok()?.parse().ok());
        Err(Failure::Retry {
            after: after.map(Duration::from_secs),
            error: error(),
        })
    }
}

fn replay(stored: Option<StoredResponse>) -> Answered {
    let mut response = Answered::default();
    if let Some(stored) = stored {
        *response.headers_mut() = stored.headers;
        *response.body_mut() = Full::from(stored.body.unwrap_or_default());
    }
    response
}

fn plain(status: u16, text: &'static str) -> Answered {
    let mut response = Response::new(Full::from(text));
    *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_REQUEST);
    let plain = HeaderValue::from_static("text/plain; charset=utf-8");
    response.headers_mut().insert(header::CONTENT_TYPE, plain);
    response
}

fn add_headers(response: &mut Answered, answer: &Answer) {
    let headers = response.headers_mut();
    if let Some(after) = answer.retry_after {
        // Whole seconds, and never too early.
        let seconds = after.as_secs() + u64::from(after.subsec_nanos() > 0);
        headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
    }
    if answer.content == Content::Stored {
        headers.insert(REPLAYED, HeaderValue::from_static("true"));
    }
    if let Some(receipt) = answer.receipt {
        headers.insert(RECEIPT, HeaderValue::from_static(receipt.as_str()));
    }
}
