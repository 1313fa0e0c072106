-- The tables of version 1. A version is never changed once it was released; the next one gets a
-- file of its own, and may only do what binaries of this version survive (docs/operations.md).
--
-- Numbers are ids, milliseconds since 1970, or the codes of `hooklatch_store::record`.

CREATE TABLE hooklatch.meta (name text PRIMARY KEY, value bigint NOT NULL);

-- One row for each connection that writes in batches. A batch first moves its row: so that, when
-- the connection breaks while it commits, whoever asks waits for its end and then knows it.
CREATE TABLE hooklatch.writers (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, batch bigint NOT NULL, at bigint NOT NULL
) WITH (fillfactor = 50);

-- History: partitioned by the number, which begins with the time. Partitions are made ahead and
-- dropped whole.

-- `request` is set where the message was released and so has another number than its request.
-- `deliveries` counts those that follow the message's id without a gap; others are in `strays`.
CREATE TABLE hooklatch.messages (
    id bigint PRIMARY KEY, project bigint NOT NULL, request bigint, source bigint, tenant text,
    event_type text, received bigint NOT NULL, decided bigint NOT NULL, routed boolean NOT NULL,
    deliveries bigint NOT NULL, checksum bytea, fingerprint bytea NOT NULL, meta text NOT NULL
) PARTITION BY RANGE (id);
CREATE INDEX messages_source ON hooklatch.messages (source, id) WHERE source IS NOT NULL;
CREATE INDEX messages_event_type ON hooklatch.messages (project, event_type, id)
    WHERE event_type IS NOT NULL;
CREATE INDEX messages_tenant ON hooklatch.messages (project, tenant, id)
    WHERE tenant IS NOT NULL;

CREATE TABLE hooklatch.strays (
    message bigint NOT NULL, delivery bigint NOT NULL, PRIMARY KEY (message, delivery)
) PARTITION BY RANGE (message);

-- What a request carried, by the number of the message or request. The elements of a split
-- request share the envelope of the first: `shared` names it.
CREATE TABLE hooklatch.payloads (
    id bigint PRIMARY KEY, shared bigint, envelope text, body bytea
) PARTITION BY RANGE (id);

-- Requests that did not become a message when they arrived.
CREATE TABLE hooklatch.requests (
    id bigint PRIMARY KEY, project bigint NOT NULL, source bigint, outcome bigint NOT NULL,
    cause bigint, effect bigint NOT NULL, original bigint, released bigint, checksum bytea,
    fingerprint bytea, received bigint NOT NULL, meta text NOT NULL, diff text
) PARTITION BY RANGE (id);
CREATE INDEX requests_original ON hooklatch.requests (original, id) WHERE original IS NOT NULL;
CREATE INDEX requests_source ON hooklatch.requests (source, id) WHERE source IS NOT NULL;
CREATE INDEX requests_outcome ON hooklatch.requests (project, outcome, id);
CREATE INDEX requests_cause ON hooklatch.requests (project, cause, id) WHERE cause IS NOT NULL;

-- Refused requests have a table of their own, because their number is bounded.
CREATE TABLE hooklatch.refused (
    id bigint PRIMARY KEY, project bigint NOT NULL, source bigint, received bigint NOT NULL,
    meta text NOT NULL, envelope text NOT NULL
);

-- Deliveries that have ended. `at` is when; `token` is the last attempt's number, before the
-- first one the delivery's own.
CREATE TABLE hooklatch.deliveries_done (
    id bigint PRIMARY KEY, message bigint NOT NULL, project bigint NOT NULL, endpoint bigint,
    connection bigint, lane bigint NOT NULL, status bigint NOT NULL, at bigint,
    attempts bigint NOT NULL, trigger bigint NOT NULL, token bigint NOT NULL,
    started bigint NOT NULL, reason bigint, free_attempts bigint NOT NULL,
    since bigint NOT NULL, created bigint NOT NULL, suffix boolean NOT NULL
) PARTITION BY RANGE (id);
CREATE INDEX deliveries_done_endpoint ON hooklatch.deliveries_done (endpoint, message)
    WHERE endpoint IS NOT NULL;

-- What a connection's script made of a request, by the delivery that sends it.
CREATE TABLE hooklatch.transformed (
    delivery bigint PRIMARY KEY, headers text NOT NULL, body bytea NOT NULL
) PARTITION BY RANGE (delivery);

CREATE TABLE hooklatch.attempts (
    id bigint PRIMARY KEY, delivery bigint NOT NULL, message bigint NOT NULL,
    project bigint NOT NULL, endpoint bigint, number bigint NOT NULL, trigger bigint NOT NULL,
    outcome bigint NOT NULL, status_code bigint, started bigint NOT NULL,
    duration_ms bigint NOT NULL, fenced boolean NOT NULL, meta text NOT NULL, body bytea
) PARTITION BY RANGE (id);
CREATE INDEX attempts_delivery ON hooklatch.attempts (delivery, id);

-- Deliveries that have not ended: small, and moved in its place. `at` is when a pending delivery
-- is due or when a lease ends; a held one has none.
CREATE TABLE hooklatch.deliveries_live (
    id bigint PRIMARY KEY, message bigint NOT NULL, project bigint NOT NULL, endpoint bigint,
    connection bigint, lane bigint NOT NULL, status bigint NOT NULL, at bigint,
    attempts bigint NOT NULL, trigger bigint NOT NULL, token bigint NOT NULL,
    started bigint NOT NULL, reason bigint, free_attempts bigint NOT NULL,
    since bigint NOT NULL, created bigint NOT NULL, suffix boolean NOT NULL
) WITH (autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 5000,
        autovacuum_vacuum_cost_delay = 0);
-- What waits and what is leased have an index each, so that to lease a row adds to one of them only.
CREATE INDEX deliveries_live_pending ON hooklatch.deliveries_live (lane, at, id) WHERE status = 0;
CREATE INDEX deliveries_live_leased ON hooklatch.deliveries_live (lane, at) WHERE status = 1;
CREATE INDEX deliveries_live_endpoint ON hooklatch.deliveries_live (endpoint, message)
    WHERE endpoint IS NOT NULL;

-- The ledger: apart from history, so that dropping history never opens a key again. `key` is the
-- first half of the checksum, `place` a hash of the scope; whoever reads compares both whole.
-- `variant` is a fingerprint where that is part of the claim, and empty otherwise: a NULL would
-- not be unique.
CREATE TABLE hooklatch.claims (
    key uuid NOT NULL, place integer NOT NULL, variant bytea NOT NULL, checksum bytea NOT NULL,
    scope text NOT NULL, kind bigint NOT NULL, project bigint NOT NULL, parts text NOT NULL,
    message bigint NOT NULL, fingerprint bytea NOT NULL, first_seen bigint NOT NULL,
    expires bigint NOT NULL, part_hashes bigint[],
    PRIMARY KEY (key, place, variant)
) PARTITION BY HASH (key);
CREATE INDEX claims_expires ON hooklatch.claims (expires);
CREATE INDEX claims_parts ON hooklatch.claims USING gin (part_hashes)
    WHERE part_hashes IS NOT NULL;

CREATE TABLE hooklatch.config (
    kind bigint NOT NULL, number bigint NOT NULL, project bigint NOT NULL, name text,
    document text NOT NULL, revision bigint NOT NULL, PRIMARY KEY (kind, number)
);
CREATE UNIQUE INDEX config_name ON hooklatch.config (kind, project, name)
    WHERE name IS NOT NULL;
INSERT INTO hooklatch.meta VALUES ('config_version', 0);

CREATE TABLE hooklatch.audit (
    id bigint PRIMARY KEY, project bigint NOT NULL, at bigint NOT NULL, actor bigint,
    action text NOT NULL, subject text NOT NULL, reason text
);
CREATE INDEX audit_project ON hooklatch.audit (project, id);

DO $$
BEGIN
    -- Each part costs every batch, which meets nearly all of them: a table and its indexes to open.
    FOR part IN 0..1 LOOP
        EXECUTE format(
            'CREATE TABLE hooklatch.claims_%s PARTITION OF hooklatch.claims
                 FOR VALUES WITH (MODULUS 2, REMAINDER %s)', part, part);
    END LOOP;
    -- Bodies are compressed where that is cheap; where it is not, they are kept as they are.
    IF EXISTS (SELECT 1 FROM pg_catalog.pg_settings
               WHERE name = 'default_toast_compression' AND 'lz4' = ANY (enumvals)) THEN
        ALTER TABLE hooklatch.payloads ALTER body SET COMPRESSION lz4;
        ALTER TABLE hooklatch.attempts ALTER body SET COMPRESSION lz4;
        ALTER TABLE hooklatch.transformed ALTER body SET COMPRESSION lz4;
    ELSE
        ALTER TABLE hooklatch.payloads ALTER body SET STORAGE EXTERNAL;
        ALTER TABLE hooklatch.attempts ALTER body SET STORAGE EXTERNAL;
        ALTER TABLE hooklatch.transformed ALTER body SET STORAGE EXTERNAL;
    END IF;
END $$;
