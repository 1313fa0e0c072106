-- Claims a key in leased mode. One row: it is ours to run. No row: read the record and say why
-- not; where it is gone by then, claim again (three times at most).
-- $1 key, $2 token (16 random bytes), $3 fingerprint, $4 lease in ms, $5 largest number of
-- attempts, $6 whether this is a forced replay, $7 provider, $8 event type, $9 received at, in ms
-- since 1970 or null, $10 synchronous_commit for this one statement, '' for what is set
INSERT INTO hooklatch_claims AS held
    (key, state, token, fence, epoch, generation, origin, fingerprint, attempt, lease_until,
     provider, event_type, received_at)
SELECT $1::bytea, 1, $2::bytea, next.fence, next.fence, 1, 1, $3::bytea, 1,
       clock_timestamp() + $4::bigint * interval '1 millisecond',
       $7::text, $8::text, to_timestamp($9::bigint / 1000.0)
FROM (SELECT nextval('hooklatch_fence') AS fence,
             set_config('synchronous_commit', COALESCE(NULLIF($10::text, ''),
                 current_setting('synchronous_commit')), true) AS durability) AS next
ON CONFLICT (key) DO UPDATE SET
    state = 1,
    token = EXCLUDED.token,
    fence = EXCLUDED.fence,
    epoch = CASE WHEN held.expires_at <= clock_timestamp() THEN EXCLUDED.fence ELSE held.epoch END,
    generation = CASE WHEN held.expires_at <= clock_timestamp() THEN 1
                      WHEN held.state IN (2, 4) THEN held.generation + 1
                      ELSE held.generation END,
    origin = CASE WHEN held.state = 1 AND held.token = EXCLUDED.token THEN held.origin
                  WHEN held.state = 1 THEN 3
                  WHEN held.state = 3 THEN 2
                  WHEN held.expires_at <= clock_timestamp() THEN 4
                  ELSE 5 END,
    attempt = CASE WHEN held.state = 1 AND held.token = EXCLUDED.token THEN held.attempt
                   WHEN held.state IN (2, 4) THEN 1
                   ELSE held.attempt + 1 END,
    fingerprint = EXCLUDED.fingerprint,
    lease_until = EXCLUDED.lease_until,
    expires_at = NULL,
    result = NULL,
    error = NULL,
    provider = EXCLUDED.provider,
    event_type = EXCLUDED.event_type,
    received_at = EXCLUDED.received_at,
    first_seen_at = CASE WHEN held.expires_at <= clock_timestamp() THEN clock_timestamp()
                         ELSE held.first_seen_at END
WHERE (held.state IN (1, 3) AND held.fingerprint = EXCLUDED.fingerprint
       AND held.lease_until <= clock_timestamp() AND held.attempt < $5::integer)
   OR (held.state = 1 AND held.fingerprint = EXCLUDED.fingerprint AND held.token = EXCLUDED.token)
   OR (held.state IN (2, 4) AND held.expires_at <= clock_timestamp())
   OR (held.state IN (2, 4) AND $6::boolean AND held.fingerprint = EXCLUDED.fingerprint)
RETURNING held.fence, held.epoch, held.generation, held.origin, held.attempt
