//! What the claim API answers.

use std::time::Duration;

use axum::response::Response;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hooklatch_core::receiving::call::{Answer, ClaimId, Entry, Kept, Outcome, Stored};
use hooklatch_core::receiving::claim::{Claimed, Completion, Grant, Hold, StateName};
use hooklatch_core::receiving::limits::STEPS_MAX;
use hooklatch_core::receiving::token::Token;
use hooklatch_core::time::Timestamp;
use http::{HeaderValue, header};
use serde::Serialize;
use serde_json::json;
use serde_json::value::RawValue;

use crate::history;
use crate::problem::{Kind, Problem};

/// How a holder ends a claim, or goes on with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ending {
    Complete,
    Release,
    Renew,
    Fail,
}

impl Ending {
    /// Whether a field belongs to it. The token belongs to all.
    pub fn takes(self, pointer: &str) -> bool {
        let own: &[&str] = match self {
            Self::Complete => &["/result", "/result_base64", "/window_seconds"],
            Self::Release => &["/retry_after_seconds", "/error"],
            Self::Renew => &["/lease_seconds"],
            Self::Fail => &["/error", "/window_seconds"],
        };
        own.contains(&pointer)
    }

    /// The state that it leads to.
    const fn state(self) -> StateName {
        match self {
            Self::Complete => StateName::Completed,
            Self::Release => StateName::Released,
            Self::Renew => StateName::Processing,
            Self::Fail => StateName::Dead,
        }
    }
}

/// The answer to a claim.
pub(super) fn claimed(id: ClaimId, token: Token, answer: Answer) -> Result<Response, Problem> {
    let claimed = match answer.outcome {
        Outcome::Claimed(claimed) => claimed,
        Outcome::Completed(_) | Outcome::Held(_) | Outcome::Gone => {
            unreachable!("a claim is answered as one")
        }
    };
    match claimed {
        Claimed::Run(grant) => Ok(acquired(id, token, &grant, answer.until_ms)),
        Claimed::Busy { retry_after } => Ok(in_progress(id, retry_after)),
        Claimed::Done { result } => Ok(history::answer(&Done {
            outcome: "completed",
            id: id.to_string(),
            result: ResultFields::of(result.as_deref()),
        })),
        Claimed::Dead { error } => Ok(history::answer(&json!({
            "outcome": "dead", "id": id.to_string(), "error": error,
        }))),
        Claimed::Conflict { state } => Err(conflict(id, state)),
    }
}

fn acquired(id: ClaimId, token: Token, grant: &Grant, until_ms: Option<u64>) -> Response {
    history::answer(&json!({
        "outcome": "acquired",
        "id": id.to_string(),
        "token": token.to_hex(),
        "attempt": grant.attempt,
        "generation": grant.generation,
        "fence": grant.fence,
        "origin": grant.origin.name(),
        "lease_expires_at": until_ms.map(time),
    }))
}

fn in_progress(id: ClaimId, retry_after: Duration) -> Response {
    let whole = whole_seconds(retry_after);
    let answer = json!({
        "outcome": "in_progress",
        "id": id.to_string(),
        "retry_after": whole,
        "retry_after_seconds": retry_after.as_secs_f64(),
    });
    let mut response = history::answer(&answer);
    let headers = response.headers_mut();
    headers.insert(header::RETRY_AFTER, HeaderValue::from(whole));
    response
}

/// Never too early.
fn whole_seconds(span: Duration) -> u64 {
    span.as_secs() + u64::from(span.subsec_nanos() > 0)
}

fn conflict(id: ClaimId, state: StateName) -> Problem {
    let detail = format!(
        "the key was claimed with another fingerprint, and is {}; nothing was changed: look at \
         both payloads, and claim under another key if they are two events",
        state.name()
    );
    let problem = Problem::conflict(detail).with("outcome", "conflict");
    problem
        .with("id", id.to_string())
        .with("state", state.name())
}

/// The answer to what a holder does.
pub(super) fn ended(id: ClaimId, ending: Ending, answer: Answer) -> Result<Response, Problem> {
    let outcome = match answer.outcome {
        Outcome::Completed(Completion::Applied) | Outcome::Held(Hold::Kept) => "applied",
        Outcome::Completed(Completion::AlreadyComplete) => "already_complete",
        Outcome::Completed(Completion::Fenced) | Outcome::Held(Hold::Fenced) => {
            return Err(fenced(id));
        }
        Outcome::Completed(Completion::Gone) | Outcome::Gone => return Err(gone(id)),
        Outcome::Claimed(_) => unreachable!("only claims are answered so"),
    };
    let state = ending.state();
    let mut answered = json!({
        "outcome": outcome,
        "id": id.to_string(),
        "state": state.name(),
    });
    if let Some(until_ms) = answer.until_ms {
        answered[until_name(state)] = time(until_ms).to_string().into();
    }
    Ok(history::answer(&answered))
}

fn fenced(id: ClaimId) -> Problem {
    let detail = "the token is not the claim's any more: the lease ended and somebody else took \
                  the event over, or it was released or failed; nothing was changed, and this \
                  attempt must not go on";
    let problem = Problem::conflict(detail).with("outcome", "fenced");
    problem.with("id", id.to_string())
}

/// 404: there is no such claim.
pub(super) fn gone(id: ClaimId) -> Problem {
    let detail =
        format!("this project has no claim {id}: it was never made, or its window has ended since");
    let problem = Problem::new(Kind::NotFound, detail).with("outcome", "gone");
    problem.with("id", id.to_string())
}

/// The answer to a step's result.
pub(super) fn kept(id: ClaimId, kept: Kept) -> Result<Response, Problem> {
    match kept {
        Kept::Saved => Ok(history::answer(
            &json!({"outcome": "saved", "id": id.to_string()}),
        )),
        Kept::Fenced => Err(fenced(id)),
        Kept::TooMany => {
            let detail = format!("is one more than the {STEPS_MAX} steps that are kept");
            Err(Problem::field("/name", detail))
        }
    }
}

/// A result in the form in which it was given: JSON, or bytes.
#[derive(Serialize)]
struct ResultFields {
    result: Option<Box<RawValue>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    result_base64: Option<String>,
}

impl ResultFields {
    fn of(kept: Option<&[u8]>) -> Self {
        match kept.and_then(Stored::decode) {
            Some(Stored::Bytes(bytes)) => Self {
                result: None,
                result_base64: Some(STANDARD.encode(bytes)),
            },
            Some(Stored::Json(text)) => Self {
                result: RawValue::from_string(text).ok(),
                result_base64: None,
            },
            None => Self {
                result: None,
                result_base64: None,
            },
        }
    }
}

/// What a repeat gets.
#[derive(Serialize)]
struct Done {
    outcome: &'static str,
    id: String,
    #[serde(flatten)]
    result: ResultFields,
}

/// A step as people see it.
#[derive(Serialize)]
pub(super) struct StepRecord {
    name: String,
    generation: u32,
    #[serde(flatten)]
    result: ResultFields,
}

pub(super) fn step_record(name: String, generation: u32, kept: &[u8]) -> StepRecord {
    StepRecord {
        name,
        generation,
        result: ResultFields::of(Some(kept)),
    }
}

/// A claim as people see it: without its token.
#[derive(Serialize)]
pub(super) struct ClaimRecord {
    id: String,
    scope: String,
    key: String,
    state: &'static str,
    attempts: u32,
    generation: u32,
    fence: u64,
    origin: &'static str,
    fingerprint: String,
    #[serde(flatten)]
    result: ResultFields,
    error: Option<String>,
    /// Until it may be claimed; none where that will not help.
    retry_after_seconds: Option<f64>,
    lease_expires_at: Option<Timestamp>,
    retry_at: Option<Timestamp>,
    expires_at: Option<Timestamp>,
    lease_seconds: f64,
    window_seconds: f64,
    metadata: MetadataRecord,
}

#[derive(Serialize)]
struct MetadataRecord {
    provider: Option<String>,
    event_type: Option<String>,
    received_at: Option<Timestamp>,
}

impl ClaimRecord {
    /// The record of a claim; nothing once it has expired.
    pub fn of(id: ClaimId, entry: Entry, now: Timestamp) -> Option<Self> {
        let now_ms = u64::try_from(now.as_millis()).unwrap_or(0);
        let seen = entry.sighting(now_ms)?;
        let until = time(entry.record.state.until_ms());
        let at = |state: StateName| (seen.state == state).then_some(until);
        let text = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
        let waits = entry.record.state.waits_until_ms().is_some();
        Some(Self {
            id: id.to_string(),
            scope: entry.scope,
            key: entry.key,
            state: seen.state.name(),
            attempts: seen.attempt,
            generation: seen.generation,
            fence: seen.fence,
            origin: seen.origin.name(),
            fingerprint: seen.fingerprint.to_string(),
            result: ResultFields::of(seen.result.as_deref()),
            retry_after_seconds: waits.then_some(seen.wait.as_secs_f64()),
            lease_expires_at: at(StateName::Processing),
            retry_at: at(StateName::Released),
            expires_at: at(StateName::Completed).or(at(StateName::Dead)),
            lease_seconds: entry.lease.as_secs_f64(),
            window_seconds: entry.retention.as_secs_f64(),
            metadata: MetadataRecord {
                provider: text(seen.metadata.provider()),
                event_type: text(seen.metadata.event_type()),
                received_at: seen.metadata.received_at_ms().map(Timestamp::from_millis),
            },
            error: seen.error,
        })
    }
}

/// What the end of a state is called.
const fn until_name(state: StateName) -> &'static str {
    match state {
        StateName::Processing => "lease_expires_at",
        StateName::Released => "retry_at",
        StateName::Completed | StateName::Dead => "expires_at",
    }
}

fn time(ms: u64) -> Timestamp {
    Timestamp::from_millis(i64::try_from(ms).unwrap_or(i64::MAX))
}
