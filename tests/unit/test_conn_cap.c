/* SPDX-License-Identifier: ISC */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "scheduler/conn_cap.h"

#define SEC INT64_C(1000000)

static void
the_limit_is_found_in_one_round(void **state)
{
	struct conn_cap c;

	(void)state;
	/* Twenty were opened, four are borne: sixteen refusals come back. */
	conn_cap_init(&c);
	assert_int_equal(conn_cap_of(&c, 20), 20);
	for (unsigned left = 19; left >= 4; left--)
		assert_true(conn_cap_refused(&c, left, SEC, 0));
	assert_int_equal(conn_cap_of(&c, 20), 4);
	assert_int_equal(conn_cap_of(&c, 0), 4);
	assert_int_equal(conn_cap_of(&c, 3), 3);
}

static void
it_never_falls_to_none(void **state)
{
	struct conn_cap c;

	(void)state;
	conn_cap_init(&c);
	assert_true(conn_cap_refused(&c, 0, SEC, 0));
	assert_int_equal(c.limit, 1);
	assert_false(conn_cap_refused(&c, 0, SEC, 0));
}

static void
what_is_not_used_does_not_grow(void **state)
{
	struct conn_cap c;

	(void)state;
	conn_cap_init(&c);
	conn_cap_refused(&c, 4, SEC, 0);
	for (int i = 1; i < 50; i++)
		assert_false(conn_cap_step(&c, 20, SEC, i * SEC));
	conn_cap_used(&c, 4);
	assert_false(conn_cap_step(&c, 20, SEC, c.due_us - 1));
	assert_true(conn_cap_step(&c, 20, SEC, c.due_us));
	assert_int_equal(c.limit, 5);
}

/* Failed attempts come ever more rarely: few refusals in an hour. */
static void
failed_attempts_wait_twice_as_long(void **state)
{
	struct conn_cap c;
	unsigned n_refused = 0;

	(void)state;
	conn_cap_init(&c);
	conn_cap_refused(&c, 4, SEC, 0);
	while (c.due_us < 3600 * SEC) {
		int64_t now_us = c.due_us;

		conn_cap_used(&c, c.limit);
		conn_cap_step(&c, 20, SEC, now_us);
		if (c.limit > 4) {
			assert_true(conn_cap_refused(&c, 4, SEC, now_us));
			n_refused++;
		}
	}
	assert_in_range(n_refused, 20, 150);
}

static void
a_limit_that_is_gone_is_forgotten(void **state)
{
	struct conn_cap c;
	int64_t now_us = 0;

	(void)state;
	conn_cap_init(&c);
	conn_cap_refused(&c, 2, SEC, 0);
	while (c.limit != 0 && now_us < 60 * SEC) {
		now_us = c.due_us;
		conn_cap_used(&c, c.limit);
		conn_cap_step(&c, 20, SEC, now_us);
	}
	assert_int_equal(conn_cap_of(&c, 20), 20);
	assert_in_range(now_us, SEC, 10 * SEC);
	assert_int_equal(c.due_us, INT64_MAX);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_limit_is_found_in_one_round),
		cmocka_unit_test(it_never_falls_to_none),
		cmocka_unit_test(what_is_not_used_does_not_grow),
		cmocka_unit_test(failed_attempts_wait_twice_as_long),
		cmocka_unit_test(a_limit_that_is_gone_is_forgotten),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
