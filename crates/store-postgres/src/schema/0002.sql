-- How far a copy from another store has come. The row "source" has the number of the data that is
-- copied, the time as of which its claims are taken, and 1 in `rows` once the copy is complete.
-- Each other row is of a table: where its last copied row stands, and how many there are. It moves
-- in the transaction that brings the rows.
--
-- Binaries of version 1 know nothing of it and need nothing of it.
CREATE TABLE hooklatch.copy (
    name text PRIMARY KEY, first bigint NOT NULL, second bigint NOT NULL, rows bigint NOT NULL
);
