//! Brings the tables to this version: forward only, one step after the other, once however many
//! nodes start together.
//!
//! Each step is a transaction of its own under a lock that all nodes know. A step may only do what
//! binaries of the version before survive, so that old and new nodes run side by side.

use tokio_postgres::Client;

use crate::OpenError;
use crate::connect::Connector;
use crate::fault::Fault;

/// The steps, from version 1 on.
const STEPS: [&str; 1] = [include_str!("schema/0001.sql")];

/// The version that this binary knows.
pub(crate) const VERSION: i64 = STEPS.len() as i64;

/// The lock under which steps are taken: "hooklatch migrates", for those who look into `pg_locks`.
const LOCK: i64 = 0x686b_6c74_6d69_6772;

/// What was brought to which version.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Migrated {
    /// The version before; 0 where there was none.
    pub from: i64,
    /// The version now.
    pub to: i64,
}

/// The version of the tables; 0 where there are none.
pub(crate) async fn version(client: &Client) -> Result<i64, Fault> {
    let sql = "SELECT to_regclass('hooklatch.schema_version') IS NOT NULL";
    if !client.query_one(sql, &[]).await?.get::<_, bool>(0) {
        return Ok(0);
    }
    let sql = "SELECT COALESCE(MAX(version), 0) FROM hooklatch.schema_version";
    Ok(client.query_one(sql, &[]).await?.get(0))
}

/// Takes the steps that are missing.
pub(crate) async fn migrate(connector: &Connector) -> Result<Migrated, OpenError> {
    let client = connector.connect().await.map_err(OpenError::unreachable)?;
    let from = version(&client).await.map_err(OpenError::refused)?;
    check(from)?;
    for step in from..VERSION {
        take(&client, step).await.map_err(OpenError::refused)?;
    }
    Ok(Migrated { from, to: VERSION })
}

/// Refuses tables from a newer version that this one cannot work with.
pub(crate) fn check(found: i64) -> Result<(), OpenError> {
    if found > VERSION {
        return Err(OpenError::Newer {
            found,
            known: VERSION,
        });
    }
    Ok(())
}

/// Takes the step from version `before`, unless another node has taken it meanwhile.
async fn take(client: &Client, before: i64) -> Result<(), Fault> {
    client.batch_execute("BEGIN").await?;
    let taken = take_inside(client, before).await;
    let end = if taken.is_ok() { "COMMIT" } else { "ROLLBACK" };
    client.batch_execute(end).await?;
    taken
}

async fn take_inside(client: &Client, before: i64) -> Result<(), Fault> {
    // Another node may be long at it.
    client
        .batch_execute("SET LOCAL lock_timeout = '10min'; SET LOCAL statement_timeout = 0")
        .await?;
    let lock = client.query_one("SELECT pg_advisory_xact_lock($1)", &[&LOCK]);
    lock.await?;
    client
        .batch_execute(
            "CREATE SCHEMA IF NOT EXISTS hooklatch; \
             CREATE TABLE IF NOT EXISTS hooklatch.schema_version (\
                 version bigint PRIMARY KEY, taken_at timestamptz NOT NULL DEFAULT now())",
        )
        .await?;
    if version(client).await? > before {
        return Ok(());
    }
    let step = usize::try_from(before).expect("versions count from 0");
    client.batch_execute(STEPS[step]).await?;
    let sql = "INSERT INTO hooklatch.schema_version (version) VALUES ($1)";
    client.execute(sql, &[&(before + 1)]).await?;
    Ok(())
}
