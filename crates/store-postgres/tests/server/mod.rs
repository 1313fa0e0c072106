//! A store in a database of its own, on the server that `HOOKLATCH_TEST_POSTGRES_URL` names.

use std::str::FromStr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use hooklatch_core::time::Millis;
use hooklatch_store::suite::{Fixture, TestClock};
use hooklatch_store::{Clock, Store};
use hooklatch_store_postgres::{DatabaseUrl, OpenError, Options, PostgresStore};
use tokio::runtime::{Builder, Runtime};
use tokio_postgres::{Config, NoTls};

/// Which server the databases are made on.
const URL: &str = "HOOKLATCH_TEST_POSTGRES_URL";

/// Databases that this process has made.
static MADE: AtomicU32 = AtomicU32::new(0);

/// The store, its database and its time.
pub struct InADatabase {
    /// For how long the store keeps history, from when it is opened again.
    pub history_kept: Option<Millis>,
    /// What the store runs on.
    pub runtime: Runtime,
    /// The server's address.
    pub server: String,
    /// The name of the database on it.
    pub database: String,
    clock: Arc<TestClock>,
    store: Option<Arc<PostgresStore>>,
}

impl InADatabase {
    fn open(&mut self) {
        let store = self.try_open().expect("the store opens");
        self.store = Some(store);
    }

    /// Opens the test's database as another node.
    pub fn try_open(&self) -> Result<Arc<PostgresStore>, OpenError> {
        let clock: Arc<dyn Clock> = self.clock.clone();
        let options = Options {
            connections: 4,
            clock: Some(clock),
            history_kept: self.history_kept,
            ..Options::default()
        };
        let url = DatabaseUrl::parse(&self.server).expect("the URL is one");
        let url = url.with_database(&self.database);
        self.runtime.block_on(PostgresStore::open(&url, options))
    }

    /// Runs statements on the server, outside of the test's own database.
    fn on_server(&self, statements: &[String]) {
        let config = Config::from_str(&self.server).expect("the URL is one");
        self.runtime.block_on(async {
            let connected = config.connect(NoTls).await;
            let (client, connection) = connected.expect("the server answers");
            let driven = tokio::spawn(connection);
            for statement in statements {
                let done = client.batch_execute(statement).await;
                done.unwrap_or_else(|error| panic!("{statement}: {error:?}"));
            }
            drop(client);
            driven
                .await
                .expect("nobody panics")
                .expect("the server stays");
        });
    }

    fn drop_it(&self) -> String {
        let database = &self.database;
        format!("DROP DATABASE IF EXISTS {database} WITH (FORCE)")
    }
}

impl Fixture for InADatabase {
    const LEASES_END_WITH_THE_PROCESS: bool = false;

    fn new() -> Self {
        let server = std::env::var(URL);
        let server = server.unwrap_or_else(|_| {
            panic!("{URL} names no server; `cargo xtask test` starts one and runs this")
        });
        let made = MADE.fetch_add(1, Ordering::Relaxed);
        let runtime = Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build();
        let mut fixture = Self {
            history_kept: None,
            clock: TestClock::new(),
            runtime: runtime.expect("there is a runtime"),
            server,
            database: format!("hooklatch_test_{}_{made}", std::process::id()),
            store: None,
        };
        let make = format!("CREATE DATABASE {}", fixture.database);
        fixture.on_server(&[fixture.drop_it(), make]);
        fixture.open();
        fixture
    }

    fn store(&self) -> Arc<dyn Store> {
        let store = self.store.as_ref().expect("the store is open");
        Arc::clone(store) as Arc<dyn Store>
    }

    fn advance(&self, span: Millis) {
        self.clock.advance(span);
    }

    fn crash(&mut self) {
        self.store.as_ref().expect("the store is open").abandon();
        self.open();
    }
}

impl Drop for InADatabase {
    fn drop(&mut self) {
        if let Some(store) = self.store.take() {
            store.abandon();
        }
        // A test that has failed already says why.
        if !std::thread::panicking() {
            self.on_server(&[self.drop_it()]);
        }
    }
}
