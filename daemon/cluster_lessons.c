/* SPDX-License-Identifier: ISC */
/*
 * Lessons on their way: what this node's scheduler has learned or was told is
 * compared with what is known of all, and offered to Redis; what others offered
 * comes by subscription, and in any case with the next heartbeat, which tells
 * how many there are. scheduler/lessons.c takes them in.
 *
 * The subtle rule: what was taken in from another one is stored by our own
 * scheduler, too, and comes back here. It says nothing new then, and isn't
 * offered again.
 */
#include <stdlib.h>
#include <string.h>

#include <hiredis/hiredis.h>
#include <uthash.h>
#include <utlist.h>

#include "conf/base/clock.h"
#include "conf/base/log.h"
#include "conf/base/xalloc.h"
#include "daemon/cluster_private.h"
#include "scheduler/lessons.h"

#define LESSONS_MAX 100000

struct lesson {
	UT_hash_handle hh;
	char *key;
	char *value; /* as of our clock; NULL: it is over */
	int64_t epoch;
	bool is_known;	  /* Redis has it */
	bool is_pending;  /* `value` is ours, and to be offered */
	bool is_offered;  /* its answer is to come */
	bool is_stored;	  /* of the last reading: Redis has it */
	uint64_t learned; /* c->n_saves then */
};

struct offer {		   /* under way */
	struct cluster *c; /* NULL: it is gone */
	char *key;
	struct offer *prev, *next;
};

/* ---- what is known ---- */

static struct lesson *
lesson_get(struct cluster *c, const char *key)
{
	struct lesson *l;

	HASH_FIND_STR(c->lessons, key, l);
	if (l != NULL || HASH_COUNT(c->lessons) >= LESSONS_MAX)
		return l;
	l = xcalloc(1, sizeof(*l));
	l->key = xstrdup(key);
	HASH_ADD_KEYPTR(hh, c->lessons, l->key, strlen(l->key), l);
	return l;
}

void
cluster_lessons_free(struct cluster *c)
{
	struct lesson *l, *next;
	struct offer *o;

	HASH_ITER(hh, c->lessons, l, next)
	{
		HASH_DEL(c->lessons, l);
		free(l->key);
		free(l->value);
		free(l);
	}
	for (o = c->offers; o != NULL; o = o->next)
		o->c = NULL;
	c->offers = NULL;
}

/* ---- hearing ---- */

struct heard {
	int64_t epoch, offset_us;
	bool is_over;
	char *text; /* owns all below */
	const char *node, *key, *value;
};

/* "EPOCH\nNODE\nOFFSET\n1\nKEY\nVALUE"; the caller frees text. */
static int
heard_parse(struct redis_bytes bytes, struct heard *out)
{
	char *line[5], *at;

	*out = (struct heard){ .text = xstrndup(bytes.v, bytes.len) };
	at = out->text;
	for (int i = 0; i < 5; i++) {
		char *end = strchr(at, '\n');

		if (end == NULL)
			return -1;
		*end = '\0';
		line[i] = at;
		at = end + 1;
	}
	out->epoch = strtoll(line[0], NULL, 10);
	out->node = line[1];
	out->offset_us = strtoll(line[2], NULL, 10);
	out->is_over = strcmp(line[3], "1") != 0;
	out->key = line[4];
	out->value = at;
	return out->epoch > 0 && sched_is_lesson(out->key) ? 0 : -1;
}

static void
take_in(struct cluster *c, struct lesson *l, const struct heard *h)
{
	int64_t now_us = clock_mono_us();
	char *value = h->is_over
	    ? NULL
	    : sched_lesson_shift(h->value, h->offset_us - c->clock_offset_us);

	l->epoch = h->epoch;
	l->is_pending = false;
	l->learned = c->n_saves;
	if (l->is_known && sched_lesson_is_same(l->key, l->value, value)) {
		free(value);
		return;
	}
	l->is_known = true;
	free(l->value);
	l->value = value;
	c->n_lessons_heard++;
	log_info("lesson", LOG_STR("from", h->node), LOG_STR("key", l->key),
	    LOG_STR("value", value != NULL ? value : "over"));
	if (sched_learn(c->sched, l->key, value, now_us) < 0)
		log_warn("lesson_unread", LOG_STR("key", l->key),
		    LOG_STR("value", value != NULL ? value : "over"));
	/* It is kept at once, so that the next word on it is somebody's. */
	governor_wake(c->g);
}

void
cluster_hear(struct cluster *c, struct redis_bytes payload)
{
	struct heard h;
	struct lesson *l;

	if (heard_parse(payload, &h) == 0) {
		if (h.epoch == c->revision + 1)
			c->revision = h.epoch;
		l = lesson_get(c, h.key);
		if (l != NULL && strcmp(h.node, c->conf->name) != 0 &&
		    h.epoch > l->epoch)
			take_in(c, l, &h);
		else if (l != NULL && h.epoch > l->epoch)
			l->epoch = h.epoch; /* our own */
	}
	free(h.text);
}

/*
 * As it stands in a Redis that may have begun anew: then it counts from 1
 * again, and less than what is known is news. Whether it did, a lesson that is
 * as old as ours doesn't tell; what we have to say on it stands.
 */
static void
hear_anew(struct cluster *c, struct redis_bytes stored)
{
	struct heard h;
	struct lesson *l = NULL;

	if (heard_parse(stored, &h) == 0)
		l = lesson_get(c, h.key);
	if (l != NULL) {
		l->is_stored = true;
		if (strcmp(h.node, c->conf->name) == 0)
			l->epoch = h.epoch;
		else if (h.epoch != l->epoch || !l->is_pending)
			take_in(c, l, &h);
	}
	free(h.text);
}

/* ---- offering ---- */

static void
on_offer_answer(struct cluster *c, struct lesson *l,
    const struct redis_answer *a)
{
	const char *word = cluster_reply_str(a->reply, 0);
	struct heard h;

	if (strcmp(word, "OK") == 0) {
		int64_t epoch = cluster_reply_int(a->reply, 1);

		if (epoch > l->epoch)
			l->epoch = epoch;
		l->is_known = true;
		c->n_lessons_sent++;
	} else if (strcmp(word, "OLD") == 0 && a->reply->elements > 1 &&
	    a->reply->element[1]->str != NULL) {
		/* Another one has decided first. */
		struct redis_bytes bytes = { a->reply->element[1]->str,
			a->reply->element[1]->len };

		if (heard_parse(bytes, &h) == 0) {
			free(l->value);
			l->value = NULL;
			l->is_known = false;
			take_in(c, l, &h);
		}
		free(h.text);
	}
}

static void
on_offered(const struct redis_answer *a, void *arg)
{
	struct offer *o = arg;
	struct cluster *c = o->c;
	struct lesson *l;

	if (c != NULL) {
		DL_DELETE(c->offers, o);
		HASH_FIND_STR(c->lessons, o->key, l);
		if (l != NULL) {
			l->is_offered = false;
			if (a->outcome == REDIS_ANSWERED)
				on_offer_answer(c, l, a);
			else
				l->is_pending = true; /* once more */
		}
	}
	free(o->key);
	free(o);
}

static void
offer(struct cluster *c, struct lesson *l)
{
	struct offer *o = xcalloc(1, sizeof(*o));
	struct cluster_args args = { .n = 0 };
	char channel[REDIS_LINK_CHANNEL_SIZE];
	struct redis_bytes keys[] = { { c->key_lessons,
	    strlen(c->key_lessons) } };

	o->c = c;
	o->key = xstrdup(l->key);
	DL_APPEND(c->offers, o);
	l->is_pending = false;
	l->is_offered = true;
	cluster_arg_str(&args, l->key);
	cluster_arg_int(&args, l->epoch);
	cluster_arg_str(&args, c->conf->name);
	cluster_arg_int(&args, c->clock_offset_us);
	cluster_arg_str(&args, l->value != NULL ? "1" : "0");
	cluster_arg_str(&args, l->value != NULL ? l->value : "");
	redis_link_channel(c->link, c->key_lessons, channel);
	cluster_arg_str(&args, channel);
	redis_link_call(c->link, c->lesson, keys, 1, args.v, args.n, 0,
	    on_offered, o);
}

static void
offer_next(struct cluster *c)
{
	struct lesson *l, *next;

	if (!c->is_joined || !c->has_read)
		return;
	HASH_ITER(hh, c->lessons, l, next)
	if (l->is_pending && !l->is_offered)
		offer(c, l);
}

/* A site's lane that nobody uses here any more says nothing of its speed. */
static bool
is_forgotten_lane(struct cluster *c, const char *key, const char *value)
{
	struct lane_view lane;

	return value == NULL && strncmp(key, "adapt ", 6) == 0 &&
	    !sched_lane_get(c->sched, key + 6, clock_mono_us(), &lane);
}

void
cluster_saving(struct cluster *c)
{
	if (c != NULL)
		c->n_saves++;
}

void
cluster_tell(struct cluster *c, const char *key, const char *value)
{
	struct lesson *l;

	if (c == NULL || !sched_is_lesson(key) ||
	    is_forgotten_lane(c, key, value))
		return;
	l = lesson_get(c, key);
	if (l == NULL || sched_lesson_is_same(key, l->value, value))
		return;
	/* What isn't configured here is over at once, but not for all. */
	if (value == NULL && l->is_known && l->learned + 1 == c->n_saves)
		return;
	free(l->value);
	l->value = xstrdup(value);
	l->is_pending = true;
	c->has_pending = true;
}

void
cluster_tell_pending(struct cluster *c)
{
	if (!c->has_pending || !c->is_joined || !c->has_read)
		return;
	c->has_pending = false;
	offer_next(c);
}

/* ---- the present state ---- */

/* What Redis has forgotten is offered again. */
static void
offer_anew(struct cluster *c)
{
	struct lesson *l, *next;

	HASH_ITER(hh, c->lessons, l, next)
	{
		if (!l->is_stored) {
			l->epoch = 0;
			l->is_pending |= l->value != NULL;
		}
		l->is_stored = false;
	}
	c->is_anew = false;
}

static void
on_read(const struct redis_answer *a, void *arg)
{
	struct cluster *c = arg;
	const struct redisReply *r = a->reply;

	c->is_reading = false;
	if (c->is_anew && !c->is_reading_anew)
		return; /* from before; the next heartbeat reads again */
	if (c->is_leaving || a->outcome != REDIS_ANSWERED ||
	    r->type != REDIS_REPLY_ARRAY)
		return;
	for (size_t i = 0; i + 1 < r->elements; i += 2) {
		const struct redisReply *field = r->element[i];
		const struct redisReply *value = r->element[i + 1];
		struct redis_bytes bytes;

		if (field->str == NULL || value->str == NULL)
			continue;
		bytes = (struct redis_bytes){ value->str, value->len };
		if (strcmp(field->str, "revision") == 0)
			c->revision = strtoll(value->str, NULL, 10);
		else if (c->is_anew)
			hear_anew(c, bytes);
		else
			cluster_hear(c, bytes);
	}
	if (c->is_anew)
		offer_anew(c);
	c->has_read = true;
	offer_next(c);
}

void
cluster_lessons_anew(struct cluster *c)
{
	c->is_anew = true;
	c->has_read = false; /* nothing is offered on what may be gone */
}

void
cluster_read_lessons(struct cluster *c, int64_t revision)
{
	struct redis_bytes argv[] = { { "HGETALL", 7 },
		{ c->key_lessons, strlen(c->key_lessons) } };

	if (revision < c->revision)
		cluster_lessons_anew(c);
	if (c->is_reading || (c->has_read && revision == c->revision)) {
		if (c->has_read)
			offer_next(c);
		return;
	}
	c->is_reading = true;
	c->is_reading_anew = c->is_anew;
	redis_link_command(c->link, argv, 2, 0, on_read, c);
}
