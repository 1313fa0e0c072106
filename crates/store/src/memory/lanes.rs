//! How lanes fare, in memory.

use hooklatch_core::delivery::control::{Grant, LaneControl, LaneHealth, Passage};
use hooklatch_core::delivery::{Lane, State as DeliveryState};
use hooklatch_core::ids::ConnectionId;
use hooklatch_core::time::{Millis, Timestamp};

use super::{MemoryStore, State, ready};
use crate::{Answer, LaneReporting, LaneStates};

impl LaneStates for MemoryStore {
    fn health(&self, lanes: Vec<Lane>) -> Answer<'_, Vec<LaneHealth>> {
        ready(self.lock().map(|state| {
            let lanes = lanes.iter();
            lanes.map(|lane| state.health_of(*lane)).collect()
        }))
    }

    fn shift(&self, connection: ConnectionId, from: Lane, to: Lane) -> Answer<'_, ()> {
        let shifted = self.lock().map(|mut state| {
            state.change_unfinished(|delivery| {
                let waits = matches!(delivery.state, DeliveryState::Pending { .. });
                let came_by_it = delivery.connection_id == Some(connection);
                if waits && came_by_it && delivery.lane() == from {
                    delivery.lane = to.0;
                }
            });
        });
        self.wake();
        ready(shifted)
    }
}

impl State {
    fn health_of(&self, lane: Lane) -> LaneHealth {
        self.health.get(&lane).copied().unwrap_or_default()
    }

    /// How much of a lane may be leased.
    pub(super) fn grant(&self, lane: Lane, control: &LaneControl, now: Timestamp) -> Grant {
        let place = lane.for_live();
        let bucket = self.buckets.get(&place).copied().unwrap_or_default();
        control.grant(bucket, &self.health_of(place), now)
    }

    /// Takes what was leased; answers how long the lane then has to wait, if it has to.
    pub(super) fn take(
        &mut self,
        lane: Lane,
        control: &LaneControl,
        many: usize,
        now: Timestamp,
    ) -> Option<Millis> {
        let place = lane.for_live();
        let health = self.health_of(place);
        let bucket = self.buckets.entry(place).or_default();
        let (left, wait) = control.take(*bucket, &health, many, now)?;
        *bucket = left;
        wait
    }

    /// Notes what an attempt says of its lane.
    pub(super) fn report(
        &mut self,
        reporting: &LaneReporting,
        now: Timestamp,
    ) -> Vec<hooklatch_core::delivery::control::LaneEvent> {
        let health = self.health_of(reporting.lane);
        let (next, events, entries) = reporting.apply(&health, now);
        self.health.insert(reporting.lane, next);
        let entries = entries.into_iter();
        self.audit
            .extend(entries.map(|entry| (reporting.project, entry)));
        events
    }
}

/// A lane's limits without a control.
pub(super) const UNLIMITED: Grant = Grant {
    most: usize::MAX,
    live_max: usize::MAX,
    passage: Passage::Through,
    wait: None,
};
