//! A place in the history, as a client keeps it.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use hooklatch_core::ids::{MessageId, first_number_at};
use hooklatch_core::time::{Millis, Timestamp};
use hooklatch_store::Seen;

/// Up to where a client has seen everything. Attempts end in another order than they begin, so
/// after it a client may be shown one again that it has seen; it is never not shown one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    requests: i64,
    attempts: i64,
}

/// Why a text is no place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("should be the id of an event of this stream, for example 185a3c0b1a00000-185a3c0b1a00000")]
pub struct PlaceError;

/// How far back a client may go on; what is older is found in the lists.
const BACK_MAX: Millis = Millis::from_seconds(3_600);

impl Place {
    /// The place that a follower has reached.
    pub fn of(seen: &Seen) -> Self {
        let first_under_way = seen.under_way.first().map(|id| id.number() - 1);
        Self {
            requests: seen.requests,
            attempts: first_under_way.unwrap_or(i64::MAX).min(seen.attempts),
        }
    }

    /// The same as the store knows it, and whether it lies too far back to be reached.
    pub(super) fn seen(self, now: Timestamp) -> (Seen, bool) {
        let floor = first_number_at(now - BACK_MAX);
        let seen = Seen {
            requests: self.requests.max(floor),
            attempts: self.attempts.max(floor),
            under_way: BTreeSet::new(),
            recent: BTreeSet::new(),
        };
        // Nothing may have happened since; then nothing lies between.
        let far = MessageId::from_number(self.requests).minted_at() < now - BACK_MAX;
        (seen, far)
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:x}-{:x}", self.requests, self.attempts)
    }
}

impl FromStr for Place {
    type Err = PlaceError;

    fn from_str(text: &str) -> Result<Self, PlaceError> {
        let (requests, attempts) = text.split_once('-').ok_or(PlaceError)?;
        let number = |text: &str| {
            let plain = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_hexdigit());
            let number = plain.then(|| i64::from_str_radix(text, 16).ok());
            number.flatten().ok_or(PlaceError)
        };
        Ok(Self {
            requests: number(requests)?,
            attempts: number(attempts)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use hooklatch_core::ids::AttemptId;

    use super::*;

    #[test]
    fn a_place_survives_its_text_and_nothing_else_is_one() {
        let place = Place {
            requests: i64::MAX,
            attempts: 0,
        };
        assert_eq!(place.to_string().parse(), Ok(place));
        for text in [
            "",
            "-",
            "1",
            "1-",
            "-1-2",
            "1-2-3",
            "g-1",
            "ffffffffffffffff-1",
            "+1-2",
        ] {
            assert_eq!(text.parse::<Place>(), Err(PlaceError), "{text}");
        }
    }

    #[test]
    fn a_place_lies_before_every_attempt_that_has_not_ended() {
        let mut seen = Seen {
            requests: 10,
            attempts: 9,
            ..Seen::default()
        };
        assert_eq!(Place::of(&seen).attempts, 9);
        seen.under_way.insert(AttemptId::from_number(5));
        assert_eq!(Place::of(&seen).attempts, 4);
    }
}
