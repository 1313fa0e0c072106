//! A pass within what limits its lanes: asked before they are served, paid for after.

use std::collections::HashMap;

use hooklatch_core::delivery::control::LaneControl;
use hooklatch_core::delivery::{Delivery, Lane};
use hooklatch_core::time::Millis;
use hooklatch_store::LeaseRequest;
use hooklatch_store::node::LaneChange;

use super::lease::{Pass, Turn};
use crate::fault::Fault;

/// How soon a lane has its turn that left this one to its sibling.
const SIBLING: Millis = Millis::new(20);

impl Pass<'_> {
    /// Asks what limits these lanes, where something does, and leaves out those that have to wait.
    pub(super) async fn hold(
        &mut self,
        request: &LeaseRequest,
        turns: &mut Vec<Turn>,
    ) -> Result<(), Fault> {
        if let Some(until) = self.memory.lanes(|lanes| lanes.first_deferred(self.now)) {
            self.soonest(until.since(self.now));
        }
        let mut controls: HashMap<Lane, LaneControl> = HashMap::new();
        let mut left = false;
        turns.retain(|turn| {
            let control = request.terms.control(turn.lane);
            let Some(control) = control.filter(|it| it.holds(self.now)) else {
                return true;
            };
            if controls.contains_key(&turn.lane.sibling()) {
                left = true;
                return false;
            }
            controls.insert(turn.lane, control);
            true
        });
        if left {
            // Two lanes of one place share its bucket, and take turns at it.
            self.soonest(SIBLING);
        }
        if controls.is_empty() {
            return Ok(());
        }
        let (client, statement) = (&self.link.client, &self.link.statements.limits);
        let notes = &self.plan.notes;
        self.held = notes.held(client, statement, &controls, self.now).await?;
        let mut waits = Vec::new();
        turns.retain_mut(|turn| {
            let Some(held) = self.held.get(&turn.lane) else {
                return true;
            };
            turn.terms.capacity = turn.terms.capacity.min(held.grant.most);
            turn.terms.live_max = turn.terms.live_max.min(held.grant.live_max);
            waits.extend(held.grant.wait.map(|wait| (turn.lane, wait)));
            held.grant.wait.is_none()
        });
        for (lane, wait) in waits {
            self.defer(lane, wait);
            // It has had its turn: those behind it come first the next time.
            self.plan.lanes.push(LaneChange::Served(lane));
        }
        Ok(())
    }

    /// Takes from the buckets what was leased.
    pub(super) fn settle(&mut self) {
        let mut waits = Vec::new();
        for (lane, held) in &self.held {
            let of_lane = |(delivery, _): &&(Delivery, Millis)| delivery.lane() == *lane;
            let many = self.found.iter().filter(of_lane).count();
            if let Some((left, wait)) = held.take(many, self.now) {
                self.plan.notes.put(*lane, left);
                waits.extend(wait.map(|wait| (*lane, wait)));
            }
        }
        for (lane, wait) in waits {
            self.defer(lane, wait);
        }
    }

    fn defer(&mut self, lane: Lane, wait: Millis) {
        self.soonest(wait);
        let deferred = LaneChange::deferred(lane, wait, self.now);
        self.plan.lanes.push(deferred);
    }
}
