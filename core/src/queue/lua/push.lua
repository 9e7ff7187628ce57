-- ARGV: for each lane: lane, number of jobs, then for each job: id, due time.
local before = first(lanes_key)
local holds = call('EXISTS', holds_key) == 1
local parks = {}
local i = 1
while i <= #ARGV do
    local lane, count = ARGV[i], tonumber(ARGV[i + 1])
    i = i + 2
    local leased = base .. 'leased:' .. lane
    local any_leased = call('EXISTS', leased) == 1
    local adds, soonest = {}, nil
    for _ = 1, count do
        local id, due = ARGV[i], ARGV[i + 1]
        i = i + 2
        if not (any_leased and call('ZSCORE', leased, id)) then
            adds[#adds + 1] = due
            adds[#adds + 1] = id
            local at = tonumber(due)
            if not soonest or at < soonest then
                soonest = at
            end
        end
    end
    if soonest then
        call('ZADD', base .. 'waiting:' .. lane, 'LT', unpack(adds))
        if not waits_for_its_turn(lane) then
            local held_until = holds and tonumber(call('HGET', holds_key, lane))
            parks[#parks + 1] = math.max(soonest, held_until or soonest)
            parks[#parks + 1] = lane
        end
    end
end
if #parks > 0 then
    call('ZADD', lanes_key, 'LT', unpack(parks))
    tell_if_sooner(before)
end
