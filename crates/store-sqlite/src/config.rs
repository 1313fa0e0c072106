//! Sources, endpoints, connections and the rest, as documents; and who changed what.

use hooklatch_core::ids::{ApiKeyId, ProjectId};
use hooklatch_core::time::Timestamp;
use hooklatch_store::record::Code;
use hooklatch_store::{AuditEntry, ConfigRecord, Expected, Saved};
use rusqlite::{Connection, OptionalExtension, params};

use crate::fault::Fault;
use crate::writer::Batch;

/// Every document.
pub(crate) fn load(db: &Connection) -> Result<Vec<ConfigRecord>, Fault> {
    let sql = "SELECT kind, number, project, name, document, revision FROM config \
               ORDER BY kind, number";
    let mut statement = db.prepare_cached(sql)?;
    let mut rows = statement.query([])?;
    let mut records = Vec::new();
    while let Some(row) = rows.next()? {
        records.push(ConfigRecord {
            kind: Code::of_code(row.get(0)?)?,
            number: row.get(1)?,
            project_id: ProjectId::from_number(row.get(2)?),
            name: row.get(3)?,
            document: row.get(4)?,
            revision: row.get(5)?,
        });
    }
    Ok(records)
}

/// Stores a document if what is stored is what the caller believes.
pub(crate) fn save(
    batch: &mut Batch<'_>,
    (record, expected): &(ConfigRecord, Expected),
) -> Result<Saved, Fault> {
    let sql = "SELECT revision FROM config WHERE kind = ?1 AND number = ?2";
    let place = params![record.kind.code(), record.number];
    let mut statement = batch.db.prepare_cached(sql)?;
    let stored: Option<i64> = statement.query_row(place, |row| row.get(0)).optional()?;
    let believed = match expected {
        Expected::Nothing => None,
        Expected::Revision(revision) => Some(*revision),
    };
    if stored != believed {
        return Ok(Saved::Stale);
    }
    if name_is_taken(batch.db, record)? {
        return Ok(Saved::NameTaken);
    }
    let revision = stored.unwrap_or(0) + 1;
    let sql = "INSERT OR REPLACE INTO config VALUES (?1, ?2, ?3, ?4, ?5, ?6)";
    batch.db.prepare_cached(sql)?.execute(params![
        record.kind.code(),
        record.number,
        record.project_id.number(),
        record.name,
        record.document,
        revision,
    ])?;
    let sql = "INSERT INTO meta VALUES ('configured', 1) \
               ON CONFLICT (name) DO UPDATE SET value = value + 1";
    batch.db.prepare_cached(sql)?.execute([])?;
    Ok(Saved::Done { revision })
}

/// How often something was saved. A file from before this was counted begins at none.
pub(crate) fn version(db: &Connection) -> Result<i64, Fault> {
    let sql = "SELECT COALESCE((SELECT value FROM meta WHERE name = 'configured'), 0)";
    Ok(db.prepare_cached(sql)?.query_row([], |row| row.get(0))?)
}

fn name_is_taken(db: &Connection, record: &ConfigRecord) -> Result<bool, Fault> {
    let sql = "SELECT 1 FROM config WHERE kind = ?1 AND project = ?2 AND name = ?3 \
               AND number <> ?4";
    let mut statement = db.prepare_cached(sql)?;
    Ok(statement.exists(params![
        record.kind.code(),
        record.project_id.number(),
        record.name,
        record.number,
    ])?)
}

/// A new number for an id. It is noted, because it may be told to people before anything is
/// stored under it.
pub(crate) fn mint(batch: &mut Batch<'_>, (): &()) -> Result<i64, Fault> {
    let number = batch.mint.next(batch.now);
    let sql = "INSERT OR REPLACE INTO meta VALUES ('minted', ?1)";
    batch.db.prepare_cached(sql)?.execute([number])?;
    Ok(number)
}

/// Notes who did what, and why.
pub(crate) fn audit(
    batch: &mut Batch<'_>,
    project: ProjectId,
    entry: &AuditEntry,
) -> Result<(), Fault> {
    audit_line(batch, project, entry).map(drop)
}

/// The same; answers the line's number.
pub(crate) fn audit_line(
    batch: &mut Batch<'_>,
    project: ProjectId,
    entry: &AuditEntry,
) -> Result<i64, Fault> {
    let sql = "INSERT INTO audit VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)";
    let id = batch.mint.next(batch.now);
    batch.db.prepare_cached(sql)?.execute(params![
        id,
        project.number(),
        entry.at.as_millis(),
        entry.actor.map(ApiKeyId::number),
        entry.action,
        entry.subject,
        entry.reason,
    ])?;
    Ok(id)
}

/// What was audited in a project, newest first.
pub(crate) fn audit_log(
    db: &Connection,
    project: ProjectId,
    limit: usize,
) -> Result<Vec<AuditEntry>, Fault> {
    let sql = "SELECT at, actor, action, subject, reason FROM audit INDEXED BY audit_project \
               WHERE project = ?1 ORDER BY id DESC LIMIT ?2";
    let mut statement = db.prepare_cached(sql)?;
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let entries = statement.query_map([project.number(), limit], |row| {
        Ok(AuditEntry {
            at: Timestamp::from_millis(row.get(0)?),
            actor: row.get::<_, Option<i64>>(1)?.map(ApiKeyId::from_number),
            action: row.get(2)?,
            subject: row.get(3)?,
            reason: row.get(4)?,
        })
    })?;
    Ok(entries.collect::<Result<_, _>>()?)
}

/// What a probe is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Probe {
    /// To see that the writer works.
    Writer,
    /// To see whether the disk takes something again.
    Disk,
}

/// Does nothing, or writes something and takes it back.
pub(crate) fn probe(batch: &mut Batch<'_>, probe: &Probe) -> Result<(), Fault> {
    match probe {
        Probe::Writer => Ok(()),
        Probe::Disk => {
            let sql = "INSERT OR REPLACE INTO meta VALUES ('probe', zeroblob(65536))";
            batch.db.prepare_cached(sql)?.execute([])?;
            let sql = "DELETE FROM meta WHERE name = 'probe'";
            batch.db.prepare_cached(sql)?.execute([])?;
            Ok(())
        }
    }
}
