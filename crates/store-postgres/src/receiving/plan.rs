//! What a batch of calls comes to: one call after the other, each seeing what those before it left.

use std::collections::BTreeMap;

use hooklatch_core::ids::ProjectId;
use hooklatch_core::receiving::call::{self, Answer, Call, Entry};
use hooklatch_core::receiving::machine::Moment;
use hooklatch_store::AuditEntry;

use super::Place;
use super::calls::Asked;
use super::rows::Written;

/// The events that a batch is about, in the order in which they are locked and written.
pub(super) struct Batch {
    events: BTreeMap<Place, Event>,
    replays: Vec<(ProjectId, AuditEntry)>,
}

/// One event.
#[derive(Default)]
struct Event {
    /// Whether there is a row of it.
    stored: bool,
    entry: Option<Entry>,
    changed: bool,
    forget_steps: bool,
}

/// Everything that a batch writes.
#[derive(Default)]
pub(super) struct Plan {
    /// Events that had no row.
    pub new: Vec<Written>,
    /// Events that had one.
    pub changed: Vec<Written>,
    /// Events whose steps belong to a record that is no more.
    pub forgotten: Vec<Place>,
    /// The replays that began, to be audited.
    pub replays: Vec<(ProjectId, AuditEntry)>,
}

impl Batch {
    /// A batch, with what is stored of its events.
    pub(super) fn new(stored: impl IntoIterator<Item = (Place, Entry)>) -> Self {
        let known = |(place, entry)| {
            let event = Event {
                stored: true,
                entry: Some(entry),
                ..Event::default()
            };
            (place, event)
        };
        Self {
            events: stored.into_iter().map(known).collect(),
            replays: Vec::new(),
        }
    }

    /// Does what a call asks. A claim takes the next of the fences.
    pub(super) fn call(
        &mut self,
        asked: &Asked,
        now_ms: u64,
        fences: &mut impl Iterator<Item = u64>,
    ) -> Answer {
        let next_fence = match asked.call {
            Call::Claim { .. } => fences.next().expect("there is a fence for each claim"),
            Call::Complete { .. }
            | Call::Release { .. }
            | Call::Renew { .. }
            | Call::Fail { .. } => 0,
        };
        let at = Moment { now_ms, next_fence };
        let event = self.events.entry(asked.place).or_default();
        let decision = call::decide(event.entry.as_ref(), &asked.call, at);
        if let Some(entry) = decision.write {
            event.entry = Some(entry);
            event.changed = true;
        }
        event.forget_steps |= decision.forget_steps;
        if decision.answer.began_a_replay() {
            self.replays.push((asked.place.0, asked.audit.clone()));
        }
        decision.answer
    }

    /// What is to be written: of each event how it is in the end.
    pub(super) fn into_plan(self) -> Plan {
        let mut plan = Plan {
            replays: self.replays,
            ..Plan::default()
        };
        for (place, event) in self.events {
            if event.forget_steps {
                plan.forgotten.push(place);
            }
            let Some(entry) = event.entry.filter(|_| event.changed) else {
                continue;
            };
            let row = Written::of(place, &entry);
            if event.stored {
                plan.changed.push(row);
            } else {
                plan.new.push(row);
            }
        }
        plan
    }
}

#[cfg(test)]
#[path = "plan_tests.rs"]
mod tests;
