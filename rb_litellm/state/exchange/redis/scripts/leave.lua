-- A worker ends: its share leaves the totals at once. See fleet.lua, which comes before this.
--
-- ARGV[1]   its name
-- ARGV[2]   time to live of the others, ms

drop_other_types()
if redis.call('HEXISTS', SHARES, ARGV[1]) == 0 then return 0 end
load_totals()
take_away(ARGV[1])
if not sound_totals or count ~= redis.call('HLEN', SHARES) then add_up(tonumber(ARGV[2]), 0) end
keep_totals(tonumber(ARGV[2]))
return 1
