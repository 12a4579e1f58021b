-- Leave what one worker has added up so far, and read the sum over all workers.
--
-- KEYS[1]  a hash of worker -> its own sum
-- ARGV     the worker, its sum, time to live in ms
-- Returns the sum as text. Telling the same sum twice changes nothing.

local kind = redis.call('TYPE', KEYS[1]).ok
if kind ~= 'hash' and kind ~= 'none' then redis.call('DEL', KEYS[1]) end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
redis.call('PEXPIRE', KEYS[1], ARGV[3])
local total = 0
for _, sum in ipairs(redis.call('HVALS', KEYS[1])) do total = total + (tonumber(sum) or 0) end
return string.format('%.10f', total)
