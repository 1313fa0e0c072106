//! The claims of receivers (L2): a row an event, found by the hash of its key.
//!
//! Nothing here is touched by what arrives or is delivered; a gateway whose claim API nobody uses
//! pays for one look into an empty index now and then.

use hooklatch_core::ids::ProjectId;
use hooklatch_core::receiving::call::{self, Answer, Call, Entry, Kept, Step};
use hooklatch_core::receiving::key::ScopeKey;
use hooklatch_core::receiving::machine::Moment;
use hooklatch_core::receiving::raw::RawRecord;
use hooklatch_core::time::Timestamp;
use hooklatch_store::AuditEntry;
use hooklatch_store::record::entry::Columns;
use rusqlite::{Connection, OptionalExtension, Row, params};

use crate::config;
use crate::fault::Fault;
use crate::writer::Batch;

/// The tables. States 2 and 4, completed and dead, are those that expire.
pub(crate) const TABLES: &str = "
CREATE TABLE IF NOT EXISTS receiver_claims (
    id INTEGER PRIMARY KEY, project INTEGER, hash BLOB, scope TEXT, key TEXT, lease INTEGER,
    retention INTEGER, state INTEGER, until INTEGER, token BLOB, fence INTEGER, epoch INTEGER,
    generation INTEGER, origin INTEGER, fingerprint BLOB, attempt INTEGER, error TEXT,
    provider TEXT, event_type TEXT, received INTEGER, result BLOB
);
CREATE UNIQUE INDEX IF NOT EXISTS receiver_claims_hash ON receiver_claims (project, hash);
CREATE INDEX IF NOT EXISTS receiver_claims_end ON receiver_claims (until) WHERE state IN (2, 4);
CREATE TABLE IF NOT EXISTS receiver_steps (
    claim INTEGER, generation INTEGER, name TEXT, result BLOB,
    PRIMARY KEY (claim, generation, name)
);
";

/// A call on a claim.
pub(crate) struct Called {
    /// Whose.
    pub project: ProjectId,
    /// Which event.
    pub key: ScopeKey,
    /// What is asked.
    pub call: Call,
    /// What is noted where it begins a replay.
    pub audit: AuditEntry,
}

/// Does what a call asks.
pub(crate) fn call(batch: &mut Batch<'_>, called: &Called) -> Result<Answer, Fault> {
    let prior = load(batch.db, called.project, called.key)?;
    let at = Moment {
        now_ms: millis(batch.now),
        next_fence: last_fence(batch.db)?.unsigned_abs() + 1,
    };
    let (id, prior) = prior.unzip();
    let decision = call::decide(prior.as_ref(), &called.call, at);
    if let Some(entry) = &decision.write {
        write(batch.db, (called.project, called.key), entry)?;
        if entry.record.fence == at.next_fence {
            note_fence(batch.db, &entry.record.fence)?;
        }
    }
    if decision.forget_steps {
        let sql = "DELETE FROM receiver_steps WHERE claim = ?1";
        batch.db.prepare_cached(sql)?.execute([id])?;
    }
    if decision.answer.began_a_replay() {
        config::audit(batch, called.project, &called.audit)?;
    }
    Ok(decision.answer)
}

/// What is kept under a key.
pub(crate) fn entry(
    db: &Connection,
    project: ProjectId,
    key: ScopeKey,
) -> Result<Option<Entry>, Fault> {
    Ok(load(db, project, key)?.map(|(_, entry)| entry))
}

fn load(db: &Connection, project: ProjectId, key: ScopeKey) -> Result<Option<(i64, Entry)>, Fault> {
    let sql = "SELECT id, scope, key, lease, retention, state, until, token, fence, epoch, \
               generation, origin, fingerprint, attempt, error, provider, event_type, received, \
               result FROM receiver_claims WHERE project = ?1 AND hash = ?2";
    let mut statement = db.prepare_cached(sql)?;
    let place = params![project.number(), key.as_bytes().as_slice()];
    let found = statement.query_row(place, |row| Ok((row.get(0)?, columns(row)?)));
    let Some((id, columns)) = found.optional()? else {
        return Ok(None);
    };
    Ok(Some((id, columns.decode()?)))
}

fn columns(row: &Row<'_>) -> rusqlite::Result<Columns> {
    Ok(Columns {
        scope: row.get(1)?,
        key: row.get(2)?,
        lease_ms: row.get(3)?,
        retention_ms: row.get(4)?,
        record: RawRecord {
            state: row.get(5)?,
            until_ms: row.get(6)?,
            token: row.get(7)?,
            fence: row.get(8)?,
            epoch: row.get(9)?,
            generation: row.get(10)?,
            origin: row.get(11)?,
            fingerprint: row.get(12)?,
            attempt: row.get(13)?,
            error: row.get(14)?,
            provider: row.get(15)?,
            event_type: row.get(16)?,
            received_at_ms: row.get(17)?,
            result: row.get(18)?,
        },
    })
}

fn write(
    db: &Connection,
    (project, key): (ProjectId, ScopeKey),
    entry: &Entry,
) -> Result<(), Fault> {
    let sql = "INSERT INTO receiver_claims (project, hash, scope, key, lease, retention, state, \
               until, token, fence, epoch, generation, origin, fingerprint, attempt, error, \
               provider, event_type, received, result) \
               VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, \
               ?17, ?18, ?19, ?20) \
               ON CONFLICT (project, hash) DO UPDATE SET scope = excluded.scope, \
               key = excluded.key, lease = excluded.lease, retention = excluded.retention, \
               state = excluded.state, until = excluded.until, token = excluded.token, \
               fence = excluded.fence, epoch = excluded.epoch, \
               generation = excluded.generation, origin = excluded.origin, \
               fingerprint = excluded.fingerprint, attempt = excluded.attempt, \
               error = excluded.error, provider = excluded.provider, \
               event_type = excluded.event_type, received = excluded.received, \
               result = excluded.result";
    let columns = Columns::of(entry);
    let record = &columns.record;
    db.prepare_cached(sql)?.execute(params![
        project.number(),
        key.as_bytes().as_slice(),
        columns.scope,
        columns.key,
        columns.lease_ms,
        columns.retention_ms,
        record.state,
        record.until_ms,
        record.token,
        record.fence,
        record.epoch,
        record.generation,
        record.origin,
        record.fingerprint,
        record.attempt,
        record.error,
        record.provider,
        record.event_type,
        record.received_at_ms,
        record.result,
    ])?;
    Ok(())
}

/// The largest fence that was given out. It outlives the rows, so that none comes again.
fn last_fence(db: &Connection) -> Result<i64, Fault> {
    let sql = "SELECT COALESCE((SELECT value FROM meta WHERE name = 'receiver_fence'), 0)";
    Ok(db.prepare_cached(sql)?.query_row([], |row| row.get(0))?)
}

fn note_fence(db: &Connection, fence: &u64) -> Result<(), Fault> {
    let sql = "INSERT OR REPLACE INTO meta VALUES ('receiver_fence', ?1)";
    let fence = i64::try_from(*fence).expect("fences are counted one by one");
    db.prepare_cached(sql)?.execute([fence])?;
    Ok(())
}

/// Keeps the result of a step.
pub(crate) fn keep_step(
    batch: &mut Batch<'_>,
    (project, key, step): &(ProjectId, ScopeKey, Step),
) -> Result<Kept, Fault> {
    let (id, prior) = load(batch.db, *project, *key)?.unzip();
    let generation = prior.as_ref().map_or(1, |entry| entry.record.generation);
    let sql = "SELECT COUNT(*), COALESCE(SUM(name = ?3), 0) FROM receiver_steps \
               WHERE claim = ?1 AND generation = ?2";
    let of = params![id, generation, step.name];
    let counted = batch.db.prepare_cached(sql)?.query_row(of, |row| {
        let (count, known): (i64, i64) = (row.get(0)?, row.get(1)?);
        Ok((usize::try_from(count).unwrap_or(usize::MAX), known > 0))
    });
    let (count, known) = counted?;
    let (kept, write) = call::keep_step(prior.as_ref(), &step.token, known, count);
    if write {
        let sql = "INSERT INTO receiver_steps VALUES (?1, ?2, ?3, ?4)";
        let row = params![id, generation, step.name, step.result];
        batch.db.prepare_cached(sql)?.execute(row)?;
    }
    Ok(kept)
}

/// The result of a step.
pub(crate) fn step(
    db: &Connection,
    (project, key): (ProjectId, ScopeKey),
    generation: u32,
    name: &str,
) -> Result<Option<Vec<u8>>, Fault> {
    let sql = "SELECT s.result FROM receiver_claims c JOIN receiver_steps s ON s.claim = c.id \
               WHERE c.project = ?1 AND c.hash = ?2 AND s.generation = ?3 AND s.name = ?4";
    let mut statement = db.prepare_cached(sql)?;
    let of = params![
        project.number(),
        key.as_bytes().as_slice(),
        generation,
        name
    ];
    Ok(statement.query_row(of, |row| row.get(0)).optional()?)
}

/// Removes some of what has expired; answers how many.
pub(crate) fn sweep(db: &Connection, now: Timestamp, limit: usize) -> Result<usize, Fault> {
    let sql = "SELECT id FROM receiver_claims INDEXED BY receiver_claims_end \
               WHERE state IN (2, 4) AND until <= ?1 ORDER BY until LIMIT ?2";
    let mut statement = db.prepare_cached(sql)?;
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let ended = statement.query_map([now.as_millis(), limit], |row| row.get(0))?;
    let ended: Vec<i64> = ended.collect::<Result<_, _>>()?;
    for id in &ended {
        db.prepare_cached("DELETE FROM receiver_steps WHERE claim = ?1")?
            .execute([id])?;
        db.prepare_cached("DELETE FROM receiver_claims WHERE id = ?1")?
            .execute([id])?;
    }
    Ok(ended.len())
}

/// The same in a transaction of its own, which is begun only where something has expired.
pub(crate) fn sweep_apart(db: &Connection, now: Timestamp, limit: usize) -> Result<usize, Fault> {
    let sql = "SELECT EXISTS (SELECT 1 FROM receiver_claims INDEXED BY receiver_claims_end \
               WHERE state IN (2, 4) AND until <= ?1)";
    let mut statement = db.prepare_cached(sql)?;
    if !statement.query_row([now.as_millis()], |row| row.get(0))? {
        return Ok(0);
    }
    let transaction = db.unchecked_transaction()?;
    let swept = sweep(db, now, limit)?;
    transaction.commit()?;
    Ok(swept)
}

/// The same, as an operation of the writer.
pub(crate) fn sweep_now(batch: &mut Batch<'_>, limit: &usize) -> Result<usize, Fault> {
    sweep(batch.db, batch.now, *limit)
}

/// The time in milliseconds since 1970, as the rules of claims have it.
fn millis(now: Timestamp) -> u64 {
    u64::try_from(now.as_millis()).unwrap_or(0)
}
