//! The contract of replays, method by method.

use std::collections::HashMap;
use std::sync::Arc;

use hooklatch_core::delivery::attempt::AttemptOutcome;
use hooklatch_core::ids::{DeliveryId, ProjectId, ReplayId};
use hooklatch_core::replay::{Replay, ReplayCommand};
use hooklatch_core::time::Millis;
use hooklatch_store::{
    Answer, AuditEntry, NewReplay, Opened, Page, PageRequest, PlanStep, ReplayCommanded,
    ReplayHolder, Replays,
};

use super::running;
use crate::pool::transact;
use crate::store::PostgresStore;
use crate::{config, partitions, snapshot};

impl Replays for PostgresStore {
    fn open_replay(&self, new: NewReplay) -> Answer<'_, Opened> {
        let (pool, memory) = (self.pool.clone(), Arc::clone(&self.memory));
        let new = Arc::new(new);
        self.run(async move {
            transact(&pool, |transaction| {
                let (memory, new) = (Arc::clone(&memory), Arc::clone(&new));
                Box::pin(async move { super::open(transaction, &memory, &new).await })
            })
            .await
        })
    }

    fn replay(&self, project: ProjectId, id: ReplayId) -> Answer<'_, Option<Replay>> {
        self.read(move |db| Box::pin(super::load(db, project, id)))
    }

    fn replays(&self, project: ProjectId, page: PageRequest) -> Answer<'_, Page<Replay>> {
        self.read(move |db| Box::pin(super::page(db, project, page)))
    }

    fn command_replay(
        &self,
        project: ProjectId,
        id: ReplayId,
        command: ReplayCommand,
        audit: AuditEntry,
    ) -> Answer<'_, ReplayCommanded> {
        let (pool, memory) = (self.pool.clone(), Arc::clone(&self.memory));
        let audit = Arc::new(audit);
        self.run(async move {
            transact(&pool, |transaction| {
                let (memory, audit) = (Arc::clone(&memory), Arc::clone(&audit));
                let asked = (project, id, command);
                Box::pin(async move { super::command(transaction, &memory, asked, &audit).await })
            })
            .await
        })
    }

    fn hold_replays(&self, holder: ReplayHolder, span: Millis) -> Answer<'_, Vec<Replay>> {
        let (pool, memory) = (self.pool.clone(), Arc::clone(&self.memory));
        self.run(async move {
            if !snapshot::read(&pool, |db| Box::pin(super::anything_moves(db))).await? {
                return Ok(Vec::new());
            }
            transact(&pool, |transaction| {
                let memory = Arc::clone(&memory);
                Box::pin(async move { super::hold(transaction, &memory, holder, span).await })
            })
            .await
        })
    }

    fn last_outcomes(
        &self,
        deliveries: Vec<DeliveryId>,
    ) -> Answer<'_, HashMap<DeliveryId, AttemptOutcome>> {
        self.read(move |db| Box::pin(async move { super::last_outcomes(db, &deliveries).await }))
    }

    fn plan_replay(&self, holder: ReplayHolder, step: PlanStep) -> Answer<'_, Option<Replay>> {
        let (pool, memory) = (self.pool.clone(), Arc::clone(&self.memory));
        let step = Arc::new(step);
        self.run(async move {
            transact(&pool, |transaction| {
                let (memory, step) = (Arc::clone(&memory), Arc::clone(&step));
                Box::pin(async move { running::plan(transaction, &memory, holder, &step).await })
            })
            .await
        })
    }

    fn step_replay(&self, holder: ReplayHolder, id: ReplayId) -> Answer<'_, Option<Replay>> {
        let (pool, memory) = (self.pool.clone(), Arc::clone(&self.memory));
        self.run(async move {
            let now = memory.clock.now();
            if !memory.has_partitions(now) {
                let client = pool.get().await?;
                memory.set_partitions(partitions::ensure(&client, now).await?);
            }
            let stepped = transact(&pool, |transaction| {
                let memory = Arc::clone(&memory);
                Box::pin(async move { running::step(transaction, &memory, (holder, id)).await })
            });
            let (replay, due) = stepped.await?;
            memory.learnt(&due);
            Ok(replay)
        })
    }

    fn audit(&self, project: ProjectId, entry: AuditEntry) -> Answer<'_, ()> {
        let (pool, memory) = (self.pool.clone(), Arc::clone(&self.memory));
        let entry = Arc::new(entry);
        self.run(async move {
            transact(&pool, |transaction| {
                let (memory, entry) = (Arc::clone(&memory), Arc::clone(&entry));
                Box::pin(async move {
                    config::audit(transaction.client(), &memory.numbers, project, &entry).await
                })
            })
            .await
        })
    }
}
