//! How endpoints are spared and given up: rates, pauses, circuits, patience, stand-ins.

use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use http::Method;
use serde_json::{Value, json};

use crate::support::api::text;
use crate::support::{
    Api, Backend, Data, Endpoint, Gateway, Receiver, Reply, Source, eventually, on_each_store,
};

on_each_store! {
    a_rate_holds_deliveries_back_and_burns_no_attempt
    a_resumed_endpoint_is_drained_slowly
    a_paused_connection_holds_what_came_by_it_and_nothing_else
    what_waits_for_a_paused_connection_ends_with_its_endpoint
    a_circuit_opens_is_probed_closes_and_says_so_once
    an_open_circuit_sends_deliveries_to_the_stand_in
    an_endpoint_that_fails_for_long_is_warned_of_and_disabled
    a_delivery_goes_over_when_its_attempts_are_used_up_or_its_endpoint_is_disabled
    settings_that_cannot_be_are_refused_by_name
}

/// A gateway, and a receiver that answers with one status and notes when it was called.
struct World {
    api: Api,
    source: Source,
    receiver: Receiver,
    status: Arc<AtomicU16>,
    calls: Arc<Mutex<Vec<Instant>>>,
    gateway: Gateway,
    _data: Data,
}

async fn world(on: Backend, status: u16) -> World {
    let data = Data::new(on).await;
    let gateway = Gateway::start(&data).await;
    let (receiver, status, calls) = receiver(status).await;
    let api = gateway.api();
    let source = api.source(&json!({"name": "provider"})).await;
    World {
        api,
        source,
        receiver,
        status,
        calls,
        gateway,
        _data: data,
    }
}

type Calls = Arc<Mutex<Vec<Instant>>>;

async fn receiver(status: u16) -> (Receiver, Arc<AtomicU16>, Calls) {
    let status = Arc::new(AtomicU16::new(status));
    let calls = Calls::default();
    let (said, noted) = (Arc::clone(&status), Arc::clone(&calls));
    let receiver = Receiver::start(move |_| {
        noted.lock().unwrap().push(Instant::now());
        Reply::Status(said.load(Ordering::SeqCst))
    });
    (receiver.await, status, calls)
}

impl World {
    /// An endpoint at the receiver, behind the source.
    async fn endpoint(&self, settings: Value) -> Endpoint {
        let url = self.receiver.url("/");
        let endpoint = self.api.endpoint("orders", &url, settings).await;
        self.api.connect(&self.source, &endpoint).await;
        endpoint
    }

    async fn take(&self, events: usize) -> Vec<String> {
        let mut ids = Vec::new();
        for n in 0..events {
            let body = json!({"n": n}).to_string();
            let taken = self.api.ingest_json(&self.source, &body).await;
            ids.push(text(&taken, "message_id"));
        }
        ids
    }

    async fn ends_as(&self, message: &str, status: &str) -> Value {
        eventually(&format!("{message} is {status}"), || async {
            let message = self.api.read(&format!("/v1/messages/{message}")).await;
            (message["status"] == status).then_some(message)
        })
        .await
    }

    async fn all_delivered(&self, messages: &[String]) -> Vec<Value> {
        let mut ended = Vec::new();
        for message in messages {
            ended.push(self.ends_as(message, "delivered").await);
        }
        ended
    }

    async fn attempts(&self, message: &Value) -> Vec<Value> {
        let delivery = text(&message["deliveries"][0], "id");
        let path = format!("/v1/deliveries/{delivery}/attempts");
        self.api.list(&path).await
    }

    async fn shown(&self, endpoint: &Endpoint) -> Value {
        let path = format!("/v1/endpoints/{}", endpoint.id);
        self.api.read(&path).await
    }

    async fn endpoint_with(&self, what: &str, of: &Endpoint, is: impl Fn(&Value) -> bool) -> Value {
        eventually(what, || async {
            let shown = self.shown(of).await;
            is(&shown).then_some(shown)
        })
        .await
    }

    async fn command(&self, path: &str) {
        let answer = self.api.post(path, &Value::Null).await;
        assert_eq!(answer.status, 200, "{path}: {}", answer.text());
    }

    /// From the first call to the last.
    fn span(&self) -> Duration {
        let calls = self.calls.lock().unwrap();
        let ends = calls.first().zip(calls.last());
        ends.map_or(Duration::ZERO, |(first, last)| *last - *first)
    }
}

async fn a_rate_holds_deliveries_back_and_burns_no_attempt(on: Backend) {
    let world = world(on, 200).await;
    let rate = json!({"rate_limit": {"per_second": 5, "burst": 2}});
    let endpoint = world.endpoint(rate).await;
    let shown = world.shown(&endpoint).await;
    assert_eq!(shown["rate_limit"]["per_second"], 5, "{shown}");
    let ids = world.take(10).await;
    let messages = world.all_delivered(&ids).await;
    for message in &messages {
        assert_eq!(message["deliveries"][0]["attempts"], 1, "{message}");
    }
    // Two at once, and eight more at five a second.
    assert!(
        world.span() >= Duration::from_millis(1_400),
        "{:?}",
        world.span()
    );
}

async fn a_resumed_endpoint_is_drained_slowly(on: Backend) {
    let world = world(on, 200).await;
    let endpoint = world.endpoint(json!({})).await;
    let path = format!("/v1/endpoints/{}", endpoint.id);
    world.command(&format!("{path}/pause")).await;
    let ids = world.take(25).await;
    assert!(world.receiver.seen().is_empty(), "it is paused");
    world.command(&format!("{path}/resume")).await;
    world.all_delivered(&ids).await;
    // It begins with ten a second, one at a time.
    assert!(
        world.span() >= Duration::from_millis(1_800),
        "{:?}",
        world.span()
    );
    assert_ne!(world.shown(&endpoint).await["resumed_at"], Value::Null);
}

async fn a_paused_connection_holds_what_came_by_it_and_nothing_else(on: Backend) {
    let world = world(on, 500).await;
    let retry = json!({"retry": {"strategy": "fixed", "base_seconds": 1, "max_attempts": 60}});
    let endpoint = world.endpoint(retry).await;
    let other = world.api.source(&json!({"name": "other"})).await;
    world.api.connect(&other, &endpoint).await;
    let waiting = world.take(1).await;
    world.receiver.wait_for_count(1).await;

    let connections = world.api.list("/v1/connections").await;
    let of_source = |connection: &&Value| connection["source_id"] == world.source.id.as_str();
    let connection = text(connections.iter().find(of_source).unwrap(), "id");
    let path = format!("/v1/connections/{connection}");
    world.command(&format!("{path}/pause")).await;
    assert_eq!(world.api.read(&path).await["paused"], true);
    let new = world.take(2).await;
    world.status.store(200, Ordering::SeqCst);

    let taken = world.api.ingest_json(&other, r#"{"other": true}"#).await;
    world
        .ends_as(&text(&taken, "message_id"), "delivered")
        .await;
    for held in waiting.iter().chain(&new) {
        let message = world.api.read(&format!("/v1/messages/{held}")).await;
        assert_eq!(message["status"], "pending", "{message}");
    }
    world.command(&format!("{path}/resume")).await;
    world.all_delivered(&waiting).await;
    for message in world.all_delivered(&new).await {
        assert_eq!(message["deliveries"][0]["attempts"], 1, "{message}");
    }
}

async fn what_waits_for_a_paused_connection_ends_with_its_endpoint(on: Backend) {
    let world = world(on, 200).await;
    let endpoint = world.endpoint(json!({})).await;
    let connection = text(&world.api.list("/v1/connections").await[0], "id");
    let path = format!("/v1/connections/{connection}/pause");
    world.command(&path).await;
    let ids = world.take(2).await;
    world
        .api
        .delete(&format!("/v1/endpoints/{}", endpoint.id))
        .await;
    for id in &ids {
        let message = world.ends_as(id, "cancelled").await;
        let delivery = text(&message["deliveries"][0], "id");
        let delivery = world.api.read(&format!("/v1/deliveries/{delivery}")).await;
        assert!(text(&delivery, "reason").contains("deleted"), "{delivery}");
    }
    assert!(world.receiver.seen().is_empty());
}

fn breaker(cooldown_seconds: u32) -> Value {
    json!({
        "retry": {"strategy": "fixed", "base_seconds": 1, "max_attempts": 60},
        "circuit_breaker": {
            "enabled": true, "failure_percent": 50, "minimum_attempts": 4,
            "window_seconds": 60, "cooldown_seconds": cooldown_seconds,
        },
    })
}

async fn a_circuit_opens_is_probed_closes_and_says_so_once(on: Backend) {
    let world = world(on, 500).await;
    let endpoint = world.endpoint(breaker(1)).await;
    assert_eq!(world.shown(&endpoint).await["circuit"]["state"], "closed");
    let ids = world.take(6).await;
    let open = |shown: &Value| shown["circuit"]["state"] != "closed";
    let shown = world
        .endpoint_with("the circuit opens", &endpoint, open)
        .await;
    assert_ne!(shown["circuit"]["since"], Value::Null, "{shown}");
    assert_ne!(shown["circuit"]["next_probe_at"], Value::Null, "{shown}");
    // A probe that fails keeps it open.
    let so_far = world.receiver.seen().len();
    world.receiver.wait_for_count(so_far + 1).await;
    assert!(open(&world.shown(&endpoint).await));

    world.status.store(200, Ordering::SeqCst);
    world.all_delivered(&ids).await;
    let closed = |shown: &Value| shown["circuit"]["state"] == "closed";
    world
        .endpoint_with("the circuit closes", &endpoint, closed)
        .await;
    let said = world.gateway.said();
    assert_eq!(said.matches("a circuit opened").count(), 1, "{said}");
    assert_eq!(said.matches("a circuit closed").count(), 1, "{said}");
}

async fn an_open_circuit_sends_deliveries_to_the_stand_in(on: Backend) {
    let world = world(on, 500).await;
    let (stand_in, _, _) = receiver(200).await;
    let other = world
        .api
        .endpoint("stand-in", &stand_in.url("/"), json!({}))
        .await;
    let mut settings = breaker(3_600);
    settings["failover_endpoint_id"] = json!(other.id);
    let endpoint = world.endpoint(settings).await;
    let ids = world.take(6).await;
    world.all_delivered(&ids).await;
    assert_eq!(world.shown(&endpoint).await["circuit"]["state"], "open");
    let later = world.take(1).await;
    let message = world.all_delivered(&later).await.remove(0);
    let attempts = world.attempts(&message).await;
    assert_eq!(attempts.len(), 1, "none was burnt: {attempts:?}");
    assert_eq!(attempts[0]["trigger"], "failover");
    assert_eq!(attempts[0]["endpoint_id"], json!(other.id));
    assert_eq!(message["deliveries"][0]["endpoint_id"], json!(other.id));
    stand_in.seen()[0].assert_signed_with(&other.secret);
}

async fn an_endpoint_that_fails_for_long_is_warned_of_and_disabled(on: Backend) {
    let world = world(on, 500).await;
    let endpoint = world
        .endpoint(json!({
            "retry": {"strategy": "fixed", "base_seconds": 1, "max_attempts": 90},
            "disable_after_seconds": 4,
        }))
        .await;
    let ids = world.take(1).await;
    let warned = |shown: &Value| {
        shown["warnings"]
            .to_string()
            .contains("has succeeded since")
    };
    let shown = world
        .endpoint_with("it is warned of", &endpoint, warned)
        .await;
    assert_ne!(shown["health"]["disabled_at"], Value::Null, "{shown}");
    let disabled = |shown: &Value| shown["disabled"] != Value::Null;
    let shown = world
        .endpoint_with("it is disabled", &endpoint, disabled)
        .await;
    let reason = text(&shown["disabled"], "reason");
    assert!(
        reason.contains("no attempt has succeeded since"),
        "{reason}"
    );
    let failed = world.ends_as(&ids[0], "failed").await;

    world.status.store(200, Ordering::SeqCst);
    world
        .command(&format!("/v1/endpoints/{}/resume", endpoint.id))
        .await;
    let delivery = text(&failed["deliveries"][0], "id");
    world
        .command(&format!("/v1/deliveries/{delivery}/retry"))
        .await;
    world.all_delivered(&ids).await;
    assert_eq!(world.shown(&endpoint).await["warnings"], json!([]));
}

async fn a_delivery_goes_over_when_its_attempts_are_used_up_or_its_endpoint_is_disabled(
    on: Backend,
) {
    let world = world(on, 500).await;
    let (stand_in, _, _) = receiver(200).await;
    let other = world
        .api
        .endpoint("stand-in", &stand_in.url("/"), json!({}))
        .await;
    let endpoint = world
        .endpoint(json!({
            "retry": {"max_attempts": 1}, "failover_endpoint_id": other.id,
        }))
        .await;
    let ids = world.take(1).await;
    let message = world.all_delivered(&ids).await.remove(0);
    let attempts = world.attempts(&message).await;
    let mut went: Vec<(String, u64)> = attempts
        .iter()
        .map(|it| (text(it, "endpoint_id"), it["number"].as_u64().unwrap()))
        .collect();
    went.sort_by_key(|(_, number)| *number);
    assert_eq!(went, [(endpoint.id.clone(), 1), (other.id.clone(), 2)]);

    world.status.store(410, Ordering::SeqCst);
    let ids = world.take(1).await;
    world.all_delivered(&ids).await;
    let disabled = |shown: &Value| shown["disabled"] != Value::Null;
    world
        .endpoint_with("it is disabled", &endpoint, disabled)
        .await;
    let ids = world.take(2).await;
    for message in world.all_delivered(&ids).await {
        assert_eq!(message["deliveries"][0]["attempts"], 1, "{message}");
        assert_eq!(message["deliveries"][0]["endpoint_id"], json!(other.id));
    }
    let seen = stand_in.seen();
    assert_eq!(seen.len(), 4, "each once");
}

async fn settings_that_cannot_be_are_refused_by_name(on: Backend) {
    let world = world(on, 200).await;
    let first = world.endpoint(json!({})).await;
    let url = world.receiver.url("/other");
    let over = json!({"failover_endpoint_id": first.id});
    let second = world.api.endpoint("second", &url, over).await;
    for (patch, pointer) in [
        (
            json!({"failover_endpoint_id": first.id}),
            "/failover_endpoint_id",
        ),
        (
            json!({"failover_endpoint_id": second.id}),
            "/failover_endpoint_id",
        ),
        (
            json!({"failover_endpoint_id": "ep_0000000000009"}),
            "/failover_endpoint_id",
        ),
        (json!({"rate_limit": {"burst": 3}}), "/rate_limit/burst"),
        (
            json!({"circuit_breaker": {"failure_percent": 0}}),
            "/circuit_breaker/failure_percent",
        ),
        (
            json!({"disable_after_seconds": 40_000_000}),
            "/disable_after_seconds",
        ),
    ] {
        let path = format!("/v1/endpoints/{}", first.id);
        let answer = world.api.request(Method::PATCH, &path, &patch).await;
        assert_eq!(answer.status, 422, "{patch}: {}", answer.text());
        assert_eq!(answer.json()["errors"][0]["pointer"], pointer, "{patch}");
    }
}
