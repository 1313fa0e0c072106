//! kill -9, again and again, under load of both directions. Nothing that was acknowledged is lost,
//! no key ever has two originals, and every delivery ends.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use http::Method;
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::interval;

use crate::support::api::text;
use crate::support::eventually::PAUSE;
use crate::support::gateway::API_KEY;
use crate::support::{
    Answer, Api, Backend, Data, Delivered, Endpoint, Gateway, Receiver, Reply, Source, eventually,
    on_each_lasting_store,
};

on_each_lasting_store! {
    "It is killed, and the next process goes on":
    c2_kill_nine_loses_nothing_that_was_acknowledged_and_accepts_no_key_twice
    after_a_restart_retrying_goes_on_where_it_stopped
    d3_an_attempt_cut_off_by_a_crash_is_uncertain_and_the_next_is_a_recovery
}

/// How often the gateway is killed.
const KILLS: usize = 6;
/// Events of each direction.
const EVENTS: usize = 400;
/// Arrivals of each event: the provider, or the producer, repeats itself.
const ARRIVALS: usize = 2;
/// Clients of each direction.
const CLIENTS: usize = 8;

/// The two ways in.
#[derive(Debug, Clone, Copy)]
enum Direction {
    Ingest,
    Send,
}

/// What all clients share. The gateway's port changes whenever it is started again.
struct World {
    address: watch::Sender<SocketAddr>,
    source: Source,
    endpoint: Endpoint,
    acknowledged: watch::Sender<usize>,
}

/// An acknowledged arrival.
#[derive(Debug)]
struct Acknowledged {
    key: String,
    message_id: String,
    accepted: bool,
}

async fn c2_kill_nine_loses_nothing_that_was_acknowledged_and_accepts_no_key_twice(on: Backend) {
    let data = Data::new(on).await;
    let mut gateway = Gateway::start(&data).await;
    let receiver = Receiver::start(stumble).await;
    let world = Arc::new(world(&gateway, &receiver).await);

    let mut clients = start_clients(&world);
    let total = 2 * EVENTS * ARRIVALS;
    for kill in 1..=KILLS {
        let enough = total * kill / (KILLS + 2);
        let mut acknowledged = world.acknowledged.subscribe();
        acknowledged
            .wait_for(|count| *count >= enough)
            .await
            .unwrap();
        gateway.kill().await;
        gateway = Gateway::start(&data).await;
        world.address.send_replace(gateway.address);
    }
    let mut acknowledged = Vec::new();
    while let Some(ended) = clients.join_next().await {
        acknowledged.extend(ended.unwrap());
    }

    assert_eq!(acknowledged.len(), total);
    let originals = one_original_of_each_key(&acknowledged);
    every_original_is_delivered(&gateway.api(), &originals).await;
    one_webhook_id_for_each_event(&receiver, &originals);
    ledger_agrees(&gateway.api(), &originals).await;
}

/// Fails the first attempt of every third message, so that some are always waiting for a retry.
fn stumble(delivered: &Delivered) -> Reply {
    let first = delivered.header("hooklatch-attempt") == "1";
    let id = delivered
        .header("webhook-id")
        .bytes()
        .map(u32::from)
        .sum::<u32>();
    Reply::Status(if first && id.is_multiple_of(3) {
        500
    } else {
        200
    })
}

async fn world(gateway: &Gateway, receiver: &Receiver) -> World {
    let api = gateway.api();
    let source = json!({"name": "provider", "key": {"locations": ["body:$.id"]}});
    let source = api.source(&source).await;
    let retry = json!({"strategy": "fixed", "base_seconds": 1, "max_attempts": 60});
    // A lease that is lost with its process lasts ten seconds longer than that.
    let settings = json!({"retry": retry, "timeout_seconds": 5});
    let endpoint = api
        .endpoint("orders", &receiver.url("/hook"), settings)
        .await;
    api.connect(&source, &endpoint).await;
    World {
        address: watch::Sender::new(gateway.address),
        source,
        endpoint,
        acknowledged: watch::Sender::new(0),
    }
}

/// The clients share the arrivals of their direction; those of one event are neighbours, so that
/// they often meet at the gateway.
fn start_clients(world: &Arc<World>) -> JoinSet<Vec<Acknowledged>> {
    let mut clients = JoinSet::new();
    for direction in [Direction::Ingest, Direction::Send] {
        for client in 0..CLIENTS {
            let arrivals = (client..EVENTS * ARRIVALS).step_by(CLIENTS);
            let events = arrivals.map(|arrival| arrival / ARRIVALS).collect();
            clients.spawn(insist_on_all(Arc::clone(world), direction, events));
        }
    }
    clients
}

async fn insist_on_all(
    world: Arc<World>,
    direction: Direction,
    events: Vec<usize>,
) -> Vec<Acknowledged> {
    let mut acknowledged = Vec::new();
    for event in events {
        acknowledged.push(insist(&world, direction, event).await);
        world.acknowledged.send_modify(|count| *count += 1);
    }
    acknowledged
}

/// Repeats one arrival until it is acknowledged, as providers and careful producers do.
async fn insist(world: &World, direction: Direction, event: usize) -> Acknowledged {
    let mut tries = interval(PAUSE);
    loop {
        tries.tick().await;
        let api = Api::new(*world.address.borrow(), API_KEY);
        let answer = match direction {
            Direction::Ingest => ingest(&api, world, event).await,
            Direction::Send => send(&api, world, event).await,
        };
        match answer {
            Ok(answer) if (200..300).contains(&answer.status) => {
                return acknowledged(direction, event, &answer);
            }
            Ok(answer) if answer.status == 503 => assert_ne!(answer.header("retry-after"), ""),
            Ok(answer) => panic!("{direction:?} {event}: {} {}", answer.status, answer.text()),
            // The gateway was killed, or is not back yet.
            Err(_) => {}
        }
    }
}

fn key(direction: Direction, event: usize) -> String {
    match direction {
        Direction::Ingest => format!("in-{event}"),
        Direction::Send => format!("out-{event}"),
    }
}

async fn ingest(api: &Api, world: &World, event: usize) -> Result<Answer, String> {
    let body = json!({"id": key(Direction::Ingest, event), "amount": event}).to_string();
    let headers = [("content-type", "application/json")];
    api.ingest(&world.source, &headers, body).await
}

async fn send(api: &Api, world: &World, event: usize) -> Result<Answer, String> {
    let key = key(Direction::Send, event);
    let body = json!({
        "endpoint_id": world.endpoint.id,
        "idempotency_key": key,
        "event_type": "order.paid",
        "payload": {"id": key, "amount": event},
    });
    let body = Bytes::from(body.to_string());
    api.ask(Method::POST, "/v1/webhooks/send", body).await
}

fn acknowledged(direction: Direction, event: usize, answer: &Answer) -> Acknowledged {
    let body = answer.json();
    let (field, accepted) = match direction {
        Direction::Ingest => ("message_id", body["outcome"] == "accepted"),
        Direction::Send => ("id", answer.status == 202),
    };
    Acknowledged {
        key: key(direction, event),
        message_id: text(&body, field),
        accepted,
    }
}

/// The one message of each key.
fn one_original_of_each_key(acknowledged: &[Acknowledged]) -> BTreeMap<String, String> {
    let mut originals = BTreeMap::new();
    let mut accepted = BTreeSet::new();
    for arrival in acknowledged {
        let original = originals
            .entry(arrival.key.clone())
            .or_insert(&arrival.message_id);
        assert_eq!(
            *original, &arrival.message_id,
            "{} has two originals",
            arrival.key
        );
        if arrival.accepted {
            assert!(
                accepted.insert(&arrival.key),
                "{} was accepted twice",
                arrival.key
            );
        }
    }
    assert_eq!(originals.len(), 2 * EVENTS);
    let owned = originals.into_iter().map(|(key, id)| (key, id.clone()));
    owned.collect()
}

/// Every acknowledged message is there, is delivered in the end, and there are no others: one that
/// nobody was told of would be a second original.
async fn every_original_is_delivered(api: &Api, originals: &BTreeMap<String, String>) {
    let expected: BTreeSet<&String> = originals.values().collect();
    let messages = eventually("every delivery ends", || async {
        let messages = api.list("/v1/messages").await;
        let is_final =
            |message: &Value| message["status"] == "delivered" || message["status"] == "failed";
        messages.iter().all(is_final).then_some(messages)
    })
    .await;
    let found: BTreeSet<String> = messages.iter().map(|message| text(message, "id")).collect();
    assert_eq!(found.iter().collect::<BTreeSet<_>>(), expected);
    for message in &messages {
        assert_eq!(message["status"], "delivered", "{message}");
    }
}

/// Repeated deliveries are allowed after a crash; a second id for one event never is.
fn one_webhook_id_for_each_event(receiver: &Receiver, originals: &BTreeMap<String, String>) {
    let mut ids: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for delivered in receiver.seen() {
        let body: Value = serde_json::from_slice(&delivered.body).expect("we sent JSON");
        let seen = ids.entry(text(&body, "id")).or_default();
        seen.insert(delivered.header("webhook-id").to_owned());
    }
    assert_eq!(ids.len(), originals.len());
    for (key, ids) in ids {
        assert_eq!(ids, BTreeSet::from([originals[&key].clone()]), "{key}");
    }
}

/// The ledger names one claim for a key, and counts the arrivals.
async fn ledger_agrees(api: &Api, originals: &BTreeMap<String, String>) {
    for (key, original) in originals.iter().step_by(originals.len() / 20) {
        let claims = api.list(&format!("/v1/keys/{key}")).await;
        assert_eq!(claims.len(), 1, "{key}: {claims:?}");
        assert_eq!(
            claims[0]["message_id"],
            json!(original),
            "{key}: {claims:?}"
        );
        let duplicates = claims[0]["duplicates"].as_u64();
        assert!(duplicates >= Some(ARRIVALS as u64 - 1), "{key}: {claims:?}");
    }
}

/// What one message's delivery is doing.
async fn delivery(api: &Api, message_id: &str) -> Value {
    let message = api.read(&format!("/v1/messages/{message_id}")).await;
    let id = text(&message["deliveries"][0], "id");
    api.read(&format!("/v1/deliveries/{id}")).await
}

async fn after_a_restart_retrying_goes_on_where_it_stopped(on: Backend) {
    let data = Data::new(on).await;
    let mut gateway = Gateway::start(&data).await;
    let receiver = Receiver::start(|delivered| {
        let number: u32 = delivered.header("hooklatch-attempt").parse().unwrap_or(0);
        Reply::Status(if number < 3 { 500 } else { 200 })
    })
    .await;
    let retry = json!({"strategy": "schedule", "schedule_seconds": [1, 4, 1]});
    let api = gateway.api();
    let settings = json!({"retry": retry});
    let endpoint = api.endpoint("orders", &receiver.url("/"), settings).await;
    let sent = json!({"endpoint_id": endpoint.id, "payload": {"order": 1}});
    let message_id = text(&api.create("/v1/webhooks/send", &sent).await, "id");

    receiver.wait_for_count(2).await;
    let waiting = eventually("the second attempt is recorded", || async {
        let delivery = delivery(&api, &message_id).await;
        let waits = delivery["status"] == "pending" && delivery["attempts"] == 2;
        waits.then_some(delivery)
    })
    .await;
    gateway.kill().await;
    gateway = Gateway::start(&data).await;
    let api = gateway.api();
    let after = delivery(&api, &message_id).await;
    assert_eq!(after["attempts"], 2, "{after}");
    assert_eq!(
        after["next_attempt_at"], waiting["next_attempt_at"],
        "{after}"
    );

    let seen = receiver.wait_for_count(3).await;
    assert_eq!(seen[2].header("hooklatch-attempt"), "3");
    assert_eq!(seen[2].header("hooklatch-trigger"), "retry");
    assert_eq!(seen[2].header("webhook-id"), seen[0].header("webhook-id"));
    ends_delivered(&api, &message_id, 3).await;
}

async fn d3_an_attempt_cut_off_by_a_crash_is_uncertain_and_the_next_is_a_recovery(on: Backend) {
    let data = Data::new(on).await;
    let mut gateway = Gateway::start(&data).await;
    let receiver = Receiver::start(|delivered| match delivered.header("hooklatch-attempt") {
        "1" => Reply::Silence,
        _ => Reply::Status(200),
    })
    .await;
    let api = gateway.api();
    let settings = json!({"timeout_seconds": 5});
    let endpoint = api.endpoint("orders", &receiver.url("/"), settings).await;
    let sent = json!({"endpoint_id": endpoint.id, "payload": {"order": 1}});
    let message_id = text(&api.create("/v1/webhooks/send", &sent).await, "id");

    receiver.wait_for_count(1).await;
    gateway.kill().await;
    gateway = Gateway::start(&data).await;
    let seen = receiver.wait_for_count(2).await;
    assert_eq!(seen[1].header("hooklatch-attempt"), "2");
    assert_eq!(seen[1].header("hooklatch-trigger"), "recovery");
    assert_eq!(seen[1].header("webhook-id"), seen[0].header("webhook-id"));

    let api = gateway.api();
    let ended = ends_delivered(&api, &message_id, 2).await;
    let attempts = api
        .list(&format!("/v1/deliveries/{}/attempts", text(&ended, "id")))
        .await;
    let outcomes: BTreeSet<_> = attempts
        .iter()
        .map(|attempt| (attempt["number"].as_u64(), text(attempt, "outcome")))
        .collect();
    let expected = [
        (Some(1), "uncertain".to_owned()),
        (Some(2), "delivered".to_owned()),
    ];
    assert_eq!(outcomes, BTreeSet::from(expected));
}

async fn ends_delivered(api: &Api, message_id: &str, attempts: u64) -> Value {
    let ended = eventually("the delivery ends", || async {
        let delivery = delivery(api, message_id).await;
        (delivery["status"] == "delivered").then_some(delivery)
    })
    .await;
    assert_eq!(ended["attempts"], attempts, "{ended}");
    ended
}
