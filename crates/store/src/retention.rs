//! Pruning: payloads and history that have been kept for as long as they should.

use hooklatch_core::ids::ProjectId;
use hooklatch_core::retention::{PruneStep, Pruned};

use crate::Answer;

/// The size of one body that is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PayloadSize {
    /// The number of its message or request.
    pub number: i64,
    /// Whose it is.
    pub project: ProjectId,
    /// Its bytes, as it came.
    pub bytes: u64,
}

/// The sizes of some bodies, youngest first.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PayloadSizes {
    /// The sizes.
    pub sizes: Vec<PayloadSize>,
    /// Where to go on; none where nothing older is left.
    pub next: Option<i64>,
}

/// Pruning, in steps that are small enough to go beside traffic. No step touches a claim (INV-9),
/// nor anything of a message or request that is unfinished.
///
/// What is pruned is gone for good; a step that is repeated finds nothing left to do.
pub trait Retention: Send + Sync {
    /// Prunes what a step names. What the step's cuts take and [`Standing`] calls unfinished stays,
    /// and so does what it needs of others.
    ///
    /// [`Standing`]: hooklatch_core::retention::Standing
    fn prune(&self, step: PruneStep) -> Answer<'_, Pruned>;

    /// Prunes at most so many payloads whose sender let them be kept no longer. Answers how many
    /// were looked at: fewer than `rows_max` means that none is left for now.
    fn prune_ended(&self, rows_max: usize) -> Answer<'_, usize>;

    /// The sizes of bodies with numbers below `below`, from at most so many rows.
    fn payload_sizes(&self, below: i64, rows_max: usize) -> Answer<'_, PayloadSizes>;
}
