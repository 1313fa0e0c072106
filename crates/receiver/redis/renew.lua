-- KEYS as claim.lua has them. ARGV: 1 token in hex, 2 lease in ms. Answers "ok" or "fenced".
local record = redis.call('GET', KEYS[1])
if not record or record:sub(1, 1) ~= '1' or record:sub(3, 34) ~= ARGV[1] then return 'fenced' end
if redis.call('GETRANGE', KEYS[3], 0, 31) == ARGV[1] then return 'fenced' end
local retention = record:match('^%w+ %d+ %d+ %d+ %d+ %d+ (%d+)')
local left = string.format('%.0f', tonumber(ARGV[2]) + tonumber(retention))
redis.call('PEXPIRE', KEYS[1], left)
redis.call('PEXPIRE', KEYS[2], left)
return 'ok'
