//! What is taken away while messages wait for it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::{Value, json};

use crate::support::api::text;
use crate::support::{
    Api, Backend, Data, Endpoint, Gateway, Receiver, Reply, Source, eventually, on_each_store,
};

on_each_store! {
    messages_that_wait_for_a_deleted_endpoint_are_cancelled_and_say_so
    messages_of_a_deleted_source_are_still_delivered
    c1_a_source_that_is_made_again_is_a_new_scope
}

/// A source, and an endpoint that fails until it is healed.
struct World {
    api: Api,
    source: Source,
    endpoint: Endpoint,
    receiver: Receiver,
    healed: Arc<AtomicBool>,
    _gateway: Gateway,
    _data: Data,
}

async fn world(on: Backend) -> World {
    let data = Data::new(on).await;
    let gateway = Gateway::start(&data).await;
    let healed = Arc::new(AtomicBool::new(false));
    let health = Arc::clone(&healed);
    let receiver = Receiver::start(move |_| {
        Reply::Status(if health.load(Ordering::SeqCst) {
            200
        } else {
            500
        })
    })
    .await;
    let api = gateway.api();
    let source = api.source(&json!({"name": "provider"})).await;
    let settings = json!({"retry": {"strategy": "fixed", "base_seconds": 1, "max_attempts": 60}});
    let endpoint = api.endpoint("orders", &receiver.url("/"), settings).await;
    api.connect(&source, &endpoint).await;
    World {
        api,
        source,
        endpoint,
        receiver,
        healed,
        _gateway: gateway,
        _data: data,
    }
}

impl World {
    /// A message whose first attempt has failed; its id.
    async fn waiting_message(&self) -> String {
        let taken = self.api.ingest_json(&self.source, r#"{"order": 1}"#).await;
        let id = text(&taken, "message_id");
        self.receiver.wait_for_count(1).await;
        id
    }

    async fn ends_as(&self, message_id: &str, status: &str) -> Value {
        eventually(&format!("the message is {status}"), || async {
            let message = self.api.read(&format!("/v1/messages/{message_id}")).await;
            (message["status"] == status).then_some(message)
        })
        .await
    }
}

async fn messages_that_wait_for_a_deleted_endpoint_are_cancelled_and_say_so(on: Backend) {
    let world = world(on).await;
    let id = world.waiting_message().await;
    world
        .api
        .delete(&format!("/v1/endpoints/{}", world.endpoint.id))
        .await;
    let message = world.ends_as(&id, "cancelled").await;
    let delivery = text(&message["deliveries"][0], "id");
    let delivery = world.api.read(&format!("/v1/deliveries/{delivery}")).await;
    assert!(text(&delivery, "reason").contains("deleted"), "{delivery}");
    assert_eq!(delivery["next_attempt_at"], Value::Null, "{delivery}");

    let gone = world
        .api
        .get(&format!("/v1/endpoints/{}", world.endpoint.id))
        .await;
    assert_eq!(gone.status, 404);
    let sent = json!({"endpoint_id": world.endpoint.id, "payload": 1});
    assert_eq!(world.api.post("/v1/webhooks/send", &sent).await.status, 404);
}

async fn messages_of_a_deleted_source_are_still_delivered(on: Backend) {
    let world = world(on).await;
    let id = world.waiting_message().await;
    world
        .api
        .delete(&format!("/v1/sources/{}", world.source.id))
        .await;
    let answer = world.api.ingest(&world.source, &[], "{}").await.unwrap();
    assert_eq!(answer.status, 404, "{}", answer.text());

    world.healed.store(true, Ordering::SeqCst);
    let message = world.ends_as(&id, "delivered").await;
    assert_eq!(message["source_id"], json!(world.source.id), "{message}");
}

async fn c1_a_source_that_is_made_again_is_a_new_scope(on: Backend) {
    let world = world(on).await;
    let keyed = json!({"name": "again", "key": {"locations": ["body:$.id"]}});
    let first = world.api.source(&keyed).await;
    let body = r#"{"id": 1}"#;
    assert_eq!(
        world.api.ingest_json(&first, body).await["outcome"],
        "accepted"
    );
    world.api.delete(&format!("/v1/sources/{}", first.id)).await;
    let second = world.api.source(&keyed).await;
    assert_ne!(second.path, first.path);
    assert_eq!(
        world.api.ingest_json(&second, body).await["outcome"],
        "accepted"
    );
    assert_eq!(
        world.api.ingest_json(&second, body).await["outcome"],
        "duplicate"
    );
}
