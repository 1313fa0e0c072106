//! An attempt from end to end, under one deadline.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::Request;
use http_body_util::Full;
use tokio::time::{Instant, timeout_at};

use crate::call::{Answer, Attempted, Call, Timing};
use crate::connect::Connector;
use crate::error::{Phase, SendError};
use crate::link::{Head, Link};
use crate::pool::Pool;
use crate::resolve::{Resolve, SystemResolver};
use crate::settings::SenderSettings;
use crate::stream::Traffic;
use crate::target::Origin;

/// No attempt takes longer, whatever its call says.
const TIMEOUT_MAX: Duration = Duration::from_secs(24 * 60 * 60);

/// Sends requests. Cheap to clone; clones share connections and resolved names.
#[derive(Clone)]
pub struct Sender(Arc<Shared>);

struct Shared {
    connector: Connector,
    pool: Arc<Pool>,
}

/// How far an attempt has come. It outlives the attempt, so that a deadline can say where it hit.
pub(crate) struct Progress {
    started: Instant,
    phase: Phase,
    exchange: Option<Exchange>,
    status: Option<u16>,
    reused: bool,
    pub(crate) address: Option<SocketAddr>,
    pub(crate) timing: Timing,
}

struct Exchange {
    started: Instant,
    traffic: Arc<Traffic>,
}

/// How an exchange over one connection ended.
enum Exchanged {
    Done(Result<Answer, SendError>),
    Unsent(Box<Request<Full<Bytes>>>, hyper::Error),
}

impl Sender {
    /// A sender that finds addresses through `resolver`.
    pub fn new(settings: SenderSettings, resolver: Arc<dyn Resolve>) -> Self {
        Self(Arc::new(Shared {
            pool: Pool::new(&settings),
            connector: Connector::new(settings, resolver),
        }))
    }

    /// A sender that finds addresses as the system does.
    pub fn with_system_resolver(settings: SenderSettings) -> Self {
        Self::new(settings, Arc::new(SystemResolver))
    }

    /// Makes one attempt. Dropping the future ends it and closes its connection.
    pub async fn send(&self, call: Call) -> Attempted {
        let mut progress = Progress::new();
        let deadline = progress.started + call.timeout.min(TIMEOUT_MAX);
        let result = match timeout_at(deadline, self.attempt(call, &mut progress)).await {
            Ok(result) => result,
            Err(_) => Err(progress.timed_out()),
        };
        progress.into_attempted(result)
    }

    /// Connections that wait for use.
    pub fn idle_connections(&self) -> usize {
        self.0.pool.count()
    }

    async fn attempt(&self, call: Call, progress: &mut Progress) -> Result<Answer, SendError> {
        let origin = Arc::clone(&call.target.origin);
        let bytes_max = call.response_bytes_max;
        let mut request = Box::new(call.into_request());
        if let Some(link) = self.0.pool.take(&origin.key) {
            progress.reused = true;
            match self
                .exchange(&origin, link, request, bytes_max, progress)
                .await
            {
                Exchanged::Done(result) => return result,
                // The other side had closed it while it lay idle. hyper gave the request back
                // untouched, so sending it once more, on a new connection, sends it once.
                Exchanged::Unsent(unsent, _) => request = unsent,
            }
            progress.start_over();
        }
        let link = self.0.connector.open(&origin, progress).await?;
        match self
            .exchange(&origin, link, request, bytes_max, progress)
            .await
        {
            Exchanged::Done(result) => result,
            Exchanged::Unsent(_, error) => Err(SendError::from_hyper(&error, false, None)),
        }
    }

    async fn exchange(
        &self,
        origin: &Origin,
        mut link: Box<Link>,
        request: Box<Request<Full<Bytes>>>,
        bytes_max: usize,
        progress: &mut Progress,
    ) -> Exchanged {
        progress.exchange_on(&link);
        let response = match link.head(*request).await {
            Head::Answered(response) => response,
            Head::Unsent(request, error) => return Exchanged::Unsent(request, error),
            Head::Failed(error) => return Exchanged::Done(Err(progress.broken(&error))),
        };
        let (head, body) = response.into_parts();
        progress.phase = Phase::Body;
        progress.status = Some(head.status.as_u16());
        let kept = match link.body(body, bytes_max).await {
            Ok(kept) => kept,
            Err(error) => return Exchanged::Done(Err(progress.broken(&error))),
        };
        if !kept.truncated && link.is_reusable().await {
            self.0.pool.put(&origin.key, link);
        }
        Exchanged::Done(Ok(Answer::new(&head, kept.body, kept.truncated)))
    }
}

impl Progress {
    fn new() -> Self {
        Self {
            started: Instant::now(),
            phase: Phase::Connect,
            exchange: None,
            status: None,
            reused: false,
            address: None,
            timing: Timing::default(),
        }
    }

    pub(crate) fn enter(&mut self, phase: Phase) {
        self.phase = phase;
    }

    /// The deadline hit here.
    pub(crate) fn timed_out(&self) -> SendError {
        SendError::Timeout {
            phase: self.phase,
            after: self.started.elapsed(),
            request_written: self.request_written(),
            status: self.status,
        }
    }

    /// Nothing of what happened so far counts, but the time.
    fn start_over(&mut self) {
        *self = Self {
            started: self.started,
            ..Self::new()
        };
    }

    fn exchange_on(&mut self, link: &Link) {
        self.phase = Phase::Head;
        self.address = Some(link.address);
        self.exchange = Some(Exchange {
            started: Instant::now(),
            traffic: link.watch(),
        });
    }

    fn broken(&self, error: &hyper::Error) -> SendError {
        SendError::from_hyper(error, self.request_written(), self.status)
    }

    fn request_written(&self) -> bool {
        self.exchange
            .as_ref()
            .is_some_and(|exchange| exchange.traffic.written())
    }

    fn into_attempted(mut self, result: Result<Answer, SendError>) -> Attempted {
        self.timing.first_byte = self.exchange.as_ref().and_then(|exchange| {
            let first_byte = exchange.traffic.first_byte()?;
            Some(first_byte.duration_since(exchange.started))
        });
        self.timing.total = self.started.elapsed();
        Attempted {
            result,
            timing: self.timing,
            reused: self.reused,
            address: self.address,
        }
    }
}
