-- What a step gave in an earlier attempt; nothing where it has not been kept.
-- KEYS[1] the record, as claim.lua has it, KEYS[2] the hash of its steps. ARGV: 1 generation, 2 step.
local record = redis.call('GET', KEYS[1])
if not record then return false end
local epoch = record:match('^%w+ %d+ (%d+)')
return redis.call('HGET', KEYS[2], epoch .. ':' .. ARGV[1] .. ':' .. ARGV[2])
