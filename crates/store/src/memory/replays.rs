//! Replays, in memory.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use hooklatch_core::delivery::Delivery;
use hooklatch_core::delivery::attempt::AttemptOutcome;
use hooklatch_core::ids::{DeliveryId, ProjectId, ReplayId};
use hooklatch_core::message::Parcel;
use hooklatch_core::replay::{Item, Material, Replay, ReplayCommand, ReplayStatus};
use hooklatch_core::time::{Millis, Timestamp};

use super::{MemoryStore, State, ready};
use crate::{
    Answer, AuditEntry, NewReplay, Opened, Page, PageRequest, PlanStep, REPLAYS_MOVING_MAX,
    ReplayCommanded, ReplayHolder, Replays,
};

/// A replay with what belongs to it.
#[derive(Clone)]
pub(super) struct Kept {
    replay: Replay,
    /// What is still to be done, the oldest message first.
    items: VecDeque<Item>,
    holder: i64,
    held_until: Timestamp,
}

impl Kept {
    /// A lease ends with the process that holds it.
    pub(super) fn void_lease(&mut self) {
        self.held_until = Timestamp::from_millis(0);
    }

    fn is_held(&self, holder: ReplayHolder) -> bool {
        self.holder == holder.0
    }
}

impl Replays for MemoryStore {
    fn open_replay(&self, new: NewReplay) -> Answer<'_, Opened> {
        let now = self.clock.now();
        ready(self.lock().map(|mut state| state.open(&new, now)))
    }

    fn replay(&self, project: ProjectId, id: ReplayId) -> Answer<'_, Option<Replay>> {
        ready(self.lock().map(|state| {
            let kept = state.replays.get(&id);
            let own = kept.filter(|kept| kept.replay.head.project_id == project);
            own.map(|kept| kept.replay.clone())
        }))
    }

    fn replays(&self, project: ProjectId, page: PageRequest) -> Answer<'_, Page<Replay>> {
        ready(self.lock().map(|state| {
            let below = page.below.unwrap_or(i64::MAX);
            let newest_first = state.replays.values().rev().map(|kept| &kept.replay);
            let mut own = newest_first
                .filter(|replay| replay.head.project_id == project)
                .filter(|replay| replay.id().number() < below);
            let items: Vec<Replay> = own.by_ref().take(page.limit).cloned().collect();
            let next = own.next().and(items.last()).map(|it| it.id().number());
            Page { items, next }
        }))
    }

    fn command_replay(
        &self,
        project: ProjectId,
        id: ReplayId,
        command: ReplayCommand,
        audit: AuditEntry,
    ) -> Answer<'_, ReplayCommanded> {
        let now = self.clock.now();
        ready(self.lock().map(|mut state| {
            let kept = state.replays.get_mut(&id);
            let Some(kept) = kept.filter(|kept| kept.replay.head.project_id == project) else {
                return ReplayCommanded::NotFound;
            };
            match kept.replay.command(command, now) {
                Err(refused) => ReplayCommanded::Refused(refused),
                Ok(moved) => {
                    if moved.status().has_ended() {
                        kept.items.clear();
                    }
                    if moved != kept.replay {
                        kept.replay = moved.clone();
                        state.audit.push((project, audit));
                    }
                    ReplayCommanded::Done(Box::new(moved))
                }
            }
        }))
    }

    fn hold_replays(&self, holder: ReplayHolder, span: Millis) -> Answer<'_, Vec<Replay>> {
        let now = self.clock.now();
        ready(self.lock().map(|mut state| {
            let moving = state.replays.values_mut();
            let moving = moving.filter(|kept| kept.replay.status().is_moving());
            let free = moving.filter(|kept| kept.is_held(holder) || kept.held_until <= now);
            let mut held = Vec::new();
            for kept in free.take(REPLAYS_MOVING_MAX) {
                kept.holder = holder.0;
                kept.held_until = now + span;
                held.push(kept.replay.clone());
            }
            held
        }))
    }

    fn last_outcomes(
        &self,
        deliveries: Vec<DeliveryId>,
    ) -> Answer<'_, HashMap<DeliveryId, AttemptOutcome>> {
        ready(self.lock().map(|state| {
            let last = |id: &DeliveryId| Some((*id, state.attempts_of(*id).next_back()?.outcome));
            deliveries.iter().filter_map(last).collect()
        }))
    }

    fn plan_replay(&self, holder: ReplayHolder, step: PlanStep) -> Answer<'_, Option<Replay>> {
        let now = self.clock.now();
        ready(self.lock().map(|mut state| {
            let kept = state.replays.get_mut(&step.id)?;
            let current = kept.replay.status() == ReplayStatus::Planning
                && kept.replay.progress.below == step.below;
            if !current || !kept.is_held(holder) {
                return None;
            }
            kept.replay.planned(&step.found, step.next, now);
            // Pages go from the newest to the oldest, and so do their items.
            let mut items: Vec<Item> = step.found.items;
            items.sort_by_key(|item| (item.message, item.delivery));
            for item in items.into_iter().rev() {
                kept.items.push_front(item);
            }
            Some(kept.replay.clone())
        }))
    }

    fn step_replay(&self, holder: ReplayHolder, id: ReplayId) -> Answer<'_, Option<Replay>> {
        let now = self.clock.now();
        let stepped = self.lock().map(|mut state| state.step(holder, id, now));
        self.wake();
        ready(stepped)
    }

    fn audit(&self, project: ProjectId, entry: AuditEntry) -> Answer<'_, ()> {
        ready(
            self.lock()
                .map(|mut state| state.audit.push((project, entry))),
        )
    }
}

impl State {
    fn open(&mut self, new: &NewReplay, now: Timestamp) -> Opened {
        let digest = new.plan.digest(new.project);
        let own = || {
            let all = self.replays.values().map(|kept| &kept.replay);
            all.filter(|replay| replay.head.project_id == new.project)
        };
        let by_key = new.request_key.as_ref().and_then(|key| {
            let mut own = own();
            own.find(|known| known.head.request_key.as_ref() == Some(key))
        });
        let by_plan = own().find(|known| known.is_the_same(&digest));
        if let Some(opened) = Opened::of(new, by_key.cloned(), by_plan.cloned()) {
            return opened;
        }
        let id = ReplayId::from_number(self.mint.next(now));
        let replay = new.replay(id, now);
        self.audit.push((new.project, new.entry(id)));
        let kept = Kept {
            replay: replay.clone(),
            items: VecDeque::new(),
            holder: 0,
            held_until: Timestamp::from_millis(0),
        };
        self.replays.insert(id, kept);
        Opened::New(replay)
    }

    fn step(&mut self, holder: ReplayHolder, id: ReplayId, now: Timestamp) -> Option<Replay> {
        let mut kept = self.replays.get(&id)?.clone();
        if kept.replay.status() != ReplayStatus::Running || !kept.is_held(holder) {
            return None;
        }
        let window = kept.replay.progress.window.iter();
        let known = window.filter_map(|handed| self.deliveries.get(&handed.delivery));
        let known: HashMap<DeliveryId, Delivery> = known.map(|it| (it.id, it.clone())).collect();
        kept.replay.settle(&known, now);
        let many = kept.replay.allowance(now).min(kept.items.len());
        let items: Vec<Item> = kept.items.drain(..many).collect();
        let material = self.material(items, !kept.items.is_empty());
        let stepped = kept.replay.step(&material, &mut self.mint, now);
        for moved in stepped.moved {
            let before = self.deliveries[&moved.id].clone();
            self.moved(&before, moved, now);
        }
        for made in stepped.made {
            let id = made.parcel.message.id;
            let before = self.messages.insert(id, Arc::new(made.parcel));
            assert!(before.is_none(), "{id} was minted twice");
            let placed = self.placed(made.delivery);
            self.keep_delivery(placed);
        }
        let replay = kept.replay.clone();
        self.replays.insert(id, kept);
        Some(replay)
    }

    fn material(&self, items: Vec<Item>, more: bool) -> Material {
        let deliveries = items.iter().filter_map(|item| item.delivery);
        let deliveries = deliveries.filter_map(|id| self.deliveries.get(&id));
        let parcels = items
            .iter()
            .filter_map(|item| self.messages.get(&item.message));
        Material {
            more,
            deliveries: deliveries.map(|it| (it.id, it.clone())).collect(),
            present: items
                .iter()
                .map(|item| item.message)
                .filter(|id| self.has_payload(*id))
                .collect(),
            parcels: parcels
                .map(|parcel| (parcel.message.id, Parcel::clone(parcel)))
                .collect(),
            items,
        }
    }
}
