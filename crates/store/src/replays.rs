//! Replays: made, commanded, and taken forward step by step.

use std::collections::HashMap;

use hooklatch_core::delivery::attempt::AttemptOutcome;
use hooklatch_core::ids::{ApiKeyId, DeliveryId, MessageId, ProjectId, ReplayId};
use hooklatch_core::replay::{
    Found, Head, Plan, Replay, ReplayCommand, ReplayRefused, StatusWanted,
};
use hooklatch_core::time::{Millis, Timestamp};

use crate::{
    Answer, AuditEntry, MessageFilter, Page, PageRequest, StatusFilter, Store, StoreError,
    TimeRange,
};

/// Replays that one holder takes forward at once; the others have their turn when one ends.
pub const REPLAYS_MOVING_MAX: usize = 16;

/// What a new replay shall be.
#[derive(Debug, Clone)]
pub struct NewReplay {
    /// The project.
    pub project: ProjectId,
    /// What it shall do, in its canonical form.
    pub plan: Plan,
    /// The messages among which it looks, where ids or a key narrow them down.
    pub among: Option<Vec<MessageId>>,
    /// What makes two calls the same, where the caller gives such a key.
    pub request_key: Option<String>,
    /// With which API key it is made.
    pub created_by: Option<ApiKeyId>,
    /// Why.
    pub reason: Option<String>,
    /// Whether it starts by itself once it is planned.
    pub start: bool,
    /// What is audited; its subject is replaced by the replay's id.
    pub audit: AuditEntry,
}

impl NewReplay {
    /// The replay under its id.
    pub fn replay(&self, id: ReplayId, now: Timestamp) -> Replay {
        let replay = Replay::opened(Head {
            id,
            project_id: self.project,
            plan: self.plan.clone(),
            among: self.among.clone(),
            request_key: self.request_key.clone(),
            created_by: self.created_by,
            reason: self.reason.clone(),
            created_at: now,
        });
        if !self.start {
            return replay;
        }
        let started = replay.command(ReplayCommand::Start, now);
        started.expect("a replay that is planned next can be started")
    }

    /// What is audited once it has its id.
    pub fn entry(&self, id: ReplayId) -> AuditEntry {
        AuditEntry {
            subject: id.to_string(),
            ..self.audit.clone()
        }
    }
}

/// What came of the wish for a replay.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Opened {
    /// It was made.
    New(Replay),
    /// The same plan is under way already, or was made under the same key.
    Known(Replay),
    /// Another plan was made under the same key.
    KeyTaken(ReplayId),
}

impl Opened {
    /// What the wish comes to, given the replay that was made under the same key and the one of
    /// the same plan that is under way, where there are such. None: a new one shall be made.
    pub fn of(wish: &NewReplay, by_key: Option<Replay>, by_plan: Option<Replay>) -> Option<Self> {
        match (by_key, by_plan) {
            (Some(known), _) if known.head.plan == wish.plan => Some(Self::Known(known)),
            (Some(other), _) => Some(Self::KeyTaken(other.id())),
            (None, Some(known)) => Some(Self::Known(known)),
            (None, None) => None,
        }
    }
}

/// What came of a command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ReplayCommanded {
    /// So the replay stands now.
    Done(Box<Replay>),
    /// It was not carried out.
    Refused(ReplayRefused),
    /// The project has no such replay.
    NotFound,
}

/// Who takes replays forward: a number that no other process has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReplayHolder(pub i64);

/// What a page of history held for a plan.
#[derive(Debug, Clone)]
pub struct PlanStep {
    /// The replay.
    pub id: ReplayId,
    /// Where the page began, [`hooklatch_core::replay::Progress::below`].
    pub below: Option<i64>,
    /// What was found.
    pub found: Found,
    /// Where the next page begins, if there is one.
    pub next: Option<i64>,
}

/// Replays.
pub trait Replays: Send + Sync {
    /// Makes a replay, unless the same plan is under way (P1) or was made under the same key.
    /// Audited where it is new.
    fn open_replay(&self, new: NewReplay) -> Answer<'_, Opened>;

    /// One replay of a project.
    fn replay(&self, project: ProjectId, id: ReplayId) -> Answer<'_, Option<Replay>>;

    /// Replays of a project.
    fn replays(&self, project: ProjectId, page: PageRequest) -> Answer<'_, Page<Replay>>;

    /// Carries out what a person asks, with [`Replay::command`]. Audited where something changed.
    fn command_replay(
        &self,
        project: ProjectId,
        id: ReplayId,
        command: ReplayCommand,
        audit: AuditEntry,
    ) -> Answer<'_, ReplayCommanded>;

    /// The replays that move, and that are this holder's now: nobody else's lease on them lives.
    /// At most [`REPLAYS_MOVING_MAX`], the oldest first. What has no such replay costs no write.
    fn hold_replays(&self, holder: ReplayHolder, span: Millis) -> Answer<'_, Vec<Replay>>;

    /// How the last attempt of each delivery ended, for those that have had one.
    fn last_outcomes(
        &self,
        deliveries: Vec<DeliveryId>,
    ) -> Answer<'_, HashMap<DeliveryId, AttemptOutcome>>;

    /// Takes a plan one page further, with [`Replay::planned`], if it is still being made, still
    /// this holder's, and has not been taken further already. None if not.
    fn plan_replay(&self, holder: ReplayHolder, step: PlanStep) -> Answer<'_, Option<Replay>>;

    /// Takes a replay one step further, with [`Replay::settle`] and [`Replay::step`], all in one
    /// commit, if it runs and is this holder's. None if not.
    fn step_replay(&self, holder: ReplayHolder, id: ReplayId) -> Answer<'_, Option<Replay>>;

    /// Notes who did what, and why.
    fn audit(&self, project: ProjectId, entry: AuditEntry) -> Answer<'_, ()>;
}

/// Messages of one page of a plan: their bodies are read with them.
const PLAN_PAGE: usize = 64;

/// Looks through the next page of history for a plan, beside live traffic.
///
/// # Errors
/// What the store answers.
pub async fn look_for_plan<S: Store + ?Sized>(
    store: &S,
    replay: &Replay,
) -> Result<PlanStep, StoreError> {
    let head = &replay.head;
    let below = replay.progress.below;
    let page = PageRequest {
        limit: PLAN_PAGE,
        below,
    };
    let filter = filter_of(head);
    let page = store.messages(head.project_id, filter, page).await?;
    let deliveries = page.items.iter().flat_map(|view| &view.deliveries);
    let attempted = deliveries.filter(|delivery| delivery.attempts > 0);
    let attempted: Vec<DeliveryId> = attempted.map(|delivery| delivery.id).collect();
    let last = if attempted.is_empty() {
        HashMap::new()
    } else {
        store.last_outcomes(attempted).await?
    };
    let mut found = Found::default();
    for view in &page.items {
        let outcome = |id| last.get(&id).copied();
        found.add(&head.plan, &view.message, &view.deliveries, outcome);
    }
    Ok(PlanStep {
        id: head.id,
        below,
        found,
        next: page.next,
    })
}

/// What the list of messages can be narrowed down by. The status is that of deliveries, so it is
/// looked at one by one.
fn filter_of(head: &Head) -> MessageFilter {
    let filter = &head.plan.filter;
    MessageFilter {
        ids: head.among.clone(),
        source_id: filter.source_id,
        endpoint_id: filter.endpoint_id,
        tenant: None,
        event_type: filter.event_type.clone(),
        status: match filter.status {
            Some(StatusWanted::NoRoute) => Some(StatusFilter::NoRoute),
            Some(StatusWanted::Filtered) => Some(StatusFilter::Filtered),
            Some(
                StatusWanted::Pending
                | StatusWanted::Delivering
                | StatusWanted::Delivered
                | StatusWanted::Failed
                | StatusWanted::Held
                | StatusWanted::Cancelled,
            )
            | None => None,
        },
        time: TimeRange {
            after: filter.after,
            before: filter.before,
        },
    }
}
