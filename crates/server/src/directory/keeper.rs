//! Stores a change and shows it to requests, as one step that nobody can break off.
//!
//! A change may be several documents, and the store takes them one by one. What it has taken is in
//! force at once, whether or not the rest follows and whether or not the caller still waits for the
//! answer: what requests see must not fall behind what is stored.

use std::sync::{Arc, PoisonError, RwLock};

use hooklatch_core::seal::SealingKey;
use hooklatch_store::{Expected, Saved, Store};
use http::StatusCode;
use tokio::sync::OwnedMutexGuard;

use super::{Document, OpenError, Snapshot, SnapshotError, load, name_taken};
use crate::problem::Problem;

/// What is stored, and what requests see of it.
pub(super) struct Keeper {
    pub(super) store: Arc<dyn Store>,
    pub(super) sealing_key: SealingKey,
    snapshot: RwLock<Arc<Snapshot>>,
    changes: Arc<tokio::sync::Mutex<()>>,
}

/// The right to change the configuration, which one caller has at a time.
pub(super) type Turn = OwnedMutexGuard<()>;

/// What came of a change.
pub(super) enum Stored {
    /// All of it is stored and seen.
    Done,
    /// Not all of it; what stands in its way may be gone when it is decided anew.
    Outdated(Problem),
    /// Not all of it, and deciding anew would come to the same.
    Refused(Problem),
}

impl Keeper {
    pub(super) fn new(
        store: Arc<dyn Store>,
        sealing_key: SealingKey,
        snapshot: Snapshot,
    ) -> Arc<Self> {
        Arc::new(Self {
            store,
            sealing_key,
            snapshot: RwLock::new(Arc::new(snapshot)),
            changes: Arc::default(),
        })
    }

    /// What requests see now.
    pub(super) fn snapshot(&self) -> Arc<Snapshot> {
        let snapshot = self.snapshot.read().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(&snapshot)
    }

    pub(super) async fn turn(&self) -> Turn {
        Arc::clone(&self.changes).lock_owned().await
    }

    /// Stores what was decided on `before`, and shows it. A caller that gives up waiting breaks
    /// nothing off: the turn, too, is kept to the end.
    pub(super) async fn carry_out(
        self: &Arc<Self>,
        turn: Turn,
        before: Arc<Snapshot>,
        documents: Vec<Document>,
    ) -> Result<(Turn, Stored), Problem> {
        let keeper = Arc::clone(self);
        let task = tokio::spawn(async move {
            let stored = keeper.keep(&before, documents).await;
            (turn, stored)
        });
        let (turn, stored) = task.await.map_err(|error| {
            tracing::error!(%error, "a change of the configuration ended early");
            Problem::internal()
        })?;
        Ok((turn, stored?))
    }

    async fn keep(&self, before: &Snapshot, documents: Vec<Document>) -> Result<Stored, Problem> {
        let mut stored = Vec::with_capacity(documents.len());
        let mut obstacle = None;
        for document in documents {
            match self.save(before, &document).await {
                Ok(revision) => stored.push((document, revision)),
                Err(problem) => {
                    obstacle = Some(problem);
                    break;
                }
            }
        }
        let shown = self.show(before.with(stored, &self.sealing_key))?;
        match obstacle {
            None => Ok(Stored::Done),
            Some(obstacle) => self.catch_up(&shown, obstacle).await,
        }
    }

    async fn save(&self, before: &Snapshot, document: &Document) -> Result<i64, Problem> {
        let revision = before.revision(document.place());
        let expected = revision.map_or(Expected::Nothing, Expected::Revision);
        match self.store.save(document.record(), expected).await? {
            Saved::Done { revision } => Ok(revision),
            Saved::NameTaken => Err(name_taken(document)),
            Saved::Stale => Err(Problem::unavailable(
                "others change the configuration at this moment; repeating is safe",
            )),
        }
    }

    /// Shows what is stored in truth, where a change met something that it did not know of.
    async fn catch_up(&self, shown: &Snapshot, obstacle: Problem) -> Result<Stored, Problem> {
        let loaded = match load(&self.store, &self.sealing_key).await {
            Ok(loaded) => loaded,
            Err(OpenError::Snapshot(error)) => return Err(unusable(&error)),
            // What is known stays in use.
            Err(OpenError::Store(error)) => {
                tracing::warn!(%error, "the configuration could not be loaded anew");
                return Ok(Stored::Refused(obstacle));
            }
        };
        // A name that is taken by what was known already stays taken.
        if obstacle.status() == StatusCode::CONFLICT && loaded.agrees_with(shown) {
            return Ok(Stored::Refused(obstacle));
        }
        self.show(Ok(loaded))?;
        Ok(Stored::Outdated(obstacle))
    }

    fn show(&self, next: Result<Snapshot, SnapshotError>) -> Result<Arc<Snapshot>, Problem> {
        let next = Arc::new(next.map_err(|error| unusable(&error))?);
        let mut snapshot = self
            .snapshot
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        *snapshot = Arc::clone(&next);
        Ok(next)
    }
}

fn unusable(error: &SnapshotError) -> Problem {
    tracing::error!(%error, "the configuration cannot be used");
    Problem::internal()
}
