-- KEYS as claim.lua has them. ARGV: 1 token in hex, 2 error, 3 retention in ms. Answers "ok" or "fenced".
local left = ARGV[3] ~= '0' and ARGV[3] or '1'
local record = redis.call('GET', KEYS[1])
if not record or record:sub(1, 1) ~= '1' or record:sub(3, 34) ~= ARGV[1] then return 'fenced' end
if redis.call('GETRANGE', KEYS[3], 0, 31) == ARGV[1] then return 'fenced' end
redis.call('SET', KEYS[1], '40' .. record:sub(3) .. ARGV[2], 'PX', left)
return 'ok'
