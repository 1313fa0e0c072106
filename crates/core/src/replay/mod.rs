//! A replay is a job: a plan is made first, a person looks at it and starts it, and it runs in
//! small steps beside live traffic, at a set rate, until it is done or called off (P1 to P4).
//!
//! Everything it has come to lies in two records, [`Head`] and [`Progress`], and each step is one
//! transaction of a store: whoever takes the next step, after a crash or on another node, goes on
//! exactly where the last one ended. Nothing here reads a clock or a store.

mod choice;
mod plan;
mod step;
#[cfg(test)]
mod testing;

pub use choice::{Counts, Found, Item};
pub use plan::{Action, Filter, Plan, StatusWanted};
pub use step::{Made, Material, Stepped};

use crate::ids::{ApiKeyId, DeliveryId, MessageId, ProjectId, ReplayId};
use crate::time::Timestamp;

/// Deliveries that wait for the end of their first attempt at once.
pub const WINDOW_MAX: usize = 256;
/// Items of one step: a step shares its transaction with live traffic.
pub const STEP_ITEMS_MAX: usize = 32;

/// How far a replay has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReplayStatus {
    /// Its deliveries are being looked for.
    Planning,
    /// It waits to be started.
    Ready,
    /// Its deliveries are being sent.
    Running,
    /// It waits to be resumed.
    Paused,
    /// Nothing is left to do.
    Done,
    /// A person called it off.
    Cancelled,
}

impl ReplayStatus {
    /// The name on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Planning => "planning",
            Self::Ready => "ready",
            Self::Running => "running",
            Self::Paused => "paused",
            Self::Done => "done",
            Self::Cancelled => "cancelled",
        }
    }

    /// The stable number that stores keep.
    pub const fn code(self) -> i64 {
        match self {
            Self::Planning => 0,
            Self::Running => 1,
            Self::Ready => 2,
            Self::Paused => 3,
            Self::Done => 4,
            Self::Cancelled => 5,
        }
    }

    /// Whether it has come to its end.
    pub const fn has_ended(self) -> bool {
        match self {
            Self::Done | Self::Cancelled => true,
            Self::Planning | Self::Ready | Self::Running | Self::Paused => false,
        }
    }

    /// Whether somebody has to take steps.
    pub const fn is_moving(self) -> bool {
        match self {
            Self::Planning | Self::Running => true,
            Self::Ready | Self::Paused | Self::Done | Self::Cancelled => false,
        }
    }
}

/// What a replay is: it never changes.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Head {
    /// Its id.
    pub id: ReplayId,
    /// The project that owns it.
    pub project_id: ProjectId,
    /// What it shall do.
    pub plan: Plan,
    /// The messages among which it looks, where ids or a key narrow them down.
    #[serde(default)]
    pub among: Option<Vec<MessageId>>,
    /// What makes two calls that create it the same, where the caller gave such a key.
    #[serde(default)]
    pub request_key: Option<String>,
    /// With which API key it was made.
    #[serde(default)]
    pub created_by: Option<ApiKeyId>,
    /// Why, in the person's words.
    #[serde(default)]
    pub reason: Option<String>,
    /// When it was made. What came later is not its business.
    pub created_at: Timestamp,
}

/// How far a replay has come.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Progress {
    /// Its status.
    pub status: ReplayStatus,
    /// Whether it starts by itself once it is planned.
    pub start_when_ready: bool,
    /// Where the next page of history begins that is looked through for the plan.
    pub below: Option<i64>,
    /// What the plan has found.
    pub counts: Counts,
    /// How many deliveries it takes.
    pub total: u64,
    /// How many of them the receiver took, or were called off where that is its action.
    pub done: u64,
    /// How many did not succeed. Their own retries go on.
    pub failed: u64,
    /// How many were left alone when their turn came: something else had moved them meanwhile.
    pub skipped: u64,
    /// How many could not be sent because their history was dropped.
    pub gone: u64,
    /// How many still waited for their attempt after a minute: paused endpoints, limited rates.
    pub waiting: u64,
    /// Those whose first attempt has not ended.
    pub window: Vec<Handed>,
    /// The next one is sent no earlier than this, in microseconds since 1970.
    pub paced_until_us: i64,
    /// When it was started.
    pub started_at: Option<Timestamp>,
    /// When it came to its end.
    pub ended_at: Option<Timestamp>,
}

/// A delivery that was handed over to be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Handed {
    /// Which.
    pub delivery: DeliveryId,
    /// How many attempts it had before.
    pub attempts: u32,
    /// When.
    pub at: Timestamp,
}

/// A replay as it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Replay {
    /// What it is.
    pub head: Head,
    /// How far it has come.
    pub progress: Progress,
}

/// What a person asks of a replay.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReplayCommand {
    /// Send what the plan has found; where it is still being made, as soon as it is.
    Start,
    /// Hand nothing more over, for now.
    Pause,
    /// Go on.
    Resume,
    /// Hand nothing more over, for ever.
    Cancel,
}

impl ReplayCommand {
    /// The name on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::Pause => "pause",
            Self::Resume => "resume",
            Self::Cancel => "cancel",
        }
    }
}

/// Why a command was not carried out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ReplayRefused {
    /// It has come to its end.
    #[error("the replay is {}; make a new one", .0.as_str())]
    Ended(ReplayStatus),
    /// It was not started.
    #[error("the replay is {}; only one that runs can be paused or resumed", .0.as_str())]
    NotStarted(ReplayStatus),
}

impl Replay {
    /// A new replay, which is planned next.
    pub fn opened(head: Head) -> Self {
        let progress = Progress {
            status: ReplayStatus::Planning,
            start_when_ready: false,
            below: Some(head.id.number()),
            counts: Counts::default(),
            total: 0,
            done: 0,
            failed: 0,
            skipped: 0,
            gone: 0,
            waiting: 0,
            window: Vec::new(),
            paced_until_us: 0,
            started_at: None,
            ended_at: None,
        };
        Self { head, progress }
    }

    /// Its id.
    pub const fn id(&self) -> ReplayId {
        self.head.id
    }

    /// Its status.
    pub const fn status(&self) -> ReplayStatus {
        self.progress.status
    }

    /// Whether a plan with this digest, made again, is this replay: the same one twice is one job,
    /// until it has come to its end.
    pub fn is_the_same(&self, digest: &str) -> bool {
        !self.status().has_ended() && self.head.plan.digest(self.head.project_id) == digest
    }

    /// Carries out what a person asks. What is asked twice is done once.
    ///
    /// # Errors
    /// Where it stands in a state that does not allow it.
    pub fn command(&self, command: ReplayCommand, now: Timestamp) -> Result<Self, ReplayRefused> {
        use ReplayCommand as C;
        use ReplayStatus as S;
        let mut moved = self.clone();
        let progress = &mut moved.progress;
        match (command, self.status()) {
            (C::Start, S::Planning) => progress.start_when_ready = true,
            (C::Start, S::Ready) => moved.begin(now),
            (C::Start | C::Resume, S::Paused) => progress.status = S::Running,
            (C::Start, S::Running | S::Done)
            | (C::Resume, S::Running)
            | (C::Pause, S::Paused)
            | (C::Cancel, S::Cancelled) => {}
            (C::Pause, S::Running) => progress.status = S::Paused,
            (C::Cancel, S::Planning | S::Ready | S::Running | S::Paused) => {
                progress.ended_at = Some(now);
                progress.status = S::Cancelled;
            }
            (C::Pause | C::Resume, S::Planning | S::Ready) => {
                return Err(ReplayRefused::NotStarted(self.status()));
            }
            (C::Start | C::Pause | C::Resume, S::Cancelled)
            | (C::Pause | C::Resume | C::Cancel, S::Done) => {
                return Err(ReplayRefused::Ended(self.status()));
            }
        }
        Ok(moved)
    }

    /// Takes over what a page of history held. `next` is where the next page begins, if there is
    /// one.
    pub fn planned(&mut self, found: &Found, next: Option<i64>, now: Timestamp) {
        let progress = &mut self.progress;
        progress.counts.add(&found.counts);
        progress.total += found.items.len() as u64;
        progress.below = next;
        if next.is_none() {
            progress.status = ReplayStatus::Ready;
            if progress.start_when_ready {
                self.begin(now);
            }
        }
    }

    /// A replay over nothing is done as soon as it is started.
    fn begin(&mut self, now: Timestamp) {
        let progress = &mut self.progress;
        progress.started_at = Some(now);
        progress.status = ReplayStatus::Running;
        self.end_if_done(self.progress.total > 0, now);
    }

    fn end_if_done(&mut self, items_left: bool, now: Timestamp) {
        let progress = &mut self.progress;
        if !items_left && progress.window.is_empty() && progress.status == ReplayStatus::Running {
            progress.status = ReplayStatus::Done;
            progress.ended_at = Some(now);
        }
    }
}

#[cfg(test)]
mod tests;
