-- KEYS: prefix of the fill keys. ARGV: the server's run when the fill began, the fill's token.
-- Answer: 1 when the fill holds, 0 when the store was wiped since it began.
if redis.call('GET', KEYS[1] .. 'filled') == ARGV[1] then
    return 1
end
if redis.call('GET', KEYS[1] .. 'filling') ~= ARGV[2] then
    return 0
end
redis.call('SET', KEYS[1] .. 'filled', ARGV[1])
redis.call('DEL', KEYS[1] .. 'filling')
return 1
