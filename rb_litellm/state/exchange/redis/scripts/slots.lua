-- Slots of names, given to those that have none. See fleet.lua, which comes before this.
--
-- ARGV      names
-- Returns {generation, slots as 16-bit numbers}; 65535 for a name for which there is no room.

local MAX_SLOTS, NO_SLOT = CHUNK * MAX_CHUNKS, 65535
local RENEWED_MS = 600000

drop_other_types()
local generation, _, next_slot = meta()
if not generation or (next_slot + #ARGV > MAX_SLOTS and now - tonumber(generation) > RENEWED_MS) then
  -- Lost; or full, perhaps of names that nobody uses any more.
  begin_anew()
  generation, _, next_slot = meta()
end
local slots = {}
for i, name in ipairs(ARGV) do
  local slot = tonumber(redis.call('HGET', SLOTS, name))
  if not slot and next_slot < MAX_SLOTS then
    slot = next_slot
    next_slot = next_slot + 1
    redis.call('HSET', SLOTS, name, text(slot))
  end
  if not slot or not (slot >= 0 and slot < MAX_SLOTS) then slot = NO_SLOT end
  slots[i] = struct.pack('<I2', slot)
end
redis.call('HSET', META, 'slots', text(next_slot))
redis.call('PEXPIRE', META, 60000)
redis.call('PEXPIRE', SLOTS, 60000)
return {generation, table.concat(slots)}
