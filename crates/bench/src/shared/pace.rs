//! How quick this machine is beside the one on which the peer was measured.
//!
//! A rate of one machine says little of another. On the peer's machine it was measured in the same hour
//! what its PostgreSQL takes without any gateway, and the same is measured here, before all rows and after
//! them: what the database alone does less of, or more of, is nobody's merit.

use serde::Serialize;

/// How many rows a database takes: a UUID as key and a number, `ON CONFLICT DO NOTHING`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub(crate) struct Pace {
    /// In statements and commits of their own, a second.
    pub single_rows_per_second: f64,
    /// In statements of 100, each with its commit, a second.
    pub batched_rows_per_second: f64,
}

/// On the peer's machine.
pub(super) const THEIRS: Pace = Pace {
    single_rows_per_second: 20_800.0,
    batched_rows_per_second: 119_000.0,
};

impl Pace {
    /// The larger of each figure.
    pub(super) fn or_quicker(self, other: Self) -> Self {
        Self {
            single_rows_per_second: self
                .single_rows_per_second
                .max(other.single_rows_per_second),
            batched_rows_per_second: self
                .batched_rows_per_second
                .max(other.batched_rows_per_second),
        }
    }

    /// Which share of the peer's machine this one has: the larger of the two, so that no target gets
    /// lower than both say, and never more than all of it.
    pub(super) fn share(&self) -> f64 {
        let single = self.single_rows_per_second / THEIRS.single_rows_per_second;
        let batched = self.batched_rows_per_second / THEIRS.batched_rows_per_second;
        single.max(batched).min(1.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_are_never_raised_nor_lowered_by_more_than_both_figures_say() {
        assert_eq!(THEIRS.share(), 1.0);
        let quick = Pace {
            single_rows_per_second: 50_000.0,
            ..THEIRS
        };
        assert_eq!(quick.share(), 1.0);
        let slow = Pace {
            single_rows_per_second: 10_400.0,
            batched_rows_per_second: 89_250.0,
        };
        assert_eq!(slow.share(), 0.75);
        assert_eq!(slow.or_quicker(quick).share(), 1.0);
    }
}
