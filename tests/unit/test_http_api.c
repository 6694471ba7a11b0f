/* SPDX-License-Identifier: ISC */
/* Which command answers which path, and what gets into no command. */
#include <event2/http.h>

#include "daemon/http_private.h"
#include "tests/unit/fake_governor.h"

static struct governor g;

static int
start(void **state)
{
	(void)state;
	fake_start(&g);
	fake_add(&g, "gmail", "a@x.test", "b@gmail.com", 0);
	fake_add(&g, "other", "a@x.test", "b@free.test", 0);
	return 0;
}

static int
end(void **state)
{
	(void)state;
	fake_stop(&g);
	return 0;
}

static void
paths(void **state)
{
	static const struct {
		const char *path, *line; /* NULL: there is no such path */
	} cases[] = {
		{ "/api/status", "status" },
		{ "/api/lanes", "lanes" },
		{ "/api/plans", "plans" },
		{ "/api/lanes/ip-a/gmail", "lane ip-a/gmail" },
		{ "/api/lanes/ip-a/other:free.test",
		    "lane ip-a/other:free.test" },
		{ "/api/lanes/ip-a/other%3afree.test",
		    "lane ip-a/other:free.test" },
		{ "/api/lanes/ip-a/gmail/history",
		    "history ip-a/gmail since 24h" },
		{ "/api/lanes/ip-a/gmail/history?since=90m",
		    "history ip-a/gmail since 90m" },
		{ "/api/lanes/ip-a%2Fgmail/history",
		    "history ip-a/gmail since 24h" },
		{ "/api/plans/ip-a/gmail", "plan ip-a/gmail" },
		{ "/api/", NULL },
		{ "/api/drain", NULL },
		{ "/api/queue", NULL },
		{ "/api/status/", NULL },
		{ "/api/lanes/", NULL },
		{ "/api/lanes/ip-b/gmail", NULL }, /* it would be made */
		{ "/api/plans/ip-b/gmail", NULL },
		{ "/api/plans/ip-a/other:new.test", NULL },
		{ "/api/plans/ip-a/gmail%20advance", NULL },
		{ "/api/plans/ip-a/gmail+advance", NULL },
		{ "/api/lanes/ip-a/gmail%0adrain", NULL },
		{ "/api/lanes/ip-a/gmail%00", NULL },
		{ "/api/lanes/%22ip-a/gmail", NULL },
		{ "/api/lanes/ip-a/gm%20ail/history", NULL },
		{ "/api/lanes//history", NULL },
		{ "/api/lanes/ip-a/gmail/history?since=1h%20x", NULL },
		{ "/api/lanes/ip-a/gmail/history?since=", NULL },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct evhttp_uri *uri = evhttp_uri_parse(cases[i].path);
		char line[HTTP_COMMAND_MAX] = "";
		bool is_known = http_api_command(&g, uri, line);

		if (is_known != (cases[i].line != NULL))
			fail_msg("%s: \"%s\"", cases[i].path, line);
		if (is_known)
			assert_string_equal(line, cases[i].line);
		evhttp_uri_free(uri);
	}
}

static void
looking_makes_no_lane(void **state)
{
	struct sched_totals before, after;

	sched_totals(g.s, &before);
	paths(state);
	sched_totals(g.s, &after);
	assert_int_equal(before.n_lanes, after.n_lanes);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(paths, start, end),
		cmocka_unit_test_setup_teardown(looking_makes_no_lane, start,
		    end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
