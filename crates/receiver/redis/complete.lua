-- KEYS[1] the hash. ARGV: 1 token in hex, 2 result, 3 retention in ms, 4 "0" where the result was
-- too large to be kept.
-- Answers "applied", "already_complete", "fenced" or "gone".
local held = redis.call('HMGET', KEYS[1], 'state', 'token')
if not held[1] then return 'gone' end
if held[2] ~= ARGV[1] then return 'fenced' end
if held[1] == '2' then return 'already_complete' end
if held[1] ~= '1' then return 'fenced' end
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
redis.call('HSET', KEYS[1], 'state', '2', 'expires',
  string.format('%.0f', now + tonumber(ARGV[3])))
if ARGV[4] ~= '0' then redis.call('HSET', KEYS[1], 'result', ARGV[2]) end
redis.call('HDEL', KEYS[1], 'until')
redis.call('PEXPIRE', KEYS[1], ARGV[3])
return 'applied'
