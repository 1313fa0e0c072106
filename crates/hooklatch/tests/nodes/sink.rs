//! The receiver of everything: it remembers each attempt, with the span in which it was at it, so
//! that two attempts of one delivery that overlap are seen.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use http::{HeaderMap, Request, Response};
use http_body_util::{BodyExt, Empty};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::TcpListener;

use crate::process::pass;

/// One attempt as it was seen here.
#[derive(Debug, Clone)]
pub struct Seen {
    /// Which endpoint it came to.
    pub path: String,
    /// The event's id.
    pub webhook_id: String,
    /// The number of the attempt, from 1.
    pub number: i64,
    /// The key of the event, from the body.
    pub key: String,
    /// By how many seconds the attempt's `webhook-timestamp` is off our clock.
    pub off_seconds: u64,
    /// When it came.
    pub came: Instant,
    /// When it was answered, or the gateway had gone away.
    pub left: Option<Instant>,
    /// What was answered.
    pub status: Option<u16>,
}

/// The receiver. It ends with the test's runtime.
pub struct Sink {
    address: SocketAddr,
    memory: Memory,
}

#[derive(Clone, Default)]
struct Memory(Arc<Mutex<Vec<Seen>>>);

impl Memory {
    fn all(&self) -> MutexGuard<'_, Vec<Seen>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Sink {
    /// Starts it.
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await;
        let listener = listener.expect("loopback has a free port");
        let address = listener.local_addr().expect("it is bound");
        let memory = Memory::default();
        tokio::spawn(accept(listener, memory.clone()));
        Self { address, memory }
    }

    /// A URL of it.
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// How many attempts came so far.
    pub fn count(&self) -> usize {
        self.memory.all().len()
    }

    /// Every attempt so far, in the order in which they came.
    pub fn seen(&self) -> Vec<Seen> {
        self.memory.all().clone()
    }
}

async fn accept(listener: TcpListener, memory: Memory) {
    while let Ok((stream, _)) = listener.accept().await {
        let memory = memory.clone();
        let answer = service_fn(move |request| receive(request, memory.clone()));
        // A gateway that is killed breaks its connections; that is what this is about.
        tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), answer));
    }
}

async fn receive(
    request: Request<Incoming>,
    memory: Memory,
) -> Result<Response<Empty<Bytes>>, Infallible> {
    let came = Instant::now();
    let (head, body) = request.into_parts();
    let mut response = Response::new(Empty::new());
    let Ok(body) = body.collect().await else {
        return Ok(response);
    };
    let seen = understood(head.uri.path(), &head.headers, &body.to_bytes(), came);
    let (takes, status) = reply(&seen);
    let mut visit = Visit::begin(memory, seen);
    pass(takes).await;
    visit.status = Some(status);
    *response.status_mut() = status.try_into().expect("the sink's own status is valid");
    Ok(response)
}

fn understood(path: &str, headers: &HeaderMap, body: &[u8], came: Instant) -> Seen {
    let header = |name: &str| {
        let value = headers.get(name).and_then(|value| value.to_str().ok());
        value.unwrap_or_default().to_owned()
    };
    let body: Value = serde_json::from_slice(body).unwrap_or_default();
    let now = UNIX_EPOCH.max(SystemTime::now()).duration_since(UNIX_EPOCH);
    let now = now.expect("it is not before 1970").as_secs();
    let stamped: u64 = header("webhook-timestamp").parse().unwrap_or(0);
    Seen {
        path: path.to_owned(),
        webhook_id: header("webhook-id"),
        number: header("hooklatch-attempt").parse().unwrap_or(0),
        key: body["id"].as_str().unwrap_or_default().to_owned(),
        off_seconds: now.abs_diff(stamped),
        came,
        left: None,
        status: None,
    }
}

/// Some events fail at first, and some take longer than their endpoint may, so that retries and
/// attempts of unknown outcome are always about.
fn reply(seen: &Seen) -> (Duration, u16) {
    let kind = seen.webhook_id.bytes().map(u32::from).sum::<u32>() % 10;
    match (kind, seen.number) {
        (0, 1) => (Duration::from_millis(20), 500),
        (1, 1) => (Duration::from_millis(1_400), 200),
        (2, _) => (Duration::from_millis(400), 200),
        _ => (Duration::from_millis(20), 200),
    }
}

/// One attempt that is being received. However it ends, that is when it has left.
struct Visit {
    memory: Memory,
    index: usize,
    status: Option<u16>,
}

impl Visit {
    fn begin(memory: Memory, seen: Seen) -> Self {
        let mut all = memory.all();
        all.push(seen);
        let index = all.len() - 1;
        drop(all);
        Self {
            memory,
            index,
            status: None,
        }
    }
}

impl Drop for Visit {
    fn drop(&mut self) {
        let seen = &mut self.memory.all()[self.index];
        seen.left = Some(Instant::now());
        seen.status = self.status;
    }
}
