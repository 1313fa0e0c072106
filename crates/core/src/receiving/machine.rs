//! The rules of the kit: what a claim, a completion, a release means for a record.
//!
//! Facts in, decision out. The caller holds the record's lock and gives the time by the store's
//! clock; nothing here reads a clock or a store. A store that decides in one statement or script
//! of its own must agree with this, and the vectors tell whether it does.
//!
//! ```text
//! absent     ─ claim ──────────────────────────▶ processing (attempt 1)
//! processing ─ complete, also after its lease ─▶ completed
//! processing ─ release ────────────────────────▶ released (another token)
//! processing ─ fail ───────────────────────────▶ dead
//! processing ─ lease lapsed, claim ────────────▶ processing (another token, attempt + 1) or dead
//! released   ─ its time has come, claim ───────▶ processing (attempt + 1) or dead
//! completed, dead ─ retention over, claim ─────▶ processing (attempt 1)
//! completed, dead ─ replay ────────────────────▶ processing (generation + 1, attempt 1)
//! ```

use std::time::Duration;

use crate::receiving::claim::{Claim, Claimed, Completion, Hold, Intent, Origin};
use crate::receiving::limits::{ERROR_BYTES_MAX, LEASE_MAX, RETENTION_MAX, cut, millis};
use crate::receiving::record::{Record, State};
use crate::receiving::token::Token;

/// What to write, if anything, and what to answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change<T> {
    /// The record as it has to be from now on.
    pub write: Option<Record>,
    /// What the caller hears once it is written.
    pub answer: T,
}

/// The store's facts at the moment of the decision.
#[derive(Debug, Clone, Copy)]
pub struct Moment {
    /// Milliseconds since 1970.
    pub now_ms: u64,
    /// A number larger than any that was given out before. Used only if a new run begins.
    pub next_fence: u64,
}

/// Decides whether an event runs now (V1, V2).
pub fn claim(prior: Option<&Record>, claim: &Claim, at: Moment) -> Change<Claimed> {
    let Some(prior) = prior else {
        return run(opened(claim, at, Origin::First));
    };
    if prior.is_expired(at.now_ms) {
        return run(opened(claim, at, Origin::Expired));
    }
    if prior.fingerprint != claim.fingerprint {
        return refuse(Claimed::Conflict {
            state: prior.state.name(),
        });
    }
    match (&prior.state, claim.intent) {
        (State::Completed { .. } | State::Dead { .. }, Intent::Replay) => {
            let generation = prior.generation + 1;
            run(Record {
                epoch: prior.epoch,
                generation,
                ..opened(claim, at, Origin::Replay)
            })
        }
        (State::Completed { result, .. }, Intent::Delivery) => refuse(Claimed::Done {
            result: result.clone(),
        }),
        (State::Dead { error, .. }, Intent::Delivery) => refuse(Claimed::Dead {
            error: error.clone(),
        }),
        (State::Processing { .. }, _) if prior.token == claim.token => run(Record {
            state: leased(claim, at),
            ..prior.clone()
        }),
        (State::Processing { lease_until_ms }, _) => {
            again(prior, claim, at, *lease_until_ms, Origin::Takeover)
        }
        (State::Released { retry_at_ms, .. }, _) => {
            again(prior, claim, at, *retry_at_ms, Origin::Retry)
        }
    }
}

/// Another attempt of an event that is not final, once its time has come and unless it has had
/// its share. The cap holds here as well, and not only at a release, because a poisonous event may
/// kill the process that runs it.
fn again(
    prior: &Record,
    claim: &Claim,
    at: Moment,
    until_ms: u64,
    origin: Origin,
) -> Change<Claimed> {
    if until_ms > at.now_ms {
        return refuse(Claimed::Busy {
            retry_after: Duration::from_millis(until_ms - at.now_ms),
        });
    }
    if prior.attempt >= claim.attempts_max {
        return bury(prior, claim, at);
    }
    run(Record {
        epoch: prior.epoch,
        generation: prior.generation,
        attempt: prior.attempt + 1,
        ..opened(claim, at, origin)
    })
}

fn bury(prior: &Record, claim: &Claim, at: Moment) -> Change<Claimed> {
    let error = gave_up(prior.attempt, prior.state.error());
    let dead = Record {
        state: State::Dead {
            error: error.clone(),
            expires_at_ms: at.now_ms + millis(claim.retention, RETENTION_MAX),
        },
        ..prior.clone()
    };
    Change {
        write: Some(dead),
        answer: Claimed::Dead { error },
    }
}

/// What is said of an event whose attempts are used up.
pub fn gave_up(attempts: u32, last_error: Option<&str>) -> String {
    let text = match last_error {
        Some(error) if !error.is_empty() => format!("gave up after {attempts} attempts: {error}"),
        Some(_) | None => format!("gave up after {attempts} attempts"),
    };
    cut(&text, ERROR_BYTES_MAX).to_owned()
}

/// Records that it has run: by the token alone, whether or not the lease has lapsed, because
/// refusing would turn a slow success into a second effect.
pub fn complete(
    prior: Option<&Record>,
    token: &Token,
    result: Option<&[u8]>,
    retention: Duration,
    now_ms: u64,
) -> Change<Completion> {
    let Some(prior) = prior else {
        return keep(Completion::Gone);
    };
    if prior.token != *token {
        return keep(Completion::Fenced);
    }
    match &prior.state {
        State::Processing { .. } => Change {
            write: Some(Record {
                state: State::Completed {
                    result: result.map(<[u8]>::to_vec),
                    expires_at_ms: now_ms + millis(retention, RETENTION_MAX),
                },
                ..prior.clone()
            }),
            answer: Completion::Applied,
        },
        State::Completed { .. } => keep(Completion::AlreadyComplete),
        State::Released { .. } | State::Dead { .. } => keep(Completion::Fenced),
    }
}

/// A claim in the caller's own transaction: a claim and its completion in one, which the commit
/// makes true together with the effect.
pub fn claim_in_transaction(prior: Option<&Record>, wish: &Claim, at: Moment) -> Change<Claimed> {
    let mut change = claim(prior, wish, at);
    if let (Claimed::Run(_), Some(record)) = (&change.answer, &change.write) {
        let (result, retention) = (Some(&b""[..]), wish.retention);
        change.write = complete(Some(record), &wish.token, result, retention, at.now_ms).write;
    }
    change
}

/// Ends the lease in place. The record gets a token that nobody holds, so that who has released
/// can do nothing more.
pub fn release(
    prior: Option<&Record>,
    token: &Token,
    successor: Token,
    retry_after: Duration,
    error: &str,
    now_ms: u64,
) -> Change<Hold> {
    held(prior, token, |prior| Record {
        token: successor,
        state: State::Released {
            retry_at_ms: now_ms + millis(retry_after, LEASE_MAX),
            error: cut(error, ERROR_BYTES_MAX).to_owned(),
        },
        ..prior.clone()
    })
}

/// Lets the lease end `lease` from now; one that has lapsed lives again if nobody took over.
pub fn renew(prior: Option<&Record>, token: &Token, lease: Duration, now_ms: u64) -> Change<Hold> {
    held(prior, token, |prior| Record {
        state: State::Processing {
            lease_until_ms: now_ms + millis(lease, LEASE_MAX),
        },
        ..prior.clone()
    })
}

/// Records that it will never succeed.
pub fn fail(
    prior: Option<&Record>,
    token: &Token,
    error: &str,
    retention: Duration,
    now_ms: u64,
) -> Change<Hold> {
    held(prior, token, |prior| Record {
        state: State::Dead {
            error: cut(error, ERROR_BYTES_MAX).to_owned(),
            expires_at_ms: now_ms + millis(retention, RETENTION_MAX),
        },
        ..prior.clone()
    })
}

/// Whether this token may change the record now.
pub fn holds(prior: Option<&Record>, token: &Token) -> bool {
    prior.is_some_and(|prior| {
        prior.token == *token && matches!(prior.state, State::Processing { .. })
    })
}

fn held(
    prior: Option<&Record>,
    token: &Token,
    change: impl FnOnce(&Record) -> Record,
) -> Change<Hold> {
    match prior {
        Some(prior) if holds(Some(prior), token) => Change {
            write: Some(change(prior)),
            answer: Hold::Kept,
        },
        Some(_) | None => keep(Hold::Fenced),
    }
}

/// The record of a first attempt.
fn opened(claim: &Claim, at: Moment, origin: Origin) -> Record {
    Record {
        token: claim.token,
        fence: at.next_fence,
        epoch: at.next_fence,
        generation: 1,
        origin,
        fingerprint: claim.fingerprint,
        attempt: 1,
        state: leased(claim, at),
        metadata: claim.metadata.clone(),
    }
}

fn leased(claim: &Claim, at: Moment) -> State {
    State::Processing {
        lease_until_ms: at.now_ms + millis(claim.lease, LEASE_MAX),
    }
}

fn run(record: Record) -> Change<Claimed> {
    let answer = Claimed::Run(record.grant());
    Change {
        write: Some(record),
        answer,
    }
}

fn refuse(answer: Claimed) -> Change<Claimed> {
    keep(answer)
}

fn keep<T>(answer: T) -> Change<T> {
    Change {
        write: None,
        answer,
    }
}

#[cfg(test)]
#[path = "machine_tests.rs"]
mod tests;
