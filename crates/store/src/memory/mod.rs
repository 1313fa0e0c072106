//! The reference: everything in memory under one lock, as plainly as the contract allows.
//!
//! It exists to be read beside the contract, to serve gateways that live no longer than a test run,
//! and to carry the planted faults by which the suite shows that it can fail. Nothing bounds it but
//! pruning, which also lets go what has ended.

mod admissions;
mod audits;
mod claims;
mod configuration;
mod deliveries;
mod follow;
mod history;
mod index;
mod lanes;
mod ledger;
mod replays;
mod retention;
mod scan;
mod shadows;
mod stats;
#[cfg(all(test, feature = "suite"))]
mod tests;

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard};

use bytes::Bytes;
use hooklatch_core::claim::Claim;
use hooklatch_core::delivery::attempt::Attempt;
use hooklatch_core::delivery::control::{Bucket, LaneHealth};
use hooklatch_core::delivery::{Delivery, Lane};
use hooklatch_core::ids::{
    ApiKeyId, AttemptId, DeliveryId, MessageId, Mint, ProjectId, ReplayId, RequestId,
};
use hooklatch_core::key::Checksum;
use hooklatch_core::message::{Envelope, Parcel, Request};
use hooklatch_core::shadow::ShadowSums;
use hooklatch_core::time::Timestamp;
use hooklatch_core::transform::Transformed;

use crate::{
    Answer, AuditEntry, Clock, ConfigKind, ConfigRecord, Store, StoreError, SystemClock, Wake,
};

/// A fault to plant: each is a mistake that gateways really make.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The claims are looked up under one lock and written under another.
    LookThenWrite,
    /// A late answer is applied whatever state the delivery has reached.
    LateAnswerRevives,
    /// A finish is applied whichever lease it was given under.
    LeaseWithoutToken,
}

/// The store in memory. It ends with the process.
pub struct MemoryStore {
    clock: Arc<dyn Clock>,
    state: Mutex<State>,
    wake: Mutex<Vec<Wake>>,
    changed: Mutex<Vec<Wake>>,
    fault: Option<Fault>,
}

#[derive(Clone, Default)]
struct State {
    closed: bool,
    mint: Mint,
    messages: BTreeMap<MessageId, Arc<Parcel>>,
    requests: BTreeMap<RequestId, StoredRequest>,
    deliveries: BTreeMap<DeliveryId, Delivery>,
    attempts: BTreeMap<AttemptId, Attempt>,
    transformed: BTreeMap<DeliveryId, Transformed>,
    buckets: HashMap<Lane, Bucket>,
    health: HashMap<Lane, LaneHealth>,
    claims: HashMap<Checksum, Vec<Claim>>,
    configuration: BTreeMap<(ConfigKind, i64), ConfigRecord>,
    audit: Vec<(ProjectId, AuditEntry)>,
    /// Messages whose history was pruned, for the claims that outlive them.
    forgotten: BTreeMap<MessageId, ProjectId>,
    receiving: claims::Receiving,
    replays: BTreeMap<ReplayId, replays::Kept>,
    /// How things were before and after, by the place of the line.
    details: HashMap<usize, (Option<String>, Option<String>)>,
    used: HashMap<ApiKeyId, Timestamp>,
    index: index::Index,
    shadows: ShadowSums,
}

#[derive(Clone)]
struct StoredRequest {
    request: Request,
    envelope: Arc<Envelope>,
    body: Option<Bytes>,
}

impl MemoryStore {
    /// An empty store on the machine's clock.
    pub fn new() -> Arc<Self> {
        Self::with_clock(Arc::new(SystemClock))
    }

    /// An empty store on another clock.
    pub fn with_clock(clock: Arc<dyn Clock>) -> Arc<Self> {
        Arc::new(Self {
            clock,
            state: Mutex::default(),
            wake: Mutex::default(),
            changed: Mutex::default(),
            fault: None,
        })
    }

    /// An empty store that makes a mistake.
    #[cfg(feature = "suite")]
    pub fn with_fault(clock: Arc<dyn Clock>, fault: Fault) -> Arc<Self> {
        Arc::new(Self {
            clock,
            state: Mutex::default(),
            wake: Mutex::default(),
            changed: Mutex::default(),
            fault: Some(fault),
        })
    }

    /// A store as it would be found after the process had died: with everything that was
    /// answered, and with every lease void.
    pub fn after_a_crash(&self) -> Arc<Self> {
        let now = self.clock.now();
        let mut state = self.state.lock().expect("no panic while locked").clone();
        for delivery in state.deliveries.values_mut() {
            deliveries::void_lease(delivery, now);
        }
        for kept in state.replays.values_mut() {
            kept.void_lease();
        }
        Arc::new(Self {
            clock: Arc::clone(&self.clock),
            state: Mutex::new(state),
            wake: Mutex::default(),
            changed: Mutex::default(),
            fault: self.fault,
        })
    }

    fn lock(&self) -> Result<MutexGuard<'_, State>, StoreError> {
        let state = self
            .state
            .lock()
            .map_err(|_| StoreError::Unavailable(None))?;
        if state.closed {
            return Err(StoreError::Unavailable(None));
        }
        Ok(state)
    }

    fn wake(&self) {
        call_all(&self.wake);
    }
}

fn call_all(wakes: &Mutex<Vec<Wake>>) {
    for wake in wakes.lock().expect("wakers do not panic").iter() {
        wake();
    }
}

/// An answer that is already there.
fn ready<'a, T: Send + 'a>(result: Result<T, StoreError>) -> Answer<'a, T> {
    Box::pin(std::future::ready(result))
}

impl Store for MemoryStore {
    fn now(&self) -> Timestamp {
        self.clock.now()
    }

    fn ready(&self) -> Answer<'_, ()> {
        ready(self.lock().map(|_| ()))
    }

    fn close(&self) -> Answer<'_, ()> {
        ready(self.lock().map(|mut state| state.closed = true))
    }
}
