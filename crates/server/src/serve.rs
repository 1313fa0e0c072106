//! Accepts connections and attends to them until told to stop.
//!
//! Webhook senders speak HTTP/1.1, and only for that can a silent client be cut off reliably: the
//! timer for the head of a request also ends a kept-alive connection on which nothing comes.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hooklatch_core::limits::HEADER_BYTES_MAX;
use http::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::ServiceExt;

use crate::api::{Peer, keep_used};
use crate::app::App;
use crate::patience::Patient;
use crate::tls::Tls;
use crate::{router, stats};

/// The bounds of connections.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Connections at once; more wait in the kernel's queue.
    pub connections_max: usize,
    /// How long the head of a request may take, and how long a kept-alive connection may be idle.
    pub head_timeout: Duration,
    /// How long a client may take none of what it is told.
    pub write_timeout: Duration,
    /// How long what is under way may take to end after the wish to stop.
    pub drain: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections_max: 10_000,
            head_timeout: Duration::from_secs(30),
            write_timeout: Duration::from_secs(30),
            drain: Duration::from_secs(30),
        }
    }
}

/// The buffer that a head is read into: what [`crate::edge`] allows, and room for a long target.
const HEAD_BUFFER_BYTES: usize = 2 * HEADER_BYTES_MAX;
/// The pause after an error of `accept`, which is mostly that no file descriptor is free.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Serves `app` on `listener` until `stop`; then takes nothing more, lets what is under way end
/// within the drain time, and cuts off the rest.
pub async fn serve(listener: TcpListener, app: App, limits: Limits, stop: CancellationToken) {
    serve_as(listener, app, limits, None, stop).await;
}

/// The same, under TLS where there is a certificate to show.
pub async fn serve_as(
    listener: TcpListener,
    app: App,
    limits: Limits,
    tls: Option<Arc<Tls>>,
    stop: CancellationToken,
) {
    app.ends_with(stop.clone());
    let keeping = tokio::spawn(stats::keep(Arc::clone(app.store()), stop.clone()));
    let noting = tokio::spawn(keep_used(app.clone(), stop.clone()));
    let attendant = Attendant {
        router: router(app),
        limits,
        tls,
        stop,
        cut: CancellationToken::new(),
    };
    let connections = TaskTracker::new();
    accept_until_stop(&listener, &attendant, &connections).await;
    drop(listener);
    connections.close();
    if tokio::time::timeout(limits.drain, connections.wait())
        .await
        .is_err()
    {
        let left = connections.len();
        tracing::warn!(left, "requests still under way at the deadline are cut off");
        attendant.cut.cancel();
        connections.wait().await;
    }
    // They end at once; a panic of theirs has been logged.
    drop((keeping.await, noting.await));
}

async fn accept_until_stop(
    listener: &TcpListener,
    attendant: &Attendant,
    connections: &TaskTracker,
) {
    let places = Arc::new(Semaphore::new(attendant.limits.connections_max));
    loop {
        // The place comes before the connection: whom we cannot attend to is not accepted.
        let accepted = async {
            let place = Arc::clone(&places).acquire_owned().await;
            let place = place.expect("the places are never closed");
            (accept(listener).await, place)
        };
        tokio::select! {
            biased;
            () = attendant.stop.cancelled() => return,
            ((stream, peer), place) = accepted => {
                connections.spawn(attendant.clone().attend(stream, peer, place));
            }
        }
    }
}

async fn accept(listener: &TcpListener) -> (TcpStream, SocketAddr) {
    loop {
        match listener.accept().await {
            Ok(accepted) => return accepted,
            Err(error) if concerns_one_connection(&error) => {}
            Err(error) => {
                tracing::warn!(%error, "cannot accept a connection now");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

fn concerns_one_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionRefused
            | io::ErrorKind::ConnectionReset
    )
}

/// What attends to one connection.
#[derive(Clone)]
struct Attendant {
    router: Router,
    limits: Limits,
    tls: Option<Arc<Tls>>,
    stop: CancellationToken,
    cut: CancellationToken,
}

impl Attendant {
    async fn attend(self, stream: TcpStream, peer: SocketAddr, place: OwnedSemaphorePermit) {
        // An answer is one small write: waiting for more only delays it.
        let _ = stream.set_nodelay(true);
        let Some(tls) = &self.tls else {
            self.speak(stream, peer).await;
            drop(place);
            return;
        };
        let secured = tokio::select! {
            secured = tls.accept(stream) => secured,
            () = self.stop.cancelled() => None,
        };
        if let Some(stream) = secured {
            self.speak(stream, peer).await;
        }
        drop(place);
    }

    async fn speak<S>(&self, stream: S, peer: SocketAddr)
    where
        S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let stream = Patient::new(stream, self.limits.write_timeout);
        let router = self
            .router
            .clone()
            .map_request(move |mut request: Request<Incoming>| {
                request.extensions_mut().insert(Peer(peer.ip()));
                request
            });
        let service = TowerToHyperService::new(router);
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(self.limits.head_timeout)
            .max_buf_size(HEAD_BUFFER_BYTES)
            .serve_connection(TokioIo::new(stream), service);
        let mut connection = std::pin::pin!(connection);
        let ended = tokio::select! {
            ended = connection.as_mut() => ended,
            () = self.stop.cancelled() => {
                connection.as_mut().graceful_shutdown();
                tokio::select! {
                    ended = connection => ended,
                    () = self.cut.cancelled() => Ok(()),
                }
            }
        };
        if let Err(error) = ended {
            tracing::debug!(%error, "a connection broke off");
        }
    }
}
