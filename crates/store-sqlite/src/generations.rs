//! The ledger's tables: one is open and takes new claims, the others are closed.
//!
//! A closed generation is asked only where its filter says "perhaps", so that a new key reads
//! nothing old. Which generation holds a claim has no meaning: expiry is judged by the claim's
//! own end, wherever it lies.

use hooklatch_core::claim::{Claim, Scope};
use hooklatch_core::ids::ProjectId;
use hooklatch_core::invariants;
use hooklatch_core::key::Checksum;
use hooklatch_core::time::Timestamp;
use rusqlite::{Connection, params};

use crate::fault::Fault;
use crate::filter::{Filter, KeyHash};
use crate::rows::claim::{ClaimTexts, Place, Tables};
use crate::writer::Batch;

/// Claims that are looked at in one step of removing a generation.
const PRUNED_PER_STEP: i64 = 64;

/// One generation.
pub(crate) struct Generation {
    g: i64,
    /// Its tables.
    pub tables: Tables,
    filter: Filter,
    last_expiry: Timestamp,
}

/// All generations.
pub(crate) struct Generations {
    /// The oldest first; the last one is open.
    all: Vec<Generation>,
    claims: usize,
    claims_max: usize,
}

/// A claim with where it lies.
#[derive(Debug, Clone)]
pub(crate) struct Found {
    /// Which generation, by its position.
    pub generation: usize,
    /// The claim.
    pub claim: Claim,
}

impl Generations {
    /// Reads the generations, and makes the first one in a new file.
    pub(crate) fn load(db: &Connection, claims_max: usize) -> Result<Self, Fault> {
        let mut all = Vec::new();
        let mut claims = 0;
        let sql = "SELECT g, sealed, last_expiry, filter FROM generations ORDER BY g";
        let mut statement = db.prepare(sql)?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            let g = row.get(0)?;
            let kept: Option<Vec<u8>> = row.get(3)?;
            let filter = kept.as_deref().and_then(Filter::from_bytes);
            let last_expiry: Option<i64> = row.get(2)?;
            let generation = match (row.get(1)?, filter, last_expiry) {
                (true, Some(filter), Some(last_expiry)) => Generation {
                    g,
                    tables: Tables::of(g),
                    filter,
                    last_expiry: Timestamp::from_millis(last_expiry),
                },
                (true | false, _, _) => {
                    let (generation, found) = reread(db, g, claims_max)?;
                    claims = found;
                    generation
                }
            };
            all.push(generation);
        }
        drop(rows);
        if all.is_empty() {
            create(db, 1)?;
            all.push(empty(1, claims_max));
        }
        Ok(Self {
            all,
            claims,
            claims_max,
        })
    }

    fn open(&self) -> &Generation {
        self.all.last().expect("there is always an open generation")
    }

    /// The claims under a key in a scope, whether or not their window is open.
    pub(crate) fn find(
        &self,
        batch: &Batch<'_>,
        place: Place,
        checksum: &Checksum,
        scope: &Scope,
    ) -> Result<Vec<Found>, Fault> {
        let mut found = Vec::new();
        for (generation, holding) in self.holding(batch, place.key) {
            let claims = holding.tables.find(batch.db, place, checksum, scope)?;
            found.extend(claims.into_iter().map(|claim| Found { generation, claim }));
        }
        Ok(found)
    }

    /// The generations that may hold a key, with their position.
    fn holding(
        &self,
        batch: &Batch<'_>,
        key: KeyHash,
    ) -> impl Iterator<Item = (usize, &Generation)> {
        // Claims of the batch under way are in the open generation, and not in its filter yet.
        let written = batch.effects.claimed.contains_key(&key);
        let newest = self.all.len() - 1;
        let all = self.all.iter().enumerate();
        all.filter(move |(place, generation)| {
            (written && *place == newest) || generation.filter.may_contain(key)
        })
    }

    /// The tables that may hold a key, whatever its scope.
    pub(crate) fn tables_holding(
        &self,
        batch: &Batch<'_>,
        key: KeyHash,
    ) -> impl Iterator<Item = &Tables> {
        let holding = self.holding(batch, key);
        holding.map(|(_, generation)| &generation.tables)
    }

    /// Writes a claim into the open generation, in place of the one that it replaces.
    pub(crate) fn write(
        &self,
        batch: &Batch<'_>,
        project: ProjectId,
        known: &[Found],
        claim: &Claim,
        texts: ClaimTexts<'_>,
    ) -> Result<(), Fault> {
        let same = |found: &&Found| {
            found.claim.checksum == claim.checksum
                && found.claim.scope == claim.scope
                && found.claim.variant == claim.variant
        };
        for replaced in known.iter().filter(same) {
            let tables = &self.all[replaced.generation].tables;
            tables.delete(batch.db, &replaced.claim, texts.place)?;
        }
        let tables = &self.open().tables;
        tables.insert(batch.db, project, claim, texts)?;
        for part in claim.parts_to_index() {
            let part = KeyHash::of_part(batch.secret, part);
            tables.insert_part(batch.db, part, texts.place.key)?;
        }
        Ok(())
    }

    /// Notes a claim that was committed.
    pub(crate) fn claimed(&mut self, key: KeyHash, expires: Timestamp) {
        let open = self.all.last_mut().expect("there is always an open one");
        open.filter.insert(key);
        open.last_expiry = open.last_expiry.max(expires);
        self.claims += 1;
    }

    /// Whether the open generation is as large as one should be.
    pub(crate) fn is_full(&self) -> bool {
        self.claims >= self.claims_max
    }

    /// Closes the open generation and opens the next, in a transaction of its own.
    pub(crate) fn rotate(&mut self, db: &Connection) -> Result<(), Fault> {
        let open = self.open();
        let next = open.g + 1;
        let rotated = db.unchecked_transaction()?;
        let sql = "UPDATE generations SET sealed = 1, last_expiry = ?2, filter = ?3 WHERE g = ?1";
        let filter = open.filter.to_bytes();
        db.execute(sql, params![open.g, open.last_expiry.as_millis(), filter])?;
        create(db, next)?;
        rotated.commit()?;
        self.all.push(empty(next, self.claims_max));
        self.claims = 0;
        Ok(())
    }

    /// Whether a closed generation can go: the window of its last claim has ended.
    pub(crate) fn has_ended(&self, now: Timestamp) -> bool {
        self.ended(now).is_some()
    }

    fn ended(&self, now: Timestamp) -> Option<&Generation> {
        let (_, closed) = self.all.split_last()?;
        closed
            .iter()
            .find(|generation| generation.last_expiry <= now)
    }

    /// Removes some claims of a generation that has ended, in a transaction of its own, and the
    /// generation once it is empty. Step by step, because to drop a table is to read all of it.
    pub(crate) fn prune_step(&mut self, db: &Connection, now: Timestamp) -> Result<(), Fault> {
        let Some(ended) = self.ended(now) else {
            return Ok(());
        };
        let pruned = db.unchecked_transaction()?;
        let gone = prune(db, ended, now)?;
        pruned.commit()?;
        if let Some(g) = gone {
            self.all.retain(|generation| generation.g != g);
        }
        Ok(())
    }
}

fn prune(db: &Connection, ended: &Generation, now: Timestamp) -> Result<Option<i64>, Fault> {
    let (claims, last) = ended.tables.first(db, PRUNED_PER_STEP)?;
    for claim in &claims {
        assert!(invariants::may_be_pruned(claim, now), "INV-9: {claim:?}");
    }
    if !claims.is_empty() {
        ended.tables.delete_up_to(db, last, now)?;
        return Ok(None);
    }
    if ended.tables.delete_parts(db, PRUNED_PER_STEP)? > 0 {
        return Ok(None);
    }
    ended.tables.drop(db)?;
    db.execute("DELETE FROM generations WHERE g = ?1", [ended.g])?;
    Ok(Some(ended.g))
}

/// The tables of every generation, the newest first, as a reader finds them.
pub(crate) fn tables(db: &Connection) -> Result<Vec<Tables>, Fault> {
    let mut statement = db.prepare_cached("SELECT g FROM generations ORDER BY g DESC")?;
    let numbers = statement.query_map([], |row| row.get(0))?;
    let mut tables = Vec::new();
    for g in numbers {
        tables.push(Tables::of(g?));
    }
    Ok(tables)
}

fn create(db: &Connection, g: i64) -> Result<(), Fault> {
    db.execute("INSERT INTO generations (g) VALUES (?1)", [g])?;
    Tables::of(g).create(db)
}

fn empty(g: i64, claims_max: usize) -> Generation {
    Generation {
        g,
        tables: Tables::of(g),
        filter: Filter::for_keys(claims_max),
        last_expiry: Timestamp::from_millis(0),
    }
}

/// The filter of a generation from its rows: of the open one, or of one that was closed by a
/// version with other filters.
fn reread(db: &Connection, g: i64, claims_max: usize) -> Result<(Generation, usize), Fault> {
    let tables = Tables::of(g);
    let mut keys = Vec::new();
    let mut last_expiry = 0;
    tables.each(db, |key, expires| {
        keys.push(key);
        last_expiry = last_expiry.max(expires);
    })?;
    let mut filter = Filter::for_keys(claims_max.max(keys.len()));
    for key in &keys {
        filter.insert(*key);
    }
    let generation = Generation {
        g,
        tables,
        filter,
        last_expiry: Timestamp::from_millis(last_expiry),
    };
    Ok((generation, keys.len()))
}
