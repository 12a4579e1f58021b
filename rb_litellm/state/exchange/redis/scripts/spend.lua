-- Add to a sum that may not pass a bound, or do nothing.
--
-- KEYS[1]  the sum
-- ARGV     what is added, perhaps less than 0; the bound, '' for none; time to live in ms
-- Returns 1 where it was added, else 0.

local kind = redis.call('TYPE', KEYS[1]).ok
local amount, most = tonumber(ARGV[1]), tonumber(ARGV[2])
-- What is no sum counts as spent.
local held = 0
if kind == 'string' then held = tonumber(redis.call('GET', KEYS[1])) elseif kind ~= 'none' then held = nil end
if not held or held ~= held then return 0 end
if most and held + amount > most then return 0 end
redis.call('SET', KEYS[1], string.format('%.10f', math.max(held + amount, 0)), 'PX', ARGV[3])
return 1
