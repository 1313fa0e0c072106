//! The ledger, for people to look into and to open a key by hand (L1).

use std::collections::BTreeSet;

use hooklatch_core::claim::{ClaimKind, Scope};
use hooklatch_core::ids::ProjectId;
use hooklatch_core::key::Checksum;
use hooklatch_core::time::Timestamp;
use hooklatch_store::{AuditEntry, ClaimView};
use rusqlite::{Connection, params};

use crate::config;
use crate::fault::Fault;
use crate::filter::KeyHash;
use crate::generations;
use crate::rows::claim::StoredClaim;
use crate::writer::Batch;

/// Which claims are asked for.
pub(crate) struct Wanted {
    /// Of this project.
    pub project: ProjectId,
    /// Under one of these keys.
    pub checksums: Vec<Checksum>,
    /// Or with this part.
    pub part: Option<String>,
    /// At most so many.
    pub limit: usize,
}

/// The claims that protect their key now, the youngest first.
pub(crate) fn claims(
    db: &Connection,
    secret: &[u8; 32],
    wanted: &Wanted,
    now: Timestamp,
) -> Result<Vec<ClaimView>, Fault> {
    let mut found = Vec::new();
    let given: BTreeSet<[u8; 32]> = wanted.checksums.iter().map(|it| *it.as_bytes()).collect();
    let part = wanted.part.as_deref();
    let hash = part.map(|part| KeyHash::of_part(secret, part).as_column());
    for tables in generations::tables(db)? {
        let mut checksums = given.clone();
        if let Some(hash) = hash {
            checksums.extend(tables.with_part(db, hash)?);
        }
        for checksum in &checksums {
            let claims = tables.by_checksum(db, checksum)?;
            let asked_for = |stored: &StoredClaim| {
                let parts = stored.claim.parts_to_index();
                given.contains(checksum)
                    || part.is_some_and(|part| parts.iter().any(|own| own == part))
            };
            found.extend(claims.into_iter().filter(asked_for));
        }
    }
    found.retain(|stored| {
        let claim = &stored.claim;
        stored.project == wanted.project && claim.kind == ClaimKind::Key && claim.protects(now)
    });
    found.sort_by_key(|stored| std::cmp::Reverse(stored.claim.first_seen_at));
    found.truncate(wanted.limit);
    found.into_iter().map(|stored| view(db, stored)).collect()
}

fn view(db: &Connection, stored: StoredClaim) -> Result<ClaimView, Fault> {
    let sql = "SELECT COUNT(*), MAX(received) FROM requests INDEXED BY requests_original \
               WHERE original = ?1 AND checksum = ?2";
    let claim = stored.claim;
    let row = params![
        claim.message_id.number(),
        claim.checksum.as_bytes().as_slice()
    ];
    let counted = db.prepare_cached(sql)?.query_row(row, |row| {
        let duplicates: i64 = row.get(0)?;
        let last: Option<i64> = row.get(1)?;
        Ok((duplicates.unsigned_abs(), last))
    });
    let (duplicates, last) = counted?;
    let last_seen_at = last.map_or(claim.first_seen_at, Timestamp::from_millis);
    Ok(ClaimView {
        last_seen_at: last_seen_at.max(claim.first_seen_at),
        duplicates,
        claim,
    })
}

/// Which keys a person opens, and the record of it.
pub(crate) struct Freed {
    /// Of this project.
    pub project: ProjectId,
    /// These keys.
    pub checksums: Vec<Checksum>,
    /// In this scope; none for every one.
    pub scope: Option<Scope>,
    /// Who and why.
    pub audit: AuditEntry,
}

/// Frees keys; answers how many claims protected them.
pub(crate) fn free(batch: &mut Batch<'_>, freed: &Freed) -> Result<usize, Fault> {
    let mut count = 0;
    for checksum in &freed.checksums {
        let hash = KeyHash::of_key(batch.secret, checksum.as_bytes());
        for tables in batch.memory.generations.tables_holding(batch, hash) {
            for StoredClaim { claim, project } in
                tables.by_checksum(batch.db, checksum.as_bytes())?
            {
                let in_scope = freed
                    .scope
                    .as_ref()
                    .is_none_or(|scope| claim.scope == *scope);
                if project == freed.project && in_scope {
                    tables.delete(batch.db, &claim, &claim.scope.to_string())?;
                    count += usize::from(claim.protects(batch.now));
                }
            }
        }
    }
    config::audit(batch, freed.project, &freed.audit)?;
    Ok(count)
}
