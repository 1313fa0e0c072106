//! The slow start: what had to wait goes out at a rate that doubles, so that an endpoint that has
//! just come back is not brought down again by what waited for it.

use super::Rate;
use crate::time::{Millis, Timestamp};

/// How long it takes; after that it limits nothing.
pub const SLOW_START: Millis = Millis::new(DOUBLES_EVERY_MS * DOUBLINGS);

/// Attempts per second at its beginning.
const FIRST_PER_SECOND: u32 = 10;
const DOUBLES_EVERY_MS: i64 = 3_000;
const DOUBLINGS: i64 = 10;
/// Of a second's attempts, so many go at once.
const BURSTS_PER_SECOND: u32 = 10;

/// Whether the start that began at `begun` goes on.
pub(super) fn is_on(begun: Timestamp, now: Timestamp) -> bool {
    now.since(begun) < SLOW_START
}

/// The rate of the start that began at `begun`; none once it is over.
pub(super) fn rate(begun: Timestamp, now: Timestamp) -> Option<Rate> {
    if !is_on(begun, now) {
        return None;
    }
    let doublings = now.since(begun).get() / DOUBLES_EVERY_MS;
    let per_second = FIRST_PER_SECOND << doublings;
    Some(Rate {
        per_second,
        burst: (per_second / BURSTS_PER_SECOND).max(1),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_begins_with_ten_a_second_doubles_and_ends() {
        let begun = Timestamp::from_millis(5);
        let at = |seconds| rate(begun, begun + Millis::from_seconds(seconds));
        let per_second = |seconds| at(seconds).map(|rate| rate.per_second);
        assert_eq!(per_second(0), Some(10));
        assert_eq!(per_second(3), Some(20));
        assert_eq!(per_second(29), Some(5_120));
        assert_eq!(per_second(30), None);
        assert_eq!(at(0).map(|rate| rate.burst), Some(1));
    }
}
