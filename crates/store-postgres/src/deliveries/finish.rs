//! Attempts that have ended: the delivery is read under lock, moved by core, and the attempt is
//! recorded either way.

use std::collections::HashMap;

use hooklatch_core::delivery::Delivery;
use hooklatch_core::delivery::lifecycle::Finish;
use hooklatch_core::delivery::order::turn_left;
use hooklatch_core::ids::DeliveryId;
use hooklatch_core::time::{Millis, Timestamp};
use hooklatch_store::node::LaneChange;
use hooklatch_store::record::delivery::Columns;
use hooklatch_store::{Finished, LaneReporting, Reported};

use super::limits::reported;
use super::{AttemptRow, Delivering, Plan, PreparedFinish, Statements, guarded};
use crate::fault::Fault;
use crate::memory::Memory;
use crate::node::Numbers;
use crate::rows::delivery::{self, select_deliveries};
use crate::worker::Link;

pub(super) const LIVE: &str = select_deliveries!(
    "FROM hooklatch.deliveries_live d WHERE d.id = ANY($1) ORDER BY d.id FOR UPDATE"
);

/// For how long the end of an overtaken attempt is recorded.
const FENCED_KEPT: Millis = Millis::from_seconds(12 * 3_600);

/// The live deliveries that a batch has touched, as they stand after what it came to so far.
pub(super) type Live = HashMap<DeliveryId, Delivery>;

/// Begins the transaction and reads what the tasks end. Answers the database's time.
pub(super) async fn read(
    link: &mut Link<Statements>,
    memory: &Memory,
    tasks: &[Delivering],
    plan: &mut Plan,
) -> Result<(Live, Timestamp), Fault> {
    let batch = link.next_batch();
    let mut ids: Vec<i64> = Vec::new();
    for task in tasks {
        match task {
            Delivering::Finish(task) => ids.push(task.input.finish.delivery_id.number()),
            Delivering::Report(task) => ids.push(task.input.0.finish.delivery_id.number()),
            Delivering::Lease(_) => {}
        }
    }
    let lanes = reported(tasks);
    let health = async {
        if lanes.is_empty() {
            return Ok(Vec::new());
        }
        link.client.query(&link.statements.health, &[&lanes]).await
    };
    let rows = async {
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        link.client.query(&link.statements.live, &[&ids]).await
    };
    let (now, rows, health) = tokio::join!(biased; link.begin(batch, &memory.clock), rows, health);
    let now = now?;
    plan.notes.read(&health?)?;
    let live = delivery::decode_all(&rows?)?;
    let live = live.into_iter().map(|delivery| (delivery.id, delivery));
    Ok((live.collect(), now))
}

/// Decides on every end, in order.
pub(super) fn decide_all(
    live: &mut Live,
    tasks: &[Delivering],
    now: Timestamp,
    plan: &mut Plan,
    numbers: &Numbers,
) -> Result<Vec<Reported>, Fault> {
    guarded(|| {
        let mut finished = Vec::new();
        for task in tasks {
            match task {
                Delivering::Finish(task) => finished.push(Reported {
                    finished: finish(live, &task.input, now, plan),
                    events: Vec::new(),
                }),
                Delivering::Report(task) => {
                    let (prepared, reporting) = &*task.input;
                    let ended = finish(live, prepared, now, plan);
                    finished.push(report(ended, reporting, now, plan, numbers)?);
                }
                Delivering::Lease(_) => {}
            }
        }
        Ok(finished)
    })?
}

/// Notes what an attempt that counted says of its lane.
fn report(
    finished: Finished,
    reporting: &LaneReporting,
    now: Timestamp,
    plan: &mut Plan,
    numbers: &Numbers,
) -> Result<Reported, Fault> {
    if finished == Finished::Fenced {
        let events = Vec::new();
        return Ok(Reported { finished, events });
    }
    let lane = reporting.lane;
    let events = numbers.with(|mint| {
        let number = || mint.next(now);
        plan.notes.report(reporting, now, number)
    })?;
    if plan.notes.is_open(lane) || !events.is_empty() {
        // A probe that has ended makes room for the next, or for everything.
        plan.due.push(LaneChange::Due(lane, now));
    }
    Ok(Reported { finished, events })
}

fn finish(live: &mut Live, prepared: &PreparedFinish, now: Timestamp, plan: &mut Plan) -> Finished {
    let finish = &prepared.finish;
    let attempted = finish.attempt.is_some();
    let moved = match live.get(&finish.delivery_id) {
        Some(delivery) => {
            let moved = delivery.finish(finish.token, attempted, finish.next, now);
            if let Finish::Applied(moved) = &moved
                && moved.is_elsewhere_than(delivery)
            {
                plan.placed.push(Columns::of_new(moved));
            }
            moved
        }
        // It has ended, or was never there.
        None => Finish::Fenced,
    };
    let row = finish.attempt.clone().zip(prepared.meta.clone());
    let row = row.map(|(attempt, meta)| AttemptRow { attempt, meta });
    match moved {
        Finish::Fenced => {
            // One that comes days too late may find the history of its time dropped.
            let late = |row: &AttemptRow| now.since(row.attempt.started_at) > FENCED_KEPT;
            plan.fenced.extend(row.filter(|row| !late(row)));
            Finished::Fenced
        }
        Finish::Applied(moved) => {
            plan.attempts.extend(row);
            let before = &live[&finish.delivery_id];
            plan.left.extend(turn_left(before, &moved));
            apply(live, &moved, plan);
            Finished::Applied(moved)
        }
    }
}

fn apply(live: &mut Live, moved: &Delivery, plan: &mut Plan) {
    if let Some(due) = moved.next_attempt_at() {
        plan.due.push(LaneChange::Due(moved.lane(), due));
    }
    if moved.state.status().is_final() {
        plan.done.push(Columns::of_new(moved));
    } else {
        plan.moved.push(Columns::of_new(moved));
    }
    // A second end in the same batch meets it as it is now.
    live.insert(moved.id, moved.clone());
}
