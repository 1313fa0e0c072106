//! Sources, endpoints and connections. In an input, what is left out is the server's to choose.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Where a provider's webhooks shall arrive.
#[derive(Debug, Clone, Default, Serialize)]
pub struct SourceInput {
    /// Its name, unique in the project.
    pub name: String,
    /// A preset, which gives what is left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub provider: Option<String>,
    /// How requests are verified; with a provider `{"secret": …}` is enough. Free in form: every
    /// kind of verifier has its own fields.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub verifier: Option<Value>,
    /// What makes two requests the same.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<KeyRule>,
    /// How long a key is remembered.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub window_seconds: Option<u64>,
    /// What happens to another payload under a known key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub on_conflict: Option<String>,
    /// Where the event's type is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub event_type: Option<String>,
    /// Where a batch's elements are.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub split: Option<String>,
}

/// What makes two requests the same.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct KeyRule {
    /// Where the key's values are, in order.
    pub locations: Vec<String>,
    /// `all` or `first`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mode: Option<String>,
    /// What happens to a request without a key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub missing_key: Option<String>,
    /// A rule over the whole content.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub content: Option<Value>,
    /// Whether the body's fingerprint is part of the key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bind_body: Option<bool>,
    /// The group of sources that share their keys.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
}

/// Where a provider's webhooks arrive.
#[derive(Debug, Clone, Deserialize)]
pub struct Source {
    /// Its id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Where the provider sends. It holds an unguessable token: treat it as a secret.
    pub ingest_url: String,
    /// The preset.
    #[serde(default)]
    pub provider: Option<String>,
    /// What the server would have people know.
    #[serde(default)]
    pub warnings: Vec<String>,
}

/// Where messages shall be delivered.
#[derive(Debug, Clone, Default, Serialize)]
pub struct EndpointInput {
    /// Its name, unique in the project.
    pub name: String,
    /// The receiver's URL.
    pub url: String,
    /// The customer that owns it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tenant: Option<String>,
    /// The types it wants; none: all.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub event_types: Vec<String>,
    /// Headers that each delivery carries. `***` stands for a secret, and keeps it when sent back.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<String, String>,
    /// How long an attempt may take.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timeout_seconds: Option<u32>,
    /// When an attempt is repeated.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry: Option<RetryPolicy>,
    /// What happens when an attempt's outcome is not known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub on_uncertain: Option<String>,
}

/// When an attempt is repeated.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct RetryPolicy {
    /// `exponential`, `fixed` or `schedule`.
    pub strategy: String,
    /// The wait of `fixed`, the first wait of `exponential`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub base_seconds: Option<u32>,
    /// The waits of `schedule`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub schedule_seconds: Option<Vec<u32>>,
    /// Attempts in all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_attempts: Option<u32>,
    /// How old a delivery may become.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_age_seconds: Option<u64>,
}

/// Where messages are delivered.
#[derive(Debug, Clone, Deserialize)]
pub struct Endpoint {
    /// Its id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// The receiver's URL.
    pub url: String,
    /// The signing secret, shown once: when the endpoint is made.
    #[serde(default)]
    pub secret: Option<String>,
    /// The customer that owns it.
    #[serde(default)]
    pub tenant: Option<String>,
    /// What the server would have people know.
    #[serde(default)]
    pub warnings: Vec<String>,
}

/// What shall lead from a source, or from the send API, to an endpoint.
#[derive(Debug, Clone, Default, Serialize)]
pub struct ConnectionInput {
    /// Its name, unique in the project.
    pub name: String,
    /// The source.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source_id: Option<String>,
    /// Or the types of messages of the send API.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub event_types: Option<Vec<String>>,
    /// The endpoint.
    pub endpoint_id: String,
    /// What is done with messages on their way, in this order.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub rules: Vec<Value>,
}

/// What leads from a source, or from the send API, to an endpoint.
#[derive(Debug, Clone, Deserialize)]
pub struct Connection {
    /// Its id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// The source.
    #[serde(default)]
    pub source_id: Option<String>,
    /// The endpoint.
    pub endpoint_id: String,
    /// What the server would have people know.
    #[serde(default)]
    pub warnings: Vec<String>,
}
