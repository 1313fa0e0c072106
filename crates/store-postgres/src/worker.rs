//! A worker takes what waits, does all of it in one transaction, and then answers everyone.
//!
//! A transaction has two halves, each one trip to the database: the first locks and reads, the
//! second writes and commits; between them core decides. The first half also moves the worker's
//! row in `writers`. If the connection breaks while the commit is under way, whoever looks at that
//! row waits until the transaction has ended and then sees how: an ambiguous commit is looked up,
//! never guessed.

use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::FutureExt;
use hooklatch_core::time::Timestamp;
use tokio_postgres::types::ToSql;
use tokio_postgres::{Client, Statement};

use crate::clock::StoreClock;
use crate::connect::Connector;
use crate::fault::{Fault, Remedy};
use crate::memory::{Memory, text_of};
use crate::partitions;
use crate::queue::Queue;

/// How long the first half of a transaction may take before the connection counts as broken:
/// callers want to hear 503 before they give up themselves.
const FIRST_MAX: Duration = Duration::from_secs(4);
/// How long the second half may, which writes and syncs.
const SECOND_MAX: Duration = Duration::from_secs(10);
/// For how long an ambiguous commit is asked after.
const ASKING_MAX: Duration = Duration::from_secs(20);
/// The pause between two tries to connect, or to ask.
const PAUSE: Duration = Duration::from_millis(200);
/// How often a batch is tried that other nodes stand in the way of.
const TRIES: usize = 6;

/// The longest linger.
const LINGER_MAX: Duration = Duration::from_millis(3);
/// Of fewer tasks nobody waits for others: there are none.
const CROWD: usize = 5;

/// For how long the next batch lets others join: a share of the time that the last one took, where
/// there were others. Fewer and larger batches cost the database less for each.
fn linger_after(tasks: usize, share: Duration) -> Duration {
    // A timer of the runtime is no finer.
    if tasks < CROWD || share < Duration::from_millis(1) {
        return Duration::ZERO;
    }
    share.min(LINGER_MAX)
}

/// What a worker does.
pub(crate) trait Job: Send + Sync + 'static {
    /// Which part of a batch's time the next one lets others join.
    const LINGERS: u32;

    /// One task.
    type Task: Send + 'static;
    /// What its statements are, once prepared.
    type Statements: Send + Sync;
    /// What a batch comes to, before it is written.
    type Decided: Send + Sync;

    /// Prepares the statements on a new connection.
    fn prepare(client: &Client) -> impl Future<Output = Result<Self::Statements, Fault>> + Send;

    /// The first half: begins the transaction, locks, reads and decides.
    fn decide(
        &self,
        link: &mut Link<Self::Statements>,
        tasks: &mut [Self::Task],
    ) -> impl Future<Output = Result<Self::Decided, Fault>> + Send;

    /// The second half: writes what was decided, and commits.
    fn write(
        &self,
        link: &Link<Self::Statements>,
        decided: &Self::Decided,
    ) -> impl Future<Output = Result<(), Fault>> + Send;

    /// Answers, after the commit.
    fn committed(&self, tasks: Vec<Self::Task>, decided: Self::Decided);

    /// Answers that nothing was done.
    fn failed(&self, tasks: Vec<Self::Task>, fault: &Fault);
}

/// A worker's connection.
pub(crate) struct Link<S> {
    /// The connection.
    pub client: Client,
    /// Its statements.
    pub statements: S,
    mark: Statement,
    writer: i64,
    batch: i64,
}

impl<S> Link<S> {
    /// The number of the next transaction.
    pub(crate) fn next_batch(&mut self) -> i64 {
        self.batch += 1;
        self.batch
    }

    /// Begins a transaction: notes which batch this is, and what time it is. Sent when first
    /// polled.
    pub(crate) async fn begin(&self, batch: i64, clock: &StoreClock) -> Result<Timestamp, Fault> {
        let writer = self.writer;
        let params: [&(dyn ToSql + Sync); 2] = [&writer, &batch];
        let marked = async {
            let row = self.client.query_opt(&self.mark, &params).await?;
            let row = row.ok_or_else(|| Fault::lost("its row in `writers` is gone"))?;
            // At once: what is waited for afterwards may take seconds.
            Ok::<_, Fault>(clock.observe(row.try_get(0)?))
        };
        let (begun, now) = tokio::join!(biased; self.client.batch_execute("BEGIN"), marked);
        begun?;
        now
    }
}

/// The database's time in milliseconds, as SQL; and the marking of a batch, which answers it.
const MARK: &str = "UPDATE hooklatch.writers \
                    SET batch = $2, at = (extract(epoch FROM clock_timestamp()) * 1000)::bigint \
                    WHERE id = $1 RETURNING at";

/// How a worker's statements are planned: once, and always through an index, row by row. A plan made
/// for tables that were empty then must not read them whole when they are not; and to plan a
/// statement over the parts of the ledger anew takes several times as long as to run it.
const PLANS: &str = "SET plan_cache_mode = force_generic_plan; SET enable_seqscan = off; \
                     SET enable_bitmapscan = off; SET enable_hashjoin = off; \
                     SET enable_mergejoin = off";

/// What follows in the transaction is planned for its values: history has many partitions, and only
/// a plan that knows the numbers leaves out, and does not lock, those that they are not in.
pub(crate) const BY_VALUE: &str = "SET LOCAL plan_cache_mode = force_custom_plan";

/// A worker.
pub(crate) struct Worker<J: Job> {
    /// What it does.
    pub job: Arc<J>,
    /// What waits for it.
    pub queue: Arc<Queue<J::Task>>,
    /// How it connects.
    pub connector: Connector,
    /// What this node remembers.
    pub memory: Arc<Memory>,
}

/// How a try went.
enum Tried<D> {
    /// It is durable.
    Committed(D),
    /// Nothing was done.
    Failed(Fault),
}

impl<J: Job> Worker<J> {
    /// Works until the queue is closed.
    pub(crate) async fn run(self) {
        let mut link = None;
        let mut not_before = None;
        let mut linger = Duration::ZERO;
        loop {
            self.queue.ready().await;
            if !linger.is_zero() {
                tokio::time::sleep(linger).await;
            }
            let Some(tasks) = self.queue.take().await else {
                return;
            };
            let (began, many) = (Instant::now(), tasks.len());
            let working = self.work(&mut link, &mut not_before, tasks);
            // Decisions catch what panics in them. Whatever else did has lost its callers' answers
            // and its connection, and must not end the worker.
            let worked = AssertUnwindSafe(working).catch_unwind().await;
            if let Err(panic) = worked {
                let panic = text_of(&*panic);
                tracing::error!(%panic, "a bug ended a batch; its callers have no answer");
                link = None;
            }
            self.queue.done();
            linger = linger_after(many, began.elapsed() / J::LINGERS);
        }
    }

    async fn work(
        &self,
        link: &mut Option<Link<J::Statements>>,
        not_before: &mut Option<Instant>,
        tasks: Vec<J::Task>,
    ) {
        // While the database is away nobody waits for it: callers are told at once.
        if link.is_none() && not_before.is_some_and(|time| Instant::now() < time) {
            let fault = Fault::lost("the database was away a moment ago");
            self.job.failed(tasks, &fault);
            return;
        }
        // Without a slot nothing can be numbered; the connection is as good as it was.
        if let Err(fault) = self.memory.numbers.with(|_| ()) {
            return self.job.failed(tasks, &fault);
        }
        self.together(link, tasks).await;
        *not_before = link.is_none().then(|| Instant::now() + PAUSE);
    }

    /// Does all in one transaction; or, where one of them is impossible, each by itself.
    async fn together(&self, link: &mut Option<Link<J::Statements>>, mut tasks: Vec<J::Task>) {
        match self.persist(link, &mut tasks).await {
            Tried::Committed(decided) => self.job.committed(tasks, decided),
            Tried::Failed(fault) if fault.may_be_of_one_task() && tasks.len() > 1 => {
                tracing::warn!(%fault, "a batch was rolled back; doing its tasks one by one");
                self.one_by_one(link, tasks).await;
            }
            Tried::Failed(fault) => {
                tracing::warn!(%fault, tasks = tasks.len(), "a batch failed");
                self.job.failed(tasks, &fault);
            }
        }
    }

    async fn one_by_one(&self, link: &mut Option<Link<J::Statements>>, tasks: Vec<J::Task>) {
        let mut tasks = tasks.into_iter();
        while let Some(task) = tasks.next() {
            let mut alone = vec![task];
            match self.persist(link, &mut alone).await {
                Tried::Committed(decided) => self.job.committed(alone, decided),
                Tried::Failed(fault) => {
                    self.job.failed(alone, &fault);
                    if fault.remedy() == Remedy::Reconnect {
                        // The others need not find that out one after the other.
                        return self.job.failed(tasks.collect(), &fault);
                    }
                }
            }
        }
    }

    /// Tries again where another transaction stood in the way, or a connection had died idle.
    async fn persist(
        &self,
        link: &mut Option<Link<J::Statements>>,
        tasks: &mut [J::Task],
    ) -> Tried<J::Decided> {
        let mut tried = 0;
        loop {
            tried += 1;
            let reused = link.is_some();
            match self.attempt(link, tasks).await {
                Tried::Failed(fault) if tried < TRIES => match fault.remedy() {
                    Remedy::Again => self.clear_the_way(link, &fault).await,
                    // Who does not answer is not asked again at once.
                    Remedy::Reconnect if reused && !matches!(fault, Fault::Silent) => {}
                    Remedy::Reconnect | Remedy::Alone | Remedy::GiveUp => {
                        return Tried::Failed(fault);
                    }
                },
                done => return done,
            }
        }
    }

    async fn clear_the_way(&self, link: &Option<Link<J::Statements>>, fault: &Fault) {
        tracing::debug!(%fault, "a batch is done again");
        if let (Fault::NoPartition(time), Some(link)) = (fault, link) {
            let time = Timestamp::from_millis(*time);
            match partitions::ensure(&link.client, time).await {
                Ok(until) => self.memory.set_partitions(until),
                Err(fault) => tracing::error!(%fault, "failed to make partitions"),
            }
        }
    }

    async fn attempt(
        &self,
        kept: &mut Option<Link<J::Statements>>,
        tasks: &mut [J::Task],
    ) -> Tried<J::Decided> {
        let mut link = match kept.take() {
            Some(link) if !link.client.is_closed() => link,
            Some(_) | None => match self.connect().await {
                Ok(link) => link,
                Err(fault) => return Tried::Failed(fault),
            },
        };
        let deciding = self.job.decide(&mut link, tasks);
        let decided = match in_time(FIRST_MAX, deciding).await {
            Ok(decided) => decided,
            Err(fault) => {
                if fault.remedy() != Remedy::Reconnect {
                    *kept = self.roll_back(link).await;
                }
                return Tried::Failed(fault);
            }
        };
        match in_time(SECOND_MAX, self.job.write(&link, &decided)).await {
            Ok(()) => {
                *kept = Some(link);
                Tried::Committed(decided)
            }
            Err(Fault::Sql(error)) if error.code().is_none() => {
                // Not even sent whole: what was committed cannot be told.
                Tried::Failed(Fault::Unknown(error.to_string().into()))
            }
            Err(fault) if fault.remedy() == Remedy::Reconnect => {
                self.ask(link, decided, fault).await
            }
            // What follows a refused statement is refused, and the commit rolls back.
            Err(fault) => {
                *kept = self.roll_back(link).await;
                Tried::Failed(fault)
            }
        }
    }

    async fn roll_back(&self, link: Link<J::Statements>) -> Option<Link<J::Statements>> {
        let rolled_back = link.client.batch_execute("ROLLBACK");
        match tokio::time::timeout(FIRST_MAX, rolled_back).await {
            Ok(Ok(())) => Some(link),
            Ok(Err(_)) | Err(_) => None,
        }
    }

    async fn connect(&self) -> Result<Link<J::Statements>, Fault> {
        let client = in_time(FIRST_MAX, self.connector.connect()).await?;
        in_time(FIRST_MAX, async { Ok(client.batch_execute(PLANS).await?) }).await?;
        let sql = "INSERT INTO hooklatch.writers (batch, at) \
                   VALUES (0, (extract(epoch FROM clock_timestamp()) * 1000)::bigint) \
                   RETURNING id";
        let row = in_time(FIRST_MAX, async { Ok(client.query_one(sql, &[]).await?) }).await?;
        let mark = in_time(FIRST_MAX, async { Ok(client.prepare(MARK).await?) }).await?;
        let statements = in_time(FIRST_MAX, J::prepare(&client)).await?;
        Ok(Link {
            client,
            statements,
            mark,
            writer: row.get(0),
            batch: 0,
        })
    }

    /// Asks how a transaction ended whose commit was under way when the connection broke.
    async fn ask(
        &self,
        link: Link<J::Statements>,
        decided: J::Decided,
        fault: Fault,
    ) -> Tried<J::Decided> {
        let (writer, batch) = (link.writer, link.batch);
        drop(link);
        tracing::warn!(%fault, "a commit was cut off; asking the database how it ended");
        let until = Instant::now() + ASKING_MAX;
        while Instant::now() < until {
            match in_time(SECOND_MAX, self.ask_once(writer, batch)).await {
                Ok(true) => return Tried::Committed(decided),
                Ok(false) => return Tried::Failed(fault),
                Err(fault) => tracing::debug!(%fault, "the database cannot be asked yet"),
            }
            tokio::time::sleep(PAUSE).await;
        }
        Tried::Failed(Fault::Unknown(fault.to_string().into()))
    }

    /// Whether a batch was committed. Waits for the transaction that holds the row, so that the
    /// answer is final.
    async fn ask_once(&self, writer: i64, batch: i64) -> Result<bool, Fault> {
        let client = self.connector.connect().await?;
        let sql = "SELECT batch FROM hooklatch.writers WHERE id = $1 FOR UPDATE";
        let row = client.query_opt(sql, &[&writer]).await?;
        Ok(row.is_some_and(|row| row.get::<_, i64>(0) == batch))
    }
}

async fn in_time<T>(
    most: Duration,
    half: impl Future<Output = Result<T, Fault>>,
) -> Result<T, Fault> {
    match tokio::time::timeout(most, half).await {
        Ok(done) => done,
        Err(_) => Err(Fault::Silent),
    }
}
