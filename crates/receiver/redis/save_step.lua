-- Keeps what a step gave; the first result stays. Steps go when their record would, at the earliest;
-- the epoch tells them from those of another record of the key.
-- KEYS as claim.lua has them. ARGV: 1 token in hex, 2 step, 3 result. Answers "saved" or "fenced".
local record = redis.call('GET', KEYS[1])
if not record or record:sub(1, 1) ~= '1' or record:sub(3, 34) ~= ARGV[1] then return 'fenced' end
if redis.call('GETRANGE', KEYS[3], 0, 31) == ARGV[1] then return 'fenced' end
local epoch, generation = record:match('^%w+ %d+ (%d+) (%d+)')
redis.call('HSETNX', KEYS[2], epoch .. ':' .. generation .. ':' .. ARGV[2], ARGV[3])
redis.call('PEXPIRE', KEYS[2], redis.call('PTTL', KEYS[1]))
return 'saved'
