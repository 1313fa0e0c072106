//! Deliveries: leased lane by lane, finished, commanded.

use std::collections::HashMap;
use std::sync::Arc;

use hooklatch_core::delivery::lifecycle::{Command, CommandRefused, Finish};
use hooklatch_core::delivery::{Delivery, Lane};
use hooklatch_core::ids::{AttemptId, DeliveryId, MessageId, ProjectId};
use hooklatch_core::message::Parcel;
use hooklatch_core::time::{Millis, Timestamp};
use hooklatch_store::node::LaneChange;
use hooklatch_store::record::attempt::encode_meta;
use hooklatch_store::{Commanded, FinishAttempt, Finished, Lease, LeaseRequest, Leases, Terms};
use rusqlite::Connection;

use crate::due;
use crate::fault::Fault;
use crate::history;
use crate::lanes::{self, Held};
use crate::order;
use crate::rows::attempt::{self, Applied};
use crate::rows::delivery::{self, select};
use crate::rows::payload;
use crate::stats::{note_late, note_replaced};
use crate::writer::Batch;

/// How soon a lane has its turn that left this one to its sibling.
const SIBLING: Millis = Millis::new(20);

/// A lane's part in one pass.
struct Turn {
    lane: Lane,
    span: Millis,
    room: usize,
    limit: Limit,
    held: Option<Held>,
    taken: usize,
    /// When the first of those is due that are not due yet.
    next: Option<Timestamp>,
}

/// What limits a lane's part.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Limit {
    /// The capacity of whoever asks, who will ask again.
    Capacity,
    /// The live leases of everybody.
    Live,
}

/// One pass over what is due.
struct Pass {
    leases: Leases,
    remaining: usize,
    /// Parcels that had to be read.
    read: HashMap<MessageId, Arc<Parcel>>,
}

impl Pass {
    fn soonest(&mut self, wait: Millis) {
        let known = self.leases.next_due_in;
        self.leases.next_due_in = Some(known.map_or(wait, |known| known.min(wait)));
    }
}

/// Leases what is due: the oldest first within a lane, and an equal share to each lane.
pub(crate) fn lease(batch: &mut Batch<'_>, request: &LeaseRequest) -> Result<Leases, Fault> {
    let mut pass = Pass {
        leases: Leases::default(),
        remaining: request.limit,
        read: HashMap::new(),
    };
    let mut turns = begin_turns(batch, request, &mut pass)?;
    while pass.remaining > 0 && !turns.is_empty() {
        let share = (pass.remaining / turns.len()).max(1);
        let mut unfinished = Vec::new();
        for mut turn in turns {
            if pass.remaining == 0 || !serve(batch, &mut pass, &mut turn, share)? {
                unfinished.push(turn);
            } else {
                settle(batch, &mut pass, &turn)?;
            }
        }
        turns = unfinished;
    }
    if !turns.is_empty() {
        pass.soonest(Millis::ZERO);
    }
    for turn in &turns {
        settle(batch, &mut pass, turn)?;
    }
    look_ahead(batch, &mut pass)?;
    Ok(pass.leases)
}

/// Takes from the lane's bucket what its turn has leased.
fn settle(batch: &mut Batch<'_>, pass: &mut Pass, turn: &Turn) -> Result<(), Fault> {
    if let Some(held) = &turn.held
        && let Some(wait) = lanes::take(batch, turn.lane, held, turn.taken)?
    {
        pass.soonest(wait);
    }
    Ok(())
}

fn begin_turns(
    batch: &mut Batch<'_>,
    request: &LeaseRequest,
    pass: &mut Pass,
) -> Result<Vec<Turn>, Fault> {
    let mut turns = Vec::new();
    for lane in batch.memory.lanes.due(batch.now) {
        let terms = request.terms.terms(lane);
        if terms.capacity == 0 {
            continue;
        }
        let held = lanes::held(batch, request, lane)?;
        if let Some(wait) = Held::wait(held.as_ref()) {
            pass.soonest(wait);
            let deferred = LaneChange::deferred(lane, wait, batch.now);
            batch.effects.lanes.push(deferred);
            continue;
        }
        let sibling = |turn: &Turn| turn.lane == lane.sibling() && turn.held.is_some();
        if held.is_some() && turns.iter().any(sibling) {
            // They share one bucket, and take turns at it.
            pass.soonest(SIBLING);
            continue;
        }
        let terms = Held::within(held.as_ref(), terms);
        let (room, limit) = room(batch, lane, terms, Held::most(held.as_ref()))?;
        let next = due::first_after(batch.db, lane, batch.now)?;
        if room == 0 {
            // Among what comes next is the end of the first lease.
            if let Some(next) = next {
                pass.soonest(next.since(batch.now));
            }
            continue;
        }
        turns.push(Turn {
            lane,
            span: terms.span,
            room,
            limit,
            held,
            taken: 0,
            next,
        });
    }
    if let Some(until) = batch.memory.lanes.first_deferred(batch.now) {
        pass.soonest(until.since(batch.now));
    }
    Ok(turns)
}

/// How many of a lane's deliveries may be leased, and why no more.
fn room(batch: &Batch<'_>, lane: Lane, terms: Terms, most: usize) -> Result<(usize, Limit), Fault> {
    let capacity = terms.capacity.min(most);
    if terms.live_max == usize::MAX {
        return Ok((capacity, Limit::Capacity));
    }
    let room = terms.live_max - live_in(batch.db, lane, batch.now, terms.live_max)?;
    if room < capacity {
        Ok((room, Limit::Live))
    } else {
        Ok((capacity, Limit::Capacity))
    }
}

/// The live leases of a lane; no more than `max` of them are counted.
fn live_in(db: &Connection, lane: Lane, now: Timestamp, max: usize) -> Result<usize, Fault> {
    let sql = "SELECT COUNT(*) FROM (SELECT 1 FROM deliveries INDEXED BY deliveries_live \
               WHERE status = 1 AND lane = ?1 AND at > ?2 LIMIT ?3)";
    let max = i64::try_from(max).unwrap_or(i64::MAX);
    let mut statement = db.prepare_cached(sql)?;
    let live: i64 = statement.query_row([lane.0, now.as_millis(), max], |row| row.get(0))?;
    Ok(usize::try_from(live).unwrap_or(0))
}

/// Leases up to `share` deliveries of a lane; answers whether the lane has had all it may have.
fn serve(
    batch: &mut Batch<'_>,
    pass: &mut Pass,
    turn: &mut Turn,
    share: usize,
) -> Result<bool, Fault> {
    let wanted = share.min(turn.room - turn.taken).min(pass.remaining);
    let due = due_in(batch.db, turn.lane, batch.now, wanted)?;
    let got = due.len();
    for delivery in &due {
        let lease = lease_one(batch, pass, delivery, turn)?;
        pass.leases.leased.push(lease);
    }
    turn.taken += got;
    pass.remaining -= got;
    if got > 0 {
        batch.effects.lanes.push(LaneChange::Served(turn.lane));
    }
    if got < wanted {
        // The lane is empty but for what is due later and for the leases of this pass.
        let until = (turn.taken > 0).then(|| batch.now + turn.span);
        let known = turn.next.into_iter().chain(until).min();
        batch
            .effects
            .lanes
            .push(LaneChange::Known(turn.lane, known));
        if let Some(next) = turn.next {
            pass.soonest(next.since(batch.now));
        }
        return Ok(true);
    }
    let full = turn.taken == turn.room;
    if full && turn.limit == Limit::Live {
        let first_end = batch.now + turn.span;
        let next = turn.next.map_or(first_end, |next| next.min(first_end));
        pass.soonest(next.since(batch.now));
    }
    Ok(full)
}

fn lease_one(
    batch: &mut Batch<'_>,
    pass: &mut Pass,
    delivery: &Delivery,
    turn: &Turn,
) -> Result<Lease, Fault> {
    let attempt_id = AttemptId::from_number(batch.mint.next(batch.now));
    let leasing = delivery.lease(attempt_id, batch.now, turn.span);
    let leasing = leasing.expect("what is due can be leased");
    delivery::update(batch.db, &leasing.delivery)?;
    let lost_before = leasing.lost.is_some();
    if let Some(lost) = leasing.lost {
        attempt::insert(batch.db, &lost, &encode_meta(&lost))?;
        note_late(batch.db, &lost, batch.now)?;
    }
    let parcel = parcel(batch, pass, delivery.message_id)?;
    batch.effects.leased.push(delivery.message_id);
    Ok(Lease {
        delivery: leasing.delivery,
        lost_before,
        passage: Held::passage(turn.held.as_ref()),
        parcel,
    })
}

fn parcel(batch: &Batch<'_>, pass: &mut Pass, id: MessageId) -> Result<Arc<Parcel>, Fault> {
    if let Some(parcel) = batch
        .memory
        .parcels
        .get(id)
        .or_else(|| batch.effects.admitted(id))
    {
        return Ok(parcel);
    }
    if let Some(parcel) = pass.read.get(&id) {
        return Ok(Arc::clone(parcel));
    }
    let parcel = history::parcel(batch.db, id)?;
    let parcel = parcel.ok_or_else(|| Fault::unreadable(format!("{id} is gone")))?;
    let parcel = Arc::new(parcel);
    pass.read.insert(id, Arc::clone(&parcel));
    Ok(parcel)
}

/// Finds out how long nothing is due in the lanes that were not served.
fn look_ahead(batch: &mut Batch<'_>, pass: &mut Pass) -> Result<(), Fault> {
    for (bound, lane) in batch.memory.lanes.waiting(batch.now) {
        let wait = bound.since(batch.now);
        if pass.leases.next_due_in.is_some_and(|known| known <= wait) {
            break;
        }
        // What this batch has made due just now counts as well: the bound that is set here comes
        // after the one that was set then.
        let first = due::first_of(batch.db, lane)?;
        if let Some(first) = first {
            pass.soonest(first.since(batch.now).max(Millis::ZERO));
        }
        if first != Some(bound) {
            // The bound was of something that is done by now.
            batch.effects.lanes.push(LaneChange::Known(lane, first));
        }
    }
    Ok(())
}

fn due_in(
    db: &Connection,
    lane: Lane,
    now: Timestamp,
    limit: usize,
) -> Result<Vec<Delivery>, Fault> {
    let sql = select!(
        "INDEXED BY deliveries_due WHERE status <= 1 AND lane = ?1 AND at <= ?2 \
         ORDER BY at, status, id LIMIT ?3"
    );
    let mut statement = db.prepare_cached(sql)?;
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let mut rows = statement.query([lane.0, now.as_millis(), limit])?;
    let mut due = Vec::new();
    while let Some(row) = rows.next()? {
        due.push(delivery::decode(row)?);
    }
    Ok(due)
}

/// The end of an attempt with its record as it is stored.
pub(crate) struct PreparedFinish {
    finish: FinishAttempt,
    meta: Option<String>,
}

impl PreparedFinish {
    /// Makes what can be made before the writer's turn.
    pub(crate) fn new(finish: FinishAttempt) -> Self {
        let meta = finish.attempt.as_ref().map(encode_meta);
        Self { finish, meta }
    }

    /// Roughly how many bytes this keeps in memory.
    pub(crate) fn bytes(&self) -> usize {
        let answer = self
            .finish
            .attempt
            .as_ref()
            .map(|it| it.response_body.len());
        answer.unwrap_or(0) + self.meta.as_ref().map_or(0, String::len)
    }
}

/// Records an attempt and moves its delivery.
pub(crate) fn finish(batch: &mut Batch<'_>, prepared: &PreparedFinish) -> Result<Finished, Fault> {
    let finish = &prepared.finish;
    let Some(delivery) = delivery::load(batch.db, finish.delivery_id)? else {
        return Ok(Finished::Fenced);
    };
    let attempted = finish.attempt.is_some();
    let moved = delivery.finish(finish.token, attempted, finish.next, batch.now);
    let applied = match &moved {
        Finish::Applied(_) => Applied::Yes,
        Finish::Fenced => Applied::Fenced,
    };
    if let (Some(attempt), Some(meta)) = (&finish.attempt, &prepared.meta) {
        match applied {
            Applied::Yes => {
                attempt::insert(batch.db, attempt, meta)?;
                note_late(batch.db, attempt, batch.now)?;
            }
            Applied::Fenced => {
                note_replaced(batch.db, attempt, batch.now)?;
                attempt::replace(batch.db, attempt, meta)?;
            }
        }
    }
    match moved {
        Finish::Fenced => Ok(Finished::Fenced),
        Finish::Applied(moved) => {
            if moved.is_elsewhere_than(&delivery) {
                delivery::place(batch.db, &moved)?;
            }
            Ok(Finished::Applied(order::moved(batch, &delivery, moved)?))
        }
    }
}

/// Carries out what a person asks of a delivery.
pub(crate) fn command(
    batch: &mut Batch<'_>,
    (project, id, command): &(ProjectId, DeliveryId, Command),
) -> Result<Commanded, Fault> {
    let found = delivery::load(batch.db, *id)?;
    let Some(delivery) = found.filter(|delivery| delivery.project_id == *project) else {
        return Ok(Commanded::NotFound);
    };
    match delivery.command(*command, batch.now) {
        Err(refused) => Ok(Commanded::Refused(refused)),
        Ok(moved) if !moved.state.status().is_final() && !payload::is_kept(batch.db, &moved)? => {
            Ok(Commanded::Refused(CommandRefused::HistoryDropped))
        }
        Ok(moved) => Ok(Commanded::Done(order::moved(batch, &delivery, moved)?)),
    }
}
