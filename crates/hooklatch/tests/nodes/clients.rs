//! The clients: providers, whose events are signed and come by two ways at once, and producers that
//! send with a key. All of them repeat themselves until they are told 2xx.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use hmac::{Hmac, KeyInit, Mac};
use http::Method;
use serde_json::json;
use sha2::Sha256;
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};
use tokio_util::sync::CancellationToken;

use crate::node::API_KEY;
use crate::process::pass;
use crate::support::api::{Api, Source, text};
use crate::support::http::Answer;
use crate::tally::{Came, Tally};

/// Clients, half of each direction.
pub const CLIENTS: usize = 64;
/// Nodes.
pub const NODES: usize = 3;
/// What the provider and all nodes know.
pub const SECRET: &str = "whsec_three_nodes";
/// For how long a client waits for an answer, as providers do.
const PATIENCE: Duration = Duration::from_secs(5);
/// Between two tries of one request.
const PAUSE: Duration = Duration::from_millis(300);
/// For how long a client insists; longer than anything that is done to the nodes.
const INSISTENCE: Duration = Duration::from_secs(120);

/// The two ways in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// A provider's signed event.
    Ingest,
    /// The send API.
    Send,
}

/// One business event.
#[derive(Debug, Clone)]
pub struct Event {
    /// Its key, at a provider the id in the body.
    pub key: String,
    /// How it comes.
    pub direction: Direction,
    /// To which of the endpoints it is sent, where a producer says so.
    pub to: usize,
}

/// A 2xx that was answered.
#[derive(Debug, Clone)]
pub struct Acknowledged {
    /// The key.
    pub key: String,
    /// The message that it was acknowledged as.
    pub message_id: String,
    /// The request's id; the send API's answers have none.
    pub request_id: Option<String>,
    /// Whether it was new.
    pub accepted: bool,
}

/// Which node a request goes to.
#[derive(Debug, Clone, Copy)]
pub enum Way {
    /// This one, and the next at each further try, as a load balancer would.
    From(usize),
    /// Always this one.
    Only(usize),
}

/// What all clients know.
pub struct World {
    /// The nodes.
    pub nodes: [SocketAddr; NODES],
    /// Where events arrive.
    pub source: Source,
    /// Where sends go.
    pub targets: Vec<String>,
    /// The counts.
    pub tally: Tally,
}

/// Clients at work.
pub struct Clients {
    tasks: JoinSet<Vec<Acknowledged>>,
    stop: CancellationToken,
}

impl Clients {
    /// Starts them; each has something new at most once in `pace`.
    pub fn start(world: &Arc<World>, pace: Duration) -> Self {
        let mut tasks = JoinSet::new();
        let stop = CancellationToken::new();
        for client in 0..CLIENTS {
            tasks.spawn(work(Arc::clone(world), client, pace, stop.clone()));
        }
        Self { tasks, stop }
    }

    /// Lets them finish what they have begun; answers all that was acknowledged.
    pub async fn finish(mut self) -> Vec<Acknowledged> {
        self.stop.cancel();
        let mut acknowledged = Vec::new();
        while let Some(ended) = self.tasks.join_next().await {
            acknowledged.extend(ended.expect("no client panics"));
        }
        acknowledged
    }
}

async fn work(
    world: Arc<World>,
    client: usize,
    pace: Duration,
    stop: CancellationToken,
) -> Vec<Acknowledged> {
    let direction = if client.is_multiple_of(2) {
        Direction::Ingest
    } else {
        Direction::Send
    };
    // Not all at the same moment.
    pass(pace * client as u32 / CLIENTS as u32).await;
    let mut turns = interval(pace);
    turns.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut acknowledged = Vec::new();
    for number in 0.. {
        tokio::select! {
            biased;
            () = stop.cancelled() => break,
            _ = turns.tick() => {}
        }
        let event = Event {
            key: format!("evt-{client}-{number}"),
            direction,
            to: number,
        };
        let first = client / 2 + number;
        let (one, other) = tokio::join!(
            world.insist(&event, Way::From(first)),
            world.insist(&event, Way::From(first + 1)),
        );
        acknowledged.extend([one, other]);
    }
    acknowledged
}

impl World {
    /// Repeats a request until it is acknowledged.
    pub async fn insist(&self, event: &Event, way: Way) -> Acknowledged {
        let until = Instant::now() + INSISTENCE;
        let mut tried = 0;
        while Instant::now() < until {
            let node = match way {
                Way::From(first) => (first + tried) % NODES,
                Way::Only(node) => node,
            };
            let row = self.tally.now();
            let asked = Box::pin(self.ask(event, self.nodes[node]));
            let (came, acknowledged) = match timeout(PATIENCE, asked).await {
                Err(_) => (Came::TimedOut, None),
                Ok(Err(_)) => (Came::Broken, None),
                Ok(Ok(answer)) => understood(event, node, &answer),
            };
            self.tally.count(row, came);
            if let Some(acknowledged) = acknowledged {
                return acknowledged;
            }
            tried += 1;
            pass(PAUSE).await;
        }
        panic!("{event:?} was not acknowledged within {INSISTENCE:?}, asked {way:?}");
    }

    async fn ask(&self, event: &Event, node: SocketAddr) -> Result<Answer, String> {
        let api = Api::new(node, API_KEY);
        match event.direction {
            Direction::Ingest => {
                let body = json!({"id": event.key, "type": "order.paid"}).to_string();
                let signature = signature(&body);
                let headers = [
                    ("content-type", "application/json"),
                    ("stripe-signature", signature.as_str()),
                ];
                api.ingest(&self.source, &headers, body).await
            }
            Direction::Send => {
                let target = &self.targets[event.to % self.targets.len()];
                let body = json!({
                    "endpoint_id": target,
                    "idempotency_key": event.key,
                    "event_type": "order.paid",
                    "payload": {"id": event.key},
                });
                let body = Bytes::from(body.to_string());
                api.ask(Method::POST, "/v1/webhooks/send", body).await
            }
        }
    }
}

/// The value of `Stripe-Signature`, made now: it holds for a few minutes of the store's clock.
fn signature(body: &str) -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let seconds = now.expect("it is not before 1970").as_secs();
    let mac = Hmac::<Sha256>::new_from_slice(SECRET.as_bytes());
    let mut mac = mac.expect("an HMAC takes a key of any length");
    mac.update(format!("{seconds}.{body}").as_bytes());
    let digest = mac.finalize().into_bytes();
    let hex: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("t={seconds},v1={hex}")
}

fn understood(event: &Event, node: usize, answer: &Answer) -> (Came, Option<Acknowledged>) {
    match answer.status {
        200..300 => {
            let acknowledged = acknowledged(event, answer);
            let came = if acknowledged.accepted {
                Came::Accepted
            } else {
                Came::Duplicate
            };
            (came, Some(acknowledged))
        }
        503 if !answer.header("retry-after").is_empty() => (Came::Unavailable, None),
        status => {
            let what = format!("node {node} said {status} to {event:?}: {}", answer.text());
            (Came::Wrong(what), None)
        }
    }
}

fn acknowledged(event: &Event, answer: &Answer) -> Acknowledged {
    let body = answer.json();
    let key = event.key.clone();
    match event.direction {
        Direction::Ingest => Acknowledged {
            key,
            message_id: text(&body, "message_id"),
            request_id: Some(text(&body, "request_id")),
            accepted: body["outcome"] == "accepted",
        },
        Direction::Send => Acknowledged {
            key,
            message_id: text(&body, "id"),
            request_id: None,
            accepted: answer.status == 202,
        },
    }
}
