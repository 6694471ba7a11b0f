/* SPDX-License-Identifier: ISC */
/* Suggestions: the likely slip is found, and nonsense gets none. */
#include "conf/base/nearest.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static const char *const names[] = { "message_size", "recipients", "sessions",
	"sessions_per_address", "tls", "tls_ca", "gmail", "hostname" };

static const char *
name_at(size_t i, const void *arg)
{
	return ((const char *const *)arg)[i];
}

static void
slips_find_their_name(void **state)
{
	static const struct {
		const char *typed, *wanted;
	} cases[] = {
		{ "mesage_size", "message_size" },
		{ "message-size", "message_size" },
		{ "MessageSize", "message_size" },
		{ "recipeints", "recipients" },
		{ "gmial", "gmail" },
		{ "Gmail", "gmail" },
		{ "session", "sessions" },
		{ "sess", "sessions" },
		{ "tsl", "tls" },
		{ "tlsca", "tls_ca" },
		{ "hostnam", "hostname" },
		{ "host", "hostname" },
		{ "", NULL },
		{ "x", NULL },
		{ "xyz", NULL },
		{ "certificate", NULL },
		{ "dns", NULL },
		{ "a name that is far longer than any that could be near to it "
		  "and so on",
		    NULL },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const char *found = nearest_name(cases[i].typed, name_at, names,
		    sizeof(names) / sizeof(names[0]));

		if (cases[i].wanted == NULL) {
			assert_null(found);
			continue;
		}
		assert_non_null(found);
		assert_string_equal(found, cases[i].wanted);
	}
}

static void
no_names_no_suggestion(void **state)
{
	static const char *const long_one[] = {
		"a-name-of-more-than-sixty-three-letters-has-no-neighbours-at-"
		"all-x"
	};

	(void)state;
	assert_null(nearest_name("x", name_at, names, 0));
	assert_null(nearest_name("a-name", name_at, long_one, 1));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(slips_find_their_name),
		cmocka_unit_test(no_names_no_suggestion),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
