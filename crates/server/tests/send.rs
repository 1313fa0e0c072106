//! The send API: one key, one message.

mod common;

use common::{API_KEY, Answer, Gateway};
use hooklatch_core::ids::MessageId;
use hooklatch_store::History;
use serde_json::{Value, json};

const SEND: &str = "/v1/webhooks/send";

async fn endpoint(gateway: &Gateway, name: &str, more: Value) -> String {
    let settings = with(
        json!({"name": name, "url": format!("http://127.0.0.1:9/{name}")}),
        more,
    );
    let made = gateway
        .api("POST", "/v1/endpoints", settings)
        .await
        .expect(201);
    made["id"]
        .as_str()
        .expect("an endpoint has an id")
        .to_owned()
}

/// The object with more fields.
fn with(mut object: Value, more: Value) -> Value {
    let (Value::Object(fields), Value::Object(more)) = (&mut object, more) else {
        panic!("both are objects");
    };
    fields.extend(more);
    object
}

async fn send(gateway: &Gateway, call: Value) -> Answer {
    gateway.api("POST", SEND, call).await
}

async fn send_with_header(gateway: &Gateway, key: &str, call: Value) -> Answer {
    let bearer = format!("Bearer {API_KEY}");
    let headers = [("authorization", bearer.as_str()), ("idempotency-key", key)];
    gateway.call("POST", SEND, &headers, call.to_string()).await
}

#[tokio::test]
async fn s1_a_new_message_is_answered_with_202_and_its_record() {
    let gateway = Gateway::start().await;
    let id = endpoint(&gateway, "orders", json!({})).await;
    let answer = send(
        &gateway,
        json!({
            "endpoint_id": id, "event_type": "order.paid", "payload": {"n": 1},
            "idempotency_key": "order-7", "headers": {"x-team": "core", "Webhook-Id": "mine"},
        }),
    )
    .await;
    let record = answer.expect(202);
    assert_eq!(answer.header("idempotent-replayed"), None);
    assert!(record["id"].as_str().unwrap().starts_with("msg_"));
    assert_eq!(record["source_id"], Value::Null);
    assert_eq!(record["event_type"], "order.paid");
    assert_eq!(record["idempotency_key"], "order-7");
    assert_eq!(record["checksum"].as_str().map(str::len), Some(64));
    assert_eq!(record["fingerprint"].as_str().map(str::len), Some(64));
    assert_eq!(
        (&record["outcome"], &record["status"]),
        (&json!("accepted"), &json!("pending"))
    );
    assert_eq!(record["duplicates"], 0);
    assert_eq!(record["payload"], json!({"n": 1}));
    assert_eq!(record["headers"]["x-team"], "core");
    let [delivery] = record["deliveries"].as_array().unwrap().as_slice() else {
        panic!("one endpoint, one delivery: {record}");
    };
    assert_eq!(delivery["endpoint_id"], id);
    assert_eq!(
        (&delivery["status"], &delivery["attempts"]),
        (&json!("pending"), &json!(0))
    );
    // O1: a reserved header is dropped and named.
    let warnings = record["warnings"].as_array().unwrap();
    assert!(
        warnings[0]
            .as_str()
            .unwrap()
            .to_lowercase()
            .contains("webhook-id"),
        "{record}"
    );
}

#[tokio::test]
async fn s2_a_repetition_is_answered_with_the_original_as_it_is_now() {
    let gateway = Gateway::start().await;
    let id = endpoint(&gateway, "orders", json!({})).await;
    let call = |payload: Value, more: Value| {
        let mut call = json!({"endpoint_id": id, "payload": payload, "idempotency_key": "k"});
        call.as_object_mut()
            .unwrap()
            .extend(more.as_object().cloned().unwrap());
        call
    };
    let first = send(&gateway, call(json!({"a": 1, "b": 2}), json!({})))
        .await
        .expect(202);
    let more = json!({"headers": {"x-new": "1"}, "delay_seconds": 60});
    let again = send(&gateway, call(json!({"b": 2.0, "a": 1}), more)).await;
    let record = again.expect(200);
    assert_eq!(again.header("idempotent-replayed"), Some("true"));
    assert_eq!(record["id"], first["id"]);
    assert_eq!(record["duplicates"], 1);
    assert_eq!(
        record["headers"],
        json!({}),
        "headers play no part, and nothing is changed"
    );
    assert_eq!(record["deliveries"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn s2_a_repetition_is_answered_though_its_endpoint_was_deleted_since() {
    let gateway = Gateway::start().await;
    let id = endpoint(&gateway, "orders", json!({})).await;
    let call = |key: &str| json!({"endpoint_id": id, "payload": 1, "idempotency_key": key});
    let first = send(&gateway, call("k")).await.expect(202);
    let path = format!("/v1/endpoints/{id}");
    gateway.api("DELETE", &path, Value::Null).await.expect(204);
    assert_eq!(
        send(&gateway, call("k")).await.expect(200)["id"],
        first["id"]
    );
    send(&gateway, call("other")).await.expect(404);
    send(&gateway, json!({"endpoint_id": id, "payload": 1}))
        .await
        .expect(404);
}

#[tokio::test]
async fn s3_c6_another_payload_under_a_known_key_is_409_with_all_that_explains_it() {
    let gateway = Gateway::start().await;
    let id = endpoint(&gateway, "orders", json!({})).await;
    let call = |amount: i64, event: &str| {
        json!({"endpoint_id": id, "payload": {"amount": amount, "items": [1, 2]},
               "event_type": event, "idempotency_key": "k"})
    };
    let first = send(&gateway, call(5, "paid")).await.expect(202);
    let problem = send(&gateway, call(6, "paid")).await.expect(409);
    assert_eq!(problem["original_message_id"], first["id"]);
    assert_eq!(problem["original_fingerprint"], first["fingerprint"]);
    assert_ne!(problem["fingerprint"], first["fingerprint"]);
    assert_eq!(problem["diff"], json!(["/amount"]));
    // The type of the event is a part of what is the same (C5).
    let problem = send(&gateway, call(5, "refunded")).await.expect(409);
    assert_eq!(problem["diff"], json!([]));
    send(&gateway, call(5, "paid")).await.expect(200);
}

#[tokio::test]
async fn s4_without_a_key_every_call_is_new() {
    let gateway = Gateway::start().await;
    let id = endpoint(&gateway, "orders", json!({})).await;
    let call = json!({"endpoint_id": id, "payload": {"a": 1}});
    let first = send(&gateway, call.clone()).await.expect(202);
    let again = send(&gateway, call).await.expect(202);
    assert_ne!(first["id"], again["id"]);
    assert_eq!(first["checksum"], Value::Null);
}

#[tokio::test]
async fn s5_a_key_has_1_to_255_visible_characters_and_comes_in_either_place() {
    let gateway = Gateway::start().await;
    let id = endpoint(&gateway, "orders", json!({})).await;
    let call = |key: Value| json!({"endpoint_id": id, "payload": 1, "idempotency_key": key});
    let plain = json!({"endpoint_id": id, "payload": 1});
    for bad in [
        json!(""),
        json!("two words"),
        json!("k".repeat(256)),
        json!("ключ"),
        json!(7),
    ] {
        let answer = send(&gateway, call(bad.clone())).await;
        assert_eq!(answer.status, 400, "{bad}: {}", answer.text());
    }
    for bad in ["two words", "\"open"] {
        send_with_header(&gateway, bad, plain.clone())
            .await
            .expect(400);
    }
    send(&gateway, call(json!("k".repeat(255))))
        .await
        .expect(202);

    let first = send(&gateway, call(json!("same"))).await.expect(202);
    for header in ["same", "\"same\""] {
        let again = send_with_header(&gateway, header, plain.clone())
            .await
            .expect(200);
        assert_eq!(again["id"], first["id"], "{header}");
    }
    send_with_header(&gateway, "same", call(json!("same")))
        .await
        .expect(200);
    let problem = send_with_header(&gateway, "other", call(json!("same")))
        .await
        .expect(400);
    assert!(
        problem["detail"].as_str().unwrap().contains("differ"),
        "{problem}"
    );
}

#[tokio::test]
async fn c1_targets_do_not_share_their_keys() {
    let gateway = Gateway::start().await;
    let one = endpoint(&gateway, "one", json!({"tenant": "acme"})).await;
    let other = endpoint(&gateway, "other", json!({})).await;
    for target in [
        json!({"endpoint_id": one}),
        json!({"endpoint_id": other}),
        json!({"tenant": "acme"}),
        json!({"tenant": "broadcast"}),
        json!({"url": "http://127.0.0.1:9/x"}),
        json!({"broadcast": true}),
    ] {
        let mut call = json!({"payload": {"a": 1}, "idempotency_key": "k"});
        call.as_object_mut()
            .unwrap()
            .extend(target.as_object().cloned().unwrap());
        send(&gateway, call.clone()).await.expect(202);
        send(&gateway, call).await.expect(200);
    }
}

#[tokio::test]
async fn s6_a_key_covers_the_whole_fan_out_as_it_was_at_the_first_call() {
    let gateway = Gateway::start().await;
    endpoint(&gateway, "one", json!({"tenant": "acme"})).await;
    endpoint(
        &gateway,
        "two",
        json!({"tenant": "acme", "event_types": ["order.*"]}),
    )
    .await;
    endpoint(
        &gateway,
        "three",
        json!({"tenant": "acme", "event_types": ["user.*"]}),
    )
    .await;
    endpoint(&gateway, "other", json!({"tenant": "umbrella"})).await;
    let call = json!({
        "tenant": "acme", "event_type": "order.paid", "payload": {}, "idempotency_key": "k",
    });
    let first = send(&gateway, call.clone()).await.expect(202);
    assert_eq!(first["deliveries"].as_array().unwrap().len(), 2, "{first}");
    assert_eq!(first["tenant"], "acme");
    endpoint(&gateway, "late", json!({"tenant": "acme"})).await;
    let again = send(&gateway, call).await.expect(200);
    assert_eq!(again["deliveries"].as_array().unwrap().len(), 2, "{again}");

    let all = json!({"broadcast": true, "payload": {}, "event_type": "user.new"});
    let all = send(&gateway, all).await.expect(202);
    assert_eq!(all["deliveries"].as_array().unwrap().len(), 4, "{all}");
    let none = json!({"tenant": "nobody", "payload": {}});
    assert_eq!(send(&gateway, none).await.expect(202)["status"], "no_route");
}

#[tokio::test]
async fn s7_a_batch_answers_each_item_in_order_and_one_key_twice_is_one_message() {
    let gateway = Gateway::start().await;
    let id = endpoint(&gateway, "orders", json!({})).await;
    let item = |key: &str, amount: i64| json!({"endpoint_id": id, "payload": {"amount": amount}, "idempotency_key": key});
    let items = json!([
        item("a", 1),
        item("a", 1),
        item("a", 2),
        json!({"payload": 1}),
        json!(7),
        item("b", 1),
    ]);
    let answer = gateway
        .api("POST", "/v1/webhooks/send/batch", json!({"items": items}))
        .await;
    let data = answer.expect(200)["data"].clone();
    let seen: Vec<(u64, bool)> = data
        .as_array()
        .unwrap()
        .iter()
        .map(|line| {
            (
                line["status_code"].as_u64().unwrap(),
                line["replayed"].as_bool().unwrap(),
            )
        })
        .collect();
    let new = (202, false);
    assert_eq!(
        seen,
        [
            new,
            (200, true),
            (409, false),
            (400, false),
            (422, false),
            new
        ],
        "{data}"
    );
    assert_eq!(data[0]["id"], data[1]["id"]);
    assert_eq!(data[2]["original_message_id"], data[0]["id"]);
    assert!(
        data[3]["detail"].as_str().unwrap().contains("target"),
        "{data}"
    );
}

#[tokio::test]
async fn c6_one_request_has_a_bounded_number_of_payloads_compared() {
    let gateway = Gateway::start().await;
    let id = endpoint(&gateway, "one", json!({})).await;
    let call = |amount: usize| {
        let payload = json!({"amount": amount});
        json!({"endpoint_id": id, "idempotency_key": "k", "payload": payload})
    };
    send(&gateway, call(0)).await.expect(202);
    let items: Vec<Value> = (1..=20).map(call).collect();
    let batch = json!({"items": items});
    let answer = gateway.api("POST", "/v1/webhooks/send/batch", batch).await;
    let answer = answer.expect(200);
    for (index, line) in answer["data"].as_array().unwrap().iter().enumerate() {
        assert_eq!(line["status_code"], 409, "{line}");
        let fingerprint = &line["original_fingerprint"];
        assert_eq!(fingerprint.as_str().map(str::len), Some(64), "{line}");
        let wanted = match index {
            0..16 => json!(["/amount"]),
            _ => Value::Null,
        };
        assert_eq!(line["diff"], wanted, "item {index}");
    }
}

#[tokio::test]
async fn s7_a_batch_has_bounds_and_no_key_of_its_own() {
    let gateway = Gateway::start().await;
    let id = endpoint(&gateway, "orders", json!({})).await;
    let item = json!({"endpoint_id": id, "payload": 1});
    let path = "/v1/webhooks/send/batch";
    let full = json!({"items": vec![item.clone(); 1_000]});
    let data = gateway.api("POST", path, full).await.expect(200);
    assert_eq!(data["data"].as_array().unwrap().len(), 1_000);
    let over = json!({"items": vec![item; 1_001]});
    gateway.api("POST", path, over).await.expect(422);
    for (batch, pointer) in [
        (json!({}), "/items"),
        (json!({"items": {}}), "/items"),
        (json!({"items": [], "a/b": 1}), "/a~1b"),
        (json!([]), ""),
    ] {
        let refused = gateway.api("POST", path, batch).await.expect(422);
        assert_eq!(refused["errors"][0]["pointer"], pointer);
    }
    assert_eq!(
        gateway
            .api("POST", path, json!({"items": []}))
            .await
            .expect(200)["data"],
        json!([])
    );
    let bearer = format!("Bearer {API_KEY}");
    let headers = [("authorization", bearer.as_str()), ("idempotency-key", "k")];
    gateway
        .call("POST", path, &headers, r#"{"items": []}"#)
        .await
        .expect(400);
}

#[tokio::test]
async fn exactly_one_target_is_given_and_it_is_the_callers() {
    let gateway = Gateway::start().await;
    let id = endpoint(&gateway, "orders", json!({})).await;
    for (target, status) in [
        (json!({}), 400),
        (json!({"broadcast": false}), 400),
        (json!({"endpoint_id": id, "tenant": "a"}), 400),
        (json!({"endpoint_id": id, "broadcast": true}), 400),
        (json!({"endpoint_id": "ep_0000000000000"}), 404),
        (json!({"endpoint_id": "nonsense"}), 404),
        (json!({"endpoint_id": 7}), 422),
        (json!({"tenant": ""}), 422),
        (json!({"url": "ftp://example.com/"}), 422),
        (json!({"url": "http://169.254.169.254/latest"}), 422),
        (json!({"url": "no url"}), 422),
    ] {
        let mut call = json!({"payload": 1});
        call.as_object_mut()
            .unwrap()
            .extend(target.as_object().cloned().unwrap());
        let answer = send(&gateway, call).await;
        assert_eq!(answer.status, status, "{target}: {}", answer.text());
        answer.expect(status);
    }
}

#[tokio::test]
async fn every_field_that_cannot_be_used_is_named() {
    let gateway = Gateway::start().await;
    let id = endpoint(&gateway, "orders", json!({})).await;
    let call = json!({
        "endpoint_id": id, "event_type": "two words", "delay_seconds": -1, "tennant": "a",
        "headers": {"bad name": "x", "x-ok": ""}, "secret": "whsec_short", "retention_seconds": 0,
        "on_failed_original": "maybe",
    });
    let problem = send(&gateway, call).await.expect(422);
    let mut pointers: Vec<&str> = problem["errors"]
        .as_array()
        .unwrap()
        .iter()
        .map(|e| e["pointer"].as_str().unwrap())
        .collect();
    pointers.sort_unstable();
    pointers.dedup();
    let expected = [
        "/delay_seconds",
        "/event_type",
        "/headers/bad name",
        "/headers/x-ok",
        "/on_failed_original",
        "/payload",
        "/retention_seconds",
        "/secret",
        "/tennant",
    ];
    assert_eq!(pointers, expected, "{problem}");
}

#[tokio::test]
async fn a_payload_stays_the_text_that_the_caller_wrote() {
    let gateway = Gateway::start().await;
    let id = endpoint(&gateway, "orders", json!({})).await;
    let payload = r#"{"big": 9007199254740993, "money": 1.50,  "z": 1, "a": "\u00e9"}"#;
    let text = format!(r#"{{"endpoint_id": "{id}", "payload": {payload}}}"#);
    let bearer = format!("Bearer {API_KEY}");
    let answer = gateway
        .call("POST", SEND, &[("authorization", &bearer)], text)
        .await;
    let record = answer.expect(202);
    assert!(answer.text().contains(payload), "{}", answer.text());
    let message: MessageId = record["id"].as_str().unwrap().parse().unwrap();
    let project = record["project_id"].as_str().unwrap().parse().unwrap();
    let view = gateway
        .store
        .message(project, message)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(&view.body[..], payload.as_bytes());
    assert_eq!(
        view.envelope.header("content-type"),
        Some("application/json")
    );
    for payload in ["null", "7", "\"text\"", "[]", "false"] {
        let text = format!(r#"{{"endpoint_id": "{id}", "payload": {payload}}}"#);
        gateway
            .call("POST", SEND, &[("authorization", &bearer)], text)
            .await
            .expect(202);
    }
}

#[tokio::test]
async fn a_send_to_a_url_keeps_its_secret_sealed() {
    let gateway = Gateway::start().await;
    let secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    let call = json!({"url": "http://127.0.0.1:9/a b", "payload": 1, "secret": secret});
    let answer = send(&gateway, call).await;
    let record = answer.expect(202);
    assert_eq!(record["url"], "http://127.0.0.1:9/a%20b");
    assert!(!answer.text().contains("MfKQ"), "{record}");
    let message: MessageId = record["id"].as_str().unwrap().parse().unwrap();
    let project = record["project_id"].as_str().unwrap().parse().unwrap();
    let view = gateway
        .store
        .message(project, message)
        .await
        .unwrap()
        .unwrap();
    let sealed = view.message.target.unwrap().sealed_secret.unwrap();
    assert!(!sealed.contains("MfKQ"), "{sealed}");
    use hooklatch_engine::Directory;
    let opened = gateway
        .app
        .directory()
        .open_secret(project, &sealed)
        .unwrap();
    assert_eq!(opened.to_text().expose(), secret);
}

#[tokio::test]
async fn c8_nothing_is_accepted_while_the_store_is_away() {
    use hooklatch_store::Store;
    let gateway = Gateway::start().await;
    let id = endpoint(&gateway, "orders", json!({})).await;
    gateway.store.close().await.unwrap();
    let call = json!({"endpoint_id": id, "payload": 1, "idempotency_key": "k"});
    let answer = send(&gateway, call).await;
    let problem = answer.expect(503);
    assert!(answer.header("retry-after").is_some());
    assert!(
        problem["detail"]
            .as_str()
            .unwrap()
            .contains("repeating is safe"),
        "{problem}"
    );
}
