-- SPDX-License-Identifier: ISC
--
-- A node says that it is here, and hears who else is. Called at every connect
-- and about once a second; touches no limit.
--
-- KEYS: the cluster's nodes; its generation; what it has learned.
-- ARGV: scheme, now_ms ("" = Redis' clock), node, incarnation, version,
--   started_ms, n_leases, alive_ms, run_id ("" = not told), leaves ("1"),
--   lost_ms (nodes sent by themselves, and come back within this time; 0).
--
-- Answers {"OK", now, generation, born, revision, then six for each node:
-- name, seen_ms, version, scheme, started_ms, n_leases}. Or {"SCHEME",
-- theirs}, {"NAME", incarnation of the node that has this name}.
--
-- A server with another run_id than the last one may know less than the nodes
-- do: a new generation begins (lease.lua says what that means).

local SCHEME = 1
local FORGET_MS = 3600000
local now = ARGV[2]
if now == '' then
	local t = redis.call('TIME')
	now = t[1] * 1000 + math.floor(t[2] / 1000)
else
	now = tonumber(now)
end
if tonumber(ARGV[1]) ~= SCHEME then
	return {'SCHEME', SCHEME}
end
local me, inc = ARGV[3], tonumber(ARGV[4])

local gen = redis.call('HMGET', KEYS[2], 'scheme', 'born', 'id', 'run')
if gen[1] and tonumber(gen[1]) ~= SCHEME then
	return {'SCHEME', tonumber(gen[1])}
end
local lost_ms = tonumber(ARGV[11])
if not gen[2] or lost_ms > 0 or
    (ARGV[9] ~= '' and gen[4] and gen[4] ~= ARGV[9]) then
	gen[2], gen[3] = now, me .. ' ' .. now
	redis.call('HSET', KEYS[2], 'scheme', SCHEME, 'born', now, 'id', gen[3],
	    'wait', lost_ms)
end
if ARGV[9] ~= '' then redis.call('HSET', KEYS[2], 'run', ARGV[9]) end

local mine = redis.call('HGET', KEYS[1], me)
if mine then
	mine = cmsgpack.unpack(mine)
	if mine.inc > inc and mine.seen + tonumber(ARGV[8]) > now then
		return {'NAME', mine.inc}
	end
end
if ARGV[10] == '1' then
	redis.call('HDEL', KEYS[1], me)
else
	redis.call('HSET', KEYS[1], me, cmsgpack.pack({inc = inc, seen = now,
	    version = ARGV[5], scheme = SCHEME, started = tonumber(ARGV[6]),
	    leases = tonumber(ARGV[7])}))
end

local rev = redis.call('HGET', KEYS[3], 'revision') or '0'
local answer = {'OK', now, gen[3], tonumber(gen[2]), tonumber(rev)}
local all = redis.call('HGETALL', KEYS[1])
for i = 1, #all, 2 do
	local n = cmsgpack.unpack(all[i + 1])
	if n.seen + FORGET_MS < now then
		redis.call('HDEL', KEYS[1], all[i])
	else
		for _, v in ipairs({all[i], n.seen, n.version, n.scheme,
		    n.started, n.leases}) do
			answer[#answer + 1] = v
		end
	end
end
return answer
