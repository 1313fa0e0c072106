-- KEYS[1] the record, as claim.lua has it. ARGV: 1 token in hex, 2 result, 3 retention in ms, 4 "0"
-- where the result was too large to be kept.
-- Answers "applied", "already_complete", "fenced" or "gone".
local record = redis.call('GET', KEYS[1])
if not record then return 'gone' end
if record:sub(3, 34) ~= ARGV[1] then return 'fenced' end
local state = record:sub(1, 1)
if state == '2' then return 'already_complete' end
if state ~= '1' then return 'fenced' end
-- A record that is being processed ends with its texts.
local kept = ARGV[4] == '0' and '20' .. record:sub(3) or '21' .. record:sub(3) .. ARGV[2]
redis.call('SET', KEYS[1], kept, 'PX', ARGV[3] ~= '0' and ARGV[3] or '1')
return 'applied'
