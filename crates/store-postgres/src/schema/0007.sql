-- When payloads go whose senders said so. Rows are few, and go with their payloads.
--
-- Up to which number history may have been pruned row by row stands in `meta` as `history_pruned`.
-- Binaries of the versions before need nothing of either: they prune nothing, and keep for ever
-- what senders of newer nodes let go.
CREATE TABLE hooklatch.payload_ends (
    at bigint NOT NULL, message bigint NOT NULL, PRIMARY KEY (at, message)
);
