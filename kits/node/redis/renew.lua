-- KEYS[1] the hash. ARGV: 1 token in hex, 2 lease in ms. Answers "ok" or "fenced".
local held = redis.call('HMGET', KEYS[1], 'state', 'token', 'retention')
if held[1] ~= '1' or held[2] ~= ARGV[1] then return 'fenced' end
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
redis.call('HSET', KEYS[1], 'until', string.format('%.0f', now + tonumber(ARGV[2])))
redis.call('PEXPIRE', KEYS[1], string.format('%.0f', tonumber(ARGV[2]) + tonumber(held[3])))
return 'ok'
