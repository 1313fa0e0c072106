-- The claims of receivers, made through the claim API. Binaries of version 2 know nothing of them
-- and need nothing of them.
--
-- States 2 and 4, completed and dead, are those that expire.
CREATE TABLE hooklatch.receiver_claims (
    project bigint NOT NULL, hash bytea NOT NULL, scope text NOT NULL, key text NOT NULL,
    lease bigint NOT NULL, retention bigint NOT NULL, state bigint NOT NULL, until bigint NOT NULL,
    token bytea NOT NULL, fence bigint NOT NULL, epoch bigint NOT NULL, generation bigint NOT NULL,
    origin bigint NOT NULL, fingerprint bytea NOT NULL, attempt bigint NOT NULL, error text,
    provider text NOT NULL, event_type text NOT NULL, received bigint, result bytea,
    PRIMARY KEY (project, hash)
);
CREATE INDEX receiver_claims_end ON hooklatch.receiver_claims (until) WHERE state IN (2, 4);
CREATE TABLE hooklatch.receiver_steps (
    project bigint NOT NULL, hash bytea NOT NULL, generation bigint NOT NULL, name text NOT NULL,
    result bytea NOT NULL, PRIMARY KEY (project, hash, generation, name),
    FOREIGN KEY (project, hash) REFERENCES hooklatch.receiver_claims ON DELETE CASCADE
);
-- No fence comes again, whatever is removed.
CREATE SEQUENCE hooklatch.receiver_fences;
