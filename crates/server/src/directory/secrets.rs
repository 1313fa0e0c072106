//! What signs for a project, opened once and used for every send to a bare URL.

use std::sync::Arc;

use hooklatch_core::signature::SigningSecret;
use hooklatch_core::time::Timestamp;

/// The secrets of a project, newest first, and when each stops to sign.
#[derive(Clone)]
pub(super) struct ProjectSecrets {
    secrets: Arc<[SigningSecret]>,
    retired_at: Vec<Option<Timestamp>>,
}

impl ProjectSecrets {
    /// Those that were opened.
    pub(super) fn of(opened: Vec<(SigningSecret, Option<Timestamp>)>) -> Self {
        let (secrets, retired_at): (Vec<_>, Vec<_>) = opened.into_iter().unzip();
        Self {
            secrets: secrets.into(),
            retired_at,
        }
    }

    /// Those that sign at `now`.
    pub(super) fn live(&self, now: Timestamp) -> Arc<[SigningSecret]> {
        let is_live = |end: &Option<Timestamp>| end.is_none_or(|end| end > now);
        if self.retired_at.iter().all(is_live) {
            return Arc::clone(&self.secrets);
        }
        let both = self.secrets.iter().zip(&self.retired_at);
        let live = both.filter(|(_, end)| is_live(end));
        live.map(|(secret, _)| secret.clone()).collect()
    }
}
