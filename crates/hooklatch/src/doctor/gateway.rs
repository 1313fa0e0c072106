//! A running gateway: whether it answers, whether it can take a request, and what it knows.

use hooklatch_client::{Backoff, Client, Error, StatsFilter};
use hooklatch_store::{Clock, SystemClock};
use serde_json::Value;

use super::arguments::DoctorArgs;
use super::finding::Finding;
use super::machine;
use crate::connect::ConnectArgs;
use crate::failure::Failure;
use crate::listed;

/// Where a gateway is looked for when nobody says where.
const USUAL: &str = "http://127.0.0.1:8420";

/// What was found of a gateway, and what is configured in it.
#[derive(Default)]
pub(super) struct Looked {
    pub findings: Vec<Finding>,
    /// Its sources and endpoints; none where it could not be asked.
    pub configured: Option<(Vec<Value>, Vec<Value>)>,
}

/// Looks at the gateway.
pub(super) async fn look(arguments: &DoctorArgs) -> Result<Looked, Failure> {
    let connect = ConnectArgs {
        server: arguments.server.clone().unwrap_or_else(|| USUAL.to_owned()),
        api_key_file: arguments.api_key_file.clone(),
    };
    let key = connect.key()?;
    let shown = key.as_ref().map_or("none", |key| key.expose().trim());
    let client = Client::new(&connect.server, shown);
    let client = client.map_err(|error| Failure::Usage(error.to_string()))?;
    let client = client.with_backoff(Backoff::NONE);
    let mut looked = Looked::default();
    match client.date().await {
        Ok(date) => {
            let server = &connect.server;
            looked
                .findings
                .push(Finding::ok("gateway", format!("{server} answers")));
            looked.findings.extend(date.and_then(|date| clock(&date)));
        }
        Err(error) => {
            let asked = arguments.server.is_some();
            looked.findings.push(away(asked, &connect.server, error));
            return Ok(looked);
        }
    }
    looked.findings.push(ready(&client).await);
    if key.is_none() {
        let found = "HOOKLATCH_API_KEY is not set: what the gateway knows is not looked at";
        looked.findings.push(Finding::skip("API key", found));
        return Ok(looked);
    }
    ask(&client, &mut looked).await;
    Ok(looked)
}

fn away(asked: bool, server: &str, error: Error) -> Finding {
    let why = Failure::from(error).to_string();
    if asked {
        let advice = "see whether it runs, and whether the address is right";
        return Finding::fail("gateway", why, advice);
    }
    Finding::skip(
        "gateway",
        format!("none answers at {server}; --server names another place"),
    )
}

/// HTTP tells the time to the second.
fn clock(date: &str) -> Option<Finding> {
    let theirs = jiff::fmt::rfc2822::parse(date).ok()?.timestamp();
    let apart = SystemClock.now().as_millis() - theirs.as_millisecond();
    // Half a second of the one that is cut off is the best guess; a second is what is not known.
    let apart = (apart - 500).unsigned_abs();
    Some(machine::clock("the gateway", apart, 1_000))
}

async fn ready(client: &Client) -> Finding {
    match client.fetch("/readyz").await {
        Ok(_) => Finding::ok("ready", "it can take requests"),
        Err(error) => Finding::fail(
            "ready",
            Failure::from(error).to_string(),
            "its store does not answer: look at the store's own lines, and into the gateway's log",
        ),
    }
}

async fn ask(client: &Client, looked: &mut Looked) {
    let stats = match client.stats(&StatsFilter::default()).await {
        Ok(stats) => stats,
        Err(error) => {
            let advice =
                "use a key of this gateway with the scope read (hooklatch api-keys create)";
            let why = Failure::from(error).to_string();
            looked.findings.push(Finding::fail("API key", why, advice));
            return;
        }
    };
    looked
        .findings
        .push(Finding::ok("API key", "it opens the gateway"));
    let waiting = &stats.waiting;
    let oldest = waiting
        .oldest_seconds
        .map(|seconds| seconds.max(0.0) as u64);
    let waiting = machine::waiting(waiting.deliveries, waiting.at_least, oldest);
    looked.findings.push(waiting);
    let sources = listed::all(client, "sources").await;
    let endpoints = listed::all(client, "endpoints").await;
    match (sources, endpoints) {
        (Ok(sources), Ok(endpoints)) => looked.configured = Some((sources, endpoints)),
        (Err(failure), _) | (_, Err(failure)) => {
            let advice = "try again; if it stays so, look into the gateway's log";
            let finding = Finding::fail("configuration", failure.to_string(), advice);
            looked.findings.push(finding);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::finding::State;
    use super::*;

    #[test]
    fn the_date_of_an_answer_tells_the_clock() {
        let long_ago = clock("Sun, 06 Nov 1994 08:49:37 GMT").unwrap();
        assert_eq!(long_ago.state, State::Fail);
        let now = jiff::Timestamp::from_millisecond(SystemClock.now().as_millis()).unwrap();
        let now = jiff::fmt::rfc2822::to_string(&now.to_zoned(jiff::tz::TimeZone::UTC)).unwrap();
        assert_eq!(clock(&now).unwrap().state, State::Ok);
        assert!(clock("yesterday").is_none());
    }
}
