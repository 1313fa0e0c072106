//! The configuration in memory: read for every request, changed one at a time.
//!
//! A change is decided on the snapshot of the moment, stored, and only then seen by requests. Where
//! something else is stored than the snapshot says, the store notices; then the configuration is
//! loaded anew and the change is decided once more. What other nodes store is followed beside all
//! this.

mod audit;
mod document;
mod engine;
mod error;
mod follow;
mod keeper;
mod ordered;
mod secrets;
mod snapshot;

use std::sync::Arc;

use hooklatch_core::address::Reach;
use hooklatch_core::config::Making;
use hooklatch_core::delivery::Lane;
use hooklatch_core::ids::{EndpointId, ProjectId};
use hooklatch_core::seal::SealingKey;
use hooklatch_store::{ConfigKind, Store, StoreError};

pub use document::Document;
pub use error::SnapshotError;
pub use snapshot::{Gate, ReadySource, Snapshot};

use crate::metrics::Metrics;
use crate::problem::Problem;
use keeper::{Keeper, Stored};

/// The configuration.
pub struct Directory {
    keeper: Arc<Keeper>,
    reach: Reach,
    metrics: Metrics,
}

/// Why the configuration cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The store does not answer.
    #[error("failed to load the configuration: {0}")]
    Store(#[from] StoreError),
    /// What it answers cannot be used.
    #[error("failed to read the configuration: {0}")]
    Snapshot(#[from] SnapshotError),
}

/// A change that was decided on: what to store, in order, and what to answer afterwards.
pub struct Change<T> {
    /// The documents as they shall stand.
    pub documents: Vec<Document>,
    /// The answer.
    pub answer: T,
}

/// What a change is decided on.
pub struct Deciding<'a> {
    /// The configuration now.
    pub snapshot: &'a Snapshot,
    /// Numbers for what is made.
    pub numbers: [i64; 2],
    /// The time, the randomness and the keys.
    pub making: Making<'a>,
}

/// Once more after something was not as it was known; twice in a row is more than chance.
const TRIES: usize = 3;

impl Directory {
    /// Loads the configuration. Fails where a secret does not open, so that a wrong encryption key
    /// is noticed at the start and not at the first delivery.
    pub async fn open(
        store: Arc<dyn Store>,
        sealing_key: SealingKey,
        reach: Reach,
    ) -> Result<Arc<Self>, OpenError> {
        let mut documents = Vec::new();
        for record in store.load().await? {
            let document = Document::read(&record).map_err(SnapshotError::from)?;
            documents.push((document, record.revision));
        }
        let snapshot = Snapshot::default().with(&documents, &sealing_key)?;
        Ok(Arc::new(Self {
            keeper: Keeper::new(store, sealing_key, snapshot),
            reach,
            metrics: Metrics::default(),
        }))
    }

    /// The configuration now.
    pub fn snapshot(&self) -> Arc<Snapshot> {
        self.keeper.snapshot()
    }

    /// What secrets are sealed with.
    pub fn sealing_key(&self) -> &SealingKey {
        &self.keeper.sealing_key
    }

    /// What this process has done, counted. It is kept here because the engine knows nothing else
    /// of the server.
    pub fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    /// How far endpoints may reach.
    pub fn reach(&self) -> Reach {
        self.reach
    }

    /// Carries out a change of a project's configuration. `decide` may be asked again, on a newer
    /// snapshot; it does nothing but decide. Once decided, the change is carried out to its end,
    /// though the caller may hang up.
    pub async fn change<T: Send>(
        &self,
        project: ProjectId,
        decide: impl Fn(Deciding<'_>) -> Result<Change<T>, Problem> + Send + Sync,
    ) -> Result<T, Problem> {
        let Keeper {
            store, sealing_key, ..
        } = &*self.keeper;
        let mut turn = self.keeper.turn().await;
        let mut obstacle = None;
        for _ in 0..TRIES {
            let numbers = [store.mint().await?, store.mint().await?];
            let snapshot = self.snapshot();
            let change = decide(Deciding {
                snapshot: &snapshot,
                numbers,
                making: Making {
                    project,
                    now: store.now(),
                    reach: self.reach,
                    sealing_key,
                    random: &mut fill,
                },
            })?;
            let carried_out = self.keeper.carry_out(turn, snapshot, change.documents);
            let (same_turn, stored) = carried_out.await?;
            match stored {
                Stored::Done => return Ok(change.answer),
                Stored::Refused(problem) => return Err(problem),
                Stored::Outdated(problem) => obstacle = Some(problem),
            }
            turn = same_turn;
        }
        Err(obstacle.expect("each try that did not end it met an obstacle"))
    }

    /// Decides on a change and carries nothing out. Its numbers are no ids.
    pub fn preview<T>(
        &self,
        project: ProjectId,
        decide: impl FnOnce(Deciding<'_>) -> Result<T, Problem>,
    ) -> Result<T, Problem> {
        let snapshot = self.snapshot();
        decide(Deciding {
            snapshot: &snapshot,
            numbers: [0, 0],
            making: Making {
                project,
                now: self.keeper.store.now(),
                reach: self.reach,
                sealing_key: &self.keeper.sealing_key,
                random: &mut fill,
            },
        })
    }

    /// Lets what waits for an endpoint learn at once how the endpoint stands now.
    pub async fn hasten(&self, endpoint: EndpointId) -> Result<(), Problem> {
        let live = Lane::of_endpoint(endpoint);
        let store = &self.keeper.store;
        store.hasten(live).await?;
        Ok(store.hasten(live.for_replays()).await?)
    }
}

/// Bytes that nobody can guess.
pub(crate) fn fill(bytes: &mut [u8]) {
    rand::fill(bytes);
}

pub(crate) fn name_taken(document: &Document) -> Problem {
    let what = match document.place().0 {
        ConfigKind::Project => "project",
        ConfigKind::ApiKey => "API key",
        ConfigKind::Source => "source",
        ConfigKind::Group => "group",
        ConfigKind::Endpoint => "endpoint",
        ConfigKind::Connection => "connection",
    };
    let name = document.name().unwrap_or_default();
    Problem::conflict(format!(
        "there is another {what} with the name \"{name}\"; choose another name, or use PUT to \
         change the one there is"
    ))
}
