//! What is pruned says so, and still protects its key (INV-9).

use http::Method;
use serde_json::{Value, json};

use crate::support::api::text;
use crate::support::{
    Api, Backend, Data, Gateway, Receiver, Reply, Source, eventually, gateway, on_each_store,
};

on_each_store! {
    inv9_a_payload_goes_when_its_sender_said_so_and_a_repeat_is_still_known
    inv9_a_project_keeps_so_many_bytes_and_its_duplicates_stay_duplicates
    d2_a_duplicate_brings_a_pruned_payload_back
    retention_is_checked_when_it_is_set
}

struct World {
    api: Api,
    receiver: Receiver,
    source: Source,
    _gateway: Gateway,
    _data: Data,
}

/// A gateway that looks every second for what to prune, with a receiver that refuses what asks for
/// it.
async fn world(on: Backend) -> World {
    let data = Data::new(on).await;
    let mut command = gateway::serve(&data);
    command.args(["--dev", "--retention-interval-seconds", "1"]);
    let gateway = Gateway::start_with(command).await;
    let api = gateway.api();
    let receiver = Receiver::start(|delivered| {
        let refuse = delivered.body.windows(4).any(|part| part == b"fail");
        Reply::Status(if refuse { 500 } else { 200 })
    })
    .await;
    let source = json!({"name": "shop", "key": {"locations": ["body:$.id"]}});
    let source = api.source(&source).await;
    let once = json!({"retry": {"max_attempts": 1}});
    let endpoint = api.endpoint("orders", &receiver.url("/"), once).await;
    api.connect(&source, &endpoint).await;
    World {
        api,
        receiver,
        source,
        _gateway: gateway,
        _data: data,
    }
}

impl World {
    async fn message(&self, id: &str) -> Value {
        self.api.read(&format!("/v1/messages/{id}")).await
    }

    async fn stands_at(&self, id: &str, status: &str) -> Value {
        eventually(status, || async {
            let message = self.message(id).await;
            (message["status"] == status).then_some(message)
        })
        .await
    }

    async fn pruned(&self, id: &str) -> Value {
        eventually("the payload is pruned", || async {
            let message = self.message(id).await;
            message["payload_pruned_at"].is_string().then_some(message)
        })
        .await
    }

    async fn keep(&self, retention: Value) -> u16 {
        let answer = self
            .api
            .request(Method::PUT, "/v1/retention", &retention)
            .await;
        answer.status
    }
}

async fn inv9_a_payload_goes_when_its_sender_said_so_and_a_repeat_is_still_known(on: Backend) {
    let world = world(on).await;
    let send = json!({
        "url": world.receiver.url("/"), "payload": {"a": 1}, "idempotency_key": "order-1",
        "retention_seconds": 1,
    });
    let sent = world.api.create("/v1/webhooks/send", &send).await;
    let id = text(&sent, "id");
    assert!(sent["payload_expires_at"].is_string(), "{sent}");
    world.stands_at(&id, "delivered").await;
    let message = world.pruned(&id).await;
    assert_eq!(message["payload"], Value::Null);
    let again = world.api.post("/v1/webhooks/send", &send).await;
    assert_eq!(again.status, 200, "{}", again.text());
    assert_eq!(again.json()["id"], id.as_str());
    let retry = format!("/v1/messages/{id}/retry");
    let refused = world.api.post(&retry, &Value::Null).await;
    assert_eq!(refused.status, 410, "{}", refused.text());
    let detail = text(&refused.json(), "detail");
    assert!(detail.contains("the payload was pruned at"), "{detail}");
    let delivery = text(&message["deliveries"][0], "id");
    let retry = format!("/v1/deliveries/{delivery}/retry");
    let refused = world.api.post(&retry, &Value::Null).await;
    assert_eq!(refused.status, 410, "{}", refused.text());
}

async fn inv9_a_project_keeps_so_many_bytes_and_its_duplicates_stay_duplicates(on: Backend) {
    let world = world(on).await;
    let event = |n: u32| json!({"id": n, "filler": "x".repeat(1_000)}).to_string();
    let mut ids = Vec::new();
    for n in 0..4 {
        let taken = world.api.ingest_json(&world.source, &event(n)).await;
        let id = text(&taken, "message_id");
        world.stands_at(&id, "delivered").await;
        ids.push(id);
    }
    assert_eq!(world.keep(json!({"payload_bytes_max": 2_500})).await, 200);
    for id in &ids[..2] {
        world.pruned(id).await;
    }
    for id in &ids[2..] {
        assert_eq!(world.message(id).await["payload_pruned_at"], Value::Null);
    }
    let again = world.api.ingest_json(&world.source, &event(0)).await;
    assert_eq!(
        (&again["outcome"], &again["message_id"]),
        (&json!("duplicate"), &json!(ids[0]))
    );
    let request = text(&again, "request_id");
    let shown = world.api.read(&format!("/v1/requests/{request}")).await;
    assert!(shown["payload_pruned_at"].is_string(), "{shown}");
    let release = format!("/v1/requests/{request}/release");
    let refused = world.api.post(&release, &Value::Null).await;
    assert_eq!(refused.status, 410, "{}", refused.text());
}

async fn d2_a_duplicate_brings_a_pruned_payload_back(on: Backend) {
    let world = world(on).await;
    let event = r#"{"id": 1, "please": "fail"}"#;
    let taken = world.api.ingest_json(&world.source, event).await;
    let id = text(&taken, "message_id");
    world.stands_at(&id, "failed").await;
    assert_eq!(world.keep(json!({"payload_bytes_max": 1})).await, 200);
    world.pruned(&id).await;
    assert_eq!(world.keep(json!({})).await, 200);
    let before = world.receiver.seen().len();
    let again = world.api.ingest_json(&world.source, event).await;
    assert_eq!(again["effect"], "redriven", "{again}");
    let seen = world.receiver.wait_for_count(before + 1).await;
    assert_eq!(seen.last().map(|it| &it.body[..]), Some(event.as_bytes()));
}

async fn retention_is_checked_when_it_is_set(on: Backend) {
    let world = world(on).await;
    assert_eq!(world.keep(json!({"payload_days": 0})).await, 422);
    assert_eq!(world.keep(json!({"payload_day": 1})).await, 422);
    let kept = json!({"payload_days": 30, "history_days": 90, "payload_bytes_max": null});
    assert_eq!(world.keep(kept.clone()).await, 200);
    assert_eq!(world.api.read("/v1/retention").await, kept);
}
