/* SPDX-License-Identifier: ISC */
/* What lines of the event log come to. */
#include "daemon/report.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void
replies_of_one_kind(void **state)
{
	static const struct {
		const char *a, *b;
		int is_same;
	} cases[] = {
		{ "421 4.7.28 [192.0.2.1] unusual rate",
		    "421 4.7.28 [192.0.2.77] unusual rate", 1 },
		{ "421 4.7.28 x", "421 4.7.0 x", 0 },
		{ "421 4.7.28 x", "450 4.7.28 x", 0 },
		{ "550-5.1.1 no user a@b.test\n550 5.1.1 x17-20020a",
		    "550-5.1.1 no user longer.name@c.test\n550 5.1.1 "
		    "y99-30030b",
		    1 },
		{ "550 5.1.1 unknown", "550 5.1.1 blocked", 0 },
		{ "451 try again in 300 seconds", "451 try again in 60 seconds",
		    0 },
		{ "554 id 4BZx1k2Y3Dz", "554 id 9QPz3k4W5Ay", 1 },
		{ "", "", 1 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct strbuf a = { 0 }, b = { 0 };

		reply_kind(cases[i].a, &a);
		reply_kind(cases[i].b, &b);
		if ((a.len == b.len &&
			(a.len == 0 || memcmp(a.data, b.data, a.len) == 0)) !=
		    cases[i].is_same)
			fail_msg("%s / %s", a.data, b.data);
		strbuf_fini(&a);
		strbuf_fini(&b);
	}
}

static void
add(struct report *r, const char *line)
{
	report_add(r, line, strlen(line), "2026-11-25T00:00:00.000Z");
}

static void
providers_are_summed_up(void **state)
{
	struct report *r = report_new();
	const struct report_provider *p;

	(void)state;
#define AT "{\"ts\":\"2026-11-25T01:00:00.000Z\",\"provider\":\"gmail\","
	add(r, AT "\"event\":\"accepted\"}\n");
	add(r, AT "\"event\":\"delivered\"}\n");
	add(r, AT "\"event\":\"delivered\"}\n");
	add(r,
	    AT "\"event\":\"deferred\",\"class\":\"rate\",\"code\":421,"
	       "\"reply\":\"421 4.7.28 [192.0.2.1] slow\"}\n");
	add(r,
	    AT "\"event\":\"deferred\",\"class\":\"rate\",\"code\":421,"
	       "\"reply\":\"421 4.7.28 [192.0.2.2] slow\"}\n");
	add(r,
	    AT "\"event\":\"deferred\",\"class\":\"mailbox-full\","
	       "\"code\":452,\"reply\":\"452 4.2.2 full\"}\n");
	add(r,
	    AT "\"event\":\"bounced\",\"class\":\"bad-mailbox\","
	       "\"code\":550,\"reply\":\"550 5.1.1 no\"}\n");
	add(r,
	    AT "\"event\":\"bounced\",\"class\":\"content\",\"code\":554,"
	       "\"reply\":\"554 spam\"}\n");
	/* what is told twice is counted once */
	add(r,
	    AT "\"event\":\"bounced\",\"class\":\"content\",\"code\":554,"
	       "\"reply\":\"554 spam\",\"repeat\":true}\n");
	add(r, AT "\"event\":\"expired\",\"recipients\":3}\n");
	add(r,
	    AT "\"event\":\"lane\",\"lane\":\"a/gmail\",\"change\":\"rate\","
	       "\"from\":\"20/s\",\"to\":\"12/s\",\"state\":\"holding\"}\n");
	add(r,
	    "{\"ts\":\"2026-11-25T01:00:00.000Z\",\"event\":\"delivered\","
	    "\"provider\":\"yahoo\"}\n");
	/* before the time, and no events */
	add(r,
	    "{\"ts\":\"2026-11-24T23:59:59.999Z\",\"event\":\"delivered\","
	    "\"provider\":\"yahoo\"}\n");
	add(r, "{\"ts\":\"2026-11-25T01:00:00.0\n");
	add(r, "[1]\n");
	add(r, "\n");
	assert_int_equal(report_n_events(r), 12);
	assert_int_equal(report_n_unread(r), 3);
	assert_int_equal(report_finish(r), 2);
	p = report_provider(r, 0);
	assert_string_equal(p->name, "gmail");
	assert_int_equal(p->n_delivered, 2);
	assert_int_equal(p->n_deferred, 3);
	assert_int_equal(p->n_hard, 1);
	assert_int_equal(p->n_rejected, 1);
	assert_int_equal(p->n_soft, 4);
	assert_int_equal(p->n_changes, 1);
	assert_string_equal(p->last_change,
	    "a/gmail rate 20/s to 12/s holding");
	assert_int_equal(p->n_replies, 4);
	assert_int_equal(p->replies[0].n, 2);
	assert_string_equal(p->replies[0].reply, "421 4.7.28 [192.0.2.1] slow");
	assert_string_equal(p->replies[0].class, "rate");
	assert_string_equal(p->replies[0].code, "421");
	assert_string_equal(report_provider(r, 1)->name, "yahoo");
	assert_int_equal(report_provider(r, 1)->n_delivered, 1);
	report_free(r);
}

/* Replies that are all different don't take all memory. */
static void
kinds_are_bounded(void **state)
{
	struct report *r = report_new();
	const struct report_provider *p;
	uint64_t n = 0;

	(void)state;
	for (int i = 0; i < 25000; i++) {
		char line[256], word[8] = "aaaaaaa";

		for (int j = 0, x = i; j < 7; j++, x /= 26)
			word[j] = (char)('a' + x % 26);
		snprintf(line, sizeof(line),
		    AT "\"event\":\"deferred\",\"class\":\"other\","
		       "\"code\":450,\"reply\":\"450 %s\"}\n",
		    word);
		add(r, line);
	}
	assert_int_equal(report_finish(r), 1);
	p = report_provider(r, 0);
	assert_int_equal(p->n_deferred, 25000);
	assert_true(p->n_replies <= 20001);
	for (size_t i = 0; i < p->n_replies; i++)
		n += p->replies[i].n;
	assert_int_equal(n, 25000);
	report_free(r);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(replies_of_one_kind),
		cmocka_unit_test(providers_are_summed_up),
		cmocka_unit_test(kinds_are_bounded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
