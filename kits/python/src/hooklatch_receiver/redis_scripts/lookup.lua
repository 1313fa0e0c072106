-- Shows a record; nothing where there is none.
-- KEYS as claim.lua has them. Answers {state, attempt, generation, provider, event type, received at in ms
-- since 1970 or "", result or nothing, error or nothing, token, fence, epoch, origin, fingerprint, end in
-- ms since 1970, now in ms since 1970}. The end is that of the lease, of the wait for the next try, or of
-- the retention, by the state.
local record = redis.call('GET', KEYS[1])
if not record then return false end
-- A completion counts while the record names its token.
local done = record:sub(1, 1) == '1' and redis.call('GET', KEYS[3])
if done and done:sub(1, 32) == record:sub(3, 34) then
  record = '2' .. done:sub(33, 33) .. record:sub(3) .. done:sub(34)
end
local fence, epoch, generation, origin, attempt, retention, received, provider, event_type, at =
  record:match('^%w+ (%d+) (%d+) (%d+) (%d+) (%d+) (%d+) (%S*) (%d+) (%d+)\n()')
local state, last = record:sub(1, 1), record:sub(at + provider + event_type)
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
local open = state == '1' or state == '3'
local due = now + redis.call('PTTL', KEYS[1]) - (open and tonumber(retention) or 0)
return {
  state, attempt, generation, record:sub(at, at + provider - 1),
  record:sub(at + provider, at + provider + event_type - 1), received,
  record:sub(1, 2) == '21' and last, (state == '3' or state == '4') and last, record:sub(3, 34),
  fence, epoch, origin, record:sub(35, 98), string.format('%.0f', due), string.format('%.0f', now),
}
