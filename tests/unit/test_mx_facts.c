/* SPDX-License-Identifier: ISC */
/* What an answer about MX hosts says of a domain; the sites' names. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "daemon/mx_facts.h"

#define SEC INT64_C(1000000)
#define NOW (1000 * SEC)

static void
from_answers(void **state)
{
	static const struct {
		enum dns_status status;
		uint32_t ttl_s;
		struct dns_record v[4];
		size_t n;
		const char *text; /* as stored */
		const char *site;
	} cases[] = {
		{ DNS_OK, 300,
		    { { 20, (char *)"a.backup.test" },
			{ 10, (char *)"mx2.mail.hoster.co.uk" },
			{ 10, (char *)"mx1.mail.hoster.co.uk" } },
		    3, "hosts 1300 mx1.mail.hoster.co.uk mx2.mail.hoster.co.uk",
		    "hoster.co.uk" },
		{ DNS_OK, 0, { { 0, (char *)"mx.test" } }, 1,
		    "hosts 1001 mx.test", "mx.test" },
		/* A name without an owner is its own. */
		{ DNS_OK, 9999999, { { 0, (char *)"localhost" } }, 1,
		    "hosts 87400 localhost", "localhost" },
		{ DNS_OK, 300, { { 0, (char *)"" } }, 1, "null 1300", "" },
		/* The root beside another host is no null MX. */
		{ DNS_OK, 300, { { 0, (char *)"" }, { 9, (char *)"m.b.test" } },
		    2, "hosts 1300 m.b.test", "b.test" },
		{ DNS_OK, 300, { { 0, (char *)"" }, { 9, (char *)"" } }, 2,
		    "own 1300", "" },
		{ DNS_OK, 300, { { 0, (char *)"two words.test" } }, 1,
		    "own 1300", "" },
		{ DNS_NODATA, 120, { { 0 } }, 0, "own 1120", "" },
		{ DNS_NODATA, 0, { { 0 } }, 0, "own 1300", "" },
		{ DNS_NXDOMAIN, 99999, { { 0 } }, 0, "nxdomain 4600", "" },
		{ DNS_FAILED, 0, { { 0 } }, 0, "own 1060", "" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct dns_answer a = { .status = cases[i].status,
			.ttl_s = cases[i].ttl_s,
			.v = (struct dns_record *)cases[i].v,
			.n = cases[i].n,
			.why = "" };
		char site[ADDRESS_DOMAIN_MAX + 1];
		struct mx_facts f, again;
		char *text;

		mx_facts_read(&f, &a, NOW);
		text = mx_facts_write(&f);
		assert_string_equal(text, cases[i].text);
		mx_facts_site(&f, site);
		assert_string_equal(site, cases[i].site);
		assert_int_equal(mx_facts_parse(&again, text), 0);
		assert_int_equal(again.kind, f.kind);
		assert_string_equal(again.hosts, f.hosts);
		assert_int_equal(again.expires_utc_us, f.expires_utc_us);
		assert_true(mx_facts_are_fresh(&f, f.expires_utc_us - 1));
		assert_false(mx_facts_are_fresh(&f, f.expires_utc_us));
		mx_facts_fini(&f);
		mx_facts_fini(&again);
		free(text);
	}
}

static void
refused(void **state)
{
	static const char *const bad[] = { "", "hosts", "hosts ", "hosts x a",
		"hosts 12", "hosts 12 ", "null 12 a.test", "own", "own 1x",
		"other 12", "hosts -1 a.test", "null 99999999999999999999",
		" own 12" };
	struct mx_facts f;

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		if (mx_facts_parse(&f, bad[i]) == 0)
			fail_msg("accepted: \"%s\"", bad[i]);
}

static void
many_hosts_are_cut(void **state)
{
	static char names[40][16];
	struct dns_record v[40];
	struct dns_answer a = {
		.status = DNS_OK, .ttl_s = 60, .v = v, .n = 40
	};
	char host[ADDRESS_DOMAIN_MAX + 1];
	const char *list;
	struct mx_facts f;
	size_t n = 0;

	(void)state;
	for (int i = 0; i < 40; i++) {
		snprintf(names[i], sizeof(names[i]), "m%02d.a.test", 39 - i);
		v[i] = (struct dns_record){ 1, names[i] };
	}
	mx_facts_read(&f, &a, NOW);
	list = f.hosts;
	while (mx_facts_host(&list, host))
		assert_string_equal(host, names[39 - n++]);
	assert_int_equal(n, MX_HOSTS_MAX);
	mx_facts_fini(&f);
}

static void
reserved_names(void **state)
{
	static const char *const yes[] = { "a.test", "test", "x.example.com",
		"example.org", "localhost", "host", "printer.local",
		"[192.0.2.1]", "a.invalid" };
	static const char *const no[] = { "gmail.com", "mytest.com",
		"notexample.com", "a.tests", "example.de" };

	(void)state;
	for (size_t i = 0; i < sizeof(yes) / sizeof(yes[0]); i++)
		assert_true(mx_is_reserved(yes[i]));
	for (size_t i = 0; i < sizeof(no) / sizeof(no[0]); i++)
		assert_false(mx_is_reserved(no[i]));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(from_answers),
		cmocka_unit_test(refused),
		cmocka_unit_test(many_hosts_are_cut),
		cmocka_unit_test(reserved_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
