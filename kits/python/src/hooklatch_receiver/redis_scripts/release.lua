-- Ends a lease in place; the record stays, with a token that nobody holds.
-- KEYS as claim.lua has them. ARGV: 1 token and 2 another token in hex, 3 ms until it may be tried again,
-- 4 error. Answers "ok" or "fenced".
local record = redis.call('GET', KEYS[1])
if not record or record:sub(1, 1) ~= '1' or record:sub(3, 34) ~= ARGV[1] then return 'fenced' end
if redis.call('GETRANGE', KEYS[3], 0, 31) == ARGV[1] then return 'fenced' end
local retention = record:match('^%w+ %d+ %d+ %d+ %d+ %d+ (%d+)')
local left = string.format('%.0f', tonumber(ARGV[3]) + tonumber(retention))
redis.call('SET', KEYS[1], '30' .. ARGV[2] .. record:sub(35) .. ARGV[4], 'PX', left)
redis.call('PEXPIRE', KEYS[2], left)
return 'ok'
