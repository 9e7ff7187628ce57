-- ARGV: now, end of the new leases, most jobs, most leased jobs of a lane, most jobs of a turn,
-- most lanes to touch.
-- Answer: when to look again ('' for never), then for each turn: lane, number of jobs, their ids.
local now, lease_until = tonumber(ARGV[1]), tonumber(ARGV[2])
local max, in_flight = tonumber(ARGV[3]), tonumber(ARGV[4])
local turn_jobs, step = tonumber(ARGV[5]), tonumber(ARGV[6])

local turn_before = tonumber(call('GET', turn_key) or 0)
local turn_now = turn_before
local holds = call('EXISTS', holds_key) == 1

-- Lanes whose time has come get their place in the turn order.
local due_lanes = call('ZRANGE', lanes_key, '-inf', now, 'BYSCORE', 'LIMIT', 0, step)
if #due_lanes > 0 then
    local joins, leaves = {}, {}
    for i, lane in ipairs(due_lanes) do
        joins[2 * i - 1], joins[2 * i] = turn_now, lane
        leaves[2 * i - 1], leaves[2 * i] = '+inf', lane
    end
    call('ZADD', turns_key, 'NX', unpack(joins))
    call('ZADD', lanes_key, unpack(leaves))
end

local answer = { '' }
local served, visits = 0, 0
local parks, gone, rested, rested_last = {}, {}, {}, 0
while served < max and visits < step do
    local head = call('ZPOPMIN', turns_key)
    local lane, number = head[1], tonumber(head[2])
    if not lane then
        break
    end
    visits = visits + 1
    turn_now = math.max(turn_now, number)

    local waiting, leased = base .. 'waiting:' .. lane, base .. 'leased:' .. lane
    local held_until = holds and tonumber(call('HGET', holds_key, lane))
    if held_until and held_until <= now then
        call('HDEL', holds_key, lane)
        held_until = nil
    end

    local taken, look_at, more_due = 0, nil, false
    if held_until then
        look_at = next_of(waiting, leased)
        look_at = look_at and math.max(look_at, held_until)
    else
        local leases = call('ZCARD', leased)
        local expired = leases > 0 and call('ZCOUNT', leased, '-inf', now) or 0
        local free = in_flight - (leases - expired)
        local pace = pace_of(lane)
        local tokens = pace and allowed(pace, now) or math.huge
        local room = math.max(math.min(free, turn_jobs, max - served, tokens), 0)
        local starts = {}
        answer[#answer + 1] = lane
        answer[#answer + 1] = 0
        local count_at = #answer

        if room > 0 and expired > 0 then
            for _, id in ipairs(call('ZRANGE', leased, '-inf', now, 'BYSCORE', 'LIMIT', 0, room)) do
                starts[#starts + 1] = lease_until
                starts[#starts + 1] = id
                answer[#answer + 1] = id
            end
        end

        -- One more than there is room for, to learn when the next one is due.
        room = room - #starts / 2
        local heads = call('ZRANGE', waiting, 0, room, 'WITHSCORES')
        local takes, next_due = {}, nil
        for i = 1, #heads, 2 do
            local due = tonumber(heads[i + 1])
            if due > now or #takes == room then
                next_due = due
                break
            end
            local id = heads[i]
            takes[#takes + 1] = id
            starts[#starts + 1] = lease_until
            starts[#starts + 1] = id
            answer[#answer + 1] = id
        end

        taken = #starts / 2
        if pace and taken > 0 then
            spend(pace, lane, taken, now)
        end
        if #takes > 0 then
            call('ZREM', waiting, unpack(takes))
        end
        local next_end = nil
        if taken > 0 then
            call('ZADD', leased, unpack(starts))
            answer[count_at] = taken
            next_end = lease_until
        else
            answer[count_at] = nil
            answer[count_at - 1] = nil
        end
        if leases > 0 then
            next_end = first(leased)
        end

        look_at = next_due
        if next_end and (not next_due or next_end < next_due) then
            look_at = next_end
        end
        if look_at and look_at <= now then
            if taken >= tokens then
                look_at = math.max(next_of_pace(pace), now + 1)
            elseif taken < free then
                more_due = true
            elseif next_end and next_end > now then
                look_at = next_end
            else
                -- With no lease to wait for, the limit is 0: look again after a lease's length.
                look_at = lease_until
            end
        end
    end

    served = served + taken
    number = number + taken
    if more_due then
        call('ZADD', turns_key, number, lane)
    else
        if look_at then
            parks[#parks + 1] = look_at
            parks[#parks + 1] = lane
        else
            gone[#gone + 1] = lane
        end
        if taken > 0 then
            rested[#rested + 1] = number
            rested[#rested + 1] = lane
            rested_last = math.max(rested_last, number)
        end
    end
end

if #parks > 0 then
    call('ZADD', lanes_key, unpack(parks))
end
if #gone > 0 then
    call('ZREM', lanes_key, unpack(gone))
end
if served < max and call('EXISTS', turns_key) == 0 then
    turn_now = math.max(turn_now, rested_last)
    -- Only a damaged store has a lane that waits for a turn now; it is looked at once more.
    local last = call('ZRANGE', lanes_key, 0, 0, 'REV', 'WITHSCORES')
    if last[2] == 'inf' then
        call('ZADD', lanes_key, now, last[1])
    end
    local look_at = first(lanes_key)
    answer[1] = look_at and string.format('%.0f', look_at) or ''
else
    if #rested > 0 then
        call('ZADD', turns_key, unpack(rested))
    end
    answer[1] = ARGV[1]
end
if turn_now ~= turn_before then
    call('SET', turn_key, turn_now)
end
return answer
