-- Read the gauges of the named workers; writes nothing.
--
-- KEYS[1..] gauges
-- Returns {gauge or false for each, their ages in ms ('' if false)}; see exchange.lua for the format.

local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)

local gauges, ages = {}, {}
for i = 1, #KEYS do
  local stored = redis.call('GET', KEYS[i])
  local space = stored and string.find(stored, ' ', 1, true)
  gauges[i] = space and string.sub(stored, space + 1) or false
  ages[i] = space and string.format('%.0f', math.max(0, now - tonumber(string.sub(stored, 1, space - 1)))) or ''
end
return {gauges, ages}
