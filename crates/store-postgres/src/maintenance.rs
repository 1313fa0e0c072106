//! What is done beside traffic, by one node at a time: partitions ahead of their time, claims whose
//! window has ended, history that is old enough, and the dead rows of the small hot table.
//!
//! None of it decides anything: expiry is judged when a key is looked up, and a lease when it is
//! taken. A node that does nothing of this only lets the tables grow.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use deadpool_postgres::Pool;
use hooklatch_core::invariants;
use hooklatch_core::time::{Millis, Timestamp};
use tokio_util::sync::CancellationToken;

use crate::connect::Connector;
use crate::fault::Fault;
use crate::memory::Memory;
use crate::node::WORK;
use crate::partitions;
use crate::rows::claim::{self, select_claims};

/// Between two rounds.
const PAUSE: Duration = Duration::from_secs(5);
/// Between two steps of a round that has more to do.
const STEP_PAUSE: Duration = Duration::from_millis(50);
/// Claims that are swept in one step.
const SWEPT_PER_STEP: i64 = 500;
/// Rows of connections that are gone for so long are forgotten.
const WRITERS_KEPT: Millis = Millis::from_seconds(86_400);
/// The lock of whoever does it: "hooklatch tidies".
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
                if let Err(fault) = self.round().await {
                    tracing::debug!(%fault, "maintenance could not be done; trying again");
                }
            };
            tokio::select! {
                () = round => {}
                () = self.stop.cancelled() => return,
            }
        }
    }

    async fn round(&self) -> Result<(), Fault> {
        let client = self.connector.connect().await?;
        client
            .batch_execute("SET statement_timeout = '5min'")
            .await?;
        // Partitions are every node's business: it writes into them.
        let until = partitions::ensure(&client, self.memory.clock.now()).await?;
        self.memory.set_partitions(until);
        let locked = client.query_one("SELECT pg_try_advisory_lock($1)", &[&LOCK]);
        if !locked.await?.try_get::<_, bool>(0)? {
            return Ok(());
        }
        self.sweep(&client).await?;
        let before = self.memory.clock.now().as_millis() - WRITERS_KEPT.get();
        let sql = "DELETE FROM hooklatch.writers WHERE at < $1";
        client.execute(sql, &[&before]).await?;
        // Its index is read from its left edge, where the dead ones are.
        client
            .batch_execute("VACUUM (TRUNCATE false) hooklatch.deliveries_live")
            .await?;
        if let Some(kept) = self.history_kept {
            let now = self.memory.clock.now().as_millis();
            let before = Timestamp::from_millis(now - kept.get());
            let dropped = partitions::drop_before(&client, before).await?;
            if dropped.days > 0 {
                tracing::info!(days = dropped.days, "history was dropped");
            }
        }
        Ok(())
    }

    /// Removes claims whose window has ended, in small steps.
    async fn sweep(&self, client: &tokio_postgres::Client) -> Result<(), Fault> {
        loop {
            // What is carried on here may run ahead of a clock that was set back.
            let sql = "SELECT (extract(epoch FROM clock_timestamp()) * 1000)::bigint";
            let now = client.query_one(sql, &[]).await?.try_get(0)?;
            let now = self.memory.clock.observe(now);
            if sweep_step(client, now).await? < SWEPT_PER_STEP as usize {
                return Ok(());
            }
            tokio::time::sleep(STEP_PAUSE).await;
        }
    }
}

/// Removes some claims whose window has ended; answers how many.
pub(crate) async fn sweep_step(
    client: &tokio_postgres::Client,
    now: Timestamp,
) -> Result<usize, Fault> {
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
