/* SPDX-License-Identifier: ISC */
/*
 * Counts of each lane as they happen. Called by the governor with each answer
 * and once a second; read by metrics and the command `history`. Decides
 * nothing.
 *
 * A lane has two points under way, a minute and an hour. When a minute is
 * over, both are given to the spool, so a crash costs a minute at most; after
 * a start a lane's points go on from what is stored.
 *
 * The subtle rule: with ten thousand lanes nothing may be done for all of them
 * in one turn. So a minute that is over is closed when the sweep comes by, or
 * with the lane's next event, whichever is first.
 */
#include "daemon/history.h"

#include <stdlib.h>
#include <string.h>
#include <uthash.h>

#include "conf/base/clock.h"
#include "conf/base/xalloc.h"

#define SEC	      INT64_C(1000000)
/* A turn's share of the lanes: all of them twice a minute. */
#define TICKS_A_SWEEP 30
#define TICK_LEAST    20
/* Stored points looked at each minute for being too old. */
#define OLD_A_MINUTE  500

struct lane_history {
	char *lane;
	uint64_t n_refused[CLASS_COUNT];	    /* since the start */
	struct history_point points[HISTORY_KINDS]; /* under way */
	bool has_news;		      /* the minute is worth storing */
	int64_t n_queued, rate_milli; /* when last looked at */
	UT_hash_handle hh;
};

struct history {
	struct spool_reader *reader;
	struct lane_history *lanes;
	unsigned n_lanes, n_sites;
	struct lane_history *sweep; /* the next one to look at */
	int64_t minute_s;	    /* whose lanes have been listed */
	struct spool_fact *facts, **last;
	char old_key[SPOOL_FACT_KEY_MAX]; /* where to go on looking */
	size_t old_len;
};

/* ---- what is stored ---- */

static void
put_fact(struct history *h, const char *key, size_t key_len, const char *value,
    size_t len)
{
	struct spool_fact *f = spool_fact_new(key, key_len, value, len);

	*h->last = f;
	h->last = &f->next;
}

static void
put_point(struct history *h, const char *lane, enum history_kind kind,
    const struct history_point *p)
{
	char key[SPOOL_FACT_KEY_MAX];
	size_t len = history_key(key, sizeof(key), kind, lane, p->utc_s);
	struct strbuf text = { 0 };

	if (len == 0)
		return; /* no lane's name is that long */
	history_point_format(p, &text);
	put_fact(h, key, len, text.data, text.len);
	strbuf_fini(&text);
}

struct spool_fact *
history_take(struct history *h)
{
	struct spool_fact *list = h->facts;

	h->facts = NULL;
	h->last = &h->facts;
	return list;
}

struct lookup {
	const char *key;
	size_t len;
	int64_t utc_s;
	struct history_point *out;
};

static bool
take_same(const void *key, size_t key_len, const void *value, size_t value_len,
    void *arg)
{
	struct lookup *l = arg;
	struct history_point p;

	if (key_len == l->len && memcmp(key, l->key, key_len) == 0 &&
	    history_point_parse(value, value_len, &p) == 0 &&
	    p.utc_s == l->utc_s)
		*l->out = p;
	return false;
}

/* What an earlier run has counted of the same minute or hour. */
static void
go_on(struct history *h, const char *lane, enum history_kind kind,
    struct history_point *p)
{
	char key[SPOOL_FACT_KEY_MAX];
	size_t len = history_key(key, sizeof(key), kind, lane, p->utc_s);
	struct lookup l = { key, len, p->utc_s, p };
	struct err err;

	/* A disk that fails is told elsewhere; here some counts are missing. */
	if (len > 0 && h->reader != NULL)
		(void)spool_facts_read(h->reader, key, len, take_same, &l,
		    &err);
}

/* ---- lanes ---- */

static void
begin_point(struct lane_history *l, enum history_kind kind, int64_t now_utc_s)
{
	l->points[kind] = (struct history_point){
		.utc_s = now_utc_s - now_utc_s % history_span_s[kind],
		.rate_milli = -1,
	};
}

static struct lane_history *
lane_new(struct history *h, const char *name, int64_t now_utc_s)
{
	struct lane_history *l = xcalloc(1, sizeof(*l));

	l->lane = xstrdup(name);
	l->rate_milli = -1;
	for (int kind = 0; kind < HISTORY_KINDS; kind++) {
		begin_point(l, (enum history_kind)kind, now_utc_s);
		go_on(h, name, (enum history_kind)kind, &l->points[kind]);
	}
	HASH_ADD_KEYPTR(hh, h->lanes, l->lane, strlen(l->lane), l);
	h->n_lanes++;
	return l;
}

static struct lane_history *
lane_find(const struct history *h, const char *name)
{
	struct lane_history *l;

	HASH_FIND_STR(h->lanes, name, l);
	return l;
}

static bool
is_site(const char *name)
{
	const char *slash = strchr(name, '/');

	return slash != NULL && strncmp(slash + 1, "other:", 6) == 0;
}

static struct lane_history *
lane_get(struct history *h, const char *name, int64_t now_utc_s)
{
	struct lane_history *l = lane_find(h, name);
	char *rest;

	if (l != NULL)
		return l;
	if (!is_site(name) || h->n_sites < HISTORY_SITES_MAX) {
		h->n_sites += is_site(name);
		return lane_new(h, name, now_utc_s);
	}
	rest = xmalloc(strlen(name) + 16);
	memcpy(rest, name, strlen(name) + 1);
	strcpy(strchr(rest, ':') + 1, "(rest)");
	l = lane_find(h, rest);
	if (l == NULL)
		l = lane_new(h, rest, now_utc_s);
	free(rest);
	return l;
}

/* Gives both points to the spool, as they are now. */
static void
store(struct history *h, struct lane_history *l)
{
	for (int kind = 0; kind < HISTORY_KINDS; kind++) {
		struct history_point *p = &l->points[kind];

		p->n_queued = l->n_queued;
		p->rate_milli = l->rate_milli;
		put_point(h, l->lane, (enum history_kind)kind, p);
	}
	l->has_news = false;
}

/* Begins new points where the old ones are over. */
static void
turn_over(struct history *h, struct lane_history *l, int64_t now_utc_s)
{
	if (now_utc_s - l->points[HISTORY_MINUTE].utc_s <
		history_span_s[HISTORY_MINUTE] &&
	    now_utc_s >= l->points[HISTORY_MINUTE].utc_s)
		return;
	if (l->has_news || l->n_queued > 0)
		store(h, l);
	for (int kind = 0; kind < HISTORY_KINDS; kind++) {
		int64_t age_s = now_utc_s - l->points[kind].utc_s;

		if (age_s < 0 || age_s >= history_span_s[kind])
			begin_point(l, (enum history_kind)kind, now_utc_s);
	}
}

/* ---- what happens ---- */

void
history_accepted(struct history *h, const char *lane, uint32_t n,
    int64_t now_utc_us)
{
	struct lane_history *l = lane_get(h, lane, now_utc_us / SEC);

	turn_over(h, l, now_utc_us / SEC);
	l->has_news = true;
	for (int kind = 0; kind < HISTORY_KINDS; kind++)
		l->points[kind].n_accepted += n;
}

void
history_answered(struct history *h, const char *lane,
    const struct history_answers *a, int64_t now_utc_us)
{
	struct lane_history *l = lane_get(h, lane, now_utc_us / SEC);

	turn_over(h, l, now_utc_us / SEC);
	l->has_news = true;
	for (int kind = 0; kind < HISTORY_KINDS; kind++) {
		struct history_point *p = &l->points[kind];

		p->n_delivered += a->n_delivered;
		p->n_deferred += a->n_deferred;
		p->n_bounced += a->n_bounced;
		for (unsigned c = 0; c < CLASS_COUNT; c++)
			p->n_refused[c] += a->n_refused[c];
		if (a->reply != NULL && *a->reply != '\0')
			history_point_set_reply(p, a->reply);
	}
	for (unsigned c = 0; c < CLASS_COUNT; c++)
		l->n_refused[c] += a->n_refused[c];
}

/* ---- once a second ---- */

static int64_t
allowed_milli(const struct lane_view *v)
{
	int64_t least = -1;

	for (size_t i = 0; i <= v->n_rates; i++) {
		const struct rate *r =
		    i < v->n_rates ? &v->rates[i] : &v->adapted;
		int64_t milli;

		if (rate_is_unlimited(r))
			continue;
		milli =
		    (int64_t)((__int128)r->count * 1000000000 / r->window_us);
		if (least < 0 || milli < least)
			least = milli;
	}
	return least;
}

static void
look(struct history *h, struct sched *s, struct lane_history *l, int64_t now_us,
    int64_t now_utc_us)
{
	struct lane_view v;

	l->n_queued = 0;
	if (sched_lane_get(s, l->lane, now_us, &v)) {
		l->n_queued = (int64_t)(v.n_queued_recipients + v.n_retrying);
		l->rate_milli = allowed_milli(&v);
	}
	turn_over(h, l, now_utc_us / SEC);
}

struct listing {
	struct history *h;
	int64_t now_utc_s;
};

static void
list_lane(const char *name, void *arg)
{
	struct listing *l = arg;

	lane_get(l->h, name, l->now_utc_s);
}

struct old_walk {
	struct history *h;
	int64_t now_utc_s;
	unsigned n;
};

static bool
remove_old(const void *key, size_t key_len, const void *value, size_t value_len,
    void *arg)
{
	struct old_walk *w = arg;
	int kind = history_key_kind(key, key_len);
	struct history_point p;

	if (kind < 0 || key_len > sizeof(w->h->old_key))
		return false;
	memcpy(w->h->old_key, key, key_len);
	w->h->old_len = key_len;
	if (history_point_parse(value, value_len, &p) < 0 ||
	    w->now_utc_s - p.utc_s >= history_span_s[kind] * history_ring[kind])
		put_fact(w->h, key, key_len, NULL, 0);
	return ++w->n < OLD_A_MINUTE;
}

/* Lanes that are gone don't overwrite their old points: a slow walk over all
 * that is stored finds them. */
static void
forget_old(struct history *h, int64_t now_utc_s)
{
	struct old_walk w = { h, now_utc_s, 0 };
	struct err err;

	if (h->reader == NULL)
		return;
	if (h->old_len == 0) {
		h->old_key[0] = SPOOL_FACT_ARCHIVE;
		h->old_len = 1;
	}
	if (spool_facts_read(h->reader, h->old_key, h->old_len, remove_old, &w,
		&err) < 0 ||
	    w.n < OLD_A_MINUTE)
		h->old_len = 0; /* from the beginning */
}

void
history_tick(struct history *h, struct sched *s, int64_t now_us,
    int64_t now_utc_us)
{
	struct listing list = { h, now_utc_us / SEC };
	int64_t minute_s = list.now_utc_s - list.now_utc_s % 60;
	unsigned n;

	if (minute_s != h->minute_s) {
		h->minute_s = minute_s;
		sched_lane_names_each(s, list_lane, &list);
		forget_old(h, list.now_utc_s);
	}
	n = h->n_lanes / TICKS_A_SWEEP + TICK_LEAST;
	if (n > h->n_lanes)
		n = h->n_lanes;
	for (; n > 0; n--) {
		if (h->sweep == NULL)
			h->sweep = h->lanes;
		look(h, s, h->sweep, now_us, now_utc_us);
		h->sweep = h->sweep->hh.next;
	}
}

void
history_flush(struct history *h)
{
	for (struct lane_history *l = h->lanes; l; l = l->hh.next)
		if (l->has_news)
			store(h, l);
}

/* ---- sight ---- */

const uint64_t *
history_refused(const struct history *h, const char *lane)
{
	const struct lane_history *l = lane_find(h, lane);

	return l != NULL ? l->n_refused : NULL;
}

struct reading {
	const char *prefix;
	size_t prefix_len;
	int64_t since_utc_s, until_utc_s;
	struct history_point *points;
	size_t n, cap;
};

static bool
gather(const void *key, size_t key_len, const void *value, size_t value_len,
    void *arg)
{
	struct reading *r = arg;
	struct history_point p;

	if (key_len < r->prefix_len ||
	    memcmp(key, r->prefix, r->prefix_len) != 0)
		return false;
	if (history_point_parse(value, value_len, &p) < 0 ||
	    p.utc_s < r->since_utc_s || p.utc_s >= r->until_utc_s)
		return true;
	if (r->n == r->cap) {
		r->cap = r->cap ? 2 * r->cap : 64;
		r->points = xrealloc(r->points, r->cap * sizeof(*r->points));
	}
	r->points[r->n++] = p;
	return true;
}

static int
compare_points(const void *a, const void *b)
{
	const struct history_point *x = a, *y = b;

	return (x->utc_s > y->utc_s) - (x->utc_s < y->utc_s);
}

/* The one under way as it is now; its lane may not have been looked at since
 * it began. */
static void
tell_current(const struct lane_history *l, enum history_kind kind,
    int64_t since_utc_s, void (*each)(const struct history_point *p, void *arg),
    void *arg)
{
	struct history_point p = l->points[kind];

	if (p.utc_s < since_utc_s)
		return;
	p.n_queued = l->n_queued;
	p.rate_milli = l->rate_milli;
	each(&p, arg);
}

bool
history_read(struct history *h, const char *lane, enum history_kind kind,
    int64_t since_utc_s, int64_t now_utc_s,
    void (*each)(const struct history_point *p, void *arg), void *arg)
{
	const struct lane_history *l = lane_find(h, lane);
	int64_t oldest_s =
	    now_utc_s - history_span_s[kind] * history_ring[kind];
	char prefix[SPOOL_FACT_KEY_MAX];
	struct reading r = { .prefix = prefix,
		.since_utc_s = since_utc_s > oldest_s ? since_utc_s : oldest_s,
		.until_utc_s = l != NULL ? l->points[kind].utc_s : INT64_MAX };
	struct err err;

	r.prefix_len = history_key_prefix(prefix, sizeof(prefix), kind, lane);
	if (h->reader != NULL && r.prefix_len > 0)
		(void)spool_facts_read(h->reader, prefix, r.prefix_len, gather,
		    &r, &err);
	if (r.n > 0)
		qsort(r.points, r.n, sizeof(*r.points), compare_points);
	for (size_t i = 0; i < r.n; i++)
		each(&r.points[i], arg);
	free(r.points);
	if (l != NULL)
		tell_current(l, kind, since_utc_s, each, arg);
	return l != NULL || r.n > 0;
}

/* ---- life ---- */

struct history *
history_new(struct spool_reader *reader)
{
	struct history *h = xcalloc(1, sizeof(*h));

	h->reader = reader;
	h->last = &h->facts;
	return h;
}

void
history_free(struct history *h)
{
	struct lane_history *l, *next;

	if (h == NULL)
		return;
	HASH_ITER(hh, h->lanes, l, next)
	{
		HASH_DEL(h->lanes, l);
		free(l->lane);
		free(l);
	}
	spool_facts_free(h->facts);
	free(h);
}
