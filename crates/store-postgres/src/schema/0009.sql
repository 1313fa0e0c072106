-- What rules in shadow mode have come to since they were set, each under a checksum of what it
-- says: sums, and samples that replace one another. Each node has rows of its own, so that none
-- waits for another's commit; room is left in the pages, so that a row is changed in its place.
--
-- Binaries of version 1 know nothing of it and need nothing of it; they judge nothing.
CREATE TABLE hooklatch.shadow_counts (
    shadow bytea NOT NULL, slot bigint NOT NULL, since bigint NOT NULL, until bigint NOT NULL,
    judged bigint NOT NULL, without_key bigint NOT NULL, suppressed bigint NOT NULL,
    differing bigint NOT NULL, newly bigint NOT NULL, no_longer bigint NOT NULL,
    PRIMARY KEY (shadow, slot)
) WITH (fillfactor = 50);
CREATE TABLE hooklatch.shadow_samples (
    shadow bytea NOT NULL, slot bigint NOT NULL, place bigint NOT NULL, request bigint NOT NULL,
    original bigint NOT NULL, accepted boolean NOT NULL, at bigint NOT NULL, key text NOT NULL,
    PRIMARY KEY (shadow, slot, place)
) WITH (fillfactor = 50);
