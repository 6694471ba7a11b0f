/* SPDX-License-Identifier: ISC */
/* `where KEY=VALUE...`: what is read, what is refused, what fits. */
#include "daemon/selection.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "daemon/command_words.h"
#include "sink/envelope.h"

#define SEC INT64_C(1000000)

static int
parse(const char *line, struct words *w, struct selection *sel, size_t *used,
    struct err *err)
{
	assert_int_equal(words_split(line, strlen(line), w, NULL), 0);
	return selection_parse(sel, w->v, w->n, used, err);
}

static void
patterns(void **state)
{
	static const struct {
		const char *pattern, *text;
		bool fits;
	} cases[] = {
		{ "gmail", "gmail", true },
		{ "GMail", "gmaiL", true },
		{ "gmail", "gmail.com", false },
		{ "", "", true },
		{ "", "a", false },
		{ "*", "", true },
		{ "*", "anything", true },
		{ "?", "a", true },
		{ "?", "", false },
		{ "a*b", "ab", true },
		{ "a*b", "aXXb", true },
		{ "a*b", "aXXbc", false },
		{ "*.example", "news.example", true },
		{ "*a*a*a*", "banana", true },
		{ "*a*a*a*a*", "banana", false },
		{ "***?***", "x", true },
		{ "\xc3\xa9*", "\xc3\xa9t\xc3\xa9", true },
	};
	char text[4001];

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++)
		if (pattern_fits(cases[i].pattern, cases[i].text) !=
		    cases[i].fits)
			fail_msg("%s on %s", cases[i].pattern, cases[i].text);
	/* One that takes others years. */
	memset(text, 'a', 4000);
	text[4000] = '\0';
	assert_false(pattern_fits("*a*a*a*a*a*a*a*a*a*a*a*b", text));
}

static void
filters(void **state)
{
	char *p;

	(void)state;
	p = pattern_of_filter("mail");
	assert_true(pattern_fits(p, "ip-a/gmail"));
	free(p);
	p = pattern_of_filter("mail*");
	assert_false(pattern_fits(p, "ip-a/gmail"));
	free(p);
	p = pattern_of_filter("");
	assert_true(pattern_fits(p, "ip-a/gmail"));
	free(p);
}

static void
what_is_no_condition_is_left(void **state)
{
	struct selection sel;
	struct words w;
	struct err err;
	size_t used;

	(void)state;
	assert_int_equal(parse("provider=gmail state=deferred limit 5", &w,
			     &sel, &used, &err),
	    0);
	assert_int_equal(used, 2);
	assert_int_equal(sel.n, 2);
	assert_false(selection_wants_envelope(&sel));
	words_fini(&w);
	assert_int_equal(parse("older=2h", &w, &sel, &used, &err), 0);
	assert_int_equal(sel.terms[0].number, 7200 * SEC);
	assert_true(selection_wants_envelope(&sel));
	words_fini(&w);
}

static void
wrong_conditions_are_refused(void **state)
{
	static const struct {
		const char *line, *why;
	} wrong[] = {
		{ "", "condition" },
		{ "limit 5", "condition" },
		{ "provder=gmail", "did you mean provider" },
		{ "xyzzyplugh=red", "there are: id, provider" },
		{ "=x", "no key" },
		{ "state=sleeping", "waiting, deferred or inflight" },
		{ "older=soon", "soon" },
		{ "older>5m", "compared with =" },
		{ "attempts=many", "many" },
		{ "attempts=-1", "-1" },
		{ "id=zzz", "no message ID" },
		{ "provider=", "no value" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(wrong) / sizeof(*wrong); i++) {
		struct selection sel;
		struct words w;
		struct err err;
		size_t used;

		assert_int_equal(parse(wrong[i].line, &w, &sel, &used, &err),
		    -1);
		if (strstr(err.text, wrong[i].why) == NULL)
			fail_msg("%s: %s", wrong[i].line, err.text);
		words_fini(&w);
	}
}

static void
too_many_conditions_are_refused(void **state)
{
	char *words[SELECTION_TERMS_MAX + 1];
	struct selection sel;
	size_t used;

	(void)state;
	for (size_t i = 0; i < SELECTION_TERMS_MAX + 1; i++)
		words[i] = (char *)"provider=x";
	assert_int_equal(selection_parse(&sel, words, SELECTION_TERMS_MAX,
			     &used, NULL),
	    0);
	assert_int_equal(selection_parse(&sel, words, SELECTION_TERMS_MAX + 1,
			     &used, NULL),
	    -1);
}

static void
deliveries_fit(void **state)
{
	static const struct {
		const char *line;
		bool fits;
	} cases[] = {
		{ "provider=gmail", true }, { "provider=GM*", true },
		{ "provider=yahoo", false },
		{ "provider=yahoo provider=gmail", true },
		{ "provider=gmail state=waiting", false },
		{ "state=deferred", true },
		{ "stream=news lane=ip-a/gmail", true }, { "route=ip-a", true },
		{ "route=ip", false }, { "route=ip*", true },
		{ "site=x", false }, { "attempts=3", true },
		{ "attempts>3", false }, { "attempts>2", true },
		{ "attempts<3", false }, { "id=0000000000007", true },
		{ "id=0000000000008", false },
		{ "id=0000000000008 id=0000000000007", true },
		{ "older=1h", true }, /* the envelope's: not asked here */
	};
	const struct queue_view q = { .message = 7,
		.attempts = 3,
		.stream = "news",
		.provider = "gmail",
		.site = "",
		.lane = "ip-a/gmail",
		.state = QUEUE_DEFERRED };

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct selection sel;
		struct words w;
		size_t used;

		assert_int_equal(parse(cases[i].line, &w, &sel, &used, NULL),
		    0);
		if (selection_fits_queue(&sel, &q) != cases[i].fits)
			fail_msg("%s", cases[i].line);
		words_fini(&w);
	}
}

static void
envelopes_fit(void **state)
{
	static const struct {
		const char *line;
		uint32_t number;
		bool fits;
	} cases[] = {
		{ "sender=a@App.test", 0, true },
		{ "sender=*@app.test", 0, true },
		{ "sender=<>", 0, false },
		{ "recipient=r1@gmail.com", 0, true },
		{ "recipient=r2@gmail.com", 0, true },
		{ "recipient=r3@*", 0, false },
		{ "recipient=r3@*", 1, true },
		{ "domain=gmail.com", 0, true },
		{ "domain=gmail.com", 1, false },
		{ "older=99s", 0, true },
		{ "older=101s", 0, false },
		{ "younger=101s", 0, true },
		{ "younger=99s", 0, false },
		{ "older=0s", 5, false }, /* there is no such delivery */
		{ "older=0s provider=never", 0, true },
	};
	struct recipient r[] = { { .address = (char *)"r1@gmail.com" },
		{ .address = (char *)"r2@gmail.com" },
		{ .address = (char *)"r3@free.test" } };
	struct delivery d[] = { { .recipients = r, .n_recipients = 2 },
		{ .number = 1, .recipients = r + 2, .n_recipients = 1 } };
	const struct envelope e = { .sender = (char *)"a@app.test",
		.arrived_utc_us = 1000 * SEC,
		.deliveries = d,
		.n_deliveries = 2 };

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct selection sel;
		struct words w;
		size_t used;

		assert_int_equal(parse(cases[i].line, &w, &sel, &used, NULL),
		    0);
		if (selection_fits_envelope(&sel, &e, cases[i].number,
			1100 * SEC) != cases[i].fits)
			fail_msg("%s", cases[i].line);
		words_fini(&w);
	}
}

static void
a_clock_set_back_makes_nothing_younger_than_new(void **state)
{
	struct recipient r = { .address = (char *)"r@x.test" };
	struct delivery d = { .recipients = &r, .n_recipients = 1 };
	const struct envelope e = { .sender = (char *)"",
		.arrived_utc_us = 1000 * SEC,
		.deliveries = &d,
		.n_deliveries = 1 };
	struct selection sel;
	struct words w;
	size_t used;

	(void)state;
	assert_int_equal(parse("older=0s", &w, &sel, &used, NULL), 0);
	assert_true(selection_fits_envelope(&sel, &e, 0, 10 * SEC));
	words_fini(&w);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(patterns),
		cmocka_unit_test(filters),
		cmocka_unit_test(what_is_no_condition_is_left),
		cmocka_unit_test(wrong_conditions_are_refused),
		cmocka_unit_test(too_many_conditions_are_refused),
		cmocka_unit_test(deliveries_fit),
		cmocka_unit_test(envelopes_fit),
		cmocka_unit_test(
		    a_clock_set_back_makes_nothing_younger_than_new),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
