/* SPDX-License-Identifier: ISC */
#ifndef FLYBALL_LEASE_WORLD_H
#define FLYBALL_LEASE_WORLD_H

/*
 * A Redis in virtual time: runs daemon/cluster/lease.lua itself, in a Lua as
 * Redis has it, over a store of strings. What the tests of leases check is
 * thus what runs.
 */
#include <lauxlib.h>
#include <lua.h>
#include <lualib.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <setjmp.h>

#include <cmocka.h>

#include "scheduler/lease.h"

#define SEC INT64_C(1000000)

static const char fake_redis_prelude[] =
    "store = {}\n"
    "redis = {call = function(cmd, key, ...)\n"
    "  local a = {...}\n"
    "  if cmd == 'GET' then return store[key] or false end\n"
    "  if cmd == 'SET' then store[key] = a[1] return 'OK' end\n"
    "  if cmd == 'HMGET' then\n"
    "    local out = {}\n"
    "    for i, f in ipairs(a) do\n"
    "      out[i] = store[key] and store[key][f] or false end\n"
    "    return out end\n"
    "  if cmd == 'HSET' then\n"
    "    store[key] = store[key] or {}\n"
    "    for i = 1, #a, 2 do store[key][tostring(a[i])] = tostring(a[i + 1])\n"
    "    end return 1 end\n"
    "  error('no command ' .. cmd) end}\n"
    "local function pack(v)\n"
    "  if type(v) == 'number' then return string.format('%.17g', v) end\n"
    "  if type(v) == 'string' then return string.format('%q', v) end\n"
    "  if type(v) == 'boolean' then return tostring(v) end\n"
    "  local out = {}\n"
    "  for k, x in pairs(v) do\n"
    "    out[#out + 1] = '[' .. pack(k) .. ']=' .. pack(x) end\n"
    "  return '{' .. table.concat(out, ',') .. '}' end\n"
    "cmsgpack = {pack = pack, unpack = function(s)\n"
    "  return loadstring('return ' .. s)() end}\n";

struct fake_redis {
	lua_State *lua;
	int script; /* in the registry */
};

static inline void
fake_redis_start(struct fake_redis *r)
{
	r->lua = luaL_newstate();
	luaL_openlibs(r->lua);
	assert_int_equal(luaL_dostring(r->lua, fake_redis_prelude), 0);
	if (luaL_loadfile(r->lua, "daemon/cluster/lease.lua") != 0)
		fail_msg("%s", lua_tostring(r->lua, -1));
	r->script = luaL_ref(r->lua, LUA_REGISTRYINDEX);
}

static inline void
fake_redis_end(struct fake_redis *r)
{
	lua_close(r->lua);
}

/* FLUSHALL, or another server that has nothing. */
static inline void
fake_redis_flush(struct fake_redis *r)
{
	assert_int_equal(luaL_dostring(r->lua, "store = {}"), 0);
}

static inline void
push_int(lua_State *lua, int *n, int64_t v)
{
	char text[32];

	snprintf(text, sizeof(text), "%lld", (long long)v);
	lua_pushstring(lua, text);
	lua_rawseti(lua, -2, ++*n);
}

static inline void
push_str(lua_State *lua, int *n, const char *v)
{
	lua_pushstring(lua, v);
	lua_rawseti(lua, -2, ++*n);
}

static inline int64_t
answer_int(lua_State *lua, int i)
{
	int64_t v;

	lua_rawgeti(lua, -1, i);
	v = (int64_t)lua_tonumber(lua, -1);
	lua_pop(lua, 1);
	return v;
}

static inline void
push_items(lua_State *lua, int *n, const struct lease_ask *ask)
{
	static const char *const kinds[] = { "s", "p", "d" };

	for (unsigned i = 0; i < ask->n; i++) {
		const struct lease_ask_item *it = &ask->items[i];
		char more[64];

		push_str(lua, n, kinds[it->kind]);
		push_int(lua, n, it->id);
		push_int(lua, n, it->limit);
		push_int(lua, n, it->have);
		push_int(lua, n, it->want);
		snprintf(more, sizeof(more), "%lld", (long long)it->back);
		if (it->kind == LEASE_DAY)
			snprintf(more, sizeof(more), "%lld %lld",
			    (long long)it->hold, (long long)it->seen);
		push_str(lua, n, more);
	}
}

/* Runs the script; false: it answered with something else than OK. */
static inline bool
fake_redis_lease(struct fake_redis *r, const char *node, int64_t incarnation,
    int64_t period_us, const struct lease_ask *ask, int64_t redis_us,
    struct lease_answer *out)
{
	lua_State *lua = r->lua;
	bool is_ok;
	int n = 0;

	lua_newtable(lua);
	push_str(lua, &n, "subject");
	push_str(lua, &n, "generation");
	lua_setglobal(lua, "KEYS");
	lua_newtable(lua);
	n = 0;
	push_int(lua, &n, 1);
	push_int(lua, &n, redis_us / 1000);
	push_int(lua, &n, period_us / 1000);
	push_int(lua, &n, 3 * 86400000);
	push_str(lua, &n, node);
	push_int(lua, &n, incarnation);
	push_int(lua, &n, (int64_t)ask->seq);
	push_items(lua, &n, ask);
	lua_setglobal(lua, "ARGV");
	lua_rawgeti(lua, LUA_REGISTRYINDEX, r->script);
	if (lua_pcall(lua, 0, 1, 0) != 0)
		fail_msg("%s", lua_tostring(lua, -1));
	lua_rawgeti(lua, -1, 1);
	is_ok = strcmp(lua_tostring(lua, -1), "OK") == 0;
	lua_pop(lua, 1);
	*out = (struct lease_answer){ .seq = ask->seq, .n = ask->n };
	for (unsigned i = 0; is_ok && i < ask->n; i++) {
		out->items[i].held = answer_int(lua, 5 + 5 * (int)i);
		out->items[i].more_ms = answer_int(lua, 6 + 5 * (int)i);
		out->items[i].target = answer_int(lua, 7 + 5 * (int)i);
		out->items[i].total = answer_int(lua, 8 + 5 * (int)i);
		out->items[i].sent = answer_int(lua, 9 + 5 * (int)i);
	}
	lua_pop(lua, 1);
	return is_ok;
}

/* One window, or two. */
static inline struct conf_rates
rates_of(int64_t c1, int64_t w1, int64_t c2, int64_t w2)
{
	struct conf_rates r = { .n = c2 > 0 ? 2 : 1 };

	r.v[0] = (struct rate){ c1, w1 };
	r.v[1] = (struct rate){ c2, w2 };
	return r;
}

/* The first call of a node's life, of one item, or its next by number. */
static inline bool
fake_redis_ask(struct fake_redis *r, const char *node, uint64_t seq,
    struct lease_ask_item item, int64_t us, struct lease_answer *out)
{
	struct lease_ask ask = { .seq = seq, .n = 1, .items = { item } };

	return fake_redis_lease(r, node, 1, SEC, &ask, us, out);
}

#endif
