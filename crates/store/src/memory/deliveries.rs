//! Deliveries, in memory.

use std::collections::BTreeMap;
use std::sync::Arc;

use hooklatch_core::delivery::attempt::Attempt;
use hooklatch_core::delivery::control::{LaneControl, Passage};
use hooklatch_core::delivery::lifecycle::{Command, CommandRefused, Finish};
use hooklatch_core::delivery::order::{Turns, turn_left, turn_wanted};
use hooklatch_core::delivery::{Delivery, Lane, State as DeliveryState};
use hooklatch_core::ids::{AttemptId, DeliveryId, ProjectId};
use hooklatch_core::time::{Millis, Timestamp};
use hooklatch_core::transform::Transformed;

use super::lanes::UNLIMITED;
use super::{Fault, MemoryStore, State, ready};
use crate::{
    Answer, Commanded, Deliveries, FinishAttempt, Finished, LaneReporting, Lease, LeaseRequest,
    Leases, Reported, StoreError, Wake,
};

impl Deliveries for MemoryStore {
    fn lease(&self, request: LeaseRequest) -> Answer<'_, Leases> {
        let now = self.clock.now();
        ready(self.lock().map(|mut state| state.lease(&request, now)))
    }

    fn finish(&self, finish: FinishAttempt) -> Answer<'_, Finished> {
        let finished = self.finish_now(finish);
        self.wake();
        ready(finished)
    }

    fn finish_and_report(
        &self,
        finish: FinishAttempt,
        report: LaneReporting,
    ) -> Answer<'_, Reported> {
        let now = self.clock.now();
        let finished = self.finish_now(finish).and_then(|finished| {
            let events = match &finished {
                Finished::Applied(_) => self.lock()?.report(&report, now),
                Finished::Fenced => Vec::new(),
            };
            Ok(Reported { finished, events })
        });
        self.wake();
        ready(finished)
    }

    fn command(
        &self,
        project: ProjectId,
        delivery: DeliveryId,
        command: Command,
    ) -> Answer<'_, Commanded> {
        let now = self.clock.now();
        let commanded = self.lock().map(|mut state| {
            let state = &mut *state;
            let found = state.deliveries.get_mut(&delivery);
            let Some(found) = found.filter(|delivery| delivery.project_id == project) else {
                return Commanded::NotFound;
            };
            let parcel = state.messages.get(&found.message_id);
            let kept = parcel.is_some_and(|it| it.message.payload_pruned_at.is_none());
            match found.command(command, now) {
                Err(refused) => Commanded::Refused(refused),
                Ok(moved) if !moved.state.status().is_final() && !kept => {
                    Commanded::Refused(CommandRefused::HistoryDropped)
                }
                Ok(moved) => {
                    let before = found.clone();
                    Commanded::Done(state.moved(&before, moved, now))
                }
            }
        });
        self.wake();
        ready(commanded)
    }

    fn keep_transformed(
        &self,
        delivery: DeliveryId,
        transformed: Transformed,
    ) -> Answer<'_, Transformed> {
        ready(self.lock().map(|mut state| {
            let kept = state.transformed.entry(delivery).or_insert(transformed);
            kept.clone()
        }))
    }

    fn transformed(&self, delivery: DeliveryId) -> Answer<'_, Option<Transformed>> {
        ready(
            self.lock()
                .map(|state| state.transformed.get(&delivery).cloned()),
        )
    }

    fn hasten(&self, lane: Lane) -> Answer<'_, ()> {
        let now = self.clock.now();
        let hastened = self.lock().map(|mut state| {
            state.change_unfinished(|delivery| {
                if delivery.lane() != lane || delivery.waits_for_turn() {
                    return;
                }
                if let DeliveryState::Pending { due } = &mut delivery.state {
                    *due = now.min(*due);
                }
            });
        });
        self.wake();
        ready(hastened)
    }

    fn on_work(&self, wake: Wake) {
        self.wake.lock().expect("wakers do not panic").push(wake);
    }
}

/// A lease ends with the process that gave it.
pub(super) fn void_lease(delivery: &mut Delivery, now: Timestamp) {
    if let DeliveryState::Delivering { lease } = &mut delivery.state {
        lease.until = now;
    }
}

/// From when a delivery can be leased, if it waits for that.
fn leasable_from(delivery: &Delivery) -> Option<Timestamp> {
    match &delivery.state {
        DeliveryState::Pending { .. } => delivery.next_attempt_at(),
        DeliveryState::Delivering { lease } => Some(lease.until),
        DeliveryState::Held { .. }
        | DeliveryState::Delivered { .. }
        | DeliveryState::Failed { .. }
        | DeliveryState::Cancelled { .. } => None,
    }
}

/// Whether it is pending or being delivered.
pub(super) fn is_waiting(delivery: &Delivery) -> bool {
    leasable_from(delivery).is_some()
}

impl MemoryStore {
    fn finish_now(&self, finish: FinishAttempt) -> Result<Finished, StoreError> {
        let now = self.clock.now();
        let mut state = self.lock()?;
        let Some(delivery) = state.deliveries.get(&finish.delivery_id) else {
            return Ok(Finished::Fenced);
        };
        let delivery = &self.faulty_view(delivery, finish.token);
        let attempted = finish.attempt.is_some();
        let applied = delivery.finish(finish.token, attempted, finish.next, now);
        if let Some(attempt) = finish.attempt {
            let fenced = applied == Finish::Fenced;
            state.keep_attempt(Attempt { fenced, ..attempt });
        }
        match applied {
            Finish::Fenced => Ok(Finished::Fenced),
            Finish::Applied(moved) => Ok(Finished::Applied(state.moved(delivery, moved, now))),
        }
    }

    /// The delivery as it is; or, with a planted fault, as a careless store takes it to be.
    fn faulty_view(&self, delivery: &Delivery, token: AttemptId) -> Delivery {
        let mut view = delivery.clone();
        let held = view.attempt_in_progress().is_some();
        let pretend = match self.fault {
            Some(Fault::LateAnswerRevives) => !held,
            Some(Fault::LeaseWithoutToken) => held,
            Some(Fault::LookThenWrite) | None => false,
        };
        if pretend {
            let now = self.clock.now();
            let lease = hooklatch_core::delivery::Lease {
                attempt_id: token,
                started_at: now,
                until: now,
            };
            view.state = DeliveryState::Delivering { lease };
        }
        view
    }
}

impl State {
    fn lease(&mut self, request: &LeaseRequest, now: Timestamp) -> Leases {
        let mut lanes: BTreeMap<Lane, Vec<(Timestamp, DeliveryId)>> = BTreeMap::new();
        for delivery in self.unfinished() {
            if let Some(from) = leasable_from(delivery) {
                lanes
                    .entry(delivery.lane())
                    .or_default()
                    .push((from, delivery.id));
            }
        }
        let mut turns = Vec::new();
        let mut controls = Vec::new();
        let mut held_back = Vec::new();
        let mut leases = Leases::default();
        for (lane, mut waiting) in lanes {
            waiting.sort_unstable();
            let terms = request.terms.terms(lane);
            let control = request.terms.control(lane).filter(|it| it.holds(now));
            let grant = control.map_or(UNLIMITED, |it| self.grant(lane, &it, now));
            let live = waiting.iter().filter(|(_, id)| self.is_live(*id, now));
            let live_max = terms.live_max.min(grant.live_max);
            let room = live_max.saturating_sub(live.count());
            let due = waiting.iter().take_while(|(from, _)| *from <= now).count();
            let granted = due.min(terms.capacity).min(room).min(grant.most);
            if granted < due.min(terms.capacity).min(room) {
                held_back.push((lane, grant.wait));
            }
            let next = waiting.get(due).map(|(from, _)| from.since(now));
            let wait = if granted == due {
                next
            } else if room < terms.capacity {
                // The first of its leases to end makes room.
                next.into_iter()
                    .chain((granted > 0).then_some(terms.span))
                    .min()
            } else {
                None
            };
            leases.next_due_in = leases.next_due_in.into_iter().chain(wait).min();
            let granted = waiting.into_iter().take(granted).enumerate();
            let tenure = (terms.span, grant.passage);
            turns.extend(granted.map(|(turn, (_, id))| (turn, id, tenure)));
            controls.extend(control.map(|control| (lane, control)));
        }
        // The first of every lane before the second of any: no lane waits for another.
        turns.sort_by_key(|(turn, id, _)| (*turn, *id));
        for (_, id, (span, passage)) in turns.into_iter().take(request.limit) {
            let attempt_id = AttemptId::from_number(self.mint.next(now));
            let leasing = self.deliveries[&id].lease(attempt_id, now, span);
            let leasing = leasing.expect("what is due can be leased");
            self.keep_delivery(leasing.delivery.clone());
            let lost_before = leasing.lost.is_some();
            if let Some(lost) = leasing.lost {
                self.keep_attempt(lost);
            }
            let parcel = Arc::clone(&self.messages[&leasing.delivery.message_id]);
            leases.leased.push(Lease {
                delivery: leasing.delivery,
                lost_before,
                passage,
                parcel,
            });
        }
        let waits = self.take_all(&controls, &held_back, &leases, now);
        leases.next_due_in = leases.next_due_in.into_iter().chain(waits).min();
        leases
    }

    /// Takes what was leased from the buckets; answers the waits of the lanes that have more due.
    fn take_all(
        &mut self,
        controls: &[(Lane, LaneControl)],
        held_back: &[(Lane, Option<Millis>)],
        leases: &Leases,
        now: Timestamp,
    ) -> Vec<Millis> {
        let mut waits: Vec<Millis> = held_back.iter().filter_map(|(_, wait)| *wait).collect();
        for (lane, control) in controls {
            let sent = leases.leased.iter().filter(|lease| {
                lease.delivery.lane() == *lane && lease.passage == Passage::Through
            });
            let wait = self.take(*lane, control, sent.count(), now);
            let more = held_back.iter().any(|(held, _)| held == lane);
            waits.extend(wait.filter(|_| more));
        }
        waits
    }

    /// Keeps a delivery that has moved, in its place among those of its order key, and gives its
    /// turn on where it has left it.
    pub(super) fn moved(&mut self, before: &Delivery, after: Delivery, now: Timestamp) -> Delivery {
        let after = match turn_wanted(before, &after) {
            Some(_) => self.placed(after),
            None => after,
        };
        self.keep_delivery(after.clone());
        if let Some(key) = turn_left(before, &after) {
            let waits = |it: &&Delivery| it.order_key == Some(key) && it.waits_for_turn();
            let next = self.unfinished().find(waits);
            let next = next.map(|next| next.clone().given_turn(now));
            if let Some(next) = next {
                self.keep_delivery(next);
            }
        }
        after
    }

    /// A new delivery, or one that starts again, in its place among those of its order key.
    pub(super) fn placed(&self, delivery: Delivery) -> Delivery {
        let key = delivery.order_key;
        let mut others = self.unfinished().filter(|it| it.order_key == key);
        Turns::taken(key.filter(|_| others.next().is_some())).place(delivery)
    }

    fn is_live(&self, id: DeliveryId, now: Timestamp) -> bool {
        match &self.deliveries[&id].state {
            DeliveryState::Delivering { lease } => lease.until > now,
            DeliveryState::Pending { .. }
            | DeliveryState::Held { .. }
            | DeliveryState::Delivered { .. }
            | DeliveryState::Failed { .. }
            | DeliveryState::Cancelled { .. } => false,
        }
    }
}
