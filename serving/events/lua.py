"""The scripts of the Redis store: each runs whole or not at all, so that a batch is one change.

Keys stand under the prefix KEYS[1] and are named in the scripts, so they need one server, not a Redis Cluster:

- `users`: sorted set of ids, all of score 0, in the order of their bytes; `markets`: hash of user to market
- `history:USER`: sorted set by time; a member begins with its event id, so that ties stand in the order of ids
- `seen:USER`: sorted set of videos by time
- `watch`: hash of event id to JSON, a NUL and the user; `watches` and `watches:USER`: their event ids by time
- `event:MARK`: when an event id was last new
- `aliases:USER`: who was merged into a user; `users-of:ALIAS`: the way back
- `erasures`: list; `overlay`: hash; `overlay-revision`: counter
"""

# ARGV: now, known after, seen after, history, milliseconds that marks live; then seven values for each event.
PUT = """
local P, now, known_after, seen_after = KEYS[1], ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])
local oldest_kept, mark_ms = -tonumber(ARGV[4]) - 1, ARGV[5]
local is_new = {}
for i = 6, #ARGV, 7 do
  local mark, kind, user, at, id, item, value = unpack(ARGV, i, i + 6)
  local known = redis.call('GET', P .. 'event:' .. mark)
  if known and tonumber(known) > known_after then
    table.insert(is_new, 0)
  else
    table.insert(is_new, 1)
    redis.call('SET', P .. 'event:' .. mark, now, 'PX', mark_ms)
    redis.call('ZADD', P .. 'users', 0, user)
    if kind == 'product' then
      redis.call('ZADD', P .. 'history:' .. user, at, value)
      redis.call('ZREMRANGEBYRANK', P .. 'history:' .. user, 0, oldest_kept)
    else
      local before = redis.call('HGET', P .. 'watch', id)
      if before then
        local owner = before:sub(before:find('\\0', 1, true) + 1)
        redis.call('ZREM', P .. 'watches:' .. owner, id)
      end
      redis.call('HSET', P .. 'watch', id, value .. '\\0' .. user)
      redis.call('ZADD', P .. 'watches', at, id)
      redis.call('ZADD', P .. 'watches:' .. user, at, id)
      redis.call('ZADD', P .. 'seen:' .. user, 'GT', at, item)
      redis.call('ZREMRANGEBYSCORE', P .. 'seen:' .. user, '-inf', seen_after)
    end
  end
end
return is_new
"""

# ARGV: user, history, seen after. As JSON it took a third of the time of three replies.
USER = """
local P, user = KEYS[1], ARGV[1]
return {
  cjson.encode(redis.call('ZRANGE', P .. 'history:' .. user, -tonumber(ARGV[2]), -1, 'WITHSCORES')),
  cjson.encode(redis.call('ZRANGEBYSCORE', P .. 'seen:' .. user, '(' .. ARGV[3], '+inf')),
  redis.call('HGET', P .. 'markets', user)
}
"""

# ARGV: anonymous, user, history, seen after.
MERGE = """
local P, anonymous, user = KEYS[1], ARGV[1], ARGV[2]
local function move(kind)
  local from, to = P .. kind .. anonymous, P .. kind .. user
  local moved = redis.call('ZCARD', from)
  if moved > 0 then
    redis.call('ZUNIONSTORE', to, 2, to, from, 'AGGREGATE', 'MAX')
    redis.call('DEL', from)
  end
  return moved
end
for _, id in ipairs(redis.call('ZRANGE', P .. 'watches:' .. anonymous, 0, -1)) do
  local value = redis.call('HGET', P .. 'watch', id)
  redis.call('HSET', P .. 'watch', id, value:sub(1, value:find('\\0', 1, true)) .. user)
end
local moved = move('history:') + move('watches:')
redis.call('ZREMRANGEBYRANK', P .. 'history:' .. user, 0, -tonumber(ARGV[3]) - 1)
move('seen:')
redis.call('ZREMRANGEBYSCORE', P .. 'seen:' .. user, '-inf', ARGV[4])
local market = redis.call('HGET', P .. 'markets', anonymous)
if market then
  redis.call('HSETNX', P .. 'markets', user, market)
  redis.call('HDEL', P .. 'markets', anonymous)
end
if redis.call('ZREM', P .. 'users', anonymous) == 1 then
  redis.call('ZADD', P .. 'users', 0, user)
end
redis.call('SADD', P .. 'aliases:' .. user, anonymous)
redis.call('SADD', P .. 'users-of:' .. anonymous, user)
return moved
"""

# ARGV: user, time.
ERASE = """
local P, ids, known = KEYS[1], {ARGV[1]}, {[ARGV[1]] = true}
local next_id = 1
while ids[next_id] do
  for _, alias in ipairs(redis.call('SMEMBERS', P .. 'aliases:' .. ids[next_id])) do
    if not known[alias] then
      known[alias] = true
      table.insert(ids, alias)
    end
  end
  next_id = next_id + 1
end
for _, id in ipairs(ids) do
  for _, watch in ipairs(redis.call('ZRANGE', P .. 'watches:' .. id, 0, -1)) do
    redis.call('HDEL', P .. 'watch', watch)
    redis.call('ZREM', P .. 'watches', watch)
  end
  for _, alias in ipairs(redis.call('SMEMBERS', P .. 'aliases:' .. id)) do
    redis.call('SREM', P .. 'users-of:' .. alias, id)
  end
  for _, user in ipairs(redis.call('SMEMBERS', P .. 'users-of:' .. id)) do
    redis.call('SREM', P .. 'aliases:' .. user, id)
  end
  for _, kind in ipairs({'history:', 'seen:', 'watches:', 'aliases:', 'users-of:'}) do
    redis.call('DEL', P .. kind .. id)
  end
  redis.call('HDEL', P .. 'markets', id)
  redis.call('ZREM', P .. 'users', id)
  redis.call('RPUSH', P .. 'erasures', ARGV[2] .. '\\0\\0' .. id)
end
return ids
"""

# ARGV: the entry, and the other that takes its place.
SETTLE = """
local erasures = KEYS[1] .. 'erasures'
local place = redis.call('LPOS', erasures, ARGV[1])
while place and ARGV[1] ~= ARGV[2] do
  redis.call('LSET', erasures, place, ARGV[2])
  place = redis.call('LPOS', erasures, ARGV[1])
end
"""

# ARGV: from, to, how many. All watches of the last one's microsecond come along, so that the next page begins after it.
WATCHES = """
local watches, upper = KEYS[1] .. 'watches', '(' .. ARGV[2]
local page = redis.call('ZRANGEBYSCORE', watches, ARGV[1], upper, 'WITHSCORES', 'LIMIT', 0, ARGV[3])
if #page == 0 then return {} end
local last = page[#page]
local found = redis.call('ZRANGEBYSCORE', watches, ARGV[1], last, 'WITHSCORES')
local rows = {}
for i = 1, #found, 2 do
  table.insert(rows, found[i])
  table.insert(rows, found[i + 1])
  table.insert(rows, redis.call('HGET', KEYS[1] .. 'watch', found[i]))
end
return rows
"""

# ARGV: before, how many.
DROP_WATCHES = """
local P = KEYS[1]
local ids = redis.call('ZRANGEBYSCORE', P .. 'watches', '-inf', '(' .. ARGV[1], 'LIMIT', 0, ARGV[2])
for _, id in ipairs(ids) do
  local value = redis.call('HGET', P .. 'watch', id)
  redis.call('ZREM', P .. 'watches:' .. value:sub(value:find('\\0', 1, true) + 1), id)
  redis.call('HDEL', P .. 'watch', id)
  redis.call('ZREM', P .. 'watches', id)
end
return #ids
"""

# ARGV: the command, HSET or HSETNX; then name and value of each entry.
PUT_OVERLAY = """
local changed = 0
for i = 2, #ARGV, 2 do
  local is_new = redis.call(ARGV[1], KEYS[1] .. 'overlay', ARGV[i], ARGV[i + 1])
  if is_new == 1 or ARGV[1] == 'HSET' then changed = changed + 1 end
end
if changed > 0 then redis.call('INCR', KEYS[1] .. 'overlay-revision') end
"""

# ARGV: the entries' names.
DROP_OVERLAY = """
local dropped = 0
for _, name in ipairs(ARGV) do
  dropped = dropped + redis.call('HDEL', KEYS[1] .. 'overlay', name)
end
if dropped > 0 then redis.call('INCR', KEYS[1] .. 'overlay-revision') end
return dropped
"""

# ARGV: seen until, where users begin, how many. Returns the last one, or nothing at the end.
CLEAN = """
local P = KEYS[1]
local users = redis.call('ZRANGEBYLEX', P .. 'users', ARGV[2], '+', 'LIMIT', 0, ARGV[3])
for _, user in ipairs(users) do
  redis.call('ZREMRANGEBYSCORE', P .. 'seen:' .. user, '-inf', ARGV[1])
  local left = redis.call('EXISTS', P .. 'history:' .. user, P .. 'seen:' .. user, P .. 'watches:' .. user)
  if left + redis.call('HEXISTS', P .. 'markets', user) == 0 then
    redis.call('ZREM', P .. 'users', user)
  end
end
return users[#users]
"""
