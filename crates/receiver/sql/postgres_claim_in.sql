-- Claims a key in the caller's own transaction: the row says at once that the event has run, and
-- the commit makes that and the effect true together. One row: run the effect, write the result
-- into the row, commit. No row: read the record and say why not.
-- $1 key, $2 token (16 random bytes), $3 fingerprint, $4 retention in ms, $5 largest number of
-- attempts, $6 whether this is a forced replay, $7 provider, $8 event type, $9 received at, in ms
-- since 1970 or null, $10 how long to wait for another transaction on the same key, as lock_timeout
-- has it ('2000ms'), or null for as long as the caller's own lock_timeout says, which is set back
-- afterwards; 55P03 means that it is being run.
INSERT INTO hooklatch_claims AS held
    (key, state, token, fence, epoch, generation, origin, fingerprint, attempt, expires_at, result,
     provider, event_type, received_at)
SELECT $1::bytea, 2, $2::bytea, next.fence, next.fence, 1, 1, $3::bytea, 1,
       clock_timestamp() + $4::bigint * interval '1 millisecond', '',
       $7::text, $8::text, to_timestamp($9::bigint / 1000.0)
FROM (SELECT nextval('hooklatch_fence') AS fence,
             set_config('hooklatch.lock_timeout', current_setting('lock_timeout'), true) AS theirs,
             set_config('lock_timeout', COALESCE($10::text,
                 current_setting('lock_timeout')), true) AS ours) AS next
ON CONFLICT (key) DO UPDATE SET
    state = 2,
    token = EXCLUDED.token,
    fence = EXCLUDED.fence,
    epoch = CASE WHEN held.expires_at <= clock_timestamp() THEN EXCLUDED.fence ELSE held.epoch END,
    generation = CASE WHEN held.expires_at <= clock_timestamp() THEN 1
                      WHEN held.state IN (2, 4) THEN held.generation + 1
                      ELSE held.generation END,
    origin = CASE WHEN held.state = 1 THEN 3
                  WHEN held.state = 3 THEN 2
                  WHEN held.expires_at <= clock_timestamp() THEN 4
                  ELSE 5 END,
    attempt = CASE WHEN held.state IN (2, 4) THEN 1 ELSE held.attempt + 1 END,
    fingerprint = EXCLUDED.fingerprint,
    lease_until = NULL,
    expires_at = EXCLUDED.expires_at,
    result = '',
    error = NULL,
    provider = EXCLUDED.provider,
    event_type = EXCLUDED.event_type,
    received_at = EXCLUDED.received_at,
    first_seen_at = CASE WHEN held.expires_at <= clock_timestamp() THEN clock_timestamp()
                         ELSE held.first_seen_at END
WHERE (held.state IN (1, 3) AND held.fingerprint = EXCLUDED.fingerprint
       AND held.lease_until <= clock_timestamp() AND held.attempt < $5::integer)
   OR (held.state IN (2, 4) AND held.expires_at <= clock_timestamp())
   OR (held.state IN (2, 4) AND $6::boolean AND held.fingerprint = EXCLUDED.fingerprint)
RETURNING held.fence, held.epoch, held.generation, held.origin, held.attempt,
          set_config('lock_timeout', current_setting('hooklatch.lock_timeout'), true)
