-- The tables of the hooklatch receiver kits, for SQLite 3.37 and later. Running this again changes
-- nothing. Times are milliseconds since 1970, by the clock of the process that writes.

-- The largest fence of a record that was swept. It is written by sweeps alone: a fence is larger than
-- this and than that of the record before it, and otherwise the time in microseconds.
CREATE TABLE IF NOT EXISTS hooklatch_fence (
    id    INTEGER PRIMARY KEY CHECK (id = 1),
    fence INTEGER NOT NULL
) STRICT;
INSERT OR IGNORE INTO hooklatch_fence (id, fence) VALUES (1, 0);

CREATE TABLE IF NOT EXISTS hooklatch_claims (
    key            BLOB    NOT NULL PRIMARY KEY CHECK (length(key) = 32),
    -- 1 processing, 2 completed, 3 released, 4 dead
    state          INTEGER NOT NULL CHECK (state BETWEEN 1 AND 4),
    token          BLOB    NOT NULL CHECK (length(token) = 16),
    fence          INTEGER NOT NULL,
    epoch          INTEGER NOT NULL,
    generation     INTEGER NOT NULL,
    -- 1 first, 2 retry, 3 takeover, 4 first again after the retention, 5 forced replay
    origin         INTEGER NOT NULL,
    fingerprint    BLOB    NOT NULL CHECK (length(fingerprint) = 32),
    attempt        INTEGER NOT NULL,
    -- Processing: the end of the lease; released: when it may be tried again.
    lease_until    INTEGER,
    -- Completed and dead: when the record may go.
    expires_at     INTEGER,
    result         BLOB,
    error          TEXT,
    provider       TEXT    NOT NULL DEFAULT '',
    event_type     TEXT    NOT NULL DEFAULT '',
    received_at    INTEGER
) STRICT, WITHOUT ROWID;

CREATE INDEX IF NOT EXISTS hooklatch_claims_expiry
    ON hooklatch_claims (expires_at) WHERE expires_at IS NOT NULL;

CREATE TABLE IF NOT EXISTS hooklatch_steps (
    key        BLOB    NOT NULL,
    epoch      INTEGER NOT NULL,
    generation INTEGER NOT NULL,
    step       TEXT    NOT NULL,
    result     BLOB    NOT NULL,
    PRIMARY KEY (key, epoch, generation, step)
) STRICT, WITHOUT ROWID;
