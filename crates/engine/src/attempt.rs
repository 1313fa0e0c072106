//! One leased delivery from its lease to its finish.

mod entry;
mod traced;

use std::sync::Arc;
use std::time::Duration;

use hooklatch_core::delivery::attempt::AttemptOutcome;
use hooklatch_core::delivery::control::LaneEvent;
use hooklatch_core::delivery::lifecycle::Next;
use hooklatch_core::delivery::verdict::{self, AttemptFacts, LeaseFacts, Start, Verdict};
use hooklatch_core::delivery::{Lease as Tenure, State, Trigger};
use hooklatch_core::ids::EndpointId;
use hooklatch_core::message::Parcel;
use hooklatch_core::time::{Millis, Timestamp};
use hooklatch_core::transform::{TransformError, TransformInput};
use hooklatch_egress::Call;
use hooklatch_store::{FinishAttempt, Finished, LaneReporting, Lease, Reported, StoreError};
use tokio::time::{Instant, sleep};

use crate::destination::{Destination, other_lane};
use crate::record::Made;
use crate::sent::{Sent, Witness};
use crate::settings::millis;
use crate::shared::{Shared, Slot};
use crate::standing;
use crate::trace::about;
use traced::{Traced, subject_of};

/// The waits before a finish that the store did not take is told again.
const TELL_WAIT_MIN: Duration = Duration::from_millis(50);
const TELL_WAIT_MAX: Duration = Duration::from_secs(2);
/// How long after its lease a result is still told. While no other node can lease either, the
/// lease has not been overtaken, and the result is as good as ever.
const TELL_AFTER_LEASE: Duration = Duration::from_secs(60);

/// Attempts a delivery, or gives its lease back, and tells the store what came of it.
pub(crate) async fn run(shared: Arc<Shared>, slot: Slot, lease: Lease, taken_at: Instant) {
    let subject = subject_of(&lease);
    about(subject, attend(shared, slot, lease, taken_at)).await;
}

async fn attend(shared: Arc<Shared>, slot: Slot, lease: Lease, taken_at: Instant) {
    let work = Work::new(&shared, &lease, taken_at);
    match work.start() {
        Start::GiveBack(next) => work.give_back(next).await,
        // A lease that may be over is no leave to send: we were frozen, or the store was slow.
        Start::Attempt if shared.stop.is_cancelled() || work.lease_left().is_zero() => {
            work.give_back(not_started()).await;
        }
        Start::Attempt => work.attempt().await,
    }
    drop(slot);
}

/// A lease that came while the engine was told to stop, or too late to be used: whoever asks next
/// takes the delivery at once.
fn not_started() -> Next {
    Next::Retry {
        after: Millis::ZERO,
        counts: false,
    }
}

struct Work<'a> {
    shared: &'a Shared,
    lease: &'a Lease,
    tenure: Tenure,
    destination: Destination,
    taken_at: Instant,
}

impl<'a> Work<'a> {
    fn new(shared: &'a Shared, lease: &'a Lease, taken_at: Instant) -> Self {
        let delivery = &lease.delivery;
        let State::Delivering { lease: tenure } = delivery.state else {
            unreachable!("INV-5: {} was leased as {:?}", delivery.id, delivery.state);
        };
        let directory = &*shared.directory;
        Self {
            shared,
            lease,
            tenure,
            destination: Destination::of(
                directory,
                delivery,
                &lease.parcel.message,
                tenure.started_at,
            ),
            taken_at,
        }
    }

    fn lease_facts(&self) -> LeaseFacts<'_> {
        // The trigger outlives a lease that was given back: no attempt has been made since the one
        // that was lost.
        let recovers = self.lease.delivery.trigger == Trigger::Recovery;
        LeaseFacts {
            standing: self.destination.standing(),
            lost_before: self.lease.lost_before || recovers,
            on_uncertain: self.destination.on_uncertain(),
            retry: self.destination.retry(),
            attempts_spent: self.lease.delivery.attempts_spent(),
        }
    }

    /// Whether the attempt is made, here and now.
    fn start(&self) -> Start {
        let (directory, delivery) = (&*self.shared.directory, &self.lease.delivery);
        if let Some(lane) = other_lane(directory, delivery) {
            return Start::GiveBack(Next::Shift(lane));
        }
        let start = verdict::before_attempt(&self.lease_facts());
        verdict::unless_elsewhere(start, self.lease.passage, || self.stand_in())
    }

    fn stand_in(&self) -> Option<EndpointId> {
        self.destination.stand_in(&*self.shared.directory)
    }

    async fn attempt(&self) {
        let traced = self.traced();
        let transformed = match self.transformed().await {
            Ok(transformed) => transformed,
            Err(error) => {
                self.tell(self.not_transformed(&error, &traced), None).await;
                return;
            }
        };
        let started_at = self.now();
        let delivery = &self.lease.delivery;
        let parcel = transformed.as_ref().unwrap_or(&*self.lease.parcel);
        let sent = self.sent(parcel, &traced, started_at).await;
        let verdict = self.judge(&sent);
        self.record_span(&traced, &sent, &verdict);
        let status = sent.answer.as_ref().map(|answer| answer.status);
        let report = self.report(&sent, &verdict);
        let events = self
            .tell(self.ending(started_at, sent, &verdict), report)
            .await;
        if let (false, Some(endpoint)) = (events.is_empty(), delivery.endpoint_id) {
            standing::hear(&*self.shared.directory, endpoint, &events).await;
        }
        if let (true, Some(endpoint)) = (verdict.disable_endpoint, delivery.endpoint_id) {
            self.disable(endpoint, status).await;
        }
    }

    /// What is sent in place of the original; none where no script has a say. What was sent once is
    /// sent again, though the script may have changed since.
    async fn transformed(&self) -> Result<Option<Parcel>, TransformError> {
        let delivery = &self.lease.delivery;
        let Some(connection) = delivery.connection_id else {
            return Ok(None);
        };
        let script = self.shared.directory.script(connection);
        if script.is_none() && delivery.attempts <= 1 {
            return Ok(None);
        }
        let store = &self.shared.store;
        let original = &*self.lease.parcel;
        let kept = store.transformed(delivery.id).await;
        if let Some(kept) = kept.map_err(|error| unavailable(&error))? {
            return Ok(Some(kept.in_place_of(original)));
        }
        let Some(script) = script else {
            return Ok(None);
        };
        let input = TransformInput::of(&original.message, &original.envelope, &original.body)?;
        let made = self.shared.transformer.transform(script, input).await?;
        let kept = store.keep_transformed(delivery.id, made).await;
        let kept = kept.map_err(|error| unavailable(&error))?;
        Ok(Some(kept.in_place_of(original)))
    }

    /// The end of an attempt for which there was nothing to send.
    fn not_transformed(&self, error: &TransformError, traced: &Traced) -> FinishAttempt {
        let next = error.next();
        if !error.is_an_attempt() {
            tracing::warn!(delivery = %self.lease.delivery.id, %error, "a script could not run");
            return self.giving_back(next);
        }
        let verdict = Verdict {
            outcome: AttemptOutcome::Failed,
            next,
            disable_endpoint: false,
        };
        let sent = Sent::not_sent(error.to_string());
        self.record_span(traced, &sent, &verdict);
        self.ending(self.tenure.started_at, sent, &verdict)
    }

    async fn send(&self, call: Call) -> Sent {
        let begun = Instant::now();
        tokio::select! {
            biased;
            attempted = self.shared.sender.send(call) => Sent::new(attempted, self.now()),
            () = self.shared.cut.cancelled() => Sent::cut_short(begun.elapsed()),
        }
    }

    /// What the store is told of the endpoint.
    fn report(&self, sent: &Sent, verdict: &Verdict) -> Option<LaneReporting> {
        let Destination::Endpoint(ready) = &self.destination else {
            return None;
        };
        if sent.witness == Witness::Ourselves {
            return None;
        }
        let sample = verdict::sample(sent.happened, verdict.outcome);
        let (told, started_at) = (&self.shared.told, self.tenure.started_at);
        told.report(ready.endpoint(), &self.lease.delivery, sample, started_at)
    }

    fn judge(&self, sent: &Sent) -> Verdict {
        let since = self.lease.delivery.budget.since;
        let verdict = verdict::after_attempt(&AttemptFacts {
            happened: sent.happened,
            retry: self.destination.retry(),
            on_uncertain: self.destination.on_uncertain(),
            attempts_spent: self.lease.delivery.attempts_spent(),
            age: self.now().since(since),
            jitter: rand::random(),
        });
        match verdict.next {
            Next::Fail(_) => Verdict {
                next: verdict.next.or_over_to(self.stand_in()),
                ..verdict
            },
            Next::Deliver
            | Next::Retry { .. }
            | Next::Hold(_)
            | Next::Cancel(_)
            | Next::Shift(_)
            | Next::FailOver(_) => verdict,
        }
    }

    // After the finish: what is lost in between is said again by the endpoint's next answer.
    async fn disable(&self, endpoint: EndpointId, status: Option<u16>) {
        let directory = &self.shared.directory;
        let known = directory.endpoint(endpoint);
        if known.is_none_or(|ready| ready.endpoint().disabled.is_some()) {
            return;
        }
        let status = status.map_or_else(String::new, |status| format!(" with {status}"));
        let reason = format!("it answered {}{status}", self.lease.delivery.id);
        tracing::warn!(%endpoint, reason, "an endpoint is gone and gets nothing more");
        directory.disable_endpoint(endpoint, reason).await;
    }

    fn ending(&self, started_at: Timestamp, sent: Sent, verdict: &Verdict) -> FinishAttempt {
        let made = Made {
            delivery: &self.lease.delivery,
            id: self.tenure.attempt_id,
            outcome: verdict.outcome,
            started_at,
            duration_ms: whole_millis(sent.duration),
            timing: sent.timing,
            request_headers: sent.request_headers,
            answer: sent.answer,
            status_seen: sent.status_seen,
            error: sent.error,
        };
        FinishAttempt {
            attempt: Some(made.into_record()),
            ..self.giving_back(verdict.next)
        }
    }

    fn giving_back(&self, next: Next) -> FinishAttempt {
        FinishAttempt {
            delivery_id: self.lease.delivery.id,
            token: self.tenure.attempt_id,
            attempt: None,
            next,
        }
    }

    async fn give_back(&self, next: Next) {
        self.tell(self.giving_back(next), None).await;
    }

    /// Tells the store until it takes it: what a receiver has said cannot be asked again. Answers
    /// what people shall hear of the endpoint.
    async fn tell(&self, finish: FinishAttempt, report: Option<LaneReporting>) -> Vec<LaneEvent> {
        let delivery = finish.delivery_id;
        let deadline = self.lease_ends() + TELL_AFTER_LEASE;
        let mut wait = TELL_WAIT_MIN;
        loop {
            match self.finish(finish.clone(), report.clone()).await {
                Ok(Reported { finished, events }) => {
                    if finished == Finished::Fenced {
                        tracing::info!(%delivery, "a result came after its lease was overtaken");
                    }
                    if let Some(attempt) = &finish.attempt {
                        self.shared.directory.attempted(attempt);
                    }
                    return events;
                }
                Err(error) if Instant::now() + wait > deadline => {
                    tracing::error!(
                        %delivery,
                        error = &error as &dyn std::error::Error,
                        "a result could not be stored; the attempt counts as uncertain"
                    );
                    return Vec::new();
                }
                Err(error) => tracing::debug!(
                    %delivery,
                    error = &error as &dyn std::error::Error,
                    "a result waits for the store"
                ),
            }
            sleep(wait).await;
            wait = (wait * 2).min(TELL_WAIT_MAX);
        }
    }

    async fn finish(
        &self,
        finish: FinishAttempt,
        report: Option<LaneReporting>,
    ) -> Result<Reported, StoreError> {
        let store = &self.shared.store;
        match report {
            Some(report) => store.finish_and_report(finish, report).await,
            None => Ok(Reported {
                finished: store.finish(finish).await?,
                events: Vec::new(),
            }),
        }
    }

    fn lease_ends(&self) -> Instant {
        let span = self.tenure.until.since(self.tenure.started_at);
        self.taken_at + Duration::from_millis(span.get().unsigned_abs())
    }

    fn lease_left(&self) -> Duration {
        self.lease_ends().saturating_duration_since(Instant::now())
    }

    /// The time on the store's clock, as far as it can be told from here.
    fn now(&self) -> Timestamp {
        self.tenure.started_at + millis(self.taken_at.elapsed())
    }
}

/// Rounded up: nothing that an attempt is made of took longer than all of it.
fn whole_millis(span: Duration) -> u64 {
    u64::try_from(span.as_micros().div_ceil(1_000)).unwrap_or(u64::MAX)
}

/// Without the store nobody knows what was sent before, so that nothing is sent.
fn unavailable(error: &StoreError) -> TransformError {
    TransformError::Unavailable(error.to_string())
}
