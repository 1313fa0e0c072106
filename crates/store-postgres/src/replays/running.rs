//! Taking a replay forward: its plan page by page, and then its deliveries step by step.

use std::collections::{HashMap, HashSet};

use deadpool_postgres::Transaction;
use hooklatch_core::delivery::Delivery;
use hooklatch_core::ids::{DeliveryId, MessageId, ReplayId};
use hooklatch_core::message::Parcel;
use hooklatch_core::replay::{Item, Material, Replay, ReplayStatus};
use hooklatch_store::node::LaneChange;
use hooklatch_store::{PlanStep, ReplayHolder};
use tokio_postgres::Client;
use tokio_postgres::types::Type;

use super::{lock, write, writing};
use crate::commands::now;
use crate::fault::Fault;
use crate::memory::Memory;
use crate::rows::among::{Among, Param};
use crate::rows::delivery::{self, select_deliveries};
use crate::rows::parcel;

/// Takes a plan one page further.
pub(super) async fn plan(
    of: &Transaction<'_>,
    memory: &Memory,
    holder: ReplayHolder,
    step: &PlanStep,
) -> Result<Option<Replay>, Fault> {
    let db = of.client();
    let Some(mut held) = lock(db, step.id).await? else {
        return Ok(None);
    };
    let current =
        held.replay.status() == ReplayStatus::Planning && held.replay.progress.below == step.below;
    if !current || held.holder != holder.0 {
        return Ok(None);
    }
    let items = step.found.items.iter();
    let (messages, deliveries): (Vec<i64>, Vec<i64>) = items.map(numbers).unzip();
    let sql = "INSERT INTO hooklatch.replay_items (replay, message, delivery) \
               SELECT $1, message, delivery \
               FROM unnest($2::bigint[], $3::bigint[]) found(message, delivery) \
               ON CONFLICT DO NOTHING";
    let params: [Param<'_>; 3] = [
        (&step.id.number(), Type::INT8),
        (&messages, Type::INT8_ARRAY),
        (&deliveries, Type::INT8_ARRAY),
    ];
    db.execute_typed(sql, &params).await?;
    let now = now(of, &memory.clock).await?;
    held.replay.planned(&step.found, step.next, now);
    write(db, &held.replay).await?;
    Ok(Some(held.replay))
}

/// An item as it is stored.
fn numbers(item: &Item) -> (i64, i64) {
    let delivery = item.delivery.map_or(0, DeliveryId::number);
    (item.message.number(), delivery)
}

/// Takes a replay one step further. What became due is for this node's memory, after the commit.
pub(super) async fn step(
    of: &Transaction<'_>,
    memory: &Memory,
    (holder, id): (ReplayHolder, ReplayId),
) -> Result<(Option<Replay>, Vec<LaneChange>), Fault> {
    let db = of.client();
    let Some(held) = lock(db, id).await? else {
        return Ok((None, Vec::new()));
    };
    if held.replay.status() != ReplayStatus::Running || held.holder != holder.0 {
        return Ok((None, Vec::new()));
    }
    let now = now(of, &memory.clock).await?;
    let before = held.replay;
    let mut replay = before.clone();
    let window = before.progress.window.iter();
    let window = Among::of(window.map(|handed| handed.delivery.number()));
    replay.settle(&by_id(delivery::all(db, &window).await?), now);
    let material = material(of, &replay, replay.allowance(now)).await?;
    if replay.head.plan.makes_messages()
        && !material.items.is_empty()
        && !memory.has_partitions(now)
    {
        return Err(Fault::NoPartition(now.as_millis()));
    }
    let stepped = memory
        .numbers
        .with(|mint| replay.step(&material, mint, now))?;
    remove(db, id, &material.items).await?;
    let due = writing::write(of, &material.deliveries, &stepped, now).await?;
    if replay != before {
        write(db, &replay).await?;
    }
    Ok((Some(replay), due))
}

async fn material(of: &Transaction<'_>, replay: &Replay, many: usize) -> Result<Material, Fault> {
    let db = of.client();
    let (items, more) = items(db, replay.id(), many).await?;
    if items.is_empty() {
        return Ok(Material {
            more,
            ..Material::default()
        });
    }
    let deliveries = items.iter().filter_map(|item| item.delivery);
    let deliveries = lock_all(of, deliveries.collect()).await?;
    let messages: Vec<MessageId> = items.iter().map(|item| item.message).collect();
    let present = present(db, &messages).await?;
    let parcels = if replay.head.plan.makes_messages() {
        parcels(of, &present).await?
    } else {
        HashMap::new()
    };
    Ok(Material {
        items,
        more,
        deliveries,
        present,
        parcels,
    })
}

/// What is next, and whether there is more.
async fn items(db: &Client, id: ReplayId, many: usize) -> Result<(Vec<Item>, bool), Fault> {
    let sql = "SELECT message, delivery FROM hooklatch.replay_items WHERE replay = $1 \
               ORDER BY message, delivery LIMIT $2";
    let limit = i64::try_from(many + 1).unwrap_or(i64::MAX);
    let params: [Param<'_>; 2] = [(&id.number(), Type::INT8), (&limit, Type::INT8)];
    let rows = db.query_typed(sql, &params).await?;
    let mut items = Vec::new();
    for row in rows.iter().take(many) {
        let delivery: i64 = row.try_get(1)?;
        items.push(Item {
            message: MessageId::from_number(row.try_get(0)?),
            delivery: (delivery != 0).then(|| DeliveryId::from_number(delivery)),
        });
    }
    Ok((items, rows.len() > many))
}

async fn remove(db: &Client, id: ReplayId, items: &[Item]) -> Result<(), Fault> {
    if items.is_empty() {
        return Ok(());
    }
    let (messages, deliveries): (Vec<i64>, Vec<i64>) = items.iter().map(numbers).unzip();
    let sql = "DELETE FROM hooklatch.replay_items item \
               USING unnest($2::bigint[], $3::bigint[]) taken(message, delivery) \
               WHERE item.replay = $1 AND item.message = taken.message \
                   AND item.delivery = taken.delivery";
    let params: [Param<'_>; 3] = [
        (&id.number(), Type::INT8),
        (&messages, Type::INT8_ARRAY),
        (&deliveries, Type::INT8_ARRAY),
    ];
    db.execute_typed(sql, &params).await?;
    Ok(())
}

fn by_id(deliveries: Vec<Delivery>) -> HashMap<DeliveryId, Delivery> {
    deliveries.into_iter().map(|it| (it.id, it)).collect()
}

/// Reads deliveries under lock, wherever they are. Those that move at this moment are looked for
/// in both places again.
async fn lock_all(
    of: &Transaction<'_>,
    mut ids: Vec<DeliveryId>,
) -> Result<HashMap<DeliveryId, Delivery>, Fault> {
    let mut found = HashMap::new();
    for _ in 0..3 {
        for sql in [
            select_deliveries!(
                "FROM hooklatch.deliveries_live d WHERE d.id = ANY($1) ORDER BY d.id FOR UPDATE"
            ),
            select_deliveries!(
                "FROM hooklatch.deliveries_done d WHERE d.id = ANY($1) ORDER BY d.id FOR UPDATE"
            ),
        ] {
            if ids.is_empty() {
                return Ok(found);
            }
            let numbers: Vec<i64> = ids.iter().map(|id| id.number()).collect();
            let statement = of.prepare_cached(sql).await?;
            let rows = of.query(&statement, &[&numbers]).await?;
            found.extend(by_id(delivery::decode_all(&rows)?));
            ids.retain(|id| !found.contains_key(id));
        }
    }
    Ok(found)
}

/// Which of these messages can still be sent. Locking their payloads keeps them and their history
/// until the commit, and after that the live deliveries do.
async fn present(db: &Client, messages: &[MessageId]) -> Result<HashSet<MessageId>, Fault> {
    let sql = "SELECT m.id FROM hooklatch.messages m JOIN hooklatch.payloads p ON p.id = m.id \
               WHERE m.id = ANY($1) AND m.id >= $2 AND m.id <= $3 AND p.id >= $2 AND p.id <= $3 \
                   AND p.body IS NOT NULL ORDER BY p.id FOR SHARE OF p";
    let among = Among::of(messages.iter().map(|id| id.number()));
    let rows = db.query_typed(sql, &among.params()).await?;
    let present = rows
        .iter()
        .map(|row| Ok(MessageId::from_number(row.try_get(0)?)));
    present.collect()
}

async fn parcels(
    of: &Transaction<'_>,
    present: &HashSet<MessageId>,
) -> Result<HashMap<MessageId, Parcel>, Fault> {
    let mut messages: Vec<MessageId> = present.iter().copied().collect();
    messages.sort_unstable();
    let statement = of.prepare_cached(parcel::SELECT).await?;
    let mut parcels = HashMap::new();
    for read in parcel::load_all(of.client(), &statement, &messages).await? {
        let read = read?;
        parcels.insert(read.message.id, read);
    }
    Ok(parcels)
}
