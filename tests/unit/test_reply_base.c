/* SPDX-License-Identifier: ISC */
/* The built-in rules can be read; files that are no rules can't. */
#include "conf/reply_base.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "conf/reply_terms.h"

static void
built_in_rules_are_whole(void **state)
{
	size_t n, again;
	const struct conf_reply_rule *rules = reply_base(&n);

	(void)state;
	assert_true(n > 100);
	assert_ptr_equal(reply_base(&again), rules);
	assert_int_equal(again, n);
	for (size_t i = 0; i < n; i++) {
		assert_true(reply_class_parse(rules[i].class) >= 0);
		assert_true(phases_parse(rules[i].phase) != 0);
		for (const char *c = rules[i].match; *c != '\0'; c++)
			/* They look at text in lower case: \S and \W are all
			 * that an upper one may be. */
			if (*c >= 'A' && *c <= 'Z' &&
			    (c == rules[i].match || c[-1] != '\\'))
				fail_msg("%s: upper case at %s", rules[i].name,
				    c);
		/* Names are for people, and each means one rule. */
		for (size_t k = 0; k < i; k++)
			if (strcmp(rules[i].name, rules[k].name) == 0)
				assert_string_not_equal(rules[i].class,
				    rules[k].class);
	}
}

static void
a_rule_is_read(void **state)
{
	static const char text[] =
	    "- {name: a, provider: [x, y], code: 4, phase: 'rcpt, eod',\n"
	    "   match: [b, c], class: rate, blame: stream, pause: 30m,\n"
	    "   final: false}\n"
	    "- {name: d, match: e, class: reputation}\n";
	struct err err = { "" };
	struct conf_reply_rule *r;
	size_t n;

	(void)state;
	r = reply_base_read(text, sizeof(text) - 1, &n, &err);
	assert_string_equal(err.text, "");
	assert_int_equal(n, 3);
	assert_string_equal(r[0].match, "b|c");
	assert_int_equal(r[0].providers.n, 2);
	assert_string_equal(r[0].providers.v[1], "y");
	assert_int_equal(r[0].pause_us, INT64_C(1800000000));
	assert_int_equal(r[0].final, 0);
	assert_string_equal(r[0].code, "4");
	assert_string_equal(r[1].class, "reputation-defer");
	assert_string_equal(r[1].code, "4");
	assert_string_equal(r[2].class, "reputation-reject");
	assert_int_equal(r[2].final, -1);
	reply_base_free(r, n);
}

static void
bad_files_are_refused(void **state)
{
	static const char *const bad[] = {
		"",
		"a: b\n",
		"- a\n",
		"- {name: a, match: b}\n",
		"- {name: a, class: rate}\n",
		"- {match: a, class: rate}\n",
		"- {name: a, match: b, class: slow}\n",
		"- {name: a, match: b, class: rate, blame: me}\n",
		"- {name: a, match: b, class: rate, phase: late}\n",
		"- {name: a, match: b, class: rate, pause: soon}\n",
		"- {name: a, match: b, class: rate, colour: red}\n",
		"- {name: a, match: b, match: c, class: rate}\n",
		"- {name: a, match: {b: c}, class: rate}\n",
		"- {name: a, match: [], class: rate}\n",
		"- {name: [a], match: b, class: rate}\n",
		"- {name: a, match: b, class: reputation, code: 4}\n",
		"- {name: a, match: b, class: rate, provider: {x: y}}\n",
		"- {name: a, match: b, class: rate, provider: [[x]]}\n",
		"- {[a]: b}\n",
		"- {name: a",
		"- {name: a, match: b, class: rate}\n- {name: c}\n",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct err err = { "" };
		size_t n = 7;

		assert_null(reply_base_read(bad[i], strlen(bad[i]), &n, &err));
		assert_int_equal(n, 0);
		assert_true(err.text[0] != '\0');
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(built_in_rules_are_whole),
		cmocka_unit_test(a_rule_is_read),
		cmocka_unit_test(bad_files_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
