/* SPDX-License-Identifier: ISC */
/* The key table is whole: every key is told of, and every default is right. */
#include "conf/keys.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static size_t n_docs;

static void
check_doc(const struct conf_key_doc *doc, void *arg)
{
	size_t len = strlen(doc->text);

	(void)arg;
	n_docs++;
	if (len < 7 || doc->text[len - 1] != '.')
		fail_msg("%s has no whole sentence: \"%s\"", doc->path,
		    doc->text);
	assert_true(strlen(doc->type) > 1);
	assert_non_null(doc->initial);
	assert_non_null(doc->bounds);
}

static void
every_key_is_documented(void **state)
{
	(void)state;
	n_docs = 0;
	conf_keys_each(check_doc, NULL);
	assert_true(n_docs > 90);
}

struct wanted {
	const char *path, *type, *initial, *bounds;
	bool is_found;
};

static void
match_doc(const struct conf_key_doc *doc, void *arg)
{
	for (struct wanted *w = arg; w->path != NULL; w++) {
		if (strcmp(w->path, doc->path) != 0)
			continue;
		w->is_found = true;
		assert_string_equal(doc->type, w->type);
		assert_string_equal(doc->initial, w->initial);
		assert_string_equal(doc->bounds, w->bounds);
	}
}

static void
what_the_manual_says(void **state)
{
	struct wanted wanted[] = {
		{ "limits.message_size", "size", "50MiB", "1KiB..1GiB", 0 },
		{ "routes.NAME.next_hop", "HOST:PORT", "required", "", 0 },
		{ "routes.NAME.providers.PROVIDER.rate", "list of rates", "",
		    "", 0 },
		{ "routes.NAME.timeouts.data_done", "duration", "10m",
		    "10ms..1h", 0 },
		{ "providers.NAME.rate", "list of rates", "unlimited", "", 0 },
		{ "providers.NAME.connections", "number or unlimited",
		    "unlimited", "1..10000", 0 },
		{ "providers.NAME.replies[].class", "text", "required", "", 0 },
		{ "listeners[].tls", "none | starttls | implicit", "starttls",
		    "", 0 },
		{ "tls.certificate", "path", "", "", 0 },
		{ "routes.NAME.source", "IP address", "the system's choice", "",
		    0 },
		{ "spool.retry.factor", "factor", "2", "1..100", 0 },
		{ "spool.retry.jitter", "percentage", "20%", "0%..90%", 0 },
		{ "daemon.workers", "number or auto", "auto", "1..256", 0 },
		{ NULL, NULL, NULL, NULL, 0 },
	};

	(void)state;
	conf_keys_each(match_doc, wanted);
	for (struct wanted *w = wanted; w->path != NULL; w++)
		if (!w->is_found)
			fail_msg("no key %s", w->path);
}

/* Names are unique and in no section do two rows share a field. */
static void
check_section(const struct section *s)
{
	for (const struct key *k = s->keys; k->name != NULL; k++) {
		for (const struct key *j = s->keys; j < k; j++)
			assert_string_not_equal(j->name, k->name);
		if (k->type->shape == SHAPE_LEAF)
			assert_non_null(k->type->write);
		else
			assert_non_null(k->section);
		if (k->section != NULL && k->type->shape != SHAPE_LEAF)
			check_section(k->section);
	}
}

static void
names_are_unique(void **state)
{
	(void)state;
	check_section(&section_conf);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_key_is_documented),
		cmocka_unit_test(what_the_manual_says),
		cmocka_unit_test(names_are_unique),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
