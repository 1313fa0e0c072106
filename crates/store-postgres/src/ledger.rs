//! The ledger, for people to look into and to open a key by hand (L1).

use std::cmp::Reverse;
use std::collections::HashMap;

use deadpool_postgres::Transaction;
use hooklatch_core::claim::{Claim, ClaimKind, Scope};
use hooklatch_core::ids::ProjectId;
use hooklatch_core::key::Checksum;
use hooklatch_core::time::Timestamp;
use hooklatch_store::record::Code;
use hooklatch_store::{AuditEntry, ClaimView};
use tokio_postgres::types::Type;
use tokio_postgres::{Client, Row};

use crate::commands;
use crate::config;
use crate::fault::Fault;
use crate::key::{Key, part_hash};
use crate::locks::lock_keys;
use crate::memory::Memory;
use crate::rows::among::{Among, Param, since};
use crate::rows::claim::{self, select_claims};
use crate::rows::digest_at;
use crate::text::to_column;

/// Claims that are looked at for one part: a part that a million keys share (a customer's id) must
/// not make a million reads.
const WITH_PART_MAX: i64 = 1_000;

/// Which claims are asked for.
#[derive(Debug, Clone)]
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
pub(crate) async fn claims(
    db: &Client,
    wanted: &Wanted,
    now: Timestamp,
) -> Result<Vec<ClaimView>, Fault> {
    let mut found = by_key(db, wanted).await?;
    for claim in by_part(db, wanted, now).await? {
        if !found.contains(&claim) {
            found.push(claim);
        }
    }
    found.retain(|claim| claim.kind == ClaimKind::Key && claim.protects(now));
    found.sort_by_key(|claim| Reverse(claim.first_seen_at));
    found.truncate(wanted.limit);
    view(db, found).await
}

async fn by_key(db: &Client, wanted: &Wanted) -> Result<Vec<Claim>, Fault> {
    let sql = select_claims!("FROM hooklatch.claims c WHERE c.key = ANY($1) AND c.project = $2");
    if wanted.checksums.is_empty() {
        return Ok(Vec::new());
    }
    let keys: Vec<Key> = wanted.checksums.iter().map(Key::of).collect();
    let params: [Param<'_>; 2] = [
        (&keys, Type::UUID_ARRAY),
        (&wanted.project.number(), Type::INT8),
    ];
    let mut claims = decode_all(&db.query_typed(sql, &params).await?)?;
    claims.retain(|claim| wanted.checksums.contains(&claim.checksum));
    Ok(claims)
}

async fn by_part(db: &Client, wanted: &Wanted, now: Timestamp) -> Result<Vec<Claim>, Fault> {
    let sql = select_claims!(
        "FROM hooklatch.claims c WHERE c.part_hashes @> ARRAY[$1::bigint] AND c.project = $2 \
         AND c.kind = $3 AND c.expires > $4 LIMIT $5"
    );
    let Some(part) = &wanted.part else {
        return Ok(Vec::new());
    };
    let params: [Param<'_>; 5] = [
        (&part_hash(wanted.project, part), Type::INT8),
        (&wanted.project.number(), Type::INT8),
        (&ClaimKind::Key.code(), Type::INT8),
        (&now.as_millis(), Type::INT8),
        (&WITH_PART_MAX, Type::INT8),
    ];
    let mut claims = decode_all(&db.query_typed(sql, &params).await?)?;
    claims.retain(|claim| claim.parts_to_index().contains(part));
    Ok(claims)
}

fn decode_all(rows: &[Row]) -> Result<Vec<Claim>, Fault> {
    rows.iter().map(claim::decode).collect()
}

/// Adds what is counted: how often each original was repeated under its key, and when last.
async fn view(db: &Client, claims: Vec<Claim>) -> Result<Vec<ClaimView>, Fault> {
    let counted = count(db, &claims).await?;
    let view = |claim: Claim| {
        let seen = (claim.message_id.number(), *claim.checksum.as_bytes());
        let (duplicates, last) = counted.get(&seen).copied().unwrap_or_default();
        ClaimView {
            last_seen_at: claim.first_seen_at.max(last),
            duplicates,
            claim,
        }
    };
    Ok(claims.into_iter().map(view).collect())
}

type Counted = HashMap<(i64, [u8; 32]), (u64, Timestamp)>;

async fn count(db: &Client, claims: &[Claim]) -> Result<Counted, Fault> {
    let sql = "SELECT original, checksum, COUNT(*), MAX(received) FROM hooklatch.requests \
               WHERE original = ANY($1) AND original >= $2 AND original <= $3 \
               AND id >= $4 AND checksum = ANY($5) GROUP BY original, checksum";
    let originals = Among::of(claims.iter().map(|claim| claim.message_id.number()));
    if originals.is_empty() {
        return Ok(HashMap::new());
    }
    let checksums = claims
        .iter()
        .map(|claim| claim.checksum.as_bytes().as_slice());
    let checksums: Vec<&[u8]> = checksums.collect();
    let begin = since(originals.first());
    let [numbers, first, last] = originals.params();
    let params: [Param<'_>; 5] = [
        numbers,
        first,
        last,
        (&begin, Type::INT8),
        (&checksums, Type::BYTEA_ARRAY),
    ];
    let mut counted = HashMap::new();
    for row in db.query_typed(sql, &params).await? {
        let count: i64 = row.try_get(2)?;
        let last = Timestamp::from_millis(row.try_get(3)?);
        let seen = (row.try_get(0)?, digest_at(&row, 1)?);
        counted.insert(seen, (count.unsigned_abs(), last));
    }
    Ok(counted)
}

/// Which keys a person opens, and the record of it.
#[derive(Debug, Clone)]
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
pub(crate) async fn free(
    transaction: &Transaction<'_>,
    memory: &Memory,
    freed: &Freed,
) -> Result<usize, Fault> {
    let db = transaction.client();
    let keys: Vec<Key> = freed.checksums.iter().map(Key::of).collect();
    lock_keys(db, &keys).await?;
    let now = commands::now(transaction, &memory.clock).await?;
    let claims = delete(db, &keys, freed).await?;
    config::audit(db, &memory.numbers, freed.project, &freed.audit).await?;
    Ok(claims.iter().filter(|claim| claim.protects(now)).count())
}

async fn delete(db: &Client, keys: &[Key], freed: &Freed) -> Result<Vec<Claim>, Fault> {
    let sql = "DELETE FROM hooklatch.claims c WHERE c.key = ANY($1) AND c.checksum = ANY($2) \
               AND c.project = $3 AND ($4::text IS NULL OR c.scope = $4) \
               RETURNING c.checksum, c.scope, c.variant, c.kind, c.parts, c.message, \
                   c.fingerprint, c.first_seen, c.expires";
    let checksums = freed.checksums.iter().map(|it| it.as_bytes().as_slice());
    let checksums: Vec<&[u8]> = checksums.collect();
    let scope = freed.scope.as_ref().map(ToString::to_string);
    let scope = scope.as_deref().map(to_column);
    let params: [Param<'_>; 4] = [
        (&keys, Type::UUID_ARRAY),
        (&checksums, Type::BYTEA_ARRAY),
        (&freed.project.number(), Type::INT8),
        (&scope.as_deref(), Type::TEXT),
    ];
    decode_all(&db.query_typed(sql, &params).await?)
}
