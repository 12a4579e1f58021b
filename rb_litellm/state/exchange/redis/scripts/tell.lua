-- One exchange: put one's own share in place, get the totals. See fleet.lua, which comes before this.
--
-- ARGV[1]   own name
-- ARGV[2]   time to live, ms
-- ARGV[3]   generation of the slots below
-- ARGV[4]   number of one's share before, to which this is the change; '' where this is all of it
-- ARGV[5]   number of one's share from now on
-- ARGV[6,7] seconds since one's start; attempts in flight
-- ARGV[8]   rows: slot (16 bits), in flight, prefill, pending decode tokens, rate (32 bits each), by slot
-- ARGV[9]   note for the others; '' for none that is new
-- ARGV[10]  number of the last note that was heard
-- ARGV[11]  version of the totals that is known
-- ARGV[12]  '1' to be told of every worker
-- ARGV[13]  '1' where the totals cannot be right: they are added up anew
--
-- Returns {1} where the slots are of another generation, {2} where all is to be told, else
-- {0, ms since the epoch, epoch, number of workers, version, number of chunks, changed chunks: number (16 bits),
--  version, rows, notes: name, age in ms, content of each, number of the last note, workers: name, ms until dead,
--  head of the share of each, number of shares that could not be read}.

local origin, ttl, base, rows, note = ARGV[1], tonumber(ARGV[2]), ARGV[4], ARGV[8], ARGV[9]
local MAX_NOTES, MAX_NOTE = 65536, 131072
local SENT, AT_ONCE = 18, 100

drop_other_types()
local generation, epoch = meta()
if generation ~= ARGV[3] then return {1} end
load_totals()
if now - epoch > EPOCH_MS or now < epoch then
  add_up(ttl, now - epoch)
  epoch = now
  redis.call('HSET', META, 'epoch', text(epoch))
end
local ms = now - epoch

local own = share_of(origin)
if base ~= '' then
  local number = own and select(2, struct.unpack('<dI4', own))
  if number ~= tonumber(base) then return {2} end
end
for _, name in ipairs(redis.call('ZRANGEBYSCORE', ALIVE, '-inf', text(now), 'LIMIT', 0, 16)) do
  if name ~= origin then take_away(name) end
end
if base == '' or not own then
  if not own then
    count = count + 1
  elseif sound(own) then
    move(own, -1)
  else
    sound_totals = false
  end
  own = ''
end

local mine, held = {}, math.max((#own - SHARE_HEAD) / BYTES, 0)
local function my(c)
  if not mine[c] then
    mine[c] = c < held and numbers_at(own, SHARE_HEAD + c * BYTES + 1) or zeros()
    if c >= held then
      for before = held, c - 1 do mine[before] = mine[before] or zeros() end
      held = c + 1
    end
  end
  return mine[c]
end
local had, at, its, all = held, -1, nil, nil
local size = math.floor(#rows / SENT)
for first = 0, size - 1, AT_ONCE do
  local many = math.min(AT_ONCE, size - first)
  local told = {struct.unpack('<' .. string.rep('I2I4I4I4I4', many), rows, first * SENT + 1)}
  for i = 1, many * 5, 5 do
    local slot, in_flight, prefill, rate = told[i], told[i + 1], told[i + 2], told[i + 4]
    local line = told[i + 3] * 1000 + rate * ms
    local c = math.floor(slot / CHUNK)
    if c < MAX_CHUNKS then
      if c ~= at then at, its, all = c, my(c), opened(c) end
      local j = (slot % CHUNK) * 4
      local a, b = all[j + 1] + in_flight - its[j + 1], all[j + 2] + prefill - its[j + 2]
      local d, e = all[j + 3] + rate - its[j + 3], all[j + 4] + line - its[j + 4]
      if not (a >= 0 and b >= 0 and d >= 0 and e >= 0 and e < EXACT) then sound_totals = false end
      all[j + 1], all[j + 2], all[j + 3], all[j + 4] = a, b, d, e
      its[j + 1], its[j + 2], its[j + 3], its[j + 4] = in_flight, prefill, rate, line
    end
  end
end
local parts = {struct.pack('<dI4I4I4', now, tonumber(ARGV[5]), tonumber(ARGV[6]), tonumber(ARGV[7]))}
for c = 0, held - 1 do
  if mine[c] then
    parts[#parts + 1] = struct.pack(ROWS, unpack(mine[c], 1, NUMBERS))
  else
    parts[#parts + 1] = string.sub(own, SHARE_HEAD + c * BYTES + 1, SHARE_HEAD + (c + 1) * BYTES)
  end
end
redis.call('HSET', SHARES, origin, table.concat(parts))
redis.call('ZADD', ALIVE, text(now + ttl), origin)
local shares = redis.call('HLEN', SHARES)
if not sound_totals or ARGV[13] == '1' or count ~= shares or redis.call('ZCARD', ALIVE) ~= shares then
  add_up(ttl, 0)
end

if note ~= '' then
  local number = redis.call('HINCRBY', META, 'notes', 1)
  redis.call('HSET', NOTES, origin, text(now) .. ' ' .. note)
  redis.call('ZADD', TOLD, number, origin)
end
local heard = tonumber(redis.call('HGET', META, 'notes'))
local since = tonumber(ARGV[10])
if since > heard then since = 0 end
local notes, length = {}, 0
local news = redis.call('ZRANGEBYSCORE', TOLD, '(' .. text(since), '+inf', 'WITHSCORES', 'LIMIT', 0, 64)
for i = 1, #news, 2 do
  local name, stored = news[i], nil
  if redis.call('HSTRLEN', NOTES, name) <= MAX_NOTE then stored = redis.call('HGET', NOTES, name) end
  local space = stored and string.find(stored, ' ', 1, true)
  local told_ms = space and space < 20 and tonumber(string.sub(stored, 1, space - 1))
  if told_ms and told_ms == told_ms and told_ms >= 0 and told_ms < EXACT and name ~= origin then
    if length > 0 and length + #stored > MAX_NOTES then
      heard = tonumber(news[i - 1])
      break
    end
    length = length + #stored
    notes[#notes + 1] = name
    notes[#notes + 1] = text(math.max(now - told_ms, 0))
    notes[#notes + 1] = string.sub(stored, space + 1)
  end
end
if #news == 128 and heard > tonumber(news[128]) then heard = tonumber(news[128]) end

keep_totals(ttl)
local known, changed = tonumber(ARGV[11]), {}
if known > version then known = 0 end
for c = 0, last - 1 do
  local from = TOTALS_HEAD + c * (CHUNK_HEAD + BYTES)
  if struct.unpack('<d', blob, from + 1) > known then
    changed[#changed + 1] = struct.pack('<I2', c)
    changed[#changed + 1] = string.sub(blob, from + 1, from + CHUNK_HEAD + BYTES)
  end
end
local workers = {}
if ARGV[12] == '1' then
  local living = redis.call('ZRANGE', ALIVE, 0, 512)
  for _, name in ipairs(living) do
    if name ~= origin and #name <= 256 then
      workers[#workers + 1] = name
      workers[#workers + 1] = string.sub(redis.call('HGET', SHARES, name) or '', 1, SHARE_HEAD)
    end
  end
end
return {0, text(ms), text(epoch), count, text(version), last, table.concat(changed), notes, text(heard), workers, bad}
