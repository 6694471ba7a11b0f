/* SPDX-License-Identifier: ISC */
/* Domains and MX hosts to providers, messages to streams. */
#include "scheduler/destination.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "tests/unit/conf_fixture.h"

static void
providers(struct fixture *f)
{
	static char *gmail[] = { (char *)"gmail.com",
		(char *)"googlemail.com" };
	static char *gmail_mx[] = { (char *)"google.com",
		(char *)"googlemail.com" };
	static char *corp[] = { (char *)".corp.example",
		(char *)"mail.deep.corp.example" };
	static char *deep[] = { (char *)".deep.corp.example" };
	static char *olc_mx[] = { (char *)"olc.protection.outlook.com" };
	static char *eop_mx[] = { (char *)".protection.outlook.com" };
	struct conf_provider *p;

	fixture_init(f);
	p = fixture_provider(f, "gmail");
	p->domains = (struct conf_names){ gmail, 2 };
	p->mx = (struct conf_names){ gmail_mx, 2 };
	p->is_builtin = true;
	p = fixture_provider(f, "corp");
	p->domains = (struct conf_names){ corp, 2 };
	p = fixture_provider(f, "deep");
	p->domains = (struct conf_names){ deep, 1 };
	p = fixture_provider(f, "olc");
	p->mx = (struct conf_names){ olc_mx, 1 };
	p = fixture_provider(f, "eop");
	p->mx = (struct conf_names){ eop_mx, 1 };
}

static void
by_domain(void **state)
{
	static const struct {
		const char *domain, *want;
	} cases[] = {
		{ "gmail.com", "gmail" }, { "googlemail.com", "gmail" },
		{ "x.gmail.com", "other" }, /* exact entries are exact */
		{ "notgmail.com", "other" }, { "com", "other" },
		{ "", "other" }, { "[192.0.2.1]", "other" },
		{ "corp.example", "corp" }, { "a.b.corp.example", "corp" },
		{ "notcorp.example", "other" }, { "deep.corp.example", "deep" },
		{ "a.deep.corp.example", "deep" },    /* the longest suffix */
		{ "mail.deep.corp.example", "corp" }, /* exact before it */
	};
	struct destination_index *index;
	struct fixture f;

	(void)state;
	providers(&f);
	index = destination_index_new(&f.conf);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		assert_string_equal(destination_by_domain(index,
					cases[i].domain)
					->name,
		    cases[i].want);
	destination_index_free(index);
	destination_index_free(NULL);
}

static void
by_mx(void **state)
{
	static const struct {
		const char *host, *want; /* NULL: none */
	} cases[] = {
		{ "aspmx.l.google.com", "gmail" },
		{ "ASPMX.L.GOOGLE.COM.", "gmail" },
		{ "google.com", "gmail" },
		{ "notgoogle.com", NULL },
		{ "hotmail-com.olc.protection.outlook.com", "olc" },
		{ "x.mail.protection.outlook.com", "eop" },
		{ "outlook.com", NULL },
		{ "mx.corp.example", NULL }, /* a domain is no MX suffix */
		{ "", NULL },
		{ ".", NULL },
	};
	struct destination_index *index;
	struct fixture f;

	(void)state;
	providers(&f);
	index = destination_index_new(&f.conf);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const struct conf_provider *p =
		    destination_by_mx(index, cases[i].host);

		if (cases[i].want == NULL)
			assert_null(p);
		else
			assert_string_equal(p->name, cases[i].want);
	}
	destination_index_free(index);
}

static void
the_operators_entry_goes_before_the_built_in(void **state)
{
	static char *mine[] = { (char *)"gmail.com" };
	struct destination_index *index;
	struct fixture f;

	(void)state;
	providers(&f);
	fixture_provider(&f, "mine")->domains = (struct conf_names){ mine, 1 };
	index = destination_index_new(&f.conf);
	assert_string_equal(destination_by_domain(index, "gmail.com")->name,
	    "mine");
	assert_string_equal(destination_by_domain(index, "googlemail.com")
				->name,
	    "gmail");
	destination_index_free(index);
}

/* ---- streams ---- */

static const char *
header(const char *name, void *arg)
{
	(*(int *)arg)++;
	return strcmp(name, "X-Stream") == 0 ? "Receipts" : NULL;
}

static void
streams(struct fixture *f)
{
	static struct conf_header_match receipts[] = {
		{ (char *)"X-Stream", (char *)"receipts" },
	};
	static struct conf_header_match two[] = {
		{ (char *)"X-Stream", (char *)"*" },
		{ (char *)"X-Other", (char *)"*" },
	};
	static char *shop[] = { (char *)"shop", (char *)"till" };
	static char *news[] = { (char *)"news.example.com",
		(char *)".lists.example.com" };
	static char *port[] = { (char *)"127.0.0.1:2525" };
	struct conf_stream *st;

	fixture_init(f);
	fixture_stream(f, "by-name-only", PRIORITY_HIGH, 1, NULL);
	st = fixture_stream(f, "both-headers", PRIORITY_HIGH, 1, NULL);
	st->match.header = two;
	st->match.n_header = 2;
	st = fixture_stream(f, "receipts", PRIORITY_HIGH, 1, NULL);
	st->match.user = (struct conf_names){ shop, 2 };
	st->match.header = receipts;
	st->match.n_header = 1;
	st = fixture_stream(f, "news", PRIORITY_BULK, 1, NULL);
	st->match.sender_domain = (struct conf_names){ news, 2 };
	st = fixture_stream(f, "local", PRIORITY_NORMAL, 1, NULL);
	st->match.listener = (struct conf_names){ port, 1 };
	fixture_stream(f, "default", PRIORITY_NORMAL, 1, NULL);
}

static void
first_match_wins(void **state)
{
	static const struct {
		const char *user, *user_stream, *sender, *listener;
		bool has_header;
		const char *want;
	} cases[] = {
		{ "", "", "", "", false, "default" },
		{ "shop", "", "", "", true, "receipts" },
		{ "till", "", "", "", true, "receipts" },
		{ "shop", "", "", "", false, "default" }, /* all must match */
		{ "other", "", "", "", true, "default" },
		{ "", "", "news.example.com", "", false, "news" },
		{ "", "", "a.news.example.com", "", false, "default" },
		{ "", "", "lists.example.com", "", false, "news" },
		{ "", "", "a.b.lists.example.com", "", false, "news" },
		{ "", "", "notlists.example.com", "", false, "default" },
		{ "shop", "", "news.example.com", "", true, "receipts" },
		{ "", "", "", "127.0.0.1:2525", false, "local" },
		{ "", "", "news.example.com", "127.0.0.1:2525", false, "news" },
		{ "", "by-name-only", "", "", false, "by-name-only" },
		{ "shop", "local", "", "", true, "local" }, /* before all */
		{ "shop", "no-such", "", "", true, "receipts" },
	};
	struct fixture f;
	int n_asked = 0;

	(void)state;
	streams(&f);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct message_facts facts = {
			.user = cases[i].user,
			.user_stream = cases[i].user_stream,
			.sender_domain = cases[i].sender,
			.listener = cases[i].listener,
			.header = cases[i].has_header ? header : NULL,
			.arg = &n_asked,
		};

		assert_string_equal(stream_match(&f.conf, &facts)->name,
		    cases[i].want);
	}
	assert_true(n_asked > 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(by_domain),
		cmocka_unit_test(by_mx),
		cmocka_unit_test(the_operators_entry_goes_before_the_built_in),
		cmocka_unit_test(first_match_wins),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
