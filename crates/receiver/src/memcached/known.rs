//! What this process has written last: a record that nobody else has touched since can be swapped
//! without reading it first.
//!
//! Nothing here decides anything. A swap succeeds only if the server still has that very version; in
//! every other case the record is read, and the state machine is asked again.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::client::Version;
use crate::key::ScopeKey;
use crate::record::{Record, State};

/// Records that are known at most. Forgetting one costs a round trip.
const KNOWN_MAX: usize = 10_000;

/// Records that are being processed here, as they stood when they were written.
#[derive(Default)]
pub(super) struct Known {
    records: Mutex<HashMap<ScopeKey, (Record, Version)>>,
}

impl Known {
    /// Notes what has been written. Only its holder changes a record that is being processed, so
    /// that others are not worth their room.
    pub(super) fn note(&self, key: &ScopeKey, record: Record, version: Option<Version>) {
        let (State::Processing { .. }, Some(version)) = (&record.state, version) else {
            return;
        };
        let mut records = self.lock();
        if records.len() >= KNOWN_MAX {
            // Most of them are those of runs that nobody has completed here.
            records.clear();
        }
        records.insert(*key, (record, version));
    }

    pub(super) fn get(&self, key: &ScopeKey) -> Option<(Record, Version)> {
        self.lock().get(key).cloned()
    }

    pub(super) fn forget(&self, key: &ScopeKey) {
        self.lock().remove(key);
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<ScopeKey, (Record, Version)>> {
        // Every change is one call, so that a panic elsewhere leaves nothing half done.
        self.records.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
