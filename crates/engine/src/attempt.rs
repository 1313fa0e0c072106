//! One leased delivery from its lease to its finish.

mod entry;

use std::sync::Arc;
use std::time::Duration;

use hooklatch_core::delivery::attempt::{AttemptOutcome, Timing};
use hooklatch_core::delivery::lifecycle::Next;
use hooklatch_core::delivery::verdict::{self, AttemptFacts, Happened, LeaseFacts, Start, Verdict};
use hooklatch_core::delivery::{Lease as Tenure, State, Trigger};
use hooklatch_core::ids::EndpointId;
use hooklatch_core::message::Parcel;
use hooklatch_core::retry::retry_after;
use hooklatch_core::time::{Millis, Timestamp};
use hooklatch_core::transform::{TransformError, TransformInput};
use hooklatch_egress::{Answer, Attempted, Call, SendError};
use hooklatch_store::{FinishAttempt, Finished, Lease, StoreError};
use tokio::time::{Instant, sleep};

use crate::destination::Destination;
use crate::record::{self, Made};
use crate::settings::millis;
use crate::shared::{Shared, Slot};

/// The waits before a finish that the store did not take is told again.
const TELL_WAIT_MIN: Duration = Duration::from_millis(50);
const TELL_WAIT_MAX: Duration = Duration::from_secs(2);
/// How long after its lease a result is still told. While no other node can lease either, the
/// lease has not been overtaken, and the result is as good as ever.
const TELL_AFTER_LEASE: Duration = Duration::from_secs(60);

/// Attempts a delivery, or gives its lease back, and tells the store what came of it.
pub(crate) async fn run(shared: Arc<Shared>, slot: Slot, lease: Lease, taken_at: Instant) {
    let work = Work::new(&shared, &lease, taken_at);
    match verdict::before_attempt(&work.lease_facts()) {
        Start::GiveBack(next) => work.tell(work.giving_back(next)).await,
        // A lease that may be over is no leave to send: we were frozen, or the store was slow.
        Start::Attempt if shared.stop.is_cancelled() || work.lease_left().is_zero() => {
            work.tell(work.giving_back(not_started())).await;
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

/// How a request went.
struct Sent {
    happened: Happened,
    answer: Option<Answer>,
    status_seen: Option<u16>,
    error: Option<String>,
    timing: Timing,
    duration: Duration,
    request_headers: Vec<(String, String)>,
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

    async fn attempt(&self) {
        let transformed = match self.transformed().await {
            Ok(transformed) => transformed,
            Err(error) => return self.tell(self.not_transformed(&error)).await,
        };
        let started_at = self.now();
        let delivery = &self.lease.delivery;
        let parcel = transformed.as_ref().unwrap_or(&*self.lease.parcel);
        let sent = self.sent(parcel, started_at).await;
        let verdict = self.judge(&sent);
        let status = sent.answer.as_ref().map(|answer| answer.status);
        self.tell(self.ending(started_at, sent, &verdict)).await;
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
    fn not_transformed(&self, error: &TransformError) -> FinishAttempt {
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

    fn judge(&self, sent: &Sent) -> Verdict {
        let since = self.lease.delivery.budget.since;
        verdict::after_attempt(&AttemptFacts {
            happened: sent.happened,
            retry: self.destination.retry(),
            on_uncertain: self.destination.on_uncertain(),
            attempts_spent: self.lease.delivery.attempts_spent(),
            age: self.now().since(since),
            jitter: rand::random(),
        })
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
            duration_ms: u64::try_from(sent.duration.as_millis()).unwrap_or(u64::MAX),
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

    /// Tells the store until it takes it: what a receiver has said cannot be asked again.
    async fn tell(&self, finish: FinishAttempt) {
        let delivery = finish.delivery_id;
        let deadline = self.lease_ends() + TELL_AFTER_LEASE;
        let mut wait = TELL_WAIT_MIN;
        loop {
            match self.shared.store.finish(finish.clone()).await {
                Ok(finished) => {
                    if finished == Finished::Fenced {
                        tracing::info!(%delivery, "a result came after its lease was overtaken");
                    }
                    if let Some(attempt) = &finish.attempt {
                        self.shared.directory.attempted(attempt);
                    }
                    return;
                }
                Err(error) if Instant::now() + wait > deadline => {
                    tracing::error!(
                        %delivery,
                        error = &error as &dyn std::error::Error,
                        "a result could not be stored; the attempt counts as uncertain"
                    );
                    return;
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

impl Sent {
    fn new(attempted: Attempted, now: Timestamp) -> Self {
        let timing = attempted.timing;
        let sent = Self {
            duration: timing.total,
            timing: Timing {
                dns_us: timing.dns.map(micros),
                tcp_us: timing.tcp.map(micros),
                tls_us: timing.tls.map(micros),
                first_byte_us: timing.first_byte.map(micros),
            },
            ..Self::ended(Happened::NotSent)
        };
        match attempted.result {
            Ok(answer) => Self {
                happened: answered(&answer, now),
                answer: Some(answer),
                ..sent
            },
            Err(error) => Self {
                happened: if error.request_written() {
                    Happened::Uncertain
                } else {
                    Happened::NotSent
                },
                status_seen: status_seen(&error),
                error: Some(error.to_string()),
                ..sent
            },
        }
    }

    fn not_sent(error: String) -> Self {
        Self {
            error: Some(error),
            ..Self::ended(Happened::NotSent)
        }
    }

    // Whether the request had been written is lost with the connection, so nobody knows (O5).
    fn cut_short(duration: Duration) -> Self {
        let error = "the gateway stopped before the answer came; its outcome is not known";
        Self {
            error: Some(error.to_owned()),
            duration,
            ..Self::ended(Happened::Uncertain)
        }
    }

    fn ended(happened: Happened) -> Self {
        Self {
            happened,
            answer: None,
            status_seen: None,
            error: None,
            timing: Timing::default(),
            duration: Duration::ZERO,
            request_headers: Vec::new(),
        }
    }
}

/// Without the store nobody knows what was sent before, so that nothing is sent.
fn unavailable(error: &StoreError) -> TransformError {
    TransformError::Unavailable(error.to_string())
}

fn answered(answer: &Answer, now: Timestamp) -> Happened {
    let receipt = record::header(answer, "hooklatch-receipt");
    let wait = record::header(answer, "retry-after");
    Happened::Answered {
        status: answer.status,
        retry_after: wait.and_then(|header| retry_after(header, now)),
        receipt: receipt.and_then(|header| header.parse().ok()),
    }
}

/// The status of an answer that had begun and did not come to its end.
fn status_seen(error: &SendError) -> Option<u16> {
    match error {
        SendError::Timeout { status, .. } | SendError::Broken { status, .. } => *status,
        SendError::Refused(_)
        | SendError::Dns { .. }
        | SendError::Connect { .. }
        | SendError::Tls { .. }
        | SendError::BadAnswer { .. }
        | SendError::HeadTooLarge { .. } => None,
    }
}

fn micros(span: Duration) -> u64 {
    u64::try_from(span.as_micros()).unwrap_or(u64::MAX)
}
