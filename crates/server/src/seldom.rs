//! Says the same thing once a second at most, and how often it went unsaid: while a store is away
//! every request fails for the same reason, and the log is no place for a flood.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Between two lines that say the same.
const PAUSE: Duration = Duration::from_secs(1);

/// When something was last said, and how often it could have been said since.
#[derive(Debug)]
pub(crate) struct Seldom(Mutex<Said>);

#[derive(Debug)]
struct Said {
    last: Option<Instant>,
    unsaid: u64,
}

impl Seldom {
    /// Something that was never said.
    pub(crate) const fn new() -> Self {
        Self(Mutex::new(Said {
            last: None,
            unsaid: 0,
        }))
    }

    /// Whether it is said now; then how often it was not since the last time.
    pub(crate) fn says(&self) -> Option<u64> {
        self.says_at(Instant::now())
    }

    fn says_at(&self, now: Instant) -> Option<u64> {
        let mut said = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if said
            .last
            .is_some_and(|last| now.saturating_duration_since(last) < PAUSE)
        {
            said.unsaid += 1;
            return None;
        }
        said.last = Some(now);
        Some(std::mem::take(&mut said.unsaid))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_is_one_line_a_second_that_counts_the_others() {
        let (seldom, start) = (Seldom::new(), Instant::now());
        assert_eq!(seldom.says_at(start), Some(0));
        for _ in 0..500 {
            assert_eq!(seldom.says_at(start + PAUSE / 2), None);
        }
        assert_eq!(seldom.says_at(start + PAUSE), Some(500));
        assert_eq!(seldom.says_at(start + PAUSE), None);
        assert_eq!(seldom.says_at(start + 3 * PAUSE), Some(1));
    }
}
