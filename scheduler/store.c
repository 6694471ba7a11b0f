/* SPDX-License-Identifier: ISC */
/*
 * What must survive a restart, as records of text by key: ledger rows, plans'
 * states, lists' health, sender domains' pauses; lane_store.c has what was
 * learned of lanes and set by the operator. The daemon writes what
 * changed in the commit that settles what changed it, and gives all of it back
 * at the next start; the scheduler itself writes nothing.
 *
 *	ledger lane ip-a/gmail 20781	a day's facts
 *	plan lane ip-a/gmail		NAME|state
 *	list news			list health
 *	sender a.example/gmail		failures and pause
 *
 * A permit that waits for the disk goes on when the save that holds its
 * reservation is said to be stored (sched_saved).
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "conf/base/strbuf.h"
#include "conf/base/xalloc.h"
#include "scheduler/lane_store.h"
#include "scheduler/sender.h"

/* ---- reading ---- */

static int
kind_parse(const char *key, enum quota_kind *kind_out, const char **name_out)
{
	static const char *const prefixes[] = {
		[QUOTA_LANE] = "lane ",
		[QUOTA_ROUTE] = "route ",
		[QUOTA_SENDER] = "sender ",
	};

	for (int i = 0; i < 3; i++) {
		size_t len = strlen(prefixes[i]);

		if (strncmp(key, prefixes[i], len) != 0 || key[len] == '\0')
			continue;
		*kind_out = (enum quota_kind)i;
		*name_out = key + len;
		return 0;
	}
	return -1;
}

static int
restore_row(struct sched *s, const char *key, const char *value)
{
	const char *space = strrchr(key, ' ');
	enum quota_kind kind;
	const char *name;
	char *key_of_quota, *end;
	int64_t day;
	int result = -1;

	if (space == NULL || space == key)
		return -1;
	errno = 0;
	day = strtoll(space + 1, &end, 10);
	if (errno != 0 || end == space + 1 || *end != '\0' ||
	    day > INT64_C(1000000000000) || day < -INT64_C(1000000000000))
		return -1;
	key_of_quota = xstrndup(key, (size_t)(space - key));
	if (kind_parse(key_of_quota, &kind, &name) == 0)
		result =
		    ledger_row_parse(&quotas_get(s, kind, name)->quota.ledger,
			day, value);
	free(key_of_quota);
	return result;
}

/* A plan that the configuration took away isn't missed. */
static int
restore_plan(struct sched *s, const char *key, const char *value)
{
	const char *bar = strchr(value, '|');
	enum quota_kind kind;
	struct quota *q;
	const char *name;

	if (bar == NULL || kind_parse(key, &kind, &name) < 0)
		return -1;
	q = &quotas_get(s, kind, name)->quota;
	if (!q->has_plan)
		return 0;
	if (warmup_parse(&q->warmup, bar + 1) < 0)
		return -1;
	free(q->plan_name);
	q->plan_name = xstrndup(value, (size_t)(bar - value));
	return 0;
}

static int
restore_list(struct sched *s, const char *key, const char *value)
{
	struct stream *st = stream_find(s, key);

	return st != NULL ? list_health_parse(&st->health, value) : 0;
}

static int
restore_sender(struct sched *s, const char *key, const char *value)
{
	return sender_gate_parse(s, key, value);
}

static const struct {
	const char *prefix;
	int (*restore)(struct sched *s, const char *key, const char *value);
} records[] = {
	{ "ledger ", restore_row },
	{ "plan ", restore_plan },
	{ "list ", restore_list },
	{ "sender ", restore_sender },
};

int
sched_restore(struct sched *s, const char *key, const char *value)
{
	int result;

	for (size_t i = 0; i < sizeof(records) / sizeof(records[0]); i++) {
		size_t len = strlen(records[i].prefix);

		if (strncmp(key, records[i].prefix, len) == 0)
			return records[i].restore(s, key + len, value);
	}
	result = lane_store_restore(s, key, value, sched_utc_now(s));
	return result == 0 ? 0 : -1;
}

void
sched_restored(struct sched *s, int64_t now_us)
{
	sched_clock(s, now_us);
	for (struct quota_entry *e = s->quotas; e; e = e->hh.next) {
		quota_restored(&e->quota);
		quotas_arm(s, e);
	}
	s->must_persist = true;
	for (struct quota_entry *e = s->quotas; e; e = e->hh.next)
		quota_persist(&e->quota, true);
}

/* ---- writing ---- */

struct sink {
	void (*put)(const char *key, const char *value, void *arg);
	void *arg;
	struct strbuf key, value;
};

static void
save_row(struct sink *out, const struct quota_entry *e,
    const struct ledger_row *row)
{
	char text[LEDGER_TEXT_SIZE];

	strbuf_reset(&out->key);
	strbuf_addf(&out->key, "ledger %s %" PRId64, e->key, row->day);
	out->put(out->key.data, ledger_row_format(row, text), out->arg);
}

/* Rows that the ledger has forgotten since the last save, unless it has such a
 * day again. */
static void
delete_gone(struct sink *out, struct quota_entry *e)
{
	struct ledger *l = &e->quota.ledger;

	while (l->n_gone > 0) {
		int64_t day = l->gone[--l->n_gone];

		if (ledger_find(l, day) != NULL)
			continue;
		strbuf_reset(&out->key);
		strbuf_addf(&out->key, "ledger %s %" PRId64, e->key, day);
		out->put(out->key.data, NULL, out->arg);
	}
}

static void
save_plan(struct sink *out, struct quota_entry *e)
{
	struct quota *q = &e->quota;
	char text[WARMUP_TEXT_SIZE];

	if (!q->has_plan || (!q->warmup.is_changed && !q->is_changed))
		return;
	q->warmup.is_changed = q->is_changed = false;
	strbuf_reset(&out->key);
	strbuf_reset(&out->value);
	strbuf_addf(&out->key, "plan %s", e->key);
	strbuf_addf(&out->value, "%s|%s", q->plan_name,
	    warmup_format(&q->warmup, text));
	out->put(out->key.data, out->value.data, out->arg);
}

static void
save_quota(struct sched *s, struct quota_entry *e, struct sink *out)
{
	struct ledger *l = &e->quota.ledger;

	delete_gone(out, e);
	for (uint32_t i = l->n; i > 0 && l->n_changed > 0; i--) {
		struct ledger_row *row = &l->rows[i - 1];

		if (!row->is_changed)
			continue;
		row->is_changed = false;
		l->n_changed--;
		save_row(out, e, row);
	}
	save_plan(out, e);
	if (!quota_is_waiting(&e->quota))
		return;
	if (e->ticket == 0)
		DL_APPEND2(s->saving_quotas, e, saving_prev, saving_next);
	e->saving_day = e->quota.asked_day;
	e->saving = e->quota.asked;
	e->ticket = s->ticket;
}

static void
save_lists(struct sched *s, struct sink *out)
{
	for (struct stream *st = s->streams; st; st = st->hh.next) {
		char text[LIST_HEALTH_TEXT_SIZE];

		if (!st->is_health_changed)
			continue;
		st->is_health_changed = false;
		strbuf_reset(&out->key);
		strbuf_addf(&out->key, "list %s", st->name);
		out->put(out->key.data, list_health_format(&st->health, text),
		    out->arg);
	}
}

static void
save_senders(struct sched *s, struct sink *out)
{
	for (struct sender *sd = s->senders; sd; sd = sd->hh.next) {
		struct sender_gate *g;

		DL_FOREACH(sd->gates, g) {
			bool is_gone =
			    !g->is_shut && g->n_failed == 0 && g->level == 0;

			if (!g->is_changed)
				continue;
			g->is_changed = false;
			strbuf_reset(&out->key);
			strbuf_reset(&out->value);
			strbuf_addf(&out->key, "sender %s", g->name);
			sender_gate_format(g, &out->value);
			out->put(out->key.data,
			    is_gone ? NULL : out->value.data, out->arg);
		}
	}
}

#define SWEEP_EVERY_US (3600 * INT64_C(1000000))

/* Nobody needs them any more; their records go too. */
static void
sweep(struct sched *s, struct sink *out)
{
	struct quota_entry *e, *next;

	if (s->now_us - s->swept_us < SWEEP_EVERY_US)
		return;
	s->swept_us = s->now_us;
	HASH_ITER(hh, s->quotas, e, next)
	{
		if (!quotas_is_stale(s, e))
			continue;
		ledger_forget(&e->quota.ledger, INT64_MAX);
		delete_gone(out, e);
		strbuf_reset(&out->key);
		strbuf_addf(&out->key, "plan %s", e->key);
		out->put(out->key.data, NULL, out->arg);
		quotas_drop(s, e);
	}
}

uint64_t
sched_save(struct sched *s,
    void (*put)(const char *key, const char *value, void *arg), void *arg)
{
	struct sink out = { .put = put, .arg = arg };

	s->ticket++;
	s->wants_save = false;
	while (s->dirty_quotas != NULL) {
		struct quota_entry *e = s->dirty_quotas;

		DL_DELETE2(s->dirty_quotas, e, dirty_prev, dirty_next);
		e->is_dirty = false;
		save_quota(s, e, &out);
	}
	sweep(s, &out);
	save_lists(s, &out);
	save_senders(s, &out);
	lane_store_save(s, sched_utc_now(s), put, arg);
	strbuf_fini(&out.key);
	strbuf_fini(&out.value);
	return s->ticket;
}

bool
sched_wants_save(const struct sched *s)
{
	return s->wants_save;
}

void
sched_saved(struct sched *s, uint64_t ticket, int64_t now_us)
{
	struct quota_entry *e, *next;

	sched_clock(s, now_us);
	DL_FOREACH_SAFE2(s->saving_quotas, e, next, saving_next)
	{
		if (e->ticket > ticket)
			continue;
		DL_DELETE2(s->saving_quotas, e, saving_prev, saving_next);
		e->ticket = 0;
		quota_stored(&e->quota, e->saving_day, e->saving);
		quotas_wake(s, e);
	}
}

void
sched_settle(struct sched *s)
{
	for (struct quota_entry *e = s->quotas; e; e = e->hh.next) {
		quota_settle(&e->quota);
		quotas_touch(s, e);
	}
}
