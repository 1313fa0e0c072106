//! The row of a claim, in the table of its generation.

use hooklatch_core::claim::Claim;
use hooklatch_core::fingerprint::Fingerprint;
use hooklatch_core::ids::{MessageId, ProjectId};
use hooklatch_core::key::Checksum;
use hooklatch_core::time::Timestamp;
use rusqlite::{Connection, Row, params};

use super::message::decode_scope;
use super::{Code, code_at, fingerprint_at, time_at};
use crate::fault::Fault;

/// The statements for one generation's tables, put together once.
#[derive(Debug, Clone)]
pub(crate) struct Tables {
    create: String,
    drop: String,
    find: String,
    insert: String,
    delete: String,
    insert_part: String,
    with_part: String,
    by_checksum: String,
    oldest: String,
    delete_up_to: String,
    delete_parts: String,
    everything: String,
}

/// Claims of a generation that are looked at for one part: a part that a million keys share (a
/// customer's id) must not make a million reads.
const WITH_PART_MAX: usize = 1_000;

macro_rules! columns {
    () => {
        "checksum, scope, variant, kind, project, parts, message, fingerprint, first_seen, expires"
    };
}

impl Tables {
    /// The tables of a generation.
    pub(crate) fn of(g: i64) -> Self {
        let select = format!("SELECT {} FROM claims_{g}", columns!());
        Self {
            create: format!(
                "CREATE TABLE claims_{g} (\
                     checksum BLOB, scope TEXT, variant BLOB, kind INTEGER, project INTEGER, \
                     parts TEXT, message INTEGER, fingerprint BLOB, first_seen INTEGER, \
                     expires INTEGER, PRIMARY KEY (checksum, scope, variant)) WITHOUT ROWID; \
                 CREATE TABLE parts_{g} (\
                     hash INTEGER, checksum BLOB, PRIMARY KEY (hash, checksum)) WITHOUT ROWID;"
            ),
            drop: format!("DROP TABLE claims_{g}; DROP TABLE parts_{g};"),
            find: format!("{select} WHERE checksum = ?1 AND scope = ?2"),
            insert: format!(
                "INSERT INTO claims_{g} VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)"
            ),
            delete: format!(
                "DELETE FROM claims_{g} WHERE checksum = ?1 AND scope = ?2 AND variant = ?3"
            ),
            insert_part: format!("INSERT OR IGNORE INTO parts_{g} VALUES (?1, ?2)"),
            with_part: format!(
                "SELECT checksum FROM parts_{g} WHERE hash = ?1 LIMIT {WITH_PART_MAX}"
            ),
            by_checksum: format!("{select} WHERE checksum = ?1"),
            oldest: format!("{select} ORDER BY checksum, scope, variant LIMIT ?1"),
            delete_up_to: format!("DELETE FROM claims_{g} WHERE checksum <= ?1 AND expires <= ?2"),
            delete_parts: format!(
                "DELETE FROM parts_{g} WHERE (hash, checksum) IN \
                 (SELECT hash, checksum FROM parts_{g} ORDER BY hash, checksum LIMIT ?1)"
            ),
            everything: format!("SELECT checksum, expires FROM claims_{g}"),
        }
    }

    /// Makes the tables.
    pub(crate) fn create(&self, db: &Connection) -> Result<(), Fault> {
        Ok(db.execute_batch(&self.create)?)
    }

    /// Removes the tables.
    pub(crate) fn drop(&self, db: &Connection) -> Result<(), Fault> {
        Ok(db.execute_batch(&self.drop)?)
    }

    /// The claims under a key in a scope, whether or not their window is open.
    pub(crate) fn find(
        &self,
        db: &Connection,
        checksum: &Checksum,
        scope: &str,
    ) -> Result<Vec<Claim>, Fault> {
        let mut statement = db.prepare_cached(&self.find)?;
        let mut rows = statement.query(params![checksum.as_bytes().as_slice(), scope])?;
        let mut claims = Vec::new();
        while let Some(row) = rows.next()? {
            claims.push(decode(row)?.claim);
        }
        Ok(claims)
    }

    /// The claims under a key in any scope.
    pub(crate) fn by_checksum(
        &self,
        db: &Connection,
        checksum: &[u8],
    ) -> Result<Vec<StoredClaim>, Fault> {
        let mut statement = db.prepare_cached(&self.by_checksum)?;
        let mut rows = statement.query(params![checksum])?;
        let mut claims = Vec::new();
        while let Some(row) = rows.next()? {
            claims.push(decode(row)?);
        }
        Ok(claims)
    }

    /// The keys that may have this part.
    pub(crate) fn with_part(&self, db: &Connection, hash: i64) -> Result<Vec<[u8; 32]>, Fault> {
        let mut statement = db.prepare_cached(&self.with_part)?;
        let found = statement.query_map([hash], |row| row.get(0))?;
        Ok(found.collect::<Result<_, _>>()?)
    }

    /// Writes a claim. The table's key refuses a second one for the same (scope, key, variant):
    /// INV-1 rests on it.
    pub(crate) fn insert(
        &self,
        db: &Connection,
        project: ProjectId,
        claim: &Claim,
        scope: &str,
        parts: &str,
    ) -> Result<(), Fault> {
        db.prepare_cached(&self.insert)?.execute(params![
            claim.checksum.as_bytes().as_slice(),
            scope,
            variant(claim),
            claim.kind.code(),
            project.number(),
            parts,
            claim.message_id.number(),
            claim.fingerprint.as_bytes().as_slice(),
            claim.first_seen_at.as_millis(),
            claim.expires_at.as_millis(),
        ])?;
        Ok(())
    }

    /// Writes that a key has a part.
    pub(crate) fn insert_part(
        &self,
        db: &Connection,
        hash: i64,
        checksum: &Checksum,
    ) -> Result<(), Fault> {
        let mut statement = db.prepare_cached(&self.insert_part)?;
        statement.execute(params![hash, checksum.as_bytes().as_slice()])?;
        Ok(())
    }

    /// Removes a claim.
    pub(crate) fn delete(&self, db: &Connection, claim: &Claim, scope: &str) -> Result<(), Fault> {
        let mut statement = db.prepare_cached(&self.delete)?;
        let checksum = claim.checksum.as_bytes().as_slice();
        let removed = statement.execute(params![checksum, scope, variant(claim)])?;
        assert_eq!(removed, 1, "the claim was read a moment ago: {claim:?}");
        Ok(())
    }

    /// The first claims of the table, in the order of their keys.
    pub(crate) fn first(&self, db: &Connection, limit: i64) -> Result<Vec<Claim>, Fault> {
        let mut statement = db.prepare_cached(&self.oldest)?;
        let mut rows = statement.query([limit])?;
        let mut claims = Vec::new();
        while let Some(row) = rows.next()? {
            claims.push(decode(row)?.claim);
        }
        Ok(claims)
    }

    /// Removes the claims up to a key whose window has ended.
    pub(crate) fn delete_up_to(
        &self,
        db: &Connection,
        last: &Checksum,
        now: Timestamp,
    ) -> Result<(), Fault> {
        let mut statement = db.prepare_cached(&self.delete_up_to)?;
        statement.execute(params![last.as_bytes().as_slice(), now.as_millis()])?;
        Ok(())
    }

    /// Removes some of the parts; answers how many.
    pub(crate) fn delete_parts(&self, db: &Connection, limit: i64) -> Result<usize, Fault> {
        Ok(db.prepare_cached(&self.delete_parts)?.execute([limit])?)
    }

    /// Shows every key with the end of its window.
    pub(crate) fn each(
        &self,
        db: &Connection,
        mut show: impl FnMut(&[u8; 32], i64),
    ) -> Result<(), Fault> {
        let mut statement = db.prepare(&self.everything)?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            show(&row.get(0)?, row.get(1)?);
        }
        Ok(())
    }
}

/// A claim with its project.
#[derive(Debug, Clone)]
pub(crate) struct StoredClaim {
    /// The claim.
    pub claim: Claim,
    /// Whose it is.
    pub project: ProjectId,
}

/// Under `on_conflict: accept` the fingerprint is part of the claim; else nothing is. Never NULL,
/// for which the constraint would not hold.
fn variant(claim: &Claim) -> &[u8] {
    claim
        .variant
        .as_ref()
        .map_or(&[], |variant| variant.as_bytes())
}

fn decode(row: &Row<'_>) -> Result<StoredClaim, Fault> {
    let variant = row.get_ref(2)?.as_blob().map_err(rusqlite::Error::from)?;
    let variant: Option<[u8; 32]> = variant.try_into().ok();
    let scope = row.get_ref(1)?.as_str().map_err(rusqlite::Error::from)?;
    let parts = row.get_ref(5)?.as_str().map_err(rusqlite::Error::from)?;
    let claim = Claim {
        scope: decode_scope(scope)?,
        checksum: Checksum::from_bytes(row.get(0)?),
        parts: serde_json::from_str(parts)?,
        kind: code_at(row, 3)?,
        variant: variant.map(Fingerprint::from_bytes),
        message_id: MessageId::from_number(row.get(6)?),
        fingerprint: fingerprint_at(row, 7)?,
        first_seen_at: time_at(row, 8)?,
        expires_at: time_at(row, 9)?,
    };
    Ok(StoredClaim {
        claim,
        project: ProjectId::from_number(row.get(4)?),
    })
}
