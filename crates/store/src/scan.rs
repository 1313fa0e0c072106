//! Reading what came through a source from its beginning to its end, for rules that are tried on
//! the past.

use bytes::Bytes;
use hooklatch_core::ids::{ConnectionId, MessageId, ProjectId, RequestId, SourceId};
use hooklatch_core::time::Timestamp;

use crate::Answer;

/// What is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ScanOf {
    /// Every arrival through a source that was neither refused nor a question of the provider's.
    Source(SourceId),
    /// Every message of the project that a connection could get: those of a source, or of the send
    /// API.
    Connection {
        /// The connection; it decides nothing here.
        id: ConnectionId,
        /// Its source; none where it takes events of the send API.
        source: Option<SourceId>,
    },
}

/// A part of a scan.
#[derive(Debug, Clone, Copy)]
pub struct ScanStep {
    /// Whose.
    pub project: ProjectId,
    /// What.
    pub of: ScanOf,
    /// Only numbers from this one on.
    pub from: i64,
    /// Only numbers below this.
    pub below: i64,
    /// At most so many rows are looked at.
    pub rows_max: usize,
    /// About so many bytes are read at most; one row may exceed it.
    pub bytes_max: usize,
}

/// One stored arrival.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scanned {
    /// The record of the arrival.
    pub request_id: RequestId,
    /// The message it became, or repeats.
    pub message_id: Option<MessageId>,
    /// When it arrived.
    pub received_at: Timestamp,
    /// What surrounded it, as it is stored: [`crate::record::envelope::decode`].
    pub envelope: Option<String>,
    /// Its body, or its original's where it carried the same; none where that was pruned.
    pub body: Option<Bytes>,
}

/// What a step read, oldest first.
#[derive(Debug, Clone, Default)]
pub struct ScanPage {
    /// The arrivals.
    pub arrivals: Vec<Scanned>,
    /// Where to go on; none at the end.
    pub next: Option<i64>,
}

/// Scans.
pub trait Scans: Send + Sync {
    /// Reads a part, in the order of numbers.
    fn scan(&self, step: ScanStep) -> Answer<'_, ScanPage>;

    /// How many arrivals a scan meets, roughly and at most `limit`: for progress, not for a sum.
    fn scan_size(&self, step: ScanStep, limit: usize) -> Answer<'_, usize>;
}
