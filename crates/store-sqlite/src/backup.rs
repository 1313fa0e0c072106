//! Copies a directory's file while a gateway works on it.
//!
//! The copy is of one moment: it is made inside a read transaction, and readers hold up no writer of
//! this file. It grows under another name, is read from end to end and compared with what it was
//! made of, and gets its name only when all of it is on the disk: a file under the name that was
//! asked for is a whole backup.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::backup::{Backup, StepResult};
use rusqlite::{Connection, OpenFlags, Transaction};

use crate::fault::Fault;
use crate::{open, schema};

/// Pages that are copied at a time, 16 MiB, between two looks of whoever waits.
const PAGES: i32 = 4_096;
/// How long is waited where a file is locked for a moment, and how often.
const WAIT: Duration = Duration::from_millis(10);
const WAITS_MAX: u32 = 1_000;

/// What happens to a file that has the name already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Existing {
    /// It is kept, and no backup is made.
    Keep,
    /// The backup takes its place once it is whole.
    Replace,
}

/// How far a backup is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BackupProgress {
    /// What is done.
    pub stage: BackupStage,
    /// Pages or tables that are through.
    pub done: u64,
    /// Of how many.
    pub total: u64,
}

/// What a backup does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BackupStage {
    /// It copies pages.
    Copying,
    /// It reads the copy from end to end.
    Checking,
    /// It counts the rows of each table on both sides.
    Comparing,
}

/// A backup that was made and found whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BackedUp {
    /// Its size in bytes.
    pub bytes: u64,
    /// The version of its tables.
    pub schema: i64,
    /// Each table and its rows, the same on both sides.
    pub tables: Vec<(String, u64)>,
}

/// Why there is no backup.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// There is nothing to be copied.
    #[error("{} holds no data of hooklatch", .0.display())]
    Missing(PathBuf),
    /// There is a file with that name.
    #[error("{} exists already; choose another name, or say that it may be replaced", .0.display())]
    Exists(PathBuf),
    /// The system refused a file.
    #[error("failed to use {}", .path.display())]
    System {
        /// Which file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// SQLite failed.
    #[error("failed to copy {}", .path.display())]
    Unreadable {
        /// What was copied.
        path: PathBuf,
        /// Why.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The copy is not what it was made of.
    #[error("the copy of {} is damaged and was removed: {what}", .path.display())]
    Damaged {
        /// What was copied.
        path: PathBuf,
        /// What is wrong.
        what: String,
    },
}

/// Makes a backup of the directory `dir` in the file `to`, and tells how far it is.
///
/// # Errors
/// Where there is no data, the file exists, the system or SQLite fails, or the copy is not whole.
/// There is no new file then.
pub fn back_up(
    dir: &Path,
    to: &Path,
    existing: Existing,
    mut progress: impl FnMut(BackupProgress),
) -> Result<BackedUp, BackupError> {
    let path = dir.join(open::FILE_NAME);
    if !path.is_file() {
        return Err(BackupError::Missing(dir.to_owned()));
    }
    if existing == Existing::Keep && to.exists() {
        return Err(BackupError::Exists(to.to_owned()));
    }
    let draft = Draft::new(to)?;
    let made = copy(&path, &draft.path, &mut progress).map_err(|error| of(&path, error))?;
    draft.publish(to)?;
    Ok(made)
}

/// What can go wrong while copying.
enum Trouble {
    Fault(Fault),
    Damaged(String),
}

impl<E: Into<Fault>> From<E> for Trouble {
    fn from(error: E) -> Self {
        Self::Fault(error.into())
    }
}

fn of(path: &Path, trouble: Trouble) -> BackupError {
    let path = path.to_owned();
    match trouble {
        Trouble::Damaged(what) => BackupError::Damaged { path, what },
        Trouble::Fault(fault) => BackupError::Unreadable {
            path,
            source: Box::new(fault),
        },
    }
}

fn copy(
    from: &Path,
    to: &Path,
    progress: &mut dyn FnMut(BackupProgress),
) -> Result<BackedUp, Trouble> {
    let source = schema::open_reader(from)?;
    let moment = source.unchecked_transaction()?;
    // The moment begins with the first read.
    let schema: i64 = moment.pragma_query_value(None, "user_version", |row| row.get(0))?;
    let mut copied = open_draft(to)?;
    copy_pages(&moment, &mut copied, progress)?;
    // One file without a log beside it.
    copied.pragma_update(None, "journal_mode", "DELETE")?;
    progress(BackupProgress {
        stage: BackupStage::Checking,
        done: 0,
        total: 1,
    });
    check(&copied)?;
    let tables = compare(&moment, &copied, progress)?;
    copied.close().map_err(|(_, error)| error)?;
    File::open(to)?.sync_all()?;
    let bytes = fs::metadata(to)?.len();
    Ok(BackedUp {
        bytes,
        schema,
        tables,
    })
}

fn open_draft(path: &Path) -> Result<Connection, Fault> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    Ok(Connection::open_with_flags(path, flags)?)
}

/// The whole copy sees the moment of the transaction, however often the writer commits meanwhile.
fn copy_pages(
    moment: &Transaction<'_>,
    copied: &mut Connection,
    progress: &mut dyn FnMut(BackupProgress),
) -> Result<(), Fault> {
    let backup = Backup::new(moment, copied)?;
    let mut waits = 0..WAITS_MAX;
    loop {
        let step = backup.step(PAGES)?;
        let pages = backup.progress();
        let number = |pages: i32| u64::try_from(pages).unwrap_or(0);
        progress(BackupProgress {
            stage: BackupStage::Copying,
            done: number(pages.pagecount - pages.remaining),
            total: number(pages.pagecount),
        });
        match step {
            StepResult::Done => return Ok(()),
            StepResult::More => {}
            // Nobody else has the copy, and a reader of the source waits for nobody: a checkpoint
            // may be beginning, and is over in a moment.
            StepResult::Busy | StepResult::Locked if waits.next().is_some() => {
                std::thread::sleep(WAIT);
            }
            other => return Err(Fault::unreadable(format!("the copy stopped: {other:?}"))),
        }
    }
}

fn check(copied: &Connection) -> Result<(), Trouble> {
    let sql = "PRAGMA integrity_check(1)";
    let said: String = copied.query_row(sql, [], |row| row.get(0))?;
    if said == "ok" {
        return Ok(());
    }
    Err(Trouble::Damaged(said))
}

fn compare(
    moment: &Connection,
    copied: &Connection,
    progress: &mut dyn FnMut(BackupProgress),
) -> Result<Vec<(String, u64)>, Trouble> {
    let names = tables(moment)?;
    let total = names.len() as u64;
    let mut counted = Vec::with_capacity(names.len());
    for (done, name) in (0..).zip(names) {
        progress(BackupProgress {
            stage: BackupStage::Comparing,
            done,
            total,
        });
        let (before, after) = (rows(moment, &name)?, rows(copied, &name)?);
        if before != after {
            let what = format!("{name} has {after} rows instead of {before}");
            return Err(Trouble::Damaged(what));
        }
        counted.push((name, after));
    }
    Ok(counted)
}

fn tables(db: &Connection) -> Result<Vec<String>, Fault> {
    let sql = "SELECT name FROM sqlite_schema WHERE type = 'table' \
               AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\' ORDER BY name";
    let mut statement = db.prepare(sql)?;
    let names = statement.query_map([], |row| row.get(0))?;
    Ok(names.collect::<Result<_, _>>()?)
}

fn rows(db: &Connection, table: &str) -> Result<u64, Fault> {
    let quoted = table.replace('"', "\"\"");
    let sql = format!("SELECT COUNT(*) FROM \"{quoted}\"");
    let rows: i64 = db.query_row(&sql, [], |row| row.get(0))?;
    Ok(rows.unsigned_abs())
}

/// The file under its passing name; it goes where it does not become the backup.
struct Draft {
    path: PathBuf,
    kept: bool,
}

impl Draft {
    fn new(to: &Path) -> Result<Self, BackupError> {
        let mut name = to.file_name().unwrap_or_default().to_owned();
        name.push(".partial");
        let draft = Self {
            path: to.with_file_name(name),
            kept: false,
        };
        // What a run before this one left behind when it was killed.
        draft.remove();
        let mut options = OpenOptions::new();
        options.read(true).write(true).create_new(true);
        // Bodies and sealed secrets are nobody else's business.
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        match options.open(&draft.path) {
            Ok(_) => Ok(draft),
            Err(source) => {
                let path = draft.path.clone();
                Err(BackupError::System { path, source })
            }
        }
    }

    fn publish(mut self, to: &Path) -> Result<(), BackupError> {
        let system = |source| BackupError::System {
            path: to.to_owned(),
            source,
        };
        fs::rename(&self.path, to).map_err(system)?;
        self.kept = true;
        // The name is durable only when the directory is.
        #[cfg(unix)]
        if let Some(directory) = to.parent() {
            let directory = match directory.as_os_str().is_empty() {
                true => Path::new("."),
                false => directory,
            };
            let opened = File::open(directory).and_then(|directory| directory.sync_all());
            opened.map_err(system)?;
        }
        Ok(())
    }

    fn remove(&self) {
        for suffix in ["", "-journal", "-wal", "-shm"] {
            let mut name = self.path.clone().into_os_string();
            name.push(suffix);
            // It is not there, or cannot be removed, which the next run says.
            drop(fs::remove_file(name));
        }
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        if !self.kept {
            self.remove();
        }
    }
}
