-- What the scripts that keep rates share; see pace.rs, which says the same in Rust. Under KEYS[1]:
--   pace:<lane>      hash: rate a second, when the next job would be on time (microseconds), what was left of the rate
--                    when it was last halved (thousandths), and when that was (milliseconds)
local TOLERANCE_US, WHOLE, LEAST, CLIMB_MS, HALVE_EVERY_MS = 100000, 1000, 50, 60000, 1000
-- How long a rate is kept that nobody asks for, in seconds.
local PACE_LIFE = 86400

local function pace_of(lane)
    local kept = call('HMGET', base .. 'pace:' .. lane, 'rate', 'on_time', 'share', 'halved_at')
    if not kept[1] then
        return nil
    end
    return {
        rate = tonumber(kept[1]),
        on_time = tonumber(kept[2] or 0),
        share = tonumber(kept[3] or WHOLE),
        halved_at = tonumber(kept[4] or 0),
    }
end

local function share_at(pace, now)
    return math.min(pace.share + math.floor(math.max(now - pace.halved_at, 0) * WHOLE / CLIMB_MS), WHOLE)
end

local function interval_of(pace, now)
    return math.ceil(1000000 * WHOLE / (pace.rate * share_at(pace, now)))
end

local function allowed(pace, now)
    local early = now * 1000 + TOLERANCE_US - math.max(pace.on_time, now * 1000)
    return early < 0 and 0 or math.floor(early / interval_of(pace, now)) + 1
end

local function spend(pace, lane, jobs, now)
    pace.on_time = math.max(pace.on_time, now * 1000) + jobs * interval_of(pace, now)
    call('HSET', base .. 'pace:' .. lane, 'on_time', string.format('%.0f', pace.on_time))
end

local function next_of_pace(pace)
    return math.ceil((pace.on_time - TOLERANCE_US) / 1000)
end
