//! Where a gateway keeps its data: memory, a directory, or a database. Each test has a place of its
//! own, which goes with it; what is said of a gateway shall hold on every one.

use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};

use tempfile::TempDir;
use tokio::process::Command;
use tokio_postgres::NoTls;

/// The store that a test is run on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Backend {
    /// The one in the gateway's memory.
    Memory,
    /// The embedded one.
    Sqlite,
    /// The shared one.
    Postgres,
}

/// Makes a test of each sentence on each store.
macro_rules! on_each_store {
    ($($name:ident)*) => {
        crate::support::on_stores! { memory Memory: $($name)* }
        crate::support::on_stores! { sqlite Sqlite: $($name)* }
        crate::support::on_stores! { postgres Postgres: $($name)* }
    };
}
pub(crate) use on_each_store;

/// The same for sentences about what is there after the gateway's process has ended; the reason
/// says how it ends. What is in memory ends with it.
macro_rules! on_each_lasting_store {
    ($reason:literal: $($name:ident)*) => {
        #[doc = $reason]
        mod lasting {
            use super::*;

            crate::support::on_stores! { sqlite Sqlite: $($name)* }
            crate::support::on_stores! { postgres Postgres: $($name)* }
        }
    };
}
pub(crate) use on_each_lasting_store;

/// A module of tests on one store.
macro_rules! on_stores {
    ($store:ident $backend:ident: $($name:ident)*) => {
        mod $store {
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $name() {
                    super::$name(crate::support::Backend::$backend).await;
                }
            )*
        }
    };
}
pub(crate) use on_stores;

/// Where PostgreSQL is, for tests: a URL of a user that may make databases.
const POSTGRES_URL: &str = "HOOKLATCH_TEST_POSTGRES_URL";
/// What seals secrets where there is no directory for a key file.
pub const ENCRYPTION_KEY: &str = "ZW5kIHRvIGVuZCB0ZXN0cyBzZWFsIHdpdGggdGhpcy4=";

/// A place for data.
pub enum Data {
    /// The memory of each gateway that is started.
    Memory,
    /// A directory.
    Directory(TempDir),
    /// A database.
    Database(TestDatabase),
}

impl Data {
    /// An empty place on a store.
    pub async fn new(on: Backend) -> Self {
        match on {
            Backend::Memory => Self::Memory,
            Backend::Sqlite => Self::Directory(TempDir::new().expect("a temporary directory")),
            Backend::Postgres => Self::Database(TestDatabase::create().await),
        }
    }

    /// The directory; for what is only about files.
    pub fn path(&self) -> &Path {
        match self {
            Self::Directory(directory) => directory.path(),
            Self::Database(database) => panic!("{} is no directory", database.name),
            Self::Memory => panic!("what is in memory has no directory"),
        }
    }

    /// Lets a `serve` keep its data here.
    pub fn configure(&self, command: &mut Command) {
        match self {
            Self::Memory => {
                command.arg("--in-memory");
            }
            Self::Directory(directory) => {
                command.arg("--data-dir").arg(directory.path());
            }
            Self::Database(database) => {
                command
                    .env("HOOKLATCH_DATABASE_URL", database.url())
                    .env("HOOKLATCH_ENCRYPTION_KEY", ENCRYPTION_KEY);
            }
        }
    }
}

/// A database that is dropped with this.
pub struct TestDatabase {
    server: String,
    name: String,
}

impl TestDatabase {
    /// Makes an empty one.
    pub async fn create() -> Self {
        static MADE: AtomicUsize = AtomicUsize::new(0);
        let url = std::env::var(POSTGRES_URL).unwrap_or_else(|_| {
            panic!(
                "{POSTGRES_URL} is not set: run the tests with `cargo xtask test`, which starts a \
                 PostgreSQL for them"
            )
        });
        let number = MADE.fetch_add(1, Ordering::Relaxed);
        let made = Self {
            name: format!("hooklatch_e2e_{}_{number}", std::process::id()),
            server: url,
        };
        execute(&made.server, &format!("CREATE DATABASE {}", made.name)).await;
        made
    }

    /// How to get to it, with the password.
    pub fn url(&self) -> String {
        let (server, _) = self
            .server
            .rsplit_once('/')
            .expect("the URL of the tests names a database");
        format!("{server}/{}", self.name)
    }
}

impl Drop for TestDatabase {
    fn drop(&mut self) {
        let (server, name) = (self.server.clone(), self.name.clone());
        // A drop cannot wait on the runtime that it is dropped in.
        let dropped = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .expect("a runtime starts");
            let sql = format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)");
            runtime.block_on(execute(&server, &sql));
        });
        if dropped.join().is_err() && !std::thread::panicking() {
            panic!("the database of the test could not be dropped");
        }
    }
}

/// Runs one statement on the server.
pub async fn execute(url: &str, sql: &str) {
    let (client, connection) = tokio_postgres::connect(url, NoTls)
        .await
        .expect("the PostgreSQL of the tests answers");
    let connection = tokio::spawn(connection);
    client
        .batch_execute(sql)
        .await
        .unwrap_or_else(|error| panic!("{sql}: {error}"));
    drop(client);
    connection
        .await
        .expect("the connection does not panic")
        .expect("the connection ends in order");
}
