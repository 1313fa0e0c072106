//! What the database does without a gateway: pgbench inserts the rows of an accepted message, one
//! transaction and one statement for each message, from as many clients as the load generator has
//! connections. Tables, indexes and sizes are those of the gateway; a message is copied from one that
//! the gateway has written.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use serde::Serialize;
use tempfile::TempDir;

use crate::Failure;
use crate::database::template::Template;
use crate::database::{Database, PerMessage};
use crate::histogram::Histogram;
use crate::process::Usage;
use crate::run::progress;
use crate::shared::pace::Pace;

/// The latency of one in so many transactions is written down: each would cost the cores that are
/// shared.
const SAMPLED: f64 = 0.1;
/// More threads than that bring nothing on the cores of a comparison.
const THREADS_MAX: u16 = 2;

/// The scripts.
const MESSAGE: &str = "message.sql";
const SINGLE: (&str, &str) = (
    "single.sql",
    "INSERT INTO baseline.pace VALUES (gen_random_uuid(), 1) ON CONFLICT DO NOTHING;\n",
);
const BATCHED: (&str, &str) = (
    "batched.sql",
    "INSERT INTO baseline.pace SELECT gen_random_uuid(), 1 FROM generate_series(1, 100) \
     ON CONFLICT DO NOTHING;\n",
);
/// How many rows [`BATCHED`] inserts.
const BATCH: f64 = 100.0;
/// Over how many connections the pace is measured: the best of them counts.
const PACE_CONNECTIONS: [u16; 3] = [4, 16, 64];

/// What pgbench did.
#[derive(Debug, Serialize)]
pub(crate) struct Baseline {
    /// Over how many connections.
    pub connections: u16,
    /// Messages a second.
    pub per_second: f64,
    /// How long half of the transactions took at most.
    pub p50_ms: f64,
    /// How long 99 of 100 took at most.
    pub p99_ms: f64,
    /// What each message cost the database.
    pub database: PerMessage,
}

/// The tables into which an accepted message goes, and what each row's number is called there.
const TABLES: [&str; 4] = ["messages", "payloads", "claims", "deliveries_live"];
/// A delivery may have ended by the time it is looked at.
const DELIVERIES: &str = "(SELECT * FROM hooklatch.deliveries_live \
     UNION ALL SELECT * FROM hooklatch.deliveries_done)";

/// Tables of its own, ready to be measured.
pub(crate) struct Bench<'a> {
    database: &'a Database,
    directory: TempDir,
    program: PathBuf,
}

impl<'a> Bench<'a> {
    /// Prepares tables like those of the gateway, in which there is one message that was delivered.
    pub(crate) fn prepare(database: &'a Database, work_dir: &Path) -> Result<Self, Failure> {
        let mut sql = "CREATE SCHEMA baseline; CREATE SEQUENCE baseline.numbers;".to_owned();
        for table in TABLES {
            sql.push_str(&format!(
                "CREATE TABLE baseline.{table} (LIKE hooklatch.{table} INCLUDING ALL);"
            ));
        }
        let message = script(database)?;
        Self::with(database, work_dir, &sql, &[(MESSAGE, &message)])
    }

    /// Prepares a plain table.
    pub(crate) fn prepare_plain(database: &'a Database, work_dir: &Path) -> Result<Self, Failure> {
        let sql = "CREATE SCHEMA baseline; \
                   CREATE TABLE baseline.pace (key uuid PRIMARY KEY, value integer)";
        Self::with(database, work_dir, sql, &[SINGLE, BATCHED])
    }

    fn with(
        database: &'a Database,
        work_dir: &Path,
        sql: &str,
        scripts: &[(&str, &str)],
    ) -> Result<Self, Failure> {
        let program = find("pgbench").ok_or("pgbench is missing: it comes with PostgreSQL")?;
        database.session.execute(sql)?;
        let directory = tempfile::Builder::new()
            .prefix("bench-")
            .tempdir_in(work_dir)?;
        for (name, script) in scripts {
            fs::write(directory.path().join(name), script)?;
        }
        Ok(Self {
            database,
            directory,
            program,
        })
    }

    /// Inserts for so long.
    pub(crate) fn measure(&self, connections: u16, seconds: u64) -> Result<Baseline, Failure> {
        // Warm-up.
        self.insert(MESSAGE, connections, (seconds / 5).max(1))?;
        for old in fs::read_dir(self.directory.path())? {
            let path = old?.path();
            if path.extension().is_none_or(|extension| extension != "sql") {
                fs::remove_file(path)?;
            }
        }
        let before = self.database.counters()?;
        let said = self.insert(MESSAGE, connections, seconds)?;
        let after = self.database.counters()?;
        let (per_second, messages) = understand(&said)?;
        let latencies = self.latencies()?;
        let milliseconds = |share| latencies.percentile(share).as_secs_f64() * 1e3;
        Ok(Baseline {
            connections,
            per_second,
            p50_ms: milliseconds(0.5),
            p99_ms: milliseconds(0.99),
            database: PerMessage::between(&before, &after, Usage::default(), messages),
        })
    }

    /// Measures the pace on a plain table, each of its parts for so long.
    pub(crate) fn pace(&self, seconds: u64) -> Result<Pace, Failure> {
        let best = |(script, _): (&str, &str)| {
            let mut best: f64 = 0.0;
            for connections in PACE_CONNECTIONS {
                progress(&format!("pgbench, {script}"), connections);
                let (per_second, _) = understand(&self.insert(script, connections, seconds)?)?;
                best = best.max(per_second);
            }
            Ok::<_, Failure>(best)
        };
        Ok(Pace {
            single_rows_per_second: best(SINGLE)?,
            batched_rows_per_second: best(BATCHED)? * BATCH,
        })
    }

    fn insert(&self, script: &str, connections: u16, seconds: u64) -> Result<String, Failure> {
        let output = Command::new(&self.program)
            .args(["--no-vacuum", "--protocol=prepared"])
            .arg(format!("--file={script}"))
            .args(["--log", &format!("--sampling-rate={SAMPLED}")])
            .arg(format!("--client={connections}"))
            .arg(format!("--jobs={}", connections.min(THREADS_MAX)))
            .arg(format!("--time={seconds}"))
            .envs(self.database.address.variables())
            .current_dir(self.directory.path())
            .output()?;
        if output.status.success() {
            return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
        }
        let said = String::from_utf8_lossy(&output.stderr);
        Err(format!("pgbench failed: {}", said.trim()).into())
    }

    fn latencies(&self) -> Result<Histogram, Failure> {
        let mut latencies = Histogram::new();
        for file in fs::read_dir(self.directory.path())? {
            let path = file?.path();
            if path.extension().is_some_and(|extension| extension == "sql") {
                continue;
            }
            for line in fs::read_to_string(path)?.lines() {
                if let Some(microseconds) = microseconds_in(line) {
                    latencies.add(Duration::from_micros(microseconds));
                }
            }
        }
        Ok(latencies)
    }
}

/// One statement, and so one trip and one transaction: nothing that a gateway does is quicker.
fn script(database: &Database) -> Result<String, Failure> {
    let session = &database.session;
    let take = |table: &str| {
        let like = match table {
            "deliveries_live" => DELIVERIES.to_owned(),
            other => format!("hooklatch.{other}"),
        };
        Template::take(session, table, &like)
    };
    let number = "one.number";
    let messages = take("messages")?.with("id", number);
    let payloads = take("payloads")?.with("id", number);
    let claims = take("claims")?
        .with("key", "one.key")
        .with("checksum", "uuid_send(one.key) || uuid_send(one.key)")
        .with("message", number);
    let deliveries = take("deliveries_live")?
        .with("id", number)
        .with("message", number)
        .with("at", number)
        .with("status", "0");
    Ok(format!(
        "WITH one AS MATERIALIZED (\
             SELECT nextval('baseline.numbers') AS number, gen_random_uuid() AS key), \
         messages AS ({}), payloads AS ({}), claims AS ({}) {};\n",
        messages.insert("baseline.messages", "one"),
        payloads.insert("baseline.payloads", "one"),
        claims.insert("baseline.claims", "one"),
        deliveries.insert("baseline.deliveries_live", "one"),
    ))
}

/// Messages a second, and how many there were.
fn understand(said: &str) -> Result<(f64, u64), Failure> {
    let behind = |words: &str| {
        let line = said.lines().find_map(|line| line.strip_prefix(words))?;
        line.trim().split([' ', '/']).next()
    };
    let rate = behind("tps =").and_then(|rate| rate.parse().ok());
    let count = behind("number of transactions actually processed:");
    let count = count.and_then(|count| count.parse().ok());
    let both = rate.zip(count).filter(|(_, count)| *count > 0);
    both.ok_or_else(|| format!("pgbench did not say what it did:\n{said}").into())
}

/// The third column of its log.
fn microseconds_in(line: &str) -> Option<u64> {
    line.split_ascii_whitespace().nth(2)?.parse().ok()
}

/// A program in the path, or with the newest PostgreSQL that Debian has installed.
fn find(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut directories: Vec<PathBuf> = std::env::split_paths(&path).collect();
    let versions = fs::read_dir("/usr/lib/postgresql").into_iter().flatten();
    let mut versions: Vec<PathBuf> = versions.flatten().map(|it| it.path().join("bin")).collect();
    versions.sort_unstable();
    directories.extend(versions.into_iter().rev());
    let mut programs = directories.into_iter().map(|it| it.join(name));
    programs.find(|program| program.is_file())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_pgbench_says_is_understood() {
        let said = "transaction type: message.sql\nnumber of clients: 64\n\
                    number of transactions actually processed: 12345\n\
                    number of failed transactions: 0 (0.000%)\nlatency average = 5.1 ms\n\
                    tps = 6172.500000 (without initial connection time)\n";
        assert_eq!(understand(said).unwrap(), (6_172.5, 12_345));
        let until = "number of transactions actually processed: 10/100\ntps = 1.5 (x)\n";
        assert_eq!(understand(until).unwrap(), (1.5, 10));
        assert!(understand("nothing").is_err());
    }

    #[test]
    fn a_latency_is_the_third_column_of_the_log() {
        assert_eq!(
            microseconds_in("0 199 2241 0 1175850568 995598"),
            Some(2_241)
        );
        assert_eq!(microseconds_in("0 199 skipped 0 1 2"), None);
    }
}
