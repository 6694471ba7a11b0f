/* SPDX-License-Identifier: ISC */
/* What the walk over the queue makes of records that don't go together. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "tests/unit/spool_fixture.h"

enum change { REMOVED, GARBAGE };

static void
change_delivery(struct world *w, uint64_t id, enum change change)
{
	char *path = xasprintf("%s/spool.mdb", w->dir);
	uint8_t name[RECORD_KEY_MAX];
	MDB_val key = { RECORD_KEY_SIZE(RECORD_DELIVERY), name };
	MDB_val data = { 7, (void *)(uintptr_t) "\xff garbage" };
	MDB_env *env;
	MDB_txn *txn;
	MDB_dbi dbi;

	record_make_key(id, RECORD_DELIVERY, 0, name);
	assert_int_equal(mdb_env_create(&env), 0);
	assert_int_equal(mdb_env_set_maxdbs(env, 32), 0);
	assert_int_equal(mdb_env_open(env, path, MDB_NOSUBDIR, 0600), 0);
	assert_int_equal(mdb_txn_begin(env, NULL, 0, &txn), 0);
	assert_int_equal(mdb_dbi_open(txn, "mail", 0, &dbi), 0);
	if (change == REMOVED)
		assert_int_equal(mdb_del(txn, dbi, &key, NULL), 0);
	else
		assert_int_equal(mdb_put(txn, dbi, &key, &data, 0), 0);
	assert_int_equal(mdb_txn_commit(txn), 0);
	mdb_env_close(env);
	free(path);
}

/* Nothing would ever take it off the count: it must not take a place among
 * spool.max_messages for good. */
static void
message_that_nothing_delivers_is_not_counted(void **state)
{
	static const enum change changes[] = { REMOVED, GARBAGE };

	(void)state;
	for (size_t i = 0; i < 2; i++) {
		struct world w;
		struct spool_stats s;
		uint64_t ids[3];

		world_init(&w);
		world_start(&w);
		for (size_t j = 0; j < 3; j++)
			ids[j] = submit_simple(&w, j, 1000).id;
		world_stop(&w);
		/* The last one too: nothing comes behind it. */
		change_delivery(&w, ids[0], changes[i]);
		change_delivery(&w, ids[2], changes[i]);
		w.n_added = 0;
		world_start(&w);
		s = stats_of(&w);
		assert_int_equal(w.n_added, 1);
		assert_int_equal(s.n_messages, 1);
		assert_int_equal(s.n_deliveries, 1);
		assert_int_equal(s.n_bytes, 1000);
		assert_true(w.spool->is_damaged);
		assert_int_equal(settle_simple(&w, ids[1], SPOOL_DELIVERED)
				     .result,
		    SPOOL_OK);
		s = stats_of(&w);
		assert_int_equal(s.n_messages, 0);
		assert_int_equal(s.n_bytes, 0);
		world_fini(&w);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(message_that_nothing_delivers_is_not_counted),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
