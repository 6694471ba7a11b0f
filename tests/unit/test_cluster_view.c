/* SPDX-License-Identifier: ISC */
/* Who is shown as alive: those, and only those, that limits are divided by. */
#include "daemon/cluster_view.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "conf/base/clock.h"
#include "daemon/cluster_private.h"

#define SEC INT64_C(1000000)

static void
note_alive(const struct cluster_node_view *node, void *arg)
{
	*(bool *)arg = node->is_alive;
}

static void
alive_as_the_limits_are_divided(void **state)
{
	static const struct {
		int64_t lease_us, offset_us, seen_us;
		bool is_alive;
	} rows[] = {
		{ 1 * SEC, 0, 0, true },
		{ 1 * SEC, 0, 5 * SEC / 2, true },
		{ 1 * SEC, 0, 7 * SEC / 2, false },
		{ 10 * SEC, 0, 19 * SEC, true },
		{ 10 * SEC, 0, 21 * SEC, false },
		/* By Redis' clock. */
		{ 1 * SEC, 3600 * SEC, 2 * SEC, true },
		{ 1 * SEC, -3600 * SEC, 4 * SEC, false },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct conf_cluster conf = { .lease_us = rows[i].lease_us };
		struct cluster_node node = { 0 };
		struct cluster c = { 0 };
		bool is_alive = !rows[i].is_alive;

		conf.name = (char *)(uintptr_t) "me";
		node.name = (char *)(uintptr_t) "other";
		node.version = (char *)(uintptr_t) "1";
		c.conf = &conf;
		c.nodes = &node;
		c.n_nodes = 1;
		c.clock_offset_us = rows[i].offset_us;
		node.seen_ms =
		    (clock_utc_us() + rows[i].offset_us - rows[i].seen_us) /
		    1000;
		cluster_nodes_each(&c, note_alive, &is_alive);
		if (is_alive != rows[i].is_alive)
			fail_msg("row %zu: %d", i, is_alive);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(alive_as_the_limits_are_divided),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
