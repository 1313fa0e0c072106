-- KEYS[1] the hash. ARGV: 1 token in hex, 2 error, 3 retention in ms. Answers "ok" or "fenced".
local held = redis.call('HMGET', KEYS[1], 'state', 'token')
if held[1] ~= '1' or held[2] ~= ARGV[1] then return 'fenced' end
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
redis.call('HSET', KEYS[1], 'state', '4', 'error', ARGV[2],
  'expires', string.format('%.0f', now + tonumber(ARGV[3])))
redis.call('HDEL', KEYS[1], 'until')
redis.call('PEXPIRE', KEYS[1], ARGV[3])
return 'ok'
