//! Taking a replay forward: its plan page by page, and then its deliveries step by step.

use std::collections::{HashMap, HashSet};

use hooklatch_core::delivery::Delivery;
use hooklatch_core::delivery::attempt::AttemptOutcome;
use hooklatch_core::ids::{DeliveryId, MessageId, ReplayId};
use hooklatch_core::message::Parcel;
use hooklatch_core::replay::{Item, Made, Material, Replay, ReplayStatus, Stepped};
use hooklatch_store::record::{Code, envelope};
use hooklatch_store::{PlanStep, ReplayHolder};
use rusqlite::{Connection, OptionalExtension, params};

use super::{find, write};
use crate::admit::write_message;
use crate::fault::Fault;
use crate::history;
use crate::order;
use crate::rows::delivery;
use crate::rows::payload::{self, EnvelopeAt};
use crate::writer::Batch;

/// How the last attempt of each delivery ended.
pub(super) fn last_outcomes(
    db: &Connection,
    deliveries: &[DeliveryId],
) -> Result<HashMap<DeliveryId, AttemptOutcome>, Fault> {
    let sql = "SELECT outcome FROM attempts INDEXED BY attempts_delivery WHERE delivery = ?1 \
               ORDER BY id DESC LIMIT 1";
    let mut statement = db.prepare_cached(sql)?;
    let mut outcomes = HashMap::new();
    for id in deliveries {
        let code: Option<i64> = statement
            .query_row([id.number()], |row| row.get(0))
            .optional()?;
        if let Some(code) = code {
            outcomes.insert(*id, Code::of_code(code)?);
        }
    }
    Ok(outcomes)
}

/// Takes a plan one page further.
pub(super) fn plan(
    batch: &mut Batch<'_>,
    (holder, step): &(ReplayHolder, PlanStep),
) -> Result<Option<Replay>, Fault> {
    let Some(mut held) = find(batch.db, step.id)? else {
        return Ok(None);
    };
    let current =
        held.replay.status() == ReplayStatus::Planning && held.replay.progress.below == step.below;
    if !current || held.holder != holder.0 {
        return Ok(None);
    }
    let sql = "INSERT OR IGNORE INTO replay_items VALUES (?1, ?2, ?3)";
    let mut statement = batch.db.prepare_cached(sql)?;
    for item in &step.found.items {
        let delivery = item.delivery.map_or(0, DeliveryId::number);
        statement.execute([step.id.number(), item.message.number(), delivery])?;
    }
    held.replay.planned(&step.found, step.next, batch.now);
    write(batch.db, &held.replay)?;
    Ok(Some(held.replay))
}

/// Takes a replay one step further.
pub(super) fn step(
    batch: &mut Batch<'_>,
    (holder, id): &(ReplayHolder, ReplayId),
) -> Result<Option<Replay>, Fault> {
    let Some(held) = find(batch.db, *id)? else {
        return Ok(None);
    };
    if held.replay.status() != ReplayStatus::Running || held.holder != holder.0 {
        return Ok(None);
    }
    let before = held.replay;
    let mut replay = before.clone();
    let mut known = HashMap::new();
    for handed in &before.progress.window {
        if let Some(delivery) = delivery::load(batch.db, handed.delivery)? {
            known.insert(delivery.id, delivery);
        }
    }
    replay.settle(&known, batch.now);
    let material = material(batch, &replay)?;
    let stepped = replay.step(&material, batch.mint, batch.now);
    write_stepped(batch, &replay, &material.items, stepped)?;
    if replay != before {
        write(batch.db, &replay)?;
    }
    Ok(Some(replay))
}

fn material(batch: &Batch<'_>, replay: &Replay) -> Result<Material, Fault> {
    let many = replay.allowance(batch.now);
    let (items, more) = items(batch.db, replay.id(), many)?;
    let mut material = Material {
        more,
        present: present(batch.db, &items)?,
        ..Material::default()
    };
    for item in &items {
        if let Some(id) = item.delivery
            && let Some(found) = delivery::load(batch.db, id)?
        {
            material.deliveries.insert(id, found);
        }
        if replay.head.plan.makes_messages()
            && material.present.contains(&item.message)
            && let Some(parcel) = history::parcel(batch.db, item.message)?
        {
            material.parcels.insert(item.message, parcel);
        }
    }
    material.items = items;
    Ok(material)
}

/// What is next, and whether there is more.
fn items(db: &Connection, id: ReplayId, many: usize) -> Result<(Vec<Item>, bool), Fault> {
    let sql = "SELECT message, delivery FROM replay_items WHERE replay = ?1 \
               ORDER BY message, delivery LIMIT ?2";
    let mut statement = db.prepare_cached(sql)?;
    let limit = i64::try_from(many + 1).unwrap_or(i64::MAX);
    let mut rows = statement.query([id.number(), limit])?;
    let mut items = Vec::new();
    while let Some(row) = rows.next()? {
        let delivery: i64 = row.get(1)?;
        items.push(Item {
            message: MessageId::from_number(row.get(0)?),
            delivery: (delivery != 0).then(|| DeliveryId::from_number(delivery)),
        });
    }
    let more = items.len() > many;
    items.truncate(many);
    Ok((items, more))
}

fn present(db: &Connection, items: &[Item]) -> Result<HashSet<MessageId>, Fault> {
    let sql = "SELECT 1 FROM payloads WHERE id = ?1 AND body IS NOT NULL";
    let mut statement = db.prepare_cached(sql)?;
    let mut present = HashSet::new();
    for item in items {
        if statement.exists([item.message.number()])? {
            present.insert(item.message);
        }
    }
    Ok(present)
}

fn write_stepped(
    batch: &mut Batch<'_>,
    replay: &Replay,
    taken: &[Item],
    stepped: Stepped,
) -> Result<(), Fault> {
    let sql = "DELETE FROM replay_items WHERE replay = ?1 AND message = ?2 AND delivery = ?3";
    for item in taken {
        let delivery = item.delivery.map_or(0, DeliveryId::number);
        let row = [replay.id().number(), item.message.number(), delivery];
        batch.db.prepare_cached(sql)?.execute(row)?;
    }
    for moved in stepped.moved {
        if !moved.state.status().is_final() {
            note(batch.db, &moved)?;
        }
        if moved.order_key.is_none() {
            delivery::update(batch.db, &moved)?;
            if let Some(due) = moved.next_attempt_at() {
                batch.due(moved.lane(), due);
            }
            continue;
        }
        let before = delivery::load(batch.db, moved.id)?;
        let before = before.ok_or_else(|| Fault::unreadable(format!("{} is gone", moved.id)))?;
        order::moved(batch, &before, moved)?;
    }
    for made in &stepped.made {
        write_made(batch, made)?;
    }
    Ok(())
}

fn write_made(batch: &mut Batch<'_>, made: &Made) -> Result<(), Fault> {
    let Parcel {
        message,
        envelope,
        body,
    } = &made.parcel;
    write_message(batch, message, std::slice::from_ref(&made.delivery))?;
    let text = envelope::encode(envelope);
    let place = EnvelopeAt::Here(&text);
    payload::insert(batch.db, message.id.number(), place, Some(body))?;
    note(batch.db, &made.delivery)
}

/// Notes by which replay a delivery is sent.
fn note(db: &Connection, delivery: &Delivery) -> Result<(), Fault> {
    let sql = "INSERT OR REPLACE INTO replayed VALUES (?1, ?2)";
    let replay = delivery.replay_id.map(ReplayId::number);
    db.prepare_cached(sql)?
        .execute(params![delivery.id.number(), replay])?;
    Ok(())
}
