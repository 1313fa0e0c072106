-- The tables of the hooklatch receiver kits, for PostgreSQL 12 and later. Running this again
-- changes nothing. Kits in every language use the same tables. There are no CHECK constraints on
-- purpose: the server reads and plans each of them anew for every row that is written, which costs as
-- much as the row itself; a kit that reads a row refuses what none could have written.

-- Gives fences out. It never restarts, so that a record that was swept and made anew cannot hand
-- out a number that an old holder still has.
CREATE SEQUENCE IF NOT EXISTS hooklatch_fence;

-- The primary key is the only index: every claim would wait for the one page of another on which all new
-- times lie. Sweeps look through the table a part at a time instead (before PostgreSQL 14: through all of
-- it). A completion writes to no index, on a page that keeps room for the row's new version.
CREATE TABLE IF NOT EXISTS hooklatch_claims (
    key           bytea       NOT NULL PRIMARY KEY,
    -- 1 processing, 2 completed, 3 released, 4 dead
    state         smallint    NOT NULL,
    -- Who may complete, release, renew and fail: random, never shown.
    token         bytea       NOT NULL,
    -- Larger in each later run; for ordering and for people.
    fence         bigint      NOT NULL,
    -- The fence of the run that opened the record: steps of an earlier record of the same key
    -- belong to another epoch.
    epoch         bigint      NOT NULL,
    -- 1, and one more for each forced replay.
    generation    integer     NOT NULL,
    -- Why the present attempt runs: 1 first, 2 retry after a release, 3 takeover of a lapsed
    -- lease, 4 first again after the retention ran out, 5 forced replay.
    origin        smallint    NOT NULL,
    fingerprint   bytea       NOT NULL,
    -- From 1, within the generation.
    attempt       integer     NOT NULL,
    -- Processing: when the lease ends. Released: from when on it may be tried again.
    lease_until   timestamptz,
    -- Completed and dead: when the record may go.
    expires_at    timestamptz,
    result        bytea,
    error         text,
    provider      text        NOT NULL DEFAULT '',
    event_type    text        NOT NULL DEFAULT '',
    received_at   timestamptz,
    first_seen_at timestamptz NOT NULL DEFAULT clock_timestamp()
) WITH (fillfactor = 85);

CREATE TABLE IF NOT EXISTS hooklatch_steps (
    key        bytea       NOT NULL,
    epoch      bigint      NOT NULL,
    generation integer     NOT NULL,
    step       text        NOT NULL,
    result     bytea       NOT NULL,
    PRIMARY KEY (key, epoch, generation, step)
);
