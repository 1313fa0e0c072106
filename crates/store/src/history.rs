//! What happened, for people to see.

use std::sync::Arc;

use bytes::Bytes;
use hooklatch_core::cause::Cause;
use hooklatch_core::delivery::attempt::{Attempt, AttemptOutcome};
use hooklatch_core::delivery::{Delivery, DeliveryStatus, Trigger, message_status};
use hooklatch_core::ids::{DeliveryId, EndpointId, MessageId, ProjectId, RequestId, SourceId};
use hooklatch_core::key::Checksum;
use hooklatch_core::message::{Envelope, Message, Request, RequestOutcome};
use hooklatch_core::time::Timestamp;

use crate::Answer;

/// A span of time, by when a thing was minted.
#[derive(Debug, Clone, Copy, Default)]
pub struct TimeRange {
    /// Not before this.
    pub after: Option<Timestamp>,
    /// Before this.
    pub before: Option<Timestamp>,
}

/// Which page of a list, newest first.
#[derive(Debug, Clone, Copy)]
pub struct PageRequest {
    /// At most so many items.
    pub limit: usize,
    /// Only what has a number below this: the `next` of the page before.
    pub below: Option<i64>,
}

/// A page of a list.
#[derive(Debug, Clone)]
pub struct Page<T> {
    /// The items, newest first.
    pub items: Vec<T>,
    /// Where the next page begins; none if this is the last. A page may be short, even empty, and
    /// still have a next one: a store looks through a bounded number of rows for one page.
    pub next: Option<i64>,
}

/// A status of messages, as people filter by it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StatusFilter {
    /// Some delivery decides, by [`hooklatch_core::delivery::message_status`].
    Delivery(DeliveryStatus),
    /// There are no deliveries, because no connection matched.
    NoRoute,
    /// There are no deliveries, because the rules of every connection dropped it.
    Filtered,
}

impl StatusFilter {
    /// Whether a message fits whose deliveries stand at `statuses`; `routed` is the message's own.
    pub fn fits(self, routed: bool, statuses: &[DeliveryStatus]) -> bool {
        match self {
            Self::Delivery(wanted) => message_status(statuses) == Some(wanted),
            Self::NoRoute => statuses.is_empty() && !routed,
            Self::Filtered => statuses.is_empty() && routed,
        }
    }
}

/// Which messages.
#[derive(Debug, Clone, Default)]
pub struct MessageFilter {
    /// Only these.
    pub ids: Option<Vec<MessageId>>,
    /// Through this source.
    pub source_id: Option<SourceId>,
    /// With a delivery to this endpoint.
    pub endpoint_id: Option<EndpointId>,
    /// Sent to this customer.
    pub tenant: Option<String>,
    /// Of this type.
    pub event_type: Option<String>,
    /// With this status.
    pub status: Option<StatusFilter>,
    /// In this time.
    pub time: TimeRange,
}

/// Which requests.
#[derive(Debug, Clone, Default)]
pub struct RequestFilter {
    /// With this outcome.
    pub outcome: Option<RequestOutcome>,
    /// With this cause.
    pub cause: Option<Cause>,
    /// Through this source.
    pub source_id: Option<SourceId>,
    /// Of this message: the original and its repetitions.
    pub message_id: Option<MessageId>,
    /// Under one of these keys.
    pub checksums: Option<Vec<Checksum>>,
    /// In this time.
    pub time: TimeRange,
}

/// Which attempts.
#[derive(Debug, Clone, Default)]
pub struct AttemptFilter {
    /// Made for this.
    pub trigger: Option<Trigger>,
    /// With this outcome.
    pub outcome: Option<AttemptOutcome>,
    /// To this endpoint.
    pub endpoint_id: Option<EndpointId>,
    /// In this time.
    pub time: TimeRange,
}

/// A message as people see it.
#[derive(Debug, Clone)]
pub struct MessageView {
    /// The message.
    pub message: Message,
    /// What surrounded its request.
    pub envelope: Arc<Envelope>,
    /// Its body.
    pub body: Bytes,
    /// Its deliveries, in the order in which they were made.
    pub deliveries: Vec<Delivery>,
    /// How many requests repeated it (INV-8: counted, never kept).
    pub duplicates: u64,
}

/// A request as people see it.
#[derive(Debug, Clone)]
pub enum RequestView {
    /// It became this message when it arrived.
    Accepted {
        /// The message.
        message: Message,
        /// What surrounded the request.
        envelope: Arc<Envelope>,
    },
    /// It did not.
    Other {
        /// The record.
        request: Request,
        /// What surrounded it.
        envelope: Arc<Envelope>,
    },
}

/// What happened. Reads see every write that was answered before they began.
pub trait History: Send + Sync {
    /// One message of a project.
    fn message(&self, project: ProjectId, id: MessageId) -> Answer<'_, Option<MessageView>>;

    /// Messages of a project.
    fn messages(
        &self,
        project: ProjectId,
        filter: MessageFilter,
        page: PageRequest,
    ) -> Answer<'_, Page<MessageView>>;

    /// One request of a project.
    fn request(&self, project: ProjectId, id: RequestId) -> Answer<'_, Option<RequestView>>;

    /// Requests of a project. A message that was made by a release is not an arrival, and is not
    /// among them.
    fn requests(
        &self,
        project: ProjectId,
        filter: RequestFilter,
        page: PageRequest,
    ) -> Answer<'_, Page<RequestView>>;

    /// One delivery of a project.
    fn delivery(&self, project: ProjectId, id: DeliveryId) -> Answer<'_, Option<Delivery>>;

    /// The attempts of a delivery, the first one first, with the one under way, if one is.
    fn attempts_of(&self, project: ProjectId, id: DeliveryId) -> Answer<'_, Vec<Attempt>>;

    /// Attempts of a project that have ended.
    fn attempts(
        &self,
        project: ProjectId,
        filter: AttemptFilter,
        page: PageRequest,
    ) -> Answer<'_, Page<Attempt>>;
}
