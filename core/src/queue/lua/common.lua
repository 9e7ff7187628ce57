-- What every script shares. A topic is these keys, all under KEYS[1]:
--   lanes            sorted set: lane -> when to look at it; +inf while it is in `turns` instead
--   turns            sorted set: lane -> its number in the turn order, lowest first
--   turn             the number being served now; no lane joins below it
--   holds            hash: lane -> until when it is not served
--   waiting:<lane>   sorted set: job -> due time
--   leased:<lane>    sorted set: job -> end of its lease, which is also its token
--   news             channel: something became due earlier than a waiting claimer could know
-- A lane without jobs is not in `lanes`. It may stay in `turns` for a while: its number keeps it
-- from coming back before those it was served ahead of.
local base = KEYS[1]
local lanes_key, turns_key = base .. 'lanes', base .. 'turns'
local turn_key, holds_key = base .. 'turn', base .. 'holds'
local call = redis.call

local function first(key)
    return tonumber(call('ZRANGE', key, 0, 0, 'WITHSCORES')[2])
end

-- The earliest time at which a job of the lane is or becomes due.
local function next_of(waiting, leased)
    local due, ends = first(waiting), first(leased)
    if due and ends then
        return math.min(due, ends)
    end
    return due or ends
end

local function waits_for_its_turn(lane)
    return call('ZSCORE', lanes_key, lane) == 'inf'
end

local function tell_if_sooner(before)
    local after = first(lanes_key)
    if after and (not before or after < before) then
        call('PUBLISH', base .. 'news', '')
    end
end

