//! When API keys were last used, to the minute: noted in memory, and stored now and then.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use hooklatch_core::ids::ApiKeyId;
use hooklatch_core::time::Timestamp;
use tokio_util::sync::CancellationToken;

use crate::app::App;

/// Between two times that it is stored.
const STORE_EVERY: Duration = Duration::from_secs(30);
/// A minute, in milliseconds: nobody needs to know it better.
const COARSE_MILLIS: i64 = 60_000;

/// What was noted and is not stored yet.
#[derive(Default)]
pub(crate) struct Used(Mutex<HashMap<ApiKeyId, Noted>>);

#[derive(Clone, Copy)]
struct Noted {
    at: Timestamp,
    stored: bool,
}

impl Used {
    /// Notes that a key is used.
    pub(crate) fn note(&self, key: ApiKeyId, now: Timestamp) {
        let at =
            Timestamp::from_millis(now.as_millis() - now.as_millis().rem_euclid(COARSE_MILLIS));
        let mut used = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let noted = used.entry(key).or_insert(Noted { at, stored: false });
        if noted.at < at {
            *noted = Noted { at, stored: false };
        }
    }

    /// When a key was last used here.
    pub(crate) fn last(&self, key: ApiKeyId) -> Option<Timestamp> {
        let used = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        used.get(&key).map(|noted| noted.at)
    }

    fn not_stored(&self) -> Vec<(ApiKeyId, Timestamp)> {
        let used = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let new = used.iter().filter(|(_, noted)| !noted.stored);
        new.map(|(key, noted)| (*key, noted.at)).collect()
    }

    fn stored(&self, keys: &[(ApiKeyId, Timestamp)]) {
        let mut used = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for (key, at) in keys {
            if let Some(noted) = used.get_mut(key).filter(|noted| noted.at == *at) {
                noted.stored = true;
            }
        }
    }
}

/// Stores it now and then until `stop`, and once more then.
pub(crate) async fn keep_used(app: App, stop: CancellationToken) {
    loop {
        tokio::select! {
            () = tokio::time::sleep(STORE_EVERY) => {}
            () = stop.cancelled() => {}
        }
        let new = app.used().not_stored();
        if !new.is_empty() {
            match app.store().note_used(new.clone()).await {
                Ok(()) => app.used().stored(&new),
                Err(error) => tracing::debug!(%error, "the last use of API keys is stored later"),
            }
        }
        if stop.is_cancelled() {
            return;
        }
    }
}
