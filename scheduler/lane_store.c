/* SPDX-License-Identifier: ISC */
/*
 * Writes what lanes and routes learned as text, and takes it back after a
 * restart. store.c calls it; it changes nothing by itself.
 *
 * The first number of a record is its version: one that isn't known is left
 * out, so that a daemon that was set back to an older release starts all the
 * same, only with less experience. Numbers out of their bounds make a record
 * unreadable; a record is never believed half.
 */
#include "scheduler/lane_store.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "conf/base/strbuf.h"
#include "conf/base/xalloc.h"

#define VERSION	   1
#define FOREVER	   INT64_C(-1)
#define SPAN_MOST  (INT64_C(400) * 86400 * 1000000)
#define UTC_MOST   INT64_C(253402300800000000) /* the year 10000 */
#define FIELDS_MAX 24

/* ---- numbers in a line ---- */

struct fields {
	int64_t v[FIELDS_MAX];
	size_t n;
	const char *rest; /* behind them */
};

/* Reads n numbers apart by blanks; false: they aren't there. */
static bool
fields_read(struct fields *f, const char *text, size_t n)
{
	const char *at = text;

	f->n = 0;
	while (f->n < n) {
		char *end;

		errno = 0;
		f->v[f->n] = strtoll(at, &end, 10);
		if (errno != 0 || end == at || (*end != ' ' && *end != '\0'))
			return false;
		f->n++;
		at = *end == ' ' ? end + 1 : end;
	}
	f->rest = at;
	return true;
}

static bool
is_within(int64_t x, int64_t least, int64_t most)
{
	return x >= least && x <= most;
}

static void
write_numbers(struct strbuf *out, const int64_t *v, size_t n)
{
	strbuf_reset(out);
	for (size_t i = 0; i < n; i++)
		strbuf_addf(out, "%s%" PRId64, i > 0 ? " " : "", v[i]);
}

/* ---- what changed ---- */

struct forgotten {
	char *key;
	struct forgotten *next;
};

static void
forget_key(struct sched *s, const char *prefix, const char *name)
{
	struct forgotten *f = xcalloc(1, sizeof(*f));

	f->key = xasprintf("%s %s", prefix, name);
	LL_PREPEND(s->forgotten, f);
}

void
lane_store_touch(struct sched *s, struct lane *l)
{
	struct lane_adapt *a = l->adapt;

	if (a->is_dirty)
		return;
	a->is_dirty = true;
	DL_APPEND2(s->dirty_lanes, a, dirty_prev, dirty_next);
}

void
lane_store_forget(struct sched *s, struct lane *l)
{
	struct lane_adapt *a = l->adapt;

	if (a->is_dirty)
		DL_DELETE2(s->dirty_lanes, a, dirty_prev, dirty_next);
	if (a->is_stored)
		forget_key(s, "adapt", l->name);
}

void
lane_store_operator(struct sched *s, const char *prefix, const char *name)
{
	s->is_operator_dirty = true;
	if (name != NULL)
		forget_key(s, prefix, name);
}

void
lane_store_free(struct sched *s)
{
	struct forgotten *f, *next;

	LL_FOREACH_SAFE(s->forgotten, f, next) {
		free(f->key);
		free(f);
	}
	s->forgotten = NULL;
}

/* ---- lanes ---- */

enum lane_field {
	LANE_VERSION,
	LANE_STATE,
	LANE_RATE,
	LANE_FAILED,
	LANE_FLAT,
	LANE_WAIT,
	LANE_BURST,
	LANE_USED,
	LANE_BREAKER,
	LANE_WHY,
	LANE_SINCE,
	LANE_UNTIL,
	LANE_DOUBLED,
	LANE_CONNECTIONS,
	LANE_CONNECTIONS_WAIT,
	LANE_FIELDS,
};

static bool
is_worth_keeping(const struct lane_adapt *a)
{
	return a->speed.state != ADAPT_OPEN || a->speed.failed > 0 ||
	    a->breaker.state != BREAKER_CLOSED || a->breaker.n_doubled > 0 ||
	    a->cap.limit > 0;
}

static void
lane_format(const struct lane_adapt *a, int64_t offset_us, struct strbuf *out)
{
	int64_t v[LANE_FIELDS] = {
		[LANE_VERSION] = VERSION,
		[LANE_STATE] = a->speed.state,
		[LANE_RATE] = adapt_rate(&a->speed),
		[LANE_FAILED] = a->speed.failed,
		[LANE_FLAT] = a->speed.flat,
		[LANE_WAIT] = a->speed.wait_us,
		[LANE_BURST] = a->speed.burst,
		[LANE_USED] = a->speed.used_us + offset_us,
		[LANE_BREAKER] = a->breaker.state,
		[LANE_WHY] = a->breaker.why,
		[LANE_SINCE] = a->breaker.since_us + offset_us,
		[LANE_UNTIL] = a->breaker.until_us + offset_us,
		[LANE_DOUBLED] = a->breaker.n_doubled,
		[LANE_CONNECTIONS] = a->cap.limit,
		[LANE_CONNECTIONS_WAIT] = a->cap.wait_us,
	};

	write_numbers(out, v, LANE_FIELDS);
}

static bool
lane_is_sound(const int64_t *v)
{
	return is_within(v[LANE_STATE], 0, ADAPT_STATE_COUNT - 1) &&
	    is_within(v[LANE_RATE], 0, RATE_MOST) &&
	    (v[LANE_RATE] > 0 || v[LANE_STATE] == ADAPT_OPEN) &&
	    is_within(v[LANE_FAILED], 0, RATE_MOST) &&
	    is_within(v[LANE_FLAT], 0, RATE_MOST) &&
	    is_within(v[LANE_WAIT], 0, SPAN_MOST) &&
	    is_within(v[LANE_BURST], 0, RATE_MOST) &&
	    is_within(v[LANE_USED], 0, UTC_MOST) &&
	    is_within(v[LANE_BREAKER], 0, BREAKER_HALF_OPEN) &&
	    is_within(v[LANE_WHY], 0, BREAKER_WHY_COUNT - 1) &&
	    is_within(v[LANE_SINCE], 0, UTC_MOST) &&
	    is_within(v[LANE_UNTIL], 0, UTC_MOST) &&
	    is_within(v[LANE_DOUBLED], 0, 1000) &&
	    is_within(v[LANE_CONNECTIONS], 0, 1000000) &&
	    is_within(v[LANE_CONNECTIONS_WAIT], 0, SPAN_MOST);
}

static void
lane_take(struct sched *s, struct lane *l, const int64_t *v, int64_t offset_us)
{
	struct lane_adapt *a = l->adapt;
	struct adapt_memory speed = {
		.is_open = v[LANE_STATE] == ADAPT_OPEN,
		.rate = v[LANE_RATE],
		.failed = v[LANE_FAILED],
		.flat = v[LANE_FLAT],
		.wait_us = v[LANE_WAIT],
		.burst = v[LANE_BURST],
		.used_us = v[LANE_USED] - offset_us,
	};
	struct breaker_memory breaker = {
		.is_shut = v[LANE_BREAKER] != BREAKER_CLOSED,
		.why = (enum breaker_why)v[LANE_WHY],
		.since_us = v[LANE_SINCE] - offset_us,
		.until_us = v[LANE_UNTIL] - offset_us,
		.n_doubled = (unsigned)v[LANE_DOUBLED],
	};

	adapt_remember(&a->speed, &speed, s->now_us);
	breaker_remember(&a->breaker, &breaker, s->now_us);
	if (a->conf.enabled)
		conn_cap_remember(&a->cap, (unsigned)v[LANE_CONNECTIONS],
		    v[LANE_CONNECTIONS_WAIT], s->now_us);
	a->told = adapt_rate(&a->speed);
	a->is_stored = true;
	lane_limit_depth(s, l);
	lane_adapt_arm(s, l);
	lane_wake(s, l);
}

static int
lane_restore(struct sched *s, const char *name, const char *value,
    int64_t offset_us)
{
	struct fields f;
	struct lane *l;

	if (!fields_read(&f, value, LANE_FIELDS) || !lane_is_sound(f.v))
		return -1;
	l = lane_by_name(s, name, true);
	if (l != NULL)
		lane_take(s, l, f.v, offset_us);
	else
		forget_key(s, "adapt", name);
	return 0;
}

/* ---- a route's connections ---- */

static int
route_restore(struct sched *s, const char *name, const char *value,
    int64_t offset_us)
{
	struct fields f;
	struct route *r;

	(void)offset_us;
	if (!fields_read(&f, value, 3) || !is_within(f.v[1], 1, 1000000) ||
	    !is_within(f.v[2], 0, SPAN_MOST))
		return -1;
	r = route_find(s, name);
	if (r == NULL || r->is_gone) {
		forget_key(s, "connections", name);
		return 0;
	}
	if (s->conf->adapt.enabled)
		conn_cap_remember(&r->adapt->cap, (unsigned)f.v[1], f.v[2],
		    s->now_us);
	route_adapt_arm(s, r);
	route_recheck(s, r);
	return 0;
}

/* ---- the operator's ---- */

static int64_t
until_of(int64_t until_utc_us, int64_t offset_us)
{
	return until_utc_us == FOREVER ? INT64_MAX : until_utc_us - offset_us;
}

static int64_t
utc_of(int64_t until_us, int64_t offset_us)
{
	return until_us == INT64_MAX ? FOREVER : until_us + offset_us;
}

static int
pause_restore(struct sched *s, const char *key, const char *value,
    int64_t offset_us)
{
	const char *space = strchr(key, ' ');
	struct fields f;
	char *word;
	int kind;

	if (space == NULL || !fields_read(&f, value, 3) ||
	    !is_within(f.v[1], 0, UTC_MOST) ||
	    !is_within(f.v[2], FOREVER, UTC_MOST))
		return -1;
	word = xstrndup(key, (size_t)(space - key));
	kind = pause_kind_parse(word);
	free(word);
	if (kind < 0)
		return -1;
	/* Over, or of something that is gone: then it isn't missed. */
	if (until_of(f.v[2], offset_us) <= s->now_us ||
	    sched_pause(s, (enum pause_kind)kind, space + 1,
		until_of(f.v[2], offset_us), f.rest, s->now_us, NULL) < 0)
		forget_key(s, "pause", key);
	else
		pause_began(s, key, f.v[1] - offset_us);
	return 0;
}

static int
rates_restore(struct sched *s, const char *name, const char *value,
    int64_t offset_us)
{
	struct override what = { .kind = OVERRIDE_RATES };
	struct rate *rates = what.rates.v;
	struct fields f;
	int64_t n;

	if (!fields_read(&f, value, 4))
		return -1;
	n = f.v[3];
	if (!is_within(n, 1, CONF_RATES_MAX) ||
	    !is_within(f.v[1], 0, UTC_MOST) ||
	    !is_within(f.v[2], FOREVER, UTC_MOST) ||
	    !fields_read(&f, value, 4 + 2 * (size_t)n))
		return -1;
	for (int64_t i = 0; i < n; i++) {
		rates[i] = (struct rate){ f.v[4 + 2 * i], f.v[5 + 2 * i] };
		if (!is_within(rates[i].count, 0, INT64_C(1000000000000)) ||
		    !is_within(rates[i].window_us, 0, SPAN_MOST) ||
		    (rates[i].count == 0) != (rates[i].window_us == 0))
			return -1;
	}
	what.rates.n = (size_t)n;
	what.since_us = f.v[1] - offset_us;
	what.until_us = until_of(f.v[2], offset_us);
	if (what.until_us <= s->now_us ||
	    override_put(s, name, &what, NULL) < 0)
		forget_key(s, "rate", name);
	return 0;
}

static int
connections_restore(struct sched *s, const char *name, const char *value,
    int64_t offset_us)
{
	struct override what = { .kind = OVERRIDE_CONNECTIONS };
	struct fields f;

	if (!fields_read(&f, value, 4) || !is_within(f.v[1], 0, UTC_MOST) ||
	    !is_within(f.v[2], FOREVER, UTC_MOST) ||
	    !is_within(f.v[3], 1, 1000000))
		return -1;
	what.since_us = f.v[1] - offset_us;
	what.until_us = until_of(f.v[2], offset_us);
	what.connections = (unsigned)f.v[3];
	if (what.until_us <= s->now_us ||
	    override_put(s, name, &what, NULL) < 0)
		forget_key(s, "lane-connections", name);
	return 0;
}

static void
override_format(const struct override *o, int64_t offset_us,
    struct strbuf *value)
{
	strbuf_reset(value);
	strbuf_addf(value, "%d %" PRId64 " %" PRId64, VERSION,
	    o->since_us + offset_us, utc_of(o->until_us, offset_us));
	if (o->kind == OVERRIDE_CONNECTIONS) {
		strbuf_addf(value, " %u", o->connections);
		return;
	}
	strbuf_addf(value, " %zu", o->rates.n);
	for (size_t i = 0; i < o->rates.n; i++)
		strbuf_addf(value, " %" PRId64 " %" PRId64, o->rates.v[i].count,
		    o->rates.v[i].window_us);
}

static void
operator_save(struct sched *s, int64_t offset_us, struct strbuf *key,
    struct strbuf *value,
    void (*put)(const char *key, const char *value, void *arg), void *arg)
{
	for (const struct pause *p = s->pauses; p; p = p->hh.next) {
		strbuf_reset(key);
		strbuf_addf(key, "pause %s", p->key);
		strbuf_reset(value);
		strbuf_addf(value, "%d %" PRId64 " %" PRId64 " %s", VERSION,
		    p->since_us + offset_us, utc_of(p->until_us, offset_us),
		    p->because);
		put(key->data, value->data, arg);
	}
	for (enum override_kind k = 0; k < OVERRIDE_KINDS; k++)
		for (const struct override *o = s->overrides[k]; o;
		     o = o->hh.next) {
			strbuf_reset(key);
			strbuf_addf(key, "%s %s",
			    k == OVERRIDE_RATES ? "rate" : "lane-connections",
			    o->lane);
			override_format(o, offset_us, value);
			put(key->data, value->data, arg);
		}
}

/* ---- all of it ---- */

static const struct {
	const char *prefix;
	int (*restore)(struct sched *s, const char *name, const char *value,
	    int64_t offset_us);
} records[] = {
	{ "adapt ", lane_restore },
	{ "connections ", route_restore },
	{ "rate ", rates_restore },
	{ "lane-connections ", connections_restore },
	{ "pause ", pause_restore },
};

int
lane_store_restore(struct sched *s, const char *key, const char *value,
    int64_t utc_us)
{
	struct fields f;

	for (size_t i = 0; i < sizeof(records) / sizeof(records[0]); i++) {
		size_t len = strlen(records[i].prefix);

		if (strncmp(key, records[i].prefix, len) != 0)
			continue;
		if (!fields_read(&f, value, 1) || f.v[0] != VERSION)
			return -1;
		return records[i].restore(s, key + len, value,
		    utc_us - s->now_us);
	}
	return 1;
}

static void
lanes_save(struct sched *s, int64_t offset_us, struct strbuf *key,
    struct strbuf *value,
    void (*put)(const char *key, const char *value, void *arg), void *arg)
{
	while (s->dirty_lanes != NULL) {
		struct lane_adapt *a = s->dirty_lanes;
		bool is_kept = is_worth_keeping(a);

		DL_DELETE2(s->dirty_lanes, a, dirty_prev, dirty_next);
		a->is_dirty = false;
		if (!is_kept && !a->is_stored)
			continue;
		a->is_stored = is_kept;
		strbuf_reset(key);
		strbuf_addf(key, "adapt %s", a->lane->name);
		lane_format(a, offset_us, value);
		put(key->data, is_kept ? value->data : NULL, arg);
	}
}

static void
routes_save(struct sched *s, struct strbuf *key, struct strbuf *value,
    void (*put)(const char *key, const char *value, void *arg), void *arg)
{
	for (struct route *r = s->routes; r; r = r->hh.next) {
		const struct conn_cap *c = &r->adapt->cap;
		int64_t v[] = { VERSION, c->limit, c->wait_us };

		if (!r->adapt->is_dirty)
			continue;
		r->adapt->is_dirty = false;
		strbuf_reset(key);
		strbuf_addf(key, "connections %s", r->name);
		write_numbers(value, v, 3);
		put(key->data, c->limit > 0 ? value->data : NULL, arg);
	}
}

void
lane_store_save(struct sched *s, int64_t utc_us,
    void (*put)(const char *key, const char *value, void *arg), void *arg)
{
	int64_t offset_us = utc_us - s->now_us;
	struct strbuf key = { 0 }, value = { 0 };
	struct forgotten *f;

	/* Deletions first: what came back under its name is put again. */
	LL_FOREACH(s->forgotten, f)
		put(f->key, NULL, arg);
	lane_store_free(s);
	lanes_save(s, offset_us, &key, &value, put, arg);
	routes_save(s, &key, &value, put, arg);
	if (s->is_operator_dirty)
		operator_save(s, offset_us, &key, &value, put, arg);
	s->is_operator_dirty = false;
	strbuf_fini(&key);
	strbuf_fini(&value);
}
