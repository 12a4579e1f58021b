-- One exchange of grades: add sums to those of all workers, leave and take grades of single calls, read all.
--
-- KEYS[1]   hash of sums by name, each "<ms> <count> <scored> <expected>": see core/grade_sums.py
-- KEYS[2]   hash of grades by call id, of calls that the worker that was told does not know
-- KEYS[3]   hash of the last exchange of each worker, by its name
-- KEYS[4]   sorted set of those call ids by when they were first seen, ms
-- ARGV[1..6] half-life ms, most grades of a sum, least grades of a sum, most names, time to live of sums and
--           of a grade, ms
-- ARGV[7,8] the worker, and the number of this exchange: it is taken in once
-- ARGV[9]   number of sums, then name, count, scored, expected of each
-- then the number of grades, call id and score of each
-- then the number of calls whose grades were taken up, and their ids
--
-- Returns {{name, count, scored, expected, ...}, {call id, score, ...}}, faded to this moment.
-- Ages go by this server's clock alone. Workers of the release before know KEYS[1] and KEYS[2] alone.

local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
local half, most, least, names = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
local worker, number = ARGV[7], ARGV[8]
local day = 86400000
local at = 9
local function argument()
  at = at + 1
  return ARGV[at - 1]
end

local function read(stored)
  -- What is no sum counts as none.
  if not stored or #stored > 256 then return nil end
  local ms, count, scored, expected = string.match(stored, '^(%S+) (%S+) (%S+) (%S+)$')
  ms, count, scored, expected = tonumber(ms), tonumber(count), tonumber(scored), tonumber(expected)
  if not (ms and count and scored and expected) then return nil end
  if not (count >= 0 and count <= most * 1.01 and ms >= 0 and ms < 1e15) then return nil end
  local share = 0.5 ^ (math.max(0, now - ms) / half)
  return count * share, scored * share, expected * share
end

for i, key in ipairs(KEYS) do
  local kind = redis.call('TYPE', key).ok
  if kind ~= (i == 4 and 'zset' or 'hash') and kind ~= 'none' then redis.call('DEL', key) end
end

local function add(key, name, count, scored, expected)
  local c, s, e = read(redis.call('HGET', key, name) or nil)
  if not c then
    if redis.call('HLEN', key) >= names then return end
    c, s, e = 0, 0, 0
  end
  c, s, e = c + count, s + scored, e + expected
  if c > most then c, s, e = most, s * most / c, e * most / c end
  redis.call('HSET', key, name, string.format('%.0f %.6g %.6g %.6g', now, c, s, e))
end

local function take_out(call)
  redis.call('HDEL', KEYS[2], call)
  redis.call('ZREM', KEYS[4], call)
end

-- Grades that nobody has taken up in their time make room. Another release leaves and takes out without a time.
if redis.call('HLEN', KEYS[2]) > 2 * names then redis.call('DEL', KEYS[2], KEYS[4]) end
if redis.call('HLEN', KEYS[2]) ~= redis.call('ZCARD', KEYS[4]) then
  for _, call in ipairs(redis.call('HKEYS', KEYS[2])) do redis.call('ZADD', KEYS[4], 'NX', now, call) end
  for _, call in ipairs(redis.call('ZRANGE', KEYS[4], 0, -1)) do
    if redis.call('HEXISTS', KEYS[2], call) == 0 then redis.call('ZREM', KEYS[4], call) end
  end
end
for _, call in ipairs(redis.call('ZRANGEBYSCORE', KEYS[4], '-inf', now - tonumber(ARGV[6]))) do take_out(call) end

if worker == '' or redis.call('HGET', KEYS[3], worker) ~= number then
  for _ = 1, tonumber(argument()) do
    local name = argument()
    add(KEYS[1], name, tonumber(argument()), tonumber(argument()), tonumber(argument()))
  end
  for _ = 1, tonumber(argument()) do
    local call, score = argument(), argument()
    if redis.call('HLEN', KEYS[2]) < names then
      redis.call('HSET', KEYS[2], call, score)
      redis.call('ZADD', KEYS[4], 'NX', now, call)
    end
  end
  for _ = 1, tonumber(argument()) do take_out(argument()) end
  if worker ~= '' then
    if redis.call('HLEN', KEYS[3]) > 4 * names then redis.call('DEL', KEYS[3]) end
    redis.call('HSET', KEYS[3], worker, number)
  end
end
redis.call('PEXPIRE', KEYS[1], ARGV[5])
redis.call('PEXPIRE', KEYS[2], ARGV[6])
redis.call('PEXPIRE', KEYS[3], day)
redis.call('PEXPIRE', KEYS[4], ARGV[6])

local sums = {}
if redis.call('HLEN', KEYS[1]) > 2 * names then redis.call('DEL', KEYS[1]) end
local held = redis.call('HGETALL', KEYS[1])
for i = 1, #held, 2 do
  local c, s, e = read(held[i + 1])
  if not c or c < least or #held[i] > 256 then
    redis.call('HDEL', KEYS[1], held[i])
  else
    sums[#sums + 1] = held[i]
    sums[#sums + 1] = string.format('%.6g', c)
    sums[#sums + 1] = string.format('%.6g', s)
    sums[#sums + 1] = string.format('%.6g', e)
  end
end
return {sums, redis.call('HGETALL', KEYS[2])}
