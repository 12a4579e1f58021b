-- One exchange of gauges: write one's own, read the others', drop those that have expired.
--
-- KEYS[1]   set of the workers' names
-- KEYS[2]   own gauge
-- KEYS[3..] gauges of the workers known so far (every key is declared, as Redis Cluster asks)
-- ARGV[1]   own name
-- ARGV[2]   time to live, ms
-- ARGV[3]   own gauge's content
-- ARGV[4..] names of the workers known so far, in the order of KEYS[3..]
--
-- Returns {names of all workers, gauge or false for each of KEYS[3..], their ages in ms ('' if false)}.
-- A gauge is stored as "<ms by this server's clock> <content>", so ages never compare two hosts' clocks.

local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)

redis.call('SET', KEYS[2], string.format('%.0f ', now) .. ARGV[3], 'PX', ARGV[2])
redis.call('SADD', KEYS[1], ARGV[1])
redis.call('PEXPIRE', KEYS[1], ARGV[2])
local names = redis.call('SMEMBERS', KEYS[1])

local gauges, ages = {}, {}
for i = 3, #KEYS do
  local stored = redis.call('GET', KEYS[i])
  local space = stored and string.find(stored, ' ', 1, true)
  if space then
    gauges[#gauges + 1] = string.sub(stored, space + 1)
    ages[#ages + 1] = string.format('%.0f', math.max(0, now - tonumber(string.sub(stored, 1, space - 1))))
  else
    -- A worker that died: its gauge has expired. One that lives puts its name back within an interval.
    redis.call('SREM', KEYS[1], ARGV[i + 1])
    gauges[#gauges + 1] = false
    ages[#ages + 1] = ''
  end
end
return {names, gauges, ages}
