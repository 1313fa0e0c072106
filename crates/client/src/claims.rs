//! Claims of receivers (L2): for an effect that shall happen once, where the receiver has no store
//! of its own. Claim the event, do the work, and say how it ended.
//!
//! Every call may be repeated: a claim by the token that it brings, the rest by the token that they
//! need anyway. What the rules know as an answer (a conflict, a token that was overtaken) is one
//! here, and no error.

use std::time::Duration;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::call::{Answer, Repeat};
use crate::client::to_json;
use crate::resources::{Query, of};
use crate::wire::{
    ClaimInput, ClaimResult, ClaimState, ClaimStep, ClaimToken, Claimed, Ended, HeldClaim, Page,
    PageRequest, ReceiverClaim,
};
use crate::{Client, Error};

/// What every call of a holder says; each takes some of it.
#[derive(Serialize)]
struct HolderBody<'a> {
    token: &'a ClaimToken,
    #[serde(flatten)]
    result: Option<&'a ClaimResult>,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    lease_seconds: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    retry_after_seconds: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<&'a str>,
}

impl<'a> HolderBody<'a> {
    const fn by(held: &'a HeldClaim) -> Self {
        Self {
            token: &held.token,
            result: None,
            name: None,
            lease_seconds: None,
            retry_after_seconds: None,
            error: None,
        }
    }
}

/// What is told apart before the rest is read.
#[derive(Deserialize)]
struct Told {
    outcome: String,
    #[serde(default)]
    retry_after_seconds: f64,
    #[serde(default)]
    error: String,
    #[serde(flatten)]
    result: ClaimResult,
}

/// For receivers.
impl Client {
    /// Claims an event before its work: run it only where it is [`Claimed::Acquired`].
    ///
    /// # Errors
    /// Where the gateway does not answer, or refuses. Run nothing.
    pub async fn claim(&self, input: &ClaimInput) -> Result<Claimed, Error> {
        let body = to_json(input)?;
        let answer = self.post("/v1/claims".to_owned(), body, Repeat::Safe).await;
        match answer {
            Ok(answer) => claimed(&answer),
            Err(error) => match outcome(&error) {
                Some("conflict") => Ok(Claimed::Conflict {
                    state: state(&error),
                }),
                Some(_) | None => Err(error),
            },
        }
    }

    /// Says that the event has run, and what it gave: a repeat is answered with that.
    ///
    /// # Errors
    /// Where the gateway does not answer, or refuses. The work is done: answer whoever sent the event
    /// with success, and repeat this later.
    pub async fn complete_claim(
        &self,
        held: &HeldClaim,
        result: &ClaimResult,
    ) -> Result<Ended, Error> {
        let body = HolderBody {
            result: Some(result),
            ..HolderBody::by(held)
        };
        self.end_claim(held, "complete", &body).await
    }

    /// Gives the event back: it may be tried again after `retry_after`.
    ///
    /// # Errors
    /// Where the gateway does not answer, or refuses; the lease will lapse.
    pub async fn release_claim(
        &self,
        held: &HeldClaim,
        retry_after: Duration,
        error: &str,
    ) -> Result<Ended, Error> {
        let body = HolderBody {
            retry_after_seconds: Some(retry_after.as_secs_f64()),
            error: Some(error),
            ..HolderBody::by(held)
        };
        self.end_claim(held, "release", &body).await
    }

    /// Starts the lease anew, as long as before or as long as is said. Whoever hears
    /// [`Ended::Fenced`] stops working.
    ///
    /// # Errors
    /// Where the gateway does not answer, or refuses; the lease may be as it was.
    pub async fn renew_claim(
        &self,
        held: &HeldClaim,
        lease: Option<Duration>,
    ) -> Result<Ended, Error> {
        let body = HolderBody {
            lease_seconds: lease.map(|lease| lease.as_secs_f64()),
            ..HolderBody::by(held)
        };
        self.end_claim(held, "renew", &body).await
    }

    /// Says that the event will never succeed.
    ///
    /// # Errors
    /// Where the gateway does not answer, or refuses; the lease will lapse, and the event be tried
    /// again.
    pub async fn fail_claim(&self, held: &HeldClaim, error: &str) -> Result<Ended, Error> {
        let body = HolderBody {
            error: Some(error),
            ..HolderBody::by(held)
        };
        self.end_claim(held, "fail", &body).await
    }

    /// Keeps what a part of the work gave, so that a later attempt need not repeat it. The first
    /// result stays.
    ///
    /// # Errors
    /// Where the gateway does not answer, or refuses.
    pub async fn keep_claim_step(
        &self,
        held: &HeldClaim,
        name: &str,
        result: &ClaimResult,
    ) -> Result<Ended, Error> {
        let body = HolderBody {
            result: Some(result),
            name: Some(name),
            ..HolderBody::by(held)
        };
        self.end_claim(held, "steps", &body).await
    }

    /// What a step of the event gave, if it was kept.
    ///
    /// # Errors
    /// Where the gateway does not answer, or refuses.
    pub async fn claim_step(
        &self,
        held: &HeldClaim,
        name: &str,
    ) -> Result<Option<ClaimStep>, Error> {
        let mut query = Query::of(&PageRequest::default());
        query.add("name", Some(name));
        query.add("generation", Some(&held.generation.to_string()));
        let path = format!("{}/steps", of("/v1/claims", &held.id));
        let found: Page<ClaimStep> = self.get(query.path(&path)).await?;
        Ok(found.data.into_iter().next())
    }

    /// One claim as people see it.
    ///
    /// # Errors
    /// Where there is none, or the gateway does not answer, or refuses.
    pub async fn receiver_claim(&self, id: &str) -> Result<ReceiverClaim, Error> {
        self.get(of("/v1/claims", id)).await
    }

    /// The claim of a key in a scope, if there is one.
    ///
    /// # Errors
    /// Where the gateway does not answer, or refuses.
    pub async fn receiver_claim_of(
        &self,
        scope: &str,
        key: &str,
    ) -> Result<Option<ReceiverClaim>, Error> {
        let mut query = Query::of(&PageRequest::default());
        query.add("scope", Some(scope));
        query.add("key", Some(key));
        let found: Page<ReceiverClaim> = self.get(query.path("/v1/claims")).await?;
        Ok(found.data.into_iter().next())
    }

    async fn end_claim(
        &self,
        held: &HeldClaim,
        verb: &str,
        body: &HolderBody<'_>,
    ) -> Result<Ended, Error> {
        let path = format!("{}/{verb}", of("/v1/claims", &held.id));
        let body: Bytes = to_json(body)?;
        match self.post(path, body, Repeat::Safe).await {
            Ok(answer) => {
                let told: Told = answer.json()?;
                Ok(match told.outcome.as_str() {
                    "already_complete" => Ended::AlreadyComplete,
                    _applied_or_saved => Ended::Applied,
                })
            }
            Err(error) => match outcome(&error) {
                Some("fenced") => Ok(Ended::Fenced),
                Some("gone") => Ok(Ended::Gone),
                Some(_) | None => Err(error),
            },
        }
    }
}

fn claimed(answer: &Answer) -> Result<Claimed, Error> {
    let told: Told = answer.json()?;
    Ok(match told.outcome.as_str() {
        "acquired" => Claimed::Acquired(answer.json()?),
        "completed" => Claimed::Completed(told.result),
        "dead" => Claimed::Dead { error: told.error },
        // What a newer server may say besides: whatever it is, it is not ours to run.
        _in_progress => Claimed::InProgress {
            retry_after: Duration::try_from_secs_f64(told.retry_after_seconds).unwrap_or_default(),
        },
    })
}

fn outcome(error: &Error) -> Option<&str> {
    error.problem()?.more.get("outcome")?.as_str()
}

fn state(error: &Error) -> ClaimState {
    let state = error
        .problem()
        .and_then(|problem| problem.more.get("state"));
    let state = state.and_then(|state| serde_json::from_value(state.clone()).ok());
    state.unwrap_or(ClaimState::Other)
}
