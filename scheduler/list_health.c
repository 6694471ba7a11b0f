/* SPDX-License-Identifier: ISC */
/*
 * List health: a stream whose addresses bounce is stopped before providers
 * notice. Verdicts add here, the scheduler's gate asks is_held. Only the
 * operator ends it, as only he can clean the list; the counts begin anew then,
 * or the next bounce would stop it again.
 */
#include "scheduler/list_health.h"

#include <inttypes.h>
#include <stdio.h>

#include "conf/base/units.h"

#define DAY_US (86400 * INT64_C(1000000))

static void
turn_page(struct list_health *h, int64_t day)
{
	static const struct list_counts none;

	/* A clock that steps back goes on with the page that is open. */
	if (day <= h->day)
		return;
	h->counts[1] = day == h->day + 1 ? h->counts[0] : none;
	h->counts[0] = none;
	h->day = day;
}

static struct list_counts
sum(const struct list_health *h)
{
	return (struct list_counts){
		h->counts[0].attempted + h->counts[1].attempted,
		h->counts[0].dirty + h->counts[1].dirty,
	};
}

enum list_news
list_health_add(struct list_health *h, const struct conf_list_health *conf,
    int64_t attempted, int64_t dirty, int64_t utc_us)
{
	struct list_counts n;
	bool is_bad;

	turn_page(h, utc_us / DAY_US);
	h->counts[0].attempted += attempted;
	h->counts[0].dirty += dirty;
	n = sum(h);
	is_bad = conf->is_given && n.attempted > 0 &&
	    n.attempted >= conf->sample &&
	    n.dirty * 1000 >= n.attempted * conf->bounced_permille;
	if (!is_bad) {
		h->is_alerted = h->is_held;
		return LIST_FINE;
	}
	if (h->is_alerted)
		return LIST_FINE;
	h->is_alerted = true;
	h->since_us = utc_us;
	h->is_held = conf->action == LIST_HOLD;
	return LIST_TURNED_BAD;
}

void
list_health_resume(struct list_health *h)
{
	int64_t day = h->day;

	*h = (struct list_health){ .day = day };
}

void
list_health_say(const struct list_health *h,
    const struct conf_list_health *conf, char *out, size_t size)
{
	char limit[UNITS_TEXT_SIZE];
	struct list_counts n = sum(h);

	snprintf(out, size,
	    "%" PRId64 " of %" PRId64
	    " recipients don't exist, the limit is %s",
	    n.dirty, n.attempted,
	    units_format_permille(conf->bounced_permille, limit));
}

char *
list_health_format(const struct list_health *h, char out[LIST_HEALTH_TEXT_SIZE])
{
	snprintf(out, LIST_HEALTH_TEXT_SIZE,
	    "1 %" PRId64 " %" PRId64 " %" PRId64 " %" PRId64 " %" PRId64
	    " %d %" PRId64 " %d",
	    h->day, h->counts[0].attempted, h->counts[0].dirty,
	    h->counts[1].attempted, h->counts[1].dirty, h->is_held, h->since_us,
	    h->is_alerted);
	return out;
}

int
list_health_parse(struct list_health *h, const char *text)
{
	struct list_health r = { 0 };
	int is_held, is_alerted, end = 0;

	if (sscanf(text,
		"1 %" SCNd64 " %" SCNd64 " %" SCNd64 " %" SCNd64 " %" SCNd64
		" %d %" SCNd64 " %d%n",
		&r.day, &r.counts[0].attempted, &r.counts[0].dirty,
		&r.counts[1].attempted, &r.counts[1].dirty, &is_held,
		&r.since_us, &is_alerted, &end) != 8 ||
	    text[end] != '\0')
		return -1;
	for (int i = 0; i < 2; i++)
		if (r.counts[i].attempted < 0 || r.counts[i].dirty < 0 ||
		    r.counts[i].attempted > INT64_MAX / 4000 ||
		    r.counts[i].dirty > INT64_MAX / 4000)
			return -1;
	r.is_held = is_held != 0;
	r.is_alerted = is_alerted != 0;
	*h = r;
	return 0;
}
