//! The audit log, in memory.

use hooklatch_core::ids::{ApiKeyId, ProjectId};
use hooklatch_core::time::Timestamp;

use super::{MemoryStore, call_all, ready};
use crate::{
    Answer, AuditLine, AuditView, Audits, ConfigRecord, Expected, Page, PageRequest, Saved,
};

impl Audits for MemoryStore {
    fn save_audited(
        &self,
        record: ConfigRecord,
        expected: Expected,
        line: AuditLine,
    ) -> Answer<'_, Saved> {
        let project = record.project_id;
        let saved = self.lock().map(|mut state| {
            let saved = state.save(record, expected);
            if matches!(saved, Saved::Done { .. }) {
                let place = state.audit.len();
                state.details.insert(place, (line.before, line.after));
                state.audit.push((project, line.entry));
            }
            saved
        });
        call_all(&self.changed);
        ready(saved)
    }

    fn audits(&self, project: ProjectId, page: PageRequest) -> Answer<'_, Page<AuditView>> {
        ready(self.lock().map(|state| {
            let below = page.below.unwrap_or(i64::MAX);
            let numbered = state.audit.iter().enumerate().rev();
            let mut own = numbered.filter_map(|(place, (owner, entry))| {
                let id = i64::try_from(place).unwrap_or(i64::MAX);
                let details = state.details.get(&place).cloned();
                let (before, after) = details.unwrap_or_default();
                let line = AuditLine {
                    entry: entry.clone(),
                    before,
                    after,
                };
                (*owner == project && id < below).then_some(AuditView { id, line })
            });
            let items: Vec<AuditView> = own.by_ref().take(page.limit).collect();
            let more = own.next().is_some();
            let next = items.last().map(|view| view.id).filter(|_| more);
            Page { items, next }
        }))
    }

    fn note_used(&self, used: Vec<(ApiKeyId, Timestamp)>) -> Answer<'_, ()> {
        ready(self.lock().map(|mut state| {
            for (key, at) in used {
                let known = state.used.entry(key).or_insert(at);
                *known = at.max(*known);
            }
        }))
    }

    fn last_used(&self, keys: Vec<ApiKeyId>) -> Answer<'_, Vec<Option<Timestamp>>> {
        ready(self.lock().map(|state| {
            let used = keys.iter().map(|key| state.used.get(key).copied());
            used.collect()
        }))
    }
}
