//! Ordered delivery under failures and kill -9: of one customer's events never two at once and
//! never one before another; a failing one holds up its own customer and nobody else.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use http::Method;
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, interval, interval_at};

use crate::support::api::text;
use crate::support::eventually::PAUSE;
use crate::support::gateway::API_KEY;
use crate::support::{
    Api, Backend, Data, Delivered, Gateway, Receiver, Reply, eventually, on_each_lasting_store,
    on_each_store,
};

on_each_lasting_store! {
    "It is killed again and again, and each process goes on":
    inv_10_kill_nine_neither_reorders_nor_overlaps_what_is_ordered
}

on_each_store! {
    what_waits_for_its_turn_says_so_and_a_cancelled_head_lets_it_go
}

const KILLS: usize = 3;
const CUSTOMERS: u64 = 6;
const EVENTS: u64 = 25;
/// How long the receiver takes for what it takes.
const TAKES: Duration = Duration::from_millis(15);
/// The customer whose first event fails until all others have been served.
const STUCK: u64 = 0;

/// What the receiver saw of each customer.
#[derive(Default)]
struct Book {
    running: BTreeMap<u64, usize>,
    seen: BTreeMap<u64, Vec<u64>>,
    overlaps: Vec<String>,
}

impl Book {
    fn begin(&mut self, customer: u64, number: u64) {
        let running = self.running.entry(customer).or_default();
        *running += 1;
        if *running > 1 {
            let overlap = format!("customer {customer}, event {number}");
            self.overlaps.push(overlap);
        }
        self.seen.entry(customer).or_default().push(number);
    }

    fn end(&mut self, customer: u64) {
        *self.running.get_mut(&customer).expect("it was begun") -= 1;
    }

    /// Whether every event of everybody but the stuck one has come.
    fn others_are_served(&self) -> bool {
        let others = (0..CUSTOMERS).filter(|customer| *customer != STUCK);
        let last = |customer| self.seen.get(&customer).and_then(|seen| seen.last());
        others.map(last).all(|last| last == Some(&(EVENTS - 1)))
    }
}

struct World {
    address: watch::Sender<SocketAddr>,
    endpoint: String,
    acknowledged: watch::Sender<usize>,
}

async fn inv_10_kill_nine_neither_reorders_nor_overlaps_what_is_ordered(on: Backend) {
    let data = Data::new(on).await;
    let mut gateway = Gateway::start(&data).await;
    let book = Arc::new(Mutex::new(Book::default()));
    let receiver = receiver(&book).await;
    let retry = json!({"strategy": "fixed", "base_seconds": 1, "max_attempts": 90});
    // A lease that is lost with its process lasts ten seconds longer than that.
    let settings = json!({"retry": retry, "timeout_seconds": 1, "ordered_by": "body:$.customer"});
    let (api, url) = (gateway.api(), receiver.url("/"));
    let endpoint = api.endpoint("orders", &url, settings).await;
    let world = Arc::new(World {
        endpoint: endpoint.id,
        address: watch::Sender::new(gateway.address),
        acknowledged: watch::Sender::new(0),
    });

    let mut clients = JoinSet::new();
    for customer in 0..CUSTOMERS {
        clients.spawn(insist_on_all(Arc::clone(&world), customer));
    }
    let total = usize::try_from(CUSTOMERS * EVENTS).expect("few events");
    for kill in 1..=KILLS {
        let mut acknowledged = world.acknowledged.subscribe();
        let enough = total * kill / (KILLS + 1);
        let waited = acknowledged.wait_for(|count| *count >= enough).await;
        waited.unwrap();
        gateway.kill().await;
        gateway = Gateway::start(&data).await;
        world.address.send_replace(gateway.address);
    }
    while let Some(ended) = clients.join_next().await {
        ended.unwrap();
    }
    let api = gateway.api();
    eventually("every delivery ends", || async {
        let messages = api.list("/v1/messages").await;
        let delivered = |message: &Value| message["status"] == "delivered";
        (messages.len() == total && messages.iter().all(delivered)).then_some(())
    })
    .await;
    let book = book.lock().expect("nobody panics");
    assert_eq!(book.overlaps, [] as [String; 0]);
    for (customer, seen) in &book.seen {
        assert!(seen.is_sorted(), "customer {customer}: {seen:?}");
        let mut once = seen.clone();
        once.dedup();
        assert!(
            once.into_iter().eq(0..EVENTS),
            "customer {customer}: {seen:?}"
        );
    }
}

/// A receiver that keeps book, takes its time, and fails some at first.
async fn receiver(book: &Arc<Mutex<Book>>) -> Receiver {
    let book = Arc::clone(book);
    Receiver::start(move |delivered| {
        let event: Value = serde_json::from_slice(&delivered.body).expect("we sent JSON");
        let [customer, number] = ["customer", "number"].map(|name| event[name].as_u64());
        let (customer, number) = (customer.expect("we sent it"), number.expect("we sent it"));
        let mut open = book.lock().expect("nobody panics");
        open.begin(customer, number);
        if fails(&open, delivered, customer, number) {
            open.end(customer);
            return Reply::Status(500);
        }
        drop(open);
        let (done, gate) = watch::channel(false);
        let book = Arc::clone(&book);
        tokio::spawn(async move {
            interval_at(Instant::now() + TAKES, TAKES).tick().await;
            book.lock().expect("nobody panics").end(customer);
            done.send_replace(true);
        });
        Reply::Held(gate)
    })
    .await
}

fn fails(book: &Book, delivered: &Delivered, customer: u64, number: u64) -> bool {
    if (customer, number) == (STUCK, 0) {
        return !book.others_are_served();
    }
    number % 10 == 5 && delivered.header("hooklatch-attempt") == "1"
}

/// One customer's events, the next only after the one before was acknowledged.
async fn insist_on_all(world: Arc<World>, customer: u64) {
    for number in 0..EVENTS {
        let body = json!({
            "endpoint_id": world.endpoint,
            "idempotency_key": format!("{customer}-{number}"),
            "payload": {"customer": customer, "number": number},
        });
        let body = Bytes::from(body.to_string());
        let mut tries = interval(PAUSE);
        loop {
            tries.tick().await;
            let api = Api::new(*world.address.borrow(), API_KEY);
            let answer = api
                .ask(Method::POST, "/v1/webhooks/send", body.clone())
                .await;
            // The gateway was killed, or is not back yet.
            let Ok(answer) = answer else { continue };
            match answer.status {
                200 | 202 => break,
                503 => {}
                other => panic!("{other}: {}", answer.text()),
            }
        }
        world.acknowledged.send_modify(|count| *count += 1);
    }
}

async fn what_waits_for_its_turn_says_so_and_a_cancelled_head_lets_it_go(on: Backend) {
    let data = Data::new(on).await;
    let gateway = Gateway::start(&data).await;
    let receiver = Receiver::start(|delivered| {
        let first = delivered.body.as_ref() == br#"{"customer":"c","number":0}"#;
        Reply::Status(if first { 500 } else { 200 })
    })
    .await;
    let api = gateway.api();
    let retry = json!({"strategy": "fixed", "base_seconds": 3_600, "max_attempts": 9});
    let settings = json!({"retry": retry, "ordered_by": "body.customer"});
    let endpoint = api.endpoint("orders", &receiver.url("/"), settings).await;
    let mut deliveries = Vec::new();
    for payload in [
        json!({"customer": "c", "number": 0}),
        json!({"customer": "c", "number": 1}),
        json!({"customer": null, "number": 2}),
    ] {
        let sent = json!({"endpoint_id": endpoint.id, "payload": payload});
        let message = api.create("/v1/webhooks/send", &sent).await;
        deliveries.push(text(&message["deliveries"][0], "id"));
    }
    let path = |at: usize| format!("/v1/deliveries/{}", deliveries[at]);
    let head = eventually("the first has failed once", || async {
        let head = api.read(&path(0)).await;
        (head["attempts"] == 1 && head["status"] == "pending").then_some(head)
    });
    assert_eq!(head.await["waits_for_turn"], false);
    let waiting = api.read(&path(1)).await;
    assert_eq!(waiting["status"], "pending", "{waiting}");
    assert_eq!(waiting["waits_for_turn"], true, "{waiting}");
    assert_eq!(waiting["next_attempt_at"], Value::Null, "{waiting}");
    eventually("what has no value is not ordered", || async {
        (api.read(&path(2)).await["status"] == "delivered").then_some(())
    })
    .await;

    let retry = format!("{}/retry", path(1));
    let refused = api.ask(Method::POST, &retry, Bytes::new()).await.unwrap();
    assert_eq!(refused.status, 409, "{}", refused.text());
    assert!(
        refused.text().contains("ordering key"),
        "{}",
        refused.text()
    );
    let cancel = format!("{}/cancel", path(0));
    let cancelled = api.ask(Method::POST, &cancel, Bytes::new()).await.unwrap();
    assert_eq!(cancelled.status, 200, "{}", cancelled.text());
    eventually("the second has its turn", || async {
        (api.read(&path(1)).await["status"] == "delivered").then_some(())
    })
    .await;
}
