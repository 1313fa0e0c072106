//! A receiver that remembers each request byte for byte, and answers as the test wants.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, Request, Response};
use http_body_util::{BodyExt, Empty};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use standardwebhooks::Webhook;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::time::timeout;

use super::DEADLINE;

/// One request that the receiver got.
#[derive(Debug)]
pub struct Delivered {
    /// The headers.
    pub headers: HeaderMap,
    /// The bytes.
    pub body: Bytes,
}

impl Delivered {
    /// A header's value, empty if there is none.
    pub fn header(&self, name: &str) -> &str {
        let value = self.headers.get(name).and_then(|value| value.to_str().ok());
        value.unwrap_or_default()
    }

    /// Asserts by the official library that an endpoint's secret signed it.
    pub fn assert_signed_with(&self, secret: &str) {
        let webhook = Webhook::new(secret).expect("a secret is as the standard has it");
        if let Err(error) = webhook.verify(&self.body, &self.headers) {
            panic!("{error}: {:?}", self.headers);
        }
    }
}

/// What the receiver does with a request.
pub enum Reply {
    /// Answers with this status.
    Status(u16),
    /// Never answers.
    Silence,
    /// Answers with 200 once this is true.
    Held(watch::Receiver<bool>),
}

type Rule = Arc<dyn Fn(&Delivered) -> Reply + Send + Sync>;
type Seen = Vec<Arc<Delivered>>;

/// A receiver on a free port. It ends with the test's runtime.
pub struct Receiver {
    address: SocketAddr,
    seen: watch::Receiver<Seen>,
}

impl Receiver {
    /// One that answers 200 to everything.
    pub async fn obliging() -> Self {
        Self::start(|_| Reply::Status(200)).await
    }

    /// One that answers by a rule.
    pub async fn start(rule: impl Fn(&Delivered) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0")
            .await
            .expect("loopback has a free port");
        let address = listener.local_addr().expect("it is bound");
        let (remember, seen) = watch::channel(Seen::new());
        tokio::spawn(accept(listener, Arc::new(rule), Arc::new(remember)));
        Self { address, seen }
    }

    /// A URL of it.
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// All that came so far.
    pub fn seen(&self) -> Seen {
        self.seen.borrow().clone()
    }

    /// Waits until what came so far is enough.
    pub async fn wait_for(&self, what: &str, mut enough: impl FnMut(&Seen) -> bool) -> Seen {
        let mut seen = self.seen.clone();
        match timeout(DEADLINE, seen.wait_for(|seen| enough(seen))).await {
            Ok(found) => found
                .expect("the receiver lives as long as the test")
                .clone(),
            Err(_) => panic!(
                "{what}: not within {DEADLINE:?}, {} came",
                self.seen().len()
            ),
        }
    }

    /// Waits for so many requests.
    pub async fn wait_for_count(&self, count: usize) -> Seen {
        self.wait_for(&format!("{count} deliveries"), |seen| seen.len() >= count)
            .await
    }
}

async fn accept(listener: TcpListener, rule: Rule, remember: Arc<watch::Sender<Seen>>) {
    while let Ok((stream, _)) = listener.accept().await {
        let (rule, remember) = (Arc::clone(&rule), Arc::clone(&remember));
        let answer =
            service_fn(move |request| receive(request, Arc::clone(&rule), Arc::clone(&remember)));
        // A gateway that is killed breaks its connections; that is what the tests are about.
        tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), answer));
    }
}

async fn receive(
    request: Request<Incoming>,
    rule: Rule,
    remember: Arc<watch::Sender<Seen>>,
) -> Result<Response<Empty<Bytes>>, hyper::Error> {
    let (head, body) = request.into_parts();
    let delivered = Arc::new(Delivered {
        headers: head.headers,
        body: body.collect().await?.to_bytes(),
    });
    let reply = rule(&delivered);
    remember.send_modify(|seen| seen.push(delivered));
    let Ok(status) = settle(reply).await;
    let mut response = Response::new(Empty::new());
    *response.status_mut() = status.try_into().expect("the test's own status is valid");
    Ok(response)
}

async fn settle(reply: Reply) -> Result<u16, Infallible> {
    match reply {
        Reply::Status(status) => Ok(status),
        Reply::Silence => std::future::pending().await,
        Reply::Held(mut gate) => {
            let opened = gate.wait_for(|open| *open).await;
            Ok(if opened.is_ok() { 200 } else { 500 })
        }
    }
}
