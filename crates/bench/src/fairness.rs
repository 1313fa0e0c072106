//! Whether one endpoint's trouble is another one's: deliveries to endpoints that work are timed from
//! their sending to their arrival, first alone, and then beside an endpoint that takes seconds for an
//! answer, one that fails, and a tenant that is flooded. Both in one run, on one gateway.

mod sink;

use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};

use serde::Serialize;
use serde_json::{Value, json};

use crate::Failure;
use crate::api;
use crate::gateway::{API_KEY, Gateway};
use crate::histogram::Histogram;
use crate::options::Options;
use crate::run::Bench;
use sink::{Kind, TimedSink};

/// Endpoints that work, each of a tenant of its own.
const WORKING: usize = 8;
/// Messages a second to each of them.
const WORKING_PER_SECOND: u32 = 10;
/// Messages a second to the endpoint that is slow, and to the one that fails.
const TROUBLED_PER_SECOND: u32 = 20;
/// Messages of a second's flood, and of one call.
const FLOOD_PER_SECOND: u32 = 1_000;
const FLOOD_BATCH: u32 = 100;
/// How long the last deliveries may take to arrive.
const PATIENCE: Duration = Duration::from_secs(30);

/// How long deliveries took.
#[derive(Serialize)]
struct Times {
    deliveries: u64,
    p50_ms: f64,
    p99_ms: f64,
    longest_ms: f64,
}

/// Both parts of the run.
#[derive(Serialize)]
struct Outcome {
    alone: Times,
    beside_trouble: Times,
    flooded: u64,
    slow: u64,
    failed: u64,
    p50_ratio: f64,
    p99_ratio: f64,
}

/// Measures and prints.
pub(crate) fn run(options: &Options) -> Result<ExitCode, Failure> {
    let bench = Bench::new(options)?;
    let gateway = bench.start()?;
    let sink = TimedSink::start()?;
    let world = Arc::new(World::set_up(gateway, sink)?);
    let span = Duration::from_secs(options.seconds);
    // What is opened and learnt at the first time is not measured.
    world.measure(span / 5, Beside::Nothing)?;
    eprintln!("alone");
    let alone = world.measure(span, Beside::Nothing)?;
    eprintln!("beside a slow endpoint, a failing one and a flood");
    let beside_trouble = world.measure(span, Beside::Trouble)?;
    let ratio = |of: f64, to: f64| of / to.max(f64::MIN_POSITIVE);
    let outcome = Outcome {
        p50_ratio: ratio(beside_trouble.p50_ms, alone.p50_ms),
        p99_ratio: ratio(beside_trouble.p99_ms, alone.p99_ms),
        flooded: world.sink.count(Kind::Flood),
        slow: world.sink.count(Kind::Slow),
        failed: world.sink.count(Kind::Failing),
        alone,
        beside_trouble,
    };
    print(&outcome, options.json)?;
    Ok(ExitCode::SUCCESS)
}

/// What goes on beside what is measured.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Beside {
    Nothing,
    Trouble,
}

struct World {
    gateway: Gateway,
    sink: TimedSink,
    working: Vec<String>,
    slow: String,
    failing: String,
    flooded: String,
    sent: AtomicU64,
}

impl World {
    fn set_up(gateway: Gateway, sink: TimedSink) -> Result<Self, Failure> {
        let endpoint = |name: &str, kind: Kind| -> Result<String, Failure> {
            let resource = json!({
                "name": name, "tenant": name, "url": sink.url(kind),
                "retry": {"strategy": "fixed", "base_seconds": 1, "max_attempts": 5},
            });
            let made = post(&gateway, "/v1/endpoints", &resource)?;
            Ok(api::text(&made, "id")?.to_owned())
        };
        let working: Result<Vec<_>, _> = (0..WORKING)
            .map(|number| endpoint(&format!("working {number}"), Kind::Working))
            .collect();
        Ok(Self {
            working: working?,
            slow: endpoint("slow", Kind::Slow)?,
            failing: endpoint("failing", Kind::Failing)?,
            flooded: endpoint("flooded", Kind::Flood)?,
            sent: AtomicU64::new(0),
            gateway,
            sink,
        })
    }

    /// Sends to the endpoints that work for so long, and times what arrives.
    fn measure(self: &Arc<Self>, span: Duration, beside: Beside) -> Result<Times, Failure> {
        self.sink.forget_times();
        self.sent.store(0, Relaxed);
        let stop = Arc::new(AtomicBool::new(false));
        let until = Instant::now() + span;
        let mut senders = Vec::new();
        for endpoint in &self.working {
            senders.push(self.send_to(endpoint.clone(), WORKING_PER_SECOND, until));
        }
        let mut troublers = Vec::new();
        if beside == Beside::Trouble {
            for endpoint in [&self.slow, &self.failing] {
                troublers.push(self.send_to(endpoint.clone(), TROUBLED_PER_SECOND, until));
            }
            troublers.push(self.flood(until, Arc::clone(&stop)));
        }
        let sent = joined(senders)?;
        let deadline = Instant::now() + PATIENCE;
        while self.sink.times().count() < sent && Instant::now() < deadline {
            thread::sleep(Duration::from_millis(20));
        }
        stop.store(true, Relaxed);
        joined(troublers)?;
        let times = self.sink.times();
        if times.count() < sent {
            let arrived = times.count();
            return Err(
                format!("of {sent} messages only {arrived} arrived in {PATIENCE:?}").into(),
            );
        }
        Ok(Times::of(&times))
    }

    /// Sends at a rate, on a thread of its own; it answers how many it sent.
    fn send_to(self: &Arc<Self>, endpoint: String, per_second: u32, until: Instant) -> Sending {
        let world = Arc::clone(self);
        thread::spawn(move || {
            let mut sent = 0;
            let mut next = Instant::now();
            while Instant::now() < until {
                thread::sleep(next.saturating_duration_since(Instant::now()));
                next += Duration::from_secs(1) / per_second;
                let message = world.message(&endpoint);
                post(&world.gateway, "/v1/webhooks/send", &message)?;
                sent += 1;
            }
            Ok(sent)
        })
    }

    fn flood(self: &Arc<Self>, until: Instant, stop: Arc<AtomicBool>) -> Sending {
        let world = Arc::clone(self);
        thread::spawn(move || {
            let mut sent = 0;
            let mut next = Instant::now();
            while Instant::now() < until && !stop.load(Relaxed) {
                thread::sleep(next.saturating_duration_since(Instant::now()));
                next += Duration::from_secs(1) * FLOOD_BATCH / FLOOD_PER_SECOND;
                let items = (0..FLOOD_BATCH).map(|_| world.message(&world.flooded));
                let batch = json!({"items": items.collect::<Vec<_>>()});
                post(&world.gateway, "/v1/webhooks/send/batch", &batch)?;
                sent += u64::from(FLOOD_BATCH);
            }
            Ok(sent)
        })
    }

    /// A message that says when it was sent, on the sink's clock.
    fn message(&self, endpoint: &str) -> Value {
        let number = self.sent.fetch_add(1, Relaxed);
        json!({
            "endpoint_id": endpoint,
            "payload": {"number": number, "sent_us": self.sink.now_us()},
        })
    }
}

type Sending = thread::JoinHandle<Result<u64, Failure>>;

fn joined(senders: Vec<Sending>) -> Result<u64, Failure> {
    let mut sent = 0;
    for sender in senders {
        sent += sender.join().map_err(|_| "a sender panicked")??;
    }
    Ok(sent)
}

fn post(gateway: &Gateway, path: &str, resource: &Value) -> Result<Value, Failure> {
    api::post(gateway.nodes()[0].address, API_KEY, path, resource)
}

impl Times {
    fn of(times: &Histogram) -> Self {
        let millis = |time: Duration| time.as_secs_f64() * 1_000.0;
        Self {
            deliveries: times.count(),
            p50_ms: millis(times.percentile(0.5)),
            p99_ms: millis(times.percentile(0.99)),
            longest_ms: millis(times.longest()),
        }
    }
}

fn print(outcome: &Outcome, as_json: bool) -> Result<(), Failure> {
    if as_json {
        println!("{}", serde_json::to_string_pretty(outcome)?);
        return Ok(());
    }
    println!("from sending to arrival at {WORKING} endpoints that work, in milliseconds");
    println!(
        "{:<34}{:>11}{:>9}{:>9}{:>9}",
        "", "deliveries", "p50", "p99", "longest"
    );
    for (name, times) in [
        ("alone", &outcome.alone),
        ("beside slow, failing and flooded", &outcome.beside_trouble),
    ] {
        println!(
            "{name:<34}{:>11}{:>9.1}{:>9.1}{:>9.1}",
            times.deliveries, times.p50_ms, times.p99_ms, times.longest_ms
        );
    }
    println!(
        "{:<34}{:>11}{:>9.2}{:>9.2}",
        "ratio", "", outcome.p50_ratio, outcome.p99_ratio
    );
    println!(
        "beside them arrived: {} flooded, {} slow, {} that fail",
        outcome.flooded, outcome.slow, outcome.failed
    );
    Ok(())
}
