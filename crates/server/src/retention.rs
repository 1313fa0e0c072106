//! Prunes what has been kept for as long as it should, beside traffic and never in its way.
//!
//! Every node runs this; the store sees to it that only one prunes at a time. A round goes through
//! what has become old since the last one, and once a day through everything, because what was
//! unfinished then may have ended since.

use std::sync::Arc;
use std::time::{Duration, Instant};

use hooklatch_core::ids::ProjectId;
use hooklatch_core::retention::{
    Cut, Pace, PruneStep, RetentionSettings, SizeCap, What, before_batch, cuts,
};
use hooklatch_core::time::Millis;
use hooklatch_store::{Store, StoreError};
use tokio_util::sync::CancellationToken;

use crate::directory::Directory;

/// After so long everything is gone through again.
const WHOLE_EVERY: Duration = Duration::from_secs(86_400);
/// Sizes that are read in one step.
const SIZES_PER_STEP: usize = 2_000;
/// Bodies are measured for one part in so many of the time.
const MEASURING_SHARE: u32 = 20;
/// What a rule in shadow mode has come to goes when it has judged nothing for so long.
const SHADOWS_KEPT: Millis = Millis::from_seconds(90 * 86_400);

/// How pruning goes.
#[derive(Debug, Clone, Copy)]
pub struct Settings {
    /// What holds for projects that say nothing.
    pub gateway: RetentionSettings,
    /// Between two rounds.
    pub interval: Duration,
}

/// Prunes until it is stopped.
pub async fn keep(
    store: Arc<dyn Store>,
    directory: Arc<Directory>,
    settings: Settings,
    stop: CancellationToken,
) {
    let mut pruner = Pruner {
        store,
        directory,
        settings,
        pace: Pace::default(),
        walks: [Walk::default(), Walk::default(), Walk::default()],
        measured: None,
        forgot: None,
    };
    loop {
        let round = async {
            tokio::time::sleep(settings.interval).await;
            pruner.round().await;
        };
        tokio::select! {
            () = round => {}
            () = stop.cancelled() => return,
        }
    }
}

/// What a walk goes by.
#[derive(Debug, Clone, Copy)]
enum By {
    PayloadAge,
    PayloadSize,
    HistoryAge,
}

/// What a walk remembers of the one before.
#[derive(Debug, Default)]
struct Walk {
    settings: Vec<(ProjectId, RetentionSettings)>,
    /// What is below this was gone through.
    from: i64,
    whole_at: Option<Instant>,
}

struct Pruner {
    store: Arc<dyn Store>,
    directory: Arc<Directory>,
    settings: Settings,
    pace: Pace,
    walks: [Walk; 3],
    /// When bodies were last measured, and how long that took.
    measured: Option<(Instant, Duration)>,
    /// When rules in shadow mode were last forgotten that judge nothing any more.
    forgot: Option<Instant>,
}

/// What a round did.
#[derive(Debug, Default)]
struct Done {
    payloads: u64,
    records: u64,
}

impl Pruner {
    async fn round(&mut self) {
        let projects = self.projects();
        let mut done = Done::default();
        if let Err(error) = self.prune_all(&projects, &mut done).await {
            tracing::warn!(%error, "pruning was broken off; trying again");
        }
        if done.payloads + done.records > 0 {
            let (payloads, records) = (done.payloads, done.records);
            tracing::info!(
                payloads,
                records,
                "what was kept for long enough was pruned"
            );
        }
    }

    fn projects(&self) -> Vec<(ProjectId, RetentionSettings)> {
        let snapshot = self.directory.snapshot();
        let projects = snapshot.projects();
        projects
            .map(|project| (project.id, project.retention.or(self.settings.gateway)))
            .collect()
    }

    async fn prune_all(
        &mut self,
        projects: &[(ProjectId, RetentionSettings)],
        done: &mut Done,
    ) -> Result<(), StoreError> {
        self.ended().await?;
        let now = self.store.now();
        let settings = || projects.iter().copied();
        let old = cuts(What::Payloads, settings(), now);
        self.walk(By::PayloadAge, projects, old, done).await?;
        let too_much = self.too_much(projects).await?;
        self.walk(By::PayloadSize, projects, too_much, done).await?;
        let old = cuts(What::History, settings(), now);
        self.walk(By::HistoryAge, projects, old, done).await?;
        self.forget_shadows().await
    }

    /// Once a day: they are few and small.
    async fn forget_shadows(&mut self) -> Result<(), StoreError> {
        if self.forgot.is_some_and(|at| at.elapsed() < WHOLE_EVERY) {
            return Ok(());
        }
        let before = self.store.now() - SHADOWS_KEPT;
        self.store.forget_shadows(before).await?;
        self.forgot = Some(Instant::now());
        Ok(())
    }

    /// Payloads whose senders said so.
    async fn ended(&mut self) -> Result<(), StoreError> {
        loop {
            let (rows, began) = (self.pace.rows(), Instant::now());
            let store = Arc::clone(&self.store);
            let looked_at = store.prune_ended(rows).await;
            let looked_at = self.paced(began, looked_at).await?;
            if looked_at < rows {
                return Ok(());
            }
        }
    }

    /// Where the room of each project ends that may only keep so many bytes.
    async fn too_much(
        &mut self,
        projects: &[(ProjectId, RetentionSettings)],
    ) -> Result<Vec<Cut>, StoreError> {
        let limited = projects.iter();
        let limited = limited.filter_map(|(id, it)| Some((*id, it.payload_bytes_max?)));
        let mut cap = SizeCap::new(limited);
        let rested = self
            .measured
            .is_none_or(|(at, took)| at.elapsed() >= took * MEASURING_SHARE);
        if cap.is_decided() || !rested {
            return Ok(Vec::new());
        }
        let started = Instant::now();
        let mut below = Some(i64::MAX);
        while let (Some(number), false) = (below, cap.is_decided()) {
            let began = Instant::now();
            let store = Arc::clone(&self.store);
            let sizes = store.payload_sizes(number, SIZES_PER_STEP).await;
            let sizes = self.paced(began, sizes).await?;
            for size in sizes.sizes {
                cap.see(size.project, size.number, size.bytes);
            }
            below = sizes.next;
        }
        self.measured = Some((Instant::now(), started.elapsed()));
        Ok(cap.cuts())
    }

    /// Goes from the youngest that may go down to where the walk before began.
    async fn walk(
        &mut self,
        by: By,
        projects: &[(ProjectId, RetentionSettings)],
        cuts: Vec<Cut>,
        done: &mut Done,
    ) -> Result<(), StoreError> {
        let Some(top) = cuts.iter().map(|cut| cut.before).max() else {
            return Ok(());
        };
        let bottom = cuts.iter().map(|cut| cut.before).min().unwrap_or(top);
        let walk = &mut self.walks[by as usize];
        let whole =
            walk.settings != projects || walk.whole_at.is_none_or(|at| at.elapsed() >= WHOLE_EVERY);
        if whole {
            walk.from = 0;
        }
        let from = walk.from;
        let cuts: Arc<[Cut]> = cuts.into();
        let mut below = Some(top);
        while let Some(number) = below {
            let step = PruneStep {
                what: by.what(),
                from,
                below: number,
                cuts: Arc::clone(&cuts),
                rows_max: self.pace.rows(),
            };
            let began = Instant::now();
            let store = Arc::clone(&self.store);
            let pruned = store.prune(step).await;
            let pruned = self.paced(began, pruned).await?;
            done.payloads += pruned.payloads;
            done.records += pruned.records;
            below = pruned.next;
        }
        let walk = &mut self.walks[by as usize];
        // What holds the envelope of a batch goes a little later than the rest of it.
        walk.from = before_batch(before_batch(bottom));
        if whole {
            walk.settings = projects.to_vec();
            walk.whole_at = Some(Instant::now());
        }
        Ok(())
    }

    /// Pauses in proportion to what a step took.
    async fn paced<T>(
        &mut self,
        began: Instant,
        done: Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let took = i64::try_from(began.elapsed().as_millis()).unwrap_or(i64::MAX);
        let pause = match &done {
            Ok(_) => self.pace.stepped(Millis::new(took)),
            Err(_) => self.pace.refused(),
        };
        let pause = Duration::from_millis(pause.get().unsigned_abs());
        tokio::time::sleep(pause).await;
        done
    }
}

impl By {
    const fn what(self) -> What {
        match self {
            Self::PayloadAge | Self::PayloadSize => What::Payloads,
            Self::HistoryAge => What::History,
        }
    }
}
