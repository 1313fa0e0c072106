//! The ledger, in memory.

use hooklatch_core::claim::{Claim, ClaimKind, Scope};
use hooklatch_core::ids::ProjectId;
use hooklatch_core::key::Checksum;

use super::{MemoryStore, State, ready};
use crate::{Answer, AuditEntry, ClaimView, Ledger};

impl Ledger for MemoryStore {
    fn claims(
        &self,
        project: ProjectId,
        checksums: Vec<Checksum>,
        part: Option<String>,
        limit: usize,
    ) -> Answer<'_, Vec<ClaimView>> {
        let now = self.clock.now();
        ready(self.lock().map(|state| {
            let asked_for = |claim: &&Claim| {
                let parts = claim.parts_to_index();
                checksums.contains(&claim.checksum)
                    || part.as_ref().is_some_and(|part| parts.contains(part))
            };
            let claims = state.claims.values().flatten();
            let live = claims.filter(|claim| {
                claim.kind == ClaimKind::Key && claim.protects(now) && state.owns(project, claim)
            });
            let found = live.filter(asked_for).take(limit);
            found.map(|claim| state.claim_view(claim)).collect()
        }))
    }

    fn free(
        &self,
        project: ProjectId,
        checksums: Vec<Checksum>,
        scope: Option<Scope>,
        audit: AuditEntry,
    ) -> Answer<'_, usize> {
        ready(self.lock().map(|mut state| {
            let mut freed = 0;
            for checksum in checksums {
                let rows = state.claims.remove(&checksum).unwrap_or_default();
                let (gone, kept): (Vec<_>, Vec<_>) = rows.into_iter().partition(|claim| {
                    state.owns(project, claim)
                        && scope.as_ref().is_none_or(|scope| claim.scope == *scope)
                });
                freed += gone.len();
                state.claims.insert(checksum, kept);
            }
            state.audit.push((project, audit));
            freed
        }))
    }
}

impl State {
    fn owns(&self, project: ProjectId, claim: &Claim) -> bool {
        match self.messages.get(&claim.message_id) {
            Some(parcel) => parcel.message.project_id == project,
            None => self.forgotten[&claim.message_id] == project,
        }
    }

    fn claim_view(&self, claim: &Claim) -> ClaimView {
        let under_key = self.duplicates_of(claim.message_id).filter(|request| {
            request
                .key
                .as_ref()
                .is_some_and(|key| key.checksum == claim.checksum)
        });
        let mut last_seen_at = claim.first_seen_at;
        let mut duplicates = 0;
        for request in under_key {
            last_seen_at = last_seen_at.max(request.received_at);
            duplicates += 1;
        }
        ClaimView {
            claim: claim.clone(),
            last_seen_at,
            duplicates,
        }
    }
}
