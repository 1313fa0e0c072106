//! Configuration, in memory.

use hooklatch_core::ids::ProjectId;

use super::{MemoryStore, State, call_all, ready};
use crate::{Answer, AuditEntry, ConfigRecord, Configuration, Expected, Saved, Wake};

impl Configuration for MemoryStore {
    fn mint(&self) -> Answer<'_, i64> {
        let now = self.clock.now();
        ready(self.lock().map(|mut state| state.mint.next(now)))
    }

    fn load(&self) -> Answer<'_, Vec<ConfigRecord>> {
        ready(
            self.lock()
                .map(|state| state.configuration.values().cloned().collect()),
        )
    }

    fn version(&self) -> Answer<'_, i64> {
        // Every save adds one to one revision, and nothing is ever removed.
        ready(self.lock().map(|state| {
            let revisions = state.configuration.values().map(|known| known.revision);
            revisions.sum()
        }))
    }

    fn on_change(&self, wake: Wake) {
        let mut changed = self.changed.lock().expect("wakers do not panic");
        changed.push(wake);
    }

    fn save(&self, record: ConfigRecord, expected: Expected) -> Answer<'_, Saved> {
        let saved = self.lock().map(|mut state| state.save(record, expected));
        // Who saves is not known here: it may be another one than who listens.
        call_all(&self.changed);
        ready(saved)
    }

    fn audit_log(&self, project: ProjectId, limit: usize) -> Answer<'_, Vec<AuditEntry>> {
        ready(self.lock().map(|state| {
            let newest_first = state.audit.iter().rev();
            let own = newest_first.filter(|(owner, _)| *owner == project);
            own.take(limit).map(|(_, entry)| entry.clone()).collect()
        }))
    }
}

impl State {
    pub(super) fn save(&mut self, record: ConfigRecord, expected: Expected) -> Saved {
        let place = (record.kind, record.number);
        let stored = self.configuration.get(&place).map(|known| known.revision);
        let believed = match expected {
            Expected::Nothing => None,
            Expected::Revision(revision) => Some(revision),
        };
        if stored != believed {
            return Saved::Stale;
        }
        let same_name = |known: &ConfigRecord| {
            (known.kind, known.project_id) == (record.kind, record.project_id)
                && known.number != record.number
                && known.name.is_some()
                && known.name == record.name
        };
        if self.configuration.values().any(same_name) {
            return Saved::NameTaken;
        }
        let revision = stored.unwrap_or(0) + 1;
        self.configuration
            .insert(place, ConfigRecord { revision, ..record });
        Saved::Done { revision }
    }
}
