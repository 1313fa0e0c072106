//! Leases what is due: the oldest first within a lane, and an equal share to each lane.
//!
//! Nobody waits for another node: a row that another one is leasing is passed over, and so is a
//! lane whose leases another node is counting at this moment.

use std::collections::HashMap;
use std::sync::Arc;

use hooklatch_core::delivery::control::Passage;
use hooklatch_core::delivery::{Delivery, Lane};
use hooklatch_core::ids::{AttemptId, MessageId};
use hooklatch_core::message::Parcel;
use hooklatch_core::time::{Millis, Timestamp};
use hooklatch_store::node::{FULL_WAIT_MIN, LaneChange};
use hooklatch_store::record::attempt;
use hooklatch_store::record::delivery::Columns;
use hooklatch_store::{Lease, LeaseRequest, Leases, Terms};
use tokio_postgres::types::ToSql;

use super::finish::Live;
use super::lanes::{Ahead, next_of, time_at};
use super::limits::Held;
use super::{AttemptRow, Plan, Statements};
use crate::fault::{Fault, guarded};
use crate::memory::Memory;
use crate::rows::delivery;
use crate::rows::parcel;
use crate::worker::{BY_VALUE, Link};

/// Lanes that are served in one pass.
const LANES_MAX: usize = 256;
/// How often a pass asks for more, where lanes left a part of their share.
const ROUNDS: usize = 4;
/// How soon a lane that another node was counting is looked at again.
const BUSY: Millis = Millis::new(20);
/// How soon a pass follows one that had to leave something that is due.
const LEFT: Millis = Millis::from_seconds(1);
/// A lane's part in one pass.
pub(super) struct Turn {
    pub lane: Lane,
    pub terms: Terms,
    taken: usize,
}

/// One pass over what is due.
pub(super) struct Pass<'a> {
    pub link: &'a Link<Statements>,
    pub memory: &'a Memory,
    pub now: Timestamp,
    live: &'a mut Live,
    pub plan: &'a mut Plan,
    taken: &'a mut Taken,
    pub found: Vec<(Delivery, Millis)>,
    pub held: HashMap<Lane, Held>,
    /// What is due and cannot be read here.
    unreadable: usize,
    pub next_due_in: Option<Millis>,
}

/// What a batch has taken from lanes so far: it is not written yet, so the database would give it
/// again.
#[derive(Default)]
pub(super) struct Taken {
    ids: Vec<i64>,
    in_lane: HashMap<Lane, usize>,
}

impl<'a> Pass<'a> {
    /// A pass inside a batch.
    pub(super) fn new(
        link: &'a Link<Statements>,
        memory: &'a Memory,
        now: Timestamp,
        live: &'a mut Live,
        plan: &'a mut Plan,
        taken: &'a mut Taken,
    ) -> Self {
        Self {
            link,
            memory,
            now,
            live,
            plan,
            taken,
            found: Vec::new(),
            held: HashMap::new(),
            unreadable: 0,
            next_due_in: None,
        }
    }

    /// Leases what is due.
    pub(super) async fn lease(mut self, request: &LeaseRequest) -> Result<Leases, Fault> {
        self.look_for_others().await?;
        let mut turns = self.turns(request).await?;
        self.hold(request, &mut turns).await?;
        self.serve(turns, request.limit).await?;
        self.settle();
        self.look_ahead().await?;
        let parcels = self.parcels().await?;
        self.take(&parcels)
    }

    pub(super) fn soonest(&mut self, wait: Millis) {
        let wait = wait.max(Millis::ZERO);
        self.next_due_in = Some(self.next_due_in.map_or(wait, |known| known.min(wait)));
    }

    /// Takes over what other nodes may have put into lanes.
    async fn look_for_others(&mut self) -> Result<(), Fault> {
        if !self.memory.take_stale() {
            return Ok(());
        }
        let rows = self.link.client.query(&self.link.statements.lanes, &[]);
        let mut changes = Vec::new();
        for row in rows.await? {
            let first = time_at(&row, 1)?;
            if first < Timestamp::NEVER {
                changes.push(LaneChange::Due(Lane(row.try_get(0)?), first));
            }
        }
        // Hints only, so they need not wait for the commit.
        self.memory.hint(&changes);
        Ok(())
    }

    /// The lanes in which something is due and that have room, as far as they are ours to count.
    async fn turns(&mut self, request: &LeaseRequest) -> Result<Vec<Turn>, Fault> {
        let due = self.memory.lanes(|lanes| lanes.due(self.now));
        let mut turns = Vec::new();
        for lane in due {
            let terms = request.terms.terms(lane);
            if terms.capacity == 0 {
                continue;
            }
            if turns.len() == LANES_MAX {
                // The others have their turn right after.
                self.soonest(Millis::ZERO);
                break;
            }
            turns.push(Turn {
                lane,
                terms,
                taken: 0,
            });
        }
        let mut counted: Vec<i64> = turns.iter().map(|turn| turn.lane.0).collect();
        if counted.is_empty() {
            return Ok(turns);
        }
        counted.sort_unstable();
        let statement = &self.link.statements.try_lanes;
        let places: Vec<i64> = counted
            .iter()
            .map(|lane| Lane(*lane).for_live().0)
            .collect();
        let rows = self
            .link
            .client
            .query(statement, &[&counted, &places])
            .await?;
        let ours: Vec<i64> = rows.iter().map(|row| row.get(0)).collect();
        if ours.len() < turns.len() {
            self.soonest(BUSY);
        }
        turns.retain(|turn| ours.contains(&turn.lane.0));
        Ok(turns)
    }

    /// Gives each lane its share, and what others leave of theirs.
    async fn serve(&mut self, mut turns: Vec<Turn>, limit: usize) -> Result<(), Fault> {
        let mut remaining = limit;
        for _ in 0..ROUNDS {
            if remaining == 0 || turns.is_empty() {
                break;
            }
            turns.truncate(remaining);
            let share = (remaining / turns.len()).max(1);
            let before = remaining;
            turns = self.round(turns, share, &mut remaining).await?;
            if before == remaining {
                break;
            }
        }
        if !turns.is_empty() {
            self.soonest(Millis::ZERO);
        }
        Ok(())
    }

    /// Serves every lane once. Answers those that have had all they asked for and may have more.
    async fn round(
        &mut self,
        turns: Vec<Turn>,
        share: usize,
        remaining: &mut usize,
    ) -> Result<Vec<Turn>, Fault> {
        let wanted = |turn: &Turn| share.min(turn.terms.capacity - turn.taken);
        let many: Vec<i64> = turns.iter().map(|turn| count(wanted(turn))).collect();
        let (due, next) = self.ask(&turns, &many).await?;
        let mut found: HashMap<Lane, Vec<Delivery>> = HashMap::new();
        for delivery in due {
            found.entry(delivery.lane()).or_default().push(delivery);
        }
        let mut unfinished = Vec::new();
        for mut turn in turns {
            let asked = wanted(&turn);
            let got = found.remove(&turn.lane).unwrap_or_default();
            turn.taken += got.len();
            *remaining = remaining.saturating_sub(got.len());
            let ahead = next.get(&turn.lane).copied().unwrap_or_default();
            if self.note(&turn, asked, got, ahead) {
                unfinished.push(turn);
            }
        }
        Ok(unfinished)
    }

    /// What is due in these lanes, at most so many each, and what lies ahead there.
    async fn ask(
        &mut self,
        turns: &[Turn],
        many: &[i64],
    ) -> Result<(Vec<Delivery>, HashMap<Lane, Ahead>), Fault> {
        let lanes: Vec<i64> = turns.iter().map(|turn| turn.lane.0).collect();
        let most = turns.iter().map(|turn| {
            let taken = self.taken.in_lane.get(&turn.lane).copied();
            count(turn.terms.live_max) - count(taken.unwrap_or_default())
        });
        let most: Vec<i64> = most.collect();
        let now = self.now.as_millis();
        let after = vec![now; lanes.len()];
        let statements = &self.link.statements;
        let params: [&(dyn ToSql + Sync); 5] = [&lanes, &many, &most, &now, &self.taken.ids];
        let next: [&(dyn ToSql + Sync); 2] = [&lanes, &after];
        let (due, next) = tokio::join!(
            biased;
            self.link.client.query(&statements.due, &params),
            self.link.client.query(&statements.next, &next),
        );
        let mut readable = Vec::new();
        for row in due? {
            match delivery::decode(&row) {
                Ok(delivery) => readable.push(delivery),
                Err(fault) => self.leave(&fault),
            }
        }
        Ok((readable, next_of(&next?)?))
    }

    /// Leaves something to a node that can read it: one row must not stop all others.
    fn leave(&mut self, fault: &Fault) {
        self.unreadable += 1;
        tracing::error!(%fault, "a delivery that is due cannot be read; it is left as it is");
    }

    /// Takes over what a lane gave; answers whether it may give more.
    fn note(&mut self, turn: &Turn, asked: usize, got: Vec<Delivery>, ahead: Ahead) -> bool {
        let many = got.len();
        let span = turn.terms.span;
        let in_lane = self.taken.in_lane.entry(turn.lane).or_default();
        *in_lane += many;
        let full = ahead.leased + *in_lane >= turn.terms.live_max;
        self.taken.ids.extend(got.iter().map(|it| it.id.number()));
        let fresh = got.into_iter().filter(|it| !self.live.contains_key(&it.id));
        self.found.extend(fresh.map(|delivery| (delivery, span)));
        if many > 0 {
            self.plan.lanes.push(LaneChange::Served(turn.lane));
        }
        if full {
            // Looked at again whenever one of its leases ends here, and soon, because others end
            // theirs elsewhere.
            let again = self.memory.lanes(|lanes| lanes.full_wait(turn.lane));
            self.soonest(if many > 0 { FULL_WAIT_MIN } else { again });
            self.plan.lanes.push(LaneChange::Full(turn.lane));
            return false;
        }
        if many == asked {
            return turn.taken < turn.terms.capacity;
        }
        // Empty but for what is due later and for leases.
        let until =
            (*self.taken.in_lane.entry(turn.lane).or_default() > 0).then(|| self.now + span);
        let known = ahead.due.into_iter().chain(until).min();
        self.plan.lanes.push(LaneChange::Known(turn.lane, known));
        if let Some(next) = ahead.due {
            self.soonest(next.since(self.now));
        }
        false
    }

    /// The messages of what was found.
    async fn parcels(&mut self) -> Result<HashMap<MessageId, Arc<Parcel>>, Fault> {
        let mut parcels = HashMap::new();
        let mut missing = Vec::new();
        for (delivery, _) in &self.found {
            let id = delivery.message_id;
            if parcels.contains_key(&id) {
                continue;
            }
            match self.memory.parcel(id) {
                Some(parcel) => {
                    parcels.insert(id, parcel);
                }
                None => missing.push(id),
            }
        }
        missing.sort_unstable();
        missing.dedup();
        if !missing.is_empty() {
            self.link.client.batch_execute(BY_VALUE).await?;
        }
        let statement = &self.link.statements.parcels;
        for read in parcel::load_all(&self.link.client, statement, &missing).await? {
            match read {
                Ok(read) => {
                    parcels.insert(read.message.id, Arc::new(read));
                }
                Err(fault) => self.leave(&fault),
            }
        }
        Ok(parcels)
    }

    /// Leases what was found.
    fn take(self, parcels: &HashMap<MessageId, Arc<Parcel>>) -> Result<Leases, Fault> {
        let Self {
            memory,
            now,
            live,
            plan,
            found,
            held,
            unreadable,
            next_due_in,
            ..
        } = self;
        let wanted = found.len();
        let leased = memory.numbers.with(|mint| {
            guarded(|| {
                let mut leased = Vec::with_capacity(found.len());
                for (delivery, span) in found {
                    let Some(parcel) = parcels.get(&delivery.message_id) else {
                        let message = delivery.message_id;
                        tracing::error!(%message, "the message of a delivery is gone");
                        continue;
                    };
                    let attempt = AttemptId::from_number(mint.next(now));
                    let leasing = delivery.lease(attempt, now, span);
                    let leasing = leasing.expect("what is due can be leased");
                    plan.moved.push(Columns::of_new(&leasing.delivery));
                    plan.leased.push(delivery.message_id);
                    let lost_before = leasing.lost.is_some();
                    plan.attempts.extend(leasing.lost.map(|lost| AttemptRow {
                        meta: attempt::encode_meta(&lost),
                        attempt: lost,
                    }));
                    live.insert(delivery.id, leasing.delivery.clone());
                    let held = held.get(&delivery.lane());
                    leased.push(Lease {
                        delivery: leasing.delivery,
                        lost_before,
                        passage: held.map_or(Passage::Through, |held| held.grant.passage),
                        parcel: Arc::clone(parcel),
                    });
                }
                leased
            })
        })??;
        // What cannot be leased stays due, and must not be looked at without end.
        let next_due_in = match next_due_in {
            Some(wait) if unreadable > 0 || leased.len() < wanted => Some(wait.max(LEFT)),
            wait => wait,
        };
        Ok(Leases {
            leased,
            next_due_in,
        })
    }
}

fn count(many: usize) -> i64 {
    i64::try_from(many).unwrap_or(i64::MAX)
}
