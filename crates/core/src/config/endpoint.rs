//! An endpoint: where messages are delivered.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::{
    EndpointAuth, EndpointControl, EndpointHeader, EventPattern, Making, Record, Rotation, rotation,
};
use crate::ids::{EndpointId, ProjectId};
use crate::location::Location;
use crate::retry::RetryPolicy;
use crate::seal::{Opener, SealError, SealingKey};
use crate::signature::SigningSecret;
use crate::time::Timestamp;

/// An endpoint with every field checked. Its secrets and the values of its headers are sealed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Endpoint {
    /// Its id.
    pub id: EndpointId,
    /// The project it belongs to.
    pub project: ProjectId,
    /// Its name, unique in the project.
    pub name: String,
    /// Where requests go, in its normal form.
    pub url: String,
    /// The id of the customer that owns it.
    pub tenant: Option<String>,
    /// Which events a send to a tenant or to all brings here; none means all.
    pub event_types: Vec<EventPattern>,
    /// Custom headers, sealed; reserved ones are left out when an attempt is made.
    pub headers: Vec<EndpointHeader>,
    /// Total time of one attempt.
    pub timeout_seconds: u32,
    /// When a failed attempt is repeated.
    pub retry: RetryPolicy,
    /// How fast attempts may come.
    pub rate_limit: RateLimit,
    /// What an attempt with an unknown outcome leads to.
    pub on_uncertain: OnUncertain,
    /// What it is part of: `production`, `staging`.
    pub environment: Option<String>,
    /// The method of an attempt, in upper case.
    pub method: String,
    /// Whether the rest of the ingest path and the query go on to the URL.
    pub forward_path: bool,
    /// How it lets us in, every secret sealed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub auth: Option<EndpointAuth>,
    /// Where a request says which others it is delivered in order with; none where deliveries go as
    /// soon as they can.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ordered_by: Option<Location>,
    /// Why nothing is sent; deliveries that are made meanwhile fail at once, with this reason.
    #[serde(default)]
    pub disabled: Option<Disabled>,
    /// Whether deliveries wait.
    pub paused: bool,
    /// How it is spared and given up.
    #[serde(default)]
    pub control: EndpointControl,
    /// The live signing secrets, newest first.
    pub secrets: Vec<EndpointSecret>,
    /// What a person should know about these settings.
    #[serde(default)]
    pub warnings: Vec<String>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was changed last.
    pub updated_at: Timestamp,
    /// When it was deleted.
    #[serde(default)]
    pub deleted_at: Option<Timestamp>,
}

/// How fast attempts may come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct RateLimit {
    /// Attempts per second; unlimited if absent.
    pub per_second: Option<u32>,
    /// Attempts that may come at once before the rate holds; as many as per second if absent.
    pub burst: Option<u32>,
    /// Attempts at the same time.
    pub concurrency: u32,
}

/// What an attempt leads to that may or may not have reached the receiver (O5).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OnUncertain {
    /// Another attempt: at least once.
    #[default]
    Retry,
    /// A person decides: at most once.
    Hold,
}

/// Since when an endpoint is disabled, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Disabled {
    /// Since when.
    pub at: Timestamp,
    /// Why, for people.
    pub reason: String,
}

/// A signing secret, sealed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EndpointSecret {
    /// The text of the secret, sealed for the endpoint.
    pub sealed: String,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it stops to sign, once it was replaced.
    #[serde(default)]
    pub retired_at: Option<Timestamp>,
}

impl Record for Endpoint {
    const KIND: &'static str = "endpoint";
    /// 2: the values of custom headers are sealed.
    const VERSION: u64 = 2;
}

impl Endpoint {
    /// The secrets that sign at `now`, newest first.
    pub fn signing_secrets(
        &self,
        sealing_key: &SealingKey,
        now: Timestamp,
    ) -> Result<Vec<SigningSecret>, SealError> {
        let owner = self.id.to_string();
        let opener = Opener::new(sealing_key, &owner);
        let live = self.secrets.iter().filter(|secret| secret.is_live(now));
        live.map(|secret| {
            let text = opener.open(&secret.sealed)?;
            SigningSecret::parse(text.expose()).map_err(|_| SealError::Malformed)
        })
        .collect()
    }

    /// Puts a new secret before the others, which go on signing for a while.
    pub fn rotate_secret(&mut self, rotation: &Rotation, making: &mut Making<'_>) {
        let owner = self.id.to_string();
        rotation::rotate(&mut self.secrets, &owner, rotation, making);
        self.updated_at = making.now;
    }

    /// Takes away what keeps deliveries from being attempted: a pause, being disabled, and an open
    /// circuit. What waited is drained with a slow start.
    pub fn resume(&mut self, now: Timestamp) {
        self.control.resumed_at = Some(now);
        self.paused = false;
        self.disabled = None;
        self.updated_at = now;
    }

    /// What `GET` shows. Of the custom headers it shows what the name does not give away as a
    /// secret; `***` stands for the rest, and keeps it when it is sent back.
    pub fn public(&self, sealing_key: &SealingKey) -> Value {
        let mut shown = self.settings(sealing_key);
        let added = json!({
            "id": self.id,
            "project_id": self.project,
            "disabled": self.disabled,
            "warnings": self.warnings,
            "created_at": self.created_at,
            "updated_at": self.updated_at,
        });
        if let Value::Object(added) = added {
            shown.extend(added);
        }
        Value::Object(shown)
    }

    fn settings(&self, sealing_key: &SealingKey) -> Map<String, Value> {
        let settings = json!({
            "name": self.name,
            "url": self.url,
            "tenant": self.tenant,
            "event_types": self.event_types,
            "headers": self.shown_headers(sealing_key),
            "timeout_seconds": self.timeout_seconds,
            "retry": self.retry,
            "rate_limit": self.rate_limit,
            "on_uncertain": self.on_uncertain,
            "environment": self.environment,
            "method": self.method,
            "forward_path": self.forward_path,
            "auth": self.auth.as_ref().map(EndpointAuth::public),
            "ordered_by": self.ordered_by,
            "paused": self.paused,
        });
        match settings {
            Value::Object(mut settings) => {
                self.show_control(&mut settings);
                settings
            }
            other => unreachable!("an object was written, not {other}"),
        }
    }
}
