//! The contract, method by method: prepare what can be prepared, hand it to a worker or to a
//! connection of the pool, pass the answer on.

use std::future::Future;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use deadpool_postgres::Pool;
use hooklatch_core::admission::{Admission, Arrival, Refused};
use hooklatch_core::delivery::Lane;
use hooklatch_core::delivery::lifecycle::Command;
use hooklatch_core::ids::{DeliveryId, ProjectId, RequestId};
use hooklatch_core::receiving::call::Answer as Called;
use hooklatch_core::transform::Transformed;
use hooklatch_store::node::LaneChange;
use hooklatch_store::{
    Answer, Commanded, Deliveries, FinishAttempt, Finished, LaneReporting, LeaseRequest, Leases,
    Reported, StoreError, Wake,
};
use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;

use crate::admit::{Arriving, Prepared};
use crate::commands::{self, HASTENED_PER_STEP};
use crate::deliveries::{Delivering, PreparedFinish};
use crate::fault::Fault;
use crate::memory::Memory;
use crate::node::Wakes;
use crate::open::{self, OpenError, Options};
use crate::pool::transact;
use crate::queue::{Queue, Task};
use crate::receiving::Asked;
use crate::rows::transformed;
use crate::snapshot;
use crate::url::DatabaseUrl;

/// For how long somebody waits for what does not go in batches.
const PATIENCE: Duration = Duration::from_secs(30);

/// The shared store, as one of its nodes.
pub struct PostgresStore {
    pub(crate) pool: Pool,
    pub(crate) arriving: Arc<Queue<Arriving>>,
    pub(crate) delivering: Arc<Queue<Delivering>>,
    pub(crate) calling: Arc<Queue<Task<Asked, Called>>>,
    /// Whom to call when another node may have changed the configuration.
    pub(crate) change: Wakes,
    /// What everything runs on, whoever asks.
    pub(crate) runtime: Handle,
    pub(crate) memory: Arc<Memory>,
    pub(crate) stop: CancellationToken,
}

impl PostgresStore {
    /// Opens a database as one of its nodes. Needs a tokio runtime, which the store goes on to use.
    ///
    /// # Errors
    /// Where the database cannot be reached, refuses, or has tables of another version.
    pub async fn open(url: &DatabaseUrl, options: Options) -> Result<Arc<Self>, OpenError> {
        open::open(url, options).await
    }

    /// Ends at once, as with the process: what was answered is durable, what waits is given up.
    pub fn abandon(&self) {
        self.stop.cancel();
        for task in self.arriving.abandon() {
            match task {
                Arriving::Admit(task) => task.answer(Err(Fault::Closed)),
                Arriving::Refuse(task) => task.answer(Err(Fault::Closed)),
            }
        }
        for task in self.delivering.abandon() {
            match task {
                Delivering::Finish(task) => task.answer(Err(Fault::Closed)),
                Delivering::Report(task) => task.answer(Err(Fault::Closed)),
                Delivering::Lease(task) => task.answer(Err(Fault::Closed)),
            }
        }
        for task in self.calling.abandon() {
            task.answer(Err(Fault::Closed));
        }
    }

    /// Runs something on the store's runtime, whatever runs the caller.
    pub(crate) fn run<T: Send + 'static>(
        &self,
        work: impl Future<Output = Result<T, Fault>> + Send + 'static,
    ) -> Answer<'_, T> {
        let stopped = self.stop.is_cancelled();
        Box::pin(async move {
            if stopped {
                return Err(StoreError::Unavailable(None));
            }
            // Its clock is the store's runtime's: the caller need not run on any.
            let work = async move { tokio::time::timeout(PATIENCE, work).await };
            match self.runtime.spawn(work).await {
                Ok(Ok(done)) => Ok(done?),
                Ok(Err(_)) => Err(Fault::Unknown("the database does not answer".into()).into()),
                Err(panic) => Err(StoreError::Unavailable(Some(Box::new(panic)))),
            }
        })
    }

    fn arrive<I, O>(
        &self,
        input: I,
        bytes: usize,
        task: fn(Task<I, O>) -> Arriving,
    ) -> Answer<'_, O>
    where
        I: Send + 'static,
        O: Send + 'static,
    {
        wait(&self.arriving, input, bytes, task)
    }

    fn deliver<I, O>(
        &self,
        input: I,
        bytes: usize,
        task: fn(Task<I, O>) -> Delivering,
    ) -> Answer<'_, O>
    where
        I: Send + 'static,
        O: Send + 'static,
    {
        wait(&self.delivering, input, bytes, task)
    }
}

/// Hands something to the workers of a queue, and waits for its commit.
pub(crate) fn wait<'a, T, I, O>(
    queue: &'a Queue<T>,
    input: I,
    bytes: usize,
    task: fn(Task<I, O>) -> T,
) -> Answer<'a, O>
where
    T: Send,
    I: Send + 'a,
    O: Send + 'a,
{
    let (asked, answer) = Task::new(input);
    let pushed = queue.push(task(asked), bytes);
    Box::pin(async move {
        pushed?;
        answer.await.unwrap_or(Err(StoreError::Unavailable(None)))
    })
}

impl Drop for PostgresStore {
    fn drop(&mut self) {
        self.abandon();
    }
}

impl PostgresStore {
    pub(crate) fn admit_arrivals(&self, arrivals: Vec<Arrival>) -> Answer<'_, Vec<Admission>> {
        let prepared = Prepared::new(arrivals);
        let bytes = prepared.bytes();
        self.arrive(prepared, bytes, Arriving::Admit)
    }

    pub(crate) fn refuse_request(&self, refused: Refused) -> Answer<'_, RequestId> {
        let headers = refused.envelope.headers.iter();
        let bytes = headers.map(|(name, value)| name.len() + value.len()).sum();
        self.arrive(refused, bytes, Arriving::Refuse)
    }
}

impl Deliveries for PostgresStore {
    fn lease(&self, request: LeaseRequest) -> Answer<'_, Leases> {
        self.deliver(request, 0, Delivering::Lease)
    }

    fn finish(&self, finish: FinishAttempt) -> Answer<'_, Finished> {
        let prepared = PreparedFinish::new(finish);
        let bytes = prepared.bytes();
        self.deliver(Box::new(prepared), bytes, Delivering::Finish)
    }

    fn finish_and_report(
        &self,
        finish: FinishAttempt,
        report: LaneReporting,
    ) -> Answer<'_, Reported> {
        let prepared = PreparedFinish::new(finish);
        let bytes = prepared.bytes();
        self.deliver(Box::new((prepared, report)), bytes, Delivering::Report)
    }

    fn command(
        &self,
        project: ProjectId,
        delivery: DeliveryId,
        command: Command,
    ) -> Answer<'_, Commanded> {
        let (pool, memory) = (self.pool.clone(), Arc::clone(&self.memory));
        self.run(async move {
            let asked = (project, delivery, command);
            let commanded = transact(&pool, |transaction| {
                let clock = memory.clock.clone();
                Box::pin(async move { commands::command(transaction, &clock, asked).await })
            });
            let commanded = commanded.await?;
            if let Commanded::Done(moved) = &commanded {
                // The one that has the turn now may be another.
                let given_on = moved.order_key.map(|_| memory.clock.now());
                let due = moved.next_attempt_at().or(given_on);
                let lanes = [moved.lane().for_live(), moved.lane().for_replays()];
                let lanes = lanes
                    .into_iter()
                    .filter(|lane| *lane == moved.lane() || moved.order_key.is_some());
                let due = due
                    .into_iter()
                    .flat_map(|due| lanes.clone().map(move |lane| LaneChange::Due(lane, due)));
                memory.learnt(&due.collect::<Vec<_>>());
            }
            Ok(commanded)
        })
    }

    fn keep_transformed(
        &self,
        delivery: DeliveryId,
        transformed: Transformed,
    ) -> Answer<'_, Transformed> {
        let pool = self.pool.clone();
        self.run(async move {
            transact(&pool, |transaction| {
                // Its bytes are shared, not copied.
                let made = transformed.clone();
                Box::pin(
                    async move { transformed::keep(transaction.client(), delivery, &made).await },
                )
            })
            .await
        })
    }

    fn transformed(&self, delivery: DeliveryId) -> Answer<'_, Option<Transformed>> {
        let pool = self.pool.clone();
        self.run(async move {
            snapshot::read(&pool, |db| Box::pin(transformed::load(db, delivery))).await
        })
    }

    fn hasten(&self, lane: Lane) -> Answer<'_, ()> {
        let (pool, memory) = (self.pool.clone(), Arc::clone(&self.memory));
        self.run(async move {
            loop {
                let hastened = transact(&pool, |transaction| {
                    let clock = memory.clock.clone();
                    Box::pin(async move { commands::hasten(transaction, &clock, lane).await })
                });
                let (hastened, now) = hastened.await?;
                memory.learnt(&[LaneChange::Due(lane, now)]);
                if hastened < HASTENED_PER_STEP {
                    return Ok(());
                }
            }
        })
    }

    fn on_work(&self, wake: Wake) {
        let wakes = &self.memory.wakes;
        wakes
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(wake);
    }
}
