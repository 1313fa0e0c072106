-- KEYS as claim.lua has them. ARGV: 1 token in hex, 2 result, 3 retention in ms, 4 "0" where the result
-- was too large to be kept, 5 "1" where the caller has put the completion there a moment ago.
-- Answers "applied", "already_complete", "fenced" or "gone".
local call = redis.call
local record, done = call('GET', KEYS[1]), call('GET', KEYS[3])
local ours = done and done:sub(1, 32) == ARGV[1]
-- Being processed (1), without a result (0), and whose.
if record and record:sub(1, 34) == '10' .. ARGV[1] then
  if ours and ARGV[5] ~= '1' then
    -- By an earlier call, whose answer was lost: the record takes it over, with its end.
    local kept = '2' .. done:sub(33, 33) .. record:sub(3) .. done:sub(34)
    call('SET', KEYS[1], kept, 'PX', math.max(call('PTTL', KEYS[3]), 1))
    call('DEL', KEYS[3])
    return 'already_complete'
  end
  -- Such a record ends with its texts.
  local kept = (ARGV[4] == '0' and '20' or '21') .. record:sub(3) .. ARGV[2]
  call('SET', KEYS[1], kept, 'PX', ARGV[3] ~= '0' and ARGV[3] or '1')
  call('DEL', KEYS[3])
  return 'applied'
end
if ours then call('DEL', KEYS[3]) end
if not record then return 'gone' end
local completed = record:sub(1, 1) == '2' and record:sub(3, 34) == ARGV[1]
return completed and 'already_complete' or 'fenced'
