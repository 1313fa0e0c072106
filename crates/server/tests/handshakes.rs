//! What a provider is answered that asks whether somebody wants its events: to the byte, each time,
//! and without a trace in the ledger or the log.

mod common;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use common::{Answer, Gateway};
use hmac::{Hmac, KeyInit, Mac};
use hooklatch_store::{History, PageRequest, RequestFilter};
use serde_json::{Value, json};
use sha2::Sha256;

const SECRET: &str = "provider-secret";

fn hmac(parts: &[&str]) -> Vec<u8> {
    let mut mac = Hmac::<Sha256>::new_from_slice(SECRET.as_bytes()).expect("any key will do");
    for part in parts {
        mac.update(part.as_bytes());
    }
    mac.finalize().into_bytes().to_vec()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

async fn source(gateway: &Gateway, provider: &str) -> (Value, String) {
    let verifier = json!({"secret": SECRET});
    gateway
        .source(json!({"name": provider, "provider": provider, "verifier": verifier}))
        .await
}

async fn recorded(gateway: &Gateway) -> usize {
    let snapshot = gateway.app.directory().snapshot();
    let project = snapshot
        .projects()
        .next()
        .expect("the first start made one")
        .id;
    let page = PageRequest {
        limit: 100,
        below: None,
    };
    let found = gateway
        .store
        .requests(project, RequestFilter::default(), page);
    found.await.expect("the store is open").items.len()
}

fn exactly(answer: &Answer) -> (u16, Option<&str>, String) {
    (answer.status, answer.header("content-type"), answer.text())
}

const TEXT: Option<&str> = Some("text/plain; charset=utf-8");

/// Signed as Slack and Zoom sign, by the gateway's own clock.
async fn v0(gateway: &Gateway, path: &str, names: (&str, &str), body: &str) -> Answer {
    use hooklatch_store::Store;
    let time = gateway.store.now().as_seconds().to_string();
    let signature = format!("v0={}", hex(&hmac(&["v0:", &time, ":", body])));
    let headers = [
        ("content-type", "application/json"),
        (names.0, time.as_str()),
        (names.1, signature.as_str()),
    ];
    gateway.call("POST", path, &headers, body.to_owned()).await
}

const SLACK: (&str, &str) = ("x-slack-request-timestamp", "x-slack-signature");
const ZOOM: (&str, &str) = ("x-zm-request-timestamp", "x-zm-signature");

#[tokio::test]
async fn slacks_challenge_is_echoed_if_it_is_signed() {
    let gateway = Gateway::start().await;
    let (_, path) = source(&gateway, "slack").await;
    let body = r#"{"token":"t","challenge":"3eZbrw1aBm2rZgRNFdxV","type":"url_verification"}"#;
    for _ in 0..2 {
        let answer = v0(&gateway, &path, SLACK, body).await;
        assert_eq!(
            exactly(&answer),
            (200, TEXT, "3eZbrw1aBm2rZgRNFdxV".to_owned())
        );
    }
    assert_eq!(recorded(&gateway).await, 0);
    gateway.post(&path, body).await.expect(401);

    let event = r#"{"type":"event_callback","event_id":"Ev1","event":{"type":"message"}}"#;
    let first = v0(&gateway, &path, SLACK, event).await.expect(200);
    assert_eq!(first["outcome"], "accepted");
    let again = v0(&gateway, &path, SLACK, event).await.expect(200);
    assert_eq!(again["outcome"], "duplicate");
}

#[tokio::test]
async fn zoom_is_shown_that_the_secret_is_known() {
    let gateway = Gateway::start().await;
    let (_, path) = source(&gateway, "zoom").await;
    let body = r#"{"payload":{"plainToken":"qgg8vlvZRS6UYooatFL8Aw"},"event_ts":1654503849680,"event":"endpoint.url_validation"}"#;
    let answer = v0(&gateway, &path, ZOOM, body).await;
    let proof = hex(&hmac(&["qgg8vlvZRS6UYooatFL8Aw"]));
    let expected =
        format!(r#"{{"plainToken":"qgg8vlvZRS6UYooatFL8Aw","encryptedToken":"{proof}"}}"#);
    assert_eq!(exactly(&answer), (200, Some("application/json"), expected));
    gateway.post(&path, body).await.expect(401);
    assert_eq!(recorded(&gateway).await, 1, "the unsigned one is a refusal");
}

#[tokio::test]
async fn metas_challenge_is_echoed_for_the_ingest_urls_own_token() {
    let gateway = Gateway::start().await;
    let (_, path) = source(&gateway, "meta").await;
    let token = path.strip_prefix("/ingest/").expect("an ingest path");
    let ask = |token: &str| {
        let query = format!("hub.mode=subscribe&hub.challenge=1158201444&hub.verify_token={token}");
        let url = format!("{path}?{query}");
        let gateway = &gateway;
        async move { gateway.call("GET", &url, &[], "").await }
    };
    let answer = ask(token).await;
    assert_eq!(exactly(&answer), (200, TEXT, "1158201444".to_owned()));
    assert_eq!(answer.header("x-content-type-options"), Some("nosniff"));
    assert_eq!(ask("another").await.status, 403);
    gateway.call("GET", &path, &[], "").await.expect(405);
    let other = source(&gateway, "slack").await.1;
    let query = format!("{other}?hub.mode=subscribe&hub.challenge=1");
    gateway.call("GET", &query, &[], "").await.expect(405);
}

#[tokio::test]
async fn xero_gets_its_status_and_nothing_else() {
    let gateway = Gateway::start().await;
    let (_, path) = source(&gateway, "xero").await;
    let call = |body: &'static str, signature: String| {
        let (gateway, path) = (&gateway, &path);
        async move {
            let headers = [
                ("content-type", "application/json"),
                ("x-xero-signature", signature.as_str()),
            ];
            gateway.call("POST", path, &headers, body).await
        }
    };
    let question = r#"{"events":[],"firstEventSequence":0,"lastEventSequence":0,"entropy":"S0m3"}"#;
    let signed = |body: &str| STANDARD.encode(hmac(&[body]));

    let right = call(question, signed(question)).await;
    assert_eq!(exactly(&right), (200, None, String::new()));
    assert_eq!(recorded(&gateway).await, 0);
    let wrong = call(question, signed("another body")).await;
    assert_eq!(exactly(&wrong), (401, None, String::new()));
    assert_eq!(recorded(&gateway).await, 1);
    assert!(
        wrong
            .header("x-request-id")
            .is_some_and(|id| id.starts_with("req_"))
    );

    let events = r#"{"events":[{"resourceId":"r","eventDateUtc":"2026-01-31T12:00:00","eventType":"UPDATE","eventCategory":"CONTACT"}]}"#;
    let event = call(events, signed(events)).await;
    assert_eq!((event.status, event.text()), (200, String::new()));
    assert_eq!(recorded(&gateway).await, 2);
}

#[tokio::test]
async fn k7_a_signature_over_the_url_is_checked_against_the_public_one() {
    use hooklatch_server::Settings;
    use hooklatch_server::serve::Limits;

    let settings = Settings {
        public_url: Some("https://hooks.example.com/".to_owned()),
        ..Settings::default()
    };
    let gateway = Gateway::start_with(settings, Limits::default()).await;
    let (source, path) = source(&gateway, "square").await;
    let url = source["ingest_url"]
        .as_str()
        .expect("a source has an ingest URL");
    assert!(
        url.starts_with("https://hooks.example.com/ingest/"),
        "{url}"
    );
    let body = r#"{"event_id":"e1","type":"payment.updated"}"#;
    for (signed_url, status) in [(url.to_owned(), 200), (format!("{url}?a=b"), 401)] {
        let signature = STANDARD.encode(hmac(&[&signed_url, body]));
        let headers = [
            ("content-type", "application/json"),
            ("x-square-hmacsha256-signature", signature.as_str()),
        ];
        gateway
            .call("POST", &path, &headers, body)
            .await
            .expect(status);
    }
}

#[tokio::test]
async fn twilio_is_answered_with_an_empty_document() {
    let gateway = Gateway::start().await;
    let verifier = json!({"type": "none"});
    let (_, path) = gateway
        .source(json!({"name": "t", "provider": "twilio", "verifier": verifier}))
        .await;
    let headers = [("content-type", "application/x-www-form-urlencoded")];
    let answer = gateway
        .call("POST", &path, &headers, "MessageSid=SM1")
        .await;
    assert_eq!(
        exactly(&answer),
        (200, Some("text/xml"), "<Response/>".to_owned())
    );
}
