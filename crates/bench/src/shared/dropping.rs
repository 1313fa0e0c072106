//! Whether dropping a day of history stalls anybody: a filled day of long ago is dropped by the store's
//! own maintenance, on a node of its own, while the load goes on.

use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use hooklatch_core::time::Millis;
use hooklatch_store_postgres::{DatabaseUrl, Options, PostgresStore};
use serde::Serialize;

use crate::Failure;
use crate::database::template::Template;
use crate::database::{Address, Database, Session};
use crate::histogram::Histogram;
use crate::load::Outcome;
use crate::measure::{Extent, Subject};

/// Where the dropping process finds the URL: its command line can be read by everybody.
pub(crate) const URL_VARIABLE: &str = "HOOKLATCH_BENCH_DATABASE_URL";

const DAY_MS: u64 = 86_400_000;
/// The day that is dropped lies so far back.
const DAYS_BACK: u64 = 30;
/// History that is younger is kept.
const KEPT: Millis = Millis::from_seconds(2 * 86_400);
/// The tables that hold it.
const TABLES: [&str; 6] = [
    "messages",
    "strays",
    "payloads",
    "requests",
    "deliveries_done",
    "attempts",
];
/// So many messages, each delivered, lie in it.
const MESSAGES: u64 = 200_000;
/// Maintenance looks every five seconds, and may find another node at it.
const PATIENCE: Duration = Duration::from_secs(25);
const POLL: Duration = Duration::from_millis(5);
/// What is looked at around it, on both sides.
const MARGIN: Duration = Duration::from_secs(1);

/// What was seen.
#[derive(Debug, Serialize)]
pub(crate) struct Dropping {
    /// So many messages were dropped, each with its payload, its delivery and its attempt.
    pub messages: u64,
    /// Their size, indexes included.
    pub size_mib: f64,
    /// How long it took, from the first table's detachment to the last one's end.
    pub took_ms: f64,
    /// The load before.
    pub before: Window,
    /// The load from a second before it until a second after it.
    pub around: Window,
}

/// The answers of some seconds.
#[derive(Debug, PartialEq, Serialize)]
pub(crate) struct Window {
    /// How long.
    pub seconds: f64,
    /// Answers a second.
    pub per_second: f64,
    /// How long half of them took at most.
    pub p50_ms: f64,
    /// How long 99 of 100 took at most.
    pub p99_ms: f64,
    /// How long the slowest took.
    pub max_ms: f64,
}

/// The times of a drop.
struct Times {
    calm_until: Instant,
    begun: Instant,
    ended: Instant,
}

/// Makes the day, sends, drops, and looks at the answers. `calm` is how long is sent before.
pub(crate) fn watch(
    subject: &Subject<'_>,
    database: &Database,
    calm: Duration,
) -> Result<Dropping, Failure> {
    let day = today()? - DAYS_BACK;
    let size_mib = make_day(&database.session, day)?;
    let extent = Extent {
        warm_up: calm / 5,
        measured: calm + PATIENCE + MARGIN,
    };
    let started = Instant::now() + extent.warm_up;
    let (outcome, times) = subject.watch(extent, || {
        thread::sleep(calm);
        drop_day(&database.address, day)
    })?;
    if outcome.answers.refused > 0 {
        return Err(format!(
            "{} requests were refused meanwhile",
            outcome.answers.refused
        )
        .into());
    }
    Ok(Dropping {
        messages: MESSAGES,
        size_mib,
        took_ms: (times.ended - times.begun).as_secs_f64() * 1e3,
        before: Window::of(&outcome, started, times.calm_until),
        around: Window::of(&outcome, times.begun - MARGIN, times.ended + MARGIN),
    })
}

impl Window {
    fn of(outcome: &Outcome, from: Instant, to: Instant) -> Self {
        let mut latencies = Histogram::new();
        for (at, took) in &outcome.each {
            if (from..to).contains(at) {
                latencies.add(*took);
            }
        }
        let milliseconds = |duration: Duration| duration.as_secs_f64() * 1e3;
        let seconds = (to - from).as_secs_f64();
        Self {
            seconds,
            per_second: latencies.count() as f64 / seconds,
            p50_ms: milliseconds(latencies.percentile(0.5)),
            p99_ms: milliseconds(latencies.percentile(0.99)),
            max_ms: milliseconds(latencies.longest()),
        }
    }
}

fn today() -> Result<u64, Failure> {
    let since = SystemTime::now().duration_since(UNIX_EPOCH)?;
    Ok(since.as_secs() * 1_000 / DAY_MS)
}

/// Makes the partitions of a day as the store does, and fills them; answers their size in MiB.
fn make_day(session: &Session, day: u64) -> Result<f64, Failure> {
    // A number begins with its milliseconds; 20 bits count within them.
    let (first, end) = ((day * DAY_MS) << 20, ((day + 1) * DAY_MS) << 20);
    let mut sql = String::new();
    for table in TABLES {
        sql.push_str(&format!(
            "CREATE TABLE hooklatch.{table}_d{day} \
                 (LIKE hooklatch.{table} INCLUDING DEFAULTS INCLUDING COMPRESSION \
                  INCLUDING STORAGE); \
             ALTER TABLE hooklatch.{table} ATTACH PARTITION hooklatch.{table}_d{day} \
                 FOR VALUES FROM ({first}) TO ({end});"
        ));
    }
    session.execute(&sql)?;
    let step = (end - first) / (MESSAGES + 1);
    let numbers = format!(
        "generate_series(1, {MESSAGES}) one, LATERAL (SELECT {first}::bigint + one * {step}::bigint AS number) old"
    );
    let number = "old.number";
    for table in ["messages", "payloads", "deliveries_done", "attempts"] {
        let row = Template::take(session, table, &format!("hooklatch.{table}"))?
            .with("id", number)
            .with("message", number)
            .with("delivery", number)
            .with("request", "NULL::bigint");
        session.execute(&row.insert(&format!("hooklatch.{table}"), &numbers))?;
    }
    session.execute("CHECKPOINT")?;
    let sql = "SELECT sum(pg_total_relation_size(c.oid))::float8 / 1048576 FROM pg_class c \
               JOIN pg_namespace n ON n.oid = relnamespace AND nspname = 'hooklatch' \
               WHERE relkind = 'r' AND relname LIKE $1";
    let size = session.row(sql, &[&format!("%\\_d{day}")])?;
    Ok(size.try_get(0)?)
}

/// Starts the node that drops it, and watches it go.
fn drop_day(address: &Address, day: u64) -> Result<Times, Failure> {
    let session = Session::open(address)?;
    let calm_until = Instant::now();
    let _node = Node::start(address)?;
    let begun = wait(&session, day, |attached, _| attached < TABLES.len())?;
    let ended = wait(&session, day, |_, left| left == 0)?;
    Ok(Times {
        calm_until,
        begun,
        ended,
    })
}

/// Waits until of the day's tables so many are attached, and so many are there.
fn wait(
    session: &Session,
    day: u64,
    done: impl Fn(usize, usize) -> bool,
) -> Result<Instant, Failure> {
    let sql = "SELECT count(*) FILTER (WHERE NOT inhdetachpending), count(*) FROM pg_class c \
               JOIN pg_namespace n ON n.oid = relnamespace AND nspname = 'hooklatch' \
               LEFT JOIN pg_inherits ON inhrelid = c.oid \
               WHERE relkind = 'r' AND relname LIKE $1";
    let until = Instant::now() + PATIENCE;
    let like = format!("%\\_d{day}");
    loop {
        let row = session.row(sql, &[&like])?;
        let (attached, left): (i64, i64) = (row.try_get(0)?, row.try_get(1)?);
        if done(attached as usize, left as usize) {
            return Ok(Instant::now());
        }
        if Instant::now() > until {
            return Err("the day was not dropped in time".into());
        }
        thread::sleep(POLL);
    }
}

/// A process that is a node, takes nothing in, and keeps little history.
struct Node(Child);

impl Node {
    fn start(address: &Address) -> Result<Self, Failure> {
        let child = Command::new(std::env::current_exe()?)
            .arg("drop-history")
            .env(URL_VARIABLE, address.url())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()?;
        Ok(Self(child))
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        // Both fail only if it has ended already, which is what is wanted.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Is that node, until it is killed.
pub(crate) fn be_a_node() -> Result<(), Failure> {
    let url = std::env::var(URL_VARIABLE)?;
    let url = DatabaseUrl::parse(&url)?;
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?
        .block_on(async {
            let options = Options {
                history_kept: Some(KEPT),
                ..Options::default()
            };
            let store = PostgresStore::open(&url, options).await?;
            std::future::pending::<()>().await;
            drop(store);
            Ok(())
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::Answers;

    #[test]
    fn a_window_holds_what_came_within_it() {
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        let took = Duration::from_millis;
        let outcome = Outcome {
            latencies: Histogram::new(),
            sent: 4,
            answers: Answers::default(),
            each: vec![
                (at(999), took(500)),
                (at(1_000), took(1)),
                (at(1_500), took(3)),
                (at(3_000), took(500)),
            ],
        };
        let window = Window::of(&outcome, at(1_000), at(3_000));
        assert_eq!((window.seconds, window.per_second), (2.0, 1.0));
        assert!((window.p50_ms - 1.0).abs() < 0.01, "{window:?}");
        assert_eq!(window.max_ms, 3.0);
    }
}
