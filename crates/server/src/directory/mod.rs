//! The configuration in memory: read for every request, changed one at a time.
//!
//! A change is decided on the snapshot of the moment, stored, and only then seen by requests. Where
//! another node has changed the same thing meanwhile, the store says so; then the configuration is
//! loaded anew and the change is decided once more.

mod document;
mod engine;
mod snapshot;

use std::sync::{Arc, PoisonError, RwLock};

use hooklatch_core::address::Reach;
use hooklatch_core::config::Making;
use hooklatch_core::delivery::Lane;
use hooklatch_core::ids::{EndpointId, ProjectId};
use hooklatch_core::seal::SealingKey;
use hooklatch_store::{ConfigKind, Expected, Saved, Store, StoreError};

pub use document::Document;
pub use snapshot::{Gate, ReadySource, Snapshot, SnapshotError};

use crate::problem::Problem;

/// The configuration.
pub struct Directory {
    store: Arc<dyn Store>,
    sealing_key: SealingKey,
    reach: Reach,
    snapshot: RwLock<Arc<Snapshot>>,
    changes: tokio::sync::Mutex<()>,
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

enum Stored {
    Done(Vec<(Document, i64)>),
    Stale,
}

/// Once more after another node was faster; twice in a row is more than chance.
const TRIES: usize = 3;

impl Directory {
    /// Loads the configuration. Fails where a secret does not open, so that a wrong encryption key
    /// is noticed at the start and not at the first delivery.
    pub async fn open(
        store: Arc<dyn Store>,
        sealing_key: SealingKey,
        reach: Reach,
    ) -> Result<Arc<Self>, OpenError> {
        let snapshot = load(&store, &sealing_key).await?;
        Ok(Arc::new(Self {
            store,
            sealing_key,
            reach,
            snapshot: RwLock::new(Arc::new(snapshot)),
            changes: tokio::sync::Mutex::new(()),
        }))
    }

    /// The configuration now.
    pub fn snapshot(&self) -> Arc<Snapshot> {
        let snapshot = self.snapshot.read().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(&snapshot)
    }

    /// What secrets are sealed with.
    pub fn sealing_key(&self) -> &SealingKey {
        &self.sealing_key
    }

    /// How far endpoints may reach.
    pub fn reach(&self) -> Reach {
        self.reach
    }

    /// Carries out a change of a project's configuration. `decide` may be asked again, on a newer
    /// snapshot; it does nothing but decide.
    pub async fn change<T: Send>(
        &self,
        project: ProjectId,
        decide: impl Fn(Deciding<'_>) -> Result<Change<T>, Problem> + Send + Sync,
    ) -> Result<T, Problem> {
        let _one_at_a_time = self.changes.lock().await;
        for _ in 0..TRIES {
            let numbers = [self.store.mint().await?, self.store.mint().await?];
            let snapshot = self.snapshot();
            let change = decide(Deciding {
                snapshot: &snapshot,
                numbers,
                making: Making {
                    project,
                    now: self.store.now(),
                    reach: self.reach,
                    sealing_key: &self.sealing_key,
                    random: &mut fill,
                },
            })?;
            if let Stored::Done(stored) = self.save(&snapshot, change.documents).await? {
                self.swap(snapshot.with(stored, &self.sealing_key))?;
                return Ok(change.answer);
            }
            self.swap(self.loaded().await)?;
        }
        Err(Problem::unavailable(
            "others change the configuration at this moment; nothing was changed, \
             repeating is safe",
        ))
    }

    async fn save(&self, snapshot: &Snapshot, documents: Vec<Document>) -> Result<Stored, Problem> {
        let mut stored = Vec::with_capacity(documents.len());
        for document in documents {
            let revision = snapshot.revision(document.place());
            let expected = revision.map_or(Expected::Nothing, Expected::Revision);
            match self.store.save(document.record(), expected).await? {
                Saved::Done { revision } => stored.push((document, revision)),
                Saved::NameTaken => return Err(name_taken(&document)),
                Saved::Stale => return Ok(Stored::Stale),
            }
        }
        Ok(Stored::Done(stored))
    }

    async fn loaded(&self) -> Result<Snapshot, SnapshotError> {
        match load(&self.store, &self.sealing_key).await {
            Ok(snapshot) => Ok(snapshot),
            Err(OpenError::Snapshot(error)) => Err(error),
            // What is known stays in use; the next try will meet the store's error itself.
            Err(OpenError::Store(_)) => Ok(Snapshot::clone(&self.snapshot())),
        }
    }

    fn swap(&self, next: Result<Snapshot, SnapshotError>) -> Result<(), Problem> {
        let next = next.map_err(|error| {
            tracing::error!(%error, "the configuration cannot be used");
            Problem::internal()
        })?;
        let mut snapshot = self
            .snapshot
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        *snapshot = Arc::new(next);
        Ok(())
    }

    /// Lets what waits for an endpoint learn at once how the endpoint stands now.
    pub async fn hasten(&self, endpoint: EndpointId) -> Result<(), Problem> {
        Ok(self.store.hasten(Lane::of_endpoint(endpoint)).await?)
    }
}

async fn load(store: &Arc<dyn Store>, sealing_key: &SealingKey) -> Result<Snapshot, OpenError> {
    let records = store.load().await?;
    let mut documents = Vec::with_capacity(records.len());
    for record in records {
        let document = Document::read(&record).map_err(SnapshotError::from)?;
        documents.push((document, record.revision));
    }
    Ok(Snapshot::default().with(documents, sealing_key)?)
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
