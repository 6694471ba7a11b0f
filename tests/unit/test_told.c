/* SPDX-License-Identifier: ISC */
/* What was told: once, whatever the case; bounded; kept as facts. */
#include "daemon/told.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "daemon/spool.h"

static const uint8_t key[SIPHASH_KEY_SIZE] = "fifteen letters";

/* As the store gives them back: in the order of keys, not of age. */
static void
restore(struct told *t, const struct spool_fact *facts)
{
	for (const struct spool_fact *f = facts; f != NULL; f = f->next)
		if (!f->is_removed)
			assert_true(told_restore(t, f->bytes, f->key_len,
			    f->bytes + f->key_len, f->value_len));
}

static void
told_once_and_after_a_restart(void **state)
{
	struct spool_fact *facts = NULL, *again = NULL;
	struct told t;

	(void)state;
	told_init(&t, key, 10);
	assert_false(told_has(&t, "M1 bounced a@x.test"));
	told_add(&t, "M1 bounced A@x.test", 5, &facts);
	told_add(&t, "M1 bounced a@x.test", 6, &again);
	assert_null(again);
	assert_true(told_has(&t, "M1 bounced a@X.test"));
	assert_false(told_has(&t, "M2 bounced a@x.test"));
	assert_false(told_has(&t, "M1 bounced b@x.test"));
	told_fini(&t);
	told_init(&t, key, 10);
	restore(&t, facts);
	told_restored(&t, &again);
	assert_null(again);
	assert_true(told_has(&t, "M1 bounced a@x.test"));
	assert_int_equal(t.n, 1);
	told_fini(&t);
	spool_facts_free(facts);
}

static const char *
name_of(unsigned i)
{
	static char name[32];

	snprintf(name, sizeof(name), "M%u bounced a@x.test", i);
	return name;
}

static size_t
n_removed(const struct spool_fact *f)
{
	size_t n = 0;

	for (; f != NULL; f = f->next)
		n += f->is_removed;
	return n;
}

static void
the_oldest_gives_way_and_its_fact_too(void **state)
{
	struct spool_fact *facts = NULL;
	struct told t;

	(void)state;
	told_init(&t, key, 100);
	for (unsigned i = 0; i < 150; i++)
		told_add(&t, name_of(i), i, &facts);
	assert_int_equal(t.n, 100);
	assert_int_equal(n_removed(facts), 50);
	assert_false(told_has(&t, name_of(49)));
	assert_true(told_has(&t, name_of(50)));
	spool_facts_free(facts);
	told_fini(&t);
}

static void
a_smaller_bound_keeps_the_newest(void **state)
{
	struct spool_fact *facts = NULL, *gone = NULL;
	struct told t;

	(void)state;
	told_init(&t, key, 100);
	/* Backwards, so that age and order of writing differ. */
	for (unsigned i = 100; i-- > 0;)
		told_add(&t, name_of(i), i, &facts);
	told_fini(&t);
	told_init(&t, key, 30);
	restore(&t, facts);
	told_restored(&t, &gone);
	assert_int_equal(t.n, 30);
	assert_int_equal(n_removed(gone), 70);
	assert_true(told_has(&t, name_of(99)));
	assert_true(told_has(&t, name_of(70)));
	assert_false(told_has(&t, name_of(69)));
	spool_facts_free(gone);
	spool_facts_free(facts);
	told_fini(&t);
}

static void
what_isnt_ours_or_isnt_whole(void **state)
{
	static const struct {
		const char *key, *value;
		bool is_ours;
	} cases[] = {
		{ "k trace", "0123456789abcdef", false },
		{ "t", "5", false },
		{ "s lane", "5", false },
		{ "t ", "5", true },
		{ "t 0123456789abcde", "5", true },
		{ "t 0123456789abcdefg", "5", true },
		{ "t 0123456789abcdeg", "5", true },
		{ "t 0123456789abcdef", "5555555555555555555555555", true },
	};
	struct told t;

	(void)state;
	told_init(&t, key, 10);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		assert_int_equal(told_restore(&t, cases[i].key,
				     strlen(cases[i].key), cases[i].value,
				     strlen(cases[i].value)),
		    cases[i].is_ours);
		assert_int_equal(t.n, 0);
	}
	told_fini(&t);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(told_once_and_after_a_restart),
		cmocka_unit_test(the_oldest_gives_way_and_its_fact_too),
		cmocka_unit_test(a_smaller_bound_keeps_the_newest),
		cmocka_unit_test(what_isnt_ours_or_isnt_whole),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
