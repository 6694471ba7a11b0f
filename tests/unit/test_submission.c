/* SPDX-License-Identifier: ISC */
/* Recipients sorted into deliveries by where they belong. */
#include "daemon/submission.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "conf/base/xalloc.h"
#include "tests/unit/conf_fixture.h"

static struct fixture fixture;
static struct destination_index *dests;

static int
set_up(void **state)
{
	static char *gmail[] = { (char *)"gmail.com",
		(char *)"googlemail.com" };
	static char *gmx[] = { (char *)"gmx.de", (char *)".gmx.example" };

	(void)state;
	fixture_init(&fixture);
	fixture_provider(&fixture, "gmail")->domains =
	    (struct conf_names){ gmail, 2 };
	fixture_provider(&fixture, "gmx")->domains =
	    (struct conf_names){ gmx, 2 };
	dests = destination_index_new(&fixture.conf);
	return 0;
}

static int
tear_down(void **state)
{
	(void)state;
	destination_index_free(dests);
	return 0;
}

/* ---- one mailbox ---- */

static void
mailbox_to_provider_and_site(void **state)
{
	static const struct {
		const char *mailbox, *provider, *site;
	} cases[] = {
		{ "a@gmail.com", "gmail", "" },
		{ "A@GMail.COM", "gmail", "" },
		{ "a@gmail.com.", "gmail", "" },
		{ "a@googlemail.com", "gmail", "" },
		{ "a@x.gmx.example", "gmx", "" },
		{ "a@c.example", "other", "c.example" },
		{ "a@C.Example", "other", "c.example" },
		{ "a@b\xc3\xbc"
		  "cher.example",
		    "other", "xn--bcher-kva.example" },
		{ "\"a@gmail.com\"@c.example", "other", "c.example" },
		{ "a@[192.0.2.1]", "other", "[192.0.2.1]" },
		{ "postmaster", "other", "invalid" },
		{ "a@", "other", "invalid" },
		{ "a@-.example", "other", "invalid" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		char *provider, *site;

		print_message("%s\n", cases[i].mailbox);
		submission_classify(dests, cases[i].mailbox, &provider, &site);
		assert_string_equal(provider, cases[i].provider);
		assert_string_equal(site, cases[i].site);
		free(provider);
		free(site);
	}
}

/* ---- a message ---- */

/* All recipients in one delivery, as a session hands them over. */
static struct envelope
message_to(const char *const *to, size_t n)
{
	struct envelope e = { .deliveries = xcalloc(1, sizeof(struct delivery)),
		.n_deliveries = 1 };

	for (size_t i = 0; i < n; i++)
		delivery_add(e.deliveries, to[i]);
	return e;
}

#define TO_MAX 8

struct split_case {
	const char *to[TO_MAX];
	/* "provider/site: a b", in order */
	const char *deliveries[TO_MAX];
};

static const struct split_case split_cases[] = {
	{ { "a@gmail.com" }, { "gmail/: a@gmail.com" } },
	{ { "a@c.example" }, { "other/c.example: a@c.example" } },
	{ { "a@gmail.com", "b@googlemail.com" },
	    { "gmail/: a@gmail.com b@googlemail.com" } },
	{ { "a@c.example", "b@gmail.com", "c@C.EXAMPLE", "d@gmx.de",
	      "e@gmail.com", "f@d.example" },
	    { "other/c.example: a@c.example c@C.EXAMPLE",
		"gmail/: b@gmail.com e@gmail.com", "gmx/: d@gmx.de",
		"other/d.example: f@d.example" } },
	/* Twice the same is the sender's wish. */
	{ { "a@gmail.com", "a@gmail.com" },
	    { "gmail/: a@gmail.com a@gmail.com" } },
	{ { "postmaster", "a@" }, { "other/invalid: postmaster a@" } },
};

static void
assert_delivery(const struct delivery *d, const char *want)
{
	char text[512];
	int at = snprintf(text, sizeof(text), "%s/%s:", d->provider, d->site);

	for (size_t i = 0; i < d->n_recipients; i++)
		at += snprintf(text + at, sizeof(text) - (size_t)at, " %s",
		    d->recipients[i].address);
	assert_string_equal(text, want);
	assert_int_equal(d->attempts, 0);
	assert_int_equal(d->due_utc_us, 0);
}

static void
recipients_are_grouped_in_order(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(split_cases) / sizeof(*split_cases);
	     i++) {
		const struct split_case *c = &split_cases[i];
		size_t n_to = 0, n = 0;
		struct envelope e;

		while (n_to < TO_MAX && c->to[n_to] != NULL)
			n_to++;
		while (n < TO_MAX && c->deliveries[n] != NULL)
			n++;
		e = message_to(c->to, n_to);
		submission_split(&e, dests);
		assert_int_equal(e.n_deliveries, n);
		for (size_t k = 0; k < n; k++) {
			assert_int_equal(e.deliveries[k].number, k);
			assert_delivery(&e.deliveries[k], c->deliveries[k]);
		}
		envelope_fini(&e);
	}
}

static void
recipients_keep_what_was_said_of_them(void **state)
{
	static const char *const to[] = { "a@gmail.com", "b@gmx.de" };
	struct envelope e = message_to(to, 2);

	(void)state;
	e.deliveries->recipients[1].orcpt = xstrdup("rfc822;b@gmx.de");
	e.deliveries->recipients[1].notify = NOTIFY_DELAY;
	submission_split(&e, dests);
	assert_int_equal(e.n_deliveries, 2);
	assert_null(e.deliveries[0].recipients->orcpt);
	assert_string_equal(e.deliveries[1].recipients->orcpt,
	    "rfc822;b@gmx.de");
	assert_int_equal(e.deliveries[1].recipients->notify, NOTIFY_DELAY);
	envelope_fini(&e);
}

static void
thousands_of_recipients(void **state)
{
	const char **to = xcalloc(5000, sizeof(*to));
	struct envelope e;
	size_t n = 0;

	(void)state;
	for (int i = 0; i < 5000; i++)
		to[i] = i % 2 ? xasprintf("r%d@gmail.com", i)
			      : xasprintf("r%d@d%d.example", i, i % 1000);
	e = message_to(to, 5000);
	submission_split(&e, dests);
	assert_int_equal(e.n_deliveries, 501);
	for (size_t i = 0; i < e.n_deliveries; i++)
		n += e.deliveries[i].n_recipients;
	assert_int_equal(n, 5000);
	assert_int_equal(e.deliveries[1].n_recipients, 2500);
	envelope_fini(&e);
	for (int i = 0; i < 5000; i++)
		free((char *)to[i]);
	free(to);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(mailbox_to_provider_and_site),
		cmocka_unit_test(recipients_are_grouped_in_order),
		cmocka_unit_test(recipients_keep_what_was_said_of_them),
		cmocka_unit_test(thousands_of_recipients),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
