-- Deliveries that go one after the other: what they have in common. Those that wait for their turn
-- are due never. A node of an earlier version neither orders what it admits nor gives a turn on.
ALTER TABLE hooklatch.deliveries_live ADD COLUMN order_key bigint;
ALTER TABLE hooklatch.deliveries_done ADD COLUMN order_key bigint;
CREATE INDEX deliveries_live_ordered ON hooklatch.deliveries_live (order_key, id)
    WHERE order_key IS NOT NULL;
