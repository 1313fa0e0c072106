-- Claims a key. One hash holds everything of it, so that it works in a cluster.
-- KEYS[1] the hash. ARGV: 1 token and 2 fingerprint in hex, 3 lease in ms, 4 largest number of
-- attempts, 5 retention in ms, 6 "1" for a forced replay, 7 provider, 8 event type, 9 received at
-- in ms since 1970 or "".
-- Answers {"run", fence, epoch, generation, origin, attempt}, {"busy", ms}, {"done", result},
-- {"dead", error} or {"conflict", state}. States: 1 processing, 2 completed, 3 released, 4 dead.
-- Origins: 1 first, 2 retry, 3 takeover, 5 replay (4, expired, never: Redis forgets by itself).
local time = redis.call('TIME')
local micros = tonumber(time[1]) * 1000000 + tonumber(time[2])
local now = math.floor(micros / 1000)
local token, fingerprint = ARGV[1], ARGV[2]
local lease, retention = tonumber(ARGV[3]), tonumber(ARGV[5])
local function text(number) return string.format('%.0f', number) end

local held = redis.call('HMGET', KEYS[1],
  'state', 'token', 'fence', 'epoch', 'generation', 'origin', 'attempt', 'fingerprint', 'until',
  'expires', 'result', 'error')
local state = held[1]
-- The key's own expiry may be late by some milliseconds: the time in the record decides.
if state and held[10] and tonumber(held[10]) <= now then
  redis.call('DEL', KEYS[1])
  state = false
end

local function run(fence, epoch, generation, origin, attempt)
  redis.call('HSET', KEYS[1],
    'state', '1', 'token', token, 'fence', text(fence), 'epoch', text(epoch),
    'generation', text(generation), 'origin', origin, 'attempt', text(attempt),
    'fingerprint', fingerprint, 'until', text(now + lease), 'retention', text(retention),
    'provider', ARGV[7], 'event_type', ARGV[8], 'received', ARGV[9])
  if state then
    redis.call('HDEL', KEYS[1], 'expires', 'result', 'error')
  else
    redis.call('HSET', KEYS[1], 'first_seen', text(now))
  end
  -- Work that nobody ever comes back to goes one retention after its lease.
  redis.call('PEXPIRE', KEYS[1], text(lease + retention))
  return {'run', text(fence), text(epoch), text(generation), origin, text(attempt)}
end

if not state then return run(micros, micros, 1, '1', 1) end
if held[8] ~= fingerprint then return {'conflict', state} end

local fence = math.max(tonumber(held[3]) + 1, micros)
local epoch, generation = tonumber(held[4]), tonumber(held[5])
local attempt = tonumber(held[7])
if state == '2' or state == '4' then
  if ARGV[6] == '1' then return run(fence, epoch, generation + 1, '5', 1) end
  if state == '2' then return {'done', held[11]} end
  return {'dead', held[12]}
end
if state == '1' and held[2] == token then
  return run(tonumber(held[3]), epoch, generation, held[6], attempt)
end
if tonumber(held[9]) > now then return {'busy', text(tonumber(held[9]) - now)} end
if attempt >= tonumber(ARGV[4]) then
  local message = held[12] or ''
  message = 'gave up after ' .. text(attempt) .. ' attempts'
    .. (message ~= '' and (': ' .. message) or '')
  redis.call('HSET', KEYS[1], 'state', '4', 'error', message, 'expires', text(now + retention))
  redis.call('HDEL', KEYS[1], 'until')
  redis.call('PEXPIRE', KEYS[1], text(retention))
  return {'dead', message}
end
return run(fence, epoch, generation, state == '1' and '3' or '2', attempt + 1)
