//! One call on the wire, and its repetition where that is safe.

use std::time::Duration;

use bytes::Bytes;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderValue, RETRY_AFTER, USER_AGENT};
use http::{HeaderMap, Method, Request, Response, StatusCode, Uri};
use http_body_util::{BodyExt, Full, Limited};
use hyper_util::client::legacy::Client as Pool;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};

use crate::{Backoff, Error, Problem};

/// Largest answer that is read: a page of messages with large payloads.
const ANSWER_BYTES_MAX: usize = 256 * 1024 * 1024;
/// How long a connection may take to come about.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// How long an unused connection is kept; shorter than servers keep theirs.
const IDLE_TIMEOUT: Duration = Duration::from_secs(15);

/// Whether a call does no harm when it is carried out twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Repeat {
    /// It may be repeated until it is answered.
    Safe,
    /// It is made once.
    Never,
}

/// A call, not yet made.
#[derive(Debug, Clone)]
pub(crate) struct Call {
    pub method: Method,
    pub path: String,
    pub body: Bytes,
    pub repeat: Repeat,
}

/// A successful answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Bytes,
    pub tries: u32,
}

/// The server, and how to reach it.
#[derive(Debug, Clone)]
pub(crate) struct Server {
    pub base: String,
    pub authorization: HeaderValue,
    pub backoff: Backoff,
    pub timeout: Duration,
    pub pool: Pool<HttpConnector, Full<Bytes>>,
}

/// Connections to one server, kept for a while.
pub(crate) fn pool() -> Pool<HttpConnector, Full<Bytes>> {
    let mut connector = HttpConnector::new();
    connector.set_nodelay(true);
    connector.set_connect_timeout(Some(CONNECT_TIMEOUT));
    Pool::builder(TokioExecutor::new())
        .timer(TokioTimer::new())
        .pool_timer(TokioTimer::new())
        .pool_idle_timeout(IDLE_TIMEOUT)
        .build(connector)
}

impl Server {
    /// Makes the call, again and again where that is safe and may help.
    pub async fn answer(&self, call: &Call) -> Result<Answer, Error> {
        let mut tries = 1;
        loop {
            let error = match self.try_once(call).await {
                Ok(answer) => return Ok(Answer { tries, ..answer }),
                Err(error) => error,
            };
            let asked = error.problem().and_then(|problem| problem.retry_after);
            let wait = match call.repeat {
                Repeat::Safe if error.is_passing() => {
                    self.backoff.wait(tries, asked, rand::random::<f64>())
                }
                Repeat::Safe | Repeat::Never => None,
            };
            let Some(wait) = wait else {
                return Err(error);
            };
            tokio::time::sleep(wait).await;
            tries += 1;
        }
    }

    /// Makes the call once; answers when the head of a success is there.
    pub async fn open(
        &self,
        call: &Call,
        accepted: HeaderValue,
    ) -> Result<Response<hyper::body::Incoming>, Error> {
        let mut request = self.request(call)?;
        request.headers_mut().insert(ACCEPT, accepted);
        let answer = self.in_time(self.pool.request(request)).await?;
        let answer = answer.map_err(|error| match error.is_connect() {
            true => self.unreachable(error),
            false => self.interrupted(error.into()),
        })?;
        if answer.status().is_success() {
            return Ok(answer);
        }
        match self.read(answer).await {
            Err(refused) => Err(refused),
            Ok(_) => unreachable!("what is no success is read as a refusal"),
        }
    }

    /// Makes the call once, and takes its answer line by line. Each line has as long as a whole
    /// answer has otherwise.
    pub async fn lines(
        &self,
        call: &Call,
        mut line: impl FnMut(serde_json::Value),
    ) -> Result<(), Error> {
        let accepted = HeaderValue::from_static("application/x-ndjson");
        let answer = self.open(call, accepted).await?;
        let status = answer.status().as_u16();
        let mut body = answer.into_body();
        let mut rest = Vec::new();
        while let Some(frame) = self.in_time(body.frame()).await? {
            let frame = frame.map_err(|error| self.interrupted(error.into()))?;
            let Ok(data) = frame.into_data() else {
                continue;
            };
            rest.extend_from_slice(&data);
            if rest.len() > ANSWER_BYTES_MAX {
                return Err(self.interrupted("a line without end".into()));
            }
            while let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
                let text: Vec<u8> = rest.drain(..=end).collect();
                let read = serde_json::from_slice(&text);
                line(read.map_err(|source| Error::Unreadable { status, source })?);
            }
        }
        Ok(())
    }

    async fn in_time<T>(&self, work: impl Future<Output = T>) -> Result<T, Error> {
        let done = tokio::time::timeout(self.timeout, work).await;
        done.map_err(|_elapsed| Error::TimedOut {
            server: self.base.clone(),
            after: self.timeout,
        })
    }

    async fn try_once(&self, call: &Call) -> Result<Answer, Error> {
        let request = self.request(call)?;
        let exchange = async {
            let answer = self.pool.request(request).await;
            let answer = answer.map_err(|error| match error.is_connect() {
                true => self.unreachable(error),
                false => self.interrupted(error.into()),
            })?;
            self.read(answer).await
        };
        match tokio::time::timeout(self.timeout, exchange).await {
            Ok(outcome) => outcome,
            Err(_elapsed) => Err(Error::TimedOut {
                server: self.base.clone(),
                after: self.timeout,
            }),
        }
    }

    fn request(&self, call: &Call) -> Result<Request<Full<Bytes>>, Error> {
        let uri: Uri = format!("{}{}", self.base, call.path)
            .parse()
            .map_err(|_| self.bad_base("it does not make a URL"))?;
        let mut request = Request::new(Full::new(call.body.clone()));
        *request.method_mut() = call.method.clone();
        *request.uri_mut() = uri;
        let headers = request.headers_mut();
        headers.insert(AUTHORIZATION, self.authorization.clone());
        let agent = concat!("hooklatch-client/", env!("CARGO_PKG_VERSION"));
        headers.insert(USER_AGENT, HeaderValue::from_static(agent));
        headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
        if !call.body.is_empty() {
            let json = HeaderValue::from_static("application/json");
            headers.insert(CONTENT_TYPE, json);
        }
        Ok(request)
    }

    async fn read(&self, answer: Response<hyper::body::Incoming>) -> Result<Answer, Error> {
        let (head, body) = answer.into_parts();
        let body = Limited::new(body, ANSWER_BYTES_MAX).collect().await;
        let body = body.map_err(|error| self.interrupted(error))?.to_bytes();
        if !head.status.is_success() {
            let mut problem = Problem::read(head.status, &body);
            problem.retry_after = retry_after(&head.headers);
            return Err(Error::Refused(Box::new(problem)));
        }
        Ok(Answer {
            status: head.status,
            headers: head.headers,
            body,
            tries: 1,
        })
    }

    fn unreachable(&self, error: hyper_util::client::legacy::Error) -> Error {
        Error::Unreachable {
            server: self.base.clone(),
            source: error.into(),
        }
    }

    fn interrupted(&self, source: Box<dyn std::error::Error + Send + Sync>) -> Error {
        Error::Interrupted {
            server: self.base.clone(),
            source,
        }
    }

    fn bad_base(&self, reason: &'static str) -> Error {
        Error::BaseUrl {
            url: self.base.clone(),
            reason,
        }
    }
}

impl Answer {
    /// The answer's JSON.
    pub fn json<T: serde::de::DeserializeOwned>(&self) -> Result<T, Error> {
        serde_json::from_slice(&self.body).map_err(|source| Error::Unreadable {
            status: self.status.as_u16(),
            source,
        })
    }
}

/// Only the form in seconds: the gateway sends no dates.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?;
    text.trim().parse().ok().map(Duration::from_secs)
}
