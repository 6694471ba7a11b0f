/* SPDX-License-Identifier: ISC */
/*
 * Forecasts: a plan's outlook walked day by day, under the rate that holds.
 * The scheduler's views ask; nothing is changed. It takes each day for a good
 * one, so it says the earliest: a day that goes badly makes it later.
 */
#include "scheduler/forecast.h"

#include <stddef.h>

/* How long n take at this rate; 0 when there is none. */
static int64_t
span_of(const struct rate *r, int64_t n)
{
	__int128 us;

	if (rate_is_unlimited(r))
		return 0;
	us = (__int128)n * r->window_us / r->count;
	return us < INT64_MAX / 2 ? (int64_t)us : INT64_MAX / 2;
}

static int64_t
n_within(const struct rate *r, int64_t span_us)
{
	__int128 n;

	if (rate_is_unlimited(r))
		return INT64_MAX;
	n = (__int128)span_us * r->count / r->window_us;
	return n < INT64_MAX ? (int64_t)n : INT64_MAX;
}

/* A plan's day from now on: from when to when, and for how many. */
struct outlook {
	int64_t from_us, to_us;
	int64_t open_us; /* the window's begin */
	int64_t allowed; /* of the whole day; INT64_MAX */
	int64_t used;
};

static struct outlook
look(const struct warmup *w, int64_t ahead, int64_t now_us)
{
	const struct calendar *c = &w->calendar;
	int64_t day = w->st.day + ahead;
	struct outlook o = {
		.open_us = calendar_at(c, day, w->plan->window_from_us),
		.to_us = calendar_at(c, day, w->plan->window_to_us),
		.allowed = warmup_outlook(w, ahead),
		.used = ahead == 0 ? warmup_charged(w) : 0,
	};

	if (day < w->st.first_day && w->plan->start_day >= 0)
		o.allowed = 0;
	if (ahead == 0 && w->st.is_stopped)
		o.allowed = o.used;
	/* A plan that has done its work knows no window. */
	if (o.allowed == INT64_MAX) {
		o.open_us = calendar_begin(c, day);
		o.to_us = calendar_begin(c, day + 1);
	}
	o.from_us = o.open_us > now_us ? o.open_us : now_us;
	return o;
}

/* When the n-th more of this day leaves. */
static int64_t
done_at(const struct forecast *f, const struct outlook *o, int64_t n)
{
	int64_t by_rate_us = o->from_us + span_of(&f->rate, n);
	__int128 window_us = o->to_us - o->open_us;
	int64_t even_us, caught_us;

	if (o->allowed == INT64_MAX || f->plan->plan->pace != PACE_EVEN)
		return by_rate_us;
	/* The even pace, or twice of it from now on, whichever is later. */
	even_us =
	    o->open_us + (int64_t)(window_us * (o->used + n - 1) / o->allowed);
	caught_us =
	    o->from_us + (int64_t)(window_us * (n - 1) / 2 / o->allowed);
	if (even_us < caught_us)
		even_us = caught_us;
	return even_us > by_rate_us ? even_us : by_rate_us;
}

static int64_t
day_takes(const struct forecast *f, const struct outlook *o)
{
	int64_t left, by_rate, twice;

	if (o->from_us >= o->to_us)
		return 0;
	by_rate = n_within(&f->rate, o->to_us - o->from_us);
	if (o->allowed == INT64_MAX)
		return by_rate;
	left = o->allowed > o->used ? o->allowed - o->used : 0;
	/* What came late catches up at twice the pace at most. */
	twice = (int64_t)((__int128)(o->to_us - o->from_us) * 2 * o->allowed /
	    (o->to_us - o->open_us));
	if (f->plan->plan->pace == PACE_EVEN && twice < left)
		left = twice;
	return left < by_rate ? left : by_rate;
}

int64_t
forecast_done(const struct forecast *f, int64_t *n_days_out)
{
	int64_t now_us = f->opens_us > f->utc_us ? f->opens_us : f->utc_us;
	int64_t n = f->n;

	if (n_days_out != NULL)
		*n_days_out = 0;
	if (f->opens_us == INT64_MAX)
		return n > 0 ? INT64_MAX : f->utc_us;
	if (n <= 0)
		return f->utc_us;
	if (f->plan == NULL || f->plan->st.day == WARMUP_NO_DAY)
		return now_us + span_of(&f->rate, n);
	for (int64_t ahead = 0; ahead < FORECAST_DAYS; ahead++) {
		struct outlook o = look(f->plan, ahead, now_us);
		int64_t takes = day_takes(f, &o);

		if (n_days_out != NULL)
			*n_days_out = ahead + 1;
		if (n <= takes)
			return done_at(f, &o, n);
		n -= takes;
	}
	return INT64_MAX;
}
