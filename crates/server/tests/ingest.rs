//! What a provider is answered.

mod common;

use std::sync::Arc;

use common::{Answer, Gateway};
use hooklatch_core::delivery::lifecycle::Next;
use hooklatch_core::delivery::{Lane, Reason, State};
use hooklatch_core::message::RequestOutcome;
use hooklatch_core::time::{Millis, Timestamp};
use hooklatch_store::{
    Deliveries, FinishAttempt, History, LeaseRequest, LeaseTerms, PageRequest, RequestFilter,
    RequestView, Store, Terms,
};
use serde_json::{Value, json};

/// `POST`s to a keyed source answer with this, so that one glance shows what differs.
fn outcome(answer: &Answer) -> (u16, String, String) {
    let body = answer.json();
    let text = |name: &str| body[name].as_str().unwrap_or_default().to_owned();
    (answer.status, text("outcome"), text("effect"))
}

fn expected(status: u16, outcome: &str, effect: &str) -> (u16, String, String) {
    (status, outcome.to_owned(), effect.to_owned())
}

async fn keyed(gateway: &Gateway) -> (Value, String) {
    let key = json!({"locations": ["body:$.id"]});
    gateway
        .source(json!({"name": "shop", "key": key, "event_type": "body:$.type"}))
        .await
}

async fn rejected(gateway: &Gateway) -> Vec<RequestView> {
    let filter = RequestFilter {
        outcome: Some(RequestOutcome::Rejected),
        ..RequestFilter::default()
    };
    let page = PageRequest {
        limit: 100,
        below: None,
    };
    let snapshot = gateway.app.directory().snapshot();
    let project = snapshot
        .projects()
        .next()
        .expect("the first start made one")
        .id;
    let found = gateway.store.requests(project, filter, page).await;
    found.expect("the store is open").items
}

#[tokio::test]
async fn a_new_event_is_accepted_and_its_repetition_is_a_duplicate_of_it() {
    let gateway = Gateway::start().await;
    let (source, path) = keyed(&gateway).await;
    gateway.connected(&source, "shop-receiver").await;

    let first = gateway
        .post(&path, r#"{"id": "evt_1", "type": "paid"}"#)
        .await;
    let body = first.expect(200);
    assert_eq!(outcome(&first), expected(200, "accepted", "routed"));
    assert_eq!(first.header("idempotent-replayed"), None);
    assert_eq!(first.header("x-request-id"), body["request_id"].as_str());

    let again = gateway.post(&path, r#"{"type":"paid","id":"evt_1"}"#).await;
    assert_eq!(outcome(&again), expected(200, "duplicate", "suppressed"));
    assert_eq!(again.header("idempotent-replayed"), Some("true"));
    let repeated = again.json();
    assert_eq!(repeated["message_id"], body["message_id"]);
    assert_ne!(repeated["request_id"], body["request_id"]);
    let sentence = repeated["message"].as_str().unwrap();
    assert!(sentence.contains("will not be sent again"), "{sentence}");

    let other = gateway
        .post(&path, r#"{"id": "evt_2", "type": "paid"}"#)
        .await;
    assert_eq!(outcome(&other), expected(200, "accepted", "routed"));
}

#[tokio::test]
async fn d2_an_event_that_matched_no_connection_is_routed_by_its_duplicate() {
    let gateway = Gateway::start().await;
    let (source, path) = keyed(&gateway).await;
    let first = gateway.post(&path, r#"{"id": 1}"#).await;
    assert_eq!(outcome(&first), expected(200, "accepted", "no_route"));
    gateway.connected(&source, "late").await;
    let again = gateway.post(&path, r#"{"id": 1}"#).await;
    assert_eq!(outcome(&again), expected(200, "duplicate", "rerouted"));
    let third = gateway.post(&path, r#"{"id": 1}"#).await;
    assert_eq!(outcome(&third), expected(200, "duplicate", "suppressed"));
}

/// What may be leased: anything.
struct Anything;

impl LeaseTerms for Anything {
    fn terms(&self, _: Lane) -> Terms {
        Terms {
            capacity: 10,
            live_max: usize::MAX,
            span: Millis::from_seconds(60),
        }
    }
}

#[tokio::test]
async fn d2_a_duplicate_of_an_event_that_could_not_be_delivered_starts_it_again() {
    let gateway = Gateway::start().await;
    let (source, path) = keyed(&gateway).await;
    gateway.connected(&source, "failing").await;
    gateway.post(&path, r#"{"id": 1}"#).await.expect(200);
    let wish = LeaseRequest {
        limit: 10,
        terms: Arc::new(Anything),
    };
    let leases = gateway.store.lease(wish).await.unwrap();
    let State::Delivering { lease } = leases.leased[0].delivery.state else {
        panic!("a leased delivery is being delivered");
    };
    let finish = FinishAttempt {
        delivery_id: leases.leased[0].delivery.id,
        token: lease.attempt_id,
        attempt: None,
        next: Next::Fail(Reason::AttemptsExhausted),
    };
    gateway.store.finish(finish).await.unwrap();

    let differs = gateway.post(&path, r#"{"id": 1, "other": true}"#).await;
    assert_eq!(outcome(&differs), expected(200, "duplicate", "suppressed"));
    let again = gateway.post(&path, r#"{"id": 1}"#).await;
    assert_eq!(outcome(&again), expected(200, "duplicate", "redriven"));
    let third = gateway.post(&path, r#"{"id": 1}"#).await;
    assert_eq!(outcome(&third), expected(200, "duplicate", "suppressed"));
}

#[tokio::test]
async fn c3_of_many_simultaneous_requests_with_one_key_one_is_accepted() {
    let gateway = Gateway::start().await;
    let (_, path) = keyed(&gateway).await;
    let calls = (0..16).map(|_| gateway.post(&path, r#"{"id": "evt_1"}"#));
    let mut tasks = Vec::new();
    for call in calls {
        tasks.push(call);
    }
    let mut accepted = 0;
    for answer in join_all(tasks).await {
        accepted += usize::from(answer.expect(200)["outcome"] == "accepted");
    }
    assert_eq!(accepted, 1);
}

/// Polls all of them in turn until each is done.
async fn join_all<F: Future>(futures: Vec<F>) -> Vec<F::Output> {
    let mut pending: Vec<_> = futures
        .into_iter()
        .map(|one| (Box::pin(one), None))
        .collect();
    std::future::poll_fn(move |context| {
        let mut waiting = false;
        for (future, output) in &mut pending {
            if output.is_none() {
                match future.as_mut().poll(context) {
                    std::task::Poll::Ready(done) => *output = Some(done),
                    std::task::Poll::Pending => waiting = true,
                }
            }
        }
        if waiting {
            return std::task::Poll::Pending;
        }
        let outputs = pending.drain(..).filter_map(|(_, output)| output).collect();
        std::task::Poll::Ready(outputs)
    })
    .await
}

/// A source that wants a token in a header.
async fn signed_source(gateway: &Gateway) -> (Value, String) {
    let verifier = json!({
        "type": "api_key", "header": "x-token", "secret": "correct-horse",
    });
    let key = json!({"locations": ["body:$.id"]});
    gateway
        .source(json!({"name": "signed", "verifier": verifier, "key": key}))
        .await
}

#[tokio::test]
async fn k7_what_is_not_verified_claims_no_key_and_asks_no_store() {
    let gateway = Gateway::start().await;
    let (_, path) = signed_source(&gateway).await;
    let body = r#"{"id": "evt_1"}"#;

    let refused = gateway
        .call("POST", &path, &[("x-token", "wrong")], body)
        .await;
    let problem = refused.expect(401);
    assert_eq!(problem["reason"], "credentials_wrong");
    let missing = gateway.call("POST", &path, &[], body).await;
    assert_eq!(missing.expect(401)["reason"], "verification_missing");

    let good = [("x-token", "correct-horse")];
    let accepted = gateway.call("POST", &path, &good, body).await;
    assert_eq!(
        outcome(&accepted).1,
        "accepted",
        "a stranger must not take the key"
    );

    // With the store gone, a true request is turned away as unavailable, and a false one as false.
    gateway.store.close().await.unwrap();
    let refused = gateway
        .call("POST", &path, &[("x-token", "wrong")], body)
        .await;
    refused.expect(401);
    let unavailable = gateway.call("POST", &path, &good, body).await;
    unavailable.expect(503);
    assert!(unavailable.header("retry-after").is_some());
}

#[tokio::test]
async fn k7_a_refusal_is_logged_without_its_body_and_without_the_credential() {
    let gateway = Gateway::start().await;
    let (source, path) = signed_source(&gateway).await;
    let headers = [("x-token", "wrong-but-secret"), ("x-shown", "yes")];
    let refused = gateway.call("POST", &path, &headers, r#"{"id": 1}"#).await;
    let problem = refused.expect(401);
    let logged = rejected(&gateway).await;
    let [RequestView::Other { request, envelope }] = logged.as_slice() else {
        panic!("one refusal is logged, not {logged:?}");
    };
    assert_eq!(json!(request.id), problem["request_id"]);
    assert_eq!(json!(request.source_id), source["id"]);
    assert_eq!(request.response_status, 401);
    assert_eq!(envelope.header("x-token"), Some("***"));
    assert_eq!(envelope.header("x-shown"), Some("yes"));
    let body = gateway
        .store
        .request(request.project_id, request.id)
        .await
        .unwrap();
    assert!(matches!(body, Some(RequestView::Other { .. })));
}

#[tokio::test]
async fn k5_a_missing_key_is_accepted_hashed_or_refused_as_the_source_says() {
    let gateway = Gateway::start().await;
    let source = |name: &str, missing: &str| {
        let key = json!({"locations": ["header:x-id", "body:$.id"], "missing_key": missing});
        json!({"name": name, "key": key})
    };
    let (_, accepts) = gateway.source(source("accepts", "accept")).await;
    for _ in 0..2 {
        let answer = gateway.post(&accepts, "not json").await;
        assert_eq!(outcome(&answer), expected(200, "accepted", "no_route"));
    }
    let (_, hashes) = gateway.source(source("hashes", "content")).await;
    let first = gateway.post(&hashes, r#"{"a": 1}"#).await;
    let again = gateway.post(&hashes, r#"{ "a": 1.0 }"#).await;
    assert_eq!(
        (outcome(&first).1, outcome(&again).1),
        ("accepted".into(), "duplicate".into())
    );

    let (_, refuses) = gateway.source(source("refuses", "reject")).await;
    let problem = gateway.post(&refuses, r#"{"a": 1}"#).await.expect(422);
    let looked_at: Vec<&str> = problem["errors"]
        .as_array()
        .unwrap()
        .iter()
        .map(|e| e["pointer"].as_str().unwrap())
        .collect();
    assert_eq!(looked_at, ["header:x-id", "body:$.id"]);
    assert_eq!(rejected(&gateway).await.len(), 1);
}

#[tokio::test]
async fn k5_a_key_of_ten_kilobytes_counts_and_one_over_64_kib_is_none() {
    let gateway = Gateway::start().await;
    let (_, path) = keyed(&gateway).await;
    for (bytes, second) in [(10_240, "duplicate"), (65 * 1024, "accepted")] {
        let body = json!({"id": "k".repeat(bytes)}).to_string();
        let first = gateway.post(&path, body.clone()).await;
        let again = gateway.post(&path, body).await;
        assert_eq!(
            (outcome(&first).1, outcome(&again).1.as_str()),
            ("accepted".into(), second)
        );
    }
}

#[tokio::test]
async fn k3_an_array_can_be_a_key_and_order_inside_it_counts() {
    let gateway = Gateway::start().await;
    let (_, path) = keyed(&gateway).await;
    let answers = [
        r#"{"id": [1, "a"]}"#,
        r#"{"id": [1.0,"a"]}"#,
        r#"{"id": ["a", 1]}"#,
    ];
    let mut outcomes = Vec::new();
    for body in answers {
        outcomes.push(outcome(&gateway.post(&path, body).await).1);
    }
    assert_eq!(outcomes, ["accepted", "duplicate", "accepted"]);
}

#[tokio::test]
async fn k10_a_redelivered_batch_that_holds_one_new_element_delivers_just_that_one() {
    let gateway = Gateway::start().await;
    let key = json!({"locations": ["body:$.id"]});
    let settings = json!({"name": "batches", "key": key, "split": "body:$.events"});
    let (source, path) = gateway.source(settings).await;
    gateway.connected(&source, "batch-receiver").await;

    let first = gateway
        .post(&path, r#"{"events": [{"id": 1}, {"id": 2}]}"#)
        .await
        .expect(200);
    assert_eq!(first["outcome"], "accepted");
    let again = gateway
        .post(&path, r#"{"events": [{"id": 1}, {"id": 3}, {"id": 2}]}"#)
        .await
        .expect(200);
    assert_eq!(again["outcome"], "accepted");
    let outcomes: Vec<&str> = again["data"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| one["outcome"].as_str().unwrap())
        .collect();
    assert_eq!(outcomes, ["duplicate", "accepted", "duplicate"]);
    assert_eq!(
        again["data"][0]["message_id"],
        first["data"][0]["message_id"]
    );

    let third = gateway
        .post(&path, r#"{"events": [{"id": 1}, {"id": 1}]}"#)
        .await;
    assert_eq!(third.expect(200)["outcome"], "duplicate");
    // Every arrival is recorded: an empty batch is one message, and has ids to be found by.
    let empty = gateway.post(&path, r#"{"events": []}"#).await.expect(200);
    assert_eq!(empty["outcome"], "accepted");
    let message = empty["message_id"].as_str().unwrap();
    let shown = gateway.get(&format!("/v1/messages/{message}")).await;
    assert_eq!(shown.expect(200)["payload"], json!({"events": []}));
}

#[tokio::test]
async fn k10_an_element_is_stored_as_its_raw_slice() {
    let gateway = Gateway::start().await;
    let key = json!({"locations": ["body:$.id"]});
    let settings = json!({"name": "batches", "key": key, "split": "body:$"});
    let (source, path) = gateway.source(settings).await;
    let answer = gateway
        .post(&path, r#"[ {"id": 1,  "n": 1.50}, {"id":2}]"#)
        .await
        .expect(200);
    let project = source["project_id"].as_str().unwrap().parse().unwrap();
    let message = answer["data"][0]["message_id"]
        .as_str()
        .unwrap()
        .parse()
        .unwrap();
    let view = gateway
        .store
        .message(project, message)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(&view.body[..], br#"{"id": 1,  "n": 1.50}"#);
}

#[tokio::test]
async fn c6_each_policy_answers_another_payload_in_its_own_way() {
    let gateway = Gateway::start().await;
    for (policy, status, result, effect) in [
        ("suppress", 200, "duplicate", "suppressed"),
        ("accept", 200, "accepted", "no_route"),
        ("reject", 409, "", ""),
        ("quarantine", 200, "conflict", "held"),
    ] {
        let key = json!({"locations": ["body:$.id"]});
        let settings = json!({"name": policy, "key": key, "on_conflict": policy});
        let (_, path) = gateway.source(settings).await;
        let original = gateway
            .post(&path, r#"{"id": "evt_1", "amount": 5, "x": 1}"#)
            .await;
        let original = original.expect(200)["message_id"].clone();
        let other = gateway
            .post(&path, r#"{"id": "evt_1", "amount": 6, "x": 1.0}"#)
            .await;
        assert_eq!(
            outcome(&other),
            expected(status, result, effect),
            "{policy}"
        );
        match policy {
            "accept" => assert_ne!(other.json()["message_id"], original),
            "reject" => {
                let problem = other.expect(409);
                assert_eq!(problem["original_message_id"], original);
                assert_eq!(problem["diff"], json!(["/amount"]));
                assert_ne!(problem["fingerprint"], problem["original_fingerprint"]);
                assert_eq!(problem["fingerprint"].as_str().map(str::len), Some(64));
            }
            _ => assert_eq!(other.json()["message_id"], original, "{policy}"),
        }
    }
}

#[tokio::test]
async fn c6_what_differs_is_kept_with_the_suppressed_request() {
    let gateway = Gateway::start().await;
    let (source, path) = keyed(&gateway).await;
    gateway
        .post(&path, r#"{"id": 1, "a": {"b/c": 1}}"#)
        .await
        .expect(200);
    let other = gateway
        .post(&path, r#"{"id": 1, "a": {"b/c": 2}}"#)
        .await
        .expect(200);
    let project = source["project_id"].as_str().unwrap().parse().unwrap();
    let id: hooklatch_core::ids::RequestId = other["request_id"].as_str().unwrap().parse().unwrap();
    let diff = common::eventually(|| async {
        match gateway.store.request(project, id).await.unwrap() {
            Some(RequestView::Other { request, .. }) => {
                assert!(request.payload_differs);
                request.diff
            }
            other => panic!("a duplicate is no message: {other:?}"),
        }
    });
    assert_eq!(diff.await, ["/a/b~1c"]);
}

#[tokio::test]
async fn c7_a_changed_rule_opens_no_gap() {
    let gateway = Gateway::start().await;
    let (source, path) = keyed(&gateway).await;
    let first = gateway
        .post(&path, r#"{"id": "evt_1", "ref": "r1"}"#)
        .await
        .expect(200);
    let rule = json!({"key": {"locations": ["body:$.ref"]}});
    let source_path = format!("/v1/sources/{}", source["id"].as_str().unwrap());
    gateway.api("PATCH", &source_path, rule).await.expect(200);

    let old = gateway
        .post(&path, r#"{"id": "evt_1", "ref": "r1"}"#)
        .await
        .expect(200);
    assert_eq!(
        (&old["outcome"], &old["message_id"]),
        (&json!("duplicate"), &first["message_id"])
    );
    // Both keys are claimed now: the new one protects without the old one.
    let new = gateway
        .post(&path, r#"{"id": "evt_9", "ref": "r1"}"#)
        .await
        .expect(200);
    assert_eq!(
        (&new["outcome"], &new["message_id"]),
        (&json!("duplicate"), &first["message_id"])
    );
}

#[tokio::test]
async fn d5_a_keyless_look_alike_is_flagged_and_accepted() {
    let gateway = Gateway::start().await;
    let (source, path) = gateway.source(json!({"name": "unkeyed"})).await;
    let first = gateway.post(&path, r#"{"a": 1}"#).await.expect(200);
    let again = gateway.post(&path, r#"{"a":1}"#).await.expect(200);
    assert_eq!(again["outcome"], "accepted");
    let project = source["project_id"].as_str().unwrap().parse().unwrap();
    let id = again["message_id"].as_str().unwrap().parse().unwrap();
    let view = gateway.store.message(project, id).await.unwrap().unwrap();
    assert_eq!(
        json!(view.message.suspected_duplicate_of),
        first["message_id"]
    );
}

#[tokio::test]
async fn a_source_may_answer_in_its_own_words() {
    let gateway = Gateway::start().await;
    let response = json!({"status": 202, "content_type": "text/xml", "body": "<ok/>"});
    let key = json!({"locations": ["body:$.id"]});
    let settings = json!({"name": "own", "key": key, "response": response});
    let (_, path) = gateway.source(settings).await;
    for replayed in [None, Some("true")] {
        let answer = gateway.post(&path, r#"{"id": 1}"#).await;
        assert_eq!((answer.status, answer.text()), (202, "<ok/>".to_owned()));
        assert_eq!(answer.header("content-type"), Some("text/xml"));
        assert_eq!(answer.header("idempotent-replayed"), replayed);
        assert!(answer.header("x-request-id").unwrap().starts_with("req_"));
    }
}

#[tokio::test]
async fn only_the_methods_of_the_source_are_taken() {
    let gateway = Gateway::start().await;
    let (_, path) = gateway
        .source(json!({"name": "two", "methods": ["POST", "put"]}))
        .await;
    for method in ["POST", "PUT"] {
        gateway.call(method, &path, &[], "{}").await.expect(200);
    }
    let refused = gateway.call("DELETE", &path, &[], "").await;
    refused.expect(405);
    assert_eq!(refused.header("allow"), Some("POST, PUT"));
}

#[tokio::test]
async fn the_rest_of_the_path_and_the_query_are_kept() {
    let gateway = Gateway::start().await;
    let (source, path) = gateway.source(json!({"name": "paths"})).await;
    let project = source["project_id"].as_str().unwrap().parse().unwrap();
    for (rest, kept, query) in [
        ("/orders/1%2F2?a=b&c", "/orders/1%2F2", Some("a=b&c")),
        ("/", "/", None),
        ("", "", None),
    ] {
        let answer = gateway
            .post(&format!("{path}{rest}"), "{}")
            .await
            .expect(200);
        let id = answer["message_id"].as_str().unwrap().parse().unwrap();
        let view = gateway.store.message(project, id).await.unwrap().unwrap();
        assert_eq!(
            (view.envelope.path.as_str(), view.envelope.query.as_deref()),
            (kept, query)
        );
    }
}

#[tokio::test]
async fn an_unknown_token_is_not_found_and_a_paused_source_asks_to_wait() {
    let gateway = Gateway::start().await;
    gateway
        .post("/ingest/nobody-has-this", "{}")
        .await
        .expect(404);
    let (source, path) = keyed(&gateway).await;
    let id = source["id"].as_str().unwrap();
    gateway
        .api("POST", &format!("/v1/sources/{id}/pause"), Value::Null)
        .await
        .expect(200);
    let paused = gateway.post(&path, r#"{"id": 1}"#).await;
    paused.expect(503);
    assert!(paused.header("retry-after").is_some());
    gateway
        .api("POST", &format!("/v1/sources/{id}/resume"), Value::Null)
        .await
        .expect(200);
    gateway.post(&path, r#"{"id": 1}"#).await.expect(200);
    gateway
        .api("DELETE", &format!("/v1/sources/{id}"), Value::Null)
        .await
        .expect(204);
    gateway.post(&path, r#"{"id": 2}"#).await.expect(404);
}

#[tokio::test]
async fn the_store_says_when_it_is_ready() {
    let gateway = Gateway::start().await;
    gateway.call("GET", "/healthz", &[], "").await.expect(200);
    let ready = gateway.call("GET", "/readyz", &[], "").await.expect(200);
    assert_eq!(ready["store"], "memory", "{ready}");
    gateway.store.close().await.unwrap();
    gateway.call("GET", "/healthz", &[], "").await.expect(200);
    gateway.call("GET", "/readyz", &[], "").await.expect(503);
    assert!(gateway.store.now() > Timestamp::default());
}
