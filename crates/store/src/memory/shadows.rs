//! What rules in shadow mode have come to, in memory.

use hooklatch_core::shadow::{Judgement, ShadowId, ShadowReport};
use hooklatch_core::time::Timestamp;

use super::{MemoryStore, State, ready};
use crate::{Answer, Shadows};

impl Shadows for MemoryStore {
    fn shadow_report(&self, shadow: ShadowId) -> Answer<'_, ShadowReport> {
        ready(self.lock().map(|state| {
            let sums = &state.shadows;
            let counts: Vec<_> = sums.counts.get(&shadow).copied().into_iter().collect();
            let own = sums.samples.iter().filter(|(at, _)| at.shadow == shadow);
            ShadowReport::of(&counts, own.map(|(_, sample)| sample.clone()).collect())
        }))
    }

    fn forget_shadows(&self, before: Timestamp) -> Answer<'_, usize> {
        ready(self.lock().map(|mut state| {
            let sums = &mut state.shadows;
            let many = sums.counts.len();
            sums.counts.retain(|_, counts| counts.until >= Some(before));
            let known = &sums.counts;
            sums.samples.retain(|at, _| known.contains_key(&at.shadow));
            many - known.len()
        }))
    }
}

impl State {
    pub(super) fn note_shadows(&mut self, judgements: &[Judgement]) {
        self.shadows.note(judgements);
    }
}
