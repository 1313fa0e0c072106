//! Reads the keys of stored requests under a rule that is tried.

use std::sync::Arc;

use crate::arrive::{header_lines, request_of};
use crate::config::Connection;
use crate::field::FieldError;
use crate::fingerprint::fingerprint;
use crate::key::{self, Body, Extracted, KeyRule, extract, split, value_text_at};
use crate::location::{Location, Split, WildPath};
use crate::message::Envelope;
use crate::rules::Rulebook;
use crate::window::Window;

/// What is tried.
#[derive(Debug)]
pub enum Trial {
    /// A source's key rule.
    Key {
        /// The rule.
        rule: KeyRule,
        /// The array whose elements are messages of their own; none where the stored requests are
        /// such elements already.
        split: Option<Split>,
        /// What fingerprints and content rules leave out.
        exclude: Vec<WildPath>,
        /// Where the event type is, which fingerprints cover.
        event_type: Option<Location>,
        /// For how long a key is protected.
        window: Window,
    },
    /// The deduplicating rule of a connection, with the filters before it.
    Rules {
        /// The rules.
        rulebook: Arc<Rulebook>,
        /// What its deduplicating rule reads.
        rule: KeyRule,
        /// For how long a key is protected.
        window: Window,
    },
}

/// What a rule reads in one stored request, or in one element of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Read {
    /// A key.
    Key {
        /// The first half of its checksum.
        key: u128,
        /// A part of the payload's fingerprint.
        fingerprint: u64,
        /// Its parts, as people know them.
        parts: Vec<String>,
    },
    /// There is none.
    Missing,
    /// A filter before the rule drops it.
    Filtered,
}

/// What a rule reads, with what each of its locations holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sight {
    /// What is read.
    pub read: Read,
    /// For a sample: the text at each location of the rule.
    pub held: Option<Vec<Option<String>>>,
}

impl Trial {
    /// The trial of a connection's rules, of which one deduplicates.
    ///
    /// # Errors
    /// Where no rule deduplicates, or several do, or one cannot be understood.
    pub fn of_connection(connection: &Connection) -> Result<Self, Vec<FieldError>> {
        let rules = connection.rules.iter();
        let mut found = rules.filter_map(|rule| match rule {
            crate::config::Rule::Deduplicate(rule) => Some(rule),
            crate::config::Rule::Filter(_)
            | crate::config::Rule::Transform { .. }
            | crate::config::Rule::Delay { .. } => None,
        });
        let (Some(deduplicate), None) = (found.next(), found.next()) else {
            let detail = "should hold exactly one rule of the type \"deduplicate\" to be tried";
            return Err(vec![FieldError::new("/rules", detail)]);
        };
        let rule = deduplicate.key_rule();
        let window = deduplicate.window_seconds;
        // One in shadow mode is tried as if it acted.
        let mut acting = connection.clone();
        for rule in &mut acting.rules {
            if let crate::config::Rule::Deduplicate(rule) = rule {
                rule.shadow = false;
            }
        }
        let rulebook = Rulebook::of(&acting)?;
        let rulebook = rulebook.expect("a connection with a rule has a rulebook");
        Ok(Self::Rules {
            rulebook: Arc::new(rulebook),
            rule,
            window,
        })
    }

    /// The key rule that is tried.
    pub fn rule(&self) -> &KeyRule {
        match self {
            Self::Key { rule, .. } | Self::Rules { rule, .. } => rule,
        }
    }

    /// For how long a key is protected.
    pub fn window(&self) -> Window {
        match self {
            Self::Key { window, .. } | Self::Rules { window, .. } => *window,
        }
    }

    /// What the rule reads in a stored request: one sight, or one for each element.
    pub fn read(&self, envelope: &Envelope, bytes: &[u8], sampled: bool) -> Vec<Sight> {
        let body = Body::understand(envelope.payload_type(), bytes);
        let split_at = match self {
            Self::Key { split, .. } => split.as_ref(),
            Self::Rules { .. } => None,
        };
        let elements = split_at.and_then(|at| split(at, &body).ok());
        match elements {
            // What holds nothing to split is whole (K10).
            None => vec![self.read_one(envelope, bytes, &body, sampled)],
            Some(elements) if elements.is_empty() => {
                vec![self.read_one(envelope, bytes, &body, sampled)]
            }
            Some(elements) => {
                let each = elements.into_iter().map(|element| {
                    let body = Body::understand(Some("application/json"), element);
                    self.read_one(envelope, element, &body, sampled)
                });
                each.collect()
            }
        }
    }

    fn read_one(&self, envelope: &Envelope, bytes: &[u8], body: &Body<'_>, sampled: bool) -> Sight {
        let headers = header_lines(envelope);
        let request = request_of(envelope, &headers, bytes);
        let held = sampled.then(|| {
            let locations = self.rule().locations.iter();
            locations
                .map(|location| value_text_at(location, &request, body))
                .collect()
        });
        let read = match self {
            Self::Key {
                rule,
                exclude,
                event_type,
                ..
            } => read_key(rule, exclude, event_type.as_ref(), &request, body),
            Self::Rules { rulebook, .. } => read_rules(rulebook, &request, body),
        };
        Sight { read, held }
    }
}

fn read_key(
    rule: &KeyRule,
    exclude: &[WildPath],
    event_type: Option<&Location>,
    request: &key::Request<'_>,
    body: &Body<'_>,
) -> Read {
    match extract(rule, b"backtest", request, body, exclude) {
        Extracted::Missing { .. } => Read::Missing,
        Extracted::Key {
            checksum, parts, ..
        } => {
            let event_type = event_type.and_then(|at| value_text_at(at, request, body));
            let seen = fingerprint(event_type.as_deref(), body, request.body, exclude);
            Read::Key {
                key: half(checksum.as_bytes()),
                fingerprint: quarter(seen.as_bytes()),
                parts: parts.into_iter().map(|part| part.text).collect(),
            }
        }
    }
}

fn read_rules(rulebook: &Rulebook, request: &key::Request<'_>, body: &Body<'_>) -> Read {
    let seen = fingerprint(None, body, request.body, &[]);
    let ruling = rulebook.rule_on(request, body, seen);
    match (ruling.checks.into_iter().next(), ruling.dropped) {
        (Some(check), _) => Read::Key {
            key: half(check.key.checksum.as_bytes()),
            fingerprint: quarter(seen.as_bytes()),
            parts: check.key.parts,
        },
        (None, Some(_)) => Read::Filtered,
        (None, None) => Read::Missing,
    }
}

fn half(digest: &[u8; 32]) -> u128 {
    let bytes = digest[..16].try_into();
    u128::from_be_bytes(bytes.expect("a digest has 32 bytes"))
}

fn quarter(digest: &[u8; 32]) -> u64 {
    let bytes = digest[..8].try_into();
    u64::from_be_bytes(bytes.expect("a digest has 32 bytes"))
}
