//! The row of a claim, in the table of its generation.

use hooklatch_core::claim::{Claim, Scope};
use hooklatch_core::ids::ProjectId;
use hooklatch_core::key::Checksum;
use hooklatch_core::time::Timestamp;
use hooklatch_store::record::claim::{self as record, Columns};
use rusqlite::{Connection, Row, params};

use super::text_at;
use crate::fault::Fault;
use crate::filter::KeyHash;

/// The statements for one generation's tables, put together once.
#[derive(Debug, Clone)]
pub(crate) struct Tables {
    create: String,
    drop: String,
    insert: String,
    delete: String,
    insert_part: String,
    with_part: String,
    by_place: String,
    by_key: String,
    first: String,
    delete_up_to: String,
    delete_parts: String,
    everything: String,
}

/// Claims of a generation that are looked at for one part: a part that a million keys share (a
/// customer's id) must not make a million reads.
const WITH_PART_MAX: usize = 1_000;

/// Where a claim stands in the unique index: short hashes, so that the index is small. Rows hold
/// the full key and scope, and who reads compares them.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Place {
    /// The key's hash.
    pub key: KeyHash,
    /// The scope's.
    pub scope: i64,
}

impl Place {
    /// The place of a key in a scope.
    pub(crate) fn of(secret: &[u8; 32], checksum: &Checksum, scope: &str) -> Self {
        // The key's hash is enough to tell keys apart; a few bits of the scope's only let one key
        // stand in two scopes.
        let scope = KeyHash::of_scope(secret, scope).short() & 0x7fff_ffff;
        let key = KeyHash::of_key(secret, checksum.as_bytes());
        Self { key, scope }
    }
}

impl Tables {
    /// The tables of a generation.
    pub(crate) fn of(g: i64) -> Self {
        let select = format!(
            "SELECT checksum, scope, variant, kind, project, parts, message, fingerprint, \
             first_seen, expires, id FROM claims_{g}"
        );
        Self {
            create: format!(
                "CREATE TABLE claims_{g} (\
                     id INTEGER PRIMARY KEY, key BLOB, place INTEGER, variant BLOB, \
                     checksum BLOB, scope TEXT, kind INTEGER, project INTEGER, parts TEXT, \
                     message INTEGER, fingerprint BLOB, first_seen INTEGER, expires INTEGER); \
                 CREATE UNIQUE INDEX claims_key_{g} ON claims_{g} (key, place, variant); \
                 CREATE TABLE parts_{g} (\
                     hash INTEGER, key BLOB, PRIMARY KEY (hash, key)) WITHOUT ROWID;"
            ),
            drop: format!("DROP TABLE claims_{g}; DROP TABLE parts_{g};"),
            insert: format!(
                "INSERT INTO claims_{g} VALUES \
                 (NULL, ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)"
            ),
            delete: format!(
                "DELETE FROM claims_{g} WHERE key = ?1 AND place = ?2 AND variant = ?3"
            ),
            insert_part: format!("INSERT OR IGNORE INTO parts_{g} VALUES (?1, ?2)"),
            with_part: format!("SELECT key FROM parts_{g} WHERE hash = ?1 LIMIT {WITH_PART_MAX}"),
            by_place: format!("{select} WHERE key = ?1 AND place = ?2"),
            by_key: format!("{select} WHERE key = ?1"),
            first: format!("{select} ORDER BY id LIMIT ?1"),
            delete_up_to: format!("DELETE FROM claims_{g} WHERE id <= ?1 AND expires <= ?2"),
            delete_parts: format!(
                "DELETE FROM parts_{g} WHERE (hash, key) IN \
                 (SELECT hash, key FROM parts_{g} ORDER BY hash, key LIMIT ?1)"
            ),
            everything: format!("SELECT key, expires FROM claims_{g}"),
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
        place: Place,
        checksum: &Checksum,
        scope: &Scope,
    ) -> Result<Vec<Claim>, Fault> {
        let mut statement = db.prepare_cached(&self.by_place)?;
        let mut rows = statement.query(params![place.key.to_bytes().as_slice(), place.scope])?;
        let mut claims = Vec::new();
        while let Some(row) = rows.next()? {
            let claim = decode(row)?.claim;
            if claim.checksum == *checksum && claim.scope == *scope {
                claims.push(claim);
            }
        }
        Ok(claims)
    }

    /// The claims under a key in any scope.
    pub(crate) fn by_key(&self, db: &Connection, key: KeyHash) -> Result<Vec<StoredClaim>, Fault> {
        let mut statement = db.prepare_cached(&self.by_key)?;
        let mut rows = statement.query(params![key.to_bytes().as_slice()])?;
        let mut claims = Vec::new();
        while let Some(row) = rows.next()? {
            claims.push(decode(row)?);
        }
        Ok(claims)
    }

    /// The keys that may have this part.
    pub(crate) fn with_part(&self, db: &Connection, part: KeyHash) -> Result<Vec<KeyHash>, Fault> {
        let mut statement = db.prepare_cached(&self.with_part)?;
        let found = statement.query_map([part.short()], |row| row.get(0))?;
        let mut keys = Vec::new();
        for key in found {
            keys.push(KeyHash::from_bytes(key?));
        }
        Ok(keys)
    }

    /// Writes a claim. The unique index refuses a second one for the same (scope, key, variant):
    /// INV-1 rests on it.
    pub(crate) fn insert(
        &self,
        db: &Connection,
        project: ProjectId,
        claim: &Claim,
        texts: ClaimTexts<'_>,
    ) -> Result<(), Fault> {
        let columns = Columns::of(claim, texts.scope, texts.parts);
        db.prepare_cached(&self.insert)?.execute(params![
            texts.place.key.to_bytes().as_slice(),
            texts.place.scope,
            columns.variant,
            columns.checksum.as_slice(),
            columns.scope,
            columns.kind,
            project.number(),
            columns.parts,
            columns.message,
            columns.fingerprint.as_slice(),
            columns.first_seen,
            columns.expires,
        ])?;
        Ok(())
    }

    /// Writes that a key has a part.
    pub(crate) fn insert_part(
        &self,
        db: &Connection,
        part: KeyHash,
        key: KeyHash,
    ) -> Result<(), Fault> {
        let mut statement = db.prepare_cached(&self.insert_part)?;
        statement.execute(params![part.short(), key.to_bytes().as_slice()])?;
        Ok(())
    }

    /// Removes a claim.
    pub(crate) fn delete(&self, db: &Connection, claim: &Claim, place: Place) -> Result<(), Fault> {
        let mut statement = db.prepare_cached(&self.delete)?;
        let key = place.key.to_bytes();
        let row = params![key.as_slice(), place.scope, record::variant(claim)];
        let removed = statement.execute(row)?;
        assert_eq!(removed, 1, "the claim was read a moment ago: {claim:?}");
        Ok(())
    }

    /// The first claims that were written, and the number of the last of them.
    pub(crate) fn first(&self, db: &Connection, limit: i64) -> Result<(Vec<Claim>, i64), Fault> {
        let mut statement = db.prepare_cached(&self.first)?;
        let mut rows = statement.query([limit])?;
        let mut claims = Vec::new();
        let mut last = 0;
        while let Some(row) = rows.next()? {
            claims.push(decode(row)?.claim);
            last = row.get(10)?;
        }
        Ok((claims, last))
    }

    /// Removes the claims up to a number whose window has ended.
    pub(crate) fn delete_up_to(
        &self,
        db: &Connection,
        last: i64,
        now: Timestamp,
    ) -> Result<(), Fault> {
        let mut statement = db.prepare_cached(&self.delete_up_to)?;
        statement.execute([last, now.as_millis()])?;
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
        mut show: impl FnMut(KeyHash, i64),
    ) -> Result<(), Fault> {
        let mut statement = db.prepare(&self.everything)?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            show(KeyHash::from_bytes(row.get(0)?), row.get(1)?);
        }
        Ok(())
    }
}

/// What of a claim is not written as it is.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ClaimTexts<'a> {
    /// Where it stands in the index.
    pub place: Place,
    /// Its scope.
    pub scope: &'a str,
    /// Its parts, as a JSON list.
    pub parts: &'a str,
}

/// A claim with its project.
#[derive(Debug, Clone)]
pub(crate) struct StoredClaim {
    /// The claim.
    pub claim: Claim,
    /// Whose it is.
    pub project: ProjectId,
}

fn decode(row: &Row<'_>) -> Result<StoredClaim, Fault> {
    let variant = row.get_ref(2)?.as_blob().map_err(rusqlite::Error::from)?;
    let claim = record::decode(&Columns {
        checksum: row.get(0)?,
        scope: text_at(row, 1)?,
        variant,
        kind: row.get(3)?,
        parts: text_at(row, 5)?,
        message: row.get(6)?,
        fingerprint: row.get(7)?,
        first_seen: row.get(8)?,
        expires: row.get(9)?,
    })?;
    Ok(StoredClaim {
        claim,
        project: ProjectId::from_number(row.get(4)?),
    })
}
