//! What people who watch cost those who send: the same load at a fixed rate, in rounds that take
//! turns, with five people who watch and without.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};

use serde::Serialize;

use super::paced::{self, Paced};
use super::visit::Visitor;
use super::world::World;
use crate::Failure;
use crate::child::Server;
use crate::histogram::Histogram;
use crate::process;

/// Messages a second.
const PER_SECOND: u32 = 2_000;
/// Rounds of each kind.
const ROUNDS: u64 = 5;
/// What is open in the five browsers.
const WATCHED: [&str; 5] = ["/?span=24h", "/messages", "/requests", "/", "/connections"];
/// How long a page waits before it asks again, and how much longer where answers take long, as the
/// pages' script has it.
const PAUSE: Duration = Duration::from_secs(1);
const PAUSE_FACTOR: u32 = 10;
/// Numbers of messages in a run; nobody sends as many in a millisecond.
const NUMBERS: u64 = 1 << 40;

/// Both kinds of rounds.
#[derive(Debug, Serialize)]
pub(super) struct Watching {
    pub per_second: u32,
    pub alone: Rounds,
    pub watched: Rounds,
    /// How much longer the slowest hundredth of answers took.
    pub p99_ratio: f64,
    /// Pages that were looked at, and how long the gateway took for them.
    pub looks: u64,
    pub look_median_ms: f64,
}

/// The rounds of one kind.
#[derive(Debug, Serialize)]
pub(super) struct Rounds {
    pub answers: u64,
    pub refused: u64,
    pub p50_ms: f64,
    pub p99_ms: f64,
    /// The median over the rounds of each one's slowest hundredth.
    pub p99_of_rounds_ms: f64,
    pub longest_ms: f64,
    pub cpu_share: f64,
}

/// Measures it, each round as long as that.
pub(super) fn measure(
    server: &Server,
    visitor: &Visitor,
    world: &World,
    span: Duration,
) -> Result<Watching, Failure> {
    let mut alone = Gathered::new();
    let mut watched = Gathered::new();
    let mut looks = Histogram::new();
    let mut first = NUMBERS ^ u64::from(std::process::id()) << 44;
    for round in 0..ROUNDS {
        eprintln!(
            "round {} of {ROUNDS}: alone, and watched by five",
            round + 1
        );
        first += alone.round(server, world, span, first)?;
        let watchers = Watchers::start(visitor);
        first += watched.round(server, world, span, first)?;
        looks.merge(&watchers.stop()?);
    }
    let (alone, watched) = (alone.rounds(), watched.rounds());
    Ok(Watching {
        per_second: PER_SECOND,
        p99_ratio: watched.p99_of_rounds_ms / alone.p99_of_rounds_ms.max(f64::MIN_POSITIVE),
        alone,
        watched,
        looks: looks.count(),
        look_median_ms: looks.percentile(0.5).as_secs_f64() * 1e3,
    })
}

struct Gathered {
    latencies: Histogram,
    p99s: Vec<f64>,
    refused: u64,
    cpu_ms: f64,
    wall_ms: f64,
}

impl Gathered {
    fn new() -> Self {
        Self {
            latencies: Histogram::new(),
            p99s: Vec::new(),
            refused: 0,
            cpu_ms: 0.0,
            wall_ms: 0.0,
        }
    }

    /// One round; it answers how many were sent.
    fn round(
        &mut self,
        server: &Server,
        world: &World,
        span: Duration,
        first: u64,
    ) -> Result<u64, Failure> {
        let began = Instant::now();
        let before = process::usage(server.process_id())?;
        let count_from = began + span / 5;
        let went = paced::run(&Paced {
            address: server.address,
            request: world.live_request(),
            per_second: PER_SECOND,
            first,
            count_from,
            until: count_from + span,
        })?;
        let used = process::usage(server.process_id())? - before;
        self.cpu_ms += used.cpu_ms;
        self.wall_ms += began.elapsed().as_secs_f64() * 1e3;
        self.refused += went.refused;
        self.p99s
            .push(went.latencies.percentile(0.99).as_secs_f64() * 1e3);
        self.latencies.merge(&went.latencies);
        Ok(went.sent + u64::from(u32::MAX))
    }

    fn rounds(mut self) -> Rounds {
        let milliseconds = |duration: Duration| duration.as_secs_f64() * 1e3;
        self.p99s.sort_by(f64::total_cmp);
        Rounds {
            answers: self.latencies.count(),
            refused: self.refused,
            p50_ms: milliseconds(self.latencies.percentile(0.5)),
            p99_ms: milliseconds(self.latencies.percentile(0.99)),
            p99_of_rounds_ms: self.p99s[self.p99s.len() / 2],
            longest_ms: milliseconds(self.latencies.longest()),
            cpu_share: self.cpu_ms / self.wall_ms,
        }
    }
}

/// People who have a page open.
struct Watchers {
    stop: Arc<AtomicBool>,
    at: Vec<thread::JoinHandle<Result<Histogram, Failure>>>,
}

impl Watchers {
    fn start(visitor: &Visitor) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let started = Arc::new(AtomicU64::new(0));
        let watch = |path: &'static str| {
            let (visitor, stop) = (visitor.clone(), Arc::clone(&stop));
            let number = started.fetch_add(1, Relaxed);
            thread::spawn(move || {
                // Nobody opens a page at the same moment as somebody else.
                thread::sleep(PAUSE * number as u32 / WATCHED.len() as u32);
                watch(&visitor, path, &stop)
            })
        };
        let at = WATCHED.map(watch).into();
        Self { stop, at }
    }

    fn stop(self) -> Result<Histogram, Failure> {
        self.stop.store(true, Relaxed);
        let mut looks = Histogram::new();
        for watcher in self.at {
            looks.merge(&watcher.join().map_err(|_| "a watcher panicked")??);
        }
        Ok(looks)
    }
}

/// Asks again and again, as the script of the pages does.
fn watch(visitor: &Visitor, path: &str, stop: &AtomicBool) -> Result<Histogram, Failure> {
    let mut looks = Histogram::new();
    while !stop.load(Relaxed) {
        let began = Instant::now();
        visitor.look(path)?;
        let took = began.elapsed();
        looks.add(took);
        let until = began + PAUSE.max(took * PAUSE_FACTOR);
        while Instant::now() < until && !stop.load(Relaxed) {
            thread::sleep(Duration::from_millis(20));
        }
    }
    Ok(looks)
}
