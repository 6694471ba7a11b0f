-- SPDX-License-Identifier: ISC
--
-- What one node has learned or was told, for all: stored under its key with an
-- epoch, and published. Who bases a lesson on an older epoch than the stored
-- one is refused and hears the stored one: one event is decided once, however
-- many nodes saw it.
--
-- KEYS: the lessons. ARGV: key, epoch that it is based on, node, offset_us (of
-- the node's clock to Redis'), "1" or "0" (it is over), value, channel.
--
-- Answers {"OK", epoch} or {"OLD", the stored lesson}. A lesson is one text of
-- lines: epoch, node, offset_us, "1" or "0", key, value.

local field = 'k:' .. ARGV[1]
local stored = redis.call('HGET', KEYS[1], field)
if stored then
	local epoch = tonumber(string.match(stored, '^(%d+)\n'))
	if epoch and epoch > tonumber(ARGV[2]) then return {'OLD', stored} end
end
local epoch = redis.call('HINCRBY', KEYS[1], 'revision', 1)
local text = table.concat({epoch, ARGV[3], ARGV[4], ARGV[5], ARGV[1], ARGV[6]},
    '\n')
redis.call('HSET', KEYS[1], field, text)
redis.call('PUBLISH', ARGV[7], text)
return {'OK', epoch}
