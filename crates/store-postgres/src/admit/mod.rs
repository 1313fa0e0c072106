//! Arrivals and refusals: locked, looked up, decided upon by core, written, many at a time.
//!
//! A batch locks the keys of all its arrivals, in one order, so that no two batches wait for each
//! other; reads what the ledger knows of them; and lets core decide one arrival after the other,
//! each seeing what those before it came to. Uniqueness rests on the ledger's primary key: the
//! locks only see to it that it is never put to the test.

mod known;
mod plan;
mod read;
mod write;

use std::sync::Arc;

use hooklatch_core::admission::{Admission, Arrival, Decision, Refused, decide};
use hooklatch_core::delivery::Lane;
use hooklatch_core::ids::{Mint, RequestId, slot_of};
use hooklatch_core::time::Timestamp;
use hooklatch_store::node::LaneChange;
use hooklatch_store::record::envelope;
use tokio_postgres::Client;

use crate::fault::{Fault, guarded};
use crate::key::{Key, place};
use crate::memory::Memory;
use crate::order;
use crate::queue::Task;
use crate::worker::{Job, Link};

pub(crate) use known::How;
use known::Known;
use plan::Plan;
pub(crate) use plan::{ClaimRow, stray_of};
pub(crate) use read::{GATE, LOCKS_MAX, Statements};
pub(crate) use write::{CLAIMS_REPLACING, STRAYS, claims, strays};

/// Arrivals of one call, with all that can be made of them before a worker's turn.
pub(crate) struct Prepared {
    arrivals: Vec<PreparedArrival>,
    /// The envelopes as they are stored, each once.
    envelopes: Vec<String>,
}

struct PreparedArrival {
    arrival: Arrival,
    /// Which of the envelopes is its own.
    envelope: usize,
    keys: Vec<PreparedKey>,
}

/// One key of an arrival.
struct PreparedKey {
    scope: String,
    key: Key,
    place: i32,
}

impl Prepared {
    /// Makes what does not depend on the decision.
    pub(crate) fn new(arrivals: Vec<Arrival>) -> Self {
        let mut envelopes: Vec<String> = Vec::new();
        let mut prepared: Vec<PreparedArrival> = Vec::with_capacity(arrivals.len());
        for arrival in arrivals {
            // The elements of a split request share one envelope, and come one after the other.
            let before = prepared.last().map(|it| &it.arrival.envelope);
            if !before.is_some_and(|before| Arc::ptr_eq(before, &arrival.envelope)) {
                envelopes.push(envelope::encode(&arrival.envelope));
            }
            let keys = arrival.keys.iter().map(|key| {
                let scope = key.scope.to_string();
                PreparedKey {
                    key: Key::of(&key.checksum),
                    place: place(&scope),
                    scope,
                }
            });
            prepared.push(PreparedArrival {
                envelope: envelopes.len() - 1,
                keys: keys.collect(),
                arrival,
            });
        }
        Self {
            arrivals: prepared,
            envelopes,
        }
    }

    /// Roughly how many bytes this keeps in memory.
    pub(crate) fn bytes(&self) -> usize {
        let bodies = self.arrivals.iter().map(|it| it.arrival.body.len());
        bodies.sum::<usize>() + self.envelopes.iter().map(String::len).sum::<usize>()
    }
}

/// What a batch of arrivals may hold.
pub(crate) enum Arriving {
    /// Arrivals of one call.
    Admit(Task<Prepared, Vec<Admission>>),
    /// A refusal to be logged.
    Refuse(Task<Refused, RequestId>),
}

/// What a call comes to.
enum Answered {
    Admitted(Vec<Admission>),
    Refused(RequestId),
}

/// A batch that was decided upon.
pub(crate) struct Decided {
    plan: Plan,
    answers: Vec<Answered>,
    /// The first number of the batch and the one after its last: those are not answered yet.
    numbers: (i64, i64),
}

/// The job of a worker of arrivals.
pub(crate) struct Admitting {
    /// What this node remembers.
    pub memory: Arc<Memory>,
}

impl Job for Admitting {
    // Callers wait for it.
    const LINGERS: u32 = 10;
    type Task = Arriving;
    type Statements = Statements;
    type Decided = Decided;

    async fn prepare(client: &Client) -> Result<Statements, Fault> {
        Statements::prepare(client).await
    }

    async fn decide(
        &self,
        link: &mut Link<Statements>,
        tasks: &mut [Arriving],
    ) -> Result<Decided, Fault> {
        let (known, now) = read::read(link, &self.memory, tasks).await?;
        if !self.memory.has_partitions(now) {
            return Err(Fault::NoPartition(now.as_millis()));
        }
        let numbers = &self.memory.numbers;
        let decided = numbers.with(|mint| decide_all(known, tasks, mint, now))?;
        let mut decided = decided?;
        order::place(&link.client, &mut decided.plan.live).await?;
        Ok(decided)
    }

    async fn write(&self, link: &Link<Statements>, decided: &Decided) -> Result<(), Fault> {
        write::write(link, &decided.plan).await
    }

    fn committed(&self, tasks: Vec<Arriving>, decided: Decided) {
        let Decided {
            plan,
            answers,
            numbers: (first, end),
        } = decided;
        self.memory.admitted(plan.parcels, &plan.due);
        self.memory.answered(first, end, self.memory.clock.now());
        for (task, answer) in tasks.into_iter().zip(answers) {
            match (task, answer) {
                (Arriving::Admit(task), Answered::Admitted(admissions)) => {
                    task.answer(Ok(admissions));
                }
                (Arriving::Refuse(task), Answered::Refused(id)) => task.answer(Ok(id)),
                (Arriving::Admit(_), Answered::Refused(_))
                | (Arriving::Refuse(_), Answered::Admitted(_)) => {
                    unreachable!("answers are made in the order of the tasks")
                }
            }
        }
    }

    fn failed(&self, tasks: Vec<Arriving>, fault: &Fault) {
        for task in tasks {
            match task {
                Arriving::Admit(task) => task.answer(Err(fault.clone())),
                Arriving::Refuse(task) => task.answer(Err(fault.clone())),
            }
        }
    }
}

/// Decides on every task, in order. A panic of ours ends this batch and nothing else.
fn decide_all(
    known: Known,
    tasks: &[Arriving],
    mint: &mut Mint,
    now: Timestamp,
) -> Result<Decided, Fault> {
    guarded(|| {
        let first = mint.next(now);
        let mut batch = Batch {
            known,
            plan: Plan::of_node(slot_of(first)),
            mint,
            now,
        };
        let answers = tasks.iter().map(|task| batch.decide(task)).collect();
        let end = batch.mint.next(now);
        Decided {
            plan: batch.plan,
            answers,
            numbers: (first, end),
        }
    })
}

struct Batch<'a> {
    known: Known,
    plan: Plan,
    mint: &'a mut Mint,
    now: Timestamp,
}

impl Batch<'_> {
    fn decide(&mut self, task: &Arriving) -> Answered {
        match task {
            Arriving::Refuse(task) => {
                let id = RequestId::from_number(self.mint.next(self.now));
                self.plan.refuse(id, &task.input);
                Answered::Refused(id)
            }
            Arriving::Admit(task) => {
                let prepared = &task.input;
                let mut written = vec![None; prepared.envelopes.len()];
                let admit = |arrival| self.admit(prepared, arrival, &mut written);
                Answered::Admitted(prepared.arrivals.iter().map(admit).collect())
            }
        }
    }

    fn admit(
        &mut self,
        prepared: &Prepared,
        arrival: &PreparedArrival,
        written: &mut [Option<i64>],
    ) -> Admission {
        let priors = self.known.priors(arrival, self.now);
        let decision = decide(&arrival.arrival, &priors, self.mint, self.now);
        let envelope = plan::Wrapping {
            text: &prepared.envelopes[arrival.envelope],
            written_at: &mut written[arrival.envelope],
        };
        match &decision {
            Decision::Accept(accepted) => {
                self.plan.accept(arrival, accepted, envelope);
                self.known.accepted(&accepted.message);
                self.claim(arrival, &accepted.claims);
            }
            Decision::Repeat(repeat) => {
                self.plan.repeat(arrival, repeat, envelope);
                if let Some(routing) = &repeat.routing {
                    let original = repeat.request.original_message_id;
                    let original = original.expect("a repetition has an original");
                    self.plan.route(&self.known.routed(original, routing));
                }
                self.known.repeated(repeat);
                self.claim(arrival, &repeat.claims);
            }
        }
        decision.into_admission()
    }

    /// Writes claims into what is known, and from there into the plan.
    fn claim(&mut self, arrival: &PreparedArrival, claims: &[hooklatch_core::claim::Claim]) {
        for claim in claims {
            let texts = arrival.texts_of(claim);
            let how = self.known.claim(texts, claim);
            self.plan
                .claim(arrival.arrival.project_id, texts, claim, how);
        }
    }
}

impl PreparedArrival {
    fn texts_of(&self, claim: &hooklatch_core::claim::Claim) -> &PreparedKey {
        let keys = self.arrival.keys.iter().zip(&self.keys);
        let mut own =
            keys.filter(|(key, _)| key.checksum == claim.checksum && key.scope == claim.scope);
        let (_, texts) = own
            .next()
            .expect("core claims the keys of the arrival and no other");
        texts
    }
}

/// What was made due, for those who lease.
pub(crate) fn due(lane: Lane, at: Timestamp) -> LaneChange {
    LaneChange::Due(lane, at)
}
