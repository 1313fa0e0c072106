//! One span, as plain data.

use std::borrow::Cow;
use std::time::{Duration, Instant, SystemTime};

use hooklatch_core::trace::TracedArrival;

/// What a span is of, as OpenTelemetry has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A request that came.
    Server,
    /// A request that was made.
    Client,
}

/// The value of an attribute.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Attribute {
    /// A text.
    Text(Cow<'static, str>),
    /// A number.
    Number(i64),
}

/// When a span began, by both clocks.
#[derive(Debug, Clone, Copy)]
pub struct Began {
    at: SystemTime,
    instant: Instant,
}

/// A span that has ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Span {
    /// What it is called; one of a few names.
    pub name: &'static str,
    /// What it is of.
    pub kind: Kind,
    /// Its trace, its id, and under what it stands.
    pub place: TracedArrival,
    /// When it began.
    pub began: SystemTime,
    /// How long it took.
    pub took: Duration,
    /// What it says, by names of which each comes once.
    pub attributes: Vec<(&'static str, Attribute)>,
    /// What went wrong.
    pub error: Option<String>,
}

impl Began {
    /// Begins.
    pub fn now() -> Self {
        Self {
            at: SystemTime::now(),
            instant: Instant::now(),
        }
    }

    /// The span that began then and ends now.
    pub fn end(self, name: &'static str, kind: Kind, place: TracedArrival) -> Span {
        Span {
            name,
            kind,
            place,
            began: self.at,
            took: self.instant.elapsed(),
            attributes: Vec::new(),
            error: None,
        }
    }
}

impl From<&'static str> for Attribute {
    fn from(text: &'static str) -> Self {
        Self::Text(Cow::Borrowed(text))
    }
}

impl From<String> for Attribute {
    fn from(text: String) -> Self {
        Self::Text(Cow::Owned(text))
    }
}

impl From<i64> for Attribute {
    fn from(number: i64) -> Self {
        Self::Number(number)
    }
}
