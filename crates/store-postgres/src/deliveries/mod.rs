//! Deliveries: attempts that have ended, and leases of what is due, many in one transaction.
//!
//! A delivery that has not ended is a row of `deliveries_live`; when it ends it moves to
//! `deliveries_done`, so that what is looked through for due ones stays small.

mod finish;
mod holding;
mod lanes;
mod lease;
mod limits;
mod write;

use std::collections::HashSet;
use std::sync::Arc;

use hooklatch_core::delivery::attempt::Attempt;
use hooklatch_core::delivery::order::OrderKey;
use hooklatch_core::ids::{DeliveryId, MessageId};
use hooklatch_core::time::Timestamp;
use hooklatch_store::node::LaneChange;
use hooklatch_store::record::attempt;
use hooklatch_store::record::delivery::Columns;
use hooklatch_store::{FinishAttempt, Finished, LaneReporting, LeaseRequest, Leases, Reported};
use tokio_postgres::{Client, Statement};

use crate::audits::NOTE;
use crate::columns::{INSERT_DONE, UPDATE_LIVE};
use crate::fault::Fault;
use crate::memory::Memory;
use crate::order;
use crate::queue::Task;
use crate::stats::{LATE, LATE_REPLACED};
use crate::worker::{Job, Link};

pub(crate) use write::INSERT_ATTEMPTS;

/// The end of an attempt with its record as it is stored.
pub(crate) struct PreparedFinish {
    finish: FinishAttempt,
    meta: Option<String>,
}

impl PreparedFinish {
    /// Makes what can be made before a worker's turn.
    pub(crate) fn new(finish: FinishAttempt) -> Self {
        let meta = finish.attempt.as_ref().map(attempt::encode_meta);
        Self { finish, meta }
    }

    /// Roughly how many bytes this keeps in memory.
    pub(crate) fn bytes(&self) -> usize {
        let answer = self.finish.attempt.as_ref();
        answer.map_or(0, |it| it.response_body.len()) + self.meta.as_ref().map_or(0, String::len)
    }
}

/// What a batch of deliveries may hold.
pub(crate) enum Delivering {
    /// The end of an attempt.
    Finish(Task<Box<PreparedFinish>, Finished>),
    /// The end of an attempt, with what it says of its lane.
    Report(Task<Box<(PreparedFinish, LaneReporting)>, Reported>),
    /// A wish for due deliveries.
    Lease(Task<LeaseRequest, Leases>),
}

/// The record of an attempt as it is stored.
pub(crate) struct AttemptRow {
    /// The attempt.
    pub attempt: Attempt,
    /// Its JSON text.
    pub meta: String,
}

/// Everything that a batch writes.
#[derive(Default)]
pub(super) struct Plan {
    /// The database's time.
    now: Timestamp,
    /// Attempts that ended, or were lost.
    attempts: Vec<AttemptRow>,
    /// Attempts whose lease had been overtaken, over the record of their being lost.
    fenced: Vec<AttemptRow>,
    /// Deliveries that have ended.
    done: Vec<Columns>,
    /// Those of them that are out of the live ones already.
    taken: HashSet<DeliveryId>,
    /// Deliveries that go on.
    moved: Vec<Columns>,
    /// Deliveries that go on elsewhere.
    placed: Vec<Columns>,
    /// What was learnt of lanes that are limited.
    notes: limits::LaneNotes,
    /// The order keys whose turn is to be given on.
    left: Vec<OrderKey>,
    /// What a pass learnt of lanes.
    lanes: Vec<LaneChange>,
    /// What is due again.
    due: Vec<LaneChange>,
    /// The messages of leased deliveries.
    leased: Vec<MessageId>,
}

impl Plan {
    /// Gives turns that were left to those that wait for them.
    async fn give_on(&mut self, link: &Link<Statements>, now: Timestamp) -> Result<(), Fault> {
        for next in order::given_on(&link.client, &self.left, now).await? {
            if let Some(due) = next.next_attempt_at() {
                self.due.push(LaneChange::Due(next.lane(), due));
            }
            self.moved.push(Columns::of_new(&next));
        }
        Ok(())
    }
}

/// What a task comes to.
enum Answered {
    Finished(Reported),
    Leased(Leases),
}

/// A batch that was decided upon.
pub(crate) struct Decided {
    plan: Plan,
    answers: Vec<Answered>,
    /// How much this node had put into lanes when the batch looked at them.
    seen: u64,
}

/// The statements of a batch of deliveries.
pub(crate) struct Statements {
    take: Statement,
    live: Statement,
    lanes: Statement,
    try_lanes: Statement,
    due: Statement,
    next: Statement,
    parcels: Statement,
    attempts: Statement,
    fenced: Statement,
    ended: Statement,
    done: Statement,
    moved: Statement,
    placed: Statement,
    health: Statement,
    limits: Statement,
    put_buckets: Statement,
    put_health: Statement,
    audit: Statement,
    late: Statement,
    late_replaced: Statement,
}

/// The job of the worker of deliveries.
pub(crate) struct Moving {
    /// What this node remembers.
    pub memory: Arc<Memory>,
}

impl Job for Moving {
    // Only the next lease waits for it.
    const LINGERS: u32 = 2;
    type Task = Delivering;
    type Statements = Statements;
    type Decided = Decided;

    async fn prepare(client: &Client) -> Result<Statements, Fault> {
        Ok(Statements {
            take: client.prepare(finish::TAKE).await?,
            live: client.prepare(finish::LIVE).await?,
            lanes: client.prepare(lanes::LANES).await?,
            try_lanes: client.prepare(lanes::TRY_LANES).await?,
            due: client.prepare(lanes::DUE).await?,
            next: client.prepare(lanes::NEXT).await?,
            parcels: client.prepare(lanes::PARCELS).await?,
            attempts: client.prepare(INSERT_ATTEMPTS).await?,
            fenced: client.prepare(write::REPLACE_ATTEMPTS).await?,
            ended: client.prepare(write::END).await?,
            done: client.prepare(INSERT_DONE).await?,
            moved: client.prepare(UPDATE_LIVE).await?,
            placed: client.prepare(limits::PLACE).await?,
            health: client.prepare(limits::HEALTH).await?,
            limits: client.prepare(limits::LIMITS).await?,
            put_buckets: client.prepare(limits::PUT_BUCKETS).await?,
            put_health: client.prepare(limits::PUT_HEALTH).await?,
            audit: client.prepare(NOTE).await?,
            late: client.prepare(LATE).await?,
            late_replaced: client.prepare(LATE_REPLACED).await?,
        })
    }

    async fn decide(
        &self,
        link: &mut Link<Statements>,
        tasks: &mut [Delivering],
    ) -> Result<Decided, Fault> {
        let mut plan = Plan::default();
        let (mut live, now) = finish::read(link, &self.memory, tasks, &mut plan).await?;
        if !self.memory.has_partitions(now) {
            return Err(Fault::NoPartition(now.as_millis()));
        }
        let seen = self.memory.put();
        plan.now = now;
        let numbers = &self.memory.numbers;
        let finished = finish::decide_all(&mut live, tasks, now, &mut plan, numbers)?;
        let mut finished = finished.into_iter();
        plan.give_on(link, now).await?;
        let mut answers = Vec::with_capacity(tasks.len());
        let mut taken = lease::Taken::default();
        for task in tasks {
            answers.push(match task {
                Delivering::Finish(_) | Delivering::Report(_) => {
                    let finished = finished.next();
                    Answered::Finished(finished.expect("each finish has an answer"))
                }
                Delivering::Lease(task) => {
                    let pass =
                        lease::Pass::new(link, &self.memory, now, &mut live, &mut plan, &mut taken);
                    Answered::Leased(pass.lease(&task.input).await?)
                }
            });
        }
        Ok(Decided {
            plan,
            answers,
            seen,
        })
    }

    async fn write(&self, link: &Link<Statements>, decided: &Decided) -> Result<(), Fault> {
        write::write(link, &decided.plan).await
    }

    fn committed(&self, tasks: Vec<Delivering>, decided: Decided) {
        let Decided {
            plan,
            answers,
            seen,
        } = decided;
        self.memory.looked(&plan.lanes, seen);
        self.memory.leased(plan.leased.into_iter());
        for (task, answer) in tasks.into_iter().zip(answers) {
            match (task, answer) {
                (Delivering::Finish(task), Answered::Finished(reported)) => {
                    task.answer(Ok(reported.finished));
                }
                (Delivering::Report(task), Answered::Finished(reported)) => {
                    task.answer(Ok(reported));
                }
                (Delivering::Lease(task), Answered::Leased(leases)) => task.answer(Ok(leases)),
                (Delivering::Finish(_) | Delivering::Report(_), Answered::Leased(_))
                | (Delivering::Lease(_), Answered::Finished(_)) => {
                    unreachable!("answers are made in the order of the tasks")
                }
            }
        }
        self.memory.learnt(&plan.due);
    }

    fn failed(&self, tasks: Vec<Delivering>, fault: &Fault) {
        for task in tasks {
            match task {
                Delivering::Finish(task) => task.answer(Err(fault.clone())),
                Delivering::Report(task) => task.answer(Err(fault.clone())),
                Delivering::Lease(task) => {
                    // What others have made due is looked for again.
                    self.memory.look_again();
                    task.answer(Err(fault.clone()));
                }
            }
        }
    }
}
