//! Stores a change and shows it to requests, as one step that nobody can break off.
//!
//! A change may be several documents, and the store takes them one by one. What it has taken is in
//! force at once, whether or not the rest follows and whether or not the caller still waits for the
//! answer: what requests see must not fall behind what is stored.
//!
//! What is shown only ever grows newer, document by document: own changes and those of other nodes
//! are put on top of whatever is shown at that moment, and an older revision is never shown again.

use std::sync::{Arc, PoisonError, RwLock};

use hooklatch_core::seal::SealingKey;
use hooklatch_store::{Expected, Saved, Store, StoreError};
use http::StatusCode;
use tokio::sync::OwnedMutexGuard;

use super::{Document, Snapshot, SnapshotError, audit, name_taken};
use crate::api::{acting, actor};
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

/// What a look at the store brought.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refreshed {
    /// All of it was shown already.
    Nothing,
    /// Something that another node has changed.
    Something,
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
        let kept = acting(actor(), async move {
            let stored = keeper.keep(&before, documents).await;
            (turn, stored)
        });
        let task = tokio::spawn(kept);
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
        let errors = self.show(&stored);
        if let Some(error) = errors.first() {
            return Err(unusable(error));
        }
        let Some(obstacle) = obstacle else {
            return Ok(Stored::Done);
        };
        let expected = before.with(&stored, &self.sealing_key);
        let expected = expected.map_err(|error| unusable(&error))?;
        Ok(self.catch_up(&expected, obstacle).await)
    }

    async fn save(&self, before: &Snapshot, document: &Document) -> Result<i64, Problem> {
        let revision = before.revision(document.place());
        let expected = revision.map_or(Expected::Nothing, Expected::Revision);
        let line = audit::line(before, document, self.store.now(), &self.sealing_key);
        let saved = self.store.save_audited(document.record(), expected, line);
        match saved.await? {
            Saved::Done { revision } => Ok(revision),
            Saved::NameTaken => Err(name_taken(document)),
            Saved::Stale => Err(Problem::unavailable(
                "others change the configuration at this moment; repeating is safe",
            )),
        }
    }

    /// Shows what is stored in truth, where a change met something that it did not know of.
    async fn catch_up(&self, expected: &Snapshot, obstacle: Problem) -> Stored {
        if let Err(error) = self.refresh().await {
            // What is known stays in use.
            tracing::warn!(%error, "the configuration could not be loaded anew");
            return Stored::Refused(obstacle);
        }
        // A name that is taken by what was known already stays taken.
        if obstacle.status() == StatusCode::CONFLICT && self.snapshot().agrees_with(expected) {
            return Stored::Refused(obstacle);
        }
        Stored::Outdated(obstacle)
    }

    /// Shows what is stored and not yet shown. What this version cannot use is told of and left
    /// out: a newer one, running beside it, may have written it.
    pub(super) async fn refresh(&self) -> Result<Refreshed, StoreError> {
        let records = self.store.load().await?;
        let known = self.snapshot();
        let mut news = Vec::new();
        for record in records {
            if !known.lacks((record.kind, record.number), record.revision) {
                continue;
            }
            match Document::read(&record) {
                Ok(document) => news.push((document, record.revision)),
                Err(error) => left_out(&error.into()),
            }
        }
        if news.is_empty() {
            return Ok(Refreshed::Nothing);
        }
        let errors = self.show(&news);
        errors.iter().for_each(left_out);
        Ok(Refreshed::Something)
    }

    /// Puts documents on top of what is shown. Readers never wait for it: the next snapshot is
    /// made beside the one they read, and made once more if that was replaced in the meantime.
    fn show(&self, news: &[(Document, i64)]) -> Vec<SnapshotError> {
        loop {
            let before = self.snapshot();
            let (next, errors) = before.with_usable(news, &self.sealing_key);
            let mut shown = self
                .snapshot
                .write()
                .unwrap_or_else(PoisonError::into_inner);
            if Arc::ptr_eq(&shown, &before) {
                *shown = Arc::new(next);
                return errors;
            }
        }
    }
}

fn left_out(error: &SnapshotError) {
    tracing::error!(%error, "a change of the configuration by another node cannot be used");
}

fn unusable(error: &SnapshotError) -> Problem {
    tracing::error!(%error, "the configuration cannot be used");
    Problem::internal()
}
