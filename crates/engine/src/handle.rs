//! Starting an engine, and ending it without losing what is under way.

use std::pin::pin;
use std::sync::{Arc, Weak};
use std::time::Duration;

use hooklatch_egress::Sender;
use hooklatch_store::{Deliveries, Wake};
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout_at};
use tokio_util::sync::CancellationToken;

use crate::directory::Directory;
use crate::leasing;
use crate::settings::Settings;
use crate::shared::Shared;
use crate::transformer::Transformer;

/// How long the results of attempts that were cut short may take to be stored.
const CUT_GRACE: Duration = Duration::from_secs(5);

/// The loops that deliver.
#[derive(Debug, Clone, Copy)]
pub struct Engine;

/// A running engine. It runs until its stop token is cancelled or it is drained; dropping the
/// handle alone ends nothing.
pub struct EngineHandle {
    shared: Arc<Shared>,
    leasing: JoinHandle<()>,
}

/// How an engine ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Drained {
    /// Every attempt came to its own end.
    Complete,
    /// Time was up for some attempts: their outcome is recorded as uncertain.
    CutShort {
        /// How many.
        attempts: usize,
    },
}

impl Engine {
    /// Starts to deliver what is due in `store`, within the runtime of the caller. Once `stop` is
    /// cancelled nothing more is leased, and attempts under way go on to their end.
    pub fn start(
        store: Arc<dyn Deliveries>,
        directory: Arc<dyn Directory>,
        sender: Sender,
        transformer: Arc<dyn Transformer>,
        settings: Settings,
        stop: CancellationToken,
    ) -> EngineHandle {
        let stop = stop.child_token();
        let shared = Shared::new(store, directory, sender, transformer, &settings, stop);
        let shared = Arc::new(shared);
        shared.store.on_work(waker(&shared));
        let leasing = tokio::spawn(leasing::run(Arc::clone(&shared)));
        EngineHandle { shared, leasing }
    }
}

// Whoever holds it may outlive the engine, and must not keep it alive.
fn waker(shared: &Arc<Shared>) -> Wake {
    let weak = Arc::downgrade(shared);
    Arc::new(move || {
        if let Some(shared) = Weak::upgrade(&weak) {
            shared.wake();
        }
    })
}

impl EngineHandle {
    /// Attempts under way.
    pub fn in_flight(&self) -> usize {
        self.shared.scheduler().in_flight()
    }

    /// Has the engine look for due deliveries, though the store has told it of none: an endpoint
    /// may take again what it did not take before.
    pub fn waker(&self) -> Wake {
        waker(&self.shared)
    }

    /// Leases nothing more, gives back what was leased and not begun, and lets attempts under way
    /// end. Those that have not after `patience` are cut short.
    pub async fn drain(self, patience: Duration) -> Drained {
        let Self { shared, leasing } = self;
        let deadline = Instant::now() + patience;
        shared.stop.cancel();
        let mut ended = pin!(async {
            // A loop that panicked has ended as well.
            let _ = leasing.await;
            shared.idle().await;
        });
        if timeout_at(deadline, &mut ended).await.is_ok() {
            return Drained::Complete;
        }
        let attempts = shared.scheduler().in_flight();
        shared.cut.cancel();
        // What is not stored by then, because the store does not answer, is found again when its
        // lease ends.
        let stored = timeout_at(deadline + CUT_GRACE, ended).await.is_ok();
        if attempts == 0 && stored {
            return Drained::Complete;
        }
        tracing::warn!(attempts, stored, "attempts under way were cut short");
        Drained::CutShort { attempts }
    }
}
