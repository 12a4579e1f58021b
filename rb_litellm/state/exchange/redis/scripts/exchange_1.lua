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
-- Returns {names of all workers, gauge or false for each of KEYS[3..], their ages in ms ('' if
-- false, or if it is no gauge)}.
-- A gauge is stored as "<ms by this server's clock> <content>", so ages never compare two hosts' clocks.

local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)

local MOST = 1048600
local NAMES = 1024
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

redis.call('SET', KEYS[2], string.format('%.0f ', now) .. ARGV[3], 'PX', ARGV[2])
-- Whatever else stands where the names belong is replaced.
if type(redis.pcall('SADD', KEYS[1], ARGV[1])) ~= 'number' then
  redis.call('DEL', KEYS[1])
  redis.call('SADD', KEYS[1], ARGV[1])
end
redis.call('PEXPIRE', KEYS[1], ARGV[2])
local gauges, ages = {}, {}
for i = 3, #KEYS do
  local gauge, age = gauge_at(KEYS[i])
  if not gauge then
    -- A worker that died: its gauge has expired. One that lives puts its name back within an interval.
    redis.call('SREM', KEYS[1], ARGV[i + 1])
  end
  gauges[#gauges + 1] = gauge
  ages[#ages + 1] = age
end
local names = {}
for _, name in ipairs(redis.call('SRANDMEMBER', KEYS[1], NAMES)) do
  if #name <= 256 then names[#names + 1] = name end
end
return {names, gauges, ages}
