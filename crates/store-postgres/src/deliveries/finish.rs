//! Attempts that have ended: the delivery is read under lock, moved by core, and the attempt is
//! recorded either way.
//!
//! Nearly all have delivered, under the lease that they were made for. Such a delivery leaves the live
//! ones in any case, so where a whole batch is of that kind, its rows are taken out as they are read;
//! what core then says of them is written as ever.

use std::collections::HashMap;

use hooklatch_core::delivery::Delivery;
use hooklatch_core::delivery::lifecycle::{Finish, Next};
use hooklatch_core::delivery::order::turn_left;
use hooklatch_core::ids::DeliveryId;
use hooklatch_core::time::{Millis, Timestamp};
use hooklatch_store::node::LaneChange;
use hooklatch_store::record::delivery::Columns;
use hooklatch_store::{Finished, LaneReporting, Reported};
use tokio_postgres::Row;

use super::limits::reported;
use super::{AttemptRow, Delivering, Plan, PreparedFinish, Statements};
use crate::fault::{Fault, guarded};
use crate::memory::Memory;
use crate::node::Numbers;
use crate::rows::delivery::{self, delivery_columns, select_deliveries};
use crate::worker::Link;

pub(super) const LIVE: &str = select_deliveries!(
    "FROM hooklatch.deliveries_live d WHERE d.id = ANY($1) ORDER BY d.id FOR UPDATE"
);

/// Takes out what was delivered under the lease that it still has.
pub(super) const TAKE: &str = concat!(
    "DELETE FROM hooklatch.deliveries_live d \
     USING unnest($1::bigint[], $2::bigint[]) ended(id, token) \
     WHERE d.id = ended.id AND d.token = ended.token AND d.status = 1 RETURNING ",
    delivery_columns!()
);

/// For how long the end of an overtaken attempt is recorded.
const FENCED_KEPT: Millis = Millis::from_seconds(12 * 3_600);

/// The live deliveries that a batch has touched, as they stand after what it came to so far.
pub(super) type Live = HashMap<DeliveryId, Delivery>;

/// What the tasks of a batch end.
#[derive(Default)]
struct Ending {
    /// Deliveries that were made, each with the token of its attempt.
    delivered: Vec<(i64, i64)>,
    /// All others.
    others: Vec<i64>,
    /// The lanes of which something is reported.
    lanes: Vec<i64>,
}

impl Ending {
    fn of(tasks: &[Delivering]) -> Self {
        let mut ending = Self {
            lanes: reported(tasks),
            ..Self::default()
        };
        for task in tasks {
            let finish = match task {
                Delivering::Finish(task) => &task.input.finish,
                Delivering::Report(task) => &task.input.0.finish,
                Delivering::Lease(_) => continue,
            };
            let id = finish.delivery_id.number();
            match finish.next {
                Next::Deliver => ending.delivered.push((id, finish.token.number())),
                Next::Fail(_)
                | Next::Retry { .. }
                | Next::Hold(_)
                | Next::Cancel(_)
                | Next::Shift(_)
                | Next::FailOver(_) => ending.others.push(id),
            }
        }
        ending.delivered.sort_unstable();
        ending.delivered.dedup();
        ending
    }

    fn all(&self) -> Vec<i64> {
        let delivered = self.delivered.iter().map(|(id, _)| *id);
        delivered.chain(self.others.iter().copied()).collect()
    }
}

/// Begins the transaction and reads what the tasks end. Answers the database's time.
///
/// Every batch locks deliveries in one order, and then the lanes. So rows are taken out only where
/// all of them can be; a batch in which one attempt failed, or was overtaken, locks them all.
pub(super) async fn read(
    link: &mut Link<Statements>,
    memory: &Memory,
    tasks: &[Delivering],
    plan: &mut Plan,
) -> Result<(Live, Timestamp), Fault> {
    let ending = Ending::of(tasks);
    if ending.others.is_empty()
        && let Some(read) = take_all(link, memory, &ending, plan).await?
    {
        return Ok(read);
    }
    lock_all(link, memory, &ending, plan).await
}

/// Takes everything out that was delivered; or nothing, where a part of it is not there.
async fn take_all(
    link: &mut Link<Statements>,
    memory: &Memory,
    ending: &Ending,
    plan: &mut Plan,
) -> Result<Option<(Live, Timestamp)>, Fault> {
    let batch = link.next_batch();
    let (now, taken, health) = tokio::join!(
        biased;
        link.begin(batch, &memory.clock),
        take(link, &ending.delivered),
        health(link, &ending.lanes),
    );
    let (now, taken, health) = (now?, taken?, health?);
    if taken.len() < ending.delivered.len() {
        link.client.batch_execute("ROLLBACK").await?;
        return Ok(None);
    }
    plan.notes.read(&health)?;
    plan.taken = taken.iter().map(|delivery| delivery.id).collect();
    Ok(Some((by_id(taken), now)))
}

async fn lock_all(
    link: &mut Link<Statements>,
    memory: &Memory,
    ending: &Ending,
    plan: &mut Plan,
) -> Result<(Live, Timestamp), Fault> {
    let batch = link.next_batch();
    let (now, locked, health) = tokio::join!(
        biased;
        link.begin(batch, &memory.clock),
        lock(link, ending.all()),
        health(link, &ending.lanes),
    );
    let now = now?;
    plan.notes.read(&health?)?;
    Ok((by_id(locked?), now))
}

fn by_id(deliveries: Vec<Delivery>) -> Live {
    let deliveries = deliveries.into_iter();
    deliveries.map(|delivery| (delivery.id, delivery)).collect()
}

async fn health(link: &Link<Statements>, lanes: &[i64]) -> Result<Vec<Row>, Fault> {
    if lanes.is_empty() {
        return Ok(Vec::new());
    }
    let statement = &link.statements.health;
    Ok(link.client.query(statement, &[&lanes]).await?)
}

async fn take(link: &Link<Statements>, ended: &[(i64, i64)]) -> Result<Vec<Delivery>, Fault> {
    if ended.is_empty() {
        return Ok(Vec::new());
    }
    let ids: Vec<i64> = ended.iter().map(|(id, _)| *id).collect();
    let tokens: Vec<i64> = ended.iter().map(|(_, token)| *token).collect();
    let statement = &link.statements.take;
    let taken = link.client.query(statement, &[&ids, &tokens]).await?;
    delivery::decode_all(&taken)
}

async fn lock(link: &Link<Statements>, ids: Vec<i64>) -> Result<Vec<Delivery>, Fault> {
    if ids.is_empty() {
        return Ok(Vec::new());
    }
    let statement = &link.statements.live;
    let locked = link.client.query(statement, &[&ids]).await?;
    delivery::decode_all(&locked)
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
        for id in &plan.taken {
            let status = live[id].state.status();
            assert!(
                status.is_final(),
                "INV-4: {id} was taken out, and is {status:?}"
            );
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
