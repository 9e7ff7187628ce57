-- ARGV: rank of the first lane to count, rank of the last.
-- Answer: lanes, waiting jobs, leased jobs, earliest due time ('' for none).
local lanes = call('ZRANGE', lanes_key, ARGV[1], ARGV[2])
local waiting_jobs, leased_jobs, oldest = 0, 0, nil
for _, lane in ipairs(lanes) do
    local waiting = base .. 'waiting:' .. lane
    waiting_jobs = waiting_jobs + call('ZCARD', waiting)
    leased_jobs = leased_jobs + call('ZCARD', base .. 'leased:' .. lane)
    local due = first(waiting)
    if due and (not oldest or due < oldest) then
        oldest = due
    end
end
return { #lanes, waiting_jobs, leased_jobs, oldest and string.format('%.0f', oldest) or '' }
