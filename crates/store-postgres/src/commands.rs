//! What people ask of deliveries, each in a transaction of its own.

use deadpool_postgres::Transaction;
use hooklatch_core::delivery::lifecycle::{Command, CommandRefused};
use hooklatch_core::delivery::{Delivery, Lane, order};
use hooklatch_core::ids::{DeliveryId, ProjectId};
use hooklatch_core::time::Timestamp;
use hooklatch_store::Commanded;
use hooklatch_store::record::delivery::{Columns, decode as decode_columns};

use tokio_postgres::Client;
use tokio_postgres::types::{ToSql, Type};

use crate::clock::StoreClock;
use crate::columns::{INSERT_DONE, INSERT_LIVE, UPDATE_LIVE, of_deliveries, of_moves, params};
use crate::fault::Fault;
use crate::order::{given_on, place};
use crate::rows::among::Param;
use crate::rows::delivery::{self, select_deliveries};

/// The time of a transaction: after it has the locks that it waits for.
pub(crate) async fn now(of: &Transaction<'_>, clock: &StoreClock) -> Result<Timestamp, Fault> {
    let sql = "SELECT (extract(epoch FROM clock_timestamp()) * 1000)::bigint";
    let statement = of.prepare_cached(sql).await?;
    Ok(clock.observe(of.query_one(&statement, &[]).await?.try_get(0)?))
}

/// Carries out what a person asks of a delivery.
pub(crate) async fn command(
    transaction: &Transaction<'_>,
    clock: &StoreClock,
    (project, id, command): (ProjectId, DeliveryId, Command),
) -> Result<Commanded, Fault> {
    let Some(delivery) = lock(transaction, id).await? else {
        return Ok(Commanded::NotFound);
    };
    if delivery.project_id != project {
        return Ok(Commanded::NotFound);
    }
    let now = now(transaction, clock).await?;
    let db = transaction.client();
    match delivery.command(command, now) {
        Err(refused) => Ok(Commanded::Refused(refused)),
        // What the command starts again needs its payload. Locking it keeps it from being pruned,
        // and its history from being dropped, until the commit; after that the live delivery does.
        Ok(moved) if !moved.state.status().is_final() && !has_payload(db, &moved).await? => {
            Ok(Commanded::Refused(CommandRefused::HistoryDropped))
        }
        Ok(moved) => {
            let moved = in_order(transaction, &delivery, moved, now).await?;
            write(transaction, &delivery, &moved).await?;
            Ok(Commanded::Done(moved))
        }
    }
}

/// The delivery in its place among those of its order key. Where it has left their turn, that is
/// given on.
async fn in_order(
    of: &Transaction<'_>,
    before: &Delivery,
    moved: Delivery,
    now: Timestamp,
) -> Result<Delivery, Fault> {
    let left = order::turn_left(before, &moved);
    let given = given_on(of.client(), left.as_slice(), now).await?;
    if !given.is_empty() {
        let rows: Vec<Columns> = given.iter().map(Columns::of_new).collect();
        let arrays = of_moves(&rows);
        let statement = of.prepare_cached(UPDATE_LIVE).await?;
        of.execute(&statement, &params(&arrays)).await?;
    }
    if order::turn_wanted(before, &moved).is_none() {
        return Ok(moved);
    }
    let mut rows = [Columns::of_new(&moved)];
    place(of.client(), &mut rows).await?;
    let [row] = rows;
    Ok(decode_columns(&row)?)
}

/// Whether a delivery's message and its body are still there; they stay until the transaction ends.
async fn has_payload(db: &Client, delivery: &Delivery) -> Result<bool, Fault> {
    let sql = "SELECT FROM hooklatch.payloads p JOIN hooklatch.messages m ON m.id = p.id \
               WHERE p.id = $1 AND p.body IS NOT NULL FOR SHARE OF p";
    let params: [Param<'_>; 1] = [(&delivery.message_id.number(), Type::INT8)];
    Ok(db.query_typed_opt(sql, &params).await?.is_some())
}

/// Reads a delivery under lock, wherever it is. One that moves at this moment is looked for in
/// both places again.
async fn lock(of: &Transaction<'_>, id: DeliveryId) -> Result<Option<Delivery>, Fault> {
    let number = id.number();
    for _ in 0..3 {
        let sql = select_deliveries!("FROM hooklatch.deliveries_live d WHERE d.id = $1 FOR UPDATE");
        let live = of.prepare_cached(sql).await?;
        let sql = select_deliveries!("FROM hooklatch.deliveries_done d WHERE d.id = $1 FOR UPDATE");
        let done = of.prepare_cached(sql).await?;
        for place in [live, done] {
            if let Some(row) = of.query_opt(&place, &[&number]).await? {
                return delivery::decode(&row).map(Some);
            }
        }
    }
    Ok(None)
}

/// Writes a delivery that was moved, and moves it to where it belongs now.
async fn write(of: &Transaction<'_>, before: &Delivery, moved: &Delivery) -> Result<(), Fault> {
    let rows = [Columns::of_new(moved)];
    let number = moved.id.number();
    let ended = |delivery: &Delivery| delivery.state.status().is_final();
    let (delete, insert) = match (ended(before), ended(moved)) {
        (false, false) => {
            let arrays = of_moves(&rows);
            let statement = of.prepare_cached(UPDATE_LIVE).await?;
            of.execute(&statement, &params(&arrays)).await?;
            return change_lanes(of, [(before, moved)]).await;
        }
        (false, true) => ("deliveries_live", INSERT_DONE),
        (true, false) => ("deliveries_done", INSERT_LIVE),
        (true, true) => ("deliveries_done", INSERT_DONE),
    };
    let delete = format!("DELETE FROM hooklatch.{delete} WHERE id = $1");
    let statement = of.prepare_cached(&delete).await?;
    of.execute(&statement, &[&number]).await?;
    let arrays = of_deliveries(&rows);
    let statement = of.prepare_cached(insert).await?;
    of.execute(&statement, &params(&arrays)).await?;
    Ok(())
}

/// Moves live deliveries to the lanes that they have now, where those are others: a replay begins
/// or ends.
pub(crate) async fn change_lanes(
    of: &Transaction<'_>,
    moves: impl IntoIterator<Item = (&Delivery, &Delivery)>,
) -> Result<(), Fault> {
    let changed = moves
        .into_iter()
        .filter(|(before, now)| before.lane != now.lane);
    let (ids, lanes): (Vec<i64>, Vec<i64>) =
        changed.map(|(_, now)| (now.id.number(), now.lane)).unzip();
    if ids.is_empty() {
        return Ok(());
    }
    let sql = "UPDATE hooklatch.deliveries_live live SET lane = moved.lane \
               FROM unnest($1::bigint[], $2::bigint[]) moved(id, lane) WHERE live.id = moved.id";
    let statement = of.prepare_cached(sql).await?;
    of.execute(&statement, &[&ids, &lanes]).await?;
    Ok(())
}

/// Deliveries that are made due in one transaction, so that a long queue holds nobody up.
pub(crate) const HASTENED_PER_STEP: u64 = 500;

/// Makes some of what waits in a lane due now; answers how many.
pub(crate) async fn hasten(
    of: &Transaction<'_>,
    clock: &StoreClock,
    lane: Lane,
) -> Result<(u64, Timestamp), Fault> {
    let sql = "UPDATE hooklatch.deliveries_live SET at = $2 WHERE id IN (\
                   SELECT id FROM hooklatch.deliveries_live \
                   WHERE status = 0 AND lane = $1 AND at > $2 AND at < $4 \
                   ORDER BY at LIMIT $3 FOR UPDATE SKIP LOCKED)";
    let now = now(of, clock).await?;
    let statement = of.prepare_cached(sql).await?;
    let limit = HASTENED_PER_STEP as i64;
    let millis = now.as_millis();
    let never = Timestamp::NEVER.as_millis();
    let row: [&(dyn ToSql + Sync); 4] = [&lane.0, &millis, &limit, &never];
    Ok((of.execute(&statement, &row).await?, now))
}
