//! How long to wait before a call is repeated. The caller brings the random number, so that the
//! rule can be tested.

use std::time::Duration;

/// When a call that is safe to repeat is given up, and how its waits grow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Backoff {
    /// Tries in all, the first one included.
    pub tries: u32,
    /// The longest wait before the second try; it doubles with every further one.
    pub base: Duration,
    /// No wait is longer than this, whatever the server asks for.
    pub max: Duration,
}

impl Default for Backoff {
    fn default() -> Self {
        Self {
            tries: 8,
            base: Duration::from_millis(100),
            max: Duration::from_secs(5),
        }
    }
}

impl Backoff {
    /// Calls are made once.
    pub const NONE: Self = Self {
        tries: 1,
        base: Duration::ZERO,
        max: Duration::ZERO,
    };

    /// The wait after try number `tried` (from 1), or none if that was the last one. `jitter` from
    /// 0 to 1 spreads callers that failed together; what the server asks for is a minimum.
    pub(crate) fn wait(
        &self,
        tried: u32,
        asked: Option<Duration>,
        jitter: f64,
    ) -> Option<Duration> {
        if tried >= self.tries {
            return None;
        }
        let doublings = tried.saturating_sub(1).min(16);
        let longest = self.base.saturating_mul(1 << doublings).min(self.max);
        let drawn = longest.mul_f64(0.5 + jitter.clamp(0.0, 1.0) / 2.0);
        Some(drawn.max(asked.unwrap_or(Duration::ZERO)).min(self.max))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn waits_double_up_to_the_longest_and_end() {
        let backoff = Backoff {
            tries: 5,
            base: SECOND,
            max: SECOND * 3,
        };
        let waits: Vec<_> = (1..=5)
            .map(|tried| backoff.wait(tried, None, 1.0))
            .collect();
        let expected = [Some(1), Some(2), Some(3), Some(3), None];
        assert_eq!(waits, expected.map(|wait| wait.map(|wait| SECOND * wait)));
    }

    #[test]
    fn jitter_shortens_by_up_to_half() {
        let backoff = Backoff {
            tries: 2,
            base: SECOND,
            max: SECOND,
        };
        assert_eq!(backoff.wait(1, None, 0.0), Some(SECOND / 2));
    }

    #[test]
    fn what_the_server_asks_for_is_a_minimum_below_the_longest() {
        let backoff = Backoff {
            tries: 3,
            base: SECOND,
            max: SECOND * 4,
        };
        assert_eq!(backoff.wait(1, Some(SECOND * 3), 1.0), Some(SECOND * 3));
        assert_eq!(backoff.wait(1, Some(SECOND * 300), 1.0), Some(SECOND * 4));
    }

    #[test]
    fn without_repetition_the_first_try_is_the_last() {
        assert_eq!(Backoff::NONE.wait(1, None, 0.5), None);
    }
}
