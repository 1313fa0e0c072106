//! How many calls somebody may make: a token bucket each.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

/// How many calls are allowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// Calls a second, in the long run. At least 1.
    pub per_second: u32,
    /// Calls at once. At least 1.
    pub burst: u32,
}

/// What somebody has left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Allowance {
    /// What is allowed.
    pub rate: Rate,
    /// Calls that may follow at once.
    pub left: u32,
    /// Seconds until the next call may be made; 0 where one may be now.
    pub wait_seconds: u64,
    /// Seconds until as many may be made as ever.
    pub full_in_seconds: u64,
}

impl Rate {
    /// Seconds in which a whole burst is earned.
    pub fn window_seconds(self) -> u64 {
        u64::from(self.burst.div_ceil(self.per_second.max(1)))
    }
}

/// Who is remembered at once; whoever has all of it left is forgotten first.
const REMEMBERED_MAX: usize = 10_000;

/// The buckets of everybody.
pub struct Limiter {
    rate: Rate,
    buckets: Mutex<HashMap<i64, Bucket>>,
}

#[derive(Debug, Clone, Copy)]
struct Bucket {
    tokens: f64,
    filled_at: Instant,
}

impl Limiter {
    /// Everybody may make so many calls.
    pub fn new(rate: Rate) -> Self {
        Self {
            rate,
            buckets: Mutex::default(),
        }
    }

    /// Takes one call of somebody's.
    ///
    /// # Errors
    /// Where none is left: what they have.
    pub fn take(&self, who: i64) -> Result<Allowance, Allowance> {
        self.take_at(who, Instant::now())
    }

    fn take_at(&self, who: i64, now: Instant) -> Result<Allowance, Allowance> {
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        if buckets.len() >= REMEMBERED_MAX && !buckets.contains_key(&who) {
            buckets.retain(|_, bucket| !self.is_full(*bucket, now));
        }
        if buckets.len() >= REMEMBERED_MAX {
            // Everybody is busy: the limit is of use to nobody who is not remembered.
            buckets.clear();
        }
        let full = Bucket {
            tokens: f64::from(self.rate.burst),
            filled_at: now,
        };
        let bucket = buckets.entry(who).or_insert(full);
        bucket.tokens = self.tokens(*bucket, now);
        bucket.filled_at = now;
        if bucket.tokens < 1.0 {
            return Err(self.allowance(bucket.tokens));
        }
        bucket.tokens -= 1.0;
        Ok(self.allowance(bucket.tokens))
    }

    fn tokens(&self, bucket: Bucket, now: Instant) -> f64 {
        let since = now.saturating_duration_since(bucket.filled_at);
        let earned = since.as_secs_f64() * f64::from(self.rate.per_second);
        (bucket.tokens + earned).min(f64::from(self.rate.burst))
    }

    fn is_full(&self, bucket: Bucket, now: Instant) -> bool {
        self.tokens(bucket, now) >= f64::from(self.rate.burst)
    }

    fn allowance(&self, tokens: f64) -> Allowance {
        let per_second = f64::from(self.rate.per_second.max(1));
        let seconds = |missing: f64| (missing.max(0.0) / per_second).ceil() as u64;
        Allowance {
            rate: self.rate,
            left: tokens.floor().max(0.0) as u32,
            wait_seconds: seconds(1.0 - tokens),
            full_in_seconds: seconds(f64::from(self.rate.burst) - tokens),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const RATE: Rate = Rate {
        per_second: 10,
        burst: 20,
    };

    #[test]
    fn a_burst_is_allowed_and_then_the_rate() {
        let limiter = Limiter::new(RATE);
        let start = Instant::now();
        let at_once = |at| (0..100).filter(|_| limiter.take_at(1, at).is_ok()).count();
        assert_eq!(at_once(start), 20);
        assert_eq!(at_once(start + Duration::from_secs(1)), 10);
        assert_eq!(at_once(start + Duration::from_secs(60)), 20);
        assert!(limiter.take_at(2, start).is_ok(), "another has their own");
    }

    #[test]
    fn whoever_asks_learns_what_is_left_and_how_long_to_wait() {
        let limiter = Limiter::new(RATE);
        let start = Instant::now();
        let first = limiter.take_at(1, start).unwrap();
        assert_eq!((first.left, first.wait_seconds), (19, 0));
        assert_eq!(RATE.window_seconds(), 2);
        for _ in 0..19 {
            limiter.take_at(1, start).unwrap();
        }
        let refused = limiter.take_at(1, start).unwrap_err();
        assert_eq!((refused.left, refused.wait_seconds), (0, 1));
        assert_eq!(refused.full_in_seconds, 2);
    }

    #[test]
    fn no_more_are_remembered_than_the_bound() {
        let limiter = Limiter::new(RATE);
        let start = Instant::now();
        for who in 0..3 * REMEMBERED_MAX as i64 {
            limiter.take_at(who, start).unwrap();
        }
        let remembered = limiter.buckets.lock().unwrap().len();
        assert!(remembered <= REMEMBERED_MAX, "{remembered}");
    }
}
