//! What is new: the history in the order in which it becomes known, for whoever watches it.
//!
//! Requests appear in the order of their numbers. An attempt is numbered when it begins and recorded
//! when it ends, so whoever follows remembers which were under way and asks for those that no longer
//! are. Nothing is kept for followers: whoever does not ask costs nothing.

use std::collections::BTreeSet;

use hooklatch_core::delivery::Delivery;
use hooklatch_core::delivery::attempt::Attempt;
use hooklatch_core::ids::{AttemptId, ProjectId};
use hooklatch_core::message::{Message, Request};

use crate::Answer;

/// Up to where a follower has seen everything.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Seen {
    /// The largest number of a request.
    pub requests: i64,
    /// The largest number of an attempt.
    pub attempts: i64,
    /// Attempts that had not ended.
    pub under_way: BTreeSet<AttemptId>,
    /// Numbers just below the largest that were seen: where several nodes number at once, what is
    /// recorded a little later may have a smaller one.
    pub recent: BTreeSet<i64>,
}

/// A request, without what it carried.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Arrived {
    /// It became this message.
    Accepted(Box<Message>),
    /// It did not.
    Other(Box<Request>),
}

/// What was recorded since a follower last asked.
#[derive(Debug, Clone, Default)]
pub struct News {
    /// Requests, the oldest first.
    pub requests: Vec<Arrived>,
    /// Attempts that have ended, without the body of the answer, the oldest first.
    pub attempts: Vec<Attempt>,
    /// The deliveries of these attempts as they stand now.
    pub deliveries: Vec<Delivery>,
    /// Whether there was more than was asked for: the oldest are left out.
    pub left_out: bool,
    /// Up to where everything is seen now.
    pub seen: Seen,
}

/// What is new.
pub trait Following: Send + Sync {
    /// The present: what is recorded later is news.
    fn present(&self) -> Answer<'_, Seen>;

    /// What was recorded since, at most `limit` requests and `limit` attempts, in one project or in
    /// all of them. The newest count; a bounded number of rows is looked through.
    fn news(&self, project: Option<ProjectId>, since: Seen, limit: usize) -> Answer<'_, News>;
}

/// Rows that are looked through for one part of the news.
pub const NEWS_SCANNED_MAX: usize = 20_000;

/// Attempts under way that a follower remembers.
pub const UNDER_WAY_MAX: usize = 20_000;
