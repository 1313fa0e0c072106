//! What is done beside traffic: partitions ahead of their time, by every node; and by one node at a
//! time, claims whose window has ended, history that is old enough, and the dead rows of the small
//! hot table.
//!
//! None of it decides anything: expiry is judged when a key is looked up, and a lease when it is
//! taken. A node that does nothing of this only lets the tables grow. What it removes is gone for
//! good, so one clock that jumped is not enough to remove anything.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use deadpool_postgres::Pool;
use hooklatch_core::invariants;
use hooklatch_core::time::{Millis, Timestamp};
use hooklatch_store::{Clock, SystemClock};
use tokio_postgres::Client;
use tokio_util::sync::CancellationToken;

use crate::connect::Connector;
use crate::fault::Fault;
use crate::memory::Memory;
use crate::node::WORK;
use crate::rows::claim::{self, select_claims};
use crate::{order, partitions, receiving};

/// Between two rounds.
const PAUSE: Duration = Duration::from_secs(5);
/// Between two steps of a round that has more to do.
const STEP_PAUSE: Duration = Duration::from_millis(50);
/// Claims that are swept in one step.
const SWEPT_PER_STEP: i64 = 500;
/// Rows of connections that are gone for so long are forgotten.
const WRITERS_KEPT: Millis = Millis::from_seconds(86_400);
/// A round sweeps at most so many times: under a backlog the other duties get their turn.
const STEPS_MAX: usize = 200;
/// By how much the database's clock and this node's may differ before somebody should know.
const DIFFER_MAX: Millis = Millis::from_seconds(60);
/// The lock of the one node that sweeps and drops, held by its session for a round: "hklt" and
/// "tidy" in ASCII. Partitions are made and dropped under a lock of their own.
const LOCK: i64 = 0x686b_6c74_7469_6479;
/// The least time between two sayings that something is due: others look by themselves as well.
const SAID_EVERY: Duration = Duration::from_millis(100);

/// What keeps the tables in order.
pub(crate) struct Maintenance {
    /// How to connect: the work takes a session of its own.
    pub connector: Connector,
    /// This node's memory.
    pub memory: Arc<Memory>,
    /// For how long history is kept; none for ever.
    pub history_kept: Option<Millis>,
    /// Ends it.
    pub stop: CancellationToken,
}

impl Maintenance {
    /// Goes on until it is stopped.
    pub(crate) async fn run(self) {
        loop {
            tokio::select! {
                () = tokio::time::sleep(PAUSE) => {}
                () = self.stop.cancelled() => return,
            }
            let round = async {
                let done = self.round().await;
                told("connecting", done);
            };
            tokio::select! {
                () = round => {}
                () = self.stop.cancelled() => return,
            }
        }
    }

    /// Does each duty once. One that fails does not keep the others from their turn.
    async fn round(&self) -> Result<(), Fault> {
        let client = self.connector.connect().await?;
        client
            .batch_execute("SET statement_timeout = '5min'")
            .await?;
        // Partitions are every node's business: it writes into them.
        let until = partitions::ensure(&client, self.memory.clock.now()).await;
        if let Some(until) = told("making partitions", until) {
            self.memory.set_partitions(until);
        }
        let locked = client.query_one("SELECT pg_try_advisory_lock($1)", &[&LOCK]);
        if !locked.await?.try_get::<_, bool>(0)? {
            return Ok(());
        }
        let now = self.agreed_time(&client).await?;
        told("sweeping claims", sweep(&client, now).await);
        told("sweeping receivers", sweep_receiving(&client, now).await);
        told("forgetting writers", forget_writers(&client, now).await);
        told("vacuuming", vacuum(&client).await);
        told("giving turns on", self.lost_turns(&client).await);
        told("dropping history", self.history(&client, now).await);
        Ok(())
    }

    /// The earlier of the database's time and this node's own: what has ended by both has ended,
    /// even where one of the two clocks jumped.
    async fn agreed_time(&self, client: &Client) -> Result<Timestamp, Fault> {
        // What is carried on here may run ahead of a clock that was set back.
        let sql = "SELECT (extract(epoch FROM clock_timestamp()) * 1000)::bigint";
        let database = client.query_one(sql, &[]).await?.try_get(0)?;
        let database = self.memory.clock.observe(database);
        let own = SystemClock.now();
        if differ(database, own) {
            tracing::warn!(%database, %own, "the clocks of the database and of this node differ");
        }
        Ok(database.min(own))
    }

    /// Lets those go on that wait for a turn which nobody has.
    async fn lost_turns(&self, client: &Client) -> Result<(), Fault> {
        let given = order::give_lost(client, self.memory.clock.now()).await?;
        if given > 0 {
            tracing::warn!(
                given,
                "ordered deliveries waited for a turn that nobody had"
            );
            self.memory.look_again();
        }
        Ok(())
    }

    /// Drops what is old enough.
    async fn history(&self, client: &Client, now: Timestamp) -> Result<(), Fault> {
        let before = self.history_kept.map(|kept| now - kept);
        let dropped = partitions::tend(client, before).await?;
        if dropped.days > 0 {
            tracing::info!(days = dropped.days, "history was dropped");
        }
        Ok(())
    }
}

/// Says what could not be done.
fn told<T>(duty: &str, done: Result<T, Fault>) -> Option<T> {
    done.inspect_err(|fault| {
        tracing::warn!(%fault, duty, "maintenance was not done; trying again");
    })
    .ok()
}

/// Whether two clocks differ by more than clocks do.
fn differ(one: Timestamp, other: Timestamp) -> bool {
    one.as_millis().abs_diff(other.as_millis()) > DIFFER_MAX.get().unsigned_abs()
}

/// Removes claims whose window has ended, in small steps, and not without end.
async fn sweep(client: &Client, now: Timestamp) -> Result<(), Fault> {
    for _ in 0..STEPS_MAX {
        if sweep_step(client, now).await? < SWEPT_PER_STEP as usize {
            return Ok(());
        }
        tokio::time::sleep(STEP_PAUSE).await;
    }
    Ok(())
}

/// Removes claims of receivers that have expired, in the same manner.
async fn sweep_receiving(client: &Client, now: Timestamp) -> Result<(), Fault> {
    let limit = SWEPT_PER_STEP as usize;
    for _ in 0..STEPS_MAX {
        if receiving::sweep(client, now, limit).await? < limit {
            return Ok(());
        }
        tokio::time::sleep(STEP_PAUSE).await;
    }
    Ok(())
}

/// Forgets connections that are long gone.
async fn forget_writers(client: &Client, now: Timestamp) -> Result<(), Fault> {
    let before = (now - WRITERS_KEPT).as_millis();
    let sql = "DELETE FROM hooklatch.writers WHERE at < $1";
    client.execute(sql, &[&before]).await?;
    Ok(())
}

/// Its index is read from its left edge, where the dead rows are. Whoever has it locked is let be.
async fn vacuum(client: &Client) -> Result<(), Fault> {
    let sql = "VACUUM (TRUNCATE false, SKIP_LOCKED) hooklatch.deliveries_live";
    Ok(client.batch_execute(sql).await?)
}

/// Removes some claims whose window has ended; answers how many.
async fn sweep_step(client: &Client, now: Timestamp) -> Result<usize, Fault> {
    let sql = select_claims!(
        "FROM (SELECT * FROM hooklatch.claims WHERE expires <= $1 \
               ORDER BY expires LIMIT $2 FOR UPDATE SKIP LOCKED) c"
    );
    let sql = format!(
        "WITH ended AS ({sql}), swept AS (\
             DELETE FROM hooklatch.claims c USING ended \
             WHERE c.key = ended.key AND c.place = ended.place AND c.variant = ended.variant \
             AND c.expires <= $1) \
         SELECT * FROM ended"
    );
    let rows = client
        .query(&sql, &[&now.as_millis(), &SWEPT_PER_STEP])
        .await?;
    for row in &rows {
        let claim = claim::decode(row)?;
        assert!(invariants::may_be_pruned(&claim, now), "INV-9: {claim:?}");
    }
    Ok(rows.len())
}

/// Tells other nodes now and then that something may be due.
pub(crate) async fn say(pool: Pool, memory: Arc<Memory>, name: String, stop: CancellationToken) {
    let sql = format!("NOTIFY {WORK}, '{name}'");
    loop {
        tokio::select! {
            () = tokio::time::sleep(SAID_EVERY) => {}
            () = stop.cancelled() => return,
        }
        if memory.to_say.swap(false, Ordering::Relaxed)
            && let Ok(client) = pool.get().await
            && let Err(error) = client.batch_execute(&sql).await
        {
            tracing::debug!(%error, "others could not be told; they look by themselves");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clocks_may_differ_by_a_minute_either_way() {
        let at = Timestamp::from_millis;
        assert!(!differ(at(1_000_000), at(1_060_000)));
        assert!(!differ(at(1_060_000), at(1_000_000)));
        assert!(differ(at(1_000_000), at(1_060_001)));
        assert!(differ(at(1_060_001), at(1_000_000)));
    }
}
