//! Figures, the audit log, projects and API keys.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// For how long a project keeps what. None: as long as the gateway's own settings say.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default)]
pub struct Retention {
    /// Bodies, in days.
    pub payload_days: Option<u32>,
    /// Messages, requests, deliveries and attempts, in days.
    pub history_days: Option<u32>,
    /// All bodies together, in bytes: the oldest go first.
    pub payload_bytes_max: Option<u64>,
}

/// How much happened, and what waits.
#[derive(Debug, Clone, Deserialize)]
pub struct Stats {
    /// The first moment that is counted.
    pub after: String,
    /// The first moment that is not counted any more.
    pub before: String,
    /// What one step of the series spans.
    pub step_seconds: u32,
    /// Requests, over the whole time.
    pub requests: RequestFigures,
    /// Attempts, over the whole time.
    pub attempts: AttemptFigures,
    /// What waits now.
    pub waiting: WaitingFigures,
    /// The same step by step, the oldest first.
    pub series: Vec<StepFigures>,
    /// Requests by source.
    pub sources: Vec<SourceFigures>,
    /// Attempts by endpoint.
    pub endpoints: Vec<EndpointFigures>,
}

/// Requests.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct RequestFigures {
    /// How many.
    pub total: u64,
    /// How many a second, on average.
    pub per_second: f64,
    /// How many by outcome.
    pub by_outcome: BTreeMap<String, u64>,
    /// How many repetitions by cause.
    pub by_cause: BTreeMap<String, u64>,
    /// How many had no key.
    pub unkeyed: u64,
    /// The share of those that were not refused that had a key, from 0 to 1.
    pub coverage: Option<f64>,
}

/// Attempts that have ended.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct AttemptFigures {
    /// How many.
    pub total: u64,
    /// How many a second, on average.
    pub per_second: f64,
    /// How many by outcome.
    pub by_outcome: BTreeMap<String, u64>,
    /// How many by what they were made for.
    pub by_trigger: BTreeMap<String, u64>,
    /// How long one took on average, in milliseconds.
    pub average_ms: Option<f64>,
}

/// Deliveries that wait.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct WaitingFigures {
    /// How many.
    pub deliveries: u64,
    /// Whether there may be more.
    pub at_least: bool,
    /// When the oldest was made.
    pub oldest_at: Option<String>,
    /// How long ago that was.
    pub oldest_seconds: Option<f64>,
}

/// One step of the series.
#[derive(Debug, Clone, Deserialize)]
pub struct StepFigures {
    /// When it begins.
    pub at: String,
    /// Requests.
    pub requests: RequestFigures,
    /// Attempts.
    pub attempts: AttemptFigures,
}

/// One source; none for the send API.
#[derive(Debug, Clone, Deserialize)]
pub struct SourceFigures {
    /// Its id.
    pub source_id: Option<String>,
    /// Its name.
    #[serde(default)]
    pub name: Option<String>,
    /// Its requests.
    pub requests: RequestFigures,
    /// When something that was not refused last came.
    #[serde(default)]
    pub last_arrival_at: Option<String>,
}

/// One endpoint; none for bare URLs.
#[derive(Debug, Clone, Deserialize)]
pub struct EndpointFigures {
    /// Its id.
    pub endpoint_id: Option<String>,
    /// Its name.
    #[serde(default)]
    pub name: Option<String>,
    /// Attempts at it.
    pub attempts: AttemptFigures,
    /// What waits for it.
    #[serde(default)]
    pub waiting: Option<WaitingFigures>,
}

/// Who changed what.
#[derive(Debug, Clone, Deserialize)]
pub struct AuditLine {
    /// Its id.
    pub id: String,
    /// When.
    pub at: String,
    /// With which API key; none where the gateway acted by itself.
    pub actor: Option<String>,
    /// What was done, for example `endpoint.update`.
    pub action: String,
    /// To what.
    pub subject: String,
    /// Why.
    #[serde(default)]
    pub reason: Option<String>,
    /// How it was.
    #[serde(default)]
    pub before: Option<Value>,
    /// How it is.
    #[serde(default)]
    pub after: Option<Value>,
}

/// A project to be made.
#[derive(Debug, Clone, Default, Serialize)]
pub struct ProjectInput {
    /// Its name, unique in the gateway.
    pub name: String,
}

/// A project.
#[derive(Debug, Clone, Deserialize)]
pub struct Project {
    /// Its id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// What signs sends to bare URLs: only where it was made now.
    #[serde(default)]
    pub signing_secret: Option<String>,
}

/// An API key to be made.
#[derive(Debug, Clone, Default, Serialize)]
pub struct ApiKeyInput {
    /// What it is for.
    pub name: String,
    /// The project that it opens; the caller's own if left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub project_id: Option<String>,
    /// Some of `read`, `send`, `manage`.
    pub scopes: Vec<String>,
    /// Whether it also opens projects and API keys.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub admin: Option<bool>,
}

/// An API key.
#[derive(Debug, Clone, Deserialize)]
pub struct ApiKey {
    /// Its id.
    pub id: String,
    /// The project that it opens.
    pub project_id: String,
    /// What it is for.
    pub name: String,
    /// What may be done with it.
    pub scopes: Vec<String>,
    /// Whether it also opens projects and API keys.
    #[serde(default)]
    pub admin: bool,
    /// When it was last used, to the minute.
    #[serde(default)]
    pub last_used_at: Option<String>,
    /// Its text: only where it was made now.
    #[serde(default)]
    pub key: Option<String>,
}
