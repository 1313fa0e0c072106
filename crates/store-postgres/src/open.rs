//! Opens the store: the tables, this node's slot, the workers.

use std::error::Error;
use std::sync::{Arc, Mutex};

use hooklatch_core::time::Millis;
use hooklatch_store::Clock;
use tokio_util::sync::CancellationToken;

use crate::admit::Admitting;
use crate::clock::StoreClock;
use crate::connect::Connector;
use crate::deliveries::Moving;
use crate::fault::Fault;
use crate::maintenance::{self, Maintenance};
use crate::memory::Memory;
use crate::migrate::{self as steps, Migrated};
use crate::node::{Node, Numbers, Wakes};
use crate::queue::{Bounds, Queue};
use crate::receiving::Calling;
use crate::store::PostgresStore;
use crate::url::DatabaseUrl;
use crate::worker::{Job, Worker};
use crate::{import, partitions, pool};

/// What can be set. The defaults suit a node with a few cores.
#[derive(Clone)]
pub struct Options {
    /// Whether missing steps of the tables are taken when the store is opened. Otherwise tables of
    /// an older version are refused.
    pub migrate: bool,
    /// Connections for reads and commands.
    pub connections: usize,
    /// Connections that write arrivals, each one batch at a time.
    pub writers: usize,
    /// Writes that may wait, of each kind.
    pub queue_tasks_max: usize,
    /// Bytes of bodies and headers that may wait to be written, of each kind.
    pub queue_bytes_max: usize,
    /// Bytes of recently admitted messages that are kept for their first attempt.
    pub cache_bytes_max: usize,
    /// For how long history is kept; none for ever. Claims are kept for their windows either way.
    pub history_kept: Option<Millis>,
    /// Another clock in the database's place, for tests that let time pass.
    pub clock: Option<Arc<dyn Clock>>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            migrate: true,
            connections: 8,
            writers: 2,
            queue_tasks_max: 8_192,
            queue_bytes_max: 64 << 20,
            cache_bytes_max: 64 << 20,
            history_kept: None,
            clock: None,
        }
    }
}

/// Why the store was not opened. No text of it holds the password.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The database does not answer, or lets nobody in.
    #[error("failed to reach the database")]
    Unreachable(#[source] Box<dyn Error + Send + Sync>),
    /// The database refused something.
    #[error("the database refused what the store needs")]
    Refused(#[source] Box<dyn Error + Send + Sync>),
    /// The tables are from a newer version.
    #[error(
        "the tables were made by a newer hooklatch (schema {found}, this one knows {known}); \
         start that version"
    )]
    Newer {
        /// Their version.
        found: i64,
        /// Ours.
        known: i64,
    },
    /// The tables are from an older version, and may not be changed now.
    #[error(
        "the tables are of schema {found}, and this version needs {needed}: \
         run `hooklatch migrate`"
    )]
    Older {
        /// Their version.
        found: i64,
        /// Ours.
        needed: i64,
    },
    /// A copy into the database was begun and is not complete.
    #[error(
        "a copy into this database was begun and is not complete: run `hooklatch copy` again with \
         the same directory, which goes on with it, or empty the database"
    )]
    HalfCopied,
    /// The certificates in `sslrootcert` cannot be used.
    #[error("{0}")]
    Certificates(String),
}

impl OpenError {
    pub(crate) fn unreachable(fault: Fault) -> Self {
        Self::Unreachable(Box::new(fault))
    }

    pub(crate) fn refused(fault: Fault) -> Self {
        match fault {
            Fault::Lost(_) => Self::unreachable(fault),
            fault => Self::Refused(Box::new(fault)),
        }
    }
}

/// Brings the tables to this version.
///
/// # Errors
/// Where the database cannot be reached, refuses, or has tables of a newer version.
pub async fn migrate(url: &DatabaseUrl) -> Result<Migrated, OpenError> {
    steps::migrate(&Connector::new(url).map_err(OpenError::Certificates)?).await
}

/// The version of the tables, and the one that this binary knows; 0 where there are none.
///
/// # Errors
/// Where the database cannot be reached or refuses.
pub async fn versions(url: &DatabaseUrl) -> Result<Migrated, OpenError> {
    let connector = Connector::new(url).map_err(OpenError::Certificates)?;
    let client = connector.connect().await.map_err(OpenError::unreachable)?;
    let found = steps::find(&client).await.map_err(OpenError::refused)?;
    Ok(Migrated {
        from: found.version,
        to: steps::VERSION,
    })
}

/// A session that reads, of nobody's node: for whoever looks at a database that may not be ours.
///
/// # Errors
/// Where the database cannot be reached or refuses.
pub async fn reader(url: &DatabaseUrl) -> Result<tokio_postgres::Client, OpenError> {
    let connector = Connector::new(url).map_err(OpenError::Certificates)?;
    let client = connector.connect().await.map_err(OpenError::unreachable)?;
    let read_only = "SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY";
    let set = client.batch_execute(read_only).await;
    set.map_err(|error| OpenError::refused(error.into()))?;
    Ok(client)
}

/// Opens a database as one of its nodes. Needs a runtime, which the store goes on to use.
pub(crate) async fn open(
    url: &DatabaseUrl,
    options: Options,
) -> Result<Arc<PostgresStore>, OpenError> {
    let connector = Connector::new(url).map_err(OpenError::Certificates)?;
    let clock = StoreClock::new(options.clock.clone());
    prepare(&connector, &options, &clock).await?;
    let wakes: (Wakes, Wakes) = (Arc::default(), Arc::default());
    let numbers = Arc::new(Numbers::default());
    let memory = Memory::new(
        clock,
        Arc::clone(&numbers),
        Arc::clone(&wakes.0),
        options.cache_bytes_max,
    );
    let memory = Arc::new(memory);
    let heard = Arc::clone(&memory);
    let heard: Wakes = Arc::new(Mutex::new(vec![Arc::new(move || heard.hear())]));
    let stop = CancellationToken::new();
    let name = name_of_node(&connector).await?;
    let node = Node {
        connector: connector.clone(),
        name: name.clone(),
        numbers,
        work: heard,
        change: Arc::clone(&wakes.1),
        stop: stop.clone(),
    };
    node.start().await.map_err(OpenError::refused)?;
    let bounds = Bounds {
        tasks: options.queue_tasks_max,
        bytes: options.queue_bytes_max,
    };
    let store = PostgresStore {
        pool: pool::pool(&connector, options.connections),
        arriving: Arc::new(Queue::new(bounds)),
        delivering: Arc::new(Queue::new(bounds)),
        calling: Arc::new(Queue::new(bounds)),
        change: wakes.1,
        runtime: tokio::runtime::Handle::current(),
        memory,
        stop,
    };
    make_partitions(&connector, &store.memory).await?;
    start(&store, &connector, &options, name);
    Ok(Arc::new(store))
}

/// Checks or brings up the tables, and learns what time it is.
async fn prepare(
    connector: &Connector,
    options: &Options,
    clock: &StoreClock,
) -> Result<(), OpenError> {
    if options.migrate {
        steps::migrate(connector).await?;
    }
    let client = connector.connect().await.map_err(OpenError::unreachable)?;
    let found = steps::find(&client).await.map_err(OpenError::refused)?;
    steps::check(found)?;
    if found.version < steps::VERSION {
        return Err(OpenError::Older {
            found: found.version,
            needed: steps::VERSION,
        });
    }
    let half_copied = import::is_under_way(&client).await;
    if half_copied.map_err(OpenError::refused)? {
        return Err(OpenError::HalfCopied);
    }
    let sql = "SELECT (extract(epoch FROM clock_timestamp()) * 1000)::bigint";
    let time = client.query_one(sql, &[]).await;
    let time = time.map_err(|error| OpenError::refused(error.into()))?;
    clock.observe(time.get(0));
    Ok(())
}

async fn make_partitions(connector: &Connector, memory: &Memory) -> Result<(), OpenError> {
    let client = connector.connect().await.map_err(OpenError::unreachable)?;
    let until = partitions::ensure(&client, memory.clock.now()).await;
    memory.set_partitions(until.map_err(OpenError::refused)?);
    Ok(())
}

/// A name that no other node has.
async fn name_of_node(connector: &Connector) -> Result<String, OpenError> {
    let client = connector.connect().await.map_err(OpenError::unreachable)?;
    let name = client
        .query_one("SELECT gen_random_uuid()::text", &[])
        .await;
    Ok(name
        .map_err(|error| OpenError::refused(error.into()))?
        .get(0))
}

fn start(store: &PostgresStore, connector: &Connector, options: &Options, name: String) {
    for _ in 0..options.writers.max(1) {
        let job = Admitting {
            memory: Arc::clone(&store.memory),
        };
        spawn(store, connector, job, &store.arriving);
    }
    let job = Moving {
        memory: Arc::clone(&store.memory),
    };
    spawn(store, connector, job, &store.delivering);
    let job = Calling {
        memory: Arc::clone(&store.memory),
    };
    spawn(store, connector, job, &store.calling);
    tokio::spawn(
        Maintenance {
            connector: connector.clone(),
            memory: Arc::clone(&store.memory),
            history_kept: options.history_kept,
            stop: store.stop.clone(),
        }
        .run(),
    );
    tokio::spawn(maintenance::say(
        store.pool.clone(),
        Arc::clone(&store.memory),
        name,
        store.stop.clone(),
    ));
}

fn spawn<J: Job>(
    store: &PostgresStore,
    connector: &Connector,
    job: J,
    queue: &Arc<Queue<J::Task>>,
) {
    let worker = Worker {
        job: Arc::new(job),
        queue: Arc::clone(queue),
        connector: connector.clone(),
        memory: Arc::clone(&store.memory),
    };
    tokio::spawn(worker.run());
}
