//! What endpoints want, and what people do after an incident: order that holds over a replay and a
//! failover, secrets that change, ways in, and a person's word on single things.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use http::Method;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::sync::watch;

use crate::support::api::text;
use crate::support::{
    Api, Backend, Data, Endpoint, Gateway, Receiver, Reply, Source, eventually, on_each_store,
};

on_each_store! {
    inv_10_a_replay_of_an_ordered_endpoint_keeps_the_order_and_never_sends_two_at_once
    inv_10_an_ordered_delivery_that_fails_over_keeps_its_turn
    o1_a_rotated_secret_signs_beside_the_one_before
    an_endpoint_is_sent_no_more_at_once_than_its_concurrency
    an_endpoint_is_entered_by_basic_by_bearer_and_by_a_fetched_token
    a_way_in_is_checked_when_it_is_saved_and_never_shown
    d4_what_is_held_is_released_or_discarded_once_and_audited
    a_person_retries_one_delivery
    p1_a_replay_that_is_started_twice_is_one_job
    an_expression_that_would_backtrack_for_ever_is_linear
}

struct World {
    api: Api,
    source: Source,
    _gateway: Gateway,
    _data: Data,
}

/// A gateway with a source whose key is `$.id`, and more settings.
async fn world(on: Backend, settings: Value) -> World {
    let data = Data::new(on).await;
    let gateway = Gateway::start(&data).await;
    let api = gateway.api();
    let mut source = settings;
    source["name"] = json!("shop");
    source["key"] = json!({"locations": ["body:$.id"]});
    let source = api.source(&source).await;
    World {
        api,
        source,
        _gateway: gateway,
        _data: data,
    }
}

impl World {
    /// An endpoint behind the source.
    async fn endpoint(&self, name: &str, receiver: &Receiver, settings: Value) -> Endpoint {
        let endpoint = self.api.endpoint(name, &receiver.url("/"), settings).await;
        self.api.connect(&self.source, &endpoint).await;
        endpoint
    }

    async fn take(&self, event: Value) -> Value {
        self.api.ingest_json(&self.source, &event.to_string()).await
    }

    /// The events of two customers in turn, numbered.
    async fn take_in_turn(&self, many: u64) {
        for number in 0..many {
            let event = json!({"id": number, "customer": number % 2, "number": number});
            self.take(event).await;
        }
    }

    async fn all_are(&self, status: &str, many: usize) {
        eventually(&format!("{many} are {status}"), || async {
            let path = format!("/v1/messages?status={status}");
            (self.api.list(&path).await.len() == many).then_some(())
        })
        .await;
    }

    async fn post(&self, path: &str) -> Value {
        self.api.create(path, &json!({})).await
    }

    async fn attempts(&self, taken: &Value) -> Vec<Value> {
        let message = text(taken, "message_id");
        let message = self.api.read(&format!("/v1/messages/{message}")).await;
        let delivery = text(&message["deliveries"][0], "id");
        let path = format!("/v1/deliveries/{delivery}/attempts");
        self.api.list(&path).await
    }
}

/// A receiver that answers 500 until it is healed, and then holds each answer until a gate opens.
async fn failing() -> (Receiver, Arc<AtomicBool>, watch::Sender<bool>) {
    let healed = Arc::new(AtomicBool::new(false));
    let (open, gate) = watch::channel(false);
    let is_healed = Arc::clone(&healed);
    let receiver = Receiver::start(move |_| {
        if is_healed.load(Ordering::SeqCst) {
            Reply::Held(gate.clone())
        } else {
            Reply::Status(500)
        }
    });
    (receiver.await, healed, open)
}

/// What a receiver saw of one customer, from a place on.
fn seen_of(receiver: &Receiver, customer: u64, from: usize) -> Vec<u64> {
    let seen = receiver.seen();
    let events = seen[from..].iter().map(|delivered| {
        let event: Value = serde_json::from_slice(&delivered.body).expect("we sent JSON");
        [&event["customer"], &event["number"]].map(|it| it.as_u64().expect("we sent it"))
    });
    let own = events.filter(|[whose, _]| *whose == customer);
    own.map(|[_, number]| number).collect()
}

async fn inv_10_a_replay_of_an_ordered_endpoint_keeps_the_order_and_never_sends_two_at_once(
    on: Backend,
) {
    let world = world(on, json!({})).await;
    let (receiver, healed, open) = failing().await;
    let once = json!({"strategy": "fixed", "base_seconds": 60, "max_attempts": 1});
    let settings = json!({"retry": once, "ordered_by": "body:$.customer"});
    let endpoint = world.endpoint("orders", &receiver, settings).await;
    world.take_in_turn(8).await;
    world.all_are("failed", 8).await;
    let failed = receiver.seen().len();
    healed.store(true, Ordering::SeqCst);
    let filter = json!({"endpoint_id": endpoint.id, "status": "failed"});
    let plan = json!({"filter": filter, "reason": "the outage", "rate_per_second": 1000});
    let made = world.api.create("/v1/replays", &plan).await;
    let replay = format!("/v1/replays/{}", text(&made, "id"));
    world.post(&format!("{replay}/start")).await;
    world.all_are("failed", 0).await;
    let held = receiver.wait_for_count(failed + 2).await;
    assert_eq!(held.len(), failed + 2, "one of each customer is under way");
    assert_eq!(seen_of(&receiver, 0, failed), [0]);
    assert_eq!(seen_of(&receiver, 1, failed), [1]);
    open.send_replace(true);
    world.all_are("delivered", 8).await;
    assert_eq!(seen_of(&receiver, 0, failed), [0, 2, 4, 6]);
    assert_eq!(seen_of(&receiver, 1, failed), [1, 3, 5, 7]);
    let replayed = receiver.seen();
    let triggers = replayed[failed..].iter();
    assert!(
        triggers
            .map(|it| it.header("hooklatch-trigger"))
            .all(|it| it == "replay"),
        "all of it was the replay's"
    );
}

async fn inv_10_an_ordered_delivery_that_fails_over_keeps_its_turn(on: Backend) {
    let world = world(on, json!({})).await;
    let failing = Receiver::start(|_| Reply::Status(500)).await;
    let (stand_in, healed, open) = self::failing().await;
    healed.store(true, Ordering::SeqCst);
    let url = stand_in.url("/");
    let other = world.api.endpoint("stand-in", &url, json!({})).await;
    let settings = json!({
        "retry": {"max_attempts": 1}, "ordered_by": "body:$.customer",
        "failover_endpoint_id": other.id,
    });
    world.endpoint("orders", &failing, settings).await;
    world.take_in_turn(6).await;
    stand_in.wait_for_count(2).await;
    assert_eq!(failing.seen().len(), 2, "the others wait for their turn");
    open.send_replace(true);
    world.all_are("delivered", 6).await;
    for receiver in [&failing, &stand_in] {
        assert_eq!(seen_of(receiver, 0, 0), [0, 2, 4]);
        assert_eq!(seen_of(receiver, 1, 0), [1, 3, 5]);
    }
}

async fn o1_a_rotated_secret_signs_beside_the_one_before(on: Backend) {
    let world = world(on, json!({})).await;
    let receiver = Receiver::obliging().await;
    let endpoint = world.endpoint("orders", &receiver, json!({})).await;
    world.take(json!({"id": 1})).await;
    let rotate = format!("/v1/endpoints/{}/rotate-secret", endpoint.id);
    let rotated = world.post(&rotate).await;
    let second = text(&rotated, "secret");
    assert_ne!(second, endpoint.secret);
    receiver.wait_for_count(1).await;
    world.take(json!({"id": 2})).await;
    let seen = receiver.wait_for_count(2).await;
    seen[0].assert_signed_with(&endpoint.secret);
    for secret in [&endpoint.secret, &second] {
        seen[1].assert_signed_with(secret);
    }
    let shown = world
        .api
        .read(&format!("/v1/endpoints/{}", endpoint.id))
        .await;
    assert!(!shown.to_string().contains(&second), "it was shown once");

    let at_once = json!({"overlap_seconds": 0});
    let third = text(&world.api.create(&rotate, &at_once).await, "secret");
    world.take(json!({"id": 3})).await;
    let seen = receiver.wait_for_count(3).await;
    seen[2].assert_signed_with(&third);
    let signatures = seen[2].header("webhook-signature");
    assert_eq!(signatures.split(' ').count(), 1, "{signatures}");
}

async fn an_endpoint_is_sent_no_more_at_once_than_its_concurrency(on: Backend) {
    let world = world(on, json!({})).await;
    let (receiver, healed, open) = failing().await;
    healed.store(true, Ordering::SeqCst);
    let settings = json!({"rate_limit": {"concurrency": 3}});
    world.endpoint("orders", &receiver, settings).await;
    let free = Receiver::obliging().await;
    world.endpoint("free", &free, json!({})).await;
    for id in 0..10 {
        world.take(json!({"id": id})).await;
    }
    free.wait_for_count(10).await;
    receiver.wait_for_count(3).await;
    world.all_are("delivering", 3).await;
    world.all_are("pending", 7).await;
    assert_eq!(receiver.seen().len(), 3, "the others wait");
    open.send_replace(true);
    world.all_are("delivered", 10).await;
}

/// A server that hands out a token, and what it was asked.
async fn token_server() -> (SocketAddr, watch::Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (asked, said) = watch::channel(String::new());
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut request = Vec::new();
            while !request.windows(11).any(|it| it == b"grant_type=") {
                if stream.read_buf(&mut request).await.unwrap_or(0) == 0 {
                    break;
                }
            }
            asked.send_replace(String::from_utf8_lossy(&request).into_owned());
            let token = r#"{"access_token":"fetched-1","token_type":"Bearer","expires_in":3600}"#;
            let answer = format!(
                "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\
                 connection: close\r\n\r\n{token}",
                token.len()
            );
            // A gateway that does not wait for it is told by the test's own assertions.
            drop(stream.write_all(answer.as_bytes()).await);
        }
    });
    (address, said)
}

async fn an_endpoint_is_entered_by_basic_by_bearer_and_by_a_fetched_token(on: Backend) {
    let world = world(on, json!({})).await;
    let (tokens, asked) = token_server().await;
    let fetched = json!({
        "type": "oauth2", "token_url": format!("http://{tokens}/token"),
        "client_id": "shop", "client_secret": "client-s3cret", "scope": "hooks",
    });
    let mut receivers = Vec::new();
    for (name, auth, expected) in [
        (
            "basic",
            json!({"type": "basic", "username": "shop", "password": "open sesame"}),
            "Basic c2hvcDpvcGVuIHNlc2FtZQ==",
        ),
        (
            "bearer",
            json!({"type": "bearer", "token": "t0ken"}),
            "Bearer t0ken",
        ),
        ("oauth2", fetched, "Bearer fetched-1"),
    ] {
        let receiver = Receiver::obliging().await;
        world.endpoint(name, &receiver, json!({"auth": auth})).await;
        receivers.push((name, receiver, expected));
    }
    world.take(json!({"id": 1})).await;
    for (name, receiver, expected) in &receivers {
        let seen = receiver.wait_for_count(1).await;
        assert_eq!(seen[0].header("authorization"), *expected, "{name}");
    }
    let asked = asked.borrow().clone();
    assert!(asked.contains("grant_type=client_credentials"), "{asked}");
    world.all_are("delivered", 1).await;
    let recorded = world.api.list("/v1/attempts").await;
    let recorded = json!(recorded).to_string();
    for secret in ["c2hvcDpvcGVu", "t0ken", "fetched-1", "s3cret"] {
        assert!(!recorded.contains(secret), "{secret} is in the record");
    }
}

async fn a_way_in_is_checked_when_it_is_saved_and_never_shown(on: Backend) {
    let world = world(on, json!({})).await;
    let made = |auth: Value| {
        let endpoint = json!({"name": "orders", "url": "http://127.0.0.1:9/", "auth": auth});
        let api = world.api.clone();
        async move { api.request(Method::PUT, "/v1/endpoints", &endpoint).await }
    };
    for auth in [
        json!({"type": "mtls", "certificate": "no certificate", "key": "no key"}),
        json!({"type": "basic", "username": "a:b", "password": "p"}),
        json!({"type": "oauth2", "token_url": "nowhere", "client_id": "a", "client_secret": "b"}),
    ] {
        let refused = made(auth.clone()).await;
        assert_eq!(refused.status, 422, "{auth}: {}", refused.text());
        assert!(refused.text().contains("/auth"), "{}", refused.text());
        assert!(!refused.text().contains("no key"), "{}", refused.text());
    }
    let bearer = made(json!({"type": "bearer", "token": "t0ken"})).await;
    assert_eq!(bearer.status, 201, "{}", bearer.text());
    assert!(!bearer.text().contains("t0ken"), "{}", bearer.text());
    assert_eq!(bearer.json()["auth"]["token"], "***");
}

async fn d4_what_is_held_is_released_or_discarded_once_and_audited(on: Backend) {
    let world = world(on, json!({"on_conflict": "quarantine"})).await;
    let receiver = Receiver::obliging().await;
    world.endpoint("orders", &receiver, json!({})).await;
    world.take(json!({"id": 1})).await;
    let mut held = Vec::new();
    for n in [1, 2] {
        let taken = world.take(json!({"id": 1, "n": n})).await;
        assert_eq!(
            (&taken["outcome"], &taken["effect"]),
            (&json!("conflict"), &json!("held"))
        );
        held.push(format!("/v1/requests/{}", text(&taken, "request_id")));
    }
    let why = json!({"reason": "it is another order"});
    let released = world
        .api
        .create(&format!("{}/release", held[0]), &why)
        .await;
    assert_eq!(released["effect"], "released", "{released}");
    let seen = receiver.wait_for_count(2).await;
    assert_eq!(seen[1].body.as_ref(), br#"{"id":1,"n":1}"#);
    assert_ne!(seen[0].header("webhook-id"), seen[1].header("webhook-id"));
    let discarded = world
        .api
        .create(&format!("{}/discard", held[1]), &why)
        .await;
    assert_eq!(discarded["effect"], "discarded", "{discarded}");
    for path in &held {
        for verb in ["release", "discard"] {
            let again = world.api.post(&format!("{path}/{verb}"), &why).await;
            assert_eq!(again.status, 409, "{path}/{verb}: {}", again.text());
        }
    }
    let lines = world.api.list("/v1/audit").await;
    let reasons = lines.iter().filter(|line| line["reason"] == why["reason"]);
    assert_eq!(reasons.count(), 2, "{lines:?}");
}

async fn a_person_retries_one_delivery(on: Backend) {
    let world = world(on, json!({})).await;
    let (receiver, healed, open) = failing().await;
    open.send_replace(true);
    let once = json!({"strategy": "fixed", "base_seconds": 60, "max_attempts": 1});
    world
        .endpoint("orders", &receiver, json!({"retry": once}))
        .await;
    let taken = [1, 2].map(|id| json!({"id": id}));
    let [first, _] = [
        world.take(taken[0].clone()).await,
        world.take(taken[1].clone()).await,
    ];
    world.all_are("failed", 2).await;
    healed.store(true, Ordering::SeqCst);
    let message = format!("/v1/messages/{}", text(&first, "message_id"));
    let delivery = text(&world.api.read(&message).await["deliveries"][0], "id");
    world
        .post(&format!("/v1/deliveries/{delivery}/retry"))
        .await;
    world.all_are("delivered", 1).await;
    let mut attempts = world.attempts(&first).await;
    attempts.sort_by_key(|it| it["number"].as_u64());
    let told: Vec<_> = attempts
        .iter()
        .map(|it| (text(it, "trigger"), text(it, "outcome")))
        .collect();
    let expected = [("first", "failed"), ("manual", "delivered")];
    assert_eq!(
        told,
        expected.map(|(one, other)| (one.to_owned(), other.to_owned()))
    );
    world.all_are("failed", 1).await;
    let retry = format!("/v1/deliveries/{delivery}/cancel");
    let refused = world.api.post(&retry, &json!({})).await;
    assert_eq!(refused.status, 409, "it has arrived: {}", refused.text());
}

async fn p1_a_replay_that_is_started_twice_is_one_job(on: Backend) {
    let world = world(on, json!({})).await;
    let (receiver, healed, open) = failing().await;
    open.send_replace(true);
    let once = json!({"strategy": "fixed", "base_seconds": 60, "max_attempts": 1});
    let endpoint = world
        .endpoint("orders", &receiver, json!({"retry": once}))
        .await;
    world.take_in_turn(4).await;
    world.all_are("failed", 4).await;
    healed.store(true, Ordering::SeqCst);
    let plan = json!({
        "filter": {"endpoint_id": endpoint.id, "status": "failed"}, "reason": "the outage",
        "rate_per_second": 1,
    });
    let ids = [(); 2].map(|()| world.api.create("/v1/replays", &plan));
    let [first, second] = ids;
    let (first, second) = tokio::join!(first, second);
    assert_eq!(first["id"], second["id"], "the same plan is one job");
    let start = format!("/v1/replays/{}/start", text(&first, "id"));
    let nothing = json!({});
    let (_, again) = tokio::join!(world.post(&start), world.api.post(&start, &nothing));
    assert!([200, 202, 409].contains(&again.status), "{}", again.text());
    world.all_are("delivered", 4).await;
    assert_eq!(receiver.seen().len(), 8, "each was sent once more");
}

async fn an_expression_that_would_backtrack_for_ever_is_linear(on: Backend) {
    let world = world(on, json!({})).await;
    let receiver = Receiver::obliging().await;
    let endpoint = world
        .api
        .endpoint("orders", &receiver.url("/"), json!({}))
        .await;
    let connection = |regex: &str| {
        json!({
            "name": "c", "source_id": world.source.id, "endpoint_id": endpoint.id,
            "rules": [{"type": "filter", "body": {"name": {"$regex": regex}}}],
        })
    };
    let broken = world.api.post("/v1/connections", &connection("(a")).await;
    assert_eq!(broken.status, 422, "{}", broken.text());
    assert!(broken.text().contains("/rules/0"), "{}", broken.text());
    world
        .api
        .create("/v1/connections", &connection("^(a+)+$"))
        .await;
    let hostile = format!("{}!", "a".repeat(50_000));
    let taken = world.take(json!({"id": 1, "name": hostile})).await;
    assert_eq!(taken["outcome"], "accepted");
    world.take(json!({"id": 2, "name": "aaa"})).await;
    let seen = receiver.wait_for_count(1).await;
    assert!(seen[0].body.starts_with(br#"{"id":2"#));
}
