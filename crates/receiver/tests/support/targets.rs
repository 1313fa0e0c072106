//! What the chaos harness is let loose on: every store in leased mode, the transactional modes, and
//! the popular mistake.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::Duration;

use deadpool_postgres::{Manager, Pool};
use hooklatch_receiver::key::{Fingerprint, Scope, ScopeKey};
use hooklatch_receiver::kit::{Delivery, Receiver};
use hooklatch_receiver::memory::MemoryStore;
use hooklatch_receiver::run::{Begun, Settings};
use hooklatch_receiver::store::Store;
use hooklatch_receiver::{mysql, postgres, sqlite};
use mysql_async::prelude::Queryable;
use tokio_postgres::NoTls;

use super::chaos::{Death, Delivered, Target};
use super::services::until_it_answers;

/// The effect of a transaction: a row without any constraint of its own.
pub const EFFECTS: &str = "CREATE TABLE IF NOT EXISTS effects (event INTEGER NOT NULL)";

const FORGET: &str = "DELETE FROM hooklatch_claims; DELETE FROM effects";

/// Short leases, so that the dead are overtaken soon; and no end of attempts.
pub fn settings() -> Settings {
    Settings {
        lease: Duration::from_millis(150),
        attempts_max: 1_000,
        ..Settings::default()
    }
}

pub fn delivery(event: u32) -> Delivery {
    let scope = Scope {
        source: "chaos",
        ..Scope::default()
    };
    let key = ScopeKey::derive(&scope, &[&event.to_string()]).unwrap();
    Delivery::new(key, Fingerprint::of(&event.to_be_bytes()))
}

pub fn postgres_pool(url: &str) -> Pool {
    let manager = Manager::new(url.parse().unwrap(), NoTls);
    Pool::builder(manager).max_size(16).build().unwrap()
}

fn counted(events: impl IntoIterator<Item = u32>) -> HashMap<u32, usize> {
    let mut counts = HashMap::new();
    for event in events {
        *counts.entry(event).or_default() += 1;
    }
    counts
}

/// Whether the store says that the event is over.
fn heard<M>(begun: &Begun<M>) -> Delivered {
    match begun {
        Begun::Done { .. } => Delivered::Acknowledged,
        Begun::Run(_) | Begun::Busy { .. } => Delivered::Again,
        Begun::Conflict { .. } | Begun::Dead { .. } => panic!("{begun:?}"),
    }
}

/// A store with leases, and an effect outside of it.
pub struct Leases<S> {
    kit: Receiver<S>,
    effects: Mutex<Vec<u32>>,
}

impl<S: Store> Leases<S> {
    pub fn new(store: S) -> Self {
        Self {
            kit: Receiver::new(store, settings()),
            effects: Mutex::default(),
        }
    }
}

impl<S: Store> Target for Leases<S> {
    async fn deliver(&self, event: u32, death: Option<Death>) -> Delivered {
        let begun = self.kit.begin(&delivery(event)).await.unwrap();
        let Begun::Run(run) = begun else {
            return heard(&begun);
        };
        if death == Some(Death::BeforeEffect) {
            return Delivered::Again;
        }
        self.effects.lock().unwrap().push(event);
        if death == Some(Death::AfterEffect) {
            return Delivered::Again;
        }
        // Whether it was in time makes no difference to the sender: the effect has happened.
        let _completed = run.complete(b"done").await.unwrap();
        match death {
            Some(Death::AfterCompletion) => Delivered::Again,
            Some(Death::BeforeEffect | Death::AfterEffect) | None => Delivered::Acknowledged,
        }
    }

    async fn effects(&self) -> HashMap<u32, usize> {
        counted(self.effects.lock().unwrap().iter().copied())
    }
}

/// The popular mistake: mark the event as seen, acknowledge what is marked, do the work after.
#[derive(Default)]
pub struct MarkFirst {
    marked: Mutex<HashSet<u32>>,
    effects: Mutex<Vec<u32>>,
}

impl Target for MarkFirst {
    async fn deliver(&self, event: u32, death: Option<Death>) -> Delivered {
        if !self.marked.lock().unwrap().insert(event) {
            return Delivered::Acknowledged;
        }
        if death == Some(Death::BeforeEffect) {
            return Delivered::Again;
        }
        self.effects.lock().unwrap().push(event);
        match death {
            Some(_) => Delivered::Again,
            None => Delivered::Acknowledged,
        }
    }

    async fn effects(&self) -> HashMap<u32, usize> {
        counted(self.effects.lock().unwrap().iter().copied())
    }
}

/// PostgreSQL, record and effect in one transaction.
pub struct PostgresTx {
    kit: Receiver<MemoryStore>,
    pub pool: Pool,
}

impl PostgresTx {
    pub async fn new(url: &str) -> Self {
        Self::on(postgres_pool(url)).await
    }

    pub async fn on(pool: Pool) -> Self {
        let store = postgres::PostgresStore::new(pool.clone());
        until_it_answers(|| store.create_tables()).await;
        pool.get()
            .await
            .unwrap()
            .batch_execute(EFFECTS)
            .await
            .unwrap();
        Self {
            kit: Receiver::new(MemoryStore::new(), settings()),
            pool,
        }
    }

    /// Empties the tables, for another storm.
    pub async fn forget(&self) {
        let client = self.pool.get().await.unwrap();
        client.batch_execute(FORGET).await.unwrap();
    }
}

impl Target for PostgresTx {
    async fn deliver(&self, event: u32, death: Option<Death>) -> Delivered {
        let mut client = self.pool.get().await.unwrap();
        let client: &mut tokio_postgres::Client = &mut client;
        let mut tx = client.transaction().await.unwrap();
        let claim = self.kit.claim(&delivery(event));
        let wait = Duration::from_millis(500);
        let begun = postgres::begin_in(&mut tx, &claim, wait).await.unwrap();
        let Begun::Run(mut run) = begun else {
            return heard(&begun);
        };
        if death == Some(Death::BeforeEffect) {
            return Delivered::Again;
        }
        let number = i32::try_from(event).unwrap();
        let insert = "INSERT INTO effects VALUES ($1)";
        run.transaction().execute(insert, &[&number]).await.unwrap();
        if death == Some(Death::AfterEffect) {
            return Delivered::Again;
        }
        run.complete(b"done").await.unwrap();
        tx.commit().await.unwrap();
        match death {
            Some(Death::AfterCompletion) => Delivered::Again,
            Some(Death::BeforeEffect | Death::AfterEffect) | None => Delivered::Acknowledged,
        }
    }

    async fn effects(&self) -> HashMap<u32, usize> {
        let client = self.pool.get().await.unwrap();
        let rows = client
            .query("SELECT event FROM effects", &[])
            .await
            .unwrap();
        counted(
            rows.iter()
                .map(|row| u32::try_from(row.get::<_, i32>(0)).unwrap()),
        )
    }
}

/// The same through sqlx.
pub struct SqlxTx {
    kit: Receiver<MemoryStore>,
    pool: sqlx::PgPool,
}

impl SqlxTx {
    pub async fn new(url: &str) -> Self {
        let pool = until_it_answers(|| sqlx::PgPool::connect(url)).await;
        sqlx::raw_sql(hooklatch_receiver::sqlx::SCHEMA)
            .execute(&pool)
            .await
            .unwrap();
        sqlx::raw_sql(EFFECTS).execute(&pool).await.unwrap();
        Self {
            kit: Receiver::new(MemoryStore::new(), settings()),
            pool,
        }
    }

    /// Empties the tables, for another storm.
    pub async fn forget(&self) {
        sqlx::raw_sql(FORGET).execute(&self.pool).await.unwrap();
    }
}

impl Target for SqlxTx {
    async fn deliver(&self, event: u32, death: Option<Death>) -> Delivered {
        let mut tx = self.pool.begin().await.unwrap();
        let claim = self.kit.claim(&delivery(event));
        let wait = Duration::from_millis(500);
        let begun = hooklatch_receiver::sqlx::begin_in(&mut tx, &claim, wait).await;
        let begun = begun.unwrap();
        let Begun::Run(mut run) = begun else {
            return heard(&begun);
        };
        if death == Some(Death::BeforeEffect) {
            return Delivered::Again;
        }
        let insert = sqlx::query("INSERT INTO effects VALUES ($1)");
        let insert = insert.bind(i32::try_from(event).unwrap());
        insert.execute(run.transaction()).await.unwrap();
        if death == Some(Death::AfterEffect) {
            return Delivered::Again;
        }
        run.complete(b"done").await.unwrap();
        tx.commit().await.unwrap();
        match death {
            Some(Death::AfterCompletion) => Delivered::Again,
            Some(Death::BeforeEffect | Death::AfterEffect) | None => Delivered::Acknowledged,
        }
    }

    async fn effects(&self) -> HashMap<u32, usize> {
        let select = sqlx::query_scalar::<_, i32>("SELECT event FROM effects");
        let events = select.fetch_all(&self.pool).await.unwrap();
        counted(
            events
                .into_iter()
                .map(|event| u32::try_from(event).unwrap()),
        )
    }
}

/// MySQL or MariaDB, record and effect in one transaction.
pub struct MysqlTx {
    kit: Receiver<MemoryStore>,
    pub pool: mysql_async::Pool,
}

impl MysqlTx {
    pub async fn new(url: &str) -> Self {
        let pool = mysql_async::Pool::new(url);
        let store = mysql::MysqlStore::new(pool.clone());
        until_it_answers(|| store.create_tables()).await;
        let mut connection = pool.get_conn().await.unwrap();
        connection.query_drop(EFFECTS).await.unwrap();
        Self {
            kit: Receiver::new(MemoryStore::new(), settings()),
            pool,
        }
    }

    /// Empties the tables, for another storm.
    pub async fn forget(&self) {
        let mut connection = self.pool.get_conn().await.unwrap();
        for statement in FORGET.split(';') {
            connection.query_drop(statement).await.unwrap();
        }
    }
}

impl Target for MysqlTx {
    async fn deliver(&self, event: u32, death: Option<Death>) -> Delivered {
        let mut connection = self.pool.get_conn().await.unwrap();
        let mut options = mysql_async::TxOpts::default();
        options.with_isolation_level(mysql_async::IsolationLevel::ReadCommitted);
        let mut tx = connection.start_transaction(options).await.unwrap();
        let claim = self.kit.claim(&delivery(event));
        let begun = match mysql::begin_in(&mut tx, &claim).await {
            Ok(begun) => begun,
            Err(mysql::BeginError::Collision(_)) => {
                tx.rollback().await.unwrap();
                return Delivered::Again;
            }
            Err(error) => panic!("{error:?}"),
        };
        let Begun::Run(mut run) = begun else {
            let delivered = heard(&begun);
            drop(begun);
            tx.rollback().await.unwrap();
            return delivered;
        };
        if death == Some(Death::BeforeEffect) {
            return Delivered::Again;
        }
        let insert = "INSERT INTO effects VALUES (?)";
        run.transaction().exec_drop(insert, (event,)).await.unwrap();
        if death == Some(Death::AfterEffect) {
            return Delivered::Again;
        }
        run.complete(b"done").await.unwrap();
        tx.commit().await.unwrap();
        match death {
            Some(Death::AfterCompletion) => Delivered::Again,
            Some(Death::BeforeEffect | Death::AfterEffect) | None => Delivered::Acknowledged,
        }
    }

    async fn effects(&self) -> HashMap<u32, usize> {
        let mut connection = self.pool.get_conn().await.unwrap();
        let events: Vec<u32> = connection.query("SELECT event FROM effects").await.unwrap();
        counted(events)
    }
}

/// SQLite, record and effect in one transaction.
pub struct SqliteTx {
    kit: Receiver<MemoryStore>,
    path: PathBuf,
}

impl SqliteTx {
    pub fn new(path: &Path) -> Self {
        let target = Self {
            kit: Receiver::new(MemoryStore::new(), settings()),
            path: path.to_owned(),
        };
        let connection = target.connection();
        connection
            .pragma_update(None, "journal_mode", "WAL")
            .unwrap();
        connection.execute_batch(sqlite::SCHEMA).unwrap();
        connection.execute_batch(EFFECTS).unwrap();
        target
    }

    pub fn connection(&self) -> rusqlite::Connection {
        let connection = rusqlite::Connection::open(&self.path).unwrap();
        connection.busy_timeout(Duration::from_secs(20)).unwrap();
        connection
    }

    fn deliver_now(&self, event: u32, death: Option<Death>) -> Delivered {
        let mut connection = self.connection();
        let immediate = rusqlite::TransactionBehavior::Immediate;
        let mut tx = connection.transaction_with_behavior(immediate).unwrap();
        let claim = self.kit.claim(&delivery(event));
        let begun = sqlite::begin_in(&mut tx, &claim).unwrap();
        let Begun::Run(mut run) = begun else {
            return heard(&begun);
        };
        if death == Some(Death::BeforeEffect) {
            return Delivered::Again;
        }
        let insert = "INSERT INTO effects VALUES (?1)";
        run.transaction().execute(insert, [event]).unwrap();
        if death == Some(Death::AfterEffect) {
            return Delivered::Again;
        }
        run.complete(b"done").unwrap();
        tx.commit().unwrap();
        match death {
            Some(Death::AfterCompletion) => Delivered::Again,
            Some(Death::BeforeEffect | Death::AfterEffect) | None => Delivered::Acknowledged,
        }
    }
}

impl Target for SqliteTx {
    async fn deliver(&self, event: u32, death: Option<Death>) -> Delivered {
        tokio::task::block_in_place(|| self.deliver_now(event, death))
    }

    async fn effects(&self) -> HashMap<u32, usize> {
        let connection = self.connection();
        let mut select = connection.prepare("SELECT event FROM effects").unwrap();
        let events = select.query_map([], |row| row.get(0)).unwrap();
        counted(events.map(Result::unwrap))
    }
}
