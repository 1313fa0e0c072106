//! Deliveries and attempts.

use std::sync::Arc;

use hooklatch_core::delivery::attempt::AttemptOutcome;
use hooklatch_core::delivery::lifecycle::Next;
use hooklatch_store::{Deliveries, LeaseRequest};
use serde_json::{Value, json};

use crate::world::{OneSecond, START, World, text};

#[tokio::test]
async fn a_delivery_and_its_attempts_are_shown() {
    let world = World::new().await;
    let endpoint = world.endpoint("shop").await;
    let source = world.source(json!({}), Some(&endpoint)).await;
    let accepted = world.arrive(&source, "{}").await.ok();
    let message = text(&accepted["message_id"]);
    world.fail_twice().await;

    let list = world
        .get(&format!("/v1/messages/{message}/deliveries"))
        .await;
    let delivery = &list["data"][0];
    let id = text(&delivery["id"]);
    assert_eq!(
        delivery,
        &json!({
            "id": id,
            "project_id": world.project,
            "message_id": message,
            "endpoint_id": endpoint,
            "connection_id": delivery["connection_id"],
            "status": "failed",
            "attempts": 2,
            "trigger": "retry",
            "next_attempt_at": null,
            "waits_for_turn": false,
            "reason": "attempts_exhausted",
            "reason_detail": "every attempt of the retry policy failed",
            "created_at": START,
            "ended_at": "2026-01-31T12:00:05.000Z",
        })
    );
    assert!(text(&delivery["connection_id"]).starts_with("con_"));
    assert_eq!(&world.get(&format!("/v1/deliveries/{id}")).await, delivery);

    let attempts = world.get(&format!("/v1/deliveries/{id}/attempts")).await;
    let second = &attempts["data"][0];
    assert_eq!(
        second,
        &json!({
            "id": second["id"],
            "project_id": world.project,
            "delivery_id": id,
            "message_id": message,
            "endpoint_id": endpoint,
            "number": 2,
            "trigger": "retry",
            "outcome": "failed",
            "status_code": 503,
            "error": "the endpoint answered 503",
            "receipt": null,
            "request_headers": {"webhook-id": message, "webhook-signature": "***"},
            "response_headers": {"server": "shop"},
            "response_body": "zu sp",
            "response_truncated": true,
            "started_at": "2026-01-31T12:00:05.000Z",
            "duration_ms": 12,
            "timing": {"dns_ms": 1.5, "tcp_ms": null, "tls_ms": null, "first_byte_ms": 0.25},
            "fenced": false,
            "replay_id": null,
        })
    );
    assert_eq!(attempts["data"][1]["number"], 1);
    let filtered = world
        .get(&format!(
            "/v1/attempts?trigger=first&endpoint_id={endpoint}"
        ))
        .await;
    assert_eq!(filtered["data"], json!([attempts["data"][1]]));
    let none = world.get("/v1/attempts?outcome=delivered").await;
    assert_eq!(none, json!({"data": [], "next_cursor": null}));
}

#[tokio::test]
async fn an_attempt_under_way_has_no_duration_yet() {
    let world = World::new().await;
    let endpoint = world.endpoint("shop").await;
    let source = world.source(json!({}), Some(&endpoint)).await;
    world.arrive(&source, "{}").await.ok();
    let terms = Arc::new(OneSecond);
    let leases = world
        .store
        .lease(LeaseRequest { limit: 1, terms })
        .await
        .unwrap();
    let path = format!("/v1/deliveries/{}", leases.leased[0].delivery.id);
    let attempts = world.get(&format!("{path}/attempts")).await;
    assert_eq!(attempts["data"][0]["outcome"], "in_progress");
    assert_eq!(attempts["data"][0]["duration_ms"], Value::Null);
    assert_eq!(attempts["data"][0]["response_body"], Value::Null);
    let refused = world.post(&format!("{path}/retry")).await.refused(409);
    assert!(refused.contains("under way"), "{refused}");
}

#[tokio::test]
async fn a_delivery_is_cancelled_and_retried() {
    let world = World::new().await;
    let endpoint = world.endpoint("shop").await;
    let source = world.source(json!({}), Some(&endpoint)).await;
    let accepted = world.arrive(&source, "{}").await.ok();
    let message = world
        .get(&format!("/v1/messages/{}", text(&accepted["message_id"])))
        .await;
    let path = format!("/v1/deliveries/{}", text(&message["deliveries"][0]["id"]));
    let cancelled = world.post(&format!("{path}/cancel")).await.ok();
    assert_eq!(cancelled["status"], "cancelled");
    assert_eq!(cancelled["reason"], "cancelled_by_person");
    let refused = world.post(&format!("{path}/cancel")).await.refused(409);
    assert!(refused.contains("already ended"), "{refused}");
    let retried = world.post(&format!("{path}/retry")).await.ok();
    assert_eq!(retried["status"], "pending");
    assert_eq!(retried["trigger"], "manual");
}

#[tokio::test]
async fn retrying_a_message_leaves_what_was_delivered_alone() {
    let world = World::new().await;
    let first = world.endpoint("first").await;
    let source = world.source(json!({}), Some(&first)).await;
    let second = world.endpoint("second").await;
    let body = json!({"name": "to second", "source_id": source.id, "endpoint_id": second});
    world.make("/v1/connections", body).await;
    let accepted = world.arrive(&source, "{}").await.ok();
    let path = format!("/v1/messages/{}", text(&accepted["message_id"]));
    let message = world.get(&path).await;
    let cancelled = text(&message["deliveries"][1]["id"]);
    world
        .post(&format!("/v1/deliveries/{cancelled}/cancel"))
        .await
        .ok();
    assert_eq!(
        world
            .attempt(AttemptOutcome::Delivered, Next::Deliver)
            .await,
        1
    );

    let answer = world.post(&format!("{path}/retry")).await.ok();
    assert_eq!(answer["message_id"], accepted["message_id"]);
    assert_eq!(answer["retried"], 1);
    let results: Vec<_> = answer["data"]
        .as_array()
        .unwrap()
        .iter()
        .map(|done| {
            (
                text(&done["endpoint_id"]),
                text(&done["result"]),
                text(&done["status"]),
            )
        })
        .collect();
    assert_eq!(
        results,
        [
            (first.as_str(), "already_delivered", "delivered"),
            (second.as_str(), "retried", "pending"),
        ]
    );
}
