-- ARGV: for each lane: lane, number of jobs, then for each job: id, token, new due time ('' when
-- the job is done).
local before = first(lanes_key)
local holds = call('EXISTS', holds_key) == 1
local parks, gone = {}, {}
local i = 1
while i <= #ARGV do
    local lane, count = ARGV[i], tonumber(ARGV[i + 1])
    i = i + 2
    local waiting, leased = base .. 'waiting:' .. lane, base .. 'leased:' .. lane
    local ends, agains, settled = {}, {}, {}
    for _ = 1, count do
        local id, token, due = ARGV[i], ARGV[i + 1], ARGV[i + 2]
        i = i + 3
        if not settled[id] and tonumber(call('ZSCORE', leased, id)) == tonumber(token) then
            settled[id] = true
            ends[#ends + 1] = id
            if due ~= '' then
                agains[#agains + 1] = due
                agains[#agains + 1] = id
            end
        end
    end
    if #ends > 0 then
        call('ZREM', leased, unpack(ends))
        if #agains > 0 then
            call('ZADD', waiting, unpack(agains))
        end
        local look_at = next_of(waiting, leased)
        if not look_at then
            gone[#gone + 1] = lane
        elseif not waits_for_its_turn(lane) then
            local held_until = holds and tonumber(call('HGET', holds_key, lane))
            parks[#parks + 1] = math.max(look_at, held_until or look_at)
            parks[#parks + 1] = lane
        end
    end
end
if #gone > 0 then
    call('ZREM', lanes_key, unpack(gone))
end
if #parks > 0 then
    call('ZADD', lanes_key, unpack(parks))
    tell_if_sooner(before)
end
