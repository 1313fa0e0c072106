-- What limits a lane beyond its concurrency. Two tables, because they have two writers: the bucket
-- is moved by whoever leases, under the lane's lock, and the health by whoever finishes.
--
-- Binaries of version 1 know nothing of it: they hold no rate and open no circuit.
CREATE TABLE hooklatch.lane_buckets (
    lane bigint PRIMARY KEY, full_at_us bigint NOT NULL
) WITH (fillfactor = 50);
CREATE TABLE hooklatch.lane_health (
    lane bigint PRIMARY KEY, health text NOT NULL
) WITH (fillfactor = 50);
