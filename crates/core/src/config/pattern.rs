//! Patterns for event types: which events an endpoint or a connection is for.
//!
//! An event type is split at its full stops into segments. A pattern is matched segment by
//! segment, by exact text (case counts), with `*` in two places:
//!
//! - as the last segment it stands for one or more segments: `order.*` matches `order.paid` and
//!   `order.item.added`, but not `order`;
//! - before that it stands for exactly one: `*.created` matches `order.created`, not
//!   `shop.order.created`.
//!
//! `*` alone matches everything, an event without a type included. A `*` inside a segment
//! (`ord*`) is refused when the pattern is saved.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::limits::EVENT_TYPE_CHARS_MAX;

/// A checked pattern.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct EventPattern(String);

/// Why a text is not a pattern.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum EventPatternError {
    /// It is empty or too long.
    #[error("a pattern for event types has 1 to {EVENT_TYPE_CHARS_MAX} characters")]
    Length,
    /// It has two full stops in a row, or one at an end.
    #[error("a pattern has text between its full stops, for example order.paid or order.*")]
    EmptySegment,
    /// It has a `*` beside other text.
    #[error("a * stands for whole segments: write order.* or *.created, not ord*")]
    PartialWildcard,
    /// It has white space or control characters.
    #[error("a pattern has no white space and no control characters")]
    Space,
}

impl EventPattern {
    /// Whether an event of this type is meant.
    pub fn matches(&self, event_type: Option<&str>) -> bool {
        if self.0 == "*" {
            return true;
        }
        let Some(event_type) = event_type else {
            return false;
        };
        let mut wanted = self.0.split('.').peekable();
        let mut given = event_type.split('.');
        while let Some(segment) = wanted.next() {
            let Some(text) = given.next() else {
                return false;
            };
            if segment == "*" && wanted.peek().is_none() {
                return true;
            }
            if segment != "*" && segment != text {
                return false;
            }
        }
        given.next().is_none()
    }

    /// The pattern as it was written.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Whether an event of this type is meant by a list of patterns, where an empty list means all.
pub fn matches_any(patterns: &[EventPattern], event_type: Option<&str>) -> bool {
    patterns.is_empty() || patterns.iter().any(|pattern| pattern.matches(event_type))
}

impl FromStr for EventPattern {
    type Err = EventPatternError;

    fn from_str(text: &str) -> Result<Self, EventPatternError> {
        if text.is_empty() || text.chars().count() > EVENT_TYPE_CHARS_MAX {
            return Err(EventPatternError::Length);
        }
        if text.contains(|character: char| character.is_whitespace() || character.is_control()) {
            return Err(EventPatternError::Space);
        }
        for segment in text.split('.') {
            if segment.is_empty() {
                return Err(EventPatternError::EmptySegment);
            }
            if segment != "*" && segment.contains('*') {
                return Err(EventPatternError::PartialWildcard);
            }
        }
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Display for EventPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Serialize for EventPattern {
    fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for EventPattern {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = <std::borrow::Cow<'de, str>>::deserialize(from)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_segment_by_segment() {
        for (pattern, yes, no) in [
            (
                "order.paid",
                vec!["order.paid"],
                vec!["order", "order.paid.now", "Order.paid"],
            ),
            (
                "order.*",
                vec!["order.paid", "order.item.added"],
                vec!["order", "orders.paid"],
            ),
            (
                "*.created",
                vec!["order.created"],
                vec!["created", "shop.order.created"],
            ),
            ("a.*.c", vec!["a.b.c"], vec!["a.c", "a.b.b.c", "a.b.d"]),
            ("a.*.*", vec!["a.b.c", "a.b.c.d"], vec!["a.b"]),
            ("*.*", vec!["a.b", "a.b.c"], vec!["a"]),
            (
                "orders/create",
                vec!["orders/create"],
                vec!["orders/created"],
            ),
        ] {
            let pattern: EventPattern = pattern.parse().unwrap();
            for event_type in yes {
                assert!(pattern.matches(Some(event_type)), "{pattern} {event_type}");
            }
            for event_type in no {
                assert!(!pattern.matches(Some(event_type)), "{pattern} {event_type}");
            }
            assert!(!pattern.matches(None), "{pattern}");
        }
    }

    #[test]
    fn a_star_alone_matches_everything() {
        let all: EventPattern = "*".parse().unwrap();
        assert!(all.matches(Some("order.paid")) && all.matches(Some("")) && all.matches(None));
    }

    #[test]
    fn no_patterns_mean_all_events() {
        let order: EventPattern = "order.*".parse().unwrap();
        assert!(matches_any(&[], None) && matches_any(&[], Some("x")));
        assert!(matches_any(
            std::slice::from_ref(&order),
            Some("order.paid")
        ));
        assert!(!matches_any(&[order], Some("user.created")));
    }

    #[test]
    fn what_is_no_pattern_is_refused() {
        for (text, error) in [
            ("", EventPatternError::Length),
            (".", EventPatternError::EmptySegment),
            ("order.", EventPatternError::EmptySegment),
            ("a..b", EventPatternError::EmptySegment),
            ("ord*", EventPatternError::PartialWildcard),
            ("order.**", EventPatternError::PartialWildcard),
            ("order paid", EventPatternError::Space),
            (&"a".repeat(256), EventPatternError::Length),
        ] {
            assert_eq!(text.parse::<EventPattern>(), Err(error), "{text:?}");
        }
    }
}
