//! How fast pruning goes: beside traffic, never in its way.
//!
//! A step shares its commit with arrivals, so that the time it takes says how busy the store is. A
//! step that is slow becomes smaller, and each is followed by a pause in proportion to it.

use crate::time::Millis;

const ROWS_MIN: usize = 20;
const ROWS_MAX: usize = 400;
/// A step that takes longer is too large.
const STEP_SLOW: Millis = Millis::new(20);
/// A step that is faster can be larger.
const STEP_FAST: Millis = Millis::new(8);
/// Of the store's time, one part in so many.
const SHARE: i64 = 8;
const PAUSE_MIN: Millis = Millis::new(5);
/// After a store that had no room for a step, or is away.
const PAUSE_REFUSED: Millis = Millis::from_seconds(5);

/// How large the next step is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pace {
    rows: usize,
}

impl Default for Pace {
    fn default() -> Self {
        Self { rows: 100 }
    }
}

impl Pace {
    /// How many rows the next step may look at.
    pub fn rows(self) -> usize {
        self.rows
    }

    /// Notes how long a step took; answers how long to pause.
    pub fn stepped(&mut self, took: Millis) -> Millis {
        if took > STEP_SLOW {
            self.rows = (self.rows / 2).max(ROWS_MIN);
        } else if took < STEP_FAST {
            self.rows = (self.rows * 2).min(ROWS_MAX);
        }
        Millis::new(took.get().saturating_mul(SHARE)).max(PAUSE_MIN)
    }

    /// Notes that the store took no step; answers how long to pause.
    pub fn refused(&mut self) -> Millis {
        self.rows = ROWS_MIN;
        PAUSE_REFUSED
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_busy_store_is_asked_for_less_and_less_often() {
        let mut pace = Pace::default();
        let before = pace.rows();
        let quick = pace.stepped(Millis::new(1));
        assert!(pace.rows() > before);
        let slow = pace.stepped(Millis::new(500));
        assert!(slow.get() == 4_000 && quick < slow);
        for _ in 0..10 {
            pace.stepped(Millis::new(500));
        }
        assert_eq!(pace.rows(), ROWS_MIN);
        assert_eq!(pace.refused(), PAUSE_REFUSED);
    }
}
