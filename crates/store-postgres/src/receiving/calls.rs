//! Calls on claims: locked, decided upon by core, written, many at a time.
//!
//! A batch locks in one order, so that no two batches wait for each other: first the keys that it
//! may make rows of, since a row that is not there cannot be locked, and then the rows. Locks of
//! rows are what counts for everybody else: who keeps a step, the sweep, a node of an earlier
//! version. Should somebody make a row all the same, the primary key refuses the second one, and
//! the batch is done again.

use std::sync::Arc;

use hooklatch_core::receiving::call::{Answer, Call};
use hooklatch_store::AuditEntry;
use tokio_postgres::types::ToSql;
use tokio_postgres::{Client, Row, Statement};

use super::Place;
use super::plan::{Batch, Plan};
use super::rows::{self, of_entries, of_place, of_places};
use crate::audits::{NOTE, Noted, of_notes};
use crate::columns::params;
use crate::fault::{Fault, guarded};
use crate::memory::Memory;
use crate::queue::Task;
use crate::sent::{Sent, commit};
use crate::worker::{Job, Link};

/// The keys come sorted, and are locked in their order.
const LOCKS: &str = "SELECT pg_advisory_xact_lock(key) FROM unnest($1::bigint[]) key";

/// The time once everything is locked, and a fence for each claim. They come from a sequence, so
/// that none comes again; and under the locks, so that those of one key only grow.
const MOMENT: &str = "SELECT (extract(epoch FROM clock_timestamp()) * 1000)::bigint, \
         ARRAY(SELECT nextval('hooklatch.receiver_fences') FROM generate_series(1, $1::bigint))";

/// A call with all that belongs to it.
pub(crate) struct Asked {
    /// Of which claim.
    pub place: Place,
    /// What is asked.
    pub call: Call,
    /// What is noted where it begins a replay.
    pub audit: AuditEntry,
}

/// The statements of a batch of calls.
pub(crate) struct Statements {
    locks: Statement,
    rows: Statement,
    moment: Statement,
    forget_steps: Statement,
    new: Statement,
    changed: Statement,
    audit: Statement,
}

/// A batch that was decided upon.
pub(crate) struct Decided {
    plan: Plan,
    audits: Vec<Noted>,
    answers: Vec<Answer>,
}

/// What a batch locks.
struct Wanted {
    places: Vec<Place>,
    locks: Vec<i64>,
    claims: i64,
}

impl Wanted {
    fn of(asked: &[&Asked]) -> Self {
        let mut places: Vec<Place> = asked.iter().map(|asked| asked.place).collect();
        places.sort_unstable();
        places.dedup();
        let is_claim = |asked: &&&Asked| matches!(asked.call, Call::Claim { .. });
        let claims = asked.iter().filter(is_claim);
        // Nothing but a claim makes a row.
        let mut locks: Vec<i64> = claims.map(|asked| lock_of(asked.place)).collect();
        let claims = i64::try_from(locks.len()).expect("a batch is small");
        locks.sort_unstable();
        locks.dedup();
        Self {
            places,
            locks,
            claims,
        }
    }
}

/// The lock that holds a key while rows of it may be made. Two that share one by chance, or that
/// share one with a key of the ledger, only wait for each other.
fn lock_of((project, key): Place) -> i64 {
    let bytes = key.as_bytes().first_chunk();
    let number = i64::from_be_bytes(*bytes.expect("a hash has 32 bytes"));
    // Locks of our own have the sign bit clear; those of keys have it set.
    (number ^ project.number()) | i64::MIN
}

/// The job of the worker of calls.
pub(crate) struct Calling {
    /// What this node remembers.
    pub memory: Arc<Memory>,
}

impl Job for Calling {
    // Callers wait for it.
    const LINGERS: u32 = 10;
    type Task = Task<Asked, Answer>;
    type Statements = Statements;
    type Decided = Decided;

    async fn prepare(client: &Client) -> Result<Statements, Fault> {
        Ok(Statements {
            locks: client.prepare(LOCKS).await?,
            rows: client.prepare(rows::LOCKED).await?,
            moment: client.prepare(MOMENT).await?,
            forget_steps: client.prepare(rows::FORGET_STEPS).await?,
            new: client.prepare(rows::NEW).await?,
            changed: client.prepare(rows::CHANGED).await?,
            audit: client.prepare(NOTE).await?,
        })
    }

    async fn decide(
        &self,
        link: &mut Link<Statements>,
        tasks: &mut [Task<Asked, Answer>],
    ) -> Result<Decided, Fault> {
        let asked: Vec<&Asked> = tasks.iter().map(|task| &task.input).collect();
        let (moment, rows) = lock(link, &self.memory, &Wanted::of(&asked)).await?;
        let now = self.memory.clock.observe(moment.try_get(0)?);
        let fences: Vec<i64> = moment.try_get(1)?;
        let stored: Result<Vec<_>, Fault> = rows.iter().map(rows::decode).collect();
        let mut batch = Batch::new(stored?);
        let (plan, answers) = guarded(|| {
            let now_ms = u64::try_from(now.as_millis()).unwrap_or(0);
            let mut fences = fences.into_iter().map(i64::unsigned_abs);
            let call = |asked: &&Asked| batch.call(asked, now_ms, &mut fences);
            let answers: Vec<Answer> = asked.iter().map(call).collect();
            (batch.into_plan(), answers)
        })?;
        let mut audits = Vec::with_capacity(plan.replays.len());
        for (project, entry) in &plan.replays {
            audits.push(Noted {
                id: self.memory.numbers.with(|mint| mint.next(entry.at))?,
                project: *project,
                entry: entry.clone(),
            });
        }
        Ok(Decided {
            plan,
            audits,
            answers,
        })
    }

    async fn write(&self, link: &Link<Statements>, decided: &Decided) -> Result<(), Fault> {
        write(link, decided).await
    }

    fn committed(&self, tasks: Vec<Task<Asked, Answer>>, decided: Decided) {
        for (task, answer) in tasks.into_iter().zip(decided.answers) {
            task.answer(Ok(answer));
        }
    }

    fn failed(&self, tasks: Vec<Task<Asked, Answer>>, fault: &Fault) {
        for task in tasks {
            task.answer(Err(fault.clone()));
        }
    }
}

/// Begins the transaction, locks and reads, in one trip. Answers the moment and the rows.
async fn lock(
    link: &mut Link<Statements>,
    memory: &Memory,
    wanted: &Wanted,
) -> Result<(Row, Vec<Row>), Fault> {
    let batch = link.next_batch();
    let (client, statements) = (&link.client, &link.statements);
    let places = of_places(&wanted.places);
    let places = params(&places);
    let locks: [&(dyn ToSql + Sync); 1] = [&wanted.locks];
    let claims: [&(dyn ToSql + Sync); 1] = [&wanted.claims];
    let locking = async {
        if wanted.locks.is_empty() {
            return Ok(0);
        }
        client.execute(&statements.locks, &locks).await
    };
    // Polled in order, hence sent in order: rows are read once their keys are locked, and it is as
    // late as the clock says once the rows are.
    let (begun, locked, rows, moment) = tokio::join!(
        biased;
        link.begin(batch, &memory.clock),
        locking,
        client.query(&statements.rows, &places),
        client.query_one(&statements.moment, &claims),
    );
    begun?;
    locked?;
    let (rows, moment) = (rows?, moment?);
    Ok((moment, rows))
}

/// Writes and commits.
async fn write(link: &Link<Statements>, decided: &Decided) -> Result<(), Fault> {
    let (plan, of) = (&decided.plan, &link.statements);
    let mut sent: Vec<Sent<'_>> = Vec::new();
    let forget = |place| Sent::new(&of.forget_steps, of_place(place));
    sent.extend(plan.forgotten.iter().map(forget));
    for (statement, rows) in [(&of.new, &plan.new), (&of.changed, &plan.changed)] {
        if !rows.is_empty() {
            sent.push(Sent {
                statement,
                arrays: of_entries(rows),
                rows: Some(rows.len()),
            });
        }
    }
    if !decided.audits.is_empty() {
        sent.push(Sent::new(&of.audit, of_notes(&decided.audits)));
    }
    commit(&link.client, &sent).await
}
