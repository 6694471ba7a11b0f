/* SPDX-License-Identifier: ISC */
/* Plans run on a virtual clock: each day's numbers against hand computation. */
#include "scheduler/simulate.h"

#include <time.h>

#include "tests/unit/plan_world.h"

#define DAYS_MAX 400

struct run {
	struct simulate_day days[DAYS_MAX];
	size_t n;
};

static void
keep(const struct simulate_day *day, void *arg)
{
	struct run *r = arg;

	assert_true(r->n < DAYS_MAX);
	r->days[r->n++] = *day;
}

static struct simulate
simulate_of(struct plan_world *pw, int64_t demand, int64_t n_days)
{
	return (struct simulate){
		.conf = &pw->w.f.conf,
		.route = "ip-a",
		.provider = "gmail",
		.demand = demand,
		.n_days = n_days,
		.start_utc_us = zone_date_parse("2026-03-01") * DAY + 5 * HOUR,
		.seed = 1,
	};
}

static void
forty_five_days_are_as_computed_by_hand(void **state)
{
	static const int64_t volumes[] = { 50, 75, 112, 168, 253, 379, 569, 854,
		1281, 1922, 2883, 4324, 6487, 9730, 14596, 21894, 32842, 49263,
		73894, 100000, 100000, 100000 };
	struct plan_world pw;
	static struct run r;

	(void)state;
	for (int is_even = 0; is_even < 2; is_even++) {
		struct zone *zone = zone_open("Europe/Berlin", NULL);
		struct simulate sim;
		int64_t held = 0;

		pw_init(&pw);
		pw_streams(&pw);
		pw.plans[0].pace = is_even ? PACE_EVEN : PACE_FRONT;
		sim = simulate_of(&pw, 50000, 45);
		sim.zone = zone;
		r.n = 0;
		assert_int_equal(simulate_run(&sim, keep, &r, NULL), 0);
		assert_int_equal(r.n, 45);
		for (size_t i = 0; i < r.n; i++) {
			const struct simulate_day *d = &r.days[i];
			int64_t allowed =
			    i < N_OF(volumes) ? volumes[i] : INT64_MAX;
			int64_t wanted = held + 50000;

			assert_int_equal(d->day, i + 1);
			assert_int_equal(d->date,
			    zone_date_parse("2026-03-01") + (int64_t)i);
			assert_true(d->allowed == allowed);
			assert_int_equal(d->overflowed, 0);
			assert_int_equal(d->sent + d->held, wanted);
			/* up to the pace's last step */
			if (wanted > allowed)
				assert_in_range(d->sent, allowed - is_even,
				    allowed);
			else
				assert_in_range(d->held, 0, is_even);
			held = d->held;
		}
		zone_close(zone);
	}
}

static void
what_is_over_leaves_by_the_next_route(void **state)
{
	static struct run r;
	struct plan_world pw;
	struct simulate sim;

	(void)state;
	pw_init(&pw);
	pw.plans[0].overflow = OVERFLOW_NEXT_ROUTE;
	pw_streams(&pw);
	sim = simulate_of(&pw, 1000, 12);
	r.n = 0;
	assert_int_equal(simulate_run(&sim, keep, &r, NULL), 0);
	assert_int_equal(r.days[0].sent, 50);
	assert_int_equal(r.days[0].overflowed, 950);
	assert_int_equal(r.days[7].sent, 854);
	assert_int_equal(r.days[7].overflowed, 146);
	assert_int_equal(r.days[8].sent, 1000);
	assert_int_equal(r.days[8].overflowed, 0);
	for (size_t i = 0; i < r.n; i++)
		assert_int_equal(r.days[i].held, 0);
}

static void
deferrals_hold_a_plan_where_they_are_too_many(void **state)
{
	static const struct {
		int64_t deferred_permille, stage;
	} rows[] = {
		{ 0, 10 },
		{ 30, 10 },
		{ 90, 10 },
		/* a bad day in two is held, then it steps back to the first */
		{ 110, 1 },
		{ 500, 1 },
	};

	(void)state;
	for (size_t i = 0; i < N_OF(rows); i++) {
		static struct run r;
		struct plan_world pw;
		struct simulate sim;

		pw_init(&pw);
		pw_streams(&pw);
		sim = simulate_of(&pw, 5000, 10);
		sim.deferred_permille = rows[i].deferred_permille;
		r.n = 0;
		assert_int_equal(simulate_run(&sim, keep, &r, NULL), 0);
		assert_int_equal(r.days[9].stage, rows[i].stage);
		for (size_t k = 0; k < r.n; k++)
			assert_true(r.days[k].sent <= r.days[k].allowed);
	}
}

static void
a_rehearsal_has_days_of_20s(void **state)
{
	static struct run r;
	struct plan_world pw;
	struct simulate sim;

	(void)state;
	pw_init(&pw);
	pw.plans[0].day_us = pw.plans[0].window_to_us = 20 * SEC;
	pw.plans[0].pace = PACE_EVEN;
	pw_streams(&pw);
	sim = simulate_of(&pw, 3000, 10);
	r.n = 0;
	assert_int_equal(simulate_run(&sim, keep, &r, NULL), 0);
	assert_int_equal(r.days[0].allowed, 50);
	assert_in_range(r.days[0].sent, 49, 50);
	assert_int_equal(r.days[9].allowed, 1922);
	assert_in_range(r.days[9].sent, 1921, 1922);
	assert_int_equal(r.days[9].day, 10);
}

static void
what_cant_be_simulated_is_refused(void **state)
{
	static const struct {
		const char *route, *provider;
		int64_t demand, n_days, deferred;
		const char *why;
	} rows[] = {
		{ "ip-x", "gmail", 1, 1, 0, "there is no route \"ip-x\"" },
		{ "ip-a", "gmial", 1, 1, 0, "there is no provider \"gmial\"" },
		{ "ip-a", "gmail", 0, 1, 0, "the demand is 1 to 100M a day" },
		{ "ip-a", "gmail", 1, 0, 0, "days are 1 to 3650" },
		{ "ip-a", "gmail", 1, 3651, 0, "days are 1 to 3650" },
		{ "ip-a", "gmail", 1, 1, 1001,
		    "the deferred share is 0% to 100%" },
	};
	static struct run r;
	struct plan_world pw;

	(void)state;
	pw_init(&pw);
	pw_streams(&pw);
	for (size_t i = 0; i < N_OF(rows); i++) {
		struct simulate sim =
		    simulate_of(&pw, rows[i].demand, rows[i].n_days);
		struct err err;

		sim.route = rows[i].route;
		sim.provider = rows[i].provider;
		sim.deferred_permille = rows[i].deferred;
		assert_int_equal(simulate_run(&sim, keep, &r, &err), -1);
		assert_string_equal(err.text, rows[i].why);
	}
}

/* Not a timed test: the time is printed, for people. */
static void
sixty_days_of_a_million(void **state)
{
	static struct run r;
	struct plan_world pw;
	struct simulate sim;
	clock_t began = clock();

	(void)state;
	pw_init(&pw);
	pw.plans[0].pace = PACE_EVEN;
	pw.plans[0].overflow = OVERFLOW_NEXT_ROUTE;
	pw_streams(&pw);
	sim = simulate_of(&pw, 1000000, 60);
	r.n = 0;
	assert_int_equal(simulate_run(&sim, keep, &r, NULL), 0);
	for (size_t i = 0; i < 22; i++) {
		/* all of the day, but for a transaction's length */
		assert_in_range(r.days[i].sent,
		    r.days[i].allowed - r.days[i].allowed / 100 - 1,
		    r.days[i].allowed);
		assert_int_equal(r.days[i].sent + r.days[i].overflowed,
		    1000000);
	}
	print_message("took %.1f s\n",
	    (double)(clock() - began) / CLOCKS_PER_SEC);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(forty_five_days_are_as_computed_by_hand),
		cmocka_unit_test(what_is_over_leaves_by_the_next_route),
		cmocka_unit_test(deferrals_hold_a_plan_where_they_are_too_many),
		cmocka_unit_test(a_rehearsal_has_days_of_20s),
		cmocka_unit_test(what_cant_be_simulated_is_refused),
		cmocka_unit_test(sixty_days_of_a_million),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
