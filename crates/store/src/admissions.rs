//! Arrivals: admitted, refused, released, discarded.

use bytes::Bytes;
pub use hooklatch_core::admission::Refused;
use hooklatch_core::admission::{Admission, Arrival, ReleaseInput, ReleaseRefused};
use hooklatch_core::ids::{MessageId, ProjectId, RequestId};

use crate::Answer;

/// What came of the wish to release or discard a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ReleaseOutcome {
    /// It is a message now.
    Released(MessageId),
    /// It is discarded.
    Discarded,
    /// It is not one that can be.
    Refused(ReleaseRefused),
    /// The project has no such request.
    NotFound,
}

/// Arrivals.
pub trait Admissions: Send + Sync {
    /// Decides each arrival, in order and as if they had come one after the other, and answers
    /// when every one of them is durable, all in one commit (C2, K10, S7). Of many calls at once
    /// with one key exactly one is accepted (C3).
    ///
    /// For each: looks up the claims of its keys under lock, with their originals; calls
    /// [`hooklatch_core::admission::decide`]; writes the message, body, deliveries and claims, or
    /// the request, of the decision.
    fn admit(&self, arrivals: Vec<Arrival>) -> Answer<'_, Vec<Admission>>;

    /// Logs a refused request. At most [`REFUSED_KEPT_MAX`] are kept, the oldest go first, so that
    /// a flood cannot fill the disk.
    fn refuse(&self, refused: Refused) -> Answer<'_, RequestId>;

    /// Keeps what differs between a request's payload and its original's.
    fn keep_diff(&self, request: RequestId, pointers: Vec<String>) -> Answer<'_, ()>;

    /// Makes a request a message of its own (D4), with the body that it carried: its own where it
    /// differed, else the original's.
    fn release(
        &self,
        project: ProjectId,
        request: RequestId,
        input: ReleaseInput,
    ) -> Answer<'_, ReleaseOutcome>;

    /// Discards a held request.
    fn discard(&self, project: ProjectId, request: RequestId) -> Answer<'_, ReleaseOutcome>;

    /// The body of a request: its own where it was kept, else its original's.
    fn request_body(&self, project: ProjectId, request: RequestId) -> Answer<'_, Option<Bytes>>;
}

/// Refused requests that are kept, over all projects.
pub const REFUSED_KEPT_MAX: usize = 10_000;
