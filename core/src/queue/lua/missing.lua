-- ARGV: for each lane: lane, number of jobs, their ids.
-- Answer: for each job in order: 1 when it is missing, else 0.
local answer = {}
local i = 1
while i <= #ARGV do
    local lane, count = ARGV[i], tonumber(ARGV[i + 1])
    i = i + 2
    local waiting, leased = base .. 'waiting:' .. lane, base .. 'leased:' .. lane
    for _ = 1, count do
        local id = ARGV[i]
        i = i + 1
        local known = call('ZSCORE', waiting, id) or call('ZSCORE', leased, id)
        answer[#answer + 1] = known and 0 or 1
    end
end
return answer
