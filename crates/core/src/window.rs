//! How long a claim protects its key (C4).

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::field::FieldError;
use crate::limits::{WINDOW_SECONDS_DEFAULT, WINDOW_SECONDS_MAX, WINDOW_SECONDS_MIN};
use crate::time::{Millis, Timestamp};

/// A span from first sight, or no end. In JSON a number of seconds, or `"forever"`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Window {
    /// So many seconds.
    Seconds(i64),
    /// The claim never expires.
    Forever,
}

impl Default for Window {
    fn default() -> Self {
        Self::Seconds(WINDOW_SECONDS_DEFAULT)
    }
}

impl Window {
    /// When a claim that is made at `from` ends.
    pub fn end_from(self, from: Timestamp) -> Timestamp {
        match self {
            Self::Seconds(seconds) => from + Millis::from_seconds(seconds),
            Self::Forever => Timestamp::NEVER,
        }
    }

    /// The number of seconds; `None` is forever.
    pub fn seconds(self) -> Option<i64> {
        match self {
            Self::Seconds(seconds) => Some(seconds),
            Self::Forever => None,
        }
    }

    pub(crate) fn check(self, errors: &mut Vec<FieldError>) {
        let Self::Seconds(seconds) = self else { return };
        if !(WINDOW_SECONDS_MIN..=WINDOW_SECONDS_MAX).contains(&seconds) {
            let detail = format!(
                "should be from {WINDOW_SECONDS_MIN} to {WINDOW_SECONDS_MAX} seconds \
                 (400 days), or \"forever\""
            );
            errors.push(FieldError::new("/window_seconds", detail));
        }
    }
}

impl fmt::Display for Window {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Seconds(seconds) => write!(f, "{seconds} seconds"),
            Self::Forever => f.write_str("forever"),
        }
    }
}

impl Serialize for Window {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Seconds(seconds) => to.serialize_i64(*seconds),
            Self::Forever => to.serialize_str("forever"),
        }
    }
}

impl<'de> Deserialize<'de> for Window {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(Reader)
    }
}

struct Reader;

impl de::Visitor<'_> for Reader {
    type Value = Window;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a whole number of seconds, or \"forever\"")
    }

    fn visit_i64<E: de::Error>(self, seconds: i64) -> Result<Window, E> {
        Ok(Window::Seconds(seconds))
    }

    fn visit_u64<E: de::Error>(self, seconds: u64) -> Result<Window, E> {
        Ok(Window::Seconds(i64::try_from(seconds).unwrap_or(i64::MAX)))
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Window, E> {
        if text == "forever" {
            Ok(Window::Forever)
        } else {
            Err(E::invalid_value(de::Unexpected::Str(text), &self))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn c4_a_window_is_seconds_or_forever() {
        for (json, window) in [
            ("60", Window::Seconds(60)),
            ("\"forever\"", Window::Forever),
        ] {
            let read: Window = serde_json::from_str(json).unwrap();
            assert_eq!(read, window);
            assert_eq!(serde_json::to_string(&window).unwrap(), json);
        }
        for json in ["1.5", "\"60\"", "null", "true"] {
            assert!(serde_json::from_str::<Window>(json).is_err(), "{json}");
        }
    }

    #[test]
    fn c4_a_window_is_from_a_second_to_400_days() {
        let errors_of = |window: Window| {
            let mut errors = Vec::new();
            window.check(&mut errors);
            errors.len()
        };
        for seconds in [1, 604_800, 34_560_000] {
            assert_eq!(errors_of(Window::Seconds(seconds)), 0, "{seconds}");
        }
        for seconds in [i64::MIN, -1, 0, 34_560_001, i64::MAX] {
            assert_eq!(errors_of(Window::Seconds(seconds)), 1, "{seconds}");
        }
        assert_eq!(errors_of(Window::Forever), 0);
    }

    #[test]
    fn c4_a_window_runs_from_first_sight() {
        let seen = Timestamp::from_millis(1_500);
        assert_eq!(
            Window::Seconds(2).end_from(seen),
            Timestamp::from_millis(3_500)
        );
        assert_eq!(Window::Forever.end_from(seen), Timestamp::NEVER);
    }
}
