//! One connection and the exchanges over it.
//!
//! The connection is driven by whoever uses it and not by a task of its own: an exchange costs no
//! switch between tasks, and dropping the attempt at its deadline closes the connection at once.
//! The price is that nobody watches an idle connection; the pool's sweep and the next use look.

use std::future::{Future, poll_fn};
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body as _;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1::{Builder, Connection, SendRequest};
use hyper_util::rt::TokioIo;
use tokio::time::Instant;

use crate::stream::{Inner, Stream, Traffic};

/// An open connection that carries one exchange at a time.
pub(crate) struct Link {
    requests: SendRequest<Full<Bytes>>,
    /// `None` once the connection is closed.
    driver: Option<Connection<TokioIo<Stream>, Full<Bytes>>>,
    traffic: Arc<Traffic>,
    pub(crate) address: SocketAddr,
    pub(crate) opened: Instant,
    pub(crate) idle_since: Instant,
}

/// What a request on a connection led to.
pub(crate) enum Head {
    /// The answer's head has come.
    Answered(Box<Response<Incoming>>),
    /// The connection was closed before the request was taken up; it can be sent elsewhere.
    Unsent(Box<Request<Full<Bytes>>>, hyper::Error),
    /// There is no answer.
    Failed(hyper::Error),
}

/// A body as far as it is kept.
pub(crate) struct Kept {
    pub(crate) body: Bytes,
    pub(crate) truncated: bool,
}

impl Link {
    pub(crate) async fn open(
        http: &Builder,
        inner: Inner,
        address: SocketAddr,
    ) -> hyper::Result<Box<Self>> {
        let traffic = Arc::new(Traffic::default());
        let stream = Stream::new(inner, Arc::clone(&traffic));
        let (requests, driver) = http.handshake(TokioIo::new(stream)).await?;
        let now = Instant::now();
        Ok(Box::new(Self {
            requests,
            driver: Some(driver),
            traffic,
            address,
            opened: now,
            idle_since: now,
        }))
    }

    /// What goes over this connection from now on, for whoever outlives it.
    pub(crate) fn watch(&self) -> Arc<Traffic> {
        self.traffic.forget();
        Arc::clone(&self.traffic)
    }

    /// Sends a request and waits for the answer's head.
    pub(crate) async fn head(&mut self, request: Request<Full<Bytes>>) -> Head {
        let answer = self.requests.try_send_request(request);
        match self.alongside(answer).await {
            Ok(response) => Head::Answered(Box::new(response)),
            Err(mut error) => match error.take_message() {
                Some(request) => Head::Unsent(Box::new(request), error.into_error()),
                None => Head::Failed(error.into_error()),
            },
        }
    }

    /// Reads the answer's body, and no more of it than `bytes_max`.
    pub(crate) async fn body(&mut self, body: Incoming, bytes_max: usize) -> hyper::Result<Kept> {
        if body.is_end_stream() {
            return Ok(Kept {
                body: Bytes::new(),
                truncated: false,
            });
        }
        self.alongside(read_up_to(body, bytes_max)).await
    }

    /// Whether the connection can carry another request, now that the answer was read.
    pub(crate) async fn is_reusable(&mut self) -> bool {
        if !self.requests.is_ready() {
            // The answer's last byte and the end of the exchange can be one poll apart.
            poll_fn(|cx| {
                self.drive(cx);
                Poll::Ready(())
            })
            .await;
        }
        self.driver.is_some() && self.requests.is_ready()
    }

    /// Whether an idle connection was closed by the other side, as far as can be seen now.
    pub(crate) fn was_closed(&mut self) -> bool {
        self.drive(&mut Context::from_waker(Waker::noop()));
        self.driver.is_none()
    }

    /// Drives the connection until `work`, which waits for it, is done.
    async fn alongside<F: Future>(&mut self, work: F) -> F::Output {
        let mut work = pin!(work);
        poll_fn(|cx| {
            self.drive(cx);
            work.as_mut().poll(cx)
        })
        .await
    }

    fn drive(&mut self, cx: &mut Context<'_>) {
        let Some(driver) = &mut self.driver else {
            return;
        };
        // How it ended is told through the exchange. Dropping it is what ends one: only then does
        // hyper give up the request or the body that it still holds.
        if Pin::new(driver).poll(cx).is_ready() {
            self.driver = None;
        }
    }
}

async fn read_up_to(mut body: Incoming, bytes_max: usize) -> hyper::Result<Kept> {
    let mut kept = Vec::new();
    while let Some(frame) = body.frame().await {
        let Ok(chunk) = frame?.into_data() else {
            continue;
        };
        let room = bytes_max - kept.len();
        kept.extend_from_slice(&chunk[..chunk.len().min(room)]);
        if chunk.len() > room {
            return Ok(Kept {
                body: kept.into(),
                truncated: true,
            });
        }
    }
    assert!(kept.len() <= bytes_max, "a body outgrew its limit");
    Ok(Kept {
        body: kept.into(),
        truncated: false,
    })
}
