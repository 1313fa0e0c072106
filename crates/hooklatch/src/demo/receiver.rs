//! The shop: an endpoint that fails now and then, checks every signature, and does the work of a
//! `webhook-id` once, as a correct receiver does.

use std::io;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Empty};
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde::Deserialize;
use tokio::net::TcpListener;

use super::book::Book;
use super::plan::{self, Mood};
use super::sign::StandardWebhooks;

/// How long the gateway lets an attempt take.
pub(crate) const TIMEOUT_SECONDS: u32 = 1;
/// How long the shop takes when it is slow: longer than that.
const SLOW: Duration = Duration::from_millis(1_500);

/// The shop.
pub(crate) struct Receiver {
    /// Where deliveries go.
    pub url: String,
    shop: Arc<Shop>,
}

struct Shop {
    book: Arc<Book>,
    seed: u64,
    /// Known once the endpoint has been made.
    checker: OnceLock<StandardWebhooks>,
}

/// The shop drops the connection.
#[derive(Debug, thiserror::Error)]
#[error("the shop dropped the connection")]
struct Dropped;

#[derive(Deserialize)]
struct Payload {
    id: String,
}

impl Receiver {
    /// Opens the shop on a free port.
    pub async fn start(book: Arc<Book>, seed: u64) -> io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let url = format!("http://{}/webhooks", listener.local_addr()?);
        let shop = Arc::new(Shop {
            book,
            seed,
            checker: OnceLock::new(),
        });
        tokio::spawn(attend(listener, Arc::clone(&shop)));
        Ok(Self { url, shop })
    }

    /// From now on the shop knows its signing secret. Answers whether it is one.
    #[must_use]
    pub fn learn_secret(&self, secret: &str) -> bool {
        StandardWebhooks::new(secret).is_some_and(|checker| self.shop.checker.set(checker).is_ok())
    }
}

async fn attend(listener: TcpListener, shop: Arc<Shop>) {
    while let Ok((stream, _)) = listener.accept().await {
        let shop = Arc::clone(&shop);
        let service = service_fn(move |request| {
            let shop = Arc::clone(&shop);
            async move { shop.take(request).await }
        });
        let connection = hyper::server::conn::http1::Builder::new()
            .serve_connection(TokioIo::new(stream), service);
        tokio::spawn(connection);
    }
}

impl Shop {
    async fn take(&self, request: Request<Incoming>) -> Result<Response<Empty<Bytes>>, Dropped> {
        let (head, body) = request.into_parts();
        // A gateway that is killed breaks off in the middle of a body.
        let body = body.collect().await.map_err(|_| Dropped)?.to_bytes();
        let header = |name| head.headers.get(name).and_then(|value| value.to_str().ok());
        let webhook_id = header("webhook-id").unwrap_or_default();
        let timestamp = header("webhook-timestamp").unwrap_or_default();
        let signatures = header("webhook-signature").unwrap_or_default();
        let verified = self
            .checker
            .get()
            .is_some_and(|checker| checker.accepts(webhook_id, timestamp, signatures, &body));
        if !verified {
            self.book.unverified();
            return Ok(answer(StatusCode::UNAUTHORIZED));
        }
        match serde_json::from_slice::<Payload>(&body) {
            Ok(payload) => self.work(&payload.id, webhook_id).await,
            Err(_) => Ok(answer(StatusCode::UNPROCESSABLE_ENTITY)),
        }
    }

    async fn work(&self, event: &str, webhook_id: &str) -> Result<Response<Empty<Bytes>>, Dropped> {
        let visit = self.book.visit(event, webhook_id);
        match plan::mood(self.seed, event, visit) {
            Mood::Well => {}
            Mood::Refuses => return Ok(answer(StatusCode::INTERNAL_SERVER_ERROR)),
            Mood::DropsBefore => return Err(Dropped),
            Mood::DropsAfter => {
                self.book.work(event, webhook_id);
                return Err(Dropped);
            }
            Mood::Slow => {
                self.book.work(event, webhook_id);
                tokio::time::sleep(SLOW).await;
                return Ok(answer(StatusCode::OK));
            }
        }
        self.book.work(event, webhook_id);
        Ok(answer(StatusCode::OK))
    }
}

fn answer(status: StatusCode) -> Response<Empty<Bytes>> {
    let mut answer = Response::new(Empty::new());
    *answer.status_mut() = status;
    answer
}
