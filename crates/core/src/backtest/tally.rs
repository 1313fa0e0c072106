//! Counts what a rule would have suppressed, in the order in which requests arrived.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use serde::Serialize;

use super::{Read, Sight};
use crate::ids::{MessageId, RequestId};
use crate::time::Timestamp;
use crate::window::Window;

/// Keys that a tally remembers at most.
pub const KEYS_MAX: usize = 3_000_000;
/// Samples of each kind.
const SAMPLES_MAX: usize = 10;
/// Requests whose locations are looked at for the linter.
const HELD_MAX: usize = 500;
/// Bytes of a key in a sample.
const KEY_BYTES_SHOWN: usize = 200;

/// A stored request that would have been suppressed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Sample {
    /// The request.
    pub request_id: RequestId,
    /// The message it became, or repeated, when it arrived.
    pub message_id: Option<MessageId>,
    /// When it arrived.
    pub received_at: Timestamp,
    /// The first request under its key.
    pub original_request_id: RequestId,
    /// The message of that.
    pub original_message_id: Option<MessageId>,
    /// When that arrived.
    pub original_received_at: Timestamp,
    /// The key, as the provider wrote it.
    pub key: String,
    /// Whether the two carry different payloads.
    pub payload_differs: bool,
    /// Whether it was delivered as a message of its own when it arrived.
    pub accepted_then: bool,
}

/// A stored request in which the rule finds no key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Unkeyed {
    /// The request.
    pub request_id: RequestId,
    /// When it arrived.
    pub received_at: Timestamp,
}

/// What a rule would have done.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Report {
    /// Stored requests that were looked at.
    pub looked_at: u64,
    /// Those whose payload is gone, so that no key can be read.
    pub payload_gone: u64,
    /// Events in them: more than requests where the rule splits.
    pub events: u64,
    /// Events that a filter before the rule drops.
    pub filtered: u64,
    /// Events in which the rule finds no key.
    pub without_key: u64,
    /// The share of events with a key, from 0 to 1; none where there are no events.
    pub coverage: Option<f64>,
    /// Events that would have been new.
    pub would_be_new: u64,
    /// Events that would have been suppressed.
    pub would_be_suppressed: u64,
    /// Of those, events that carry another payload than the first under their key.
    pub payload_differs: u64,
    /// Of those, events that were accepted when they arrived.
    pub newly_suppressed: u64,
    /// Events that were duplicates when they arrived and would have been new.
    pub no_longer_suppressed: u64,
    /// When the first of the requests arrived.
    pub first_received_at: Option<Timestamp>,
    /// When the last did.
    pub last_received_at: Option<Timestamp>,
    /// Whether there was more than could be looked at.
    pub truncated: bool,
    /// Some that would have been suppressed.
    pub suppressed_samples: Vec<Sample>,
    /// Some of those that carry another payload.
    pub differing_samples: Vec<Sample>,
    /// Some without a key.
    pub without_key_samples: Vec<Unkeyed>,
    /// What speaks against the rule.
    pub warnings: Vec<String>,
}

/// The first sight of a key in its window.
#[derive(Debug, Clone, Copy)]
struct First {
    fingerprint: u64,
    received_at: Timestamp,
    ends_at: Timestamp,
    request: i64,
    message: i64,
}

/// One stored request.
#[derive(Debug, Clone, Copy)]
pub struct Stored {
    /// The record of its arrival.
    pub request_id: RequestId,
    /// The message it became, or repeated.
    pub message_id: Option<MessageId>,
    /// When it arrived.
    pub received_at: Timestamp,
}

/// The count.
#[derive(Debug)]
pub struct Tally {
    window: Window,
    firsts: HashMap<u128, First>,
    report: Report,
    held: Vec<Vec<Option<String>>>,
}

impl Tally {
    /// Nothing counted yet; keys are protected for `window` from their first sight.
    pub fn new(window: Window) -> Self {
        Self {
            window,
            firsts: HashMap::new(),
            report: Report::default(),
            held: Vec::new(),
        }
    }

    /// Whether the next request's locations are wanted for the linter.
    pub fn wants_samples(&self) -> bool {
        self.held.len() < HELD_MAX
    }

    /// How many requests have been looked at.
    pub fn looked_at(&self) -> u64 {
        self.report.looked_at
    }

    /// Counts the next request; `sights` are none where its payload is gone. Answers whether there
    /// is room for more.
    pub fn count(&mut self, stored: &Stored, sights: Option<Vec<Sight>>) -> Room {
        let report = &mut self.report;
        report.looked_at += 1;
        report.first_received_at.get_or_insert(stored.received_at);
        report.last_received_at = Some(stored.received_at);
        let Some(sights) = sights else {
            report.payload_gone += 1;
            return Room::Left;
        };
        for sight in sights {
            self.report.events += 1;
            if let (Some(held), true) = (sight.held, self.held.len() < HELD_MAX) {
                self.held.push(held);
            }
            match sight.read {
                Read::Filtered => self.report.filtered += 1,
                Read::Missing => self.missing(stored),
                Read::Key {
                    key,
                    fingerprint,
                    parts,
                } => self.keyed(stored, key, fingerprint, &parts),
            }
        }
        if self.firsts.len() >= KEYS_MAX {
            self.report.truncated = true;
            return Room::Full;
        }
        Room::Left
    }

    fn missing(&mut self, stored: &Stored) {
        self.report.without_key += 1;
        if self.report.without_key_samples.len() < SAMPLES_MAX {
            self.report.without_key_samples.push(Unkeyed {
                request_id: stored.request_id,
                received_at: stored.received_at,
            });
        }
    }

    fn keyed(&mut self, stored: &Stored, key: u128, fingerprint: u64, parts: &[String]) {
        let accepted_then = stored.message_id == Some(stored.request_id.as_message());
        let first = First {
            fingerprint,
            received_at: stored.received_at,
            ends_at: self.window.end_from(stored.received_at),
            request: stored.request_id.number(),
            message: stored.message_id.map_or(0, MessageId::number),
        };
        let known = match self.firsts.entry(key) {
            Entry::Vacant(free) => {
                free.insert(first);
                None
            }
            Entry::Occupied(mut known) if known.get().ends_at <= stored.received_at => {
                known.insert(first);
                None
            }
            Entry::Occupied(known) => Some(*known.get()),
        };
        let report = &mut self.report;
        let Some(known) = known else {
            report.would_be_new += 1;
            report.no_longer_suppressed += u64::from(!accepted_then);
            return;
        };
        let payload_differs = known.fingerprint != fingerprint;
        report.would_be_suppressed += 1;
        report.payload_differs += u64::from(payload_differs);
        report.newly_suppressed += u64::from(accepted_then);
        let samples = if payload_differs {
            &mut report.differing_samples
        } else {
            &mut report.suppressed_samples
        };
        if samples.len() < SAMPLES_MAX {
            samples.push(Sample {
                request_id: stored.request_id,
                message_id: stored.message_id,
                received_at: stored.received_at,
                original_request_id: RequestId::from_number(known.request),
                original_message_id: (known.message != 0)
                    .then(|| MessageId::from_number(known.message)),
                original_received_at: known.received_at,
                key: shown(parts),
                payload_differs,
                accepted_then,
            });
        }
    }

    /// Notes that there is more than was looked at.
    pub fn truncate(&mut self) {
        self.report.truncated = true;
    }

    /// The report, and what the locations held in some requests, for the linter.
    pub fn finish(mut self) -> (Report, Vec<Vec<Option<String>>>) {
        let report = &mut self.report;
        let asked = report.events - report.filtered;
        let keyed = asked - report.without_key;
        #[expect(clippy::cast_precision_loss, reason = "a share, for people")]
        if asked > 0 {
            report.coverage = Some(keyed as f64 / asked as f64);
        }
        (self.report, self.held)
    }
}

/// Whether a tally takes more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Room {
    /// It does.
    Left,
    /// It remembers as many keys as it may.
    Full,
}

fn shown(parts: &[String]) -> String {
    let mut text = parts.join(" + ");
    let end = text.floor_char_boundary(KEY_BYTES_SHOWN);
    text.truncate(end);
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stored(number: i64, at: i64) -> Stored {
        Stored {
            request_id: RequestId::from_number(number),
            message_id: Some(MessageId::from_number(number)),
            received_at: Timestamp::from_millis(at),
        }
    }

    fn sight(key: u128, fingerprint: u64) -> Option<Vec<Sight>> {
        let read = Read::Key {
            key,
            fingerprint,
            parts: vec![key.to_string()],
        };
        Some(vec![Sight { read, held: None }])
    }

    #[test]
    fn c4_a_key_is_suppressed_inside_its_window_and_new_after_it() {
        let mut tally = Tally::new(Window::Seconds(10));
        for (number, at) in [(1, 0), (2, 9_999), (3, 10_000), (4, 19_999)] {
            tally.count(&stored(number, at), sight(7, 1));
        }
        let (report, _) = tally.finish();
        assert_eq!((report.would_be_new, report.would_be_suppressed), (2, 2));
        let originals = report.suppressed_samples.iter();
        let originals: Vec<i64> = originals
            .map(|it| it.original_request_id.number())
            .collect();
        assert_eq!(originals, [1, 3], "the window does not slide");
    }

    #[test]
    fn c6_another_payload_is_counted_and_shown_apart() {
        let mut tally = Tally::new(Window::Forever);
        tally.count(&stored(1, 0), sight(7, 1));
        tally.count(&stored(2, 1), sight(7, 2));
        tally.count(&stored(3, 2), sight(7, 1));
        let (report, _) = tally.finish();
        assert_eq!((report.would_be_suppressed, report.payload_differs), (2, 1));
        assert!(report.differing_samples[0].payload_differs);
        assert!(report.differing_samples[0].accepted_then);
        assert_eq!(report.newly_suppressed, 2);
    }

    #[test]
    fn k5_coverage_is_the_share_of_events_with_a_key() {
        let mut tally = Tally::new(Window::Forever);
        let missing = || {
            let read = Read::Missing;
            Some(vec![Sight { read, held: None }])
        };
        tally.count(&stored(1, 0), sight(7, 1));
        tally.count(&stored(2, 0), missing());
        tally.count(&stored(3, 0), sight(8, 1));
        tally.count(&stored(4, 0), missing());
        tally.count(&stored(5, 0), None);
        let (report, _) = tally.finish();
        assert_eq!(report.coverage, Some(0.5));
        assert_eq!((report.looked_at, report.payload_gone), (5, 1));
        assert_eq!(report.without_key_samples.len(), 2);
        assert_eq!(Tally::new(Window::Forever).finish().0.coverage, None);
    }
}
