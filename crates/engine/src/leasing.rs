//! The one loop that looks for due deliveries and starts their attempts.

use std::sync::Arc;

use hooklatch_core::delivery::scheduler::Step;
use hooklatch_store::{LeaseRequest, LeaseTerms, Leases, StoreError};
use tokio::time::{Instant, sleep_until};

use crate::attempt;
use crate::shared::{Shared, Slot};

/// Leases and starts until it is told to stop.
pub(crate) async fn run(shared: Arc<Shared>) {
    let mut store_failed = false;
    while !shared.stop.is_cancelled() {
        let step = shared.scheduler().poll(shared.now());
        match step {
            Step::Lease { limit } => {
                let looked = look(&shared, limit).await;
                log_change(&mut store_failed, looked);
            }
            Step::WaitUntil(time) => tokio::select! {
                () = shared.work.notified() => {}
                () = sleep_until(shared.instant(time)) => {}
                () = shared.stop.cancelled() => {}
            },
            Step::Wait => tokio::select! {
                () = shared.work.notified() => {}
                () = shared.stop.cancelled() => {}
            },
        }
    }
}

// Once begun, a look is not given up when the engine stops: what the store has leased meanwhile
// would be out of reach until the lease ends.
async fn look(shared: &Arc<Shared>, limit: usize) -> Result<(), StoreError> {
    let request = LeaseRequest {
        limit,
        terms: Arc::clone(shared) as Arc<dyn LeaseTerms>,
    };
    // The store counts a lease from some moment after this one, so that we take none for longer
    // than it is.
    let asked_at = Instant::now();
    match shared.store.lease(request).await {
        Ok(leases) => {
            start(shared, limit, leases, asked_at);
            Ok(())
        }
        Err(error) => {
            shared.scheduler().handle_store_failed(shared.now());
            Err(error)
        }
    }
}

fn start(shared: &Arc<Shared>, limit: usize, leases: Leases, taken_at: Instant) {
    let leased = leases.leased.len();
    let slots: Vec<Slot> = leases
        .leased
        .iter()
        .map(|lease| Slot::take(shared, lease.delivery.lane()))
        .collect();
    shared
        .scheduler()
        .handle_looked(shared.now(), limit, leased, leases.next_due_in);
    for (slot, lease) in slots.into_iter().zip(leases.leased) {
        tokio::spawn(attempt::run(Arc::clone(shared), slot, lease, taken_at));
    }
}

fn log_change(store_failed: &mut bool, looked: Result<(), StoreError>) {
    match looked {
        Err(error) if !*store_failed => {
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                "deliveries wait: the store does not say what is due"
            );
            *store_failed = true;
        }
        Ok(()) if *store_failed => {
            tracing::info!("the store answers again; deliveries go on");
            *store_failed = false;
        }
        Ok(()) | Err(_) => {}
    }
}
