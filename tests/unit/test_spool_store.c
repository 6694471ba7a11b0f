/* SPDX-License-Identifier: ISC */
/* The spool's database gets room, or doesn't. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "tests/unit/spool_fixture.h"

/* More than any address space. */
#define TOO_LARGE ((size_t)1 << 60)

/* mmap(2) refuses, as with RLIMIT_AS: the map that was there is gone then. */
static void
map_that_cannot_grow_stays_as_it_was(void **state)
{
	struct world w;
	struct spool_message m;
	uint64_t id;

	(void)state;
	world_init(&w);
	spool_test_map_bytes = 8 << 20;
	world_start(&w);
	id = submit_simple(&w, 1, 3000).id;
	spool_test_map_bytes = TOO_LARGE;
	spool_configure(w.spool, &w.conf);
	for (uint64_t i = 2; i < 6; i++)
		assert_int_equal(submit_simple(&w, i, 3000).result, SPOOL_OK);
	assert_true(has_message(&w, id, 1, 3000));
	assert_int_equal(settle_simple(&w, id, SPOOL_DELIVERED).result,
	    SPOOL_OK);
	assert_int_equal(read_delivery(&w, id, 0, &m), 1);
	assert_int_equal(w.n_troubles, 0);
	/* It isn't asked for again until the next reload, which may help. */
	spool_test_map_bytes = 16 << 20;
	spool_configure(w.spool, &w.conf);
	assert_int_equal(submit_simple(&w, 6, 3000).result, SPOOL_OK);
	world_stop(&w);
	world_start(&w);
	assert_int_equal(stats_of(&w).n_messages, 5);
	world_fini(&w);
	spool_test_map_bytes = 0;
}

/* A snapshot that a reader keeps between two reads is of the map that went. */
static void
reader_goes_on_after_a_map_that_could_not_grow(void **state)
{
	struct world w;
	struct spool_reader *r;
	struct spool_message m;
	struct err err = { .text = "" };
	uint64_t id;

	(void)state;
	world_init(&w);
	spool_test_map_bytes = 8 << 20;
	world_start(&w);
	id = submit_simple(&w, 1, 3000).id;
	r = spool_reader_new(w.spool, &err);
	assert_non_null(r);
	assert_int_equal(spool_read_delivery(r, id, 0, &m, &err), 0);
	spool_message_fini(&m);
	spool_test_map_bytes = TOO_LARGE;
	spool_configure(w.spool, &w.conf);
	assert_int_equal(submit_simple(&w, 2, 3000).result, SPOOL_OK);
	assert_int_equal(spool_read_delivery(r, id, 0, &m, &err), 0);
	spool_message_fini(&m);
	spool_reader_free(r);
	world_fini(&w);
	spool_test_map_bytes = 0;
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(map_that_cannot_grow_stays_as_it_was),
		cmocka_unit_test(
		    reader_goes_on_after_a_map_that_could_not_grow),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
