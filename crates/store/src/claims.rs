//! The claims that receivers make through the gateway (L2): one row an event, changed by calls.
//!
//! They share nothing with the ledger but the word: a receiver claims the work on an event, the
//! ledger the key under which an event became a message.

use hooklatch_core::ids::ProjectId;
use hooklatch_core::receiving::call::{Answer as CallAnswer, Call, Entry, Kept, Step};
use hooklatch_core::receiving::key::ScopeKey;

use crate::{Answer, AuditEntry};

/// The claims of receivers.
pub trait Claims: Send + Sync {
    /// Does what a call asks of a claim, by [`decide`](hooklatch_core::receiving::call::decide),
    /// under the entry's lock. Where the call begins an operator's replay, that is audited with it.
    fn call_claim(
        &self,
        project: ProjectId,
        key: ScopeKey,
        call: Call,
        audit: AuditEntry,
    ) -> Answer<'_, CallAnswer>;

    /// What is kept of a claim, also after it has expired and until it is swept.
    fn claim_entry(&self, project: ProjectId, key: ScopeKey) -> Answer<'_, Option<Entry>>;

    /// Keeps the result of a step; the first one stays. By
    /// [`keep_step`](hooklatch_core::receiving::call::keep_step).
    fn keep_claim_step(&self, project: ProjectId, key: ScopeKey, step: Step) -> Answer<'_, Kept>;

    /// The result of a step that was kept in this generation of the present record.
    fn claim_step(
        &self,
        project: ProjectId,
        key: ScopeKey,
        generation: u32,
        name: String,
    ) -> Answer<'_, Option<Vec<u8>>>;

    /// Removes at most `limit` completed or dead entries that have expired, with their steps, and
    /// says how many. Backends do this by themselves from time to time; nothing depends on it but
    /// space.
    fn sweep_claims(&self, limit: usize) -> Answer<'_, usize>;
}
