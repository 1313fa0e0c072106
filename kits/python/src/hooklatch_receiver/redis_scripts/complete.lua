-- KEYS[1] the record, as claim.lua has it. ARGV: 1 token in hex, 2 result, 3 retention in ms, 4 "0"
-- where the result was too large to be kept.
-- Answers "applied", "already_complete", "fenced" or "gone".
-- Every event comes through here, and each call and each string costs the server time: so where all is
-- well, one comparison says that the record is being processed (1), has no result (0), and whose it is.
local call, key = redis.call, KEYS[1]
local record = call('GET', key)
if not record then return 'gone' end
if record:sub(1, 34) == '10' .. ARGV[1] then
  -- Such a record ends with its texts.
  local kept = (ARGV[4] == '0' and '20' or '21') .. record:sub(3) .. ARGV[2]
  call('SET', key, kept, 'PX', ARGV[3] ~= '0' and ARGV[3] or '1')
  return 'applied'
end
local completed = record:sub(1, 1) == '2' and record:sub(3, 34) == ARGV[1]
return completed and 'already_complete' or 'fenced'
