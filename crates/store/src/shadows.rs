//! What rules in shadow mode have come to.
//!
//! It is written by `admit`, in the commit that decides on an arrival, as sums for each rule and a
//! few samples that replace one another; nothing is read for it, and where no rule is in shadow
//! mode nothing is written.

use hooklatch_core::shadow::{ShadowId, ShadowReport};
use hooklatch_core::time::Timestamp;

use crate::Answer;

/// What rules in shadow mode have come to.
pub trait Shadows: Send + Sync {
    /// What one has come to; all zero where it has judged nothing.
    fn shadow_report(&self, shadow: ShadowId) -> Answer<'_, ShadowReport>;

    /// Forgets those that judged last before `before`: they were changed or taken away. Answers
    /// how many.
    fn forget_shadows(&self, before: Timestamp) -> Answer<'_, usize>;
}
