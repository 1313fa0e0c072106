//! The figures that the API answers, as far as the overview shows them.

use std::collections::BTreeMap;

use serde::Deserialize;

#[derive(Debug, Deserialize)]
pub(in crate::pages) struct Stats {
    pub requests: Requests,
    pub attempts: Attempts,
    pub waiting: Waiting,
    pub series: Vec<Step>,
    pub sources: Vec<SourceFigures>,
    pub endpoints: Vec<EndpointFigures>,
}

#[derive(Debug, Deserialize)]
pub(in crate::pages) struct Requests {
    pub total: u64,
    pub per_second: f64,
    by_outcome: BTreeMap<String, u64>,
    pub by_cause: BTreeMap<String, u64>,
}

#[derive(Debug, Deserialize)]
pub(in crate::pages) struct Attempts {
    pub total: u64,
    pub per_second: f64,
    by_outcome: BTreeMap<String, u64>,
    pub by_trigger: BTreeMap<String, u64>,
    pub average_ms: Option<f64>,
}

#[derive(Debug, Deserialize)]
pub(in crate::pages) struct Waiting {
    pub deliveries: u64,
    pub at_least: bool,
    pub oldest_seconds: Option<f64>,
}

#[derive(Debug, Deserialize)]
pub(in crate::pages) struct Step {
    pub at: String,
    pub requests: Requests,
    pub attempts: Attempts,
}

#[derive(Debug, Deserialize)]
pub(in crate::pages) struct SourceFigures {
    pub source_id: Option<String>,
    pub name: Option<String>,
    pub requests: Requests,
    pub silent_seconds: Option<f64>,
}

#[derive(Debug, Deserialize)]
pub(in crate::pages) struct EndpointFigures {
    pub endpoint_id: Option<String>,
    pub name: Option<String>,
    pub attempts: Attempts,
    pub waiting: Option<Waiting>,
}

impl Requests {
    /// How many had this outcome.
    pub fn outcome(&self, outcome: &str) -> u64 {
        self.by_outcome.get(outcome).copied().unwrap_or(0)
    }
}

impl Attempts {
    /// How many had this outcome.
    pub fn outcome(&self, outcome: &str) -> u64 {
        self.by_outcome.get(outcome).copied().unwrap_or(0)
    }
}
