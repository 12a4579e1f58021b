-- The load of a fleet: each worker's share, and the totals of all shares. The other scripts begin with this.
--
-- KEYS[1]   hash: generation, epoch (ms), number of slots, number of the last note
-- KEYS[2]   hash: slot by name
-- KEYS[3]   hash: share by worker
-- KEYS[4]   sorted set: workers by the time (ms) at which they count as dead
-- KEYS[5]   string: the totals
-- KEYS[6]   hash: note by worker
-- KEYS[7]   sorted set: workers by the number of their note
--
-- A row is four whole numbers: in flight, pending prefill tokens, tokens decoded per second, and the tokens
-- to be decoded as a line through time: 1000 * pending + rate * (ms since the epoch). Such lines add up. Rows
-- stand by slot, CHUNK to a chunk. A share is "<time told> <number> <up s> <in flight>" and its chunks; totals
-- are "<version> <number of shares>" and, for each chunk, the version that changed it and its rows.
--
-- The totals are the sum of the shares in KEYS[3], and nothing else: a share is replaced, or taken away, in the
-- same script as the totals. All numbers are whole and below 2^53, so nothing is rounded. Where totals and shares
-- may have parted (either of them lost, evicted or overwritten), they are added up anew.

local META, SLOTS, SHARES, ALIVE, TOTALS, NOTES, TOLD = unpack(KEYS)
local CHUNK, MAX_CHUNKS, MAX_SHARES = 64, 128, 1024
local NUMBERS, BYTES = CHUNK * 4, CHUNK * 20
local ROWS = '<' .. string.rep('I4I4I4d', CHUNK)
local SHARE_HEAD, TOTALS_HEAD, CHUNK_HEAD = 20, 12, 8
local MAX_SHARE = SHARE_HEAD + MAX_CHUNKS * BYTES
local EPOCH_MS = 3600000
local MOST = {2 ^ 20, 2 ^ 23, 2 ^ 20, 2 ^ 43}
local EXACT = 2 ^ 53

local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)

local function text(number) return string.format('%.0f', number) end

local KINDS = {'hash', 'hash', 'hash', 'zset', 'string', 'hash', 'zset'}
local function drop_other_types()
  for i, kind in ipairs(KINDS) do
    local is = redis.call('TYPE', KEYS[i]).ok
    if is ~= kind and is ~= 'none' then redis.call('DEL', KEYS[i]) end
  end
end

local function begin_anew()
  -- Everybody takes slots and tells everything again.
  redis.call('DEL', unpack(KEYS))
  redis.call('HSET', META, 'generation', text(now), 'epoch', text(now), 'slots', '0', 'notes', '0')
end

local function meta()
  -- Generation, epoch and number of slots; nil where they are lost or do not fit the slots.
  local found = redis.call('HMGET', META, 'generation', 'epoch', 'slots', 'notes')
  for i = 1, 4 do
    if not (found[i] and #found[i] < 16 and string.find(found[i], '^%d+$')) then return nil end
  end
  local slots = tonumber(found[3])
  if slots ~= redis.call('HLEN', SLOTS) then return nil end
  return found[1], tonumber(found[2]), slots
end

-- The totals, of which chunks are opened (read into a table of numbers) where they change.
local blob, version, count, chunks, last, open = '', 0, 0, 0, 0, {}
local sound_totals, bad = false, 0

local function load_totals()
  local size = redis.call('STRLEN', TOTALS)
  if size < TOTALS_HEAD or size > TOTALS_HEAD + MAX_CHUNKS * (CHUNK_HEAD + BYTES) then return end
  if (size - TOTALS_HEAD) % (CHUNK_HEAD + BYTES) ~= 0 then return end
  blob = redis.call('GET', TOTALS)
  version, count = struct.unpack('<dI4', blob)
  if not (version >= 0 and version < EXACT) then version = 0 return end
  chunks = (size - TOTALS_HEAD) / (CHUNK_HEAD + BYTES)
  last = chunks
  sound_totals = true
end

local function numbers_at(held, from)
  local numbers = {struct.unpack(ROWS, held, from)}
  numbers[NUMBERS + 1] = nil
  return numbers
end

local function zeros()
  local numbers = {}
  for i = 1, NUMBERS do numbers[i] = 0 end
  return numbers
end

local function opened(c)
  local numbers = open[c]
  if not numbers then
    if c < chunks then
      numbers = numbers_at(blob, TOTALS_HEAD + c * (CHUNK_HEAD + BYTES) + CHUNK_HEAD + 1)
    else
      numbers = zeros()
    end
    open[c] = numbers
    if c >= last then last = c + 1 end
  end
  return numbers
end

local function shaped(share)
  return share and #share >= SHARE_HEAD and #share <= MAX_SHARE and (#share - SHARE_HEAD) % BYTES == 0
end

local function share_of(name)
  if redis.call('HSTRLEN', SHARES, name) > MAX_SHARE then return nil end
  local share = redis.call('HGET', SHARES, name)
  return shaped(share) and share or nil
end

local function move(share, sign)
  -- Add a share to the totals, or take it out of them.
  for c = 0, (#share - SHARE_HEAD) / BYTES - 1 do
    local its, all = numbers_at(share, SHARE_HEAD + c * BYTES + 1), opened(c)
    for i = 1, NUMBERS do
      local sum = all[i] + sign * its[i]
      if not (sum >= 0 and sum < EXACT) then sound_totals = false end
      all[i] = sum
    end
  end
end

local function forget(name)
  redis.call('HDEL', SHARES, name)
  redis.call('ZREM', ALIVE, name)
  redis.call('HDEL', NOTES, name)
  redis.call('ZREM', TOLD, name)
end

local function take_away(name)
  local share = share_of(name)
  if share then
    move(share, -1)
    count = count - 1
  elseif redis.call('HEXISTS', SHARES, name) == 1 then
    sound_totals = false
  end
  forget(name)
end

local function sound(share)
  -- Whether these can be a worker's rows.
  for c = 0, (#share - SHARE_HEAD) / BYTES - 1 do
    local its = numbers_at(share, SHARE_HEAD + c * BYTES + 1)
    for i = 1, NUMBERS do
      if not (its[i] >= 0 and its[i] <= MOST[(i - 1) % 4 + 1] and its[i] % 1 == 0) then return false end
    end
  end
  return true
end

local function moved_on(share, ms)
  -- The share with its lines through time as seen from a later epoch.
  local parts = {string.sub(share, 1, SHARE_HEAD)}
  for c = 0, (#share - SHARE_HEAD) / BYTES - 1 do
    local its = numbers_at(share, SHARE_HEAD + c * BYTES + 1)
    for i = 4, NUMBERS, 4 do its[i] = math.max(its[i] - its[i - 1] * ms, 0) end
    parts[#parts + 1] = struct.pack(ROWS, unpack(its, 1, NUMBERS))
  end
  return table.concat(parts)
end

local function add_up(ttl, ms)
  -- Make the totals anew from the shares, and the set of workers too; the epoch moves on by these ms.
  local ends = {}
  local scores = redis.call('ZRANGE', ALIVE, 0, MAX_SHARES, 'WITHSCORES')
  for i = 1, #scores, 2 do ends[scores[i]] = tonumber(scores[i + 1]) end
  if redis.call('HLEN', SHARES) > MAX_SHARES then redis.call('DEL', SHARES, NOTES, TOLD) end
  redis.call('DEL', ALIVE)
  blob, chunks, last, open, count, sound_totals = '', 0, 0, {}, 0, true
  for _, name in ipairs(redis.call('HKEYS', SHARES)) do
    local share, due = share_of(name), ends[name]
    -- A share of which it is not known how long it counts, counts for one time to live.
    if not due or not (due < now + 10 * ttl) then due = now + ttl end
    if share and #name <= 256 and sound(share) and due > now then
      if ms ~= 0 then
        share = moved_on(share, ms)
        redis.call('HSET', SHARES, name, share)
      end
      move(share, 1)
      count = count + 1
      redis.call('ZADD', ALIVE, text(due), name)
    else
      if due > now then bad = bad + 1 end
      forget(name)
    end
  end
end

local function keep_totals(ttl)
  -- Versions only grow, also over the loss of the totals.
  version = math.max(version + 1, now)
  local parts = {struct.pack('<dI4', version, count)}
  for c = 0, last - 1 do
    if open[c] or c >= chunks then
      parts[#parts + 1] = struct.pack('<d', version)
      parts[#parts + 1] = struct.pack(ROWS, unpack(open[c] or zeros(), 1, NUMBERS))
    else
      local from = TOTALS_HEAD + c * (CHUNK_HEAD + BYTES)
      parts[#parts + 1] = string.sub(blob, from + 1, from + CHUNK_HEAD + BYTES)
    end
  end
  blob, chunks, open = table.concat(parts), last, {}
  redis.call('SET', TOTALS, blob)
  for _, key in ipairs(KEYS) do redis.call('PEXPIRE', key, text(math.max(10 * ttl, 60000))) end
end
