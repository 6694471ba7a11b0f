-- SPDX-License-Identifier: ISC
--
-- One lease: all limits of one subject (a lane, a route's whole day, a sender
-- domain), asked for, renewed and given back by one node in one call. What a
-- node may send is decided here and nowhere else; scheduler/lease.c is the
-- node's half and says how the two fit.
--
-- KEYS: the subject; the cluster's generation.
-- ARGV: scheme, now_ms ("" = Redis' clock), lease_ms, ttl_ms, node,
--   incarnation, seq, then six for each item: kind, id, limit, have, want,
--   more.
--
-- Items, by kind:
--   s  a short window of id ms. A node has a share of the limit, and sees to
--      it that no such window of its own holds more. What it loses another one
--      gets when the last window in which it may have been used is over.
--      have: share that it holds; want: share that it wants.
--   p  a long window: a bucket. Tokens that nodes hold count against its
--      depth, so it makes no difference when they are spent.
--      have: tokens it keeps; want: tokens to hold; more: gives back.
--   d  the count of day id. have: charged by this node so far; want: tokens to
--      hold; more: "hold seen": tokens it keeps, all that it knows to be
--      granted to anybody.
--
-- Answers {"OK", now, is_recovering, n_live, then five for each item: what it
-- holds now, ms until there may be more (0: unknown), what it should hold, and
-- of days what was granted to all and what of that is sent}. Or {"STALE",
-- incarnation that was heard of}, {"SCHEME", theirs}.
--
-- After a flush, a failover or a restart of Redis (another generation) nodes
-- may hold what this server knows nothing of. Until that has run out, and all
-- have told what they sent today, nothing new is handed out.

local SCHEME = 1
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
local lease_ms, ttl_ms = tonumber(ARGV[3]), tonumber(ARGV[4])
local me, inc, seq = ARGV[5], tonumber(ARGV[6]), tonumber(ARGV[7])

-- The cluster's generation.
local gen = redis.call('HMGET', KEYS[2], 'scheme', 'born', 'wait')
if gen[1] and tonumber(gen[1]) ~= SCHEME then
	return {'SCHEME', tonumber(gen[1])}
end
if not gen[2] then
	gen[2] = now
	redis.call('HSET', KEYS[2], 'scheme', SCHEME, 'born', now, 'id',
	    me .. ' ' .. now, 'wait', 0)
	gen[3] = 0
end
local born = tonumber(gen[2])
if born > now then -- the clock went back
	born = now
	redis.call('HSET', KEYS[2], 'born', now)
end

local packed = redis.call('GET', KEYS[1])
local state = packed and cmsgpack.unpack(packed)
local fresh = not state or state.v ~= SCHEME
if fresh then
	state = {v = SCHEME, at = now, n = {}, s = {}, p = {}, d = {}}
end
-- Time doesn't go back; a clock that was set back is caught up with when it
-- is only a little, and believed when it is much.
if now < state.at and state.at - now < 10000 then
	now = state.at
end
state.at = now

-- Who is here. A lease that ends later than any could is of another clock.
local mine = state.n[me]
if mine and (mine.inc > inc or (mine.inc == inc and mine.seq >= seq)) then
	return {'STALE', mine.inc}
end
if mine and mine.inc ~= inc then
	-- It began anew: what it had before is another node's, a dead one's.
	local old = me .. '\1' .. mine.inc
	mine.gone = true
	state.n[old] = mine
	for _, h in pairs(state.s) do h[old], h[me] = h[me], nil end
	for _, p in pairs(state.p) do p.h[me] = nil end
	mine = nil
end
local had_until = mine and mine.exp or 0 -- what it held until now
state.n[me] = {inc = inc, seq = seq, exp = now + lease_ms, ms = lease_ms}
local names = {}
for name, n in pairs(state.n) do
	if n.exp > now + n.ms then n.exp = now + n.ms end
	names[#names + 1] = name
end
table.sort(names)
local function is_live(name)
	local n = state.n[name]
	return n ~= nil and n.exp > now and not n.gone
end

-- Shares `amount` by max-min fairness among `wants` (name -> number): nobody
-- gets more than wanted, and nobody less than another who wants as much. What
-- can't be divided goes to the first in `order`.
local function fair_for(name, amount, wants, order)
	local open, left = {}, math.max(0, math.floor(amount))
	for _, o in ipairs(order) do
		if (wants[o] or 0) > 0 then open[#open + 1] = o end
	end
	while #open > 0 do
		local even, still = math.floor(left / #open), {}
		for _, o in ipairs(open) do
			if wants[o] > even then still[#still + 1] = o end
		end
		if #still == #open then
			local rest = left - even * #open
			for i, o in ipairs(open) do
				if o == name then
					return even + (i <= rest and 1 or 0)
				end
			end
			return 0
		end
		for _, o in ipairs(open) do
			if wants[o] <= even then
				if o == name then return wants[o] end
				left = left - wants[o]
			end
		end
		open = still
	end
	return 0
end

-- Those who waited longest first.
local function by_served(h)
	local order = {}
	for i, o in ipairs(names) do order[i] = o end
	table.sort(order, function(a, b)
		local x = h[a] and h[a].served or 0
		local y = h[b] and h[b].served or 0
		if x ~= y then return x < y end
		return a < b
	end)
	return order
end

local answer = {'OK', now, 0, 0}
local seen = {s = {}, p = {}, d = {}}

-- ---- short windows ----

-- What a node may have used, or use, of the window that ends now.
local function charged(rec, name, window)
	local n = state.n[name]
	if not rec or not n then return 0 end
	if (name == me and had_until or n.exp) + window <= now then return 0 end
	if now < rec.hi_until then return math.max(rec.share, rec.hi) end
	return rec.share
end

local function is_recovering(span)
	return now < born + (tonumber(gen[3] or 0)) + span
end

local function short(id, limit, have, want)
	local window = tonumber(id)
	local h = state.s[id] or {}
	local wants, free, more, n_wanting = {[me] = want}, limit, 0, 0
	state.s[id] = h
	for name, rec in pairs(h) do
		if name ~= me then
			local c = charged(rec, name, window)
			free = free - c
			if is_live(name) then wants[name] = rec.want end
			local ends = state.n[name] and
			    state.n[name].exp + window or 0
			if rec.hi > rec.share and now < rec.hi_until then
				ends = rec.hi_until
			end
			if c > 0 and ends > now and
			    (more == 0 or ends - now < more) then
				more = ends - now
			end
		end
	end
	for _, w in pairs(wants) do
		if w > 0 then n_wanting = n_wanting + 1 end
	end
	local order = names
	if limit < n_wanting then -- too few to go round: they take turns
		local first = math.floor(now / (3 * (window + lease_ms)))
		order = {}
		for i = 1, #names do
			order[i] = names[(first + i) % #names + 1]
		end
	end
	local share = math.min(fair_for(me, limit, wants, order),
	    math.max(0, free))
	if is_recovering(lease_ms + window) then share = math.min(share, have) end
	local rec = h[me] or {share = 0, hi = 0, hi_until = 0}
	-- What it had, it may have used until its lease ran out, or may use
	-- until it hears of this.
	if math.max(have, rec.share) > share then
		local stops = now + math.floor(lease_ms / 4)
		if have == 0 and had_until < stops then stops = had_until end
		if stops + window > now then
			rec.hi = math.max(have, charged(rec, me, window))
			rec.hi_until = math.max(rec.hi_until, stops + window)
		end
	end
	if now >= rec.hi_until then rec.hi, rec.hi_until = 0, 0 end
	rec.share, rec.want = share, want
	h[me] = rec
	if share >= limit or share >= want then more = 0 end
	return share, more, share, 0, 0
end

-- ---- long windows ----

local function long(id, limit, have, want, back)
	local window = tonumber(id)
	local depth = math.max(1, math.floor(limit / 100),
	    math.ceil(limit * lease_ms * 5 / 4 / window))
	if depth > limit then depth = limit end
	local refill = limit - depth + 1
	local p = state.p[id]
	if not p then
		p = {level = depth, at = now, h = {}}
		if is_recovering(window) then
			p.level, p.at = 0, math.max(now, born + lease_ms)
		end
		state.p[id] = p
	end
	if p.at > now + lease_ms then p.at = now end -- the clock went back
	local added = math.floor(math.min(now - p.at, window) * refill / window)
	if added > 0 then
		p.level = p.level + added
		p.at = math.min(now, p.at + added * window / refill)
		if p.level >= depth then p.at = now end
	end
	local held, wants = have, {[me] = want}
	for name, rec in pairs(p.h) do
		if name ~= me then
			if is_live(name) then
				held = held + rec.held
				wants[name] = rec.want
			else
				rec.held = 0
			end
		end
	end
	p.level = math.max(0, math.min(p.level + back, depth - held))
	local rec = p.h[me] or {served = 0}
	local target = fair_for(me, p.level + held, wants, by_served(p.h))
	local grant = math.max(0, math.min(p.level, target - have))
	p.level = p.level - grant
	rec.held, rec.want = have + grant, want
	if grant > 0 then rec.served = now end
	p.h[me] = rec
	return rec.held, math.ceil(math.max(0, window / refill - (now - p.at))),
	    target, 0, 0
end

-- ---- days ----

local function day(id, limit, used, want, more)
	local hold, told = string.match(more, '^(%d+) (%d+)$')
	hold, told = tonumber(hold), tonumber(told)
	local d = state.d[id]
	if not d then
		d = {h = {}, floor = 0}
		-- Gone, though others have sent today: what was seen holds.
		if told > 0 then d.lost = now end
		state.d[id] = d
	end
	if is_recovering(3 * lease_ms + 1000) and told > 0 then d.lost = born end
	if d.lost and now < d.lost + 3 * lease_ms + 1000 then
		d.floor = math.max(d.floor, told)
	end
	local rec = d.h[me] or {served = 0}
	rec.granted, rec.hold, rec.want = used + hold, hold, want
	d.h[me] = rec
	local total, held, out, wants = 0, 0, 0, {}
	for name, r in pairs(d.h) do
		total, out = total + r.granted, out + r.hold
		if name == me or is_live(name) then
			held = held + r.hold
			wants[name] = r.want
		end
	end
	local free = limit - math.max(total, d.floor)
	local target = fair_for(me, math.max(0, free) + held, wants,
	    by_served(d.h))
	local grant = 0
	if free > 0 and not is_recovering(3 * lease_ms + 1000) and
	    not (d.lost and now < d.lost + 3 * lease_ms + 1000) then
		grant = math.max(0, math.min(free, target - hold))
	end
	rec.granted, rec.hold = rec.granted + grant, hold + grant
	if grant > 0 then rec.served = now end
	total = math.max(total, d.floor)
	return rec.hold, 0, target, total + grant, total - out
end

-- ---- all of them ----

for i = 8, #ARGV, 6 do
	local kind, id = ARGV[i], ARGV[i + 1]
	local limit, have = tonumber(ARGV[i + 2]), tonumber(ARGV[i + 3])
	local want, got = tonumber(ARGV[i + 4]), nil
	if kind == 's' then
		got = {short(id, limit, have, want)}
	elseif kind == 'p' then
		got = {long(id, limit, have, want, tonumber(ARGV[i + 5]))}
	else
		got = {day(id, limit, have, want, ARGV[i + 5])}
	end
	seen[kind][id] = true
	for _, v in ipairs(got) do answer[#answer + 1] = v end
end

-- Windows that this node doesn't have any more: nothing of them is held.
for id, h in pairs(state.s) do
	if not seen.s[id] and h[me] then
		local window = tonumber(id)
		local before = charged(h[me], me, window)
		h[me] = {share = 0, want = 0, hi = before,
		    hi_until = now + math.floor(lease_ms / 4) + window}
	end
end
for id, p in pairs(state.p) do
	if not seen.p[id] and p.h[me] then
		p.h[me].held, p.h[me].want = 0, 0
	end
end
-- Its other days: what it was granted and didn't tell of stays charged.
local newest = 0
for id in pairs(state.d) do newest = math.max(newest, tonumber(id)) end
for id, d in pairs(state.d) do
	if not seen.d[id] and d.h[me] then d.h[me].want = 0 end
	if tonumber(id) < newest - 2 then state.d[id] = nil end
end
-- Nodes that are long gone.
for _, name in ipairs(names) do
	if is_live(name) then
		answer[4] = answer[4] + 1
	elseif state.n[name].exp + ttl_ms < now then
		state.n[name] = nil
		for _, h in pairs(state.s) do h[name] = nil end
		for _, p in pairs(state.p) do p.h[name] = nil end
	end
end
if is_recovering(3 * lease_ms + 1000) then answer[3] = 1 end
redis.call('SET', KEYS[1], cmsgpack.pack(state), 'PX', ttl_ms)
return answer
