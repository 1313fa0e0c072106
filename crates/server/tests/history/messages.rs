//! Messages: as they came, with what became of them.

use serde_json::{Value, json};

use crate::world::{OWNER, START, World, ids, text};

/// What no 64-bit float can hold.
const EXACT: &str = r#"{"id": 9007199254740993, "type": "order.paid", "x": 1.10, "x": 1e400}"#;

/// A source that wants a proof, and reads the key and the type from the body.
fn proven() -> Value {
    json!({
        "key": {"locations": ["body:$.id"]},
        "event_type": "body:$.type",
        "verifier": {"type": "api_key", "header": "x-proof", "secret": "hush-hush"},
    })
}

#[tokio::test]
async fn a_message_is_shown_as_it_came_with_what_became_of_it() {
    let world = World::new().await;
    let endpoint = world.endpoint("shop").await;
    let source = world.source(proven(), Some(&endpoint)).await;
    let accepted = world.arrive_with_proof(&source, EXACT).await.ok();
    let path = format!("/v1/messages/{}", text(&accepted["message_id"]));
    let shown = world.api(OWNER, "GET", &path, None).await;
    let raw = format!("\"payload\":{EXACT},");
    // 1e400 is beyond what a JSON value of the test can hold, so the payload is taken out.
    let (before, after) = shown.text.split_once(&raw).expect("it is shown as it came");
    let record: Value = serde_json::from_str(&format!("{before}{after}")).unwrap();
    let delivery = &record["deliveries"][0];
    let hashes = [&record["checksum"], &record["fingerprint"]];
    assert_eq!(hashes.map(|hash| text(hash).len()), [64, 64]);
    assert_eq!(
        record,
        json!({
            "id": accepted["message_id"],
            "project_id": world.project,
            "request_id": accepted["request_id"],
            "direction": "inbound",
            "source_id": source.id,
            "tenant": null,
            "url": null,
            "event_type": "order.paid",
            "idempotency_key": "9007199254740993",
            "checksum": record["checksum"],
            "unkeyed": false,
            "fingerprint": record["fingerprint"],
            "outcome": "accepted",
            "origin": "accepted",
            "status": "pending",
            "duplicates": 0,
            "original_message_id": null,
            "suspected_duplicate": false,
            "suspected_duplicate_of": null,
            "payload_encoding": "json",
            "payload_bytes": EXACT.len(),
            "payload_truncated": false,
            "payload_pruned_at": null,
            "payload_expires_at": null,
            "headers": {
                "content-type": "application/json",
                "cookie": "***",
                "x-proof": "***",
                "x-tag": "a, b",
            },
            "received_at": START,
            "deliveries": [{
                "id": delivery["id"],
                "endpoint_id": endpoint,
                "connection_id": delivery["connection_id"],
                "status": "pending",
                "attempts": 0,
                "next_attempt_at": START,
                "reason": null,
            }],
            "deliveries_total": 1,
            "routing": [{
                "connection_id": delivery["connection_id"],
                "outcome": "routed",
                "rule": null,
                "detail": null,
                "original_message_id": null,
                "shadows": [],
            }],
            "warnings": [],
        })
    );
}

#[tokio::test]
async fn a_body_that_is_no_json_is_shown_as_text() {
    let world = World::new().await;
    let source = world.source(json!({}), None).await;
    let accepted = world.arrive(&source, "a=1&b=2").await.ok();
    let path = format!("/v1/requests/{}", text(&accepted["request_id"]));
    let record = world.get(&path).await;
    assert_eq!(
        (&record["body"], &record["body_encoding"]),
        (&json!("a=1&b=2"), &json!("text"))
    );
    let path = format!("/v1/messages/{}", text(&accepted["message_id"]));
    let message = world.get(&path).await;
    assert_eq!(
        (&message["payload"], &message["unkeyed"]),
        (&json!("a=1&b=2"), &json!(true))
    );
}

#[tokio::test]
async fn a_sent_message_shows_the_callers_key_and_headers() {
    let world = World::new().await;
    let endpoint = world.endpoint("shop").await;
    let body = json!({
        "endpoint_id": endpoint, "payload": {"n": 1}, "idempotency_key": "order-1",
        "headers": {"X-Tag": "a", "X-Api-Key": "hush"},
    });
    let sent = world.make("/v1/webhooks/send", body).await;
    let record = world
        .get(&format!("/v1/messages/{}", text(&sent["id"])))
        .await;
    assert_eq!(record["idempotency_key"], "order-1");
    let masked = json!({"X-Tag": "a", "X-Api-Key": "***"});
    assert_eq!(record["headers"], masked);
    assert_eq!(sent["headers"], masked);
    let request = format!("/v1/requests/{}", text(&record["request_id"]));
    assert_eq!(world.get(&request).await["headers"]["X-Api-Key"], "***");
    assert_eq!(record["direction"], "outbound");
    for path in [
        "/v1/messages?key=order-1",
        "/v1/requests?key=order-1&outcome=accepted",
    ] {
        assert_eq!(
            world.get(path).await["data"].as_array().unwrap().len(),
            1,
            "{path}"
        );
    }
}

#[tokio::test]
async fn lists_are_filtered_and_newest_first_and_their_pages_meet() {
    let world = World::new().await;
    let endpoint = world.endpoint("shop").await;
    let settings = json!({"key": {"locations": ["body:$.id"]}, "event_type": "body:$.type"});
    let routed = world.source(settings.clone(), Some(&endpoint)).await;
    let unrouted = world.source(settings, None).await;
    let mut messages = Vec::new();
    for (source, body) in [
        (&routed, r#"{"id": 1, "type": "a"}"#),
        (&unrouted, r#"{"id": 1, "type": "b"}"#),
        (&routed, r#"{"id": 2, "type": "b"}"#),
    ] {
        world.pass(1_000);
        let accepted = world.arrive(source, body).await.ok();
        messages.insert(0, text(&accepted["message_id"]).to_owned());
    }
    let [newest, middle, oldest] = &messages[..] else {
        unreachable!("three messages arrived")
    };
    for (filter, expected) in [
        ("", vec![newest, middle, oldest]),
        (&format!("source_id={}", routed.id), vec![newest, oldest]),
        (&format!("endpoint_id={endpoint}"), vec![newest, oldest]),
        ("event_type=b", vec![newest, middle]),
        ("status=pending", vec![newest, oldest]),
        ("status=no_route", vec![middle]),
        ("status=filtered", vec![]),
        ("tenant=acme", vec![]),
        ("key=1", vec![middle, oldest]),
        ("key=1&event_type=a", vec![oldest]),
        ("key=3", vec![]),
        ("after=2026-01-31T12:00:02Z", vec![newest, middle]),
        ("before=2026-01-31T12:00:02Z", vec![oldest]),
    ] {
        let list = world.get(&format!("/v1/messages?{filter}")).await;
        assert_eq!(ids(&list).iter().collect::<Vec<_>>(), expected, "{filter}");
    }
    let first = world.get("/v1/messages?limit=2").await;
    let cursor = text(&first["next_cursor"]);
    let second = world
        .get(&format!("/v1/messages?limit=2&cursor={cursor}"))
        .await;
    assert_eq!([ids(&first), ids(&second)].concat(), messages);
    assert_eq!(second["next_cursor"], Value::Null);
    let elsewhere = world
        .api(OWNER, "GET", &format!("/v1/requests?cursor={cursor}"), None)
        .await;
    assert!(
        elsewhere
            .refused(422)
            .contains("/cursor is not a cursor of this list")
    );
}

#[tokio::test]
async fn a_list_leaves_out_large_payloads_and_a_record_has_them() {
    let world = World::new().await;
    let source = world.source(json!({}), None).await;
    let large = format!("\"{}\"", "x".repeat(64 * 1024));
    let accepted = world.arrive(&source, &large).await.ok();
    let listed = &world.get("/v1/messages").await["data"][0];
    assert_eq!(listed["payload"], Value::Null);
    assert_eq!(listed["payload_bytes"], large.len());
    assert_eq!(listed["payload_truncated"], true);
    let record = world
        .get(&format!("/v1/messages/{}", text(&accepted["message_id"])))
        .await;
    assert_eq!(text(&record["payload"]).len(), 64 * 1024);
    assert_eq!(record["payload_truncated"], false);
}
