//! Brings the tables to this version: forward only, one step after the other, once however many
//! nodes start together.
//!
//! Each step is a transaction of its own under a lock that all nodes know. A step may only do what
//! binaries of the version before survive, so that old and new nodes run side by side; it says
//! which is the oldest version that survives it.

use tokio_postgres::Client;

use crate::OpenError;
use crate::connect::Connector;
use crate::fault::Fault;

/// What leads from one version to the next.
struct Step {
    sql: &'static str,
    /// The oldest version whose binaries survive it. A step that only adds leaves it where it was.
    compatible_from: i64,
}

/// The steps, from version 1 on.
const STEPS: [Step; 9] = [
    Step {
        sql: include_str!("schema/0001.sql"),
        compatible_from: 1,
    },
    Step {
        sql: include_str!("schema/0002.sql"),
        compatible_from: 1,
    },
    Step {
        sql: include_str!("schema/0003.sql"),
        compatible_from: 1,
    },
    Step {
        sql: include_str!("schema/0004.sql"),
        compatible_from: 1,
    },
    Step {
        sql: include_str!("schema/0005.sql"),
        compatible_from: 1,
    },
    Step {
        sql: include_str!("schema/0006.sql"),
        compatible_from: 1,
    },
    Step {
        sql: include_str!("schema/0007.sql"),
        compatible_from: 1,
    },
    Step {
        sql: include_str!("schema/0008.sql"),
        compatible_from: 1,
    },
    Step {
        sql: include_str!("schema/0009.sql"),
        compatible_from: 1,
    },
];

/// The version that this binary knows.
pub(crate) const VERSION: i64 = STEPS.len() as i64;

/// The lock under which steps are taken: "hklt" and "migr" in ASCII.
const LOCK: i64 = 0x686b_6c74_6d69_6772;

/// What was brought to which version.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Migrated {
    /// The version before; 0 where there was none.
    pub from: i64,
    /// The version now.
    pub to: i64,
}

/// The tables that were found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Found {
    /// Their version; 0 where there are none.
    pub version: i64,
    /// The oldest version whose binaries can work with them.
    pub compatible_from: i64,
}

/// Looks at the tables.
pub(crate) async fn find(client: &Client) -> Result<Found, Fault> {
    let sql = "SELECT to_regclass('hooklatch.schema_version') IS NOT NULL";
    if !client.query_one(sql, &[]).await?.get::<_, bool>(0) {
        return Ok(Found::default());
    }
    let sql = "SELECT COALESCE(MAX(version), 0), COALESCE(MAX(compatible_from), 0) \
               FROM hooklatch.schema_version";
    let row = client.query_one(sql, &[]).await?;
    Ok(Found {
        version: row.try_get(0)?,
        compatible_from: row.try_get(1)?,
    })
}

/// Takes the steps that are missing.
pub(crate) async fn migrate(connector: &Connector) -> Result<Migrated, OpenError> {
    let client = connector.connect().await.map_err(OpenError::unreachable)?;
    let found = find(&client).await.map_err(OpenError::refused)?;
    check(found)?;
    let from = found.version;
    for step in from..VERSION {
        take(&client, step).await.map_err(OpenError::refused)?;
    }
    Ok(Migrated {
        from,
        to: from.max(VERSION),
    })
}

/// Refuses tables from a newer version that this one cannot work with. Beside those that it
/// survives it starts: nodes of two versions run together while they are replaced one by one.
pub(crate) fn check(found: Found) -> Result<(), OpenError> {
    if found.compatible_from > VERSION {
        return Err(OpenError::Newer {
            found: found.version,
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
                 version bigint PRIMARY KEY, compatible_from bigint NOT NULL, \
                 taken_at timestamptz NOT NULL DEFAULT now())",
        )
        .await?;
    if find(client).await?.version > before {
        return Ok(());
    }
    let step = &STEPS[usize::try_from(before).expect("versions count from 0")];
    client.batch_execute(step.sql).await?;
    let sql = "INSERT INTO hooklatch.schema_version (version, compatible_from) VALUES ($1, $2)";
    client
        .execute(sql, &[&(before + 1), &step.compatible_from])
        .await?;
    Ok(())
}
