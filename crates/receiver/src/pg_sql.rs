//! The statements that both drivers of PostgreSQL run.

/// The tables, with all that belongs to them. Running it again changes nothing.
pub const SCHEMA: &str = include_str!("../sql/postgres.sql");

/// Claims a key that nobody has seen, which most are: without the branches of an update the server
/// has half as much to do. $1 key, $2 token, $3 fingerprint, $4 lease or retention in ms,
/// $5 provider, $6 event type, $7 received at, in ms since 1970 or null. Columns are worked out in
/// their order: settings come with the state, before the row is written, and the epoch is the fence
/// that was given out just before it (for `currval` a role needs USAGE on the sequence, or SELECT). A
/// subquery would cost as much as the row itself.
macro_rules! first {
    ($state:literal, $until:literal, $result:literal, $back:literal) => {
        concat!(
            "INSERT INTO hooklatch_claims (key, state, token, fence, epoch, generation, origin, \
             fingerprint, attempt, ",
            $until,
            ", result, provider, event_type, received_at) \
             VALUES ($1::bytea, ",
            $state,
            ", $2::bytea, nextval('hooklatch_fence'), currval('hooklatch_fence'), 1, 1, \
             $3::bytea, 1, clock_timestamp() + $4::bigint * interval '1 millisecond', ",
            $result,
            ", $5::text, $6::text, to_timestamp($7::bigint / 1000.0)) \
             ON CONFLICT (key) DO NOTHING RETURNING fence, epoch",
            $back
        )
    };
}

/// In leased mode. One row: it is ours to run. No row: the key is known.
#[cfg(feature = "postgres")]
pub(crate) const FIRST: &str = first!("1", "lease_until", "NULL", "");

/// The same, without waiting for the disk.
#[cfg(feature = "postgres")]
pub(crate) const FIRST_UNSYNCED: &str = first!(
    "CASE WHEN set_config('synchronous_commit', 'off', true) IS NULL THEN 0 ELSE 1 END",
    "lease_until",
    "NULL",
    ""
);

/// In the caller's own transaction.
pub(crate) const FIRST_IN: &str = first!("2", "expires_at", "''", "");

/// The same, waiting for another transaction so long; $8 as $10 of [`CLAIM_IN`].
pub(crate) const FIRST_IN_UP_TO: &str = first!(
    "CASE \
     WHEN set_config('hooklatch.lock_timeout', current_setting('lock_timeout'), true) IS NULL THEN 0 \
     WHEN set_config('lock_timeout', $8::text, true) IS NULL THEN 0 \
     ELSE 2 END",
    "expires_at",
    "''",
    ", set_config('lock_timeout', current_setting('hooklatch.lock_timeout'), true)"
);

#[cfg(feature = "postgres")]
pub(crate) const CLAIM: &str = include_str!("../sql/postgres_claim.sql");
pub(crate) const CLAIM_IN: &str = include_str!("../sql/postgres_claim_in.sql");

/// $1 key. The record, with the time at which it was read.
macro_rules! lookup {
    ($back:literal) => {
        concat!(
            "SELECT state, token, fence, epoch, generation, origin, fingerprint, attempt, \
             ceil(extract(epoch FROM COALESCE(lease_until, expires_at)) * 1000)::bigint AS until_ms, \
             floor(extract(epoch FROM clock_timestamp()) * 1000)::bigint AS now_ms, \
             result, error, provider, event_type, \
             floor(extract(epoch FROM received_at) * 1000)::bigint AS received_at_ms",
            $back,
            " FROM hooklatch_claims WHERE key = $1"
        )
    };
}

pub(crate) const LOOKUP: &str = lookup!("");

/// The same after [`FIRST_IN_UP_TO`], which sets nothing back where the key is known.
pub(crate) const LOOKUP_AFTER: &str =
    lookup!(", set_config('lock_timeout', current_setting('hooklatch.lock_timeout'), true)");

/// $1 key, $2 token, $3 result: what a run in a transaction gave.
pub(crate) const RESULT_IN: &str = "\
UPDATE hooklatch_claims SET result = $3 WHERE key = $1 AND token = $2 AND state = 2";
