-- KEYS: prefix of the fill keys. ARGV: the server's run, a fresh token.
-- Answer: '' when this run of the server is marked as filled, else the token of the fill under way.
if redis.call('GET', KEYS[1] .. 'filled') == ARGV[1] then
    return ''
end
redis.call('SET', KEYS[1] .. 'filling', ARGV[2], 'NX')
return redis.call('GET', KEYS[1] .. 'filling')
