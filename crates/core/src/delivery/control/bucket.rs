//! A rate with a burst, as the generic cell rate algorithm (ITU-T I.371, annex A): one number says
//! all, when the bucket would be full again.

use crate::time::{Millis, Timestamp};

/// Microseconds in a second.
const SECOND_US: i64 = 1_000_000;
/// While a bucket is empty, it is left alone until it holds what comes in so many milliseconds:
/// so that a high rate is served in handfuls, and not one by one.
const HANDFUL_MS: u32 = 20;

/// How fast attempts may come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// Attempts per second; at least 1.
    pub per_second: u32,
    /// Attempts at once; at least 1.
    pub burst: u32,
}

/// What is left of a rate: when its bucket is full again, in microseconds since 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Bucket {
    /// Earlier than now, or zero: it is full.
    pub full_at_us: i64,
}

impl Rate {
    /// The stricter of both, in rate and in burst.
    #[must_use]
    pub fn lower_of(self, other: Self) -> Self {
        Self {
            per_second: self.per_second.min(other.per_second),
            burst: self.burst.min(other.burst),
        }
    }

    fn interval_us(self) -> i64 {
        (SECOND_US / i64::from(self.per_second.max(1))).max(1)
    }

    fn depth_us(self) -> i64 {
        self.interval_us() * i64::from(self.burst.max(1))
    }

    /// As many as a wait is worth.
    fn handful(self) -> i64 {
        let handful = self.per_second.saturating_mul(HANDFUL_MS) / 1_000;
        i64::from(handful.clamp(1, self.burst.max(1)))
    }
}

impl Bucket {
    /// How many may be taken now.
    pub fn free(self, rate: Rate, now: Timestamp) -> usize {
        let room = rate.depth_us() - self.debt_us(rate, now);
        usize::try_from(room / rate.interval_us()).unwrap_or(0)
    }

    /// How long until a handful may be taken, rounded up.
    pub fn wait(self, rate: Rate, now: Timestamp) -> Millis {
        let wanted = rate.interval_us() * rate.handful();
        let lacking = self.debt_us(rate, now) + wanted - rate.depth_us();
        Millis::new((lacking.max(0) + 999) / 1_000)
    }

    /// What is left after `many` were taken.
    #[must_use]
    pub fn taken(self, rate: Rate, many: usize, now: Timestamp) -> Self {
        let many = i64::try_from(many).unwrap_or(i64::MAX);
        let debt = self.debt_us(rate, now);
        let more = rate.interval_us().saturating_mul(many);
        Self {
            full_at_us: now_us(now).saturating_add(debt).saturating_add(more),
        }
    }

    // A clock that was set back, or a rate that was raised, must not leave a debt from another
    // time: no bucket is emptier than empty.
    fn debt_us(self, rate: Rate, now: Timestamp) -> i64 {
        let debt = self.full_at_us.saturating_sub(now_us(now));
        debt.clamp(0, rate.depth_us())
    }
}

fn now_us(now: Timestamp) -> i64 {
    now.as_millis().saturating_mul(1_000)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const START: Timestamp = Timestamp::from_millis(1_700_000_000_000);

    fn at(millis: i64) -> Timestamp {
        START + Millis::new(millis)
    }

    #[test]
    fn a_full_bucket_gives_its_burst_and_then_its_rate() {
        let rate = Rate {
            per_second: 4,
            burst: 3,
        };
        let full = Bucket::default();
        assert_eq!(full.free(rate, START), 3);
        let empty = full.taken(rate, 3, START);
        assert_eq!(empty.free(rate, START), 0);
        assert_eq!(empty.wait(rate, START), Millis::new(250));
        assert_eq!(empty.free(rate, at(249)), 0);
        assert_eq!(empty.free(rate, at(250)), 1);
        assert_eq!(empty.free(rate, at(10_000)), 3, "never more than its burst");
    }

    #[test]
    fn a_high_rate_waits_for_a_handful_and_a_small_burst_does_not_wait_for_more_than_it_holds() {
        let fast = |burst| Rate {
            per_second: 1_000,
            burst,
        };
        let empty = Bucket::default().taken(fast(1_000), 1_000, START);
        assert_eq!(empty.wait(fast(1_000), START), Millis::new(20));
        assert_eq!(empty.free(fast(1_000), at(20)), 20);
        let empty = Bucket::default().taken(fast(1), 1, START);
        assert_eq!(empty.wait(fast(1), START), Millis::new(1));
    }

    #[test]
    fn a_clock_that_was_set_back_costs_one_burst_and_no_more() {
        let rate = Rate {
            per_second: 1,
            burst: 2,
        };
        let later = Bucket::default().taken(rate, 2, at(3_600_000));
        assert_eq!(later.free(rate, START), 0);
        assert_eq!(later.wait(rate, START), Millis::from_seconds(1));
        let raised = Rate {
            per_second: 100,
            burst: 100,
        };
        assert!(later.wait(raised, at(3_600_000)) <= Millis::from_seconds(1));
    }

    proptest! {
        #[test]
        fn whatever_the_times_no_span_gives_more_than_burst_and_rate(
            per_second in 1_u32..2_000, burst in 1_u32..100,
            asks in proptest::collection::vec((0_i64..400, 1_usize..50), 1..80),
        ) {
            let rate = Rate { per_second, burst };
            let (mut bucket, mut now, mut given) = (Bucket::default(), START, 0_usize);
            for (pass, wanted) in asks {
                now = now + Millis::new(pass);
                let take = wanted.min(bucket.free(rate, now));
                bucket = bucket.taken(rate, take, now);
                given += take;
            }
            let span = now.since(START).get();
            // Whole microseconds: an interval is rounded down.
            let most = i64::from(burst) + span * 1_000 / (SECOND_US / i64::from(per_second));
            prop_assert!(given as i64 <= most, "{given} in {span} ms");
        }

        #[test]
        fn after_the_wait_something_is_free(
            per_second in 1_u32..20_000, burst in 1_u32..100,
        ) {
            let rate = Rate { per_second, burst };
            let empty = Bucket::default().taken(rate, burst as usize, START);
            let wait = empty.wait(rate, START);
            prop_assert!(wait > Millis::ZERO);
            prop_assert!(empty.free(rate, START + wait) >= 1);
        }
    }
}
