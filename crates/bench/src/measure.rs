//! One row: a load for some seconds, counters read at both ends of them, and where messages go on to
//! the sink, the time until all of them have arrived.

use std::thread;
use std::time::{Duration, Instant};

use serde::Serialize;

use crate::Failure;
use crate::child::Server;
use crate::database::{Counters, Database, PerMessage};
use crate::load::{self, Answers, Load, Numbers, Outcome};
use crate::process::{self, Memory, Usage};
use crate::request::Request;
use crate::scenario::Arrivals;
use crate::sink::{Received, Sink};

/// Deliveries that stay away for so long do not come any more.
const SILENCE_MAX: Duration = Duration::from_secs(20);
/// A part of a store that takes longer to fill is given up.
const FILLING_MAX: Duration = Duration::from_secs(600);
const POLL: Duration = Duration::from_millis(2);
/// A smaller backlog is gone too soon for a rate.
const BACKLOG_MIN: u64 = 1_000;
const KIBIBYTE: f64 = 1_024.0;

/// What is sent to whom, and how.
pub(crate) struct Subject<'a> {
    /// The server under test, or the nodes that share its store.
    pub servers: &'a [Server],
    /// The database that they share, if they do.
    pub database: Option<&'a Database>,
    /// The request of every message.
    pub request: Request,
    /// Which messages.
    pub numbers: Numbers,
    /// Over how many connections.
    pub connections: u16,
    /// Where the messages go on to, if they do.
    pub sink: Option<&'a Sink>,
}

/// How long a load lasts.
#[derive(Clone, Copy)]
pub(crate) struct Extent {
    /// Before anything counts.
    pub warm_up: Duration,
    /// The part that counts.
    pub measured: Duration,
}

/// What was measured.
#[derive(Debug, Serialize)]
pub(crate) struct Figures {
    /// Answered with 2xx.
    pub per_second: f64,
    /// How long half of the answers took at most.
    pub p50_ms: f64,
    /// How long 99 of 100 took at most.
    pub p99_ms: f64,
    /// How long the slowest took.
    pub max_ms: f64,
    /// Processor time of the server for each answer.
    pub cpu_ms: f64,
    /// Processor time of load generator and sink for each answer.
    pub load_cpu_ms: f64,
    /// What the server made the disk write for each answer.
    pub written_kib: f64,
    /// The server's memory at the end.
    pub memory: Memory,
    /// What went on to the sink.
    pub deliveries: Option<Deliveries>,
    /// What it cost gateway and database, where nodes share one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub database: Option<PerMessage>,
    /// Requests, warm-up included.
    pub sent: u64,
    /// Answers that are not 2xx, warm-up included.
    pub refused: u64,
    /// Answers that call a unique message a duplicate or a duplicate new, warm-up included.
    pub mistaken: u64,
}

/// How the sink saw it.
#[derive(Debug, Serialize)]
pub(crate) struct Deliveries {
    /// Messages that arrived.
    pub messages: u64,
    /// A second while requests were being sent.
    pub under_load_per_second: f64,
    /// A second once no more were sent; none if hardly any were left by then.
    pub drain_per_second: Option<f64>,
    /// A second from the first request to the last arrival.
    pub end_to_end_per_second: f64,
    /// Processor time of the server for each message, acceptance and delivery.
    pub cpu_ms: f64,
    /// Deliveries of a message that had arrived before.
    pub repeated: u64,
    /// Messages that were accepted and did not arrive.
    pub missing: u64,
}

/// All counters at one time.
struct Snapshot {
    at: Instant,
    server: Usage,
    ours: Usage,
    received: Received,
    database: Option<Counters>,
}

impl Subject<'_> {
    /// Sends, waits, and says what came of it.
    pub(crate) fn measure(self, arrivals: Arrivals, extent: Extent) -> Result<Figures, Failure> {
        let start = self.snapshot()?;
        let (outcome, from, to) = self.load(extent)?;
        let answered = outcome.latencies.count();
        if answered == 0 {
            return Err(format!("nothing was accepted: {:?}", outcome.answers).into());
        }
        let accepted = outcome.answers.accepted;
        let delivering = self.sink.filter(|_| arrivals == Arrivals::Unique);
        if let Some(sink) = delivering {
            drain(sink, start.received.messages + accepted);
        }
        let end = self.snapshot()?;
        let deliveries =
            delivering.map(|_| Deliveries::between(&start, &from, &to, &end, accepted));
        let messages = accepted + outcome.answers.replayed;
        let database = start.database.zip(end.database).map(|(before, after)| {
            let gateway = end.server - start.server;
            PerMessage::between(&before, &after, gateway, messages)
        });
        let each = answered as f64;
        let (server, ours) = (to.server - from.server, to.ours - from.ours);
        let milliseconds = |duration: Duration| duration.as_secs_f64() * 1e3;
        Ok(Figures {
            per_second: each / extent.measured.as_secs_f64(),
            p50_ms: milliseconds(outcome.latencies.percentile(0.5)),
            p99_ms: milliseconds(outcome.latencies.percentile(0.99)),
            max_ms: milliseconds(outcome.latencies.longest()),
            cpu_ms: server.cpu_ms / each,
            load_cpu_ms: ours.cpu_ms / each,
            written_kib: server.written_bytes / KIBIBYTE / each,
            memory: memory_of(self.servers)?,
            deliveries,
            database,
            sent: outcome.sent,
            refused: outcome.answers.refused,
            mistaken: match arrivals {
                Arrivals::Unique => outcome.answers.replayed,
                Arrivals::Known => outcome.answers.accepted,
            },
        })
    }

    /// Sends for so long, and answers when each answer came and how long it took. `beside` is
    /// done meanwhile.
    pub(crate) fn watch<T>(
        &self,
        extent: Extent,
        beside: impl FnOnce() -> Result<T, Failure>,
    ) -> Result<(Outcome, T), Failure> {
        let count_from = Instant::now() + extent.warm_up;
        let mut load = self.to_load(u64::MAX, count_from, count_from + extent.measured);
        load.memory = load::Memory::Each;
        thread::scope(|scope| {
            let loading = scope.spawn(|| load::run(load));
            sleep_until(count_from);
            let done = beside();
            let outcome = loading.join().expect("the load generator does not panic")?;
            Ok((outcome, done?))
        })
    }

    /// Sends so many messages as fast as they are taken, and waits until all have arrived.
    pub(crate) fn fill(self, messages: u64) -> Result<(), Failure> {
        let now = Instant::now();
        let before = self.sink.map(Sink::received);
        let outcome = load::run(self.to_load(messages, now, now + FILLING_MAX))?;
        if outcome.answers
            != (Answers {
                accepted: messages,
                ..Answers::default()
            })
        {
            return Err(format!("not every message was accepted: {:?}", outcome.answers).into());
        }
        let Some((sink, before)) = self.sink.zip(before) else {
            return Ok(());
        };
        match drain(sink, before.messages + messages) {
            0 => Ok(()),
            missing => Err(format!("{missing} messages were accepted and did not arrive").into()),
        }
    }

    fn snapshot(&self) -> Result<Snapshot, Failure> {
        Ok(Snapshot {
            at: Instant::now(),
            server: usage_of(self.servers)?,
            ours: process::usage(std::process::id())?,
            received: self.sink.map(Sink::received).unwrap_or_default(),
            database: self.database.map(Database::counters).transpose()?,
        })
    }

    /// Runs the load on a thread of its own, and reads the counters at both ends of what counts.
    fn load(&self, extent: Extent) -> Result<(Outcome, Snapshot, Snapshot), Failure> {
        let count_from = Instant::now() + extent.warm_up;
        let until = count_from + extent.measured;
        let load = self.to_load(u64::MAX, count_from, until);
        thread::scope(|scope| {
            let loading = scope.spawn(|| load::run(load));
            sleep_until(count_from);
            let from = self.snapshot()?;
            sleep_until(until);
            let to = self.snapshot()?;
            let outcome = loading.join().expect("the load generator does not panic")?;
            Ok((outcome, from, to))
        })
    }

    fn to_load(&self, requests_max: u64, count_from: Instant, until: Instant) -> Load {
        Load {
            addresses: self.servers.iter().map(|server| server.address).collect(),
            connections: self.connections,
            request: self.request.clone(),
            numbers: self.numbers,
            requests_max,
            count_from,
            until,
            memory: load::Memory::Counts,
        }
    }
}

fn usage_of(servers: &[Server]) -> Result<Usage, Failure> {
    let usages = servers.iter();
    usages.map(|it| process::usage(it.process_id())).sum()
}

fn memory_of(servers: &[Server]) -> Result<Memory, Failure> {
    let memories = servers.iter();
    memories.map(|it| process::memory(it.process_id())).sum()
}

impl Deliveries {
    fn between(
        start: &Snapshot,
        from: &Snapshot,
        to: &Snapshot,
        end: &Snapshot,
        accepted: u64,
    ) -> Self {
        let messages = end.received.messages - start.received.messages;
        let deliveries = end.received.deliveries - start.received.deliveries;
        let backlog = end.received.messages - to.received.messages;
        Self {
            messages,
            under_load_per_second: messages_per_second(from, to),
            drain_per_second: (backlog >= BACKLOG_MIN).then(|| messages_per_second(to, end)),
            end_to_end_per_second: messages_per_second(start, end),
            cpu_ms: (end.server - start.server).cpu_ms / accepted as f64,
            repeated: deliveries - messages,
            missing: accepted.saturating_sub(messages),
        }
    }
}

fn messages_per_second(from: &Snapshot, to: &Snapshot) -> f64 {
    let messages = to.received.messages - from.received.messages;
    messages as f64 / (to.at - from.at).as_secs_f64()
}

/// Waits until so many messages have arrived, or no more come; returns how many are missing.
fn drain(sink: &Sink, expected: u64) -> u64 {
    let mut received = sink.received();
    let mut since = Instant::now();
    while received.messages < expected && since.elapsed() < SILENCE_MAX {
        thread::sleep(POLL);
        if sink.received() != received {
            received = sink.received();
            since = Instant::now();
        }
    }
    expected.saturating_sub(received.messages)
}

fn sleep_until(instant: Instant) {
    thread::sleep(instant.saturating_duration_since(Instant::now()));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn snapshot(at: Instant, cpu_ms: f64, messages: u64) -> Snapshot {
        let received = Received {
            deliveries: messages,
            messages,
        };
        Snapshot {
            at,
            server: Usage {
                cpu_ms,
                written_bytes: 0.0,
            },
            ours: Usage::default(),
            received,
            database: None,
        }
    }

    #[test]
    fn deliveries_are_rated_under_load_while_draining_and_over_all() {
        let start = Instant::now();
        let second = |seconds| start + Duration::from_secs(seconds);
        let mut end = snapshot(second(10), 500.0, 50_000);
        end.received.deliveries += 3;
        let deliveries = Deliveries::between(
            &snapshot(start, 0.0, 0),
            &snapshot(second(1), 50.0, 1_000),
            &snapshot(second(6), 300.0, 11_000),
            &end,
            50_010,
        );
        assert_eq!(deliveries.under_load_per_second, 2_000.0);
        assert_eq!(deliveries.drain_per_second, Some(9_750.0));
        assert_eq!(deliveries.end_to_end_per_second, 5_000.0);
        assert_eq!((deliveries.repeated, deliveries.missing), (3, 10));
        assert!((deliveries.cpu_ms - 0.01).abs() < 1e-4);
    }

    #[test]
    fn a_backlog_of_a_few_messages_has_no_rate() {
        let start = Instant::now();
        let at = |seconds, messages| snapshot(start + Duration::from_secs(seconds), 0.0, messages);
        let deliveries =
            Deliveries::between(&at(0, 0), &at(1, 100), &at(2, 1_000), &at(3, 1_999), 1_999);
        assert_eq!(deliveries.drain_per_second, None);
    }
}
