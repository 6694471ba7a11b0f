/* SPDX-License-Identifier: ISC */
/* The controller of speed by itself. What it achieves against providers is
 * test_sim's. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

#include "scheduler/adapt.h"

#define SEC INT64_C(1000000)

static struct conf_adapt
rehearsal(void)
{
	return (struct conf_adapt){
		.enabled = true,
		.floor = { 1, 60 * SEC },
		.react = { .decrease_permille = 150, .hold_us = SEC },
		.recover = { .probe_permille = 50, .every_us = SEC / 2 },
	};
}

/* Sends `per_s` for so long, all accepted; returns the time after. */
static int64_t
flow(struct adapt *a, int64_t per_s, int64_t span_us, int64_t now_us)
{
	for (int64_t i = 0; i < span_us * per_s / SEC; i++) {
		int64_t at_us = now_us + i * SEC / per_s;

		while (adapt_due(a) <= at_us)
			if (!adapt_step(a, adapt_due(a)))
				break;
		adapt_sent(a, 1, at_us);
		adapt_accepted(a, adapt_epoch(a), 1, at_us);
		adapt_answered(a, adapt_epoch(a));
	}
	return now_us + span_us;
}

static bool
refuse(struct adapt *a, uint32_t epoch, unsigned n_in_flight, int64_t now_us)
{
	bool changed = adapt_refused(a, epoch, 1, n_in_flight, now_us);

	adapt_answered(a, epoch);
	return changed;
}

static struct adapt
an_adapt(int64_t per_s)
{
	struct conf_adapt c = rehearsal();
	struct adapt a;

	adapt_init(&a, &c, per_s * RATE_ONE, SEC);
	return a;
}

static void
without_refusals_the_configured_rates_hold_alone(void **state)
{
	struct adapt a = an_adapt(100);
	int64_t now_us = flow(&a, 80, 20 * SEC, SEC);

	(void)state;
	assert_int_equal(adapt_rate(&a), 0);
	assert_true(adapt_when(&a, now_us) <= now_us);
	assert_int_equal(adapt_depth(&a), INT64_MAX);
	assert_int_equal(adapt_due(&a), INT64_MAX);
}

static void
a_refusal_leads_below_what_was_accepted(void **state)
{
	static const int64_t rates[] = { 10, 50, 400 };

	(void)state;
	for (size_t i = 0; i < 3; i++) {
		struct adapt a = an_adapt(1000);
		int64_t now_us = flow(&a, rates[i], 5 * SEC, SEC);

		assert_true(refuse(&a, adapt_epoch(&a), 0, now_us));
		assert_in_range(adapt_rate(&a), rates[i] * RATE_ONE * 75 / 100,
		    rates[i] * RATE_ONE * 85 / 100);
	}
}

static void
one_window_is_one_decision(void **state)
{
	struct adapt a = an_adapt(1000);
	int64_t now_us = flow(&a, 100, 5 * SEC, SEC);
	uint32_t before = adapt_epoch(&a);
	int64_t first;

	(void)state;
	/* Ten are in flight; the first refusal decides, the rest make it more
	 * exact, and one more that was sent with them doesn't count again. */
	for (int i = 0; i < 10; i++)
		adapt_sent(&a, 1, now_us);
	assert_true(refuse(&a, before, 9, now_us));
	first = adapt_rate(&a);
	assert_true(adapt_is_deciding(&a));
	for (int i = 0; i < 4; i++)
		refuse(&a, before, 8 - (unsigned)i, now_us + i * 1000);
	assert_in_range(adapt_rate(&a), first / 4, first);
	for (int i = 0; i < 5; i++) {
		adapt_accepted(&a, before, 1, now_us + 5000);
		adapt_answered(&a, before);
	}
	assert_false(adapt_is_deciding(&a));
	assert_true(adapt_rate(&a) <= first);
	first = adapt_rate(&a);
	assert_false(refuse(&a, before, 0, now_us + 6000));
	assert_int_equal(adapt_rate(&a), first);
	/* What was sent after it does. */
	assert_true(refuse(&a, adapt_epoch(&a), 0, now_us + 400000));
	assert_true(adapt_rate(&a) < first);
}

static void
it_holds_then_climbs_then_waits(void **state)
{
	struct adapt a = an_adapt(1000);
	int64_t now_us = flow(&a, 100, 5 * SEC, SEC), low;

	(void)state;
	refuse(&a, adapt_epoch(&a), 0, now_us);
	low = adapt_rate(&a);
	assert_int_equal(a.state, ADAPT_HOLDING);
	assert_int_equal(adapt_due(&a), now_us + SEC);
	assert_false(adapt_step(&a, now_us + SEC - 1));
	assert_true(adapt_step(&a, now_us + SEC));
	assert_int_equal(a.state, ADAPT_FLAT);
	assert_in_range(adapt_rate(&a), low * 110 / 100, low * 120 / 100);
	assert_true(adapt_due(&a) >= now_us + 2 * SEC);
}

static void
never_above_the_ceiling_nor_below_the_floor(void **state)
{
	struct adapt a = an_adapt(100);
	int64_t now_us = flow(&a, 100, 5 * SEC, SEC);

	(void)state;
	for (int i = 0; i < 200; i++) {
		now_us += 2 * SEC;
		adapt_sent(&a, 1, now_us);
		refuse(&a, adapt_epoch(&a), 0, now_us);
		assert_true(adapt_rate(&a) >= a.floor);
	}
	assert_int_equal(adapt_rate(&a), a.floor);
	for (int i = 0; i < 4000 && a.state != ADAPT_OPEN; i++) {
		int64_t when_us = adapt_when(&a, now_us);

		now_us = when_us > now_us ? when_us : now_us;
		while (adapt_due(&a) <= now_us && adapt_step(&a, now_us))
			;
		adapt_sent(&a, 1, now_us);
		adapt_accepted(&a, adapt_epoch(&a), 1, now_us);
		adapt_answered(&a, adapt_epoch(&a));
		assert_true(adapt_rate(&a) < 100 * RATE_ONE);
	}
	assert_int_equal(a.state, ADAPT_OPEN);
}

static void
what_is_not_used_does_not_grow(void **state)
{
	struct adapt a = an_adapt(1000);
	int64_t now_us = flow(&a, 100, 5 * SEC, SEC), flat;

	(void)state;
	refuse(&a, adapt_epoch(&a), 0, now_us);
	adapt_step(&a, now_us + SEC);
	flat = adapt_rate(&a);
	/* One message a second at a rate of about a hundred; after an hour of
	 * such minutes without a refusal it is forgiven by and by. */
	for (int i = 2; i < 300; i++) {
		int64_t at_us = now_us + i * SEC;

		while (adapt_due(&a) <= at_us && adapt_step(&a, at_us))
			;
		adapt_sent(&a, 1, at_us);
		adapt_accepted(&a, adapt_epoch(&a), 1, at_us);
		adapt_answered(&a, adapt_epoch(&a));
		if (i < 55)
			assert_int_equal(adapt_rate(&a), flat);
	}
	assert_int_equal(a.state, ADAPT_OPEN);
}

static void
pacing_is_exact_and_a_change_keeps_what_was_spent(void **state)
{
	struct adapt a = an_adapt(1000);
	int64_t now_us = flow(&a, 40, 5 * SEC, SEC), began_us;
	int n = 0;

	(void)state;
	refuse(&a, adapt_epoch(&a), 0, now_us);
	began_us = now_us = adapt_when(&a, now_us + SEC / 10);
	while (now_us < began_us + SEC / 2) {
		adapt_sent(&a, 1, now_us);
		n++;
		now_us = adapt_when(&a, now_us);
	}
	assert_in_range(n, adapt_rate(&a) / RATE_ONE / 2 - 1,
	    adapt_rate(&a) / RATE_ONE / 2 + 2);
	/* Ten at once are paid for afterwards. */
	adapt_sent(&a, 10, now_us);
	assert_in_range(adapt_when(&a, now_us) - now_us,
	    10 * SEC * RATE_ONE / adapt_rate(&a) - 2 * SEC / 40,
	    10 * SEC * RATE_ONE / adapt_rate(&a) + 1);
	adapt_unsent(&a, 10, now_us, now_us);
	assert_true(adapt_when(&a, now_us) - now_us <= SEC / 20);
}

/* Nothing left for a while, and each permit's time went by: what comes back
 * may not be sent beside what is due. */
static void
what_comes_back_late_makes_it_no_faster(void **state)
{
	struct adapt a = an_adapt(1000);
	int64_t now_us = flow(&a, 40, 5 * SEC, SEC), began_us;
	int64_t lost_us[20];
	int n = 0, n_lost = 0;

	(void)state;
	refuse(&a, adapt_epoch(&a), 0, now_us);
	now_us += SEC / 10;
	while (n_lost < 20) {
		now_us = adapt_when(&a, now_us);
		adapt_sent(&a, 1, now_us);
		lost_us[n_lost++] = now_us;
	}
	began_us = now_us;
	while (now_us < began_us + SEC / 4) {
		adapt_sent(&a, 1, now_us);
		n++;
		if (n_lost > 1) /* the last one isn't paid yet */
			adapt_unsent(&a, 1, lost_us[--n_lost - 1], now_us);
		now_us = adapt_when(&a, now_us);
	}
	assert_in_range(n, 1, adapt_rate(&a) / RATE_ONE / 4 + 2);
}

static void
after_days_of_rest_it_begins_at_half(void **state)
{
	struct adapt a = an_adapt(1000);
	int64_t now_us = flow(&a, 100, 5 * SEC, SEC), flat;

	(void)state;
	refuse(&a, adapt_epoch(&a), 0, now_us);
	adapt_step(&a, now_us + SEC);
	flat = adapt_rate(&a);
	assert_true(adapt_sent(&a, 1, now_us + 3 * 86400 * SEC));
	assert_in_range(adapt_rate(&a), flat * 49 / 100, flat * 51 / 100);
	assert_int_equal(a.state, ADAPT_CLIMBING);
}

/* One refusal in a slow lane is chance: it must not fall below what the lane
 * sends. */
static void
a_slow_lane_is_judged_by_a_share(void **state)
{
	struct adapt a = an_adapt(3);
	int64_t now_us = SEC;

	(void)state;
	for (int i = 0; i < 40; i++) {
		now_us += 5 * SEC;
		while (adapt_due(&a) <= now_us && adapt_step(&a, now_us))
			;
		adapt_sent(&a, 1, now_us);
		if (i % 12 == 11) {
			refuse(&a, adapt_epoch(&a), 0, now_us);
		} else {
			adapt_accepted(&a, adapt_epoch(&a), 1, now_us);
			adapt_answered(&a, adapt_epoch(&a));
		}
		if (adapt_rate(&a) != 0)
			assert_true(adapt_rate(&a) > RATE_ONE / 5);
	}
}

static void
switched_off_it_does_nothing(void **state)
{
	struct conf_adapt c = rehearsal();
	struct adapt a = an_adapt(100);
	int64_t now_us = flow(&a, 50, 5 * SEC, SEC);

	(void)state;
	refuse(&a, adapt_epoch(&a), 0, now_us);
	assert_true(adapt_rate(&a) > 0);
	c.enabled = false;
	adapt_configure(&a, &c, 100 * RATE_ONE, now_us);
	assert_int_equal(adapt_rate(&a), 0);
	assert_false(refuse(&a, adapt_epoch(&a), 0, now_us));
	assert_int_equal(adapt_rate(&a), 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
		    without_refusals_the_configured_rates_hold_alone),
		cmocka_unit_test(a_refusal_leads_below_what_was_accepted),
		cmocka_unit_test(one_window_is_one_decision),
		cmocka_unit_test(it_holds_then_climbs_then_waits),
		cmocka_unit_test(never_above_the_ceiling_nor_below_the_floor),
		cmocka_unit_test(what_is_not_used_does_not_grow),
		cmocka_unit_test(
		    pacing_is_exact_and_a_change_keeps_what_was_spent),
		cmocka_unit_test(what_comes_back_late_makes_it_no_faster),
		cmocka_unit_test(after_days_of_rest_it_begins_at_half),
		cmocka_unit_test(a_slow_lane_is_judged_by_a_share),
		cmocka_unit_test(switched_off_it_does_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
