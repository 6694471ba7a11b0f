/* SPDX-License-Identifier: ISC */
/* Names and answers of blocklists (RFC 5782), and what only looks like one. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "sink/dnsbl.h"

static void
names(void **state)
{
	char out[DNSBL_NAME_SIZE], longest[260];

	(void)state;
	assert_int_equal(dnsbl_address_name("192.0.2.10", "zen.example.net",
			     out),
	    0);
	assert_string_equal(out, "10.2.0.192.zen.example.net");
	assert_int_equal(dnsbl_address_name("2001:db8::1", "v6.test", out), 0);
	assert_string_equal(out,
	    "1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2."
	    "v6.test");
	assert_int_equal(dnsbl_domain_name("news.a.test", "dbl.test", out), 0);
	assert_string_equal(out, "news.a.test.dbl.test");
	assert_int_equal(dnsbl_reverse_name("192.0.2.10", out), 0);
	assert_string_equal(out, "10.2.0.192.in-addr.arpa");
	assert_int_equal(dnsbl_reverse_name("::1", out), 0);
	assert_string_equal(out + 60, "0.0.ip6.arpa");
	assert_int_equal(dnsbl_address_name("a.test", "zen.test", out), -1);
	assert_int_equal(dnsbl_address_name("", "zen.test", out), -1);
	assert_int_equal(dnsbl_reverse_name("192.0.2", out), -1);
	assert_int_equal(dnsbl_domain_name("", "dbl.test", out), -1);
	assert_int_equal(dnsbl_domain_name("[::1]", "dbl.test", out), -1);
	memset(longest, 'a', sizeof(longest) - 1);
	longest[250] = '\0';
	assert_int_equal(dnsbl_domain_name(longest, "dbl.test", out), -1);
}

static void
answers(void **state)
{
	static const struct {
		enum dns_status status;
		const char *codes[3];
		enum dnsbl_verdict verdict;
		const char *code;
	} cases[] = {
		{ DNS_NXDOMAIN, { NULL }, DNSBL_CLEAN, "" },
		{ DNS_NODATA, { NULL }, DNSBL_CLEAN, "" },
		{ DNS_FAILED, { NULL }, DNSBL_UNKNOWN, "" },
		{ DNS_OK, { "127.0.0.2" }, DNSBL_LISTED, "127.0.0.2" },
		{ DNS_OK, { "127.0.0.10", "127.0.0.3" }, DNSBL_LISTED,
		    "127.0.0.10" },
		/* Not a listing: who asks is refused. */
		{ DNS_OK, { "127.255.255.254" }, DNSBL_REFUSED,
		    "127.255.255.254" },
		{ DNS_OK, { "127.255.255.252" }, DNSBL_REFUSED,
		    "127.255.255.252" },
		{ DNS_OK, { "127.0.1.255" }, DNSBL_REFUSED, "127.0.1.255" },
		{ DNS_OK, { "127.0.0.1" }, DNSBL_REFUSED, "127.0.0.1" },
		{ DNS_OK, { "127.255.255.254", "127.0.0.4" }, DNSBL_LISTED,
		    "127.0.0.4" },
		/* A zone that was given up and answers anything. */
		{ DNS_OK, { "192.0.2.80" }, DNSBL_UNKNOWN, "" },
		{ DNS_OK, { "192.0.2.80", "127.0.0.2" }, DNSBL_LISTED,
		    "127.0.0.2" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct dns_record v[3];
		struct dns_answer a = { .status = cases[i].status, .v = v };
		char code[INET_ADDRSTRLEN];

		for (; a.n < 3 && cases[i].codes[a.n] != NULL; a.n++)
			v[a.n].text = (char *)cases[i].codes[a.n];
		assert_int_equal(dnsbl_judge(&a, code), cases[i].verdict);
		assert_string_equal(code, cases[i].code);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(names),
		cmocka_unit_test(answers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
