//! Small documents that have to be fetched before a request can be judged: certificates, and the
//! confirmation of a subscription.
//!
//! Their URLs come from strangers, so they are fetched as deliveries are sent: the address is
//! judged at every connect, nothing is followed, and the answer is bounded in bytes and in time.

use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use bytes::Bytes;
use hooklatch_egress::{Call, Sender, Target};
use http::{HeaderMap, Method};

/// The time for one document, from the host's name to the last byte.
const TIMEOUT: Duration = Duration::from_secs(5);

/// A fetch under way.
pub type Fetching<'a> = Pin<Box<dyn Future<Output = Result<Bytes, FetchError>> + Send + 'a>>;

/// What fetches documents.
pub trait Fetch: Send + Sync + 'static {
    /// The document at this URL, of so many bytes at most.
    fn get<'a>(&'a self, url: &'a str, bytes_max: usize) -> Fetching<'a>;
}

/// Why there is no document.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FetchError {
    /// Nothing came.
    #[error("{0}")]
    Failed(String),
    /// Something else than 200 came, a redirect among it.
    #[error("{0} was answered")]
    Status(u16),
    /// It is longer than it may be.
    #[error("it is longer than {0} bytes")]
    TooLong(usize),
}

/// Fetches through the guard that deliveries go through.
pub struct GuardedFetch {
    sender: Sender,
}

impl GuardedFetch {
    /// Fetches by this sender.
    pub const fn new(sender: Sender) -> Self {
        Self { sender }
    }
}

impl Fetch for GuardedFetch {
    fn get<'a>(&'a self, url: &'a str, bytes_max: usize) -> Fetching<'a> {
        Box::pin(async move {
            let failed = |error: &dyn std::fmt::Display| FetchError::Failed(error.to_string());
            let call = Call {
                method: Method::GET,
                target: Target::parse(url).map_err(|error| failed(&error))?,
                headers: HeaderMap::new(),
                body: Bytes::new(),
                timeout: TIMEOUT,
                response_bytes_max: bytes_max,
            };
            let answer = self.sender.send(call).await.result;
            let answer = answer.map_err(|error| failed(&error))?;
            if answer.status != 200 {
                return Err(FetchError::Status(answer.status));
            }
            if answer.body_truncated {
                return Err(FetchError::TooLong(bytes_max));
            }
            Ok(answer.body)
        })
    }
}

/// Fetches nothing: for programs that may not.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoFetch;

impl Fetch for NoFetch {
    fn get<'a>(&'a self, _: &'a str, _: usize) -> Fetching<'a> {
        let nothing = FetchError::Failed("this program fetches nothing".to_owned());
        Box::pin(std::future::ready(Err(nothing)))
    }
}
