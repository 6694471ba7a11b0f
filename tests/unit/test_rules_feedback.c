/* SPDX-License-Identifier: ISC */
/* Logs of MTAs: what they need, what contradicts, one log for each route. */
#include "conf/rules.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "conf/base/strbuf.h"

#define N(a) (sizeof(a) / sizeof((a)[0]))

#define TWO                                                       \
	"routes: {a: {next_hop: \"127.0.0.1:1\"}, b: {next_hop: " \
	"\"127.0.0.1:2\"}}\n"

static void
logs(void **state)
{
	static const struct {
		const char *text, *error; /* NULL: good */
	} cases[] = {
		{ "feedback: {postfix_log: {path: /l}}\n", NULL },
		{ "feedback: {postfix_log: {journal: yes, route: a}}\n", NULL },
		{ "feedback: {postfix_log: [{path: /l, route: a}, {path: /m, "
		  "route: [b]}]}\n",
		    NULL },
		{ "feedback: {postfix_log: {path: /l, route: a}, exim_log: "
		  "{path: /m, route: b, credit: 5, credit_timeout: 1h}}\n",
		    NULL },
		{ "feedback: {pattern_log: {path: /l, match: "
		  "'^(?<id>x)'}}\n",
		    NULL },
		{ "feedback: {postfix_log: {journal: yes, unit: "
		  "[postfix@-.service, '*']}}\n",
		    NULL },
		{ "feedback: {pattern_log: {journal: yes, unit: mta.service, "
		  "match: '^(?<id>x)'}}\n",
		    NULL },
		{ "feedback: {pattern_log: {journal: yes, match: "
		  "'^(?<id>x)'}}\n",
		    "f:2:12: feedback.pattern_log[0]: needs the unit that "
		    "writes it, or unit: '*'\n" },
		{ "feedback: {postfix_log: {path: /l, unit: x}}\n",
		    "f:2:12: feedback.postfix_log[0]: has a path; unit is of "
		    "the journal\n" },
		{ "feedback: {postfix_log: {route: a}}\n",
		    "f:2:12: feedback.postfix_log[0]: needs a path, or "
		    "journal: yes\n" },
		{ "feedback: {postfix_log: {path: /l, journal: yes}}\n",
		    "f:2:12: feedback.postfix_log[0]: has a path and the "
		    "journal; one of them\n" },
		{ "feedback: {postfix_log: {path: /l, route: [a, bb]}}\n",
		    "f:2:47: feedback.postfix_log[0].route[1]: there is no "
		    "route \"bb\" (did you mean b?)\n" },
		{ "feedback: {postfix_log: {path: /l, route: a}, exim_log: "
		  "{path: /m, route: a}}\n",
		    "f:2:75: feedback.exim_log[0].route[0]: a has another log "
		    "already; the fate of its mail stands in one\n" },
		{ "feedback: {postfix_log: {path: /l, route: b}, exim_log: "
		  "{path: /m}}\n",
		    "f:2:47: feedback.exim_log[0]: is of every route, but b "
		    "has another log; name its routes\n" },
		{ "feedback: {postfix_log: {path: /l, credit: 0}}\n",
		    "f:2:44: feedback.postfix_log.credit: \"0\" is too small; "
		    "the least is 1\n" },
		{ "feedback: {pattern_log: {path: /l, match: 'x'}}\n",
		    "f:2:43: feedback.pattern_log.match: has no group "
		    "(?<id>...) for the queue id\n" },
		{ "feedback: {pattern_log: {path: /l, match: '('}}\n",
		    "f:2:43: feedback.pattern_log.match: at its character 2: "
		    "missing closing parenthesis\n" },
		{ "feedback: {postfix_log: {path: /l, match: 'x'}}\n",
		    "f:2:36: feedback.postfix_log.match: there is no such "
		    "key\n" },
	};

	(void)state;
	for (size_t i = 0; i < N(cases); i++) {
		struct strbuf text = { 0 }, errors = { 0 };
		struct conf *conf;

		strbuf_adds(&text, TWO);
		strbuf_adds(&text, cases[i].text);
		conf = conf_load_text("f", text.data, text.len, &errors);
		if (cases[i].error == NULL) {
			assert_string_equal(errors.len ? errors.data : "", "");
			assert_non_null(conf);
		} else {
			assert_null(conf);
			assert_string_equal(errors.data, cases[i].error);
		}
		conf_unref(conf);
		strbuf_fini(&text);
		strbuf_fini(&errors);
	}
}

static void
which_log_is_a_route_s(void **state)
{
	static const char text[] = TWO
	    "feedback: {postfix_log: {path: /l, route: a}, exim_log: {path: "
	    "/m, route: b}}\n";
	struct strbuf errors = { 0 };
	struct conf *conf = conf_load_text("f", text, strlen(text), &errors);

	(void)state;
	assert_non_null(conf);
	assert_string_equal(conf_route_log(conf, "a")->path, "/l");
	assert_string_equal(conf_route_log(conf, "b")->path, "/m");
	assert_int_equal(conf_route_log(conf, "b")->credit, 0);
	assert_null(conf_route_log(conf, "c"));
	conf_unref(conf);
	strbuf_fini(&errors);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(logs),
		cmocka_unit_test(which_log_is_a_route_s),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
