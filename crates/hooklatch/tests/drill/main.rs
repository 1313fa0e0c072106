//! The drill: an endpoint is down while messages arrive, another is slow, and when it is back all
//! that failed is replayed at a set rate under live traffic. Every effect happens once at a receiver
//! that keeps its keys, and live traffic hardly notices the replay (P4).
//!
//! The short form runs with the tests. `HOOKLATCH_DRILL=long` is the form that is reported: 10,000
//! messages, a minute of outage, and the table; best with a release build, which
//! `HOOKLATCH_DRILL_BINARY` names.

mod numbers;
mod receiver;
mod support;
mod traffic;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};
use tokio::time::{Instant, interval_at, timeout};

use numbers::{Form, Numbers};
use receiver::{Manner, Receiver};
use support::api::{Api, Endpoint, Source, text};
use support::eventually::eventually;
use traffic::Traffic;

/// Which form is run.
const FORM: &str = "HOOKLATCH_DRILL";
/// Which gateway, if not the one that was built with the tests.
const BINARY: &str = "HOOKLATCH_DRILL_BINARY";
const API_KEY: &str = "hl_drill_0123456789abcdef0123456789";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn p4_an_outage_is_replayed_under_live_traffic_and_every_effect_happens_once() {
    let form = Form::named(std::env::var(FORM).ok().as_deref());
    let world = World::start().await;
    let mut numbers = Numbers::default();

    // The outage: the shop answers 503 while the messages arrive.
    world.shop.behave(Manner::Down);
    let begun = Instant::now();
    let arriving = Traffic::new("event", form.messages, form.arrival_rate);
    arriving.send(&world.api, &world.both).await;
    world.failed(form.messages).await;
    interval_at(begun + form.outage, form.outage).tick().await;
    numbers.outage = begun.elapsed();
    world.shop.behave(Manner::Prompt);

    // Live traffic by itself, and then beside the replay.
    let before = Traffic::new("before", form.live_messages(), form.live_rate);
    numbers.alone = world.live(&before).await;
    let replay = world.replay(form.replay_rate).await;
    let started = Instant::now();
    let beside = Traffic::new("beside", form.messages_beside(), form.live_rate);
    let (beside, done) = tokio::join!(world.live(&beside), world.done(&replay));
    numbers.beside = beside;
    numbers.replay = started.elapsed();
    numbers.take(&done, &world, &form).await;

    println!("{}", numbers.table(&form));
    numbers.check(&form);
}

/// A gateway, a shop that fails and recovers, and a receiver that is slow all the time.
struct World {
    api: Api,
    /// Leads to the shop and to the slow one.
    both: Source,
    /// Leads to the shop only.
    only_shop: Source,
    shop: Receiver,
    slow: Receiver,
    shop_id: String,
    _gateway: Child,
    _data: TempDir,
}

impl World {
    async fn start() -> Self {
        let data = TempDir::new().expect("a temporary directory");
        let (gateway, address) = gateway(&data).await;
        let api = Api::new(address, API_KEY);
        let (shop, slow) = (Receiver::start().await, Receiver::start().await);
        slow.behave(Manner::Slow);
        let keyed = |name: &str| json!({"name": name, "key": {"locations": ["body:$.id"]}});
        let both = api.source(&keyed("both")).await;
        let only_shop = api.source(&keyed("only-shop")).await;
        let once = json!({"retry": {"strategy": "fixed", "base_seconds": 60, "max_attempts": 1}});
        let shop_end = api.endpoint("shop", &shop.url(), once).await;
        let slow_end = api.endpoint("slow", &slow.url(), json!({})).await;
        connect(&api, &both, &[&shop_end, &slow_end]).await;
        connect(&api, &only_shop, &[&shop_end]).await;
        Self {
            api,
            both,
            only_shop,
            shop,
            slow,
            shop_id: shop_end.id,
            _gateway: gateway,
            _data: data,
        }
    }

    /// Waits until so many messages have failed at the shop.
    async fn failed(&self, messages: usize) {
        let refused = || async { (self.shop.refused() >= messages).then_some(()) };
        eventually("the shop has refused each", refused).await;
    }

    /// Sends live traffic to the shop; answers how long each took from its sending to its arrival.
    async fn live(&self, traffic: &Traffic) -> Vec<Duration> {
        let sent = traffic.send(&self.api, &self.only_shop).await;
        let arrived = || async { self.shop.has_all(traffic).then_some(()) };
        eventually("live traffic has arrived", arrived).await;
        self.shop.latencies(&sent)
    }

    /// Plans and starts the replay of what has failed at the shop.
    async fn replay(&self, rate: u32) -> String {
        let filter = json!({"endpoint_id": self.shop_id, "status": "failed"});
        let plan = json!({"filter": filter, "rate_per_second": rate, "reason": "the outage"});
        let made = self.api.create("/v1/replays", &plan).await;
        let id = text(&made, "id");
        eventually("the plan is made", || async {
            let replay = self.api.read(&format!("/v1/replays/{id}")).await;
            (replay["status"] == "ready").then_some(())
        })
        .await;
        let start = format!("/v1/replays/{id}/start");
        self.api.create(&start, &Value::Null).await;
        id
    }

    async fn done(&self, id: &str) -> Value {
        let mut looks = tokio::time::interval(Duration::from_millis(250));
        loop {
            looks.tick().await;
            let replay = self.api.read(&format!("/v1/replays/{id}")).await;
            if replay["status"] == "done" {
                return replay;
            }
        }
    }
}

async fn connect(api: &Api, source: &Source, endpoints: &[&Endpoint]) {
    for endpoint in endpoints {
        api.connect(source, endpoint).await;
    }
}

async fn gateway(data: &TempDir) -> (Child, SocketAddr) {
    let binary = std::env::var_os(BINARY).map(PathBuf::from);
    let binary = binary.unwrap_or_else(|| env!("CARGO_BIN_EXE_hooklatch").into());
    let mut command = Command::new(binary);
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("HOOKLATCH_") {
            command.env_remove(name);
        }
    }
    command
        .args(["serve", "--dev", "--listen", "127.0.0.1:0", "--data-dir"])
        .arg(data.path())
        .env("HOOKLATCH_API_KEY", API_KEY)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    let mut child = command.spawn().expect("the gateway starts");
    let stderr = child.stderr.take().expect("stderr is piped");
    let mut lines = BufReader::new(stderr).lines();
    let listening = timeout(support::DEADLINE, async {
        while let Ok(Some(line)) = lines.next_line().await {
            let told = line.split_once("listening");
            let address = told.and_then(|(_, rest)| rest.split_once("http://"));
            let address = address.map(|(_, rest)| rest);
            let address = address.and_then(|rest| rest.split_whitespace().next());
            if let Some(Ok(address)) = address.map(str::parse) {
                return Some(address);
            }
        }
        None
    });
    let address = listening.await.ok().flatten().expect("it listens");
    // What it says later is read and dropped, so that it never waits for us.
    tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
    (child, address)
}
