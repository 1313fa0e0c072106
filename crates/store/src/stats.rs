//! How much happened when, and what waits now.
//!
//! A figure is counted from history (INV-8); nothing counts along while requests are admitted or
//! attempts end. So that a question over millions of rows is answered at once, a store adds up what
//! it has recorded, late and a bounded part at a time, into one row for each minute and each hour,
//! and notes up to which number that is done. What came after is counted when it is asked for. The
//! sums can be made again from history at any time.

use hooklatch_core::cause::Cause;
use hooklatch_core::delivery::Trigger;
use hooklatch_core::delivery::attempt::AttemptOutcome;
use hooklatch_core::ids::{EndpointId, ProjectId, SourceId};
use hooklatch_core::message::RequestOutcome;
use hooklatch_core::time::{Millis, Timestamp};

use crate::Answer;

/// From this step on, sums of whole hours answer a question.
pub const HOURLY_FROM: Millis = Millis::from_seconds(3_600);

/// For how long the sums of minutes are kept.
pub const MINUTES_KEPT: Millis = Millis::from_seconds(8 * 86_400);

/// For how long the sums of hours are kept.
pub const HOURS_KEPT: Millis = Millis::from_seconds(400 * 86_400);

/// Waiting deliveries of one endpoint that are counted; beyond that there are at least so many.
pub const WAITING_COUNTED_MAX: u64 = 100_000;

/// Which time is asked for, and how finely.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CountsQuery {
    /// Not before this: a multiple of the step since 1970.
    pub from: Timestamp,
    /// Before this: a multiple of the step since 1970.
    pub to: Timestamp,
    /// What one figure spans: a multiple of a minute, and from an hour on of an hour.
    pub step: Millis,
}

/// Requests that arrived during one step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ArrivalCount {
    /// When the step begins.
    pub at: Timestamp,
    /// The source they came through; none for the send API.
    pub source_id: Option<SourceId>,
    /// What became of them.
    pub outcome: RequestOutcome,
    /// Why they came again.
    pub cause: Option<Cause>,
    /// How many.
    pub count: u64,
    /// How many of them had no key.
    pub unkeyed: u64,
}

/// Attempts that began during one step and have ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AttemptCount {
    /// When the step begins.
    pub at: Timestamp,
    /// Where they went; none where the message names a URL.
    pub endpoint_id: Option<EndpointId>,
    /// What they were made for.
    pub trigger: Trigger,
    /// How they ended.
    pub outcome: AttemptOutcome,
    /// How many.
    pub count: u64,
    /// How long they took together.
    pub took: Millis,
}

/// How much happened when, in the order of time.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Counts {
    /// Requests.
    pub arrivals: Vec<ArrivalCount>,
    /// Attempts.
    pub attempts: Vec<AttemptCount>,
}

/// What waits for one endpoint: pending, or being delivered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Waiting {
    /// The endpoint.
    pub endpoint_id: EndpointId,
    /// How many deliveries; [`WAITING_COUNTED_MAX`] where there are at least so many.
    pub count: u64,
    /// When the oldest of those that were counted was made.
    pub oldest: Option<Timestamp>,
}

/// What the adding up came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RolledUp {
    /// All that can be added up is.
    Done,
    /// There is more to do.
    More,
    /// Another node is at it.
    Elsewhere,
}

/// Figures.
pub trait Stats: Send + Sync {
    /// Counts what happened in a project. A released message is no arrival; an attempt under way is
    /// not counted.
    fn counts(&self, project: ProjectId, query: CountsQuery) -> Answer<'_, Counts>;

    /// What waits for each of these endpoints of a project, in their order.
    fn waiting(&self, project: ProjectId, endpoints: Vec<EndpointId>) -> Answer<'_, Vec<Waiting>>;

    /// When something that was not refused last came through each of these sources of a project,
    /// in their order.
    fn last_arrivals(
        &self,
        project: ProjectId,
        sources: Vec<SourceId>,
    ) -> Answer<'_, Vec<Option<Timestamp>>>;

    /// Adds up a bounded part of what was recorded since the last time.
    fn roll_up(&self) -> Answer<'_, RolledUp>;
}
