//! What goes over the wire: the bodies of the claim API, and how its answers read.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hooklatch_core::time::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::Error;
use crate::claim::{Claim, Claimed, Grant, Intent, Metadata, Origin, Sighting, StateName};
use crate::key::{Fingerprint, from_hex};
use crate::limits::{LEASE_MAX, RETENTION_MAX};
use crate::token::Token;

/// `POST /v1/claims`.
#[derive(Serialize)]
pub(super) struct ClaimBody<'a> {
    scope: &'a str,
    key: String,
    fingerprint: String,
    lease_seconds: f64,
    window_seconds: f64,
    attempts_max: u32,
    token: String,
    replay: bool,
    metadata: MetadataBody,
}

#[derive(Serialize, Deserialize, Default)]
struct MetadataBody {
    #[serde(default)]
    provider: Option<String>,
    #[serde(default)]
    event_type: Option<String>,
    #[serde(default)]
    received_at: Option<Timestamp>,
}

impl<'a> ClaimBody<'a> {
    pub(super) fn of(scope: &'a str, claim: &Claim) -> Self {
        let metadata = &claim.metadata;
        let text = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
        Self {
            scope,
            key: claim.key.to_string(),
            fingerprint: claim.fingerprint.to_string(),
            lease_seconds: seconds(claim.lease, LEASE_MAX),
            window_seconds: seconds(claim.retention, RETENTION_MAX),
            attempts_max: claim.attempts_max.clamp(1, crate::limits::ATTEMPTS_MAX),
            token: claim.token.to_hex(),
            replay: claim.intent == Intent::Replay,
            metadata: MetadataBody {
                provider: text(metadata.provider()),
                event_type: text(metadata.event_type()),
                received_at: metadata.received_at_ms().map(Timestamp::from_millis),
            },
        }
    }
}

/// What ends or prolongs a claim, and what keeps a step.
#[derive(Serialize, Default)]
pub(super) struct HolderBody<'a> {
    pub token: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub result_base64: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub window_seconds: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lease_seconds: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry_after_seconds: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<&'a str>,
}

impl HolderBody<'_> {
    pub(super) fn by(token: Token) -> Self {
        Self {
            token: token.to_hex(),
            ..Self::default()
        }
    }
}

pub(super) fn encode(result: &[u8]) -> String {
    STANDARD.encode(result)
}

/// A span as the API has it: a number of seconds. The API has no span of nothing where a lease or
/// a window has to last, so that the least is a millisecond.
pub(super) fn seconds(span: Duration, max: Duration) -> f64 {
    span.clamp(Duration::from_millis(1), max).as_secs_f64()
}

/// Every answer that has an outcome, refusals included.
#[derive(Deserialize)]
pub(super) struct Outcome {
    pub outcome: String,
    fence: Option<u64>,
    generation: Option<u32>,
    attempt: Option<u32>,
    origin: Option<String>,
    #[serde(flatten)]
    result: StoredResult,
    retry_after_seconds: Option<f64>,
    state: Option<String>,
    error: Option<String>,
}

#[derive(Deserialize)]
struct StoredResult {
    result: Option<Value>,
    result_base64: Option<String>,
}

impl StoredResult {
    /// Bytes as they were given; of a JSON value, which another kind of client has stored, its text.
    fn bytes(self) -> Result<Option<Vec<u8>>, Error> {
        if let Some(text) = self.result_base64 {
            return Ok(Some(STANDARD.decode(text)?));
        }
        Ok(self.result.map(|value| value.to_string().into_bytes()))
    }
}

impl Outcome {
    pub(super) fn claimed(self, token: Token) -> Result<Claimed, Error> {
        Ok(match self.outcome.as_str() {
            "acquired" => Claimed::Run(Grant {
                token,
                fence: self.fence.ok_or("the answer has no fence")?,
                // Steps are found by their generation: the gateway knows the record.
                epoch: 0,
                generation: self.generation.ok_or("the answer has no generation")?,
                attempt: self.attempt.ok_or("the answer has no attempt")?,
                origin: origin(self.origin.as_deref())?,
            }),
            "completed" => Claimed::Done {
                result: self.result.bytes()?,
            },
            "in_progress" => Claimed::Busy {
                retry_after: span(self.retry_after_seconds)?,
            },
            "conflict" => Claimed::Conflict {
                state: state(self.state.as_deref())?,
            },
            "dead" => Claimed::Dead {
                error: self.error.unwrap_or_default(),
            },
            other => return Err(unknown(other)),
        })
    }
}

/// `GET /v1/claims/{id}`.
#[derive(Deserialize)]
pub(super) struct ClaimRecord {
    state: String,
    fence: u64,
    generation: u32,
    attempts: u32,
    origin: String,
    fingerprint: String,
    #[serde(flatten)]
    result: StoredResult,
    error: Option<String>,
    retry_after_seconds: Option<f64>,
    metadata: MetadataBody,
}

impl ClaimRecord {
    pub(super) fn sighting(self) -> Result<Sighting, Error> {
        let fingerprint = from_hex(&self.fingerprint);
        let metadata = self.metadata;
        let text = |text: Option<String>| text.unwrap_or_default();
        Ok(Sighting {
            state: state(Some(&self.state))?,
            fence: self.fence,
            generation: self.generation,
            attempt: self.attempts,
            origin: origin(Some(&self.origin))?,
            fingerprint: fingerprint
                .map(Fingerprint::from_bytes)
                .ok_or("the fingerprint is none")?,
            result: self.result.bytes()?,
            error: self.error,
            wait: self
                .retry_after_seconds
                .map_or(Ok(Duration::ZERO), |wait| span(Some(wait)))?,
            metadata: Metadata::new(
                &text(metadata.provider),
                &text(metadata.event_type),
                metadata.received_at.map(Timestamp::as_millis),
            ),
        })
    }
}

/// `GET /v1/claims/{id}/steps`.
#[derive(Deserialize)]
pub(super) struct Steps {
    data: Vec<StoredResult>,
}

impl Steps {
    pub(super) fn result(self) -> Result<Option<Vec<u8>>, Error> {
        let step = self.data.into_iter().next();
        step.map_or(Ok(None), StoredResult::bytes)
    }
}

fn span(seconds: Option<f64>) -> Result<Duration, Error> {
    let seconds = seconds.ok_or("the answer does not say how long")?;
    Ok(Duration::try_from_secs_f64(seconds)?)
}

fn origin(word: Option<&str>) -> Result<Origin, Error> {
    let origin = word.and_then(Origin::from_name);
    origin.ok_or_else(|| unknown(word.unwrap_or("no origin")))
}

fn state(word: Option<&str>) -> Result<StateName, Error> {
    let state = word.and_then(StateName::from_name);
    state.ok_or_else(|| unknown(word.unwrap_or("no state")))
}

pub(super) fn unknown(word: &str) -> Error {
    format!("the gateway answered {word:?}").into()
}
