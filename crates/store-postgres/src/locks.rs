//! The locks of keys, for what is not a batch of arrivals but decides upon claims as well.

use tokio_postgres::Client;
use tokio_postgres::types::Type;

use crate::admit::{GATE, LOCKS_MAX};
use crate::fault::Fault;
use crate::key::Key;

/// Keeps everybody else from deciding upon these keys until the transaction ends. The order is
/// that of the batches, so that no two wait for each other.
pub(crate) async fn lock_keys(db: &Client, keys: &[Key]) -> Result<(), Fault> {
    let mut locks: Vec<i64> = keys.iter().map(|key| key.lock()).collect();
    locks.sort_unstable();
    locks.dedup();
    if locks.len() > LOCKS_MAX {
        let sql = "SELECT pg_advisory_xact_lock($1)";
        db.query_typed(sql, &[(&GATE, Type::INT8)]).await?;
        return Ok(());
    }
    let sql = "SELECT pg_advisory_xact_lock_shared($1)";
    db.query_typed(sql, &[(&GATE, Type::INT8)]).await?;
    let sql = "SELECT pg_advisory_xact_lock(key) FROM unnest($1::bigint[]) key";
    db.query_typed(sql, &[(&locks, Type::INT8_ARRAY)]).await?;
    Ok(())
}
