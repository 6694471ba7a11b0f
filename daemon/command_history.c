/* SPDX-License-Identifier: ISC */
/*
 * `history`: what became of a lane's mail, by the minute for a day, by the
 * hour for 400 days. The points are read at once and written in steps.
 */
#include <stdlib.h>
#include <string.h>

#include "conf/base/units.h"
#include "conf/base/xalloc.h"
#include "daemon/command_private.h"
#include "daemon/history.h"

#define SEC INT64_C(1000000)
#define DAY (86400 * SEC)

struct points {
	struct history_point *v;
	size_t n, cap, next;
};

static void
keep_point(const struct history_point *p, void *arg)
{
	struct points *points = arg;

	if (points->n == points->cap) {
		points->cap = points->cap ? 2 * points->cap : 64;
		points->v =
		    xrealloc(points->v, points->cap * sizeof(*points->v));
	}
	points->v[points->n++] = *p;
}

static void
show_refused(struct command *c, const struct history_point *p)
{
	answer_open(&c->out, "refused", '{');
	for (int class = 0; class < CLASS_COUNT; class ++)
		if (p->n_refused[class] > 0)
			answer_int(&c->out,
			    reply_class_name((enum reply_class) class),
			    p->n_refused[class]);
	answer_close(&c->out, '}');
}

static void
show_point(struct command *c, const struct history_point *p)
{
	answer_open(&c->out, NULL, '{');
	answer_time(&c->out, "at", p->utc_s * SEC);
	answer_int(&c->out, "accepted", p->n_accepted);
	answer_int(&c->out, "delivered", p->n_delivered);
	answer_int(&c->out, "deferred", p->n_deferred);
	answer_int(&c->out, "bounced", p->n_bounced);
	show_refused(c, p);
	answer_int(&c->out, "queued", p->n_queued);
	if (p->rate_milli < 0)
		answer_null(&c->out, "rate_per_s");
	else
		answer_ratio(&c->out, "rate_per_s", p->rate_milli, 1000);
	answer_opt(&c->out, "reply", p->reply);
	answer_close(&c->out, '}');
}

static enum step
step_points(struct command *c)
{
	struct points *points = c->state;

	while (points->next < points->n) {
		if (command_is_long(c))
			return STEP_MORE;
		show_point(c, &points->v[points->next++]);
	}
	answer_close(&c->out, ']');
	answer_close(&c->out, '}');
	return STEP_DONE;
}

static void
release_points(struct command *c)
{
	struct points *points = c->state;

	free(points->v);
	free(points);
}

/* `since DURATION` behind the lane. */
static int
take_since(struct command *c, int64_t *us_out)
{
	struct err err;

	*us_out = DAY;
	if (c->n_args == 1)
		return 0;
	if (c->n_args != 3 || strcmp(c->args[1], "since") != 0)
		return command_misused(c,
		    "behind the lane comes since "
		    "DURATION, or nothing");
	if (units_parse_duration(c->args[2], us_out, &err) < 0)
		return command_misused(c, "since: %s", err.text);
	return 0;
}

int
command_history(struct command *c)
{
	enum history_kind kind;
	struct points *points;
	struct lane_view l;
	int64_t since_us;
	const char *lane = c->args[0];

	if (take_since(c, &since_us) < 0)
		return -1;
	kind = since_us <= DAY ? HISTORY_MINUTE : HISTORY_HOUR;
	points = xcalloc(1, sizeof(*points));
	c->state = points;
	c->release = release_points;
	if (!history_read(governor_history(c->g), lane, kind,
		(c->now_utc_us - since_us) / SEC, c->now_utc_us / SEC,
		keep_point, points) &&
	    !sched_lane_get(governor_sched(c->g), lane, c->now_us, &l))
		return command_no_such_lane(c, lane);
	answer_open(&c->out, NULL, '{');
	answer_str(&c->out, "lane", lane);
	answer_int(&c->out, "step_s", history_span_s[kind]);
	answer_open(&c->out, "points", '[');
	c->step = step_points;
	return 0;
}
