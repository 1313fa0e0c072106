//! Providers that sign with a certificate, which has to be fetched: PayPal and Amazon SNS. What is
//! fetched here comes from a table; the guard is tried where it is.

#![expect(
    clippy::unwrap_used,
    reason = "what a test calls is a test, which the lint does not see"
)]

mod common;

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use common::{Answer, Gateway};
use hooklatch_core::verify::Chain;
use hooklatch_engine::{Fetch, FetchError, Fetching};
use hooklatch_server::serve::Limits;
use hooklatch_server::{Helpers, Settings};
use serde_json::{Value, json};

const PAYPAL: &str = include_str!("../../core/src/provider/samples/paypal.json");
const SNS: &str = include_str!("../../core/src/provider/samples/aws_sns.json");
const MORE: &str = include_str!("../../core/src/provider/samples/certified.json");
const CERT_URL: &str = "https://api.paypal.com/v1/notifications/certs/CERT-360caa42-fca2a594-test";
const SNS_URL: &str =
    "https://sns.eu-west-1.amazonaws.com/SimpleNotificationService-7ff5318490ec183f.pem";
const ISSUER_URL: &str = "http://ca.example.com/issuer.cer";

/// What lies where, and what was asked for.
#[derive(Default)]
struct Table {
    files: Mutex<HashMap<String, Bytes>>,
    asked: Mutex<Vec<String>>,
}

impl Table {
    fn put(&self, url: &str, file: Bytes) {
        self.files.lock().unwrap().insert(url.to_owned(), file);
    }

    fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }
}

impl Fetch for Table {
    fn get<'a>(&'a self, url: &'a str, _: usize) -> Fetching<'a> {
        self.asked.lock().unwrap().push(url.to_owned());
        let file = self.files.lock().unwrap().get(url).cloned();
        let found = file.ok_or(FetchError::Status(503));
        Box::pin(std::future::ready(found))
    }
}

fn sample(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

fn file(text: &Value) -> Bytes {
    let text = text.as_str().unwrap();
    match STANDARD.decode(text) {
        Ok(der) => der.into(),
        Err(_) => text.as_bytes().to_vec().into(),
    }
}

/// A gateway that trusts the samples' authority; its table is empty.
async fn gateway(root: &Value) -> (Gateway, Arc<Table>) {
    let table = Arc::new(Table::default());
    let helpers = Helpers {
        fetch: Arc::clone(&table) as Arc<dyn Fetch>,
        roots: vec![Chain::anchor(&file(root)).unwrap()],
        ..Helpers::default()
    };
    let gateway = Gateway::start_helped(Settings::default(), Limits::default(), helpers).await;
    (gateway, table)
}

async fn source(gateway: &Gateway, provider: &str, verifier: Value) -> String {
    let settings = json!({"name": provider, "provider": provider, "verifier": verifier});
    gateway.source(settings).await.1
}

async fn send(gateway: &Gateway, path: &str, request: &Value) -> Answer {
    let headers = request["headers"].as_object().unwrap();
    let headers: Vec<(&str, &str)> = headers
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str().unwrap()))
        .collect();
    let body = request["body"].as_str().unwrap().to_owned();
    gateway.call("POST", path, &headers, body).await
}

async fn events(gateway: &Gateway) -> Vec<String> {
    let listed = gateway.get("/v1/requests").await.json();
    let listed = listed["data"].as_array().unwrap();
    let outcomes = listed
        .iter()
        .map(|one| one["outcome"].as_str().unwrap().to_owned());
    outcomes.collect()
}

#[tokio::test]
async fn c8_what_cannot_be_fetched_is_answered_with_503_and_what_can_is_let_in_once() {
    let paypal = sample(PAYPAL);
    let (gateway, table) = gateway(&paypal["roots"][0]).await;
    let path = source(&gateway, "paypal", json!({"webhook_id": paypal["secret"]})).await;

    let early = send(&gateway, &path, &paypal["tries"][0]).await;
    assert_eq!(early.status, 503, "{}", early.text());
    assert_eq!(early.header("retry-after"), Some("30"));
    // The failure is the answer for a while, and nothing more is fetched for it.
    assert_eq!(send(&gateway, &path, &paypal["tries"][0]).await.status, 503);
    assert_eq!(table.asked(), [CERT_URL]);
    assert_eq!(events(&gateway).await, ["rejected", "rejected"]);

    let (gateway, table) = self::gateway(&paypal["roots"][0]).await;
    table.put(CERT_URL, file(&paypal["files"][0]));
    table.put(ISSUER_URL, file(&paypal["files"][1]));
    let path = source(&gateway, "paypal", json!({"webhook_id": paypal["secret"]})).await;
    let first = send(&gateway, &path, &paypal["tries"][0]).await;
    assert_eq!(first.status, 200, "{}", first.text());
    let again = send(&gateway, &path, &paypal["tries"][1]).await;
    assert_eq!(
        (again.status, again.json()["outcome"].as_str()),
        (200, Some("duplicate"))
    );
    assert_eq!(table.asked(), [CERT_URL, ISSUER_URL]);

    let mut tampered = paypal["tries"][0].clone();
    tampered["body"] = json!(tampered["body"].as_str().unwrap().replace("42.00", "43.00"));
    let refused = send(&gateway, &path, &tampered).await;
    assert_eq!(
        (refused.status, refused.json()["reason"].as_str()),
        (401, Some("signature_mismatch"))
    );
}

#[tokio::test]
async fn k7_a_request_that_is_refused_anyway_makes_nobody_fetch() {
    let paypal = sample(PAYPAL);
    let (gateway, table) = gateway(&paypal["roots"][0]).await;
    let path = source(&gateway, "paypal", json!({"webhook_id": paypal["secret"]})).await;
    for url in [
        "http://169.254.169.254/v1/notifications/certs/CERT-1",
        "https://evil.example/v1/notifications/certs/CERT-1",
        "https://api.paypal.com.evil.example/v1/notifications/certs/CERT-1",
        "https://api.paypal.com:8443/v1/notifications/certs/CERT-1",
    ] {
        let mut forged = paypal["tries"][0].clone();
        forged["headers"]["paypal-cert-url"] = json!(url);
        let refused = send(&gateway, &path, &forged).await;
        assert_eq!(refused.status, 401, "{url}");
        assert_eq!(refused.json()["reason"], "certificate_untrusted", "{url}");
    }
    let sns = sample(SNS);
    let other = json!({"topic_arn": sns["other_secret"]});
    let path = source(&gateway, "aws_sns", other).await;
    let refused = send(&gateway, &path, &sns["tries"][0]).await;
    assert_eq!(
        (refused.status, refused.json()["reason"].as_str()),
        (401, Some("topic_mismatch"))
    );
    assert_eq!(table.asked(), [""; 0]);
}

#[tokio::test]
async fn sns_is_read_as_json_and_confirms_its_subscription_once_its_signature_is_right() {
    let sns = sample(SNS);
    let (gateway, table) = gateway(&sns["roots"][0]).await;
    table.put(SNS_URL, file(&sns["files"][0]));
    table.put(ISSUER_URL, file(&sns["files"][1]));
    let path = source(&gateway, "aws_sns", json!({"topic_arn": sns["secret"]})).await;

    let first = send(&gateway, &path, &sns["tries"][0]).await;
    assert_eq!(first.status, 200, "{}", first.text());
    let message = first.json()["message_id"].as_str().unwrap().to_owned();
    let message = gateway.get(&format!("/v1/messages/{message}")).await;
    assert_eq!(message.json()["event_type"], "Notification");
    let id = "22b80b92-fdea-4c2c-8f9d-bdfb0c7bf324";
    assert_eq!(message.json()["idempotency_key"], id);

    let more = sample(MORE);
    let cases = more["cases"].as_array().unwrap();
    let asked = cases
        .iter()
        .find(|case| case["expect"] == "confirm")
        .unwrap();
    let forged = {
        let body = asked["body"].as_str().unwrap();
        let body = body.replace("2336412f", "2336412e");
        json!({"headers": asked["headers"], "body": body})
    };
    assert_eq!(send(&gateway, &path, &forged).await.status, 401);
    let later = send(&gateway, &path, asked).await;
    assert_eq!(
        later.status,
        503,
        "the URL does not answer yet: {}",
        later.text()
    );
    let url = "https://sns.eu-west-1.amazonaws.com/?Action=ConfirmSubscription\
               &TopicArn=arn:aws:sns:eu-west-1:123456789012:orders\
               &Token=2336412f37fb687f5d51e6e241d09c80";
    table.put(url, Bytes::from_static(b"<ConfirmSubscriptionResponse/>"));
    let before = events(&gateway).await;
    let confirmed = send(&gateway, &path, asked).await;
    assert_eq!(confirmed.status, 200, "{}", confirmed.text());
    assert_eq!(confirmed.text(), "the subscription is confirmed");
    assert_eq!(events(&gateway).await, before, "it is no event");
    assert_eq!(table.asked(), [SNS_URL, ISSUER_URL, url, url]);

    // Where a person is to confirm, it is an event and nothing is called.
    let by_hand = json!({"topic_arn": sns["secret"], "confirm": false});
    let settings = json!({"name": "by-hand", "provider": "aws_sns", "verifier": by_hand});
    let (_, path) = gateway.source(settings).await;
    let kept = send(&gateway, &path, asked).await;
    assert_eq!(kept.json()["outcome"], "accepted", "{}", kept.text());
    let ended = cases
        .iter()
        .find(|case| case["what"] == "the end of a subscription");
    let shown = send(&gateway, &path, ended.unwrap()).await;
    assert_eq!(
        shown.json()["outcome"],
        "duplicate",
        "one MessageId: {}",
        shown.text()
    );
    assert_eq!(table.asked().len(), 4);
}
