//! Opens the store: the directory's lock, the file, the facts that are kept in memory, the
//! threads.

use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use hooklatch_core::ids::Mint;
use hooklatch_core::time::Timestamp;
use hooklatch_store::Clock;
use hooklatch_store::node::{Answered, Lanes, ParcelCache};
use rusqlite::wal::CheckpointMode;
use rusqlite::{Connection, DEFAULT_NAME};
use tokio::sync::watch;

use crate::checkpoint::Checkpoints;
use crate::fault::Fault;
use crate::generations::Generations;
use crate::listing::Listing;
use crate::memory::Memory;
use crate::queue::{Bounds, End, Queue};
use crate::readers::Readers;
use crate::schema::{self, Unsuitable};
use crate::writer::{Pace, Wakes, Writer};
use crate::{Closed, SqliteStore, due, replays};

/// The name of the file in the directory.
pub(crate) const FILE_NAME: &str = "hooklatch.db";
/// The name of the file whose lock says that the directory is in use.
const LOCK_NAME: &str = "hooklatch.lock";

/// What can be set. The defaults suit one machine that is not short of memory.
#[derive(Debug, Clone)]
pub struct Options {
    /// Bytes of recently admitted messages that are kept for their first attempt.
    pub cache_bytes_max: usize,
    /// Claims in one table of the ledger.
    pub generation_claims_max: usize,
    /// Threads that read.
    pub readers: usize,
    /// Writes that may wait.
    pub queue_operations_max: usize,
    /// Bytes of bodies and headers that may wait to be written.
    pub queue_bytes_max: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            cache_bytes_max: 64 << 20,
            generation_claims_max: 250_000,
            readers: 4,
            queue_operations_max: 8_192,
            queue_bytes_max: 64 << 20,
        }
    }
}

/// Why the store was not opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process has it.
    #[error(
        "{} is in use by another hooklatch process; stop it, or choose another data directory",
        .0.display()
    )]
    InUse(PathBuf),
    /// There is nothing to be read.
    #[error("{} holds no data of hooklatch", .0.display())]
    Missing(PathBuf),
    /// The file is from a newer version.
    #[error(
        "{} was written by a newer hooklatch (schema {found}, this one knows {known}); \
         start that version, or restore a backup from before",
        .path.display()
    )]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its version.
        found: i64,
        /// Ours.
        known: i64,
    },
    /// The system refused a file or a thread.
    #[error("failed to use {}", .path.display())]
    System {
        /// Which file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// SQLite failed, or something in the file cannot be read.
    #[error("failed to read {}", .path.display())]
    Unreadable {
        /// Which file.
        path: PathBuf,
        /// Why.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

pub(crate) fn open(
    dir: &Path,
    clock: Arc<dyn Clock>,
    options: &Options,
) -> Result<Arc<SqliteStore>, OpenError> {
    make_dir(dir).map_err(|source| system(dir, source))?;
    let lock = lock(dir)?;
    let path = dir.join(FILE_NAME);
    make_file(&path).map_err(|source| system(&path, source))?;
    start(&path, lock, clock, options).map_err(|unsuitable| cannot_open(path, unsuitable))
}

/// Opens the file of a directory that is not served, for whoever takes everything out of it. It
/// is left as a start would leave it: of this version, with every lease void.
pub(crate) fn open_unserved(dir: &Path, now: Timestamp) -> Result<(Connection, File), OpenError> {
    let path = dir.join(FILE_NAME);
    if !path.is_file() {
        return Err(OpenError::Missing(dir.to_owned()));
    }
    let lock = lock(dir)?;
    let prepared = || -> Result<Connection, Unsuitable> {
        let db = schema::open_writer(&path)?;
        schema::prepare(&db)?;
        due::void_leases(&db, now)?;
        replays::void_leases(&db)?;
        Ok(db)
    };
    let prepared = prepared();
    let db = prepared.map_err(|unsuitable| cannot_open(path, unsuitable))?;
    Ok((db, lock))
}

fn cannot_open(path: PathBuf, unsuitable: Unsuitable) -> OpenError {
    match unsuitable {
        Unsuitable::Newer(found) => OpenError::Newer {
            path,
            found,
            known: schema::SCHEMA_VERSION,
        },
        Unsuitable::Fault(fault) => OpenError::Unreadable {
            path,
            source: Box::new(fault),
        },
    }
}

fn system(path: &Path, source: io::Error) -> OpenError {
    let path = path.to_owned();
    OpenError::System { path, source }
}

/// Bodies and headers are nobody else's business: only the owner may look.
fn make_dir(dir: &Path) -> io::Result<()> {
    let mut builder = DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(dir)
}

fn make_file(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).append(true).create(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

fn lock(dir: &Path) -> Result<File, OpenError> {
    let path = dir.join(LOCK_NAME);
    let file = make_file(&path).map_err(|source| system(&path, source))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(OpenError::InUse(dir.to_owned())),
        Err(TryLockError::Error(source)) => Err(system(&path, source)),
    }
}

fn start(
    path: &Path,
    lock: File,
    clock: Arc<dyn Clock>,
    options: &Options,
) -> Result<Arc<SqliteStore>, Unsuitable> {
    let mut db = schema::open_writer(path)?;
    schema::prepare(&db)?;
    let secret = schema::secret(&db)?;
    let checkpoints = Arc::new(Checkpoints::default());
    checkpoints.watch(&mut db)?;
    let queue = Arc::new(Queue::new(Bounds {
        operations: options.queue_operations_max,
        bytes: options.queue_bytes_max,
    }));
    let wakes = Wakes::default();
    let troubled = Arc::new(AtomicBool::new(false));
    let writer = Writer {
        path: path.to_owned(),
        queue: Arc::clone(&queue),
        mint: Mint::after(largest_number(&db)?),
        memory: recall(&db, clock.now(), options)?,
        db,
        clock: Arc::clone(&clock),
        secret,
        checkpoints,
        wakes: Arc::clone(&wakes),
        pace: Pace::default(),
        troubled: Arc::clone(&troubled),
    };
    let readers = Arc::new(Readers::start(path, options.readers)?);
    let (said, closed) = watch::channel(Closed::No);
    let running = run(writer, Arc::clone(&readers), lock, said)?;
    Ok(Arc::new(SqliteStore {
        clock,
        secret,
        queue,
        readers,
        wakes,
        writer: Mutex::new(Some(running)),
        closed,
        troubled,
    }))
}

/// Finds again what is kept in memory beside the file, and voids the leases of the process
/// before.
fn recall(db: &Connection, now: Timestamp, options: &Options) -> Result<Memory, Fault> {
    let voided = match due::void_leases(db, now) {
        Err(Fault::Full(error)) => {
            // Reading goes on, and the leases of the process before end by themselves.
            tracing::error!(%error, "there is no room to write; nothing is taken until there is");
            0
        }
        voided => voided?,
    };
    if voided > 0 {
        tracing::info!(
            voided,
            "attempts were under way when the store was last in use"
        );
    }
    replays::void_leases(db)?;
    let mut lanes = Lanes::default();
    for change in due::first_of_lanes(db)? {
        lanes.apply(change);
    }
    let sql = "SELECT COUNT(*) FROM requests INDEXED BY requests_refused WHERE outcome = 3";
    let refused: i64 = db.query_row(sql, [], |row| row.get(0))?;
    Ok(Memory {
        lanes,
        parcels: ParcelCache::new(options.cache_bytes_max),
        generations: Generations::load(db, options.generation_claims_max)?,
        refused: usize::try_from(refused).unwrap_or(0),
        answered: Answered::default(),
        listing: Listing::load(db)?,
    })
}

/// The largest number in use, so that none is ever minted twice.
fn largest_number(db: &Connection) -> Result<i64, Fault> {
    let sql = "SELECT MAX(
        COALESCE((SELECT MAX(id) FROM messages), 0),
        COALESCE((SELECT MAX(id) FROM requests), 0),
        COALESCE((SELECT MAX(id) FROM deliveries), 0),
        COALESCE((SELECT MAX(id) FROM attempts), 0),
        COALESCE((SELECT MAX(id) FROM audit), 0),
        COALESCE((SELECT MAX(id) FROM replays), 0),
        COALESCE((SELECT MAX(number) FROM config), 0),
        COALESCE((SELECT value FROM meta WHERE name = 'minted'), 0),
        COALESCE((SELECT MAX(token) FROM deliveries WHERE id IN (
            SELECT id FROM deliveries INDEXED BY deliveries_due WHERE status <= 1 AND status = 1
        )), 0))";
    Ok(db.query_row(sql, [], |row| row.get(0))?)
}

/// Starts the writer, and the checkpoints beside it.
fn run(
    mut writer: Writer,
    readers: Arc<Readers>,
    lock: File,
    closed: watch::Sender<Closed>,
) -> Result<JoinHandle<()>, Fault> {
    let checkpoints = Arc::clone(&writer.checkpoints);
    let beside = checkpoints.start(&writer.path)?;
    let thread = std::thread::Builder::new().name("sqlite-write".to_owned());
    let running = thread.spawn(move || {
        let end = writer.run();
        readers.end();
        checkpoints.end();
        // The thread only runs checkpoints, and says so where it is done.
        drop(beside.join());
        finish(writer, end);
        drop(lock);
        closed.send_replace(Closed::Yes);
    });
    Ok(running?)
}

/// Leaves one tidy file behind where there was time for it.
fn finish(writer: Writer, end: End) {
    match end {
        End::Abandoned => {}
        End::Drained => {
            let tidy = writer
                .db
                .wal_checkpoint_v2(DEFAULT_NAME, CheckpointMode::TRUNCATE);
            if let Err(error) = tidy {
                tracing::warn!(%error, "failed to empty the log; the next start reads it");
            }
        }
    }
}
