//! The contract of replays, method by method.

use std::collections::HashMap;

use hooklatch_core::delivery::attempt::AttemptOutcome;
use hooklatch_core::ids::{DeliveryId, ProjectId, ReplayId};
use hooklatch_core::replay::{Replay, ReplayCommand};
use hooklatch_core::time::Millis;
use hooklatch_store::{
    Answer, AuditEntry, NewReplay, Opened, Page, PageRequest, PlanStep, ReplayCommanded,
    ReplayHolder, Replays,
};

use super::running;
use crate::SqliteStore;

impl Replays for SqliteStore {
    fn open_replay(&self, new: NewReplay) -> Answer<'_, Opened> {
        Box::pin(self.write(new, 0, super::open))
    }

    fn replay(&self, project: ProjectId, id: ReplayId) -> Answer<'_, Option<Replay>> {
        self.read(move |db| super::load(db, project, id))
    }

    fn replays(&self, project: ProjectId, page: PageRequest) -> Answer<'_, Page<Replay>> {
        self.read(move |db| super::page(db, project, page))
    }

    fn command_replay(
        &self,
        project: ProjectId,
        id: ReplayId,
        command: ReplayCommand,
        audit: AuditEntry,
    ) -> Answer<'_, ReplayCommanded> {
        Box::pin(self.write((project, id, command, audit), 0, super::command))
    }

    fn hold_replays(&self, holder: ReplayHolder, span: Millis) -> Answer<'_, Vec<Replay>> {
        Box::pin(async move {
            if self.read(super::anything_moves).await? {
                self.write((holder, span), 0, super::hold).await
            } else {
                Ok(Vec::new())
            }
        })
    }

    fn last_outcomes(
        &self,
        deliveries: Vec<DeliveryId>,
    ) -> Answer<'_, HashMap<DeliveryId, AttemptOutcome>> {
        self.read(move |db| running::last_outcomes(db, &deliveries))
    }

    fn plan_replay(&self, holder: ReplayHolder, step: PlanStep) -> Answer<'_, Option<Replay>> {
        Box::pin(self.write((holder, step), 0, running::plan))
    }

    fn step_replay(&self, holder: ReplayHolder, id: ReplayId) -> Answer<'_, Option<Replay>> {
        Box::pin(self.write((holder, id), 0, running::step))
    }

    fn audit(&self, project: ProjectId, entry: AuditEntry) -> Answer<'_, ()> {
        Box::pin(self.write((project, entry), 0, super::audit))
    }
}
