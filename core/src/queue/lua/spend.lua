-- ARGV: lane, number of jobs, now.
local pace = pace_of(ARGV[1])
if pace then
    spend(pace, ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3]))
end
