//! An arrival on its way to the decision, with what others than its own key have seen of it.

use super::{Arrival, Prior};
use crate::claim::{Claim, Scope};
use crate::ids::{MessageId, RequestId};
use crate::rules::Passing;
use crate::shadow::{Judged, Judgement, Reality, judge};
use crate::time::Timestamp;

/// Whether a key in this scope says nothing of what an arrival is.
pub(super) fn is_of_another(scope: &Scope) -> bool {
    match scope {
        Scope::Connection(_) | Scope::Shadow(_) => true,
        Scope::Source(_) | Scope::Group(_) | Scope::Send(..) => false,
    }
}

/// An arrival with what its connections, and rules in shadow mode, have seen of it.
pub(super) struct Arrived<'a> {
    pub(super) arrival: &'a Arrival,
    pub(super) of_others: &'a [&'a Prior],
    pub(super) now: Timestamp,
}

impl Arrived<'_> {
    /// What leads a message of it, new or known, through its connections.
    pub(super) fn passing(&self, message_id: MessageId, request_id: RequestId) -> Passing<'_> {
        Passing {
            message_id,
            request_id,
            project_id: self.arrival.project_id,
            destinations: &self.arrival.destinations,
            rulings: &self.arrival.rulings,
            priors: self.of_others,
            delay: self.arrival.delay,
            now: self.now,
        }
    }

    /// What a key rule in shadow mode says of it.
    pub(super) fn try_out(
        &self,
        request_id: RequestId,
        message_id: MessageId,
        reality: Reality,
    ) -> Option<(Judgement, Option<Claim>)> {
        let candidate = self.arrival.shadow.as_deref()?;
        let key = candidate.key.as_ref();
        let has = |prior: &&&Prior| {
            key.is_some_and(|key| {
                (&prior.claim.scope, prior.claim.checksum) == (&key.scope, key.checksum)
            })
        };
        let prior = self.of_others.iter().find(has);
        Some(judge(&Judged {
            candidate,
            prior: prior.map(|prior| &prior.claim),
            request_id,
            message_id,
            reality,
            now: self.now,
        }))
    }
}
