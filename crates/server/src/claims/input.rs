//! Reads the calls of the claim API, and says everything that is wrong with one at once.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hooklatch_core::receiving::call::{Call, ClaimId, Step, Stored};
use hooklatch_core::receiving::claim::{Claim, Intent, Metadata};
use hooklatch_core::receiving::key::{Fingerprint, from_hex};
use hooklatch_core::receiving::limits::{
    ATTEMPTS_DEFAULT, ATTEMPTS_MAX, LEASE_MAX, METADATA_BYTES_MAX, NAME_BYTES_MAX,
    RESULT_BYTES_MAX, RETENTION_MAX, SCOPE_CHARS_MAX, STEP_NAME_BYTES_MAX,
};
use hooklatch_core::receiving::token::Token;
use hooklatch_core::time::Timestamp;
use serde::Deserialize;
use serde_json::Value;

use super::answer::Ending;
use crate::problem::{FieldProblem, Problem};

/// The shortest lease, and the shortest window.
const SPAN_MIN: Duration = Duration::from_millis(1);

/// `POST /v1/claims`, as the caller wrote it.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct ClaimInput {
    scope: Option<String>,
    key: Option<String>,
    fingerprint: Option<String>,
    lease_seconds: Option<f64>,
    window_seconds: Option<f64>,
    attempts_max: Option<u32>,
    token: Option<String>,
    replay: Option<bool>,
    metadata: Option<MetadataInput>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct MetadataInput {
    provider: Option<String>,
    event_type: Option<String>,
    received_at: Option<Timestamp>,
}

/// A claim that can be asked for.
pub(super) struct Asked {
    pub scope: String,
    pub key: String,
    pub id: ClaimId,
    pub wish: Claim,
}

/// What a holder says, as the caller wrote it. Each verb takes some of it.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct HolderInput {
    token: Option<String>,
    result: Option<Value>,
    result_base64: Option<String>,
    window_seconds: Option<f64>,
    retry_after_seconds: Option<f64>,
    lease_seconds: Option<f64>,
    error: Option<String>,
}

/// A step's result, as the caller wrote it.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct StepInput {
    token: Option<String>,
    name: Option<String>,
    result: Option<Value>,
    result_base64: Option<String>,
}

/// What is wrong with the fields so far.
#[derive(Default)]
struct Checker(Vec<FieldProblem>);

impl ClaimInput {
    /// # Errors
    /// 400 where there is no key, as for sends; 422 for any other field.
    pub fn check(self, token: impl FnOnce() -> Token) -> Result<Asked, Problem> {
        let key = checked_key(self.key)?;
        let mut check = Checker::default();
        let scope = check.scope(self.scope);
        let fingerprint = check.fingerprint(self.fingerprint.as_deref());
        let lease = check.span("/lease_seconds", self.lease_seconds, SPAN_MIN, LEASE_MAX);
        let window = self.window_seconds;
        let retention = check.span("/window_seconds", window, SPAN_MIN, RETENTION_MAX);
        if lease.is_none() && self.lease_seconds.is_none() {
            check.refuse(
                "/lease_seconds",
                "is missing; say how long one attempt may take",
            );
        }
        if retention.is_none() && window.is_none() {
            check.refuse(
                "/window_seconds",
                "is missing; say how long a repeat may come",
            );
        }
        let attempts_max = check.attempts(self.attempts_max);
        let given = self.token.is_some();
        let own = check.token(self.token.as_deref());
        let metadata = check.metadata(self.metadata.unwrap_or_default());
        check.finish()?;
        let id = ClaimId::of(&scope, &key);
        let id = id.map_err(|error| Problem::malformed(error.to_string()))?;
        Ok(Asked {
            scope,
            key,
            id,
            wish: Claim {
                key: id.0,
                fingerprint,
                token: if given { own } else { token() },
                lease: lease.unwrap_or(SPAN_MIN),
                attempts_max,
                retention: retention.unwrap_or(SPAN_MIN),
                intent: match self.replay {
                    Some(true) => Intent::Replay,
                    Some(false) | None => Intent::Delivery,
                },
                metadata,
            },
        })
    }
}

fn checked_key(key: Option<String>) -> Result<String, Problem> {
    match key {
        Some(key) if (1..=NAME_BYTES_MAX).contains(&key.len()) => Ok(key),
        Some(_) | None => Err(Problem::malformed(format!(
            "give a key of 1 to {NAME_BYTES_MAX} bytes: what makes two arrivals the same event"
        ))),
    }
}

impl HolderInput {
    pub fn check(self, ending: Ending, successor: impl FnOnce() -> Token) -> Result<Call, Problem> {
        let mut check = Checker::default();
        self.refuse_strangers(ending, &mut check);
        let token = check.required_token(self.token.as_deref());
        let result = check.result(self.result, self.result_base64.as_deref());
        let retention = check.span(
            "/window_seconds",
            self.window_seconds,
            SPAN_MIN,
            RETENTION_MAX,
        );
        let lease = check.span("/lease_seconds", self.lease_seconds, SPAN_MIN, LEASE_MAX);
        let (after, none) = (self.retry_after_seconds, Duration::ZERO);
        let retry_after = check.span("/retry_after_seconds", after, none, LEASE_MAX);
        check.finish()?;
        let error = self.error.unwrap_or_default();
        Ok(match ending {
            Ending::Complete => Call::Complete {
                token,
                result,
                retention,
            },
            Ending::Release => Call::Release {
                token,
                successor: successor(),
                retry_after: retry_after.unwrap_or(none),
                error,
            },
            Ending::Renew => Call::Renew { token, lease },
            Ending::Fail => Call::Fail {
                token,
                error,
                retention,
            },
        })
    }

    /// A field of another verb would be ignored, and somebody would rely on it.
    fn refuse_strangers(&self, ending: Ending, check: &mut Checker) {
        let given = [
            ("/result", self.result.is_some()),
            ("/result_base64", self.result_base64.is_some()),
            ("/window_seconds", self.window_seconds.is_some()),
            ("/retry_after_seconds", self.retry_after_seconds.is_some()),
            ("/lease_seconds", self.lease_seconds.is_some()),
            ("/error", self.error.is_some()),
        ];
        for (pointer, _) in given.into_iter().filter(|(_, given)| *given) {
            if !ending.takes(pointer) {
                check.refuse(pointer, "means nothing here; leave it out");
            }
        }
    }
}

impl StepInput {
    pub fn check(self) -> Result<Step, Problem> {
        let mut check = Checker::default();
        let token = check.required_token(self.token.as_deref());
        let result = check.result(self.result, self.result_base64.as_deref());
        let name = self.name.unwrap_or_default();
        if !(1..=STEP_NAME_BYTES_MAX).contains(&name.len()) {
            let should = format!("should be a name of 1 to {STEP_NAME_BYTES_MAX} bytes");
            check.refuse("/name", should);
        }
        check.finish()?;
        let null = || Stored::Json("null".to_owned()).encode();
        Ok(Step {
            token,
            name,
            result: result.unwrap_or_else(null),
        })
    }
}

impl Checker {
    fn refuse(&mut self, pointer: &str, detail: impl Into<String>) {
        self.0.push(FieldProblem {
            pointer: pointer.to_owned(),
            detail: detail.into(),
        });
    }

    fn finish(self) -> Result<(), Problem> {
        if self.0.is_empty() {
            Ok(())
        } else {
            Err(Problem::fields(self.0))
        }
    }

    fn scope(&mut self, scope: Option<String>) -> String {
        let scope = scope.unwrap_or_default();
        if !(1..=SCOPE_CHARS_MAX).contains(&scope.chars().count()) {
            let should = format!(
                "should be a text of 1 to {SCOPE_CHARS_MAX} characters: whose work it is, for \
                 example \"stripe/billing\""
            );
            self.refuse("/scope", should);
        }
        scope
    }

    /// Claims without a fingerprint are all alike.
    fn fingerprint(&mut self, text: Option<&str>) -> Fingerprint {
        let Some(text) = text else {
            return Fingerprint::of(b"");
        };
        let bytes = from_hex(text);
        if bytes.is_none() {
            self.refuse(
                "/fingerprint",
                "should be a SHA-256 in 64 hexadecimal digits",
            );
        }
        Fingerprint::from_bytes(bytes.unwrap_or_default())
    }

    fn attempts(&mut self, attempts: Option<u32>) -> u32 {
        let attempts = attempts.unwrap_or(ATTEMPTS_DEFAULT);
        if !(1..=ATTEMPTS_MAX).contains(&attempts) {
            let should = format!("should be from 1 to {ATTEMPTS_MAX}");
            self.refuse("/attempts_max", should);
        }
        attempts
    }

    fn required_token(&mut self, text: Option<&str>) -> Token {
        if text.is_none() {
            self.refuse("/token", "is missing; give the token of the claim");
        }
        self.token(text)
    }

    fn token(&mut self, text: Option<&str>) -> Token {
        let Some(text) = text else {
            return Token::from_bytes([0; 16]);
        };
        let token = Token::from_hex(text);
        if token.is_none() {
            self.refuse("/token", "should be 32 hexadecimal digits");
        }
        token.unwrap_or(Token::from_bytes([0; 16]))
    }

    /// A number of seconds, to the millisecond.
    fn span(
        &mut self,
        pointer: &str,
        seconds: Option<f64>,
        min: Duration,
        max: Duration,
    ) -> Option<Duration> {
        let span = Duration::try_from_secs_f64(seconds?).ok();
        let fits = span.filter(|span| (min..=max).contains(span));
        if fits.is_none() {
            let (min, max) = (min.as_secs_f64(), max.as_secs());
            self.refuse(pointer, format!("should be from {min} to {max}"));
        }
        fits
    }

    fn metadata(&mut self, metadata: MetadataInput) -> Metadata {
        let mut text = |pointer: &str, text: Option<String>| {
            let text = text.unwrap_or_default();
            if text.len() > METADATA_BYTES_MAX {
                let should = format!("should have at most {METADATA_BYTES_MAX} bytes");
                self.refuse(pointer, should);
            }
            text
        };
        let provider = text("/metadata/provider", metadata.provider);
        let event_type = text("/metadata/event_type", metadata.event_type);
        let received_at_ms = metadata.received_at.map(Timestamp::as_millis);
        Metadata::new(&provider, &event_type, received_at_ms)
    }

    fn result(&mut self, value: Option<Value>, base64: Option<&str>) -> Option<Vec<u8>> {
        let (pointer, stored) = match (value, base64) {
            (None, None) => return None,
            (Some(_), Some(_)) => {
                self.refuse("/result", "stands beside result_base64; give one of them");
                return None;
            }
            (Some(value), None) => ("/result", Stored::Json(value.to_string())),
            (None, Some(text)) => match STANDARD.decode(text) {
                Ok(bytes) => ("/result_base64", Stored::Bytes(bytes)),
                Err(_) => {
                    self.refuse("/result_base64", "should be bytes in base64, padded");
                    return None;
                }
            },
        };
        let length = match &stored {
            Stored::Json(text) => text.len(),
            Stored::Bytes(bytes) => bytes.len(),
        };
        if length > RESULT_BYTES_MAX {
            let detail = format!(
                "has {length} bytes, and a result has at most {RESULT_BYTES_MAX}; keep what is \
                 larger elsewhere, and give its place or its hash"
            );
            self.refuse(pointer, detail);
        }
        Some(stored.encode())
    }
}
