//! Requests: why they came, and a person's word on them.

use serde_json::{Value, json};

use crate::world::{World, ids, text};

#[tokio::test]
async fn a_duplicate_is_listed_under_its_original_with_cause_and_body() {
    let world = World::new().await;
    let source = world
        .source(json!({"key": {"locations": ["body:$.id"]}}), None)
        .await;
    let original = world.arrive(&source, r#"{"id": "e1", "n": 1}"#).await.ok();
    world.pass(3_000);
    let again = world.arrive(&source, r#"{"id": "e1", "n": 2}"#).await.ok();
    assert_eq!(again["outcome"], "duplicate");

    let path = format!("/v1/requests/{}", text(&again["request_id"]));
    let record = world.get(&path).await;
    assert_eq!(
        record,
        json!({
            "id": again["request_id"],
            "project_id": world.project,
            "direction": "inbound",
            "source_id": source.id,
            "outcome": "duplicate",
            "duplicate": true,
            "effect": "suppressed",
            "cause": "unknown",
            "evidence": record["evidence"],
            "message_id": original["message_id"],
            "original_message_id": original["message_id"],
            "released_message_id": null,
            "payload_differs": true,
            "diff": record["diff"],
            "event_type": null,
            "key": "e1",
            "checksum": record["checksum"],
            "scope": format!("source:{}", source.id),
            "fingerprint": record["fingerprint"],
            "reason": null,
            "received_at": "2026-01-31T12:00:03.000Z",
            "method": "POST",
            "path": "/orders",
            "query": "id=1&access_token=***",
            "headers": {
                "content-type": "application/json",
                "x-signature": "***",
                "x-tag": "a, b",
            },
            "body": {"id": "e1", "n": 2},
            "body_encoding": "json",
            "payload_pruned_at": null,
            "response_status": 200,
        })
    );
    let evidence = text(&record["evidence"]);
    assert!(evidence.contains("after the original"), "{evidence}");

    let path = format!("/v1/messages/{}/requests", text(&original["message_id"]));
    let list = world.get(&path).await;
    assert_eq!(
        ids(&list),
        [text(&again["request_id"]), text(&original["request_id"])]
    );
    assert_eq!(list["data"][0].get("body"), None);
    assert_eq!(list["data"][1]["outcome"], "accepted");
    assert_eq!(list["data"][1]["effect"], "no_route");
    assert_eq!(list["data"][1]["message_id"], original["message_id"]);
    assert_eq!(list["data"][1]["original_message_id"], Value::Null);
    let message = world.get(&path.replace("/requests", "")).await;
    assert_eq!(
        (&message["duplicates"], &message["status"]),
        (&json!(1), &json!("no_route"))
    );
}

#[tokio::test]
async fn d4_a_released_request_becomes_a_message_of_its_own_once() {
    let world = World::new().await;
    let (_, original, held) = world.held().await;
    let path = format!("/v1/requests/{}", text(&held["request_id"]));
    let released = world.post(&format!("{path}/release")).await.ok();
    assert_eq!(released["effect"], "released");
    assert_eq!(released["original_message_id"], original["message_id"]);
    assert_ne!(released["message_id"], original["message_id"]);

    let message = text(&released["message_id"]);
    let record = world.get(&format!("/v1/messages/{message}")).await;
    assert_eq!(record["origin"], "released");
    assert_eq!(record["payload"], json!({"id": 1, "n": 2}));
    assert_eq!(record["original_message_id"], original["message_id"]);
    assert_eq!(record["deliveries"].as_array().unwrap().len(), 1);
    let requests = world.get(&format!("/v1/messages/{message}/requests")).await;
    assert_eq!(ids(&requests), [text(&held["request_id"])]);

    let again = world.post(&format!("{path}/release")).await;
    assert!(again.refused(409).contains("already been released"));
    assert_eq!(again.json()["reason"], "already_released");
    let accepted = format!("/v1/requests/{}/release", text(&original["request_id"]));
    assert_eq!(world.post(&accepted).await.json()["reason"], "accepted");
}

#[tokio::test]
async fn d4_a_released_repetition_of_a_send_goes_to_its_target() {
    let world = World::new().await;
    let endpoint = world.endpoint("shop").await;
    for target in [
        json!({"endpoint_id": endpoint}),
        json!({"tenant": "acme"}),
        json!({"broadcast": true}),
        json!({"url": "https://93.184.215.14/direct"}),
    ] {
        let mut call = json!({"payload": 1, "idempotency_key": "k"});
        call.as_object_mut()
            .unwrap()
            .extend(target.as_object().unwrap().clone());
        world.make("/v1/webhooks/send", call.clone()).await;
        world.make("/v1/webhooks/send", call).await;
        let duplicates = world.get("/v1/requests?outcome=duplicate&limit=1").await;
        let path = format!("/v1/requests/{}/release", ids(&duplicates)[0]);
        let released = world.post(&path).await.ok();
        let path = format!("/v1/messages/{}", text(&released["message_id"]));
        let record = world.get(&path).await;
        assert_eq!(record["status"], "pending", "{target}");
        assert_eq!(record["deliveries_total"], 1, "{target}");
    }
}

#[tokio::test]
async fn d4_a_held_request_is_discarded_once() {
    let world = World::new().await;
    let (_, original, held) = world.held().await;
    let path = format!("/v1/requests/{}/discard", text(&held["request_id"]));
    assert_eq!(world.post(&path).await.ok()["effect"], "discarded");
    assert_eq!(
        world.post(&path).await.json()["reason"],
        "already_discarded"
    );
    let accepted = format!("/v1/requests/{}/discard", text(&original["request_id"]));
    world.post(&accepted).await.refused(409);
}

#[tokio::test]
async fn requests_are_filtered_by_outcome_cause_and_key() {
    let world = World::new().await;
    let source = world
        .source(json!({"key": {"locations": ["body:$.id"]}}), None)
        .await;
    let original = world.arrive(&source, r#"{"id": "e1"}"#).await.ok();
    let again = world.arrive(&source, r#"{"id": "e1"}"#).await.ok();
    let other = world.arrive(&source, r#"{"id": "e2"}"#).await.ok();
    let [original, again, other] =
        [original, again, other].map(|answer| answer["request_id"].clone());
    let checksum = world.get(&format!("/v1/requests/{}", text(&other))).await["checksum"].clone();
    let cause = world.get(&format!("/v1/requests/{}", text(&again))).await["cause"].clone();
    for (filter, expected) in [
        ("outcome=duplicate".to_owned(), vec![&again]),
        (format!("cause={}", text(&cause)), vec![&again]),
        ("outcome=rejected".to_owned(), vec![]),
        ("key=e1".to_owned(), vec![&again, &original]),
        (format!("key={}", text(&checksum)), vec![&other]),
        (
            format!("source_id={}", source.id),
            vec![&other, &again, &original],
        ),
    ] {
        let list = world.get(&format!("/v1/requests?{filter}")).await;
        let expected: Vec<_> = expected.into_iter().map(text).collect();
        assert_eq!(ids(&list), expected, "{filter}");
    }
}
