/* SPDX-License-Identifier: ISC */
/* What left lately: found by its names, bounded, the oldest goes first. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "daemon/relayed.h"

static const uint8_t key[SIPHASH_KEY_SIZE] = "0123456789abcde";

static void
add(struct relayed *r, enum relayed_key kind, const char *text,
    uint64_t message)
{
	const struct relayed_entry e = { message, "ip-a", "news", 0, 0 };

	relayed_add(r, kind, text, &e);
}

static uint64_t
find(struct relayed *r, enum relayed_key kind, const char *text)
{
	const struct relayed_entry *e = relayed_find(r, kind, text);

	if (e != NULL)
		assert_string_equal(e->route, "ip-a");
	return e != NULL ? e->message : 0;
}

static void
by_its_names(void **state)
{
	struct relayed *r = relayed_new(64, key);

	(void)state;
	add(r, RELAYED_RECIPIENT, "User@A.test", 1);
	add(r, RELAYED_MESSAGE_ID, "x@a.test", 2);
	assert_int_equal(find(r, RELAYED_RECIPIENT, "user@a.test"), 1);
	assert_int_equal(find(r, RELAYED_MESSAGE_ID, "x@a.test"), 2);
	/* Ids have case, and kinds are apart. */
	assert_int_equal(find(r, RELAYED_MESSAGE_ID, "X@a.test"), 0);
	assert_int_equal(find(r, RELAYED_ENVID, "x@a.test"), 0);
	assert_int_equal(find(r, RELAYED_RECIPIENT, ""), 0);
	/* The latest counts. */
	add(r, RELAYED_RECIPIENT, "user@a.test", 3);
	assert_int_equal(find(r, RELAYED_RECIPIENT, "user@a.test"), 3);
	relayed_free(r);
}

static void
the_newest_stay(void **state)
{
	struct relayed *r = relayed_new(1024, key);
	char name[32];
	unsigned n_new = 0, n_old = 0;

	(void)state;
	for (unsigned i = 1; i <= 20000; i++) {
		snprintf(name, sizeof(name), "u%u@a.test", i);
		add(r, RELAYED_RECIPIENT, name, i);
		assert_int_equal(find(r, RELAYED_RECIPIENT, name), i);
	}
	for (unsigned i = 1; i <= 20000; i++) {
		snprintf(name, sizeof(name), "u%u@a.test", i);
		if (find(r, RELAYED_RECIPIENT, name) == 0)
			continue;
		n_new += i > 20000 - 512;
		n_old += i <= 20000 - 4096;
	}
	/* Of the last 512 in 128 sets of 8 nearly none was driven out. */
	assert_true(n_new > 480);
	assert_int_equal(n_old, 0);
	relayed_free(r);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(by_its_names),
		cmocka_unit_test(the_newest_stay),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
