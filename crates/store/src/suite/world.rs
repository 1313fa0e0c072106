//! What the suite's sentences are spoken in: arrivals, leases, answers, and a clock that stands
//! still.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::Thread;

use bytes::Bytes;
use hooklatch_core::admission::{
    Admission, Arrival, Decision, OnConflict, OnFailedOriginal, Policy,
};
use hooklatch_core::cause::Hints;
use hooklatch_core::claim::{ClaimKey, ClaimKind, Scope};
use hooklatch_core::delivery::attempt::{Attempt, AttemptOutcome};
use hooklatch_core::delivery::lifecycle::{Destination, Next};
use hooklatch_core::delivery::{Delivery, DeliveryStatus, Lane};
use hooklatch_core::fingerprint::{self, Fingerprint};
use hooklatch_core::ids::{ConnectionId, EndpointId, MessageId, ProjectId, RequestId, SourceId};
use hooklatch_core::key::{Body, Checksum};
use hooklatch_core::message::{Direction, Effect, Envelope, Request};
use hooklatch_core::time::{Millis, Timestamp};
use hooklatch_core::window::Window;

use super::{Call, Fixture};
use crate::{
    Clock, FinishAttempt, Finished, Lease, LeaseRequest, LeaseTerms, Leases, MessageView,
    RequestView, Store, Terms,
};

/// A clock that moves only when it is told to.
#[derive(Debug)]
pub struct TestClock(AtomicI64);

impl TestClock {
    /// A clock at a fixed time.
    pub fn new() -> Arc<Self> {
        Arc::new(Self(AtomicI64::new(1_700_000_000_000)))
    }

    /// Lets time pass.
    pub fn advance(&self, span: Millis) {
        self.0.fetch_add(span.get(), Ordering::SeqCst);
    }
}

impl Clock for TestClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.0.load(Ordering::SeqCst))
    }
}

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// Waits for a future on this thread: the suite needs no runtime.
pub fn block_on<F: Future>(future: F) -> F::Output {
    let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
    let mut context = Context::from_waker(&waker);
    let mut future = pin!(future);
    loop {
        match future.as_mut().poll(&mut context) {
            Poll::Ready(output) => return output,
            Poll::Pending => std::thread::park(),
        }
    }
}

/// What a JSON payload looks like.
pub(super) fn fingerprint(payload: &str) -> Fingerprint {
    let raw = payload.as_bytes();
    let body = Body::understand(Some("application/json"), raw);
    fingerprint::fingerprint(None, &body, raw, &[])
}

/// The project of the suite.
pub const PROJECT: ProjectId = ProjectId::from_number(1);
/// Another project.
pub const STRANGER: ProjectId = ProjectId::from_number(2);
/// The source of the suite.
pub const SOURCE: SourceId = SourceId::from_number(11);
/// An hour.
pub const HOUR: Millis = Millis::from_seconds(3_600);

/// An endpoint by a small number.
pub const fn endpoint(number: i64) -> EndpointId {
    EndpointId::from_number(100 + number)
}

/// A connection by a small number.
pub const fn connection(number: i64) -> ConnectionId {
    ConnectionId::from_number(200 + number)
}

/// The key that a text has in a scope. (Any injection does; how keys are really made is tested
/// where they are made.)
pub fn checksum(scope: &Scope, text: &str) -> Checksum {
    let both = format!("\"{scope}|{text}\"");
    Checksum::from_bytes(*fingerprint(&both).as_bytes())
}

/// The destination of a connection to an endpoint, both by the same small number.
pub fn destination(number: i64) -> Destination {
    Destination {
        endpoint_id: Some(endpoint(number)),
        connection_id: Some(connection(number)),
        lane: Lane::of_endpoint(endpoint(number)),
        suffix_webhook_id: false,
        order_key: None,
    }
}

struct Everywhere(Terms);

impl LeaseTerms for Everywhere {
    fn terms(&self, _: Lane) -> Terms {
        self.0
    }
}

/// A fixture with the words of the suite.
pub struct World<F> {
    /// The fixture.
    pub fixture: F,
}

impl<F: Fixture> World<F> {
    /// An empty world.
    #[expect(
        clippy::new_without_default,
        reason = "every sentence begins with a new world"
    )]
    pub fn new() -> Self {
        Self { fixture: F::new() }
    }

    /// The store.
    pub fn store(&self) -> Arc<dyn Store> {
        self.fixture.store()
    }

    /// An arrival at the suite's source with a key and a JSON payload, to endpoint 1.
    pub fn inbound(&self, key: &str, payload: &str) -> Call {
        self.call(Scope::Source(SOURCE), key, payload)
    }

    /// An arrival in any scope.
    pub fn call(&self, scope: Scope, key: &str, payload: &str) -> Call {
        let fingerprint = self.fixture.fingerprint(payload);
        let outbound = matches!(scope, Scope::Send(..));
        let checksum = checksum(&scope, key);
        let kind = ClaimKind::Key;
        let parts = vec![key.to_owned()];
        let keys = vec![ClaimKey {
            scope,
            checksum,
            fingerprint,
            parts,
            kind,
        }];
        let on_failed_original = match outbound {
            true => OnFailedOriginal::Suppress,
            false => OnFailedOriginal::Redrive,
        };
        Call {
            arrival: Arrival {
                project_id: PROJECT,
                direction: if outbound {
                    Direction::Outbound
                } else {
                    Direction::Inbound
                },
                source_id: (!outbound).then_some(SOURCE),
                received_at: self.store().now(),
                envelope: Arc::new(Envelope {
                    method: "POST".to_owned(),
                    headers: vec![("x-key".to_owned(), key.to_owned())],
                    ..Envelope::default()
                }),
                body: Bytes::copy_from_slice(payload.as_bytes()),
                event_type: None,
                tenant: None,
                fingerprint,
                keys,
                policy: Policy {
                    window: Window::Seconds(3_600),
                    sliding: false,
                    on_conflict: OnConflict::Suppress,
                    on_failed_original,
                },
                destinations: vec![destination(1)],
                rulings: Vec::new(),
                shadow: None,
                disabled: Arc::default(),
                hints: Arc::new(Hints::default()),
                delay: Millis::ZERO,
                target: None,
                extra_headers: Vec::new(),
                warnings: Vec::new(),
                response_status: if outbound { 202 } else { 200 },
                payload_kept: None,
            },
        }
    }

    /// Admits one arrival.
    pub fn admit(&self, call: Call) -> Admission {
        self.admit_all(vec![call]).remove(0)
    }

    /// Admits many in one call.
    pub fn admit_all(&self, calls: Vec<Call>) -> Vec<Admission> {
        let arrivals = calls.into_iter().map(|call| call.arrival).collect();
        let store = self.store();
        let admitted = self.fixture.wait(store.admit(arrivals));
        admitted.expect("the store is available")
    }

    /// Admits one arrival that must be new.
    pub fn accepted(&self, call: Call) -> MessageId {
        let admission = self.admit(call);
        assert!(is_accepted(&admission), "not accepted: {admission:?}");
        admission.message_id
    }

    /// Admits one arrival that must be a repetition.
    pub fn repeated(&self, call: Call) -> Request {
        let admission = self.admit(call);
        match admission.decision {
            Decision::Repeat(repeat) => repeat.request,
            Decision::Accept(_) => panic!("a known key was accepted: {admission:?}"),
        }
    }

    /// Lets time pass.
    pub fn advance(&self, span: Millis) {
        self.fixture.advance(span);
    }

    /// Leases what is due, ten seconds long, any number.
    pub fn lease(&self) -> Vec<Lease> {
        self.lease_under(1_000, 1_000).leased
    }

    /// Leases under limits.
    pub fn lease_under(&self, limit: usize, capacity: usize) -> Leases {
        self.lease_on(
            limit,
            Terms {
                capacity,
                live_max: usize::MAX,
                span: Millis::from_seconds(10),
            },
        )
    }

    /// Leases up to a number of live leases in each lane, whoever holds them.
    pub fn lease_live_max(&self, limit: usize, live_max: usize) -> Leases {
        self.lease_on(
            limit,
            Terms {
                capacity: 1_000,
                live_max,
                span: Millis::from_seconds(10),
            },
        )
    }

    fn lease_on(&self, limit: usize, terms: Terms) -> Leases {
        self.lease_with(limit, Arc::new(Everywhere(terms)))
    }

    /// Leases on any terms.
    pub fn lease_with(&self, limit: usize, terms: Arc<dyn LeaseTerms>) -> Leases {
        let store = self.store();
        let leases = self
            .fixture
            .wait(store.lease(LeaseRequest { limit, terms }));
        leases.expect("the store is available")
    }

    /// Leases the one delivery that is due.
    pub fn lease_one(&self) -> Lease {
        let mut leased = self.lease();
        assert_eq!(leased.len(), 1, "one delivery is due: {leased:?}");
        leased.remove(0)
    }

    /// Ends an attempt.
    pub fn finish(&self, lease: &Lease, next: Next) -> Finished {
        let mut attempt = lease.delivery.attempt_in_progress().expect("it was leased");
        attempt.outcome = match next {
            Next::Deliver => AttemptOutcome::Delivered,
            Next::Fail(_)
            | Next::Retry { .. }
            | Next::Hold(_)
            | Next::Cancel(_)
            | Next::Shift(_)
            | Next::FailOver(_) => AttemptOutcome::Failed,
        };
        attempt.status_code = Some(if next == Next::Deliver { 200 } else { 500 });
        attempt.response_body = Bytes::from_static(b"answer");
        self.finish_with(lease, Some(attempt), next)
    }

    /// Ends or gives back an attempt.
    pub fn finish_with(&self, lease: &Lease, attempt: Option<Attempt>, next: Next) -> Finished {
        let in_progress = lease.delivery.attempt_in_progress().expect("it was leased");
        let delivery_id = lease.delivery.id;
        let finish = FinishAttempt {
            delivery_id,
            token: in_progress.id,
            attempt,
            next,
        };
        let store = self.store();
        self.fixture
            .wait(store.finish(finish))
            .expect("the store is available")
    }

    /// Leases the one delivery that is due, and ends its attempt.
    pub fn attempt(&self, next: Next) -> Delivery {
        let lease = self.lease_one();
        match self.finish(&lease, next) {
            Finished::Applied(delivery) => delivery,
            Finished::Fenced => panic!("a live lease was fenced"),
        }
    }

    /// A message as people see it.
    pub fn message(&self, id: MessageId) -> MessageView {
        let store = self.store();
        let found = self
            .fixture
            .wait(store.message(PROJECT, id))
            .expect("the store is available");
        found.expect("the message exists")
    }

    /// The statuses of a message's deliveries.
    pub fn statuses(&self, id: MessageId) -> Vec<DeliveryStatus> {
        let view = self.message(id);
        view.deliveries
            .iter()
            .map(|delivery| delivery.state.status())
            .collect()
    }

    /// A request that did not become a message when it arrived.
    pub fn request(&self, id: RequestId) -> Request {
        let store = self.store();
        let found = self
            .fixture
            .wait(store.request(PROJECT, id))
            .expect("the store is available");
        match found.expect("the request exists") {
            RequestView::Other { request, .. } => request,
            RequestView::Accepted { message, .. } => panic!("it was accepted: {message:?}"),
        }
    }

    /// The attempts of a delivery.
    pub fn attempts(&self, delivery: &Delivery) -> Vec<Attempt> {
        let store = self.store();
        let attempts = self.fixture.wait(store.attempts_of(PROJECT, delivery.id));
        attempts.expect("the store is available")
    }
}

/// Whether an arrival became a message.
pub fn is_accepted(admission: &Admission) -> bool {
    matches!(admission.decision, Decision::Accept(_))
}

/// Asserts what a repetition set in motion.
pub fn assert_effect(request: &Request, effect: Effect) {
    assert_eq!(request.effect, effect, "{request:?}");
}
