/* SPDX-License-Identifier: ISC */
/* Volumes by stage, against volumes computed by hand. */
#include "scheduler/schedule.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

#define N_OF(a) (sizeof(a) / sizeof((a)[0]))

static const struct conf_schedule cold_ip = {
	.from = 50,
	.to = 100000,
	.growth = { { INT64_MAX, 1500 } },
	.n_growth = 1,
};

static const struct conf_schedule taper = {
	.from = 10000,
	.to = 1000000,
	.growth = { { 50000, 2000 }, { 250000, 1200 }, { INT64_MAX, 1100 } },
	.n_growth = 3,
};

static int64_t listed_volumes[] = { 50, 100, 500, 1000, 1000 };
static const struct conf_schedule list = {
	.volumes = listed_volumes,
	.n_volumes = N_OF(listed_volumes),
};

static const struct conf_schedule tiny = {
	.from = 1,
	.to = 3,
	.growth = { { INT64_MAX, 1100 } },
	.n_growth = 1,
};

static const struct conf_schedule level = {
	.from = 700,
	.to = 700,
	.growth = { { INT64_MAX, 1500 } },
	.n_growth = 1,
};

static const struct conf_schedule endless = {
	.from = 1000,
	.growth = { { INT64_MAX, 100000 } },
	.n_growth = 1,
};

static const struct conf_schedule stuck = {
	.from = 50,
	.to = 100,
	.growth = { { INT64_MAX, 1000 } },
	.n_growth = 1,
};

static void
volumes_are_as_computed_by_hand(void **state)
{
	static const struct {
		const struct conf_schedule *schedule;
		int64_t stage, volume;
	} rows[] = {
		{ &cold_ip, -1, 50 },
		{ &cold_ip, 0, 50 },
		{ &cold_ip, 1, 75 },
		{ &cold_ip, 2, 112 },	/* 112.5 */
		{ &cold_ip, 3, 168 },	/* 168.75 */
		{ &cold_ip, 4, 253 },	/* 253.125 */
		{ &cold_ip, 5, 379 },	/* 379.6875 */
		{ &cold_ip, 10, 2883 }, /* 2883.25 */
		{ &cold_ip, 18, 73894 },
		{ &cold_ip, 19, 100000 }, /* 110841 */
		{ &cold_ip, 44, 100000 },
		{ &cold_ip, INT64_MAX, 100000 },
		{ &taper, 0, 10000 },
		{ &taper, 2, 40000 },
		{ &taper, 3, 80000 },
		{ &taper, 4, 96000 },
		{ &taper, 9, 238878 }, /* 80,000 x 1.2^6 */
		{ &taper, 10, 286654 },
		{ &taper, 11, 315319 }, /* 110% from there */
		{ &list, 0, 50 },
		{ &list, 2, 500 },
		{ &list, 4, 1000 },
		{ &list, 1000, 1000 },
		{ &tiny, 7, 1 }, /* 1.1^7 = 1.948 */
		{ &tiny, 8, 2 },
		{ &tiny, 12, 3 }, /* 3.138 */
		{ &level, 0, 700 },
		{ &level, 9, 700 },
		{ &endless, 4, 100000000000 },
		{ &endless, 5, 1000000000000 },
		{ &endless, 5000, 1000000000000 },
		{ &stuck, 10, 50 },
	};

	(void)state;
	for (size_t i = 0; i < N_OF(rows); i++) {
		int64_t volume =
		    schedule_volume(rows[i].schedule, rows[i].stage);

		if (volume != rows[i].volume)
			print_error("row %zu: %lld\n", i, (long long)volume);
		assert_int_equal(volume, rows[i].volume);
	}
}

static void
the_last_stage_is_the_first_with_the_highest_volume(void **state)
{
	static const struct {
		const struct conf_schedule *schedule;
		int64_t last;
	} rows[] = {
		{ &cold_ip, 19 },
		{ &list, 3 },
		{ &tiny, 12 },
		{ &level, 0 },
		{ &endless, 5 },
		{ &stuck, SCHEDULE_STAGES_MAX },
	};

	(void)state;
	for (size_t i = 0; i < N_OF(rows); i++)
		assert_int_equal(schedule_last_stage(rows[i].schedule),
		    rows[i].last);
}

static void
volumes_never_fall(void **state)
{
	static const struct conf_schedule *const rows[] = { &cold_ip, &taper,
		&list, &tiny, &level, &endless, &stuck };

	(void)state;
	for (size_t i = 0; i < N_OF(rows); i++)
		for (int64_t stage = 0; stage < 120; stage++)
			assert_true(schedule_volume(rows[i], stage) <=
			    schedule_volume(rows[i], stage + 1));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(volumes_are_as_computed_by_hand),
		cmocka_unit_test(
		    the_last_stage_is_the_first_with_the_highest_volume),
		cmocka_unit_test(volumes_never_fall),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
