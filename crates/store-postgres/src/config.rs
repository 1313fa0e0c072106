//! Sources, endpoints, connections and the rest, as documents; and who changed what.

use deadpool_postgres::Transaction;
use hooklatch_core::ids::{ApiKeyId, ProjectId};
use hooklatch_core::time::Timestamp;
use hooklatch_store::record::Code;
use hooklatch_store::{AuditEntry, ConfigRecord, Expected, Saved};
use tokio_postgres::types::Type;
use tokio_postgres::{Client, Row};

use crate::fault::Fault;
use crate::node::{CHANGE, Numbers};
use crate::rows::among::Param;
use crate::rows::{text_or_none_at, wide_at};
use crate::text::{from_column, to_column};

/// Every document.
pub(crate) async fn load(db: &Client) -> Result<Vec<ConfigRecord>, Fault> {
    let sql = "SELECT kind, number, project, name, document, revision FROM hooklatch.config \
               ORDER BY kind, number";
    let rows = db.query_typed(sql, &[]).await?;
    rows.iter().map(decode).collect()
}

fn decode(row: &Row) -> Result<ConfigRecord, Fault> {
    Ok(ConfigRecord {
        kind: Code::of_code(wide_at(row, 0)?)?,
        number: row.try_get(1)?,
        project_id: ProjectId::from_number(row.try_get(2)?),
        name: text_or_none_at(row, 3)?,
        document: row.try_get(4)?,
        revision: row.try_get(5)?,
    })
}

/// Grows with every change of a document, so that a node sees at a glance whether it knows all.
pub(crate) async fn version(db: &Client) -> Result<i64, Fault> {
    let sql = "SELECT value FROM hooklatch.meta WHERE name = 'config_version'";
    Ok(db.query_typed_one(sql, &[]).await?.try_get(0)?)
}

/// Stores a document if what is stored is what the caller believes, and tells all nodes.
pub(crate) async fn save(
    transaction: &Transaction<'_>,
    record: &ConfigRecord,
    expected: Expected,
) -> Result<Saved, Fault> {
    let db = transaction.client();
    // One change at a time: the names are unique among what the last one left.
    let sql = "SELECT value FROM hooklatch.meta WHERE name = 'config_version' FOR UPDATE";
    db.query_typed_one(sql, &[]).await?;
    let stored = stored(db, record).await?;
    let believed = match expected {
        Expected::Nothing => None,
        Expected::Revision(revision) => Some(revision),
    };
    if stored != believed {
        return Ok(Saved::Stale);
    }
    if name_is_taken(db, record).await? {
        return Ok(Saved::NameTaken);
    }
    let revision = stored.unwrap_or(0) + 1;
    write(db, record, revision).await?;
    let sql = "UPDATE hooklatch.meta SET value = value + 1 WHERE name = 'config_version'";
    db.execute_typed(sql, &[]).await?;
    let sql = "SELECT pg_notify($1, '')";
    db.query_typed(sql, &[(&CHANGE, Type::TEXT)]).await?;
    Ok(Saved::Done { revision })
}

async fn stored(db: &Client, record: &ConfigRecord) -> Result<Option<i64>, Fault> {
    let sql = "SELECT revision FROM hooklatch.config WHERE kind = $1 AND number = $2";
    let place: [Param<'_>; 2] = [
        (&record.kind.code(), Type::INT8),
        (&record.number, Type::INT8),
    ];
    match db.query_typed_opt(sql, &place).await? {
        Some(row) => Ok(Some(row.try_get(0)?)),
        None => Ok(None),
    }
}

async fn name_is_taken(db: &Client, record: &ConfigRecord) -> Result<bool, Fault> {
    let sql = "SELECT EXISTS (SELECT FROM hooklatch.config \
               WHERE kind = $1 AND project = $2 AND name = $3 AND number <> $4)";
    let name = record.name.as_deref().map(to_column);
    let params: [Param<'_>; 4] = [
        (&record.kind.code(), Type::INT8),
        (&record.project_id.number(), Type::INT8),
        (&name.as_deref(), Type::TEXT),
        (&record.number, Type::INT8),
    ];
    Ok(db.query_typed_one(sql, &params).await?.try_get(0)?)
}

async fn write(db: &Client, record: &ConfigRecord, revision: i64) -> Result<(), Fault> {
    let sql = "INSERT INTO hooklatch.config (kind, number, project, name, document, revision) \
               VALUES ($1, $2, $3, $4, $5, $6) \
               ON CONFLICT (kind, number) DO UPDATE SET project = excluded.project, \
                   name = excluded.name, document = excluded.document, \
                   revision = excluded.revision";
    let name = record.name.as_deref().map(to_column);
    let params: [Param<'_>; 6] = [
        (&record.kind.code(), Type::INT8),
        (&record.number, Type::INT8),
        (&record.project_id.number(), Type::INT8),
        (&name.as_deref(), Type::TEXT),
        (&record.document, Type::TEXT),
        (&revision, Type::INT8),
    ];
    db.execute_typed(sql, &params).await?;
    Ok(())
}

/// Notes who did what, and why.
pub(crate) async fn audit(
    db: &Client,
    numbers: &Numbers,
    project: ProjectId,
    entry: &AuditEntry,
) -> Result<(), Fault> {
    audit_line(db, numbers, project, entry).await.map(drop)
}

/// The same; answers the line's number.
pub(crate) async fn audit_line(
    db: &Client,
    numbers: &Numbers,
    project: ProjectId,
    entry: &AuditEntry,
) -> Result<i64, Fault> {
    let sql = "INSERT INTO hooklatch.audit (id, project, at, actor, action, subject, reason) \
               VALUES ($1, $2, $3, $4, $5, $6, $7)";
    let id = numbers.with(|mint| mint.next(entry.at))?;
    let (action, subject) = (to_column(&entry.action), to_column(&entry.subject));
    let reason = entry.reason.as_deref().map(to_column);
    let params: [Param<'_>; 7] = [
        (&id, Type::INT8),
        (&project.number(), Type::INT8),
        (&entry.at.as_millis(), Type::INT8),
        (&entry.actor.map(ApiKeyId::number), Type::INT8),
        (&action.as_ref(), Type::TEXT),
        (&subject.as_ref(), Type::TEXT),
        (&reason.as_deref(), Type::TEXT),
    ];
    db.execute_typed(sql, &params).await?;
    Ok(id)
}

/// What was audited in a project, newest first.
pub(crate) async fn audit_log(
    db: &Client,
    project: ProjectId,
    limit: usize,
) -> Result<Vec<AuditEntry>, Fault> {
    let sql = "SELECT at, actor, action, subject, reason FROM hooklatch.audit \
               WHERE project = $1 ORDER BY id DESC LIMIT $2";
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let params: [Param<'_>; 2] = [(&project.number(), Type::INT8), (&limit, Type::INT8)];
    let rows = db.query_typed(sql, &params).await?;
    let entries = rows.iter().map(|row| {
        let actor: Option<i64> = row.try_get(1)?;
        Ok(AuditEntry {
            at: Timestamp::from_millis(row.try_get(0)?),
            actor: actor.map(ApiKeyId::from_number),
            action: from_column(row.try_get(2)?),
            subject: from_column(row.try_get(3)?),
            reason: text_or_none_at(row, 4)?,
        })
    });
    entries.collect()
}
