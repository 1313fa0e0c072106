//! Deliveries that go one after the other: who has the turn, and who is given it.
//!
//! Whoever asks or gives holds the key's lock until its transaction ends, so that nobody joins a
//! queue at the moment in which it is found empty. Each statement after the lock sees what those
//! before have committed. Nothing here is sent for deliveries that are not ordered.

use hooklatch_core::delivery::Delivery;
use hooklatch_core::delivery::order::{OrderKey, Turns};
use hooklatch_core::time::Timestamp;
use hooklatch_store::record::delivery::Columns;
use tokio_postgres::Client;
use tokio_postgres::types::Type;

use crate::columns::{UPDATE_LIVE, of_moves, params};
use crate::fault::Fault;
use crate::rows::among::Param;
use crate::rows::delivery::{self, select_deliveries};

/// The first half of the locks: "hklo" in ASCII. Locks of two halves never meet those of one.
const LOCK: i32 = 0x686b_6c6f;
/// Keys share so many locks: the database's table of locks is bounded.
const LOCKS: i64 = 512;

/// Puts new deliveries, and such as start again, in their places among those of their keys.
pub(crate) async fn place(db: &Client, rows: &mut [Columns]) -> Result<(), Fault> {
    let keys: Vec<i64> = rows.iter().filter_map(|row| row.order_key).collect();
    if keys.is_empty() {
        return Ok(());
    }
    lock(db, &keys).await?;
    let sql = "SELECT key FROM unnest($1::bigint[]) key WHERE EXISTS (\
               SELECT FROM hooklatch.deliveries_live WHERE order_key = key)";
    let taken = db.query_typed(sql, &[(&keys, Type::INT8_ARRAY)]).await?;
    let taken = taken.iter().map(|row| OrderKey::from_number(row.get(0)));
    let mut turns = Turns::taken(taken);
    for row in rows {
        let key = row.order_key.map(OrderKey::from_number);
        if key.is_some_and(|key| !turns.take(key)) {
            row.wait_for_turn();
        }
    }
    Ok(())
}

/// The oldest that waits of each of these keys, with the turn, to be written.
pub(crate) async fn given_on(
    db: &Client,
    keys: &[OrderKey],
    now: Timestamp,
) -> Result<Vec<Delivery>, Fault> {
    if keys.is_empty() {
        return Ok(Vec::new());
    }
    let mut keys: Vec<i64> = keys.iter().map(|key| key.number()).collect();
    keys.sort_unstable();
    keys.dedup();
    lock(db, &keys).await?;
    let sql = select_deliveries!(
        "FROM unnest($1::bigint[]) wanted(key) CROSS JOIN LATERAL (\
             SELECT * FROM hooklatch.deliveries_live \
             WHERE order_key = wanted.key AND status = 0 AND at = $2 \
             ORDER BY id LIMIT 1 FOR UPDATE) d"
    );
    let never = Timestamp::NEVER.as_millis();
    let asked: [Param<'_>; 2] = [(&keys, Type::INT8_ARRAY), (&never, Type::INT8)];
    let waiting = delivery::decode_all(&db.query_typed(sql, &asked).await?)?;
    let given = waiting.into_iter().map(|next| next.given_turn(now));
    Ok(given.collect())
}

/// Keys of which all wait and nobody has the turn.
const LOST: &str = "SELECT order_key FROM hooklatch.deliveries_live \
     WHERE order_key IS NOT NULL AND ($1::bigint[] IS NULL OR order_key = ANY($1)) \
     GROUP BY order_key HAVING bool_and(status = 0 AND at = $2) LIMIT $3";
/// Keys that are looked after in one step.
const LOST_PER_STEP: i64 = 500;

/// Gives turns to keys of which nobody has it; answers how many. That happens where a node of an
/// earlier version ended a delivery: it knows nothing of those that wait.
pub(crate) async fn give_lost(client: &Client, now: Timestamp) -> Result<usize, Fault> {
    let keys = lost(client, None).await?;
    if keys.is_empty() {
        return Ok(0);
    }
    client.batch_execute("BEGIN").await?;
    let given = give_again(client, &keys, now).await;
    let end = if given.is_ok() { "COMMIT" } else { "ROLLBACK" };
    client.batch_execute(end).await?;
    given
}

async fn give_again(client: &Client, keys: &[i64], now: Timestamp) -> Result<usize, Fault> {
    lock(client, keys).await?;
    let keys = lost(client, Some(keys)).await?;
    let keys: Vec<OrderKey> = keys.into_iter().map(OrderKey::from_number).collect();
    let given = given_on(client, &keys, now).await?;
    let rows: Vec<Columns> = given.iter().map(Columns::of_new).collect();
    client
        .execute(UPDATE_LIVE, &params(&of_moves(&rows)))
        .await?;
    Ok(rows.len())
}

async fn lost(client: &Client, among: Option<&[i64]>) -> Result<Vec<i64>, Fault> {
    let never = Timestamp::NEVER.as_millis();
    let rows = client
        .query(LOST, &[&among, &never, &LOST_PER_STEP])
        .await?;
    rows.iter().map(|row| Ok(row.try_get(0)?)).collect()
}

/// Locks keys, in one order.
async fn lock(db: &Client, keys: &[i64]) -> Result<(), Fault> {
    let mut locks: Vec<i32> = keys.iter().map(|key| (key % LOCKS) as i32).collect();
    locks.sort_unstable();
    locks.dedup();
    let sql = "SELECT pg_advisory_xact_lock($1, key) FROM unnest($2::integer[]) key";
    let asked: [Param<'_>; 2] = [(&LOCK, Type::INT4), (&locks, Type::INT4_ARRAY)];
    db.query_typed(sql, &asked).await?;
    Ok(())
}
