//! A receiver that answers as a test says and keeps what it saw.

use std::collections::HashMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

/// A request as it arrived.
#[derive(Debug, Clone)]
pub struct Seen {
    pub method: String,
    pub path_and_query: String,
    pub headers: HashMap<String, String>,
    pub body: Bytes,
}

/// What to do with a request.
pub enum Reply {
    Answer(u16, Vec<(&'static str, &'static str)>),
    /// Answer with a body.
    Body(u16, String),
    /// Answer with 200 when the receiver is released.
    Hang,
    /// Close the connection without a word.
    Cut,
}

/// A receiver on this machine.
pub struct Receiver {
    address: SocketAddr,
    inner: Arc<Inner>,
}

struct Inner {
    seen: Mutex<Vec<Seen>>,
    count: watch::Sender<usize>,
    released: CancellationToken,
    reply: Box<dyn Fn(usize) -> Reply + Send + Sync>,
}

impl Receiver {
    /// Answers each request, counted from 1, by `reply`.
    pub async fn start(reply: impl Fn(usize) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let inner = Arc::new(Inner {
            seen: Mutex::default(),
            count: watch::Sender::new(0),
            released: CancellationToken::new(),
            reply: Box::new(reply),
        });
        let shared = Arc::clone(&inner);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let inner = Arc::clone(&shared);
                let service = service_fn(move |request| Arc::clone(&inner).serve(request));
                tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
            }
        });
        Self { address, inner }
    }

    /// Always answers with this status.
    pub async fn answering(status: u16) -> Self {
        Self::start(move |_| Reply::Answer(status, Vec::new())).await
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// All requests so far.
    pub fn seen(&self) -> Vec<Seen> {
        self.inner.seen.lock().unwrap().clone()
    }

    /// Waits for the `count`th request.
    pub async fn has_seen(&self, count: usize) {
        let mut counts = self.inner.count.subscribe();
        let seen = counts.wait_for(|seen| *seen >= count);
        timeout(Duration::from_secs(10), seen)
            .await
            .unwrap_or_else(|_| panic!("no request number {count} came"))
            .unwrap();
    }

    /// Lets all that hang be answered.
    pub fn release(&self) {
        self.inner.released.cancel();
    }
}

impl Inner {
    async fn serve(
        self: Arc<Self>,
        request: Request<Incoming>,
    ) -> Result<Response<Full<Bytes>>, String> {
        let (head, body) = request.into_parts();
        let headers = head.headers.iter().map(|(name, value)| {
            (
                name.to_string(),
                String::from_utf8_lossy(value.as_bytes()).into_owned(),
            )
        });
        let seen = Seen {
            method: head.method.to_string(),
            path_and_query: head.uri.to_string(),
            headers: headers.collect(),
            body: body.collect().await.unwrap().to_bytes(),
        };
        let count = {
            let mut all = self.seen.lock().unwrap();
            all.push(seen);
            all.len()
        };
        self.count.send_replace(count);
        match (self.reply)(count) {
            Reply::Answer(status, headers) => Ok(answer(status, &headers)),
            Reply::Body(status, body) => {
                let mut answer = answer(status, &[]);
                *answer.body_mut() = Full::new(body.into());
                Ok(answer)
            }
            Reply::Cut => Err("cut".to_owned()),
            Reply::Hang => {
                self.released.cancelled().await;
                Ok(answer(200, &[]))
            }
        }
    }
}

fn answer(status: u16, headers: &[(&str, &str)]) -> Response<Full<Bytes>> {
    let mut response = Response::builder().status(status);
    for (name, value) in headers {
        response = response.header(*name, *value);
    }
    response
        .body(Full::new(Bytes::from_static(b"thanks")))
        .unwrap()
}
