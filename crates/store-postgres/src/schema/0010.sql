-- What waits and what is leased have an index each, so that to lease a row adds to one of them only.
--
-- Binaries of before look for both in one index. Without it they find the same, more slowly.
CREATE INDEX deliveries_live_pending ON hooklatch.deliveries_live (lane, at, id) WHERE status = 0;
DROP INDEX hooklatch.deliveries_live_due;
