/* SPDX-License-Identifier: ISC */
/*
 * The power goes, and disks lie. tests/fault knows which bytes are on the disk
 * and which are in the page cache alone; when the power goes, the latter are
 * lost, page by page at random, and so are names whose folder wasn't synced.
 * What was answered must be there all the same, whole: also when syncs failed
 * before, after which the cache calls pages clean that the disk never got.
 */
#include "daemon/spool.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/fault/fault.h"
#include "tests/unit/spool_script.h"

static struct fault *fault;

static void
fault_reset(uint64_t seed)
{
	memset(fault, 0, sizeof(*fault));
	fault->seed = seed;
}

static void
track(void)
{
	fault->is_tracking = 1;
	fault_layer(); /* looks where the spool is */
}

/* Until the files are as the disk has them. */
static void
wait_for_loss(void)
{
	int64_t until_us = clock_mono_us() + 20000000;

	while (*(volatile int64_t *)&fault->power != -1) {
		assert_true(clock_mono_us() < until_us);
		usleep(1000);
	}
	fault->is_tracking = 0;
}

/* In memory where there is a place: what a disk would lose is lost by us. */
static void
power_world_init(struct world *w, uint64_t seed)
{
	char dir[] = "/dev/shm/test_spool.XXXXXX";

	world_init(w);
	if (mkdtemp(dir) != NULL) {
		remove_tree(w->dir);
		strcpy(w->dir, dir);
	}
	setenv("FLYBALL_FAULT_DIR", w->dir, 1);
	fault_reset(seed);
	before_script = track;
}

/* ---- at each change ---- */

static bool
lose_at(int64_t change, uint64_t seed)
{
	struct world w;
	struct model is, before, after;
	bool died;
	size_t n;

	power_world_init(&w, seed);
	fault->power = change;
	n = let_die(&w, run_script, 0, &died);
	if (died) {
		wait_for_loss();
		world_start(&w);
		is = model_of_spool(&w);
		before = model_after(n);
		after = model_after(n < N_OPS ? n + 1 : n);
		if (!model_is_equal(&is, &before) &&
		    !model_is_equal(&is, &after))
			fail_msg("change %d, seed %d, %zu answers", (int)change,
			    (int)seed, n);
		assert_int_equal(submit_simple(&w, 9, LARGE).result, SPOOL_OK);
		assert_true(has_message(&w, w.last.id, 9, LARGE));
	}
	fault->power = 0;
	world_fini(&w);
	return died;
}

static void
power_goes_at_each_change(void **state)
{
	int64_t change = 1;

	(void)state;
	while (lose_at(change, (uint64_t)change))
		change++;
	print_message("%d changes\n", (int)change - 1);
	assert_true(change > 80);
}

/* ---- each call fails once ---- */

#define ALL_OPS                                                   \
	(FAULT_OPEN | FAULT_WRITE | FAULT_SYNC | FAULT_DIR_SYNC | \
	    FAULT_RENAME | FAULT_TRUNCATE | FAULT_UNLINK | FAULT_MKDIR)

static struct fault_rule next_rule;

static void
set_rule(void)
{
	fault->rules[0] = next_rule;
}

static void
end_by_power(struct world *w)
{
	fault->power = 1;
	for (;;)
		submit_simple(w, 9, SMALL);
}

/* In the end, without power, all of the script is there. */
static bool
fail_at(int64_t call, int error)
{
	struct world w;
	struct model is, want = model_after(N_OPS);
	bool died, was_hit;

	power_world_init(&w, (uint64_t)call);
	next_rule = (struct fault_rule){ .ops = ALL_OPS,
		.targets = FAULT_DATABASE | FAULT_BODIES | FAULT_STATE,
		.error = error,
		.permille = 1000,
		.skip = call,
		.count = 1 };
	assert_int_equal(let_die(&w, run_script, 0, &died), N_OPS);
	assert_true(died);
	wait_for_loss();
	was_hit = fault->rules[0].n_hit > 0;
	fault_reset(1);
	world_start(&w);
	is = model_of_spool(&w);
	if (!model_is_equal(&is, &want))
		fail_msg("call %d, %s", (int)call, strerror(error));
	world_fini(&w);
	return was_hit;
}

static void
each_call_fails_once(void **state)
{
	static const int errors[] = { EIO, ENOSPC };
	int64_t n_calls = 0;

	(void)state;
	is_persistent = true;
	after_open = set_rule;
	after_script = end_by_power;
	spool_test_backoff_us = 2000;
	for (size_t i = 0; i < 2; i++)
		for (int64_t call = 0; fail_at(call, errors[i]); call++)
			n_calls++;
	print_message("%d calls\n", (int)n_calls);
	assert_true(n_calls > 150);
	is_persistent = false;
	after_open = NULL;
	after_script = NULL;
	spool_test_backoff_us = 0;
}

/* ---- under load, with a disk that fails before ---- */

#define ROUNDS 8

static void
make_rules(struct rng *rng)
{
	static const struct fault_rule kinds[] = {
		{ .ops = FAULT_SYNC, .targets = FAULT_DATABASE, .error = EIO },
		{ .ops = FAULT_DSYNC, .targets = FAULT_DATABASE, .error = EIO },
		{ .ops = FAULT_WRITE,
		    .targets = FAULT_DATABASE,
		    .error = ENOSPC },
		{ .ops = FAULT_WRITE,
		    .targets = FAULT_DATABASE | FAULT_BODIES,
		    .is_short = 1 },
		{ .ops = FAULT_SYNC | FAULT_DIR_SYNC,
		    .targets = FAULT_BODIES,
		    .error = EIO },
		{ .ops = FAULT_RENAME | FAULT_MKDIR | FAULT_OPEN,
		    .targets = FAULT_BODIES,
		    .error = EIO },
	};

	for (size_t i = 0; i < 3; i++) {
		struct fault_rule *r = &fault->rules[i];

		*r = kinds[rng_below(rng, sizeof(kinds) / sizeof(kinds[0]))];
		r->permille = 1000;
		r->skip = 20 + (int64_t)rng_below(rng, 120);
		r->count = 1 + (int64_t)rng_below(rng, 2);
	}
}

static void
power_goes_under_load_on_a_failing_disk(void **state)
{
	struct rng rng = { .state = 20261125 };
	uint64_t n_hit = 0;
	struct world w;

	(void)state;
	print_message("seed 20261125\n");
	power_world_init(&w, 1);
	spool_test_backoff_us = 2000;
	known.list = xcalloc(KNOWN_MAX, sizeof(*known.list));
	for (uint64_t round = 1; round <= ROUNDS; round++) {
		struct load load;

		fault_reset(round);
		make_rules(&rng);
		fault->power = 200 + (int64_t)rng_below(&rng, 600);
		load = load_start(&w, round);
		load_join(&load);
		wait_for_loss();
		for (size_t i = 0; i < 3; i++)
			n_hit += fault->rules[i].n_hit;
		fault_reset(round);
		check_all(&w);
	}
	print_message("%zu messages, %d failures\n", known.n, (int)n_hit);
	assert_true(known.n > ROUNDS);
	assert_true(n_hit >= ROUNDS);
	free(known.list);
	known.n = 0;
	spool_test_backoff_us = 0;
	world_fini(&w);
}

/* ---- the sync after a failed commit fails too ---- */

#define TINY	 500
#define N_BEFORE 60 /* so that the tree has branches */

static void
expect(enum spool_result result, struct answer a)
{
	if (a.result != result)
		_exit(3);
}

static void
fail_once(struct fault_rule *r, unsigned op, unsigned fate, int64_t skip)
{
	*r = (struct fault_rule){ .targets = FAULT_DATABASE,
		.error = EIO,
		.fate = fate,
		.permille = 1000,
		.skip = skip,
		.count = 1 };
	r->ops = op;
}

/*
 * The commit's last write, of the page that makes it valid, reaches the disk,
 * but is reported as failed; LMDB puts the old page back into the cache, and
 * the sync that should bring it to the disk fails. A second sync would say that
 * all is well, and then the disk's own idea of the database names pages that
 * are being written over.
 */
static void
run_lies(struct world *w)
{
	int64_t power = fault->power;

	fault->power = 0;
	spool_test_backoff_us = 2000;
	track();
	world_start(w);
	for (uint64_t i = 0; i < N_BEFORE; i++)
		expect(SPOOL_OK, submit_simple(w, i, TINY));
	fail_once(&fault->rules[0], FAULT_DSYNC, FAULT_REACHED, 0);
	fail_once(&fault->rules[1], FAULT_SYNC, FAULT_STALE, 1);
	expect(SPOOL_FAILED, submit_simple(w, N_BEFORE, TINY));
	while (*(const volatile uint64_t *)&fault->rules[1].n_hit == 0)
		usleep(100);
	fault->power = power;
	for (uint64_t i = N_BEFORE + 1;; i++) {
		submit_simple(w, i, TINY);
		usleep(1000);
	}
}

static void
sync_that_failed_is_not_believed_later(void **state)
{
	(void)state;
	for (uint64_t seed = 0; seed < 18; seed++) {
		struct world w;
		bool died;

		power_world_init(&w, seed + 1);
		fault->power = 2 + (int64_t)seed % 6;
		let_die(&w, run_lies, 0, &died);
		assert_true(died);
		wait_for_loss();
		fault_reset(1);
		world_start(&w);
		/* Those at least, each whole. */
		for (size_t i = 0; i < w.n_added; i++) {
			struct spool_message m;

			if (read_delivery(&w, w.added[i].id, 0, &m) != 0)
				fail_msg("seed %d: message %zu is unreadable",
				    (int)seed, i);
			if (i < N_BEFORE)
				assert_true(has_message(&w, w.added[i].id, i,
				    TINY));
			spool_message_fini(&m);
		}
		assert_true(w.n_added >= N_BEFORE);
		assert_int_equal(submit_simple(&w, 9, LARGE).result, SPOOL_OK);
		world_fini(&w);
	}
	spool_test_backoff_us = 0;
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(power_goes_at_each_change),
		cmocka_unit_test(each_call_fails_once),
		cmocka_unit_test(power_goes_under_load_on_a_failing_disk),
		cmocka_unit_test(sync_that_failed_is_not_believed_later),
	};

	fault = fault_layer();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
