//! How lanes fare: what attempts say of them, and what people see of that.

use hooklatch_core::delivery::Lane;
use hooklatch_core::delivery::control::{LaneEvent, LaneHealth, LaneReport};
use hooklatch_core::ids::{ConnectionId, ProjectId};

use crate::{Answer, AuditEntry, Finished};

/// What is told of an attempt that ended, and of which lane.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LaneReporting {
    /// The lane.
    pub lane: Lane,
    /// The project that owns it, in whose audit log changes are noted.
    pub project: ProjectId,
    /// What the audit log calls it.
    pub subject: String,
    /// What is told.
    pub report: LaneReport,
}

/// What a finish did, to its delivery and to its lane.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reported {
    /// To its delivery.
    pub finished: Finished,
    /// What people shall hear of the lane. The audit log has what is new of it already.
    pub events: Vec<LaneEvent>,
}

/// Lanes.
pub trait LaneStates: Send + Sync {
    /// How these lanes fare, in the order in which they were asked for; as new where nothing is
    /// known.
    fn health(&self, lanes: Vec<Lane>) -> Answer<'_, Vec<LaneHealth>>;

    /// Moves what waits in a lane and came by a connection to another lane, due as it is. What is
    /// leased at the moment stays; whoever leased it moves it.
    fn shift(&self, connection: ConnectionId, from: Lane, to: Lane) -> Answer<'_, ()>;
}

impl LaneReporting {
    /// The health after this report, what people shall hear, and what of that is new to them, for
    /// the audit log.
    pub fn apply(
        &self,
        health: &LaneHealth,
        now: hooklatch_core::time::Timestamp,
    ) -> (LaneHealth, Vec<LaneEvent>, Vec<AuditEntry>) {
        let (next, events) = health.after(&self.report, now);
        let news = events.iter().filter(|event| health.tells_anew(event));
        let entries = news.map(|event| AuditEntry {
            at: now,
            actor: None,
            action: event.action().to_owned(),
            subject: self.subject.clone(),
            reason: Some(event.sentence()),
        });
        let entries = entries.collect();
        (next, events, entries)
    }
}

/// The text that a store keeps of a lane's health.
pub fn encode_health(health: &LaneHealth) -> String {
    serde_json::to_string(health).expect("a lane's health is plain data")
}

/// Reads what [`encode_health`] wrote. What a later version wrote and this one cannot read counts
/// as nothing known: it is only what was counted, and is counted again.
pub fn decode_health(text: &str) -> LaneHealth {
    serde_json::from_str(text).unwrap_or_default()
}
