//! The store's methods, each one call of the claim API.

use std::time::Duration;

use bytes::Bytes;
use hooklatch_core::receiving::call::ClaimId;
use http::{Method, StatusCode};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::wire::{ClaimBody, ClaimRecord, HolderBody, Outcome, Steps, encode, seconds, unknown};
use super::{Error, RemoteStore, Said};
use crate::claim::{Claim, Claimed, Completion, Held, Hold, Saved, Sighting};
use crate::key::ScopeKey;
use crate::limits::{LEASE_MAX, RETENTION_MAX};
use crate::store::{Clock, Effect, Memory, Promise, Store, StoreError};

/// A refusal, as far as it is of interest to whoever reads a log.
#[derive(serde::Deserialize, Default)]
#[serde(default)]
struct Problem {
    outcome: Option<String>,
    detail: String,
}

impl Said {
    /// The answer, also where it is a refusal that the rules know: a conflict, a token that was
    /// overtaken, a claim that is gone.
    fn outcome(&self) -> Result<Outcome, Error> {
        let refusal: Problem = serde_json::from_slice(&self.body).unwrap_or_default();
        if self.status.is_success() || refusal.outcome.is_some() {
            return Ok(serde_json::from_slice(&self.body)?);
        }
        Err(self.refused())
    }

    fn record<T: DeserializeOwned>(&self) -> Result<T, Error> {
        if self.status.is_success() {
            return Ok(serde_json::from_slice(&self.body)?);
        }
        Err(self.refused())
    }

    fn refused(&self) -> Error {
        let problem: Problem = serde_json::from_slice(&self.body).unwrap_or_default();
        format!("the gateway answered {}: {}", self.status, problem.detail).into()
    }
}

impl RemoteStore {
    fn path(&self, key: &ScopeKey, rest: &str) -> Result<String, Error> {
        let id = ClaimId::of(&self.scope, &key.to_string())?;
        Ok(format!("/v1/claims/{id}{rest}"))
    }

    async fn post(&self, path: &str, body: &impl Serialize) -> Result<Outcome, Error> {
        let body = Bytes::from(serde_json::to_vec(body)?);
        self.ask(&Method::POST, path, &body).await?.outcome()
    }

    /// A call of whoever holds a claim; answers the outcome.
    async fn end(&self, held: &Held, verb: &str, body: HolderBody<'_>) -> Result<String, Error> {
        let path = self.path(&held.key, verb)?;
        Ok(self.post(&path, &body).await?.outcome)
    }

    async fn hold(
        &self,
        operation: &'static str,
        held: &Held,
        body: HolderBody<'_>,
    ) -> Result<Hold, StoreError> {
        let ended = self.end(held, &format!("/{operation}"), body).await;
        let word = ended.map_err(|error| StoreError::new(operation, error))?;
        match word.as_str() {
            "applied" => Ok(Hold::Kept),
            "fenced" | "gone" => Ok(Hold::Fenced),
            other => Err(StoreError::new(operation, unknown(other))),
        }
    }

    async fn found(&self, key: &ScopeKey) -> Result<Option<Sighting>, Error> {
        let path = self.path(key, "")?;
        let said = self.ask(&Method::GET, &path, &Bytes::new()).await?;
        if said.status == StatusCode::NOT_FOUND && said.outcome()?.outcome == "gone" {
            return Ok(None);
        }
        said.record::<ClaimRecord>()?.sighting().map(Some)
    }

    async fn step(&self, held: &Held, step: &str) -> Result<Option<Vec<u8>>, Error> {
        let name: String = form_encoded(step);
        let query = format!("/steps?generation={}&name={name}", held.generation);
        let path = self.path(&held.key, &query)?;
        let said = self.ask(&Method::GET, &path, &Bytes::new()).await?;
        said.record::<Steps>()?.result()
    }
}

/// A text as a part of a query.
fn form_encoded(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02X}")).collect()
}

impl Store for RemoteStore {
    async fn claim(&self, claim: &Claim) -> Result<Claimed, StoreError> {
        let body = ClaimBody::of(&self.scope, claim);
        let claimed = self.post("/v1/claims", &body).await;
        let claimed = claimed.and_then(|outcome| outcome.claimed(claim.token));
        claimed.map_err(|error| StoreError::new("claim", error))
    }

    async fn complete(
        &self,
        held: &Held,
        result: Option<&[u8]>,
        retention: Duration,
    ) -> Result<Completion, StoreError> {
        let body = HolderBody {
            result_base64: result.map(encode),
            window_seconds: Some(seconds(retention, RETENTION_MAX)),
            ..HolderBody::by(held.token)
        };
        let ended = self.end(held, "/complete", body).await;
        let word = ended.map_err(|error| StoreError::new("complete", error))?;
        match word.as_str() {
            "applied" => Ok(Completion::Applied),
            "already_complete" => Ok(Completion::AlreadyComplete),
            "fenced" => Ok(Completion::Fenced),
            "gone" => Ok(Completion::Gone),
            other => Err(StoreError::new("complete", unknown(other))),
        }
    }

    async fn release(
        &self,
        held: &Held,
        retry_after: Duration,
        error: &str,
    ) -> Result<Hold, StoreError> {
        let body = HolderBody {
            retry_after_seconds: Some(retry_after.min(LEASE_MAX).as_secs_f64()),
            error: Some(error),
            ..HolderBody::by(held.token)
        };
        self.hold("release", held, body).await
    }

    async fn renew(&self, held: &Held, lease: Duration) -> Result<Hold, StoreError> {
        let body = HolderBody {
            lease_seconds: Some(seconds(lease, LEASE_MAX)),
            ..HolderBody::by(held.token)
        };
        self.hold("renew", held, body).await
    }

    async fn fail(
        &self,
        held: &Held,
        error: &str,
        retention: Duration,
    ) -> Result<Hold, StoreError> {
        let body = HolderBody {
            error: Some(error),
            window_seconds: Some(seconds(retention, RETENTION_MAX)),
            ..HolderBody::by(held.token)
        };
        self.hold("fail", held, body).await
    }

    async fn lookup(&self, key: &ScopeKey) -> Result<Option<Sighting>, StoreError> {
        let found = self.found(key).await;
        found.map_err(|error| StoreError::new("lookup", error))
    }

    async fn save_step(&self, held: &Held, step: &str, result: &[u8]) -> Result<Saved, StoreError> {
        let body = HolderBody {
            name: Some(step),
            result_base64: Some(encode(result)),
            ..HolderBody::by(held.token)
        };
        let ended = self.end(held, "/steps", body).await;
        let word = ended.map_err(|error| StoreError::new("save_step", error))?;
        match word.as_str() {
            "saved" => Ok(Saved::Saved),
            "fenced" | "gone" => Ok(Saved::Fenced),
            other => Err(StoreError::new("save_step", unknown(other))),
        }
    }

    async fn load_step(&self, held: &Held, step: &str) -> Result<Option<Vec<u8>>, StoreError> {
        let found = self.step(held, step).await;
        found.map_err(|error| StoreError::new("load_step", error))
    }

    async fn sweep(&self, _limit: u32) -> Result<u64, StoreError> {
        // The gateway does.
        Ok(0)
    }

    fn promise(&self) -> Promise {
        Promise {
            memory: Memory::Durable,
            effect: Effect::AtLeastOnce,
            clock: Clock::Server,
        }
    }
}
