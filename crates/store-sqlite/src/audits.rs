//! The audit log, and when API keys were last used.

use hooklatch_core::ids::{ApiKeyId, ProjectId};
use hooklatch_core::time::Timestamp;
use hooklatch_store::{
    Answer, AuditEntry, AuditLine, AuditView, Audits, ConfigRecord, Expected, Page, PageRequest,
    Saved,
};
use rusqlite::{Connection, OptionalExtension, Row, params};

use crate::fault::Fault;
use crate::writer::Batch;
use crate::{SqliteStore, config};

impl Audits for SqliteStore {
    fn save_audited(
        &self,
        record: ConfigRecord,
        expected: Expected,
        line: AuditLine,
    ) -> Answer<'_, Saved> {
        let bytes = record.document.len() * 3;
        Box::pin(self.write(((record, expected), line), bytes, save))
    }

    fn audits(&self, project: ProjectId, page: PageRequest) -> Answer<'_, Page<AuditView>> {
        self.read(move |db| audits(db, project, page))
    }

    fn note_used(&self, used: Vec<(ApiKeyId, Timestamp)>) -> Answer<'_, ()> {
        Box::pin(self.write(used, 0, note_used))
    }

    fn last_used(&self, keys: Vec<ApiKeyId>) -> Answer<'_, Vec<Option<Timestamp>>> {
        self.read(move |db| last_used(db, &keys))
    }
}

type Audited = ((ConfigRecord, Expected), AuditLine);

fn save(batch: &mut Batch<'_>, (asked, line): &Audited) -> Result<Saved, Fault> {
    let saved = config::save(batch, asked)?;
    if matches!(saved, Saved::Done { .. }) {
        let id = config::audit_line(batch, asked.0.project_id, &line.entry)?;
        let sql = "INSERT INTO audit_details VALUES (?1, ?2, ?3)";
        let row = params![id, line.before, line.after];
        batch.db.prepare_cached(sql)?.execute(row)?;
    }
    Ok(saved)
}

fn audits(
    db: &Connection,
    project: ProjectId,
    page: PageRequest,
) -> Result<Page<AuditView>, Fault> {
    let sql = "SELECT audit.id, at, actor, action, subject, reason, before, after \
               FROM audit INDEXED BY audit_project \
               LEFT JOIN audit_details details ON details.id = audit.id \
               WHERE project = ?1 AND audit.id < ?2 ORDER BY audit.id DESC LIMIT ?3";
    let limit = i64::try_from(page.limit).unwrap_or(i64::MAX - 1);
    let mut statement = db.prepare_cached(sql)?;
    let row = params![project.number(), page.below.unwrap_or(i64::MAX), limit + 1];
    let views = statement.query_map(row, view)?;
    let mut items: Vec<AuditView> = views.collect::<Result<_, _>>()?;
    let more = items.len() > page.limit;
    items.truncate(page.limit);
    let next = items.last().map(|view| view.id).filter(|_| more);
    Ok(Page { items, next })
}

fn view(row: &Row<'_>) -> rusqlite::Result<AuditView> {
    let entry = AuditEntry {
        at: Timestamp::from_millis(row.get(1)?),
        actor: row.get::<_, Option<i64>>(2)?.map(ApiKeyId::from_number),
        action: row.get(3)?,
        subject: row.get(4)?,
        reason: row.get(5)?,
    };
    Ok(AuditView {
        id: row.get(0)?,
        line: AuditLine {
            entry,
            before: row.get(6)?,
            after: row.get(7)?,
        },
    })
}

fn note_used(batch: &mut Batch<'_>, used: &Vec<(ApiKeyId, Timestamp)>) -> Result<(), Fault> {
    let sql = "INSERT INTO key_used VALUES (?1, ?2) \
               ON CONFLICT (key) DO UPDATE SET at = MAX(at, excluded.at)";
    for (key, at) in used {
        batch
            .db
            .prepare_cached(sql)?
            .execute([key.number(), at.as_millis()])?;
    }
    Ok(())
}

fn last_used(db: &Connection, keys: &[ApiKeyId]) -> Result<Vec<Option<Timestamp>>, Fault> {
    let mut statement = db.prepare_cached("SELECT at FROM key_used WHERE key = ?1")?;
    let mut last = Vec::with_capacity(keys.len());
    for key in keys {
        let at = statement.query_row([key.number()], |row| row.get(0));
        last.push(at.optional()?.map(Timestamp::from_millis));
    }
    Ok(last)
}
