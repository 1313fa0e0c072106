//! Arrivals, in memory.

use std::sync::Arc;

use bytes::Bytes;
use hooklatch_core::admission::{
    Accepted, Admission, Arrival, Decision, Original, Prior, ReleaseInput, ReleaseRefused, Repeat,
    decide, discard, refused, release,
};
use hooklatch_core::claim::Claim;
use hooklatch_core::delivery::{Delivery, DeliveryStatus};
use hooklatch_core::ids::{MessageId, ProjectId, RequestId};
use hooklatch_core::invariants;
use hooklatch_core::message::{Message, Parcel, Request};
use hooklatch_core::time::Timestamp;

use super::{Fault, MemoryStore, State, StoredRequest, ready};
use crate::{Admissions, Answer, REFUSED_KEPT_MAX, Refused, ReleaseOutcome, StoreError};

impl Admissions for MemoryStore {
    fn admit(&self, arrivals: Vec<Arrival>) -> Answer<'_, Vec<Admission>> {
        ready(self.admit_all(&arrivals))
    }

    fn refuse(&self, refused: Refused) -> Answer<'_, RequestId> {
        let now = self.clock.now();
        ready(self.lock().map(|mut state| state.refuse(&refused, now)))
    }

    fn keep_diff(&self, request: RequestId, pointers: Vec<String>) -> Answer<'_, ()> {
        ready(self.lock().map(|mut state| {
            if let Some(stored) = state.requests.get_mut(&request) {
                stored.request.diff = Some(pointers);
            }
        }))
    }

    fn release(
        &self,
        project: ProjectId,
        request: RequestId,
        input: ReleaseInput,
    ) -> Answer<'_, ReleaseOutcome> {
        let outcome = self
            .lock()
            .map(|mut state| state.release(project, request, &input));
        self.wake();
        ready(outcome)
    }

    fn discard(&self, project: ProjectId, request: RequestId) -> Answer<'_, ReleaseOutcome> {
        ready(self.lock().map(|mut state| state.discard(project, request)))
    }

    fn request_body(&self, project: ProjectId, request: RequestId) -> Answer<'_, Option<Bytes>> {
        ready(
            self.lock()
                .map(|state| state.request_body(project, request)),
        )
    }
}

impl MemoryStore {
    fn admit_all(&self, arrivals: &[Arrival]) -> Result<Vec<Admission>, StoreError> {
        let now = self.clock.now();
        let mut state = self.lock()?;
        // Originals from here on are of this very call: they have not been answered yet.
        let unanswered_from = state.mint.clone().next(now);
        let mut admissions = Vec::with_capacity(arrivals.len());
        for arrival in arrivals {
            let priors = state.priors(arrival, unanswered_from);
            if self.fault == Some(Fault::LookThenWrite) {
                drop(state);
                std::thread::sleep(std::time::Duration::from_millis(5));
                state = self.lock()?;
            }
            admissions.push(state.admit(arrival, &priors, now));
        }
        drop(state);
        self.wake();
        Ok(admissions)
    }
}

impl State {
    fn priors(&self, arrival: &Arrival, unanswered_from: i64) -> Vec<Prior> {
        let mut priors = Vec::new();
        for (key, wanted) in arrival.keys.iter().enumerate() {
            let claims = self.claims.get(&wanted.checksum).into_iter().flatten();
            for claim in claims.filter(|claim| claim.scope == wanted.scope) {
                let original = self.original(claim, unanswered_from);
                priors.push(Prior {
                    key,
                    claim: claim.clone(),
                    original,
                });
            }
        }
        priors
    }

    fn original(&self, claim: &Claim, unanswered_from: i64) -> Original {
        let id = claim.message_id;
        if self.forgotten.contains_key(&id) {
            return Original::remembered_by(claim);
        }
        let message = &self.messages[&id].message;
        let failed = self.deliveries_of(id);
        let failed = failed.filter(|delivery| delivery.state.status() == DeliveryStatus::Failed);
        Original {
            message_id: id,
            source_id: message.source_id,
            received_at: message.received_at,
            answered_at: (id.number() < unanswered_from).then_some(message.decided_at),
            routed: message.routed,
            failed: failed.cloned().collect(),
        }
    }

    fn admit(&mut self, arrival: &Arrival, priors: &[Prior], now: Timestamp) -> Admission {
        let decision = decide(arrival, priors, &mut self.mint, now);
        match &decision {
            Decision::Accept(accepted) => self.write_accepted(arrival, accepted, now),
            Decision::Repeat(repeat) => self.write_repeat(arrival, repeat, now),
        }
        decision.into_admission()
    }

    fn write_accepted(&mut self, arrival: &Arrival, accepted: &Accepted, now: Timestamp) {
        self.put_message(&accepted.message, &arrival.envelope, &arrival.body);
        self.put_deliveries(&accepted.deliveries);
        self.put_claims(&accepted.claims, now);
        self.note_shadows(&accepted.shadows);
    }

    fn write_repeat(&mut self, arrival: &Arrival, repeat: &Repeat, now: Timestamp) {
        let request = &repeat.request;
        let body = repeat.keep_body.then(|| arrival.body.clone());
        let envelope = Arc::clone(&arrival.envelope);
        self.keep_request(StoredRequest {
            request: request.clone(),
            envelope,
            body,
        });
        if !(repeat.redriven.is_empty() && repeat.rerouted.is_empty()) {
            self.restore_payload(request.original_message_id, &arrival.body);
        }
        self.put_deliveries(&repeat.redriven);
        self.put_deliveries(&repeat.rerouted);
        self.put_claims(&repeat.claims, now);
        self.note_shadows(&repeat.shadows);
        if let Some(routing) = &repeat.routing {
            let original = request
                .original_message_id
                .expect("a repetition has an original");
            let parcel = self
                .messages
                .get_mut(&original)
                .expect("INV-2: originals exist");
            let message = &mut Arc::make_mut(parcel).message;
            message.routed = true;
            message.routing.clone_from(routing);
        }
    }

    fn put_message(
        &mut self,
        message: &Message,
        envelope: &Arc<hooklatch_core::message::Envelope>,
        body: &Bytes,
    ) {
        let parcel = Parcel {
            message: message.clone(),
            envelope: Arc::clone(envelope),
            body: body.clone(),
        };
        let before = self.messages.insert(message.id, Arc::new(parcel));
        assert!(before.is_none(), "{} was minted twice", message.id);
    }

    fn put_deliveries(&mut self, deliveries: &[Delivery]) {
        for delivery in deliveries {
            let placed = self.placed(delivery.clone());
            self.keep_delivery(placed);
        }
    }

    fn put_claims(&mut self, claims: &[Claim], now: Timestamp) {
        for claim in claims {
            let id = &claim.message_id;
            let known = self.messages.contains_key(id) || self.forgotten.contains_key(id);
            assert!(known, "INV-2: {claim:?}");
            let row = self.claims.entry(claim.checksum).or_default();
            row.retain(|known| {
                let replaced = known.scope == claim.scope && known.variant == claim.variant;
                !replaced && !invariants::may_be_pruned(known, now)
            });
            row.push(claim.clone());
            assert!(invariants::one_live_claim(row, now), "INV-1: {row:?}");
        }
    }

    fn refuse(&mut self, input: &Refused, now: Timestamp) -> RequestId {
        let id = RequestId::from_number(self.mint.next(now));
        let request = refused(input, id);
        let envelope = Arc::clone(&input.envelope);
        self.keep_request(StoredRequest {
            request,
            envelope,
            body: None,
        });
        self.keep_refused(REFUSED_KEPT_MAX);
        id
    }

    fn release(
        &mut self,
        project: ProjectId,
        id: RequestId,
        input: &ReleaseInput,
    ) -> ReleaseOutcome {
        let Some(stored) = self.requests.get(&id) else {
            return self.refuse_release(project, id);
        };
        let Some(original) = stored.request.original_message_id else {
            return self.refuse_release(project, id);
        };
        if stored.request.project_id != project {
            return ReleaseOutcome::NotFound;
        }
        let gone = ReleaseOutcome::Refused(ReleaseRefused::HistoryDropped);
        let Some(original) = self.messages.get(&original) else {
            return gone;
        };
        let Some(body) = self.request_body(project, id) else {
            return gone;
        };
        let original = &original.message;
        let claims = self.claims_of(&stored.request);
        match release(&stored.request, original, &claims, input, &mut self.mint) {
            Err(refused) => ReleaseOutcome::Refused(refused),
            Ok(released) => {
                let envelope = Arc::clone(&stored.envelope);
                self.put_message(&released.message, &envelope, &body);
                self.put_deliveries(&released.deliveries);
                self.put_claims(released.claim.as_slice(), input.now);
                self.requests
                    .get_mut(&id)
                    .expect("it was just read")
                    .request = released.request;
                ReleaseOutcome::Released(released.message.id)
            }
        }
    }

    fn claims_of(&self, request: &Request) -> Vec<Claim> {
        let Some(key) = &request.key else {
            return Vec::new();
        };
        let claims = self.claims.get(&key.checksum).into_iter().flatten();
        let own = claims.filter(|claim| claim.scope == key.scope);
        own.cloned().collect()
    }

    /// Why a request without an original can be neither released nor discarded.
    fn refuse_release(&self, project: ProjectId, id: RequestId) -> ReleaseOutcome {
        let accepted = self.messages.get(&id.as_message());
        if accepted.is_some_and(|parcel| parcel.message.project_id == project) {
            return ReleaseOutcome::Refused(ReleaseRefused::Accepted);
        }
        match self.requests.get(&id) {
            Some(stored) if stored.request.project_id == project => {
                ReleaseOutcome::Refused(ReleaseRefused::Rejected)
            }
            Some(_) | None => ReleaseOutcome::NotFound,
        }
    }

    fn discard(&mut self, project: ProjectId, id: RequestId) -> ReleaseOutcome {
        let found = self.requests.get_mut(&id);
        let Some(stored) = found.filter(|stored| stored.request.project_id == project) else {
            return self.refuse_release(project, id);
        };
        match discard(&stored.request) {
            Err(refused) => ReleaseOutcome::Refused(refused),
            Ok(request) => {
                stored.request = request;
                ReleaseOutcome::Discarded
            }
        }
    }

    pub(super) fn request_body(&self, project: ProjectId, id: RequestId) -> Option<Bytes> {
        let kept = |parcel: &&Arc<Parcel>| parcel.message.payload_pruned_at.is_none();
        let of_message = |id: MessageId| {
            let parcel = self.messages.get(&id).filter(kept)?;
            Some(parcel.body.clone())
        };
        match self.requests.get(&id) {
            Some(stored) if stored.request.project_id != project => None,
            Some(stored) => {
                let kept = stored.body.clone();
                kept.or_else(|| stored.request.original_message_id.and_then(of_message))
            }
            None => {
                let parcel = self.messages.get(&id.as_message())?;
                let own = parcel.message.project_id == project;
                (own && kept(&parcel)).then(|| parcel.body.clone())
            }
        }
    }
}
