/* SPDX-License-Identifier: ISC */
/* One copy of each name, for whoever asks. */
#include "conf/base/intern.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static void
equal_names_are_one(void **state)
{
	char name[] = "unknown-user";
	const char *kept = intern(name);

	(void)state;
	assert_string_equal(kept, "unknown-user");
	assert_ptr_not_equal(kept, name);
	assert_ptr_equal(intern("unknown-user"), kept);
	memset(name, 'x', sizeof(name) - 1);
	assert_string_equal(kept, "unknown-user");
	assert_ptr_not_equal(intern("unknown"), kept);
	assert_string_equal(intern(""), "");
	assert_ptr_equal(intern(""), intern(""));
}

static void *
ask_for_all(void *arg)
{
	const char **found = arg;
	char name[16];

	for (int i = 0; i < 1000; i++) {
		snprintf(name, sizeof(name), "name-%d", i);
		found[i] = intern(name);
	}
	return NULL;
}

static void
threads_get_the_same(void **state)
{
	static const char *found[4][1000];
	pthread_t threads[4];

	(void)state;
	for (int i = 0; i < 4; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, ask_for_all,
				     found[i]),
		    0);
	for (int i = 0; i < 4; i++)
		pthread_join(threads[i], NULL);
	for (int i = 0; i < 1000; i++)
		for (int k = 1; k < 4; k++)
			assert_ptr_equal(found[k][i], found[0][i]);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(equal_names_are_one),
		cmocka_unit_test(threads_get_the_same),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
