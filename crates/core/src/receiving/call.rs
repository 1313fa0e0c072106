//! What one call of the claim API does to an event (L2).
//!
//! The state machine says what becomes of a record. What the gateway keeps beside it is here: the
//! names under which people find it again, the spans that a claim was made with, so that whoever
//! ends it need not repeat them, and which steps of an earlier record have to go.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use crate::receiving::claim::{Claim, Claimed, Completion, Hold, Origin, Sighting};
use crate::receiving::key::{KeyError, Scope, ScopeKey, from_hex};
use crate::receiving::machine::{self, Change, Moment};
use crate::receiving::record::Record;
use crate::receiving::token::Token;

/// What stands before the digits of an id.
const PREFIX: &str = "clm_";

/// The id of a claim: the hash of its scope and key, so that whoever knows these knows it. It
/// stays the same when a record is removed and made anew, and gives no right to anything; the token
/// does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ClaimId(pub ScopeKey);

/// A text is no id of a claim.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the id of a claim is \"{PREFIX}\" and 64 hexadecimal digits")]
pub struct ClaimIdError;

impl ClaimId {
    /// The id of a key in a scope, within a project: the [`ScopeKey`] of the scope as a source and
    /// the key as its only part.
    ///
    /// # Errors
    /// The key is empty, or one of both is too long.
    pub fn of(scope: &str, key: &str) -> Result<Self, KeyError> {
        let scope = Scope {
            source: scope,
            ..Scope::default()
        };
        ScopeKey::derive(&scope, &[key]).map(Self)
    }
}

impl fmt::Display for ClaimId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{PREFIX}{}", self.0)
    }
}

impl FromStr for ClaimId {
    type Err = ClaimIdError;

    fn from_str(text: &str) -> Result<Self, ClaimIdError> {
        let digits = text.strip_prefix(PREFIX).and_then(from_hex);
        let bytes = digits.ok_or(ClaimIdError)?;
        Ok(Self(ScopeKey::from_bytes(bytes)))
    }
}

/// What is kept of a claim.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// What the key is unique in.
    pub scope: String,
    /// The key, as the caller wrote it.
    pub key: String,
    /// What a renewal gets that names no lease.
    pub lease: Duration,
    /// For how long a completion or a failure is remembered that names no window.
    pub retention: Duration,
    /// How far it is.
    pub record: Record,
}

/// What is asked of a claim.
#[derive(Debug, Clone)]
pub enum Call {
    /// To run the event.
    Claim {
        /// What the key is unique in.
        scope: String,
        /// The key.
        key: String,
        /// The rest.
        wish: Claim,
    },
    /// To record that it has run.
    Complete {
        /// The proof.
        token: Token,
        /// What it gave; at most [`RESULT_BYTES_MAX`](super::limits::RESULT_BYTES_MAX).
        result: Option<Vec<u8>>,
        /// Instead of the claim's own.
        retention: Option<Duration>,
    },
    /// To give it back.
    Release {
        /// The proof.
        token: Token,
        /// A token that nobody holds.
        successor: Token,
        /// When it may be tried again.
        retry_after: Duration,
        /// Why it failed.
        error: String,
    },
    /// To keep it for longer.
    Renew {
        /// The proof.
        token: Token,
        /// Instead of the claim's own.
        lease: Option<Duration>,
    },
    /// To record that it will never succeed.
    Fail {
        /// The proof.
        token: Token,
        /// Why.
        error: String,
        /// Instead of the claim's own.
        retention: Option<Duration>,
    },
}

impl Call {
    /// About how many bytes it keeps in memory while it waits.
    pub fn bytes(&self) -> usize {
        match self {
            Self::Claim { scope, key, .. } => scope.len() + key.len(),
            Self::Complete { result, .. } => result.as_ref().map_or(0, Vec::len),
            Self::Release { error, .. } | Self::Fail { error, .. } => error.len(),
            Self::Renew { .. } => 0,
        }
    }
}

/// What became of a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// What happened.
    pub outcome: Outcome,
    /// When what was written ends, in milliseconds since 1970: a lease, a wait, or the time for
    /// which it is remembered.
    pub until_ms: Option<u64>,
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// To a claim.
    Claimed(Claimed),
    /// To a completion.
    Completed(Completion),
    /// To a release, a renewal or a failure.
    Held(Hold),
    /// There is no such claim: it was never made, or its record was removed since.
    Gone,
}

/// What a store has to do.
#[derive(Debug, Clone)]
pub struct Decision {
    /// What to write in the entry's place, if anything.
    pub write: Option<Entry>,
    /// Whether the steps under the key belong to a record that is no more.
    pub forget_steps: bool,
    /// What the caller hears once it is written.
    pub answer: Answer,
}

/// Decides what a call does. The caller holds the entry's lock.
pub fn decide(prior: Option<&Entry>, call: &Call, at: Moment) -> Decision {
    match (call, prior) {
        (Call::Claim { scope, key, wish }, prior) => {
            let change = machine::claim(prior.map(|prior| &prior.record), wish, at);
            let entry = |record| Entry {
                scope: scope.clone(),
                key: key.clone(),
                lease: wish.lease,
                retention: wish.retention,
                record,
            };
            written(prior, change, Outcome::Claimed, entry)
        }
        (_, None) => Decision {
            write: None,
            forget_steps: false,
            answer: Answer {
                outcome: Outcome::Gone,
                until_ms: None,
            },
        },
        (_, Some(prior)) => end(prior, call, at.now_ms),
    }
}

/// What a holder does.
fn end(prior: &Entry, call: &Call, now_ms: u64) -> Decision {
    let record = Some(&prior.record);
    let kept = |record| Entry {
        record,
        ..prior.clone()
    };
    let held = |change| written(Some(prior), change, Outcome::Held, kept);
    match call {
        Call::Claim { .. } => unreachable!("a claim is decided before"),
        Call::Complete {
            token,
            result,
            retention,
        } => {
            let retention = retention.unwrap_or(prior.retention);
            let change = machine::complete(record, token, result.as_deref(), retention, now_ms);
            written(Some(prior), change, Outcome::Completed, kept)
        }
        Call::Release {
            token,
            successor,
            retry_after,
            error,
        } => held(machine::release(
            record,
            token,
            *successor,
            *retry_after,
            error,
            now_ms,
        )),
        Call::Renew { token, lease } => {
            let lease = lease.unwrap_or(prior.lease);
            held(machine::renew(record, token, lease, now_ms))
        }
        Call::Fail {
            token,
            error,
            retention,
        } => {
            let retention = retention.unwrap_or(prior.retention);
            held(machine::fail(record, token, error, retention, now_ms))
        }
    }
}

fn written<T>(
    prior: Option<&Entry>,
    change: Change<T>,
    outcome: impl FnOnce(T) -> Outcome,
    entry: impl FnOnce(Record) -> Entry,
) -> Decision {
    let write = change.write.map(entry);
    let until_ms = write.as_ref().map(|entry| entry.record.state.until_ms());
    let epoch = |entry: &Entry| entry.record.epoch;
    let forget_steps = match (prior, &write) {
        (Some(prior), Some(write)) => epoch(prior) != epoch(write),
        (Some(_) | None, _) => false,
    };
    Decision {
        write,
        forget_steps,
        answer: Answer {
            outcome: outcome(change.answer),
            until_ms,
        },
    }
}

impl Answer {
    /// Whether an operator's replay began: the one thing here that is audited.
    pub fn began_a_replay(&self) -> bool {
        matches!(&self.outcome, Outcome::Claimed(Claimed::Run(grant)) if grant.origin == Origin::Replay)
    }
}

impl Entry {
    /// As people see it; nothing once it has expired.
    pub fn sighting(&self, now_ms: u64) -> Option<Sighting> {
        self.record.sighting(now_ms)
    }

    /// Whether a sweep may take it: only what is completed or dead, and has expired.
    pub fn may_go(&self, now_ms: u64) -> bool {
        self.record.is_expired(now_ms)
    }
}

/// A step's result that shall be kept.
#[derive(Debug, Clone)]
pub struct Step {
    /// The proof.
    pub token: Token,
    /// What the step is called.
    pub name: String,
    /// What it gave.
    pub result: Vec<u8>,
}

/// What became of a step's result.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kept {
    /// It is kept, or one was kept before, which stays.
    Saved,
    /// The token is not the claim's any more.
    Fenced,
    /// As many steps are kept as there may be.
    TooMany,
}

/// Whether a step's result is to be written; `known` says whether one is kept under its name, and
/// `count` how many are kept in this generation.
pub fn keep_step(prior: Option<&Entry>, token: &Token, known: bool, count: usize) -> (Kept, bool) {
    if !machine::holds(prior.map(|prior| &prior.record), token) {
        return (Kept::Fenced, false);
    }
    if known {
        return (Kept::Saved, false);
    }
    if count >= super::limits::STEPS_MAX {
        return (Kept::TooMany, false);
    }
    (Kept::Saved, true)
}

/// A result as it is kept: bytes, or a JSON value, told apart by the first byte.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Stored {
    /// Whatever bytes.
    Bytes(Vec<u8>),
    /// A JSON value in its text.
    Json(String),
}

impl Stored {
    /// The result as a record keeps it.
    pub fn encode(self) -> Vec<u8> {
        let (mark, mut bytes) = match self {
            Self::Bytes(bytes) => (0, bytes),
            Self::Json(text) => (1, text.into_bytes()),
        };
        bytes.insert(0, mark);
        bytes
    }

    /// The result of a record; nothing where it is none that was kept through the claim API.
    pub fn decode(kept: &[u8]) -> Option<Self> {
        let (mark, bytes) = kept.split_first()?;
        match mark {
            0 => Some(Self::Bytes(bytes.to_vec())),
            1 => String::from_utf8(bytes.to_vec()).ok().map(Self::Json),
            2..=u8::MAX => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::receiving::claim::{Intent, Metadata};
    use crate::receiving::key::Fingerprint;
    use crate::receiving::limits::STEPS_MAX;

    const LEASE: Duration = Duration::from_secs(10);
    const WINDOW: Duration = Duration::from_secs(60);

    fn token(n: u8) -> Token {
        Token::from_bytes([n; 16])
    }

    fn wish(n: u8) -> Call {
        Call::Claim {
            scope: "shop".to_owned(),
            key: "evt_1".to_owned(),
            wish: Claim {
                key: ClaimId::of("shop", "evt_1").unwrap().0,
                fingerprint: Fingerprint::of(b"{}"),
                token: token(n),
                lease: LEASE,
                attempts_max: 8,
                retention: WINDOW,
                intent: Intent::Delivery,
                metadata: Metadata::default(),
            },
        }
    }

    fn at(now_ms: u64) -> Moment {
        Moment {
            now_ms,
            next_fence: now_ms,
        }
    }

    #[test]
    fn l2_an_id_is_known_to_whoever_knows_scope_and_key() {
        let id = ClaimId::of("shop", "evt_1").unwrap();
        assert_eq!(id.to_string().parse(), Ok(id));
        assert_ne!(id, ClaimId::of("sho", "pevt_1").unwrap());
        for text in ["", "clm_", "msg_0", &id.0.to_string()] {
            assert_eq!(text.parse::<ClaimId>(), Err(ClaimIdError));
        }
        assert_eq!(ClaimId::of("shop", ""), Err(KeyError::Missing));
    }

    #[test]
    fn l2_who_ends_a_claim_need_not_repeat_its_spans() {
        let claimed = decide(None, &wish(1), at(1_000));
        assert_eq!(claimed.answer.until_ms, Some(11_000));
        let entry = claimed.write.unwrap();
        let renew = Call::Renew {
            token: token(1),
            lease: None,
        };
        assert_eq!(
            decide(Some(&entry), &renew, at(5_000)).answer.until_ms,
            Some(15_000)
        );
        let complete = Call::Complete {
            token: token(1),
            result: None,
            retention: None,
        };
        let completed = decide(Some(&entry), &complete, at(5_000));
        assert_eq!(completed.answer.until_ms, Some(65_000));
        assert_eq!(
            decide(None, &renew, at(5_000)).answer.outcome,
            Outcome::Gone
        );
    }

    #[test]
    fn l2_the_steps_of_an_expired_record_go_with_it_and_those_of_a_takeover_stay() {
        let entry = decide(None, &wish(1), at(1_000)).write.unwrap();
        let takeover = decide(Some(&entry), &wish(2), at(20_000));
        assert!(!takeover.forget_steps);
        let complete = Call::Complete {
            token: token(2),
            result: None,
            retention: None,
        };
        let done = decide(takeover.write.as_ref(), &complete, at(20_000))
            .write
            .unwrap();
        assert!(done.may_go(80_000) && !done.may_go(79_999));
        assert!(decide(Some(&done), &wish(3), at(80_000)).forget_steps);
    }

    #[test]
    fn l2_a_step_needs_the_token_and_their_number_is_bounded() {
        let entry = decide(None, &wish(1), at(1_000)).write.unwrap();
        let keep = |n, known, count| keep_step(Some(&entry), &token(n), known, count);
        assert_eq!(keep(1, false, 0), (Kept::Saved, true));
        assert_eq!(keep(1, true, STEPS_MAX), (Kept::Saved, false));
        assert_eq!(keep(1, false, STEPS_MAX), (Kept::TooMany, false));
        assert_eq!(keep(2, false, 0), (Kept::Fenced, false));
        assert_eq!(keep_step(None, &token(1), false, 0), (Kept::Fenced, false));
    }

    #[test]
    fn l2_a_result_survives_being_kept() {
        let results = [
            Stored::Bytes(Vec::new()),
            Stored::Bytes(vec![1, 0, 255]),
            Stored::Json("{\"charge\":1.10}".to_owned()),
        ];
        for result in results {
            assert_eq!(Stored::decode(&result.clone().encode()), Some(result));
        }
        assert_eq!(Stored::decode(&[]), None);
        assert_eq!(Stored::decode(&[7]), None);
    }
}
