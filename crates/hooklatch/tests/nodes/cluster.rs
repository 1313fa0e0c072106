//! Three nodes, their database, what may be done to them, and the way back.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use hooklatch_core::ids::EndpointId;
use serde_json::json;
use tempfile::TempDir;
use tokio_postgres::Client;

use crate::clients::{Acknowledged, Direction, Event, NODES, SECRET, Way, World};
use crate::node::{Clock, Node, is_as_told};
use crate::postgres::Postgres;
use crate::process::pass;
use crate::proxy::Proxy;
use crate::sink::Sink;
use crate::support::eventually::eventually;
use crate::tally::Tally;

/// How long an attempt may take.
const TIMEOUT_SECONDS: u64 = 1;
/// How long a lease lasts: the endpoint's timeout and ten seconds (O4).
pub const LEASE: Duration = Duration::from_secs(TIMEOUT_SECONDS + 10);
/// For how long a node is stopped: past every lease that it has.
const FROZEN: Duration = Duration::from_secs(13);
/// For how long a node is cut off: past the store's own patience with half a transaction.
const CUT: Duration = Duration::from_secs(17);
/// For how long a killed process stays away.
const AWAY: Duration = Duration::from_millis(1_500);
/// For how long all is well after a disturbance.
const CALM: Duration = Duration::from_millis(1_500);
/// The node whose way to the database can be cut.
const BEHIND_PROXY: usize = 1;
/// Endpoints; the source leads to the first two, sends go to the others.
const PATHS: [&str; 4] = ["/first", "/second", "/third", "/fourth"];

/// What is done to the nodes and to the database.
#[derive(Debug, Clone, Copy)]
pub enum Disturbance {
    /// Nothing.
    Nothing,
    /// kill -9 of a node, which is started again.
    Killed,
    /// SIGSTOP of a node until after its leases, then SIGCONT.
    Frozen,
    /// A node's way to the database lets nothing pass.
    CutOff,
    /// A node is started again with another clock, which it keeps until it is started again.
    WrongClock(Clock),
    /// The database is stopped fast, and started.
    DatabaseRestarted,
    /// kill -9 of the database and all its processes, which is started again.
    DatabaseKilled,
}

/// Everything that runs.
pub struct Cluster {
    /// The nodes.
    pub nodes: Vec<Node>,
    /// What the clients know.
    pub world: Arc<World>,
    /// The receiver.
    pub sink: Sink,
    /// The endpoints, by their paths at the receiver.
    pub endpoints: BTreeMap<String, EndpointId>,
    /// What was acknowledged to the test itself.
    pub probes: Vec<Acknowledged>,
    postgres: Postgres,
    proxy: Proxy,
    _logs: TempDir,
}

impl Cluster {
    /// Starts everything; the three nodes at the same moment, on an empty database.
    pub async fn start() -> Self {
        let postgres = Postgres::start().await;
        let proxy = Proxy::start(postgres.address).await;
        let sink = Sink::start().await;
        let logs = TempDir::new().expect("a temporary directory");
        let mut nodes: Vec<Node> = Vec::new();
        for number in 0..NODES {
            let address = if number == BEHIND_PROXY {
                proxy.address
            } else {
                postgres.address
            };
            nodes.push(Node::new(number, postgres.url(address), logs.path()));
        }
        for node in &mut nodes {
            node.spawn(Clock::Right);
        }
        for node in &mut nodes {
            node.answers().await;
        }
        let (world, endpoints) = world(&nodes, &sink).await;
        watch_leases(&postgres.client().await).await;
        let mut cluster = Self {
            nodes,
            world: Arc::new(world),
            sink,
            endpoints,
            probes: Vec::new(),
            postgres,
            proxy,
            _logs: logs,
        };
        cluster.world.tally.begin("no clients yet");
        cluster.all_accept("start").await;
        cluster
    }

    /// A session with the database for the test itself.
    pub async fn database(&self) -> Client {
        self.postgres.client().await
    }

    /// Does something to a node, or to the database, and waits until all are back.
    pub async fn disturb(&mut self, disturbance: Disturbance, node: usize) {
        let name = name(disturbance, node);
        self.world.tally.begin(&name);
        let (begun, attempts) = (Instant::now(), self.sink.count());
        self.carry_out(disturbance, node).await;
        let healed = Instant::now();
        self.all_accept(&name).await;
        let back_after = healed.elapsed();
        pass(CALM).await;
        let attempts = self.sink.count() - attempts;
        self.world.tally.end(|row| {
            row.attempts = attempts;
            row.back_after = back_after;
            row.took = begun.elapsed();
        });
    }

    async fn carry_out(&mut self, disturbance: Disturbance, node: usize) {
        match disturbance {
            Disturbance::Nothing => pass(CALM).await,
            Disturbance::Killed => self.start_again(node, Clock::Right).await,
            Disturbance::Frozen => {
                self.nodes[node].freeze().await;
                pass(FROZEN).await;
                self.nodes[node].thaw().await;
            }
            Disturbance::CutOff => {
                self.proxy.cut();
                pass(CUT).await;
                self.proxy.heal();
            }
            Disturbance::WrongClock(clock) => {
                self.start_again(node, clock).await;
                let off_seconds = self.nodes[node].off_seconds().await;
                assert!(is_as_told(clock, off_seconds), "{clock:?}: {off_seconds} s");
            }
            Disturbance::DatabaseRestarted => {
                self.postgres.stop_fast().await;
                self.postgres.up().await;
            }
            Disturbance::DatabaseKilled => {
                self.postgres.kill().await;
                pass(AWAY).await;
                self.postgres.up().await;
            }
        }
    }

    async fn start_again(&mut self, node: usize, clock: Clock) {
        self.nodes[node].kill().await;
        pass(AWAY).await;
        self.nodes[node].spawn(clock);
        self.nodes[node].answers().await;
    }

    /// Waits until each node by itself accepts something new.
    async fn all_accept(&mut self, after: &str) {
        for node in 0..NODES {
            for direction in [Direction::Ingest, Direction::Send] {
                let event = Event {
                    key: format!("probe {after} {node} {direction:?} {}", self.probes.len())
                        .replace(' ', "-"),
                    direction,
                    to: node,
                };
                let acknowledged = self.world.insist(&event, Way::Only(node)).await;
                self.probes.push(acknowledged);
            }
        }
    }

    /// Ends the database in order; the nodes end with this.
    pub async fn end(mut self) {
        for node in &mut self.nodes {
            node.kill().await;
        }
        self.postgres.stop_fast().await;
    }
}

fn name(disturbance: Disturbance, node: usize) -> String {
    match disturbance {
        Disturbance::Nothing => "nothing".to_owned(),
        Disturbance::Killed => format!("kill -9 of node {node}"),
        Disturbance::Frozen => format!("SIGSTOP of node {node} for {} s", FROZEN.as_secs()),
        Disturbance::CutOff => format!("node {node} cut off for {} s", CUT.as_secs()),
        Disturbance::WrongClock(Clock::Right) => format!("node {node} with the right clock"),
        Disturbance::WrongClock(Clock::Ahead) => format!("node {node} an hour ahead"),
        Disturbance::WrongClock(Clock::Behind) => format!("node {node} an hour behind"),
        Disturbance::DatabaseRestarted => "PostgreSQL restarted, fast".to_owned(),
        Disturbance::DatabaseKilled => "kill -9 of PostgreSQL".to_owned(),
    }
}

/// A source, its connections and the endpoints, made at one node and known to all.
async fn world(nodes: &[Node], sink: &Sink) -> (World, BTreeMap<String, EndpointId>) {
    let api = nodes[0].api();
    let verifier = json!({"secret": SECRET});
    let source = json!({"name": "stripe", "provider": "stripe", "verifier": verifier});
    let source = api.source(&source).await;
    let mut endpoints = Vec::new();
    for path in PATHS {
        let settings = json!({
            "timeout_seconds": TIMEOUT_SECONDS,
            "retry": {"strategy": "fixed", "base_seconds": 1, "max_attempts": 100},
        });
        endpoints.push(api.endpoint(path, &sink.url(path), settings).await);
    }
    let ids = endpoints.iter().map(|endpoint| {
        let id = endpoint.id.parse();
        id.expect("it is an endpoint's id")
    });
    let by_path = PATHS.map(str::to_owned).into_iter().zip(ids).collect();
    let targets = endpoints.split_off(2);
    for endpoint in &endpoints {
        api.connect(&source, endpoint).await;
    }
    for node in nodes {
        let api = node.api();
        eventually("every node knows the connections", || async {
            let connections = api.list("/v1/connections").await;
            (connections.len() == endpoints.len()).then_some(())
        })
        .await;
    }
    let world = World {
        nodes: [0, 1, 2].map(|node: usize| nodes[node].address),
        source,
        targets: targets.into_iter().map(|endpoint| endpoint.id).collect(),
        tally: Tally::default(),
    };
    (world, by_path)
}

/// Lets the database itself write down every lease that is given, with what it was given over.
async fn watch_leases(database: &Client) {
    let sql = "CREATE SCHEMA watch; \
        CREATE TABLE watch.leases (delivery bigint, held boolean, held_token bigint, \
            held_until bigint, token bigint, started bigint, until bigint); \
        CREATE FUNCTION watch.lease() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN \
            INSERT INTO watch.leases VALUES (NEW.id, OLD.status = 1, OLD.token, OLD.at, \
                NEW.token, NEW.started, NEW.at); \
            RETURN NULL; END $$; \
        CREATE TRIGGER lease AFTER UPDATE ON hooklatch.deliveries_live FOR EACH ROW \
            WHEN (NEW.status = 1 AND NEW.token IS DISTINCT FROM OLD.token) \
            EXECUTE FUNCTION watch.lease()";
    let made = database.batch_execute(sql).await;
    made.expect("the tables are there, and we own them");
}
