//! The statements that both drivers of PostgreSQL run.

/// The tables, with all that belongs to them. Running it again changes nothing.
pub const SCHEMA: &str = include_str!("../sql/postgres.sql");

#[cfg(feature = "postgres")]
pub(crate) const CLAIM: &str = include_str!("../sql/postgres_claim.sql");
pub(crate) const CLAIM_IN: &str = include_str!("../sql/postgres_claim_in.sql");

/// $1 key. The record, with the time at which it was read.
pub(crate) const LOOKUP: &str = "\
SELECT state, token, fence, epoch, generation, origin, fingerprint, attempt, \
 ceil(extract(epoch FROM COALESCE(lease_until, expires_at)) * 1000)::bigint AS until_ms, \
 floor(extract(epoch FROM clock_timestamp()) * 1000)::bigint AS now_ms, \
 result, error, provider, event_type, \
 floor(extract(epoch FROM received_at) * 1000)::bigint AS received_at_ms \
FROM hooklatch_claims WHERE key = $1";

/// $1 key, $2 token, $3 result: what a run in a transaction gave.
pub(crate) const RESULT_IN: &str = "\
UPDATE hooklatch_claims SET result = $3 WHERE key = $1 AND token = $2 AND state = 2";
