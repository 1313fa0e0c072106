//! The audit log, and when API keys were last used.

use std::sync::Arc;

use hooklatch_core::ids::{ApiKeyId, ProjectId};
use hooklatch_core::time::Timestamp;
use hooklatch_store::{
    Answer, AuditEntry, AuditLine, AuditView, Audits, ConfigRecord, Expected, Page, PageRequest,
    Saved,
};
use tokio_postgres::types::Type;
use tokio_postgres::{Client, Row};

use crate::columns::{Arrays, array};
use crate::config;
use crate::fault::Fault;
use crate::memory::Memory;
use crate::pool::transact;
use crate::rows::among::Param;
use crate::rows::text_or_none_at;
use crate::store::PostgresStore;
use crate::text::{from_column, to_column};

impl Audits for PostgresStore {
    fn save_audited(
        &self,
        record: ConfigRecord,
        expected: Expected,
        line: AuditLine,
    ) -> Answer<'_, Saved> {
        let (pool, memory) = (self.pool.clone(), Arc::clone(&self.memory));
        let asked = Arc::new((record, line));
        self.run(async move {
            transact(&pool, |transaction| {
                let (asked, memory) = (Arc::clone(&asked), Arc::clone(&memory));
                Box::pin(async move {
                    let (record, line) = &*asked;
                    let saved = config::save(transaction, record, expected).await?;
                    if matches!(saved, Saved::Done { .. }) {
                        let project = record.project_id;
                        note(transaction.client(), &memory, project, line).await?;
                    }
                    Ok(saved)
                })
            })
            .await
        })
    }

    fn audits(&self, project: ProjectId, page: PageRequest) -> Answer<'_, Page<AuditView>> {
        self.read(move |db| Box::pin(audits(db, project, page)))
    }

    fn note_used(&self, used: Vec<(ApiKeyId, Timestamp)>) -> Answer<'_, ()> {
        let pool = self.pool.clone();
        self.run(async move {
            let client = pool.get().await?;
            note_used(&client, &used).await
        })
    }

    fn last_used(&self, keys: Vec<ApiKeyId>) -> Answer<'_, Vec<Option<Timestamp>>> {
        self.read(move |db| Box::pin(async move { last_used(db, &keys).await }))
    }
}

/// A line of a batch.
pub(crate) struct Noted {
    /// Its number.
    pub id: i64,
    /// Whose.
    pub project: ProjectId,
    /// What happened.
    pub entry: AuditEntry,
}

/// Adds the lines of a batch.
pub(crate) const NOTE: &str = "INSERT INTO hooklatch.audit \
         (id, project, at, actor, action, subject, reason) \
     SELECT * FROM unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::bigint[], $5::text[], \
         $6::text[], $7::text[])";

/// The columns of [`NOTE`].
pub(crate) fn of_notes(noted: &[Noted]) -> Arrays<'_> {
    vec![
        array(noted, |it| it.id),
        array(noted, |it| it.project.number()),
        array(noted, |it| it.entry.at.as_millis()),
        array(noted, |it| it.entry.actor.map(ApiKeyId::number)),
        array(noted, |it| to_column(&it.entry.action)),
        array(noted, |it| to_column(&it.entry.subject)),
        array(noted, |it| it.entry.reason.as_deref().map(to_column)),
    ]
}

async fn note(
    db: &Client,
    memory: &Memory,
    project: ProjectId,
    line: &AuditLine,
) -> Result<(), Fault> {
    let id = config::audit_line(db, &memory.numbers, project, &line.entry).await?;
    let sql = "INSERT INTO hooklatch.audit_details (id, before, after) VALUES ($1, $2, $3)";
    let params: [Param<'_>; 3] = [
        (&id, Type::INT8),
        (&line.before, Type::TEXT),
        (&line.after, Type::TEXT),
    ];
    db.execute_typed(sql, &params).await?;
    Ok(())
}

async fn audits(
    db: &Client,
    project: ProjectId,
    page: PageRequest,
) -> Result<Page<AuditView>, Fault> {
    let sql = "SELECT audit.id, at, actor, action, subject, reason, before, after \
               FROM hooklatch.audit LEFT JOIN hooklatch.audit_details details \
                   ON details.id = audit.id \
               WHERE project = $1 AND audit.id < $2 ORDER BY audit.id DESC LIMIT $3";
    let below = page.below.unwrap_or(i64::MAX);
    let limit = i64::try_from(page.limit).unwrap_or(i64::MAX - 1) + 1;
    let params: [Param<'_>; 3] = [
        (&project.number(), Type::INT8),
        (&below, Type::INT8),
        (&limit, Type::INT8),
    ];
    let rows = db.query_typed(sql, &params).await?;
    let items: Result<Vec<AuditView>, Fault> = rows.iter().map(view).collect();
    let mut items = items?;
    let more = items.len() > page.limit;
    items.truncate(page.limit);
    let next = items.last().map(|view| view.id).filter(|_| more);
    Ok(Page { items, next })
}

fn view(row: &Row) -> Result<AuditView, Fault> {
    let actor: Option<i64> = row.try_get(2)?;
    let entry = AuditEntry {
        at: Timestamp::from_millis(row.try_get(1)?),
        actor: actor.map(ApiKeyId::from_number),
        action: from_column(row.try_get(3)?),
        subject: from_column(row.try_get(4)?),
        reason: text_or_none_at(row, 5)?,
    };
    Ok(AuditView {
        id: row.try_get(0)?,
        line: AuditLine {
            entry,
            before: row.try_get(6)?,
            after: row.try_get(7)?,
        },
    })
}

async fn note_used(db: &Client, used: &[(ApiKeyId, Timestamp)]) -> Result<(), Fault> {
    let sql = "INSERT INTO hooklatch.key_used (key, at) \
               SELECT key, MAX(at) FROM unnest($1::bigint[], $2::bigint[]) new(key, at) \
               GROUP BY key ORDER BY key \
               ON CONFLICT (key) DO UPDATE SET at = GREATEST(key_used.at, excluded.at)";
    let keys: Vec<i64> = used.iter().map(|(key, _)| key.number()).collect();
    let times: Vec<i64> = used.iter().map(|(_, at)| at.as_millis()).collect();
    let params: [Param<'_>; 2] = [(&keys, Type::INT8_ARRAY), (&times, Type::INT8_ARRAY)];
    db.execute_typed(sql, &params).await?;
    Ok(())
}

async fn last_used(db: &Client, keys: &[ApiKeyId]) -> Result<Vec<Option<Timestamp>>, Fault> {
    let sql = "SELECT used.at FROM unnest($1::bigint[]) WITH ORDINALITY asked(key, place) \
               LEFT JOIN hooklatch.key_used used ON used.key = asked.key ORDER BY asked.place";
    let keys: Vec<i64> = keys.iter().map(|key| key.number()).collect();
    let rows = db.query_typed(sql, &[(&keys, Type::INT8_ARRAY)]).await?;
    let last = rows.iter().map(|row| {
        let at: Option<i64> = row.try_get(0)?;
        Ok(at.map(Timestamp::from_millis))
    });
    last.collect()
}
