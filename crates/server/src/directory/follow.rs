//! Follows what other nodes change of the configuration.
//!
//! A notice from the store makes it quick, and a look every second makes it certain: a notice may
//! be lost with the connection that carries it. So a change holds on every node within about a
//! second of its commit, while the store can be read. While it cannot, each node goes on with what
//! it knows.

use std::sync::{Arc, Weak};
use std::time::Duration;

use hooklatch_store::{StoreError, Wake};
use tokio::sync::Notify;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::Directory;
use super::keeper::{Keeper, Refreshed};

/// The longest time between two looks at the configuration's version.
pub const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Where the following stands.
struct Follower {
    keeper: Arc<Keeper>,
    /// The version up to which everything is shown; none before the first look.
    seen: Option<i64>,
    /// Whether the last look failed.
    failing: bool,
}

impl Directory {
    /// Follows other nodes until `stop`. `changed` is called, from this task, each time that
    /// something new is in force: what was waiting for an endpoint may be due now.
    pub async fn follow(self: Arc<Self>, stop: CancellationToken, changed: Wake) {
        let noticed = Arc::new(Notify::new());
        // The store may outlive this task, and must not keep anything of it alive.
        let weak = Arc::downgrade(&noticed);
        let wake = move || {
            if let Some(noticed) = Weak::upgrade(&weak) {
                noticed.notify_one();
            }
        };
        self.keeper.store.on_change(Arc::new(wake));
        let mut follower = Follower {
            keeper: Arc::clone(&self.keeper),
            seen: None,
            failing: false,
        };
        loop {
            let looked = tokio::select! {
                looked = follower.look() => looked,
                () = stop.cancelled() => return,
            };
            if looked == Refreshed::Something {
                changed();
            }
            tokio::select! {
                // The time ends the wait as well as a notice does.
                _ = timeout(LOOK_EVERY, noticed.notified()) => {}
                () = stop.cancelled() => return,
            }
        }
    }
}

impl Follower {
    async fn look(&mut self) -> Refreshed {
        match self.try_look().await {
            Ok(looked) => {
                if self.failing {
                    tracing::info!("the configuration is followed again");
                }
                self.failing = false;
                looked
            }
            Err(error) => {
                if !self.failing {
                    tracing::warn!(
                        error = &error as &dyn std::error::Error,
                        "changes of the configuration by other nodes are not seen: the store does \
                         not answer"
                    );
                }
                self.failing = true;
                Refreshed::Nothing
            }
        }
    }

    async fn try_look(&mut self) -> Result<Refreshed, StoreError> {
        // Asked before the load: what is saved in between is found by the next look.
        let version = self.keeper.store.version().await?;
        if self.seen == Some(version) {
            return Ok(Refreshed::Nothing);
        }
        let refreshed = self.keeper.refresh().await?;
        self.seen = Some(version);
        Ok(refreshed)
    }
}
