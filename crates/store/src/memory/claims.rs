//! The claims of receivers, in memory.

use std::collections::{BTreeMap, HashMap};

use hooklatch_core::ids::ProjectId;
use hooklatch_core::receiving::call::{self, Answer as CallAnswer, Call, Entry, Kept, Step};
use hooklatch_core::receiving::key::ScopeKey;
use hooklatch_core::receiving::machine::Moment;
use hooklatch_core::time::Timestamp;

use super::{MemoryStore, State, ready};
use crate::{Answer, AuditEntry, Claims};

/// All that is kept.
#[derive(Clone, Default)]
pub(super) struct Receiving {
    entries: HashMap<(ProjectId, ScopeKey), Place>,
    last_fence: u64,
}

#[derive(Clone)]
struct Place {
    entry: Entry,
    steps: BTreeMap<(u32, String), Vec<u8>>,
}

/// The time in milliseconds since 1970, as the rules of claims have it.
fn millis(now: Timestamp) -> u64 {
    u64::try_from(now.as_millis()).unwrap_or(0)
}

impl Claims for MemoryStore {
    fn call_claim(
        &self,
        project: ProjectId,
        key: ScopeKey,
        call: Call,
        audit: AuditEntry,
    ) -> Answer<'_, CallAnswer> {
        let now_ms = millis(self.clock.now());
        ready(self.lock().map(|mut state| {
            let answer = state.receiving.call((project, key), &call, now_ms);
            if answer.began_a_replay() {
                state.audit.push((project, audit));
            }
            answer
        }))
    }

    fn claim_entry(&self, project: ProjectId, key: ScopeKey) -> Answer<'_, Option<Entry>> {
        ready(self.lock().map(|state| {
            let place = state.receiving.entries.get(&(project, key));
            place.map(|place| place.entry.clone())
        }))
    }

    fn keep_claim_step(&self, project: ProjectId, key: ScopeKey, step: Step) -> Answer<'_, Kept> {
        ready(
            self.lock()
                .map(|mut state| state.receiving.keep((project, key), step)),
        )
    }

    fn claim_step(
        &self,
        project: ProjectId,
        key: ScopeKey,
        generation: u32,
        name: String,
    ) -> Answer<'_, Option<Vec<u8>>> {
        ready(self.lock().map(|state| {
            let place = state.receiving.entries.get(&(project, key))?;
            place.steps.get(&(generation, name)).cloned()
        }))
    }

    fn sweep_claims(&self, limit: usize) -> Answer<'_, usize> {
        let now_ms = millis(self.clock.now());
        ready(
            self.lock()
                .map(|mut state| state.receiving.sweep(limit, now_ms)),
        )
    }
}

impl State {
    /// Removes every entry that has expired.
    pub(super) fn sweep_receiving(&mut self, now: Timestamp) {
        self.receiving.sweep(usize::MAX, millis(now));
    }
}

impl Receiving {
    fn call(&mut self, at: (ProjectId, ScopeKey), call: &Call, now_ms: u64) -> CallAnswer {
        let prior = self.entries.get(&at).map(|place| &place.entry);
        let moment = Moment {
            now_ms,
            next_fence: self.last_fence + 1,
        };
        let decision = call::decide(prior, call, moment);
        if let Some(entry) = decision.write {
            self.last_fence = self.last_fence.max(entry.record.fence);
            let former = self.entries.remove(&at);
            let steps = former.map(|former| former.steps).unwrap_or_default();
            let steps = if decision.forget_steps {
                BTreeMap::new()
            } else {
                steps
            };
            self.entries.insert(at, Place { entry, steps });
        }
        decision.answer
    }

    fn keep(&mut self, at: (ProjectId, ScopeKey), step: Step) -> Kept {
        let Some(place) = self.entries.get_mut(&at) else {
            return call::keep_step(None, &step.token, false, 0).0;
        };
        let generation = place.entry.record.generation;
        let name = (generation, step.name);
        let known = place.steps.contains_key(&name);
        let own = place.steps.keys().filter(|(of, _)| *of == generation);
        let (kept, write) = call::keep_step(Some(&place.entry), &step.token, known, own.count());
        if write {
            place.steps.insert(name, step.result);
        }
        kept
    }

    fn sweep(&mut self, limit: usize, now_ms: u64) -> usize {
        let ended = |place: &Place| place.entry.may_go(now_ms);
        let gone = self.entries.iter().filter(|(_, place)| ended(place));
        let gone: Vec<_> = gone.map(|(at, _)| *at).take(limit).collect();
        for at in &gone {
            self.entries.remove(at);
        }
        gone.len()
    }
}
