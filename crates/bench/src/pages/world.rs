//! The configuration under which the history happened: sources, endpoints, customers and the
//! connections between them, made over the API. What is known of it lies beside the store, so that
//! a store that was filled once can be measured again.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::event::TENANTS;
use crate::Failure;
use crate::api;
use crate::gateway::API_KEY;
use crate::request::Request;
use crate::sink::Sink;

const FILE: &str = "world.json";
/// Nobody listens there, and nothing is sent there while the history is made.
const NOWHERE: &str = "http://127.0.0.1:9/hooks";

/// The sources, with their providers, and how many of a hundred arrivals each has.
const SOURCES: [(&str, Option<&str>, u64); 12] = [
    ("payments", Some("stripe"), 30),
    ("shop", Some("shopify"), 22),
    ("code-host", Some("github"), 14),
    ("support-desk", Some("zendesk"), 9),
    ("newsletter", None, 7),
    ("identity", None, 5),
    ("warehouse-of-the-northern-region", None, 4),
    ("logistics", None, 3),
    ("surveys", None, 2),
    ("billing-of-resellers", None, 2),
    ("archive", None, 1),
    ("a-source-that-fell-silent", None, 1),
];
/// The one that is connected with nothing.
pub(super) const UNCONNECTED: usize = 10;
/// The one through which nothing has come for ten days.
pub(super) const SILENT: usize = 11;
/// Endpoints of ours; each of the customers has one more.
const ENDPOINTS: [&str; 8] = [
    "shop-backend",
    "bookkeeping",
    "search-index",
    "crm-of-the-sales-department",
    "data-lake",
    "alerts",
    "partner-sync",
    "warehouse-robots",
];
/// The endpoint that is paused: what is for it waits.
pub(super) const PAUSED: usize = 7;

/// What was made, by its ids.
#[derive(Serialize, Deserialize)]
pub(super) struct World {
    pub project: String,
    pub sources: Vec<String>,
    pub endpoints: Vec<String>,
    /// One endpoint for each customer.
    pub tenants: Vec<String>,
    /// For each source its connections: their ids, and which endpoint each leads to.
    pub connections: Vec<Vec<(String, usize)>>,
    /// Where the load is sent that is live.
    pub live_path: String,
    /// Where that goes.
    pub live_endpoint: String,
}

impl World {
    /// The one that lies beside a store that is there.
    pub(super) fn read(directory: &Path) -> Result<Option<Self>, Failure> {
        match fs::read(directory.join(FILE)) {
            Ok(text) => Ok(Some(serde_json::from_slice(&text)?)),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Notes that the store is filled.
    pub(super) fn write(&self, directory: &Path) -> Result<(), Failure> {
        Ok(fs::write(directory.join(FILE), serde_json::to_vec(self)?)?)
    }

    /// Makes it all.
    pub(super) fn make(address: SocketAddr) -> Result<Self, Failure> {
        let post = |path: &str, resource: &Value| api::post(address, API_KEY, path, resource);
        let id = |made: &Value| api::text(made, "id").map(str::to_owned);
        let mut sources = Vec::new();
        for (name, provider, _) in SOURCES {
            sources.push(id(&post("/v1/sources", &source(name, provider))?)?);
        }
        let mut endpoints = Vec::new();
        for name in ENDPOINTS {
            endpoints.push(id(&post("/v1/endpoints", &endpoint(name, None))?)?);
        }
        let mut tenants = Vec::new();
        for number in 0..TENANTS {
            let (name, tenant) = (format!("customer {number}"), format!("tenant-{number}"));
            let made = post("/v1/endpoints", &endpoint(&name, Some(&tenant)))?;
            tenants.push(id(&made)?);
        }
        let mut connections = vec![Vec::new(); SOURCES.len()];
        for (at, to) in ways() {
            let made = post(
                "/v1/connections",
                &connection(at, to, &sources[at], &endpoints[to]),
            )?;
            connections[at].push((id(&made)?, to));
        }
        let live_endpoint = id(&post("/v1/endpoints", &endpoint("live", None))?)?;
        let live = post("/v1/sources", &source("live", None))?;
        let resource =
            json!({"name": "live", "source_id": live["id"], "endpoint_id": live_endpoint});
        post("/v1/connections", &resource)?;
        post(
            &format!("/v1/endpoints/{}/pause", endpoints[PAUSED]),
            &json!({}),
        )?;
        let projects = api::ask(address, API_KEY, ("GET", "/v1/projects"), None)?;
        Ok(Self {
            project: id(&projects["data"][0])?,
            sources,
            endpoints,
            tenants,
            connections,
            live_path: crate::gateway::path_of(api::text(&live, "ingest_url")?),
            live_endpoint,
        })
    }

    /// The same, once a gateway serves it: the load goes to the sink, and there are refusals.
    pub(super) fn woken(self, address: SocketAddr, sink: &Sink) -> Result<Self, Failure> {
        let url =
            json!({"url": format!("http://{}/", sink.address), "rate_limit": {"concurrency": 256}});
        let path = format!("/v1/endpoints/{}", self.live_endpoint);
        api::ask(address, API_KEY, ("PATCH", &path), Some(&url))?;
        let head = "Content-Type: application/json\r\n";
        for _ in 0..200 {
            let to = ("PUT", self.live_path.as_str());
            api::call(
                address,
                &api::Call {
                    to,
                    head,
                    body: "{}",
                },
            )?;
        }
        Ok(self)
    }

    /// The request of every message of the live load.
    pub(super) fn live_request(&self) -> Request {
        Request::ingest(&self.live_path, None)
    }
}

/// Which source a drawn number of a hundred belongs to.
pub(super) fn source_of(drawn: u64) -> usize {
    let mut left = drawn % 100;
    for (at, (_, _, share)) in SOURCES.iter().enumerate() {
        if left < *share {
            return at;
        }
        left -= share;
    }
    0
}

/// From which source to which endpoint.
fn ways() -> Vec<(usize, usize)> {
    let connected = (0..SOURCES.len()).filter(|at| *at != UNCONNECTED);
    let first = connected.map(|at| (at, at % (ENDPOINTS.len() - 1)));
    first.chain([(0, 1), (1, 4), (6, PAUSED)]).collect()
}

fn source(name: &str, provider: Option<&str>) -> Value {
    let mut source = json!({
        "name": name, "verifier": {"type": "none"}, "window_seconds": 604_800,
        "key": {"locations": ["body:$.id"]}, "event_type": "body:$.type",
    });
    if let Some(provider) = provider {
        source["provider"] = json!(provider);
    }
    source
}

fn endpoint(name: &str, tenant: Option<&str>) -> Value {
    json!({
        "name": name, "url": NOWHERE, "tenant": tenant, "environment": "production",
        "retry": {"strategy": "fixed", "base_seconds": 30, "max_attempts": 3},
    })
}

fn connection(at: usize, to: usize, source: &str, endpoint: &str) -> Value {
    let name = format!("{} to {}", SOURCES[at].0, ENDPOINTS[to]);
    let rules = match (at, to) {
        (0, 1) => json!([{"type": "filter", "body": {"type": {"$startsWith": "invoice."}}}]),
        (8, _) => json!([{"type": "filter", "body": {"livemode": false}}]),
        _ => json!([]),
    };
    json!({"name": name, "source_id": source, "endpoint_id": endpoint, "rules": rules})
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shares_of_the_sources_are_hundredths() {
        assert_eq!(SOURCES.iter().map(|(_, _, share)| share).sum::<u64>(), 100);
        assert_eq!(source_of(0), 0);
        assert_eq!(source_of(99), SILENT);
    }

    #[test]
    fn one_source_leads_nowhere_and_something_waits() {
        assert!(ways().iter().all(|(at, _)| *at != UNCONNECTED));
        assert!(ways().iter().any(|(_, to)| *to == PAUSED));
    }
}
