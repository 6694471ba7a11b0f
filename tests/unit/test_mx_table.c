/* SPDX-License-Identifier: ISC */
/* What is remembered of domains: bounded, the longest unused goes first, and
 * what is on disk follows. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "conf/base/xalloc.h"
#include "daemon/mx_table.h"

static void
put(struct mx_table *t, const char *domain, const char *text,
    struct spool_fact **facts)
{
	struct mx_facts f;

	assert_int_equal(mx_facts_parse(&f, text), 0);
	mx_table_put(t, domain, &f, facts);
	mx_facts_fini(&f);
}

/* Facts as "key=value;" in order, freed. */
static char *
facts_text(struct spool_fact *list)
{
	static char text[1000];

	*text = '\0';
	while (list != NULL) {
		struct spool_fact *next = list->next;
		size_t at = strlen(text);

		snprintf(text + at, sizeof(text) - at, "%.*s%s%.*s;",
		    (int)list->key_len, list->bytes,
		    list->is_removed ? " gone" : "=", (int)list->value_len,
		    list->bytes + list->key_len);
		free(list);
		list = next;
	}
	return text;
}

static void
the_longest_unused_goes(void **state)
{
	struct mx_table *t = mx_table_new(3);
	struct spool_fact *facts = NULL;

	(void)state;
	put(t, "a.test", "null 1", &facts);
	put(t, "b.test", "own 2", &facts);
	put(t, "c.test", "hosts 3 m.test", &facts);
	assert_non_null(mx_table_find(t, "a.test"));
	put(t, "d.test", "nxdomain 4", &facts);
	assert_null(mx_table_find(t, "b.test"));
	assert_non_null(mx_table_find(t, "a.test"));
	assert_string_equal(mx_table_find(t, "c.test")->hosts, "m.test");
	assert_int_equal(mx_table_count(t), 3);
	/* The same domain again takes no other's place. */
	put(t, "d.test", "own 5", &facts);
	assert_int_equal(mx_table_count(t), 3);
	assert_int_equal(mx_table_find(t, "d.test")->kind, MX_OWN);
	assert_string_equal(facts_text(facts),
	    "m a.test=null 1;m b.test=own 2;m c.test=hosts 3 m.test;"
	    "m d.test=nxdomain 4;m b.test gone;m d.test=own 5;");
	mx_table_free(t);
}

static bool
restore(struct mx_table *t, const char *key, const char *value,
    struct spool_fact **facts)
{
	return mx_table_restore(t, key, strlen(key), value, strlen(value),
	    facts);
}

static void
restored(void **state)
{
	struct mx_table *t = mx_table_new(2);
	struct spool_fact *facts = NULL;

	(void)state;
	assert_true(restore(t, "m a.test", "null 77", &facts));
	assert_int_equal(mx_table_find(t, "a.test")->expires_utc_us, 77000000);
	/* Of others. */
	assert_false(restore(t, "s a.test", "null 77", &facts));
	assert_false(restore(t, "m ", "null 77", &facts));
	assert_null(facts);
	/* Nonsense, and what has no room, goes from the disk. */
	assert_true(restore(t, "m b.test", "nonsense", &facts));
	assert_true(restore(t, "m c.test", "own 1", &facts));
	assert_true(restore(t, "m d.test", "own 1", &facts));
	assert_int_equal(mx_table_count(t), 2);
	assert_string_equal(facts_text(facts), "m d.test gone;m b.test gone;");
	mx_table_free(t);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_longest_unused_goes),
		cmocka_unit_test(restored),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
