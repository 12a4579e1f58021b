-- All shares as they are, for people; writes nothing. See fleet.lua, which comes before this.
--
-- Returns {ms since the epoch, ms by this server's clock, {name, slot, ...}, {worker, share, ...}, workers whose
-- share has no such shape}.

local function of(kind, key)
  return redis.call('TYPE', key).ok == kind
end

if not (of('hash', META) and of('hash', SLOTS) and of('hash', SHARES) and of('zset', ALIVE)) then
  return {'0', '0', {}, {}, {}}
end
local generation, epoch = meta()
if not generation then return {'0', '0', {}, {}, {}} end
local shares, unread = {}, {}
for _, name in ipairs(redis.call('ZRANGEBYSCORE', ALIVE, '(' .. text(now), '+inf', 'LIMIT', 0, MAX_SHARES)) do
  local share = share_of(name)
  if share and #name <= 256 then
    shares[#shares + 1] = name
    shares[#shares + 1] = share
  elseif redis.call('HEXISTS', SHARES, name) == 1 then
    unread[#unread + 1] = string.sub(name, 1, 256)
  end
end
return {text(now - epoch), text(now), redis.call('HGETALL', SLOTS), shares, unread}
