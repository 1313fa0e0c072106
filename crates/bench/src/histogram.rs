//! Counts of durations in buckets that are at most 0.8 % wide, so that a percentile costs no list of
//! every answer.

use std::time::Duration;

/// Each doubling is split into this many buckets.
const BUCKETS_PER_DOUBLING: u64 = 128;
/// Longer than any run: 2^43 nanoseconds are over two hours.
const NANOSECONDS_MAX: u64 = (1 << 43) - 1;
const BUCKETS: usize = 37 * BUCKETS_PER_DOUBLING as usize;

/// Durations, counted.
pub(crate) struct Histogram {
    buckets: Vec<u64>,
    count: u64,
    longest: u64,
}

impl Histogram {
    /// Without any duration yet.
    pub(crate) fn new() -> Self {
        Self {
            buckets: vec![0; BUCKETS],
            count: 0,
            longest: 0,
        }
    }

    /// Counts one.
    pub(crate) fn add(&mut self, duration: Duration) {
        let nanoseconds = u64::try_from(duration.as_nanos())
            .unwrap_or(NANOSECONDS_MAX)
            .min(NANOSECONDS_MAX);
        self.buckets[bucket_of(nanoseconds)] += 1;
        self.count += 1;
        self.longest = self.longest.max(nanoseconds);
    }

    /// Counts all that the other has counted.
    pub(crate) fn merge(&mut self, other: &Self) {
        for (mine, theirs) in self.buckets.iter_mut().zip(&other.buckets) {
            *mine += theirs;
        }
        self.count += other.count;
        self.longest = self.longest.max(other.longest);
    }

    /// How many were counted.
    pub(crate) fn count(&self) -> u64 {
        self.count
    }

    /// The duration that `share` of all do not exceed; nothing was counted: zero.
    pub(crate) fn percentile(&self, share: f64) -> Duration {
        assert!(
            (0.0..=1.0).contains(&share),
            "a share lies between 0 and 1: {share}"
        );
        let wanted = ((self.count as f64 * share).ceil() as u64).max(1);
        let mut seen = 0;
        for (bucket, count) in self.buckets.iter().enumerate() {
            seen += count;
            if seen >= wanted {
                return Duration::from_nanos(upper_edge(bucket as u64).min(self.longest));
            }
        }
        Duration::ZERO
    }

    /// The longest of all.
    pub(crate) fn longest(&self) -> Duration {
        Duration::from_nanos(self.longest)
    }
}

/// Values below two doublings have a bucket each; above, the leading bits choose it.
fn bucket_of(nanoseconds: u64) -> usize {
    let doublings = nanoseconds.max(BUCKETS_PER_DOUBLING).ilog2() - BUCKETS_PER_DOUBLING.ilog2();
    let bucket = u64::from(doublings) * BUCKETS_PER_DOUBLING + (nanoseconds >> doublings);
    bucket as usize
}

fn upper_edge(bucket: u64) -> u64 {
    let doublings = (bucket / BUCKETS_PER_DOUBLING).saturating_sub(1);
    let leading = bucket - doublings * BUCKETS_PER_DOUBLING;
    ((leading + 1) << doublings) - 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_percentile_is_within_a_hundredth_of_the_exact_one() {
        let mut histogram = Histogram::new();
        for microseconds in 1..=10_000 {
            histogram.add(Duration::from_micros(microseconds));
        }
        for (share, exact) in [(0.5, 5_000.0), (0.99, 9_900.0), (1.0, 10_000.0)] {
            let found = histogram.percentile(share).as_secs_f64() * 1e6;
            assert!(
                (found / exact - 1.0).abs() < 0.01,
                "{share}: {found} for {exact}"
            );
        }
        assert_eq!(histogram.longest(), Duration::from_millis(10));
        assert_eq!(histogram.count(), 10_000);
    }

    #[test]
    fn every_duration_falls_into_a_bucket_that_reaches_up_to_it() {
        for power in 0..43 {
            for nanoseconds in [1_u64 << power, (1 << power) + 1, (1 << (power + 1)) - 1] {
                let bucket = bucket_of(nanoseconds);
                assert!(bucket < BUCKETS, "{nanoseconds}");
                assert!(upper_edge(bucket as u64) >= nanoseconds, "{nanoseconds}");
                assert!(
                    bucket == 0 || upper_edge(bucket as u64 - 1) < nanoseconds,
                    "{nanoseconds}"
                );
            }
        }
    }

    #[test]
    fn merged_histograms_are_one() {
        let (mut left, mut right) = (Histogram::new(), Histogram::new());
        left.add(Duration::from_millis(1));
        right.add(Duration::from_secs(20_000));
        left.merge(&right);
        assert_eq!(left.count(), 2);
        assert_eq!(left.longest(), Duration::from_nanos(NANOSECONDS_MAX));
    }

    #[test]
    fn nothing_counted_has_percentiles_of_zero() {
        assert_eq!(Histogram::new().percentile(0.99), Duration::ZERO);
    }
}
