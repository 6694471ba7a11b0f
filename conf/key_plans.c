/* SPDX-License-Identifier: ISC */
/*
 * The types of values that only plans have: schedules in all their forms,
 * windows of a day, dates. A schedule that can't work is refused here, where
 * its place is known; what plans need of routes is in rules_plans.c.
 */
#include "conf/key_plans.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "conf/base/xalloc.h"
#include "conf/base/zone.h"
#include "conf/key_types.h"

#define SEC	    INT64_C(1000000)
#define MINUTE	    (60 * SEC)
#define HOUR	    (60 * MINUTE)
#define DAY	    (24 * HOUR)
#define VOLUMES_MAX 3650   /* ten years */
#define BY_MAX	    100000 /* a hundredfold a day is no warmup */

/* ---- growth ---- */

static const struct key until_key = { "until", &type_count, .min = 1,
	.max = INT64_C(1000000000000) };
static const struct key by_key = { "by", &type_share, .min = 1, .max = BY_MAX };

static bool
read_rule(struct reader *r, struct node *n, bool is_last,
    struct conf_growth *out)
{
	struct node *until = node_member(n, "until");
	struct node *by = node_member(n, "by");
	bool is_good = true;

	out->until = INT64_MAX;
	if (n->kind == NODE_BROKEN)
		return false;
	if (n->kind != NODE_MAP) {
		reader_fail(r, n, "must be {until: 50k, by: 200%%}");
		return false;
	}
	for (size_t i = 0; i < n->n; i++)
		if (n->v[i] != until && n->v[i] != by) {
			reader_fail_key(r, n->v[i]->key_at, n->v[i]->key,
			    "there is no such key; a step of growth has until "
			    "and by");
			is_good = false;
		}
	if (by == NULL) {
		reader_fail_key(r, n->at, "by", "is missing");
		return false;
	}
	is_good &= key_read_measure(r, &by_key, by, &out->by_permille);
	if (until != NULL)
		is_good &= key_read_measure(r, &until_key, until, &out->until);
	else if (!is_last) {
		reader_fail_key(r, n->at, "until",
		    "is missing; only the last step may go without");
		is_good = false;
	}
	return is_good;
}

static bool
read_growth(struct reader *r, const struct key *k, struct node *n, void *base)
{
	struct conf_schedule *s = KEY_FIELD(k, base);
	struct conf_schedule read = { 0 };
	bool is_good = true;

	if (n->kind != NODE_LIST) {
		read.n_growth = 1;
		read.growth[0].until = INT64_MAX;
		is_good = key_read_measure(r, &by_key, n,
		    &read.growth[0].by_permille);
	} else if (n->n == 0 || n->n > CONF_GROWTH_MAX) {
		reader_fail(r, n, "must have 1 to %d steps", CONF_GROWTH_MAX);
		return false;
	}
	for (size_t i = 0; n->kind == NODE_LIST && i < n->n; i++) {
		struct conf_growth *g = &read.growth[read.n_growth++];
		size_t mark = reader_enter_item(r, i);

		is_good &= read_rule(r, n->v[i], i + 1 == n->n, g);
		if (is_good && i > 0 && g->until <= g[-1].until) {
			reader_fail(r, n->v[i],
			    "until must be more than the step before has");
			is_good = false;
		}
		reader_leave(r, mark);
	}
	if (is_good) {
		memcpy(s->growth, read.growth, sizeof(s->growth));
		s->n_growth = read.n_growth;
	} else {
		n->is_bad = true;
	}
	return is_good;
}

static void
write_growth_of(const struct conf_schedule *s, struct strbuf *out)
{
	char text[UNITS_TEXT_SIZE];

	if (s->n_growth == 1 && s->growth[0].until == INT64_MAX) {
		strbuf_adds(out,
		    units_format_permille(s->growth[0].by_permille, text));
		return;
	}
	strbuf_addc(out, '[');
	for (size_t i = 0; i < s->n_growth; i++) {
		strbuf_adds(out, i > 0 ? ", {" : "{");
		if (s->growth[i].until != INT64_MAX)
			strbuf_addf(out, "until: %" PRId64 ", ",
			    s->growth[i].until);
		strbuf_addf(out, "by: %s}",
		    units_format_permille(s->growth[i].by_permille, text));
	}
	strbuf_addc(out, ']');
}

static void
write_growth(const struct key *k, const void *base, struct strbuf *out)
{
	write_growth_of(KEY_FIELD_CONST(k, base), out);
}

static bool
is_unset_growth(const struct key *k, const void *base)
{
	const struct conf_schedule *s = KEY_FIELD_CONST(k, base);

	return s->n_growth == 0;
}

const struct key_type type_growth = {
	.doc = "percentage or list of steps",
	.read = read_growth,
	.write = write_growth,
	.is_unset = is_unset_growth,
};

/* ---- volumes ---- */

static bool
read_volumes(struct reader *r, const struct key *k, struct node *n, void *base)
{
	struct conf_schedule *s = KEY_FIELD(k, base);
	int64_t *v;
	bool is_good = true;

	if (n->kind != NODE_LIST) {
		reader_fail(r, n, "must be a list of numbers, not %s",
		    node_kind_name(n->kind));
		return false;
	}
	if (n->n == 0 || n->n > VOLUMES_MAX) {
		reader_fail(r, n, "must have 1 to %d days", VOLUMES_MAX);
		return false;
	}
	v = xcalloc(n->n, sizeof(*v));
	for (size_t i = 0; i < n->n; i++) {
		bool is_read = key_read_measure(r, &until_key, n->v[i], &v[i]);

		if (is_read && i > 0 && v[i] < v[i - 1]) {
			reader_fail(r, n->v[i],
			    "is less than the day before: a plan only grows");
			is_read = false;
		}
		is_good &= is_read;
	}
	if (!is_good) {
		free(v);
		return false;
	}
	free(s->volumes);
	s->volumes = v;
	s->n_volumes = n->n;
	return true;
}

static void
write_volumes_of(const struct conf_schedule *s, struct strbuf *out)
{
	strbuf_addc(out, '[');
	for (size_t i = 0; i < s->n_volumes; i++)
		strbuf_addf(out, "%s%" PRId64, i > 0 ? ", " : "",
		    s->volumes[i]);
	strbuf_addc(out, ']');
}

static void
write_volumes(const struct key *k, const void *base, struct strbuf *out)
{
	write_volumes_of(KEY_FIELD_CONST(k, base), out);
}

static void
fini_volumes(const struct key *k, void *base)
{
	struct conf_schedule *s = KEY_FIELD(k, base);

	free(s->volumes);
	s->volumes = NULL;
	s->n_volumes = 0;
}

static bool
is_unset_volumes(const struct key *k, const void *base)
{
	const struct conf_schedule *s = KEY_FIELD_CONST(k, base);

	return s->n_volumes == 0;
}

const struct key_type type_volumes = {
	.doc = "list of numbers",
	.read = read_volumes,
	.write = write_volumes,
	.fini = fini_volumes,
	.is_unset = is_unset_volumes,
};

/* ---- schedules ---- */

/* Days until the target, as the scheduler counts them; VOLUMES_MAX: never in
 * a lifetime of plans. */
static int64_t
days_to_target(const struct conf_schedule *s)
{
	__int128 micro = (__int128)s->from * 1000000;
	__int128 target = (__int128)s->to * 1000000;
	int64_t days = 0;
	size_t i = 0;

	for (; micro < target && days < VOLUMES_MAX; days++) {
		while (i + 1 < s->n_growth &&
		    micro / 1000000 >= s->growth[i].until)
			i++;
		micro = micro * s->growth[i].by_permille / 1000;
	}
	return days;
}

static bool
check_grown(struct reader *r, struct node *n, const struct conf_schedule *s)
{
	struct node *growth = node_member(n, "growth");
	char text[UNITS_TEXT_SIZE];

	if (s->from == 0 || s->to == 0 || s->n_growth == 0) {
		reader_fail(r, n,
		    "needs from, growth and to, or volumes for each day");
		return false;
	}
	if (s->to < s->from) {
		reader_fail(r, n, "to is less than from: a plan only grows");
		return false;
	}
	for (size_t i = 0; s->to > s->from && i < s->n_growth; i++)
		if (s->growth[i].by_permille <= 1000) {
			reader_fail(r, growth != NULL ? growth : n,
			    "growth of %s never leads from %" PRId64
			    " to %" PRId64 "; tomorrow must be more than "
			    "100%% of today",
			    units_format_permille(s->growth[i].by_permille,
				text),
			    s->from, s->to);
			return false;
		}
	if (days_to_target(s) == VOLUMES_MAX) {
		reader_fail(r, growth != NULL ? growth : n,
		    "it would take more than ten years to get from %" PRId64
		    " to %" PRId64,
		    s->from, s->to);
		return false;
	}
	return true;
}

bool
schedule_check(struct reader *r, struct node *n, const struct conf_schedule *s)
{
	if (node_is_bad(n))
		return false; /* said already */
	if (s->n_volumes == 0)
		return check_grown(r, n, s);
	if (s->from != 0 || s->to != 0 || s->n_growth != 0) {
		reader_fail(r, n,
		    "volumes are each day's numbers; from, growth and to "
		    "can't stand beside them");
		return false;
	}
	return true;
}

static const struct key volumes_key = { "volumes", &type_volumes, .offset = 0 };

/* A schedule is one thing: it takes the place of the one before as a whole. */
static bool
read_schedule(struct reader *r, const struct key *k, struct node *n, void *base)
{
	struct conf_schedule *field = KEY_FIELD(k, base);
	struct conf_schedule s = { 0 };
	bool is_good;

	if (n->kind == NODE_LIST) {
		is_good = read_volumes(r, &volumes_key, n, &s);
	} else if (n->kind == NODE_MAP) {
		section_read(r, k->section, n, &s);
		is_good = schedule_check(r, n, &s);
	} else {
		reader_fail(r, n,
		    "must be {from: 50, growth: 150%%, to: 100k} or a list "
		    "of each day's volume");
		return false;
	}
	if (!is_good) {
		free(s.volumes);
		return false;
	}
	free(field->volumes);
	*field = s;
	return true;
}

static void
write_schedule(const struct key *k, const void *base, struct strbuf *out)
{
	const struct conf_schedule *s = KEY_FIELD_CONST(k, base);

	if (s->n_volumes > 0) {
		strbuf_adds(out, "{volumes: ");
		write_volumes_of(s, out);
	} else {
		strbuf_addf(out, "{from: %" PRId64 ", growth: ", s->from);
		write_growth_of(s, out);
		strbuf_addf(out, ", to: %" PRId64, s->to);
	}
	strbuf_addc(out, '}');
}

const struct key_type type_schedule = {
	.doc = "schedule",
	.read = read_schedule,
	.write = write_schedule,
	.fini = fini_volumes,
};

/* ---- start ---- */

static bool
read_start(struct reader *r, const struct key *k, struct node *n, void *base)
{
	const char *text = key_node_text(r, n, "date");
	int64_t day;

	if (text == NULL)
		return false;
	day = strcmp(text, "first_message") == 0 ? -1 : zone_date_parse(text);
	if (day < 0 && strcmp(text, "first_message") != 0) {
		reader_fail(r, n,
		    "\"%.40s\" is no date; write 2026-12-01 or first_message",
		    text);
		return false;
	}
	*(int64_t *)KEY_FIELD(k, base) = day;
	return true;
}

static void
write_start(const struct key *k, const void *base, struct strbuf *out)
{
	int64_t day = *(const int64_t *)KEY_FIELD_CONST(k, base);
	char text[ZONE_DATE_SIZE];

	strbuf_adds(out, day < 0 ? "first_message" : zone_date(day, text));
}

const struct key_type type_start = {
	.doc = "date",
	.read = read_start,
	.write = write_start,
};

/* ---- windows ---- */

/* "07:00" up to "24:00", or a duration; up to `end`. */
static bool
parse_time(const char *s, const char *end, int64_t *us_out)
{
	char text[40];
	size_t len = (size_t)(end - s);
	int hour, minute;

	if (len >= sizeof(text))
		return false;
	memcpy(text, s, len);
	text[len] = '\0';
	if (len != 5 || text[2] != ':')
		return units_parse_duration(text, us_out, NULL) == 0;
	for (int i = 0; i < 5; i++)
		if (i != 2 && !isdigit((unsigned char)text[i]))
			return false;
	hour = (text[0] - '0') * 10 + text[1] - '0';
	minute = (text[3] - '0') * 10 + text[4] - '0';
	*us_out = hour * HOUR + minute * MINUTE;
	return minute < 60 && *us_out <= DAY;
}

static bool
read_window(struct reader *r, const struct key *k, struct node *n, void *base)
{
	struct conf_plan *plan = base;
	const char *text = key_node_text(r, n, "window");
	const char *dash;
	int64_t from_us, to_us;

	(void)k;
	if (text == NULL)
		return false;
	if (strcmp(text, "all") == 0) {
		plan->window_from_us = plan->window_to_us = 0;
		return true;
	}
	dash = strchr(text, '-');
	if (dash == NULL || !parse_time(text, dash, &from_us) ||
	    !parse_time(dash + 1, dash + strlen(dash), &to_us)) {
		reader_fail(r, n,
		    "\"%.40s\" is no window; write \"07:00-21:00\" or all",
		    text);
		return false;
	}
	if (from_us >= to_us) {
		reader_fail(r, n,
		    from_us == to_us
			? "\"%.40s\" is a window of no length"
			: "\"%.40s\" ends before it begins; a window can't "
			  "go past midnight",
		    text);
		return false;
	}
	plan->window_from_us = from_us;
	plan->window_to_us = to_us;
	return true;
}

static void
write_window(const struct key *k, const void *base, struct strbuf *out)
{
	const struct conf_plan *plan = base;
	int64_t from_us = plan->window_from_us, to_us = plan->window_to_us;
	char from[UNITS_TEXT_SIZE], to[UNITS_TEXT_SIZE];

	(void)k;
	if (from_us == 0 && to_us == plan->day_us)
		strbuf_adds(out, "all");
	else if (from_us % MINUTE == 0 && to_us % MINUTE == 0)
		strbuf_addf(out, "\"%02d:%02d-%02d:%02d\"",
		    (int)(from_us / HOUR), (int)(from_us / MINUTE % 60),
		    (int)(to_us / HOUR), (int)(to_us / MINUTE % 60));
	else
		strbuf_addf(out, "\"%s-%s\"",
		    units_format_duration(from_us, from),
		    units_format_duration(to_us, to));
}

const struct key_type type_window = {
	.doc = "window",
	.read = read_window,
	.write = write_window,
};
