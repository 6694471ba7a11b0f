/* SPDX-License-Identifier: ISC */
/*
 * The daemon's suppression list: what of it is stored and read back, and that
 * what has expired doesn't fill it.
 */
#include "daemon/suppression_list.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define DAY INT64_C(86400000000)
#define NOW (20000 * DAY)

static void
add(struct suppression_list *l, const char *address, int64_t expires_utc_us,
    struct spool_fact **facts)
{
	struct suppression_entry entry = { .address = address,
		.reason = SUPPRESSION_HARD,
		.reply = "550 5.1.1 no such user",
		.added_utc_us = NOW,
		.expires_utc_us = expires_utc_us };

	assert_true(suppression_list_add(l, &entry, facts));
}

static bool
has(struct suppression_list *l, const char *address, int64_t utc_us)
{
	return suppression_list_has(l, address, utc_us, NULL);
}

static void
what_has_expired_does_not_fill_it(void **state)
{
	struct suppression_list *l = suppression_list_new(NULL);
	struct spool_fact *facts = NULL;
	char address[40];

	(void)state;
	for (int i = 0; i < 3000; i++) {
		snprintf(address, sizeof(address), "u%d@example.net", i);
		add(l, address, i % 3 == 0 ? INT64_MAX : NOW + DAY, &facts);
	}
	for (int i = 0; i < 10; i++)
		suppression_list_sweep(l, NOW + DAY / 2);
	assert_int_equal(suppression_list_count(l), 3000);
	for (int i = 0; i < 10; i++)
		suppression_list_sweep(l, NOW + 2 * DAY);
	assert_int_equal(suppression_list_count(l), 1000);
	assert_true(has(l, "u0@example.net", NOW + 2 * DAY));
	assert_false(has(l, "u1@example.net", NOW + 2 * DAY));
	spool_facts_free(facts);
	suppression_list_free(l);
}

static void
what_is_stored_is_read_back(void **state)
{
	struct suppression_list *l = suppression_list_new(NULL);
	struct suppression_list *after = suppression_list_new(NULL);
	struct spool_fact *facts = NULL, *gone = NULL;

	(void)state;
	add(l, "Stays@example.net", NOW + 9 * DAY, &facts);
	add(l, "goes@example.net", NOW + DAY, &facts);
	for (struct spool_fact *f = facts; f != NULL; f = f->next)
		assert_true(suppression_list_restore(after, f->bytes,
		    f->key_len, f->bytes + f->key_len, f->value_len,
		    NOW + 2 * DAY, &gone));
	assert_true(has(after, "stays@example.NET", NOW + 2 * DAY));
	assert_int_equal(suppression_list_count(after), 1);
	/* The one that is over is to be taken out of the spool. */
	assert_non_null(gone);
	assert_null(gone->next);
	assert_true(gone->is_removed);
	assert_int_equal(gone->key_len, strlen("x goes@example.net"));
	assert_false(suppression_list_restore(after, "lane x", 6, "1", 1, NOW,
	    &gone));
	spool_facts_free(facts);
	spool_facts_free(gone);
	suppression_list_free(after);
	suppression_list_free(l);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_has_expired_does_not_fill_it),
		cmocka_unit_test(what_is_stored_is_read_back),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
