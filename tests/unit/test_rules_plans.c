/* SPDX-License-Identifier: ISC */
/* Plans beside routes, streams and senders: what leads nowhere. */
#include "conf/rules.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "conf/base/strbuf.h"

#define N(a) (sizeof(a) / sizeof((a)[0]))

#define TWO                                                                \
	"routes: {a: {next_hop: \"127.0.0.1:1\", plan: p}, b: {next_hop: " \
	"\"127.0.0.1:2\"}}\n"

static void
plans(void **state)
{
	static const struct {
		const char *text, *error; /* NULL: good */
	} cases[] = {
		{ TWO, "f:1:45: routes.a.plan: there is no plan \"p\"\n" },
		{ "routes: {a: {next_hop: \"127.0.0.1:1\", plan: "
		  "moderat}}\n",
		    "f:1:45: routes.a.plan: there is no plan \"moderat\" (did "
		    "you mean moderate?)\n" },
		{ TWO "senders: {x.test: {plan: q}}\nplans: {p: {schedule: "
		      "[1]}}\n",
		    "f:2:26: senders.x.test.plan: there is no plan \"q\"\n" },
		{ TWO "senders: {x..test: {plan: p}}\nplans: {p: {schedule: "
		      "[1]}}\n",
		    "f:2:11: senders.x..test: \"x..test\" is no domain\n" },
		{ TWO "senders: {X.test: {plan: p}, x.test: {plan: p}}\n"
		      "plans: {p: {schedule: [1]}}\n",
		    "f:2:30: senders.x.test: given twice\n" },
		/* With no streams the default has b behind a. */
		{ TWO "plans: {p: {schedule: [1], overflow: next_route}}\n",
		    NULL },
		{ TWO "plans: {p: {schedule: [1], overflow: next_route}}\n"
		      "streams: {default: {routes: [b, a]}}\n",
		    "f:2:38: plans.p.overflow: a would overflow to itself: no "
		    "stream has another route behind it; use hold or "
		    "tempfail\n" },
		{ TWO "plans: {p: {schedule: [1], overflow: next_route}}\n"
		      "streams: {default: {routes: [b, a]}, s: {routes: [a, "
		      "b]}}\n",
		    NULL },
		/* As a default it means to hold when there is none. */
		{ TWO "plans: {p: {schedule: [1]}}\n"
		      "streams: {default: {routes: [a]}}\n",
		    NULL },
		{ TWO "senders: {x.test: {plan: q}}\nplans: {p: {schedule: "
		      "[1]}, q: {schedule: [1], overflow: next_route}}\n",
		    "f:3:58: plans.q.overflow: x.test has one allowance by "
		    "whatever route it leaves; use hold or tempfail\n" },
		{ TWO "plans: {p: {schedule: [1], day: 20s, window: "
		      "\"07:00-08:00\"}}\n",
		    "f:2:46: plans.p.window: the window ends 8h into the day, "
		    "and the day is 20s long\n" },
		{ TWO "plans: {p: {schedule: [1], day: 10s, window: "
		      "5s-10s}}\n",
		    NULL },
		{ TWO "plans: {p: {schedule: [1], idle: {step_back_after: "
		      "31d}}}\n",
		    "f:2:28: plans.p.idle: restart_after comes before "
		    "step_back_after: it would never step back\n" },
		{ TWO "plans: {p: {schedule: [1], idle: {step_back_after: "
		      "31d, restart_after: never}}}\n",
		    NULL },
		{ TWO "plans: {p: {schedule: [1], providers: {gmial: "
		      "{volumes: [1]}}}}\n",
		    "f:2:40: plans.p.providers.gmial: there is no provider "
		    "\"gmial\" (did you mean gmail?)\n" },
		{ TWO "plans: {p: {schedule: [1]}}\nspike_guard: {ratio: "
		      "50%}\n",
		    "f:3:22: spike_guard.ratio: \"50%\" is too small; the "
		    "least is 100%\n" },
		{ TWO "plans: {p: {schedule: [1]}}\nspike_guard:\n"
		      "list_health: {}\n",
		    NULL },
	};

	(void)state;
	for (size_t i = 0; i < N(cases); i++) {
		const char *text = cases[i].text;
		struct strbuf errors = { 0 };
		struct conf *conf =
		    conf_load_text("f", text, strlen(text), &errors);

		if (cases[i].error == NULL) {
			if (conf == NULL)
				fail_msg("%s%s", text, errors.data);
		} else {
			if (conf != NULL)
				fail_msg("accepted: %s", text);
			assert_string_equal(errors.data, cases[i].error);
		}
		conf_unref(conf);
		strbuf_fini(&errors);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(plans),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
