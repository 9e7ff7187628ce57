-- ARGV: lane, rate a second ('0' for none).
local key = base .. 'pace:' .. ARGV[1]
if ARGV[2] == '0' then
    call('DEL', key)
else
    call('HSET', key, 'rate', ARGV[2])
    call('EXPIRE', key, PACE_LIFE)
end
