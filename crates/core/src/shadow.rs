//! Shadow mode: a rule that is tried on live traffic and never acts.
//!
//! Such a rule looks its keys up and claims them in the transaction that decides on the arrival, as
//! one that acts does, but in a scope of its own; so it sees what an acting one would see, and
//! nobody meets its keys. What it comes to is counted under a name made of the rule itself: a rule
//! that was changed is another one, whose counts and keys begin anew. A refused request was never
//! looked at, and is not judged.

use std::collections::BTreeMap;

use serde::Serialize;
use sha2::{Digest, Sha256};

use crate::claim::{Claim, ClaimKey, ClaimKind, OnTrial, Scope};
use crate::fingerprint::Fingerprint;
use crate::ids::{MessageId, RequestId};
use crate::key::{Body, Extracted, KeyRule, Request, extract};
use crate::location::WildPath;
use crate::time::Timestamp;
use crate::window::Window;

/// Samples of each kind that are kept and shown.
pub const SAMPLES_MAX: usize = 10;
/// Bytes of a key in a sample.
const KEY_BYTES_SHOWN: usize = 200;

/// The name of a rule in shadow mode: a checksum over whose it is and what it says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ShadowId([u8; 16]);

impl ShadowId {
    /// The name with these bytes.
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// Its bytes.
    pub const fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }
}

/// A rule in shadow mode, prepared once and used for every arrival.
#[derive(Debug, Clone)]
pub struct ShadowRule {
    id: ShadowId,
    key: KeyRule,
    scope: Scope,
    scope_bytes: Vec<u8>,
    window: Window,
}

impl ShadowRule {
    /// The rule `key` of `of`, with keys that it protects for `window`. `reading` is what else
    /// decides how payloads are read: where that changes, another trial begins.
    pub fn new(of: OnTrial, key: KeyRule, window: Window, reading: &str) -> Self {
        let scope = Scope::Shadow(of);
        let rule = serde_json::to_string(&(&key, window)).expect("a key rule always serialises");
        let said = [scope.to_string(), rule, reading.to_owned()].join("\n");
        let digest: [u8; 32] = Sha256::digest(said).into();
        let mut id = [0; 16];
        id.copy_from_slice(&digest[..16]);
        Self {
            id: ShadowId(id),
            scope_bytes: [scope.to_string().as_bytes(), b" ", &digest].concat(),
            key,
            scope,
            window,
        }
    }

    /// Its name.
    pub fn id(&self) -> ShadowId {
        self.id
    }

    /// What it reads in a request.
    pub(crate) fn read(
        &self,
        request: &Request<'_>,
        body: &Body<'_>,
        fingerprint: Fingerprint,
        exclude: &[WildPath],
    ) -> Candidate {
        let found = extract(&self.key, &self.scope_bytes, request, body, exclude);
        let (key, shown) = match found {
            Extracted::Missing { .. } => (None, String::new()),
            Extracted::Key {
                checksum, parts, ..
            } => {
                // Its parts stay out of the ledger, where people look keys up that protect something.
                let key = ClaimKey {
                    scope: self.scope.clone(),
                    checksum,
                    fingerprint,
                    parts: Vec::new(),
                    kind: ClaimKind::Key,
                };
                let parts: Vec<String> = parts.into_iter().map(|part| part.text).collect();
                (Some(key), shown(&parts))
            }
        };
        Candidate {
            shadow: self.id,
            key,
            shown,
            window: self.window,
        }
    }
}

fn shown(parts: &[String]) -> String {
    let mut text = parts.join(" + ");
    text.truncate(text.floor_char_boundary(KEY_BYTES_SHOWN));
    text
}

/// What a rule in shadow mode reads in one arrival.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    /// The rule.
    pub shadow: ShadowId,
    /// The key; none where it finds none.
    pub key: Option<ClaimKey>,
    /// The key for people.
    pub shown: String,
    /// For how long the key is protected.
    pub window: Window,
}

/// What a rule in shadow mode would have done with one arrival.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Judgement {
    /// The rule.
    pub shadow: ShadowId,
    /// The arrival.
    pub request_id: RequestId,
    /// When it was judged.
    pub at: Timestamp,
    /// What it would have done.
    pub verdict: Verdict,
    /// What was really done.
    pub reality: Reality,
    /// The key for people.
    pub key: String,
}

/// What a rule would have done with an arrival.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Nothing: it finds no key.
    WithoutKey,
    /// Let it pass.
    New,
    /// Suppressed it as a duplicate.
    Suppress {
        /// The message that has the key.
        original: MessageId,
        /// Whether the payload is another one.
        payload_differs: bool,
    },
}

/// What was really done with an arrival.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reality {
    /// It became a message.
    Accepted,
    /// It was a duplicate, or a conflict.
    Repeated,
}

/// What a candidate is judged with.
pub(crate) struct Judged<'a> {
    pub candidate: &'a Candidate,
    /// The live claim under its key.
    pub prior: Option<&'a Claim>,
    pub request_id: RequestId,
    /// The message whose key it is if nobody had it: the arrival's, or its original.
    pub message_id: MessageId,
    pub reality: Reality,
    pub now: Timestamp,
}

/// Judges an arrival: what the rule would have done, and the claim that it leaves.
pub(crate) fn judge(judged: &Judged<'_>) -> (Judgement, Option<Claim>) {
    let candidate = judged.candidate;
    let (verdict, claim) = match (&candidate.key, judged.prior) {
        (None, _) => (Verdict::WithoutKey, None),
        (Some(key), None) => (Verdict::New, Some(opened(judged, key))),
        (Some(key), Some(prior)) => {
            let verdict = Verdict::Suppress {
                original: prior.message_id,
                payload_differs: prior.fingerprint != key.fingerprint,
            };
            (verdict, None)
        }
    };
    let judgement = Judgement {
        shadow: candidate.shadow,
        request_id: judged.request_id,
        at: judged.now,
        verdict,
        reality: judged.reality,
        key: candidate.shown.clone(),
    };
    (judgement, claim)
}

fn opened(judged: &Judged<'_>, key: &ClaimKey) -> Claim {
    Claim {
        scope: key.scope.clone(),
        checksum: key.checksum,
        parts: key.parts.clone(),
        kind: key.kind,
        variant: None,
        message_id: judged.message_id,
        fingerprint: key.fingerprint,
        first_seen_at: judged.now,
        expires_at: judged.candidate.window.end_from(judged.now),
    }
}

/// What a rule in shadow mode has come to since it was set.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct ShadowCounts {
    /// When it judged first.
    pub since: Option<Timestamp>,
    /// When it judged last.
    pub until: Option<Timestamp>,
    /// Arrivals that it judged.
    pub judged: u64,
    /// Those without a key.
    pub without_key: u64,
    /// Those that it would have suppressed.
    pub would_be_suppressed: u64,
    /// Of these, those with another payload than their original.
    pub payload_differs: u64,
    /// Of these, those that were accepted.
    pub newly_suppressed: u64,
    /// Duplicates and conflicts that it would have taken for new.
    pub no_longer_suppressed: u64,
}

impl ShadowCounts {
    /// Adds what was counted elsewhere.
    pub fn add(&mut self, other: &Self) {
        self.since = [self.since, other.since].into_iter().flatten().min();
        self.until = self.until.max(other.until);
        self.judged += other.judged;
        self.without_key += other.without_key;
        self.would_be_suppressed += other.would_be_suppressed;
        self.payload_differs += other.payload_differs;
        self.newly_suppressed += other.newly_suppressed;
        self.no_longer_suppressed += other.no_longer_suppressed;
    }

    /// Adds one judgement.
    fn count(&mut self, judgement: &Judgement) {
        let mut one = Self {
            since: Some(judgement.at),
            until: Some(judgement.at),
            judged: 1,
            ..Self::default()
        };
        match (judgement.verdict, judgement.reality) {
            (Verdict::WithoutKey, _) => one.without_key = 1,
            (Verdict::New, Reality::Accepted) => {}
            (Verdict::New, Reality::Repeated) => one.no_longer_suppressed = 1,
            (
                Verdict::Suppress {
                    payload_differs, ..
                },
                reality,
            ) => {
                one.would_be_suppressed = 1;
                one.payload_differs = u64::from(payload_differs);
                one.newly_suppressed = u64::from(reality == Reality::Accepted);
            }
        }
        self.add(&one);
    }
}

/// An arrival that would have been suppressed, with the message that has its key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ShadowSample {
    /// The arrival.
    pub request_id: RequestId,
    /// The message whose duplicate it would have been.
    pub original_message_id: MessageId,
    /// Whether its payload is another one.
    pub payload_differs: bool,
    /// Whether it was accepted.
    pub accepted: bool,
    /// When it was judged.
    pub at: Timestamp,
    /// The key, for people.
    pub key: String,
}

/// What is known of a rule in shadow mode.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ShadowReport {
    /// The counts.
    pub counts: ShadowCounts,
    /// Some that would have been suppressed, the newest first.
    pub samples: Vec<ShadowSample>,
}

impl ShadowReport {
    /// Of what was kept in several places: the sums, and the newest samples of each kind.
    pub fn of(counts: &[ShadowCounts], mut samples: Vec<ShadowSample>) -> Self {
        let mut report = Self::default();
        for each in counts {
            report.counts.add(each);
        }
        samples.sort_by_key(|sample| std::cmp::Reverse(sample.request_id));
        let mut left = [SAMPLES_MAX; 2];
        samples.retain(|sample| {
            let left = &mut left[usize::from(sample.payload_differs)];
            let fits = *left > 0;
            *left = left.saturating_sub(1);
            fits
        });
        report.samples = samples;
        report
    }
}

/// Where a sample is kept: a later one under the same place replaces it, so that no more are ever
/// kept than there are places, and nothing has to be read before one is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct SamplePlace {
    /// The rule.
    pub shadow: ShadowId,
    /// A number below twice [`SAMPLES_MAX`]; the upper half is for other payloads.
    pub place: u8,
}

/// What many judgements come to, to be added to what is stored.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ShadowSums {
    /// For each rule.
    pub counts: BTreeMap<ShadowId, ShadowCounts>,
    /// Samples by their places.
    pub samples: BTreeMap<SamplePlace, ShadowSample>,
}

impl ShadowSums {
    /// Adds judgements.
    pub fn note(&mut self, judgements: &[Judgement]) {
        for judgement in judgements {
            self.counts
                .entry(judgement.shadow)
                .or_default()
                .count(judgement);
            self.sample(judgement);
        }
    }

    fn sample(&mut self, judgement: &Judgement) {
        let Verdict::Suppress {
            original,
            payload_differs,
        } = judgement.verdict
        else {
            return;
        };
        let sample = ShadowSample {
            request_id: judgement.request_id,
            original_message_id: original,
            payload_differs,
            accepted: judgement.reality == Reality::Accepted,
            at: judgement.at,
            key: judgement.key.clone(),
        };
        let place = SamplePlace {
            shadow: judgement.shadow,
            place: place_of(judgement.request_id, payload_differs),
        };
        self.samples.insert(place, sample);
    }
}

/// Numbers of one batch lie at even distances: they are scattered first.
fn place_of(request: RequestId, payload_differs: bool) -> u8 {
    let scattered = request
        .number()
        .cast_unsigned()
        .wrapping_mul(0x9e37_79b9_7f4a_7c15)
        >> 32;
    let most = SAMPLES_MAX as u64;
    let place = scattered % most + most * u64::from(payload_differs);
    u8::try_from(place).expect("there are few places")
}

#[cfg(test)]
mod tests {
    use super::*;

    const RULE: ShadowId = ShadowId::from_bytes([7; 16]);

    fn judgement(number: i64, verdict: Verdict, reality: Reality) -> Judgement {
        Judgement {
            shadow: RULE,
            request_id: RequestId::from_number(number),
            at: Timestamp::from_millis(number),
            verdict,
            reality,
            key: "k".to_owned(),
        }
    }

    fn suppress(payload_differs: bool) -> Verdict {
        Verdict::Suppress {
            original: MessageId::from_number(1),
            payload_differs,
        }
    }

    #[test]
    fn each_verdict_is_counted_beside_what_was_really_done() {
        let mut sums = ShadowSums::default();
        sums.note(&[
            judgement(1, Verdict::New, Reality::Accepted),
            judgement(2, Verdict::WithoutKey, Reality::Accepted),
            judgement(3, suppress(false), Reality::Repeated),
            judgement(4, suppress(true), Reality::Accepted),
            judgement(5, Verdict::New, Reality::Repeated),
        ]);
        let expected = ShadowCounts {
            since: Some(Timestamp::from_millis(1)),
            until: Some(Timestamp::from_millis(5)),
            judged: 5,
            without_key: 1,
            would_be_suppressed: 2,
            payload_differs: 1,
            newly_suppressed: 1,
            no_longer_suppressed: 1,
        };
        assert_eq!(sums.counts[&RULE], expected);
        let both = ShadowReport::of(&[expected, expected], Vec::new());
        assert_eq!(
            (both.counts.judged, both.counts.since),
            (10, expected.since)
        );
    }

    #[test]
    fn samples_never_outgrow_their_places_and_those_with_another_payload_keep_theirs() {
        let mut sums = ShadowSums::default();
        sums.note(&[judgement(1, suppress(true), Reality::Accepted)]);
        let many = (2..500).map(|n| judgement(n, suppress(false), Reality::Accepted));
        sums.note(&many.collect::<Vec<_>>());
        assert_eq!(sums.samples.len(), SAMPLES_MAX + 1);
        let report = ShadowReport::of(&[], sums.samples.into_values().collect());
        assert!(
            report
                .samples
                .is_sorted_by_key(|it| std::cmp::Reverse(it.request_id))
        );
        let differing = report.samples.iter().filter(|it| it.payload_differs);
        assert_eq!(differing.count(), 1);
    }

    #[test]
    fn a_changed_rule_is_another_trial_with_keys_of_its_own() {
        let rule = |location: &str, seconds, reading| {
            let key = KeyRule::new(vec![location.parse().expect("a location")]);
            let of = OnTrial::Source(crate::ids::SourceId::from_number(3));
            ShadowRule::new(of, key, Window::Seconds(seconds), reading)
        };
        let first = rule("body:$.id", 60, "");
        assert_eq!(first.id(), rule("body:$.id", 60, "").id());
        for other in [
            rule("body:$.other", 60, ""),
            rule("body:$.id", 61, ""),
            rule("body:$.id", 60, "$.attempt"),
        ] {
            assert_ne!(first.id(), other.id());
            assert_ne!(first.scope_bytes, other.scope_bytes);
        }
    }
}
