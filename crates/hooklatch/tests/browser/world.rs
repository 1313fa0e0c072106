//! A gateway with a little of everything in it, and a page to look at it.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::{Value, json};

use crate::chromium::Chromium;
use crate::page::Page;
use crate::support::gateway::API_KEY;
use crate::support::{
    Api, Backend, Data, Endpoint, Gateway, Receiver, Reply, Source, eventually_ok,
};

/// What the tests look at.
pub struct World {
    pub page: Page,
    pub api: Api,
    pub gateway: Gateway,
    pub receiver: Receiver,
    browser: Chromium,
    _data: Data,
}

impl World {
    /// An empty gateway with a receiver that takes everything, and a browser that has not signed in.
    pub async fn empty() -> Self {
        Self::with_receiver(Receiver::obliging().await).await
    }

    /// The same with a receiver of the test's own.
    pub async fn with_receiver(receiver: Receiver) -> Self {
        Self::on(Backend::Sqlite, receiver).await
    }

    async fn on(store: Backend, receiver: Receiver) -> Self {
        let data = Data::new(store).await;
        let gateway = Gateway::start(&data).await;
        let browser = Chromium::start().await;
        let page = Page::open(&browser, gateway.address).await;
        Self {
            page,
            api: gateway.api(),
            gateway,
            receiver,
            browser,
            _data: data,
        }
    }

    /// The same, signed in.
    pub async fn signed_in() -> Self {
        let world = Self::empty().await;
        world.page.sign_in(API_KEY).await;
        world
    }

    /// A page of somebody else, who has not signed in.
    pub async fn another_page(&self) -> Page {
        Page::open(&self.browser, self.gateway.address).await
    }

    /// A source whose key is the event's id, connected to the receiver.
    pub async fn connected(&self) -> (Source, Endpoint) {
        self.connected_with(json!({})).await
    }

    /// The same with settings for the endpoint.
    pub async fn connected_with(&self, settings: Value) -> (Source, Endpoint) {
        let source = self.api.source(&payments()).await;
        let url = self.receiver.url("/hooks");
        let endpoint = self.api.endpoint("shop", &url, settings).await;
        self.api.connect(&source, &endpoint).await;
        (source, endpoint)
    }

    /// Waits until a message stands as it should.
    pub async fn settled(&self, message: &str, status: &str) {
        eventually_ok(&format!("{message} {status}"), || async {
            let record = self.api.read(&format!("/v1/messages/{message}")).await;
            match record["status"] == status {
                true => Ok(()),
                false => Err(record["status"].to_string()),
            }
        })
        .await;
    }
}

/// A source that reads ids and types.
pub fn payments() -> Value {
    json!({
        "name": "payments",
        "provider": "stripe",
        "verifier": {"type": "none"},
    })
}

/// What the full world holds that tests go to.
pub struct Full {
    pub world: World,
    pub message: String,
    pub duplicate: String,
    pub source: String,
    pub endpoint: String,
    pub connection: String,
    pub key: String,
    pub replay: String,
}

impl Full {
    /// Sources, connections with rules, messages that went well and badly, and duplicates.
    pub async fn new() -> Self {
        Self::on(Backend::Sqlite).await
    }

    /// The same on another store.
    pub async fn on(store: Backend) -> Self {
        let seen = Arc::new(AtomicUsize::new(0));
        let receiver = Receiver::start(move |delivered| {
            let text = String::from_utf8_lossy(&delivered.body).into_owned();
            if text.contains("invoice.payment_failed") {
                return Reply::Status(500);
            }
            let first = text.contains("evt_1042") && seen.fetch_add(1, Ordering::Relaxed) == 0;
            Reply::Status(if first { 503 } else { 200 })
        });
        let world = World::on(store, receiver.await).await;
        world.page.sign_in(API_KEY).await;
        let api = &world.api;
        let payments = api.source(&payments()).await;
        let code = json!({"name": "code-host", "provider": "github", "verifier": {"type": "none"}});
        let code = api.source(&code).await;
        let retry = json!({"retry": {"strategy": "fixed", "base_seconds": 1, "max_attempts": 2}, "environment": "production"});
        let shop = api
            .endpoint("shop", &world.receiver.url("/hooks"), retry.clone())
            .await;
        let ledger = api
            .endpoint("bookkeeping", &world.receiver.url("/books"), retry)
            .await;
        connect(api, "payments to shop", &payments, &shop).await;
        let rules = json!([
            {"type": "filter", "body": {"type": {"$startsWith": "charge."}}},
            {"type": "deduplicate", "locations": ["body:$.data.object.id"], "window_seconds": 3600},
        ]);
        let connection = json!({"name": "charges to bookkeeping", "source_id": payments.id, "endpoint_id": ledger.id, "rules": rules});
        let connection = api.create("/v1/connections", &connection).await;
        connect(api, "pushes to shop", &code, &shop).await;
        let plan = json!({"filter": {"event_type": "invoice.payment_failed"}});
        let (message, duplicate) = traffic(&world, &payments, &code).await;
        let replay = api.create("/v1/replays", &plan).await;
        Self {
            message,
            duplicate,
            source: payments.id,
            endpoint: shop.id,
            connection: connection["id"].as_str().unwrap_or_default().to_owned(),
            key: "evt_1042".to_owned(),
            replay: replay["id"].as_str().unwrap_or_default().to_owned(),
            world,
        }
    }
}

async fn connect(api: &Api, name: &str, source: &Source, endpoint: &Endpoint) {
    let body = json!({"name": name, "source_id": source.id, "endpoint_id": endpoint.id});
    api.create("/v1/connections", &body).await;
}

fn event(number: u32, kind: &str, amount: u32) -> String {
    json!({
        "id": format!("evt_{number}"),
        "object": "event",
        "type": kind,
        "data": {"object": {"id": format!("ch_{number}"), "amount": amount, "currency": "eur", "customer": {"id": format!("cus_{}", number % 7), "email": "ada@example.com"}, "paid": true}},
        "livemode": false,
    })
    .to_string()
}

async fn traffic(world: &World, payments: &Source, code: &Source) -> (String, String) {
    let api = &world.api;
    let kinds = [
        "charge.succeeded",
        "invoice.paid",
        "customer.created",
        "charge.refunded",
    ];
    for number in 1_000..1_016 {
        let kind = kinds[number as usize % kinds.len()];
        api.ingest_json(payments, &event(number, kind, 100 * number))
            .await;
    }
    for number in 0..3 {
        let id = format!("72d3162e-cc78-11e3-81ab-4c9367dc095{number}");
        let headers = [
            ("content-type", "application/json"),
            ("x-github-delivery", id.as_str()),
            ("x-github-event", "push"),
        ];
        let answer = api
            .ingest(
                code,
                &headers,
                r#"{"ref": "refs/heads/main", "commits": []}"#,
            )
            .await;
        assert_eq!(answer.expect("it is taken").status, 200);
    }
    let failed = api
        .ingest_json(payments, &event(1_041, "invoice.payment_failed", 900))
        .await;
    let paid = event(1_042, "charge.succeeded", 4_200);
    let (first, ..) = tokio::join!(
        api.ingest_json(payments, &paid),
        api.ingest_json(payments, &paid),
        api.ingest_json(payments, &paid),
    );
    let message = first["message_id"].as_str().unwrap_or_default().to_owned();
    world.settled(&message, "delivered").await;
    world
        .settled(failed["message_id"].as_str().unwrap_or_default(), "failed")
        .await;
    api.ingest_json(payments, &paid).await;
    let other = api
        .ingest_json(payments, &event(1_042, "charge.succeeded", 9_900))
        .await;
    let duplicate = other["request_id"].as_str().unwrap_or_default().to_owned();
    api.ingest_json(payments, &event(1_043, "charge.succeeded", 700))
        .await;
    (message, duplicate)
}
