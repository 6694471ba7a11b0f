/* SPDX-License-Identifier: ISC */
/*
 * A process that dies: killed between every two durable steps of a script, and
 * at random under load. Opened again, the spool must hold what was answered,
 * whole, and of what was under way all or nothing.
 *
 * A killed process leaves the page cache as it was, so what this shows is the
 * order of things; that each was synced before the next relies on it is shown
 * by test_spool_disk.c.
 */
#include "daemon/spool.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/unit/spool_script.h"

static void
killed_between_every_two_steps(void **state)
{
	bool died = true;
	int step;

	(void)state;
	for (step = 1; died; step++) {
		struct world w;
		struct model is, before, after;
		size_t n;

		world_init(&w);
		n = let_die(&w, run_script, step, &died);
		world_start(&w);
		is = model_of_spool(&w);
		before = model_after(n);
		after = model_after(n < N_OPS ? n + 1 : n);
		if (!model_is_equal(&is, &before) &&
		    !model_is_equal(&is, &after))
			fail_msg("step %d, %zu answers", step, n);
		/* And it goes on. */
		assert_int_equal(submit_simple(&w, 9, LARGE).result, SPOOL_OK);
		assert_true(has_message(&w, w.last.id, 9, LARGE));
		world_fini(&w);
	}
	print_message("%d steps\n", step - 2);
	assert_true(step > 60);
}

/* All submissions in one commit. */
static void
run_group(struct world *w)
{
	world_open(w);
	for (size_t i = 0; i < N_OPS; i++)
		if (script[i].what == SUBMIT)
			spool_submit(w->spool,
			    script_submission(w, &script[i]));
	spool_test_step = die_at_step;
	if (spool_start(w->spool, NULL) < 0)
		_exit(3);
	world_wait(w, N_MESSAGES);
	if (write(report_fd, "+", 1) != 1)
		_exit(3);
	spool_test_step = NULL;
	_exit(0);
}

static void
group_is_there_as_a_whole_or_not_at_all(void **state)
{
	bool died = true;
	int step;

	(void)state;
	for (step = 1; died; step++) {
		struct world w;
		struct spool_stats s;
		size_t n;

		world_init(&w);
		n = let_die(&w, run_group, step, &died);
		world_start(&w);
		(void)model_of_spool(&w);
		s = stats_of(&w);
		if (s.n_messages != N_MESSAGES && (n > 0 || s.n_messages != 0))
			fail_msg("step %d: %d", step, (int)s.n_messages);
		world_fini(&w);
	}
	print_message("%d steps\n", step - 2);
	assert_true(step > 20);
}

/* ---- killed at random, under load ---- */

#define ROUNDS 12

static void
kill_under_load(struct world *w, uint64_t seed, useconds_t after_us)
{
	struct load load = load_start(w, seed);
	pid_t killer = fork();
	int status;

	assert_true(killer >= 0);
	if (killer == 0) {
		close(load.fd);
		usleep(after_us);
		kill(load.pid, SIGKILL);
		_exit(0);
	}
	load_join(&load);
	assert_int_equal(waitpid(killer, &status, 0), killer);
}

static void
killed_at_random_under_load(void **state)
{
	struct rng rng = { .state = 20261125 };
	struct world w;

	(void)state;
	print_message("seed 20261125\n");
	world_init(&w);
	known.list = xcalloc(KNOWN_MAX, sizeof(*known.list));
	for (uint64_t round = 1; round <= ROUNDS; round++) {
		kill_under_load(&w, round,
		    (useconds_t)(20000 + rng_below(&rng, 60000)));
		check_all(&w);
	}
	print_message("%zu messages\n", known.n);
	assert_true(known.n > ROUNDS);
	free(known.list);
	world_fini(&w);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(killed_between_every_two_steps),
		cmocka_unit_test(group_is_there_as_a_whole_or_not_at_all),
		cmocka_unit_test(killed_at_random_under_load),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
