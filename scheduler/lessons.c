/* SPDX-License-Identifier: ISC */
/*
 * What another node has learned or was told, taken in while mail flows: the
 * records that this node would have stored itself (store.c, lane_store.c). Who
 * decided is the other one; here it only takes effect, and nothing is told as
 * a change of ours.
 *
 * A lane's speed is each node's own: what one was refused at, the others take
 * for themselves, too.
 */
#include <stdlib.h>
#include <string.h>

#include "conf/base/strbuf.h"
#include "conf/base/xalloc.h"
#include "scheduler/lane_store.h"
#include "scheduler/lessons.h"
#include "scheduler/sender.h"

/* ---- lanes ---- */

static int
learn_adapt(struct sched *s, const char *name, const char *value)
{
	/* Sites are made by their mail alone. */
	struct lane *l = lane_by_name(s, name, strstr(name, "/other:") == NULL);
	struct lane_adapt *a;
	struct conn_cap cap;
	int result;
	char *key;

	if (l == NULL)
		return 0;
	a = l->adapt;
	cap = a->cap; /* connections are each node's own */
	key = xasprintf("adapt %s", name);
	/* Twice: what can't be read changes nothing. */
	result = value != NULL
	    ? lane_store_restore(s, key, value, sched_utc_now(s))
	    : 0;
	if (result == 0) {
		adapt_reset(&a->speed, s->now_us);
		breaker_reset(&a->breaker, s->now_us);
		a->told = 0;
	}
	if (result == 0 && value != NULL)
		lane_store_restore(s, key, value, sched_utc_now(s));
	lane_limit_depth(s, l);
	lane_wake(s, l);
	a->cap = cap;
	lane_adapt_arm(s, l);
	free(key);
	return result;
}

static int
learn_override(struct sched *s, const char *prefix, const char *name,
    const char *value, enum override_kind kind)
{
	struct override nothing = { .kind = kind };
	char *key;
	int result;

	if (value == NULL) {
		override_put(s, name, &nothing, NULL);
		return 0;
	}
	key = xasprintf("%s%s", prefix, name);
	result = lane_store_restore(s, key, value, sched_utc_now(s));
	free(key);
	return result;
}

static int
learn_rate(struct sched *s, const char *name, const char *value)
{
	return learn_override(s, "rate ", name, value, OVERRIDE_RATES);
}

static int
learn_connections(struct sched *s, const char *name, const char *value)
{
	return learn_override(s, "lane-connections ", name, value,
	    OVERRIDE_CONNECTIONS);
}

/* ---- pauses ---- */

static int
learn_pause(struct sched *s, const char *name, const char *value)
{
	const char *space = strchr(name, ' ');
	char *word, *key;
	int kind, result;

	if (space == NULL)
		return -1;
	word = xstrndup(name, (size_t)(space - name));
	kind = pause_kind_parse(word);
	free(word);
	if (kind < 0)
		return -1;
	if (value == NULL) {
		sched_resume(s, (enum pause_kind)kind, space + 1, s->now_us,
		    NULL);
		return 0;
	}
	key = xasprintf("pause %s", name);
	result = lane_store_restore(s, key, value, sched_utc_now(s));
	free(key);
	return result;
}

static int
learn_sender(struct sched *s, const char *name, const char *value)
{
	const char *slash = strchr(name, '/');
	struct sender *sd;
	char *domain;
	int result = 0;

	if (slash == NULL || slash == name)
		return -1;
	domain = xstrndup(name, (size_t)(slash - name));
	sd = sender_get(s, domain);
	free(domain);
	sd->n_users++;
	if (value == NULL) {
		sender_gate_resume(s, sender_gate_find(sd, slash + 1));
	} else {
		sender_split(s, sd);
		result = sender_gate_parse(s, name, value);
		sender_refresh(s, sd);
	}
	sender_unref(s, sd);
	return result;
}

/* ---- plans ---- */

/* The other one's decision; our own days and counts. */
static void
merge_plan(struct warmup *w, const struct warmup_state *own)
{
	struct warmup_state st = w->st;

	if (st.last_sent_utc_us < own->last_sent_utc_us)
		st.last_sent_utc_us = own->last_sent_utc_us;
	if (own->day != WARMUP_NO_DAY && own->day >= st.day) {
		int64_t is_stopped =
		    own->day == st.day ? st.is_stopped : own->is_stopped;

		st.day = own->day;
		st.judged_to = own->judged_to;
		st.jumped_from = own->jumped_from;
		st.n_decayed = own->n_decayed;
		st.is_stopped = is_stopped;
	}
	w->st = st;
	w->is_changed = true;
	warmup_configure(w, w->plan, w->schedule, w->calendar.zone_ref);
}

static int
learn_plan(struct sched *s, const char *key, const char *value)
{
	const char *bar = value != NULL ? strchr(value, '|') : NULL;
	struct quota_entry *e;
	struct warmup_state own;

	HASH_FIND_STR(s->quotas, key, e);
	if (bar == NULL)
		return value == NULL ? 0 : -1;
	if (e == NULL || !e->quota.has_plan ||
	    strncmp(e->quota.warmup.plan->name, value, (size_t)(bar - value)) !=
		0 ||
	    e->quota.warmup.plan->name[bar - value] != '\0')
		return 0;
	own = e->quota.warmup.st;
	if (warmup_parse(&e->quota.warmup, bar + 1) < 0)
		return -1;
	merge_plan(&e->quota.warmup, &own);
	quotas_touch(s, e);
	warmup_tick(&e->quota.warmup, sched_utc_now(s), false);
	quotas_arm(s, e);
	quotas_wake(s, e);
	return 0;
}

/* ---- all of them ---- */

static const struct {
	const char *prefix;
	int (*learn)(struct sched *s, const char *name, const char *value);
} lessons[] = {
	{ "adapt ", learn_adapt },
	{ "rate ", learn_rate },
	{ "lane-connections ", learn_connections },
	{ "pause ", learn_pause },
	{ "sender ", learn_sender },
	{ "plan ", learn_plan },
};

bool
sched_is_lesson(const char *key)
{
	for (size_t i = 0; i < sizeof(lessons) / sizeof(lessons[0]); i++)
		if (strncmp(key, lessons[i].prefix,
			strlen(lessons[i].prefix)) == 0)
			return true;
	return false;
}

int
sched_learn(struct sched *s, const char *key, const char *value, int64_t now_us)
{
	sched_clock(s, now_us);
	for (size_t i = 0; i < sizeof(lessons) / sizeof(lessons[0]); i++) {
		size_t len = strlen(lessons[i].prefix);

		if (strncmp(key, lessons[i].prefix, len) == 0)
			return lessons[i].learn(s, key + len, value);
	}
	return -1;
}

/* ---- is it another one? ---- */

#define UTC_FROM  INT64_C(1500000000000000) /* instants look like this */
#define UTC_TO	  INT64_C(4000000000000000)
#define SAME_US	  INT64_C(2000000)
#define WORDS_MAX 24

/* Splits at blanks; the last word is the rest. */
static size_t
split(const char *text, const char *words[WORDS_MAX], size_t lens[WORDS_MAX])
{
	size_t n = 0;

	while (n < WORDS_MAX) {
		size_t len = strcspn(text, " ");

		words[n] = text;
		lens[n] = n == WORDS_MAX - 1 ? strlen(text) : len;
		n++;
		if (text[len] == '\0')
			break;
		text += len + 1;
	}
	return n;
}

/* The number in "until=123" or "123"; -1: there is none. */
static int64_t
number_in(const char *word, size_t len)
{
	const char *at = memchr(word, '=', len);
	const char *digits = at != NULL ? at + 1 : word;
	size_t n = len - (size_t)(digits - word);

	if (n == 0 || n > 18 || strspn(digits, "0123456789") < n)
		return -1;
	return strtoll(digits, NULL, 10);
}

static bool
is_instant(int64_t n)
{
	return n >= UTC_FROM && n < UTC_TO;
}

static bool
has_name(const char *word, size_t len, const char *name)
{
	size_t n = strlen(name);

	return len > n && strncmp(word, name, n) == 0 && word[n] == '=';
}

/* Whether two nodes would do the same by this word. */
static bool
matters(const char *key, size_t i, const char *word, size_t len)
{
	if (strncmp(key, "adapt ", 6) == 0)
		/* Its speed; whether it is suspended, why, until when. */
		return i == 2 || i == 8 || i == 9 || i == 11 || i == 12;
	if (strncmp(key, "sender ", 7) == 0)
		return i == 3 || i == 5; /* is it shut, until when */
	if (strncmp(key, "plan ", 5) == 0)
		return has_name(word, len, "stage") ||
		    has_name(word, len, "is_done") ||
		    has_name(word, len, "is_held") ||
		    has_name(word, len, "is_stopped") ||
		    has_name(word, len, "first_day");
	return true;
}

bool
sched_lesson_is_same(const char *key, const char *a, const char *b)
{
	const char *aw[WORDS_MAX], *bw[WORDS_MAX];
	size_t al[WORDS_MAX], bl[WORDS_MAX], n;

	if (a == NULL || b == NULL)
		return a == b;
	n = split(a, aw, al);
	if (split(b, bw, bl) != n)
		return false;
	for (size_t i = 0; i < n; i++) {
		int64_t x = number_in(aw[i], al[i]),
			y = number_in(bw[i], bl[i]);

		if (!matters(key, i, aw[i], al[i]))
			continue;
		if (is_instant(x) && is_instant(y) && x - y <= SAME_US &&
		    y - x <= SAME_US)
			continue;
		if (al[i] != bl[i] || memcmp(aw[i], bw[i], al[i]) != 0)
			return false;
	}
	return true;
}

char *
sched_lesson_shift(const char *value, int64_t shift_us)
{
	const char *words[WORDS_MAX];
	size_t lens[WORDS_MAX], n = split(value, words, lens);
	struct strbuf out = { 0 };
	char *text;

	for (size_t i = 0; i < n; i++) {
		int64_t x = number_in(words[i], lens[i]);
		const char *at = memchr(words[i], '=', lens[i]);
		size_t head = at != NULL ? (size_t)(at + 1 - words[i]) : 0;

		if (i > 0)
			strbuf_addc(&out, ' ');
		strbuf_add(&out, words[i], is_instant(x) ? head : lens[i]);
		if (is_instant(x))
			strbuf_addf(&out, "%lld", (long long)(x + shift_us));
	}
	text = xstrdup(out.data != NULL ? out.data : "");
	strbuf_fini(&out);
	return text;
}
