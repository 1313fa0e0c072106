-- Claims a key. Its record is one string, so that a first claim can also be one plain command,
-- SET key record NX PX (lease + retention), with what is below as the record:
--   state, kept, token, fingerprint: 1, 1, 32 and 64 characters, with nothing between them;
--   then, each after a space: fence, epoch, generation, origin, attempt, retention in ms, received
--   at in ms since 1970 or nothing, bytes of the provider, bytes of the event type;
--   a newline, provider, event type, and at last the result of a completed record (if kept is 1),
--   or the error of one that is released or dead.
-- No time stands in it: the key's own expiry is the server's clock. While the record is processing
-- or released, that is the end of the lease, or the time of the next try, and the retention on top;
-- once it is completed or dead, the end of the retention.
-- A record may be completed by plain commands too: SET completion ... NX puts a string beside it, of token
-- (32 characters), kept (1) and result. That is a completion as long as the record is being processed under
-- the same token, and ends with the record, whose expiry stays: so it is for whoever puts it there to see
-- that this is when the retention ends, or to have complete.lua see to it.
-- KEYS[1] the record, KEYS[2] the hash of its steps, KEYS[3] its completion, in the same slot of a
-- cluster. ARGV: 1 token and 2 fingerprint in hex, 3 lease in ms, 4 largest number of attempts,
-- 5 retention in ms, 6 "1" for a forced replay, 7 provider, 8 event type, 9 received at in ms since 1970
-- or "".
-- Answers {"run", fence, epoch, generation, origin, attempt}, {"busy", ms}, {"done", result},
-- {"dead", error} or {"conflict", state}. States: 1 processing, 2 completed, 3 released, 4 dead.
-- Origins: 1 first, 2 retry, 3 takeover, 5 replay (4, expired, never: Redis forgets by itself).
local record = redis.call('GET', KEYS[1])
-- A completion counts while the record names its token.
local done = record and record:sub(1, 1) == '1' and redis.call('GET', KEYS[3])
if done and done:sub(1, 32) == record:sub(3, 34) then
  record = '2' .. done:sub(33, 33) .. record:sub(3) .. done:sub(34)
end
local function text(number) return string.format('%.0f', number) end

local function micros()
  local time = redis.call('TIME')
  return tonumber(time[1]) * 1000000 + tonumber(time[2])
end

local function run(fence, epoch, generation, origin, attempt)
  -- Work that nobody ever comes back to goes one retention after its lease.
  local left = text(tonumber(ARGV[3]) + tonumber(ARGV[5]))
  local head = '10' .. ARGV[1] .. ARGV[2]
  local rest = table.concat(
    {fence, epoch, generation, origin, attempt, ARGV[5], ARGV[9], #ARGV[7], #ARGV[8]}, ' ')
  redis.call('SET', KEYS[1], head .. ' ' .. rest .. '\n' .. ARGV[7] .. ARGV[8], 'PX', left)
  if record then
    redis.call('PEXPIRE', KEYS[2], left)
    redis.call('DEL', KEYS[3])
  end
  return {'run', fence, epoch, generation, origin, attempt}
end

if not record then
  local fence = text(micros())
  return run(fence, fence, '1', '1', '1')
end
local state = record:sub(1, 1)
if record:sub(35, 98) ~= ARGV[2] then return {'conflict', state} end

local fence, epoch, generation, origin, attempt, retention, texts, at = record:match(
  '^%w+ (%d+) (%d+) (%d+) (%d+) (%d+) (%d+) %S* (%d+ %d+)\n()')
local provider, event_type = texts:match('(%d+) (%d+)')
at = at + provider + event_type
local last = record:sub(at)
local function later() return text(math.max(tonumber(fence) + 1, micros())) end

if state == '2' or state == '4' then
  if ARGV[6] == '1' then return run(later(), epoch, text(generation + 1), '5', '1') end
  if state == '4' then return {'dead', last} end
  return {'done', record:sub(2, 2) == '1' and last}
end
if state == '1' and record:sub(3, 34) == ARGV[1] then
  return run(fence, epoch, generation, origin, attempt)
end
local wait = redis.call('PTTL', KEYS[1]) - tonumber(retention)
if wait > 0 then return {'busy', text(wait)} end
if tonumber(attempt) >= tonumber(ARGV[4]) then
  local message = 'gave up after ' .. attempt .. ' attempts' .. (last ~= '' and ': ' .. last or '')
  redis.call('SET', KEYS[1], '40' .. record:sub(3, at - 1) .. message, 'PX', ARGV[5])
  return {'dead', message}
end
return run(later(), epoch, generation, state == '1' and '3' or '2', text(attempt + 1))
