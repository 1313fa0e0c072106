//! Whether a large ledger slows acceptance down: the same load on an empty store, on one whose ledger
//! was filled, and on an empty one again, because the machine may change its mind between.
//!
//! The claims name messages that are not there, as when history was dropped and the ledger was not:
//! new keys never look at them.

use std::time::{Duration, Instant};

use serde::Serialize;

use crate::Failure;
use crate::database::Database;
use crate::database::template::Template;
use crate::measure::Figures;

/// How long a store is measured at least. After a checkpoint, and one precedes the measurement, the
/// first change of a page is logged with the whole page: keys are checksums, so for some seconds nearly
/// every claim of a large ledger is the first on its page. Checkpoints are minutes apart, where
/// `max_wal_size` leaves them.
pub(crate) const MEASURED_MIN: Duration = Duration::from_secs(15);

/// So many claims go into one transaction.
const STEP: u64 = 50_000;

/// What was compared.
#[derive(Debug, Serialize)]
pub(crate) struct Comparison {
    /// How many claims were filled in.
    pub claims: u64,
    /// How long that took.
    pub filling_seconds: f64,
    /// The size of the ledger then, indexes included.
    pub ledger_mib: f64,
    /// How long each store was measured.
    pub measured_seconds: u64,
    /// Over how many connections was sent.
    pub connections: u16,
    /// On the store before it was filled, and on another empty one afterwards.
    pub empty: [Figures; 2],
    /// On the filled one.
    pub filled: Figures,
}

impl Comparison {
    /// The filled store's rate as a share of the empty ones'.
    pub(crate) fn share(&self) -> f64 {
        let [before, after] = &self.empty;
        self.filled.per_second * 2.0 / (before.per_second + after.per_second)
    }
}

/// Fills the ledger with claims like the one of a message that is there, with keys that nobody has
/// sent, first seen one after the other within the last seven days. Answers how long it took.
pub(crate) fn fill(database: &Database, claims: u64) -> Result<f64, Failure> {
    let started = Instant::now();
    let session = &database.session;
    let insert = Template::take(session, "claims", "hooklatch.claims")?
        .with("key", "new.key")
        .with("checksum", "uuid_send(new.key) || uuid_send(new.other)")
        .with("fingerprint", "uuid_send(new.other) || uuid_send(new.key)")
        .with("message", "(new.seen << 20) | (new.number % 1048576)")
        .with("first_seen", "new.seen")
        .with("expires", "new.seen + 604800000");
    session.execute("SET synchronous_commit = off")?;
    for first in (0..claims).step_by(STEP as usize) {
        let last = (first + STEP).min(claims) - 1;
        // Seven days less an hour: none ends while something is measured.
        let from = format!(
            "(SELECT number, gen_random_uuid() AS key, gen_random_uuid() AS other, \
                  (extract(epoch FROM now()) * 1000)::bigint - 601200000 \
                  + number * 601200000 / {claims} AS seen \
              FROM generate_series({first}::bigint, {last}::bigint) number OFFSET 0) new"
        );
        session.execute(&insert.insert("hooklatch.claims", &from))?;
        if last + 1 == claims || (last + 1).is_multiple_of(STEP * 10) {
            eprintln!("filling the ledger: {} of {claims}", last + 1);
        }
    }
    let took = started.elapsed().as_secs_f64();
    // What a server would have done long before it had so many.
    session.execute("SET synchronous_commit = on")?;
    session.execute("VACUUM ANALYZE hooklatch.claims")?;
    session.execute("CHECKPOINT")?;
    Ok(took)
}

/// The size of the ledger in MiB, indexes included.
pub(crate) fn size_mib(database: &Database) -> Result<f64, Failure> {
    let sql = "SELECT COALESCE(sum(pg_total_relation_size(relid)), 0)::float8 / 1048576 \
               FROM pg_partition_tree('hooklatch.claims'::regclass)";
    Ok(database.session.row(sql, &[])?.try_get(0)?)
}
