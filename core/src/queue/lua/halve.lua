-- ARGV: lane, now.
local lane, now = ARGV[1], tonumber(ARGV[2])
local pace = pace_of(lane)
if pace and now - pace.halved_at >= HALVE_EVERY_MS then
    local share = math.max(math.floor(share_at(pace, now) / 2), LEAST)
    call('HSET', base .. 'pace:' .. lane, 'share', share, 'halved_at', ARGV[2])
end
