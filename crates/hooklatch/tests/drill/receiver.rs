//! A receiver with an effect that must happen once: it keeps the key of each event that it took,
//! and when it first took it.

use std::collections::HashMap;
use std::future::pending;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU8, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Empty};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::time::{Instant, timeout};

use super::traffic::Traffic;

/// How long a slow receiver thinks.
const SLOW: Duration = Duration::from_millis(200);

/// How a receiver behaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Manner {
    /// Takes everything at once.
    Prompt,
    /// Takes everything after a while.
    Slow,
    /// Answers 503.
    Down,
}

/// One event that was taken.
#[derive(Debug, Clone, Copy)]
struct Taken {
    first: Instant,
    /// How often its effect happened: a receiver that keeps keys lets it happen once.
    effects: usize,
    /// How often it came again and was skipped.
    skipped: usize,
}

#[derive(Default)]
struct Book {
    manner: AtomicU8,
    refused: AtomicUsize,
    taken: Mutex<HashMap<String, Taken>>,
    names: Mutex<HashMap<String, String>>,
}

/// A receiver on a free port of loopback.
pub struct Receiver {
    address: SocketAddr,
    book: Arc<Book>,
}

impl Receiver {
    /// One that takes everything at once.
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await;
        let listener = listener.expect("loopback has a free port");
        let address = listener.local_addr().expect("it is bound");
        let book = Arc::new(Book::default());
        tokio::spawn(accept(listener, Arc::clone(&book)));
        Self { address, book }
    }

    /// Where it is.
    pub fn url(&self) -> String {
        format!("http://{}/hooks", self.address)
    }

    /// From now on it behaves like this.
    pub fn behave(&self, manner: Manner) {
        self.book.manner.store(manner as u8, Ordering::SeqCst);
    }

    /// How often it answered 503.
    pub fn refused(&self) -> usize {
        self.book.refused.load(Ordering::SeqCst)
    }

    /// Whether it has every event of some traffic.
    pub fn has_all(&self, traffic: &Traffic) -> bool {
        let taken = self.book.taken.lock().expect("nobody panics with it");
        let mut keys = traffic.keys();
        keys.all(|key| taken.contains_key(&key))
    }

    /// From the sending of each event to its first arrival here, the shortest first.
    pub fn latencies(&self, sent: &HashMap<String, Instant>) -> Vec<Duration> {
        let taken = self.book.taken.lock().expect("nobody panics with it");
        let arrived = sent.iter().filter_map(|(key, sent)| {
            let taken = taken.get(key)?;
            Some(taken.first.saturating_duration_since(*sent))
        });
        let mut latencies: Vec<Duration> = arrived.collect();
        latencies.sort_unstable();
        latencies
    }

    /// Events whose effect happened, effects beyond the first of an event, and arrivals that were
    /// skipped because their key was known.
    pub fn effects(&self) -> (usize, usize, usize) {
        let taken = self.book.taken.lock().expect("nobody panics with it");
        let twice = taken.values().map(|taken| taken.effects - 1).sum();
        let skipped = taken.values().map(|taken| taken.skipped).sum();
        (taken.len(), twice, skipped)
    }
}

async fn accept(listener: TcpListener, book: Arc<Book>) {
    while let Ok((stream, _)) = listener.accept().await {
        let book = Arc::clone(&book);
        let answer = service_fn(move |request| receive(request, Arc::clone(&book)));
        tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), answer));
    }
}

async fn receive(
    request: Request<Incoming>,
    book: Arc<Book>,
) -> Result<Response<Empty<Bytes>>, hyper::Error> {
    let came = Instant::now();
    let (head, body) = request.into_parts();
    let body = body.collect().await?.to_bytes();
    let header = |name: &str| {
        let value = head.headers.get(name).and_then(|value| value.to_str().ok());
        value.unwrap_or_default().to_owned()
    };
    let manner = book.manner.load(Ordering::SeqCst);
    if manner == Manner::Down as u8 {
        book.refused.fetch_add(1, Ordering::SeqCst);
        return Ok(answer(503));
    }
    book.take(
        &header("idempotency-key"),
        &header("webhook-id"),
        &body,
        came,
    );
    if manner == Manner::Slow as u8 {
        // Nothing is waited for but the time: that is what being slow is.
        let _ = timeout(SLOW, pending::<()>()).await;
    }
    Ok(answer(200))
}

impl Book {
    /// Lets the effect of an event happen, unless its key is known.
    fn take(&self, key: &str, name: &str, body: &[u8], came: Instant) {
        assert!(!key.is_empty(), "every attempt carries the key");
        let event: Value = serde_json::from_slice(body).expect("the drill sends JSON");
        let event = event["id"].as_str().expect("with an id").to_owned();
        let mut names = self.names.lock().expect("nobody panics with it");
        let known = names.insert(key.to_owned(), name.to_owned());
        let fresh = known.is_none();
        assert!(
            known.is_none_or(|known| known == name),
            "one name for {key}"
        );
        let mut taken = self.taken.lock().expect("nobody panics with it");
        let taken = taken.entry(event).or_insert(Taken {
            first: came,
            effects: 0,
            skipped: 0,
        });
        if fresh {
            taken.effects += 1;
        } else {
            taken.skipped += 1;
        }
    }
}

fn answer(status: u16) -> Response<Empty<Bytes>> {
    let mut response = Response::new(Empty::new());
    *response.status_mut() = status.try_into().expect("the status is valid");
    response
}
