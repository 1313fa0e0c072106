//! What lists are filtered by, written late and in sorted slices.
//!
//! An index that is kept up to date with every message dirties a page for each; one that is
//! written for thousands at once does not. Until then, lists look through the tail: what came
//! after the mark. A slice is read from what is stored, a little with each batch, and its last
//! step moves the mark. All of it can be done again: nothing is lost when the process ends.

use hooklatch_core::ids::ProjectId;
use hooklatch_store::record::Code;
use rusqlite::{Connection, OptionalExtension, params};
use sha2::{Digest, Sha256};

use crate::fault::Fault;
use crate::writer::Batch;

/// Rows in one slice.
const SLICE_ROWS: usize = 8_192;
/// Entries that end a slice early.
const SLICE_ENTRIES: usize = 65_536;
/// What a step does at least, however small its batch.
const STEP_MIN: usize = 64;

/// What is listed. The numbers are stable.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    /// Messages and requests by source.
    Source = 1,
    /// Messages by endpoint.
    Endpoint = 2,
    /// Messages by project and type.
    EventType = 3,
    /// Messages by project and tenant.
    Tenant = 4,
    /// Requests by project and outcome.
    Outcome = 5,
    /// Requests by project and cause.
    Cause = 6,
}

/// One entry: the kind, the value, the number of the message or request.
type Entry = (Kind, i64, i64);

/// The value of something that is only unique within a project. Two may share one by chance: who
/// reads compares the rows.
pub(crate) fn value_in(project: ProjectId, text: &[u8]) -> i64 {
    let digest = Sha256::new()
        .chain_update(project.number().to_be_bytes())
        .chain_update(text)
        .finalize();
    let bytes = digest[..8].try_into();
    i64::from_be_bytes(bytes.expect("a digest has 32 bytes"))
}

/// The value of one of our enums within a project.
pub(crate) fn code_in(project: ProjectId, code: impl Code) -> i64 {
    value_in(project, &code.code().to_be_bytes())
}

/// Up to which number everything is listed.
pub(crate) fn mark(db: &Connection) -> Result<i64, Fault> {
    let mut statement = db.prepare_cached("SELECT value FROM meta WHERE name = 'listed'")?;
    let mark = statement.query_row([], |row| row.get(0)).optional()?;
    Ok(mark.unwrap_or(0))
}

/// Lists one thing at once.
pub(crate) fn list_now(db: &Connection, kind: Kind, value: i64, id: i64) -> Result<(), Fault> {
    let sql = "INSERT OR IGNORE INTO listed VALUES (?1, ?2, ?3)";
    db.prepare_cached(sql)?
        .execute(params![kind as i64, value, id])?;
    Ok(())
}

/// Takes one thing off a list. What is in a slice that is being written comes back, and leads to
/// nothing.
pub(crate) fn unlist(db: &Connection, kind: Kind, value: i64, id: i64) -> Result<(), Fault> {
    let sql = "DELETE FROM listed WHERE kind = ?1 AND value = ?2 AND id = ?3";
    db.prepare_cached(sql)?
        .execute(params![kind as i64, value, id])?;
    Ok(())
}

/// How far a slice is.
pub(crate) struct Listing {
    /// Up to which number rows have been read.
    read: i64,
    rows: usize,
    entries: Vec<Entry>,
    /// How many of the entries are written; none while they are still read.
    written: Option<usize>,
    /// Rows that may be unread.
    unread: usize,
    stopped: bool,
}

/// What a step did, applied after the commit.
pub(crate) enum Advance {
    /// Read rows up to a number.
    Read {
        /// The number.
        up_to: i64,
        /// How many.
        rows: usize,
        /// Their entries.
        entries: Vec<Entry>,
    },
    /// Wrote so many entries.
    Wrote(usize),
    /// Failed for a reason of ours; lists go on with a longer tail.
    Failed,
}

impl Listing {
    /// Goes on where the mark is.
    pub(crate) fn load(db: &Connection) -> Result<Self, Fault> {
        Ok(Self {
            read: mark(db)?,
            rows: 0,
            entries: Vec::new(),
            written: None,
            unread: usize::MAX,
            stopped: false,
        })
    }

    /// Takes over what a committed batch did: its step, and the rows that it added.
    pub(crate) fn apply(&mut self, advance: Option<Advance>, added: usize) {
        self.unread = self.unread.saturating_add(added);
        match advance {
            None => {}
            Some(Advance::Failed) => self.stopped = true,
            Some(Advance::Read {
                up_to,
                rows,
                entries,
            }) => {
                self.read = up_to;
                self.rows += rows;
                self.unread = if rows == 0 {
                    0
                } else {
                    self.unread.saturating_sub(rows)
                };
                self.entries.extend(entries);
                if self.rows >= SLICE_ROWS || self.entries.len() >= SLICE_ENTRIES {
                    self.entries.sort_unstable();
                    self.written = Some(0);
                }
            }
            Some(Advance::Wrote(many)) => {
                let written = self.written.map_or(0, |written| written + many);
                if written < self.entries.len() {
                    self.written = Some(written);
                } else {
                    self.entries = Vec::new();
                    self.rows = 0;
                    self.written = None;
                }
            }
        }
    }
}

/// Reads or writes a little of the slice, in proportion to the batch.
pub(crate) fn step(batch: &Batch<'_>, operations: usize) -> Result<Option<Advance>, Fault> {
    let listing = &batch.memory.listing;
    let many = STEP_MIN + 4 * operations;
    if listing.stopped {
        return Ok(None);
    }
    let done = match listing.written {
        Some(written) => write(batch.db, listing, written, many).map(Some),
        None if listing.unread >= STEP_MIN => read(batch, listing.read, many).map(Some),
        None => Ok(None),
    };
    match done {
        // The statement is undone, the batch is not: nobody is refused for the sake of a list.
        Err(fault) if fault.is_of_one_operation() => {
            tracing::error!(%fault, "lists are no longer indexed until the next start");
            Ok(Some(Advance::Failed))
        }
        done => done,
    }
}

fn write(
    db: &Connection,
    listing: &Listing,
    written: usize,
    many: usize,
) -> Result<Advance, Fault> {
    let rest = &listing.entries[written..];
    let now = &rest[..many.min(rest.len())];
    for (kind, value, id) in now {
        list_now(db, *kind, *value, *id)?;
    }
    if now.len() == rest.len() {
        let sql = "INSERT OR REPLACE INTO meta VALUES ('listed', ?1)";
        db.prepare_cached(sql)?.execute([listing.read])?;
    }
    Ok(Advance::Wrote(now.len()))
}

/// Reads the next rows that were committed before this batch.
fn read(batch: &Batch<'_>, after: i64, many: usize) -> Result<Advance, Fault> {
    let (db, end) = (batch.db, batch.first);
    let messages = "SELECT MAX(id), COUNT(*) FROM \
                    (SELECT id FROM messages WHERE id > ?1 AND id < ?2 ORDER BY id LIMIT ?3)";
    let requests = "SELECT MAX(id), COUNT(*) FROM \
                    (SELECT id FROM requests WHERE id > ?1 AND id < ?2 ORDER BY id LIMIT ?3)";
    let mut up_to = end - 1;
    for sql in [messages, requests] {
        let limit = i64::try_from(many).unwrap_or(i64::MAX);
        let mut statement = db.prepare_cached(sql)?;
        let (last, found): (Option<i64>, i64) =
            statement.query_row([after, end, limit], |row| Ok((row.get(0)?, row.get(1)?)))?;
        if let (Some(last), true) = (last, found == limit) {
            up_to = up_to.min(last);
        }
    }
    // The deliveries of the last message come right after it.
    let sql = "SELECT COALESCE(MAX(deliveries), 0) FROM messages WHERE id = ?1";
    let following: i64 = db
        .prepare_cached(sql)?
        .query_row([up_to], |row| row.get(0))?;
    let up_to = up_to + following;
    let mut entries = Vec::new();
    let rows = read_messages(db, after, up_to, &mut entries)?
        + read_requests(db, after, up_to, &mut entries)?;
    read_deliveries(db, after, up_to, &mut entries)?;
    Ok(Advance::Read {
        up_to,
        rows,
        entries,
    })
}

fn read_messages(
    db: &Connection,
    after: i64,
    up_to: i64,
    entries: &mut Vec<Entry>,
) -> Result<usize, Fault> {
    let sql = "SELECT id, project, source, event_type, tenant FROM messages \
               WHERE id > ?1 AND id <= ?2";
    let mut statement = db.prepare_cached(sql)?;
    let mut rows = statement.query([after, up_to])?;
    let mut seen = 0;
    while let Some(row) = rows.next()? {
        seen += 1;
        let id = row.get(0)?;
        let project = ProjectId::from_number(row.get(1)?);
        if let Some(source) = row.get(2)? {
            entries.push((Kind::Source, source, id));
        }
        for (kind, column) in [(Kind::EventType, 3), (Kind::Tenant, 4)] {
            let text = row.get_ref(column)?.as_bytes_or_null();
            if let Some(text) = text.map_err(rusqlite::Error::from)? {
                entries.push((kind, value_in(project, text), id));
            }
        }
    }
    Ok(seen)
}

fn read_requests(
    db: &Connection,
    after: i64,
    up_to: i64,
    entries: &mut Vec<Entry>,
) -> Result<usize, Fault> {
    // Refused requests come in floods and go again; they have an index of their own.
    let sql = "SELECT id, project, source, outcome, cause FROM requests \
               WHERE id > ?1 AND id <= ?2 AND outcome <> 3";
    let mut statement = db.prepare_cached(sql)?;
    let mut rows = statement.query([after, up_to])?;
    let mut seen = 0;
    while let Some(row) = rows.next()? {
        seen += 1;
        let id = row.get(0)?;
        let project = ProjectId::from_number(row.get(1)?);
        if let Some(source) = row.get(2)? {
            entries.push((Kind::Source, source, id));
        }
        let outcome: i64 = row.get(3)?;
        entries.push((Kind::Outcome, value_in(project, &outcome.to_be_bytes()), id));
        if let Some(cause) = row.get::<_, Option<i64>>(4)? {
            entries.push((Kind::Cause, value_in(project, &cause.to_be_bytes()), id));
        }
    }
    Ok(seen)
}

fn read_deliveries(
    db: &Connection,
    after: i64,
    up_to: i64,
    entries: &mut Vec<Entry>,
) -> Result<(), Fault> {
    let sql = "SELECT message, endpoint FROM deliveries \
               WHERE id > ?1 AND id <= ?2 AND endpoint IS NOT NULL";
    let mut statement = db.prepare_cached(sql)?;
    let mut rows = statement.query([after, up_to])?;
    while let Some(row) = rows.next()? {
        entries.push((Kind::Endpoint, row.get(1)?, row.get(0)?));
    }
    Ok(())
}
