//! The table of hosts that nothing is sent to, tried where people meet it: when a URL is saved. It
//! is tried again where a request is sent (crates/egress/tests/sender/refused.rs), for a name may
//! lead elsewhere by then.

#![expect(
    clippy::unwrap_used,
    reason = "what a test calls is a test, which the lint does not see"
)]

mod common;

use common::{Answer, Gateway};
use hooklatch_server::serve::Limits;
use hooklatch_server::{Helpers, Settings};
use serde_json::{Value, json};

fn refused_hosts() -> Vec<(&'static str, &'static str)> {
    let lines = include_str!("../../egress/tests/refused.txt").lines();
    let lines = lines.filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines.map(|line| line.split_once('|').unwrap()).collect()
}

async fn public_gateway() -> Gateway {
    Gateway::start_helped(Settings::default(), Limits::default(), Helpers::default()).await
}

fn assert_refused(answer: &Answer, pointer: &str, expected: &str, what: &str) {
    assert_eq!(answer.status, 422, "{what}: {}", answer.text());
    let errors = answer.json()["errors"]
        .as_array()
        .cloned()
        .unwrap_or_default();
    let named = |error: &Value| {
        let detail = error["detail"].as_str().unwrap_or_default();
        error["pointer"] == pointer && detail.contains(expected)
    };
    assert!(errors.iter().any(named), "{what}: {errors:?}");
}

#[tokio::test]
async fn no_host_of_the_refusal_table_can_be_saved_as_an_endpoint() {
    let gateway = public_gateway().await;
    let hosts = refused_hosts();
    assert!(hosts.len() >= 60, "{}", hosts.len());
    for (host, expected) in hosts {
        for scheme in ["http", "https"] {
            let url = format!("{scheme}://{host}/hook");
            let endpoint = json!({"name": "refused", "url": url});
            let answer = gateway.api("POST", "/v1/endpoints", endpoint).await;
            assert_refused(&answer, "/url", expected, &url);
        }
    }
    let endpoints = gateway.get("/v1/endpoints").await;
    assert_eq!(endpoints.json()["data"], json!([]));
}

#[tokio::test]
async fn the_refusal_table_holds_for_every_url_that_something_is_sent_to() {
    let gateway = public_gateway().await;
    let endpoint = json!({"name": "shop", "url": "https://hooks.example.com/in"});
    let made = gateway.api("POST", "/v1/endpoints", endpoint).await;
    let id = made.json()["id"].as_str().unwrap().to_owned();
    for (host, expected) in refused_hosts() {
        let url = format!("https://{host}/hook");
        // A change of an endpoint, and the endpoint that another one fails over to.
        let patch = json!({"url": url});
        let answer = gateway
            .api("PATCH", &format!("/v1/endpoints/{id}"), patch)
            .await;
        assert_refused(&answer, "/url", expected, &url);
        // Where tokens are fetched.
        let auth = json!({"type": "oauth2", "token_url": url, "client_id": "us",
            "client_secret": "s3cret"});
        let endpoint = json!({"name": "with-token", "url": "https://hooks.example.com/in",
            "auth": auth});
        let answer = gateway.api("PUT", "/v1/endpoints", endpoint).await;
        assert_refused(&answer, "/auth/token_url", expected, &url);
        // A URL that one call names.
        let send = json!({"url": url, "event_type": "x", "payload": {}});
        let answer = gateway.api("POST", "/v1/webhooks/send", send).await;
        assert_refused(&answer, "/url", expected, &url);
    }
    // A failover endpoint is one that was saved, and so passed the table.
    let failover = json!({"failover_endpoint_id": "ep_0000000000001"});
    let answer = gateway
        .api("PATCH", &format!("/v1/endpoints/{id}"), failover)
        .await;
    assert_refused(
        &answer,
        "/failover_endpoint_id",
        "no endpoint of this project",
        "failover",
    );
}
