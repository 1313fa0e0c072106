//! What providers really send: GitHub's published example payloads, and events signed by Stripe's
//! own library. Each is sent twice, some sixteen times at once, and arrives once, byte for byte,
//! under a signature that the standard's official library accepts.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use serde_json::{Value, json};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use crate::support::api::text;
use crate::support::inputs::{github_examples, github_signature, stripe_events};
use crate::support::{
    Answer, Api, Backend, Data, Delivered, Endpoint, Gateway, Receiver, Source, on_each_store,
};

on_each_store! {
    every_example_of_github_arrives_once_however_often_it_is_sent
    every_event_that_stripe_signs_arrives_once_however_often_it_is_sent
    k7_an_event_with_one_changed_byte_is_refused_and_claims_nothing
}

/// Stands for any text: what the provider and we both know.
const SECRET: &str = "whsec_it is only the text that counts";
/// Events that are on their way at once.
const EVENTS_AT_ONCE: usize = 8;

/// One gateway with a source of a provider, routed to a receiver.
struct Route {
    gateway: Gateway,
    api: Api,
    source: Source,
    endpoint: Endpoint,
    receiver: Receiver,
    _data: Data,
}

/// One event as its provider sends it.
struct Event {
    id: String,
    headers: Vec<(&'static str, String)>,
    body: Bytes,
    /// Its first arrivals, all at once.
    at_once: usize,
}

/// What became of one event.
struct Taken {
    event: Event,
    message_id: String,
    duplicates: usize,
}

async fn route(on: Backend, provider: &str) -> Route {
    let data = Data::new(on).await;
    let gateway = Gateway::start(&data).await;
    let receiver = Receiver::obliging().await;
    let api = gateway.api();
    let verifier = json!({"secret": SECRET});
    let source = json!({"name": provider, "provider": provider, "verifier": verifier});
    let source = api.source(&source).await;
    let endpoint = api
        .endpoint("orders", &receiver.url("/hook"), json!({}))
        .await;
    api.connect(&source, &endpoint).await;
    Route {
        gateway,
        api,
        source,
        endpoint,
        receiver,
        _data: data,
    }
}

async fn every_example_of_github_arrives_once_however_often_it_is_sent(on: Backend) {
    let route = route(on, "github").await;
    let examples = github_examples();
    assert!(examples.len() > 300, "only {} examples", examples.len());
    let event = |(index, example): (usize, crate::support::inputs::GithubExample)| {
        let id = format!("f2467dea-70d6-11e8-8955-{index:012}");
        let signature = github_signature(SECRET, &example.body);
        Event {
            headers: vec![
                ("content-type", "application/json".to_owned()),
                ("user-agent", "GitHub-Hookshot/044aadd".to_owned()),
                ("x-github-delivery", id.clone()),
                ("x-github-event", example.event),
                ("x-hub-signature-256", signature),
            ],
            id,
            body: example.body,
            at_once: if index % 20 == 0 { 16 } else { 1 },
        }
    };
    let events = examples.into_iter().enumerate().map(event).collect();
    let taken = send_all(&route, events).await;
    let delivered = delivered_once(&route, &taken).await;
    for taken in &taken {
        let delivered = &delivered[&taken.message_id];
        assert_eq!(delivered.header("x-github-delivery"), taken.event.id);
        assert_eq!(
            delivered.header("x-github-event"),
            header(&taken.event, "x-github-event")
        );
    }
}

async fn every_event_that_stripe_signs_arrives_once_however_often_it_is_sent(on: Backend) {
    let route = route(on, "stripe").await;
    let event = |(index, event): (usize, crate::support::inputs::StripeEvent)| Event {
        id: event.id,
        headers: vec![
            ("content-type", "application/json; charset=utf-8".to_owned()),
            ("stripe-signature", event.signature),
        ],
        body: event.payload.into(),
        at_once: if index % 8 == 0 { 16 } else { 1 },
    };
    let events = stripe_events(SECRET)
        .await
        .into_iter()
        .enumerate()
        .map(event)
        .collect();
    let taken = send_all(&route, events).await;
    delivered_once(&route, &taken).await;
}

async fn k7_an_event_with_one_changed_byte_is_refused_and_claims_nothing(on: Backend) {
    let route = route(on, "stripe").await;
    let event = stripe_events(SECRET).await.swap_remove(0);
    let headers = [
        ("content-type", "application/json"),
        ("stripe-signature", event.signature.as_str()),
    ];
    let forged = event.payload.replacen("1099", "1098", 1);
    let answer = route
        .api
        .ingest(&route.source, &headers, forged)
        .await
        .unwrap();
    assert_eq!(answer.status, 401, "{}", answer.text());
    assert_eq!(route.api.list("/v1/messages").await, Vec::<Value>::new());

    // The true one is still the first of its key.
    let answer = route
        .api
        .ingest(&route.source, &headers, event.payload)
        .await
        .unwrap();
    assert_eq!(answer.json()["outcome"], "accepted");
    let seen = route.receiver.wait_for_count(1).await;
    seen[0].assert_signed_with(&route.endpoint.secret);
}

/// Sends each event as often at once as it says, and once more after that.
async fn send_all(route: &Route, events: Vec<Event>) -> Vec<Taken> {
    let places = Arc::new(Semaphore::new(EVENTS_AT_ONCE));
    let mut sending = JoinSet::new();
    for event in events {
        let (api, source) = (route.api.clone(), route.source.clone());
        let places = Arc::clone(&places);
        sending.spawn(async move {
            let _place = places.acquire().await;
            send(api, source, event).await
        });
    }
    sending.join_all().await
}

async fn send(api: Api, source: Source, event: Event) -> Taken {
    let event = Arc::new(event);
    let mut first = JoinSet::new();
    for _ in 0..event.at_once {
        let arrival = arrive(api.clone(), source.clone(), Arc::clone(&event));
        first.spawn(arrival);
    }
    let mut answers = first.join_all().await;
    answers.push(arrive(api, source, Arc::clone(&event)).await);

    let (accepted, others): (Vec<_>, Vec<_>) = answers
        .iter()
        .map(Answer::json)
        .partition(|answer| answer["outcome"] == "accepted");
    assert_eq!(accepted.len(), 1, "{}: {accepted:?}", event.id);
    let message_id = text(&accepted[0], "message_id");
    for other in &others {
        assert_eq!(other["outcome"], "duplicate", "{}: {other}", event.id);
        assert_eq!(
            other["message_id"],
            json!(message_id),
            "{}: {other}",
            event.id
        );
    }
    Taken {
        message_id,
        duplicates: others.len(),
        event: Arc::into_inner(event).expect("every arrival has ended"),
    }
}

async fn arrive(api: Api, source: Source, event: Arc<Event>) -> Answer {
    let headers: Vec<_> = event
        .headers
        .iter()
        .map(|(name, value)| (*name, value.as_str()))
        .collect();
    let answer = api.ingest(&source, &headers, event.body.clone()).await;
    let answer = answer.unwrap_or_else(|error| panic!("{}: {error}", event.id));
    assert_eq!(answer.status, 200, "{}: {}", event.id, answer.text());
    let replayed = answer.header("idempotent-replayed") == "true";
    assert_eq!(
        replayed,
        answer.json()["outcome"] == "duplicate",
        "{}",
        answer.text()
    );
    answer
}

fn header<'a>(event: &'a Event, name: &str) -> &'a str {
    let found = event.headers.iter().find(|(header, _)| *header == name);
    &found.expect("the test gave it").1
}

/// Asserts that each event was delivered by one attempt, unchanged and signed; by message id.
async fn delivered_once(route: &Route, taken: &[Taken]) -> BTreeMap<String, Arc<Delivered>> {
    let seen = route.receiver.wait_for_count(taken.len()).await;
    let delivered: BTreeMap<_, _> = seen
        .into_iter()
        .map(|delivered| (delivered.header("webhook-id").to_owned(), delivered))
        .collect();
    assert_eq!(
        delivered.len(),
        taken.len(),
        "two events with one webhook-id, or one delivered twice"
    );
    for taken in taken {
        let delivered = &delivered[&taken.message_id];
        assert_eq!(delivered.body, taken.event.body, "{}", taken.event.id);
        let content_type = header(&taken.event, "content-type");
        assert_eq!(delivered.header("content-type"), content_type);
        delivered.assert_signed_with(&route.endpoint.secret);
        let message = message_delivered(&route.api, &taken.message_id).await;
        assert_eq!(message["deliveries"][0]["attempts"], 1, "{message}");
        assert_eq!(message["duplicates"], taken.duplicates, "{message}");
        assert_eq!(
            delivered.header("idempotency-key"),
            text(&message, "checksum")
        );
    }
    assert_eq!(route.api.list("/v1/messages").await.len(), taken.len());
    assert_eq!(route.receiver.seen().len(), taken.len());
    assert!(route.gateway.pid() > 0);
    delivered
}

async fn message_delivered(api: &Api, id: &str) -> Value {
    let path = format!("/v1/messages/{id}");
    crate::support::eventually(&format!("{id} is delivered"), || async {
        let message = api.read(&path).await;
        (message["status"] == "delivered").then_some(message)
    })
    .await
}
