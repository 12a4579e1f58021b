-- Read the gauges of the named workers; writes nothing.
--
-- KEYS[1..] gauges
-- Returns {gauge or false for each, their ages in ms ('' if false, or if it is no gauge)}; see exchange_1.lua.

local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)

local MOST = 1048600
local function gauge_at(key)
  -- A key of another type, a text without a time, or one that is too long is no gauge: '' and ''.
  local size = redis.pcall('STRLEN', key)
  if type(size) ~= 'number' or size > MOST then return '', '' end
  if size == 0 then return false, '' end
  local stored = redis.call('GET', key)
  local space = string.find(stored, ' ', 1, true)
  local at = space and space < 20 and tonumber(string.sub(stored, 1, space - 1))
  if not at or at ~= at or at < 0 or at > 1e15 then return '', '' end
  return string.sub(stored, space + 1), string.format('%.0f', math.max(0, now - at))
end

local gauges, ages = {}, {}
for i = 1, #KEYS do
  gauges[i], ages[i] = gauge_at(KEYS[i])
end
return {gauges, ages}
