-- Keeps what a step gave; the first result stays.
-- KEYS[1] the hash. ARGV: 1 token in hex, 2 step, 3 result. Answers "saved" or "fenced".
local held = redis.call('HMGET', KEYS[1], 'state', 'token', 'generation')
if held[1] ~= '1' or held[2] ~= ARGV[1] then return 'fenced' end
redis.call('HSETNX', KEYS[1], 'step:' .. held[3] .. ':' .. ARGV[2], ARGV[3])
return 'saved'
