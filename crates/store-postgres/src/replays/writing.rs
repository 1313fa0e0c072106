//! What a step of a replay has moved and made, written together.

use std::collections::HashMap;

use deadpool_postgres::Transaction;
use hooklatch_core::delivery::Delivery;
use hooklatch_core::delivery::order::{OrderKey, turn_left};
use hooklatch_core::ids::{DeliveryId, ReplayId};
use hooklatch_core::replay::{Made, Stepped};
use hooklatch_core::time::Timestamp;
use hooklatch_store::node::LaneChange;
use hooklatch_store::record::delivery::Columns;
use tokio_postgres::Client;
use tokio_postgres::types::Type;

use crate::columns::{INSERT_DONE, INSERT_LIVE, UPDATE_LIVE, of_deliveries, of_moves, params};
use crate::commands::change_lanes;
use crate::fault::Fault;
use crate::order;
use crate::requests::insert_strays;
use crate::rows::among::Param;
use crate::rows::{message, payload};

/// Writes all of it. Answers what became due.
pub(super) async fn write(
    of: &Transaction<'_>,
    before: &HashMap<DeliveryId, Delivery>,
    stepped: &Stepped,
    now: Timestamp,
) -> Result<Vec<LaneChange>, Fault> {
    move_all(of, before, &stepped.moved).await?;
    for made in &stepped.made {
        write_made(of.client(), made).await?;
    }
    let mut made: Vec<Columns> = stepped
        .made
        .iter()
        .map(|made| Columns::of_new(&made.delivery))
        .collect();
    order::place(of.client(), &mut made).await?;
    insert(of, INSERT_LIVE, &made).await?;
    let given = give_on(of, before, &stepped.moved, now).await?;
    let all = stepped.moved.iter();
    let all: Vec<&Delivery> = all
        .chain(stepped.made.iter().map(|made| &made.delivery))
        .collect();
    note(of.client(), &all).await?;
    let due = all.iter().filter_map(|delivery| {
        let at = delivery.next_attempt_at()?;
        Some(LaneChange::Due(delivery.lane(), at))
    });
    Ok(due.chain(given).collect())
}

/// Gives turns on that were left. Answers what became due.
async fn give_on(
    of: &Transaction<'_>,
    before: &HashMap<DeliveryId, Delivery>,
    moved: &[Delivery],
    now: Timestamp,
) -> Result<Vec<LaneChange>, Fault> {
    let left = moved.iter();
    let left = left.filter_map(|delivery| turn_left(&before[&delivery.id], delivery));
    let left: Vec<OrderKey> = left.collect();
    let given = order::given_on(of.client(), &left, now).await?;
    if given.is_empty() {
        return Ok(Vec::new());
    }
    let rows: Vec<Columns> = given.iter().map(Columns::of_new).collect();
    let statement = of.prepare_cached(UPDATE_LIVE).await?;
    of.execute(&statement, &params(&of_moves(&rows))).await?;
    let due = given.iter().filter_map(|delivery| {
        let at = delivery.next_attempt_at()?;
        Some(LaneChange::Due(delivery.lane(), at))
    });
    Ok(due.collect())
}

/// Moves deliveries to where they belong now.
async fn move_all(
    of: &Transaction<'_>,
    before: &HashMap<DeliveryId, Delivery>,
    moved: &[Delivery],
) -> Result<(), Fault> {
    let (mut stay, mut revive, mut end) = (Vec::new(), Vec::new(), Vec::new());
    for delivery in moved {
        let was = &before[&delivery.id];
        match (
            was.state.status().is_final(),
            delivery.state.status().is_final(),
        ) {
            (false, false) => stay.push((was, delivery)),
            (true, false) => revive.push(Columns::of_new(delivery)),
            (false, true) => end.push(Columns::of_new(delivery)),
            (true, true) => unreachable!("a replay moves nothing from one end to another"),
        }
    }
    if !stay.is_empty() {
        let rows = stay.iter().map(|(_, delivery)| Columns::of_new(delivery));
        let rows: Vec<Columns> = rows.collect();
        let statement = of.prepare_cached(UPDATE_LIVE).await?;
        of.execute(&statement, &params(&of_moves(&rows))).await?;
        change_lanes(of, stay).await?;
    }
    order::place(of.client(), &mut revive).await?;
    delete(of.client(), "deliveries_done", &revive).await?;
    insert(of, INSERT_LIVE, &revive).await?;
    delete(of.client(), "deliveries_live", &end).await?;
    insert(of, INSERT_DONE, &end).await
}

async fn delete(db: &Client, table: &str, rows: &[Columns]) -> Result<(), Fault> {
    if rows.is_empty() {
        return Ok(());
    }
    let ids: Vec<i64> = rows.iter().map(|row| row.id).collect();
    let sql = format!("DELETE FROM hooklatch.{table} WHERE id = ANY($1)");
    db.execute_typed(&sql, &[(&ids, Type::INT8_ARRAY)]).await?;
    Ok(())
}

async fn insert(of: &Transaction<'_>, sql: &str, rows: &[Columns]) -> Result<(), Fault> {
    if rows.is_empty() {
        return Ok(());
    }
    let statement = of.prepare_cached(sql).await?;
    of.execute(&statement, &params(&of_deliveries(rows)))
        .await?;
    Ok(())
}

/// Writes a message that was made; its delivery follows.
async fn write_made(db: &Client, made: &Made) -> Result<(), Fault> {
    let parcel = &made.parcel;
    let id = parcel.message.id.number();
    let follows = made.delivery.id.number() == id + 1;
    message::insert(db, &parcel.message, i64::from(follows)).await?;
    payload::insert(db, id, &parcel.envelope, &parcel.body).await?;
    if !follows {
        insert_strays(db, &[Columns::of_new(&made.delivery)]).await?;
    }
    Ok(())
}

/// Notes by which replay deliveries are sent.
async fn note(db: &Client, deliveries: &[&Delivery]) -> Result<(), Fault> {
    let sent = deliveries.iter().filter_map(|delivery| {
        let replay = delivery.replay_id.map(ReplayId::number)?;
        Some((delivery.id.number(), replay))
    });
    let (ids, replays): (Vec<i64>, Vec<i64>) = sent.unzip();
    if ids.is_empty() {
        return Ok(());
    }
    let sql = "INSERT INTO hooklatch.replayed (delivery, replay) \
               SELECT * FROM unnest($1::bigint[], $2::bigint[]) \
               ON CONFLICT (delivery) DO UPDATE SET replay = excluded.replay";
    let params: [Param<'_>; 2] = [(&ids, Type::INT8_ARRAY), (&replays, Type::INT8_ARRAY)];
    db.execute_typed(sql, &params).await?;
    Ok(())
}
