-- ARGV: lane, until when it is not served ('0' to let it go on).
local lane, held_until = ARGV[1], tonumber(ARGV[2])
local before = first(lanes_key)
if held_until > 0 then
    call('HSET', holds_key, lane, ARGV[2])
else
    call('HDEL', holds_key, lane)
end
local look_at = next_of(base .. 'waiting:' .. lane, base .. 'leased:' .. lane)
if look_at and not waits_for_its_turn(lane) then
    call('ZADD', lanes_key, math.max(look_at, held_until), lane)
    tell_if_sooner(before)
end
