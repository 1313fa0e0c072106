//! What the database has done so far, as it counts itself and as Linux counts its processes.
//!
//! Commits are counted by transaction numbers: each transaction that writes has one, at once and
//! exactly, while the counters of `pg_stat_database` lag by a second for each session. One that only
//! reads commits nothing to the disk and is not counted.

use serde::Serialize;

use crate::process::Usage;

const KIBIBYTE: f64 = 1_024.0;

/// Counters since the server's start.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Counters {
    /// Processor time of all its processes; none where it runs on another machine.
    pub cpu_ms: Option<f64>,
    /// Statements, `BEGIN` and `COMMIT` among them; none without `pg_stat_statements`.
    pub statements: Option<f64>,
    /// Transactions that wrote.
    pub commits: f64,
    /// Bytes of write-ahead log.
    pub wal_bytes: f64,
}

/// What each message cost, from before the first request to after the last arrival at the sink.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub(crate) struct PerMessage {
    /// Processor time of all nodes.
    pub gateway_cpu_ms: f64,
    /// Processor time of the database.
    pub database_cpu_ms: Option<f64>,
    /// Statements.
    pub statements: Option<f64>,
    /// Transactions that wrote.
    pub commits: f64,
    /// Write-ahead log.
    pub wal_kib: f64,
}

impl PerMessage {
    /// What so many messages cost between two readings.
    pub(crate) fn between(
        before: &Counters,
        after: &Counters,
        gateway: Usage,
        messages: u64,
    ) -> Self {
        let each = |total: f64| total / messages as f64;
        let of = |before: Option<f64>, after: Option<f64>| Some(each(after? - before?));
        Self {
            gateway_cpu_ms: each(gateway.cpu_ms),
            database_cpu_ms: of(before.cpu_ms, after.cpu_ms),
            statements: of(before.statements, after.statements),
            commits: each(after.commits - before.commits),
            wal_kib: each(after.wal_bytes - before.wal_bytes) / KIBIBYTE,
        }
    }

    /// Processor time of gateway and database.
    pub(crate) fn cpu_ms(&self) -> Option<f64> {
        Some(self.gateway_cpu_ms + self.database_cpu_ms?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_counted_is_left_out_and_the_rest_is_shared_by_all_messages() {
        let before = Counters {
            cpu_ms: Some(100.0),
            statements: None,
            commits: 10.0,
            wal_bytes: 0.0,
        };
        let after = Counters {
            cpu_ms: Some(200.0),
            statements: Some(5.0),
            commits: 60.0,
            wal_bytes: 2_048_000.0,
        };
        let gateway = Usage {
            cpu_ms: 50.0,
            written_bytes: 0.0,
        };
        let each = PerMessage::between(&before, &after, gateway, 1_000);
        assert_eq!((each.commits, each.wal_kib), (0.05, 2.0));
        assert_eq!((each.database_cpu_ms, each.statements), (Some(0.1), None));
        assert!((each.cpu_ms().unwrap() - 0.15).abs() < 1e-9);
    }
}
