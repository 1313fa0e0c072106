//! Looks at a database beside the nodes that work on it, and changes nothing.

use hooklatch_core::ids::DeliveryId;
use hooklatch_core::time::Timestamp;
use hooklatch_store::inspection::{Inspection, WAITING_COUNTED_MAX};
use tokio_postgres::Client;

use crate::fault::Fault;
use crate::{DatabaseUrl, OpenError, config, migrate, reader};

/// What is in a database. It takes no part among the nodes: it has no number and holds no lock.
///
/// # Errors
/// Where the database cannot be reached or read.
pub async fn inspect(url: &DatabaseUrl) -> Result<Inspection, OpenError> {
    let client = reader(url).await?;
    look(&client).await.map_err(OpenError::refused)
}

async fn look(client: &Client) -> Result<Inspection, Fault> {
    let sql = "SELECT (EXTRACT(EPOCH FROM clock_timestamp()) * 1000)::bigint";
    let now: i64 = client.query_one(sql, &[]).await?.try_get(0)?;
    let found = migrate::find(client).await?;
    let nothing = Inspection {
        clock: Some(Timestamp::from_millis(now)),
        ..Inspection::of_version(found.version, migrate::VERSION)
    };
    if found.version == 0 || found.compatible_from > migrate::VERSION {
        return Ok(nothing);
    }
    let sql = "SELECT COUNT(*), MIN(id) FROM (\
               (SELECT id FROM hooklatch.deliveries_live WHERE status = 0 LIMIT $1) \
               UNION ALL \
               (SELECT id FROM hooklatch.deliveries_live WHERE status = 1 LIMIT $1) \
               LIMIT $1) waiting";
    let row = client.query_one(sql, &[&WAITING_COUNTED_MAX]).await?;
    let (many, first): (i64, Option<i64>) = (row.try_get(0)?, row.try_get(1)?);
    Ok(Inspection {
        documents: config::load(client).await?,
        waiting: many.unsigned_abs(),
        oldest: first.map(|number| DeliveryId::from_number(number).minted_at()),
        ..nothing
    })
}
