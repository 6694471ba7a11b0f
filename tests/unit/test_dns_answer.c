/* SPDX-License-Identifier: ISC */
/* Answers of name servers: what is in them, how long it holds, and that no
 * bytes do harm. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#include "conf/base/rng.h"
#include "sink/dns_answer.h"
#include "tests/unit/dns_message.h"

static struct message m;
static struct dns_answer a;

static void
read_it(enum dns_type type)
{
	/* A copy of just its size, so that reading beyond is noticed. */
	uint8_t *copy = malloc(m.len ? m.len : 1);

	memcpy(copy, m.v, m.len);
	dns_answer_read(copy, m.len, type, &a);
	free(copy);
}

static void
mx_hosts(void **state)
{
	size_t start;

	(void)state;
	message_begin(&m, 0, 15, 4, 0);
	start = record_begin(&m, 5, 200); /* an alias on the way */
	put_name(&m, "b.test");
	record_end(&m, start);
	put_mx(&m, 300, 20, "Backup.Example.NET");
	start = record_begin(&m, 15, 250);
	put16(&m, 10);
	put8(&m, 3);
	put_bytes(&m, "mx1", 3);
	put16(&m, 0xc00c); /* a name that goes on elsewhere */
	record_end(&m, start);
	start = record_begin(&m, 15, 300); /* broken: left out */
	put8(&m, 1);
	record_end(&m, start);
	read_it(DNS_MX);
	assert_int_equal(a.status, DNS_OK);
	assert_int_equal(a.n, 2);
	assert_string_equal(a.v[0].text, "backup.example.net");
	assert_int_equal(a.v[0].preference, 20);
	assert_string_equal(a.v[1].text, "mx1.a.test");
	assert_int_equal(a.ttl_s, 200);
	dns_answer_fini(&a);
}

static void
null_mx(void **state)
{
	(void)state;
	message_begin(&m, 0, 15, 1, 0);
	put_mx(&m, 300, 0, "");
	read_it(DNS_MX);
	assert_int_equal(a.n, 1);
	assert_string_equal(a.v[0].text, "");
	dns_answer_fini(&a);
}

static void
text_and_addresses(void **state)
{
	size_t start;

	(void)state;
	message_begin(&m, 0, 16, 1, 0);
	start = record_begin(&m, 16, 60);
	put8(&m, 7);
	put_bytes(&m, "v=spf1 ", 7);
	put8(&m, 5);
	put_bytes(&m, "-\0all", 5);
	put8(&m, 200); /* longer than the record */
	record_end(&m, start);
	read_it(DNS_TXT);
	assert_int_equal(a.n, 1);
	assert_string_equal(a.v[0].text, "v=spf1 -?all");
	dns_answer_fini(&a);

	message_begin(&m, 0, 1, 2, 0);
	start = record_begin(&m, 1, 60);
	put_bytes(&m, "\300\0\2\12", 4);
	record_end(&m, start);
	start = record_begin(&m, 1, 60); /* too short for an address */
	put_bytes(&m, "\300\0\2", 3);
	record_end(&m, start);
	read_it(DNS_A);
	assert_int_equal(a.n, 1);
	assert_string_equal(a.v[0].text, "192.0.2.10");
	dns_answer_fini(&a);
}

static void
soa(uint32_t ttl_s, uint32_t minimum)
{
	size_t start = record_begin(&m, 6, ttl_s);

	put_name(&m, "ns.test");
	put_name(&m, "root.test");
	for (int i = 0; i < 4; i++)
		put32(&m, 1000);
	put32(&m, minimum);
	record_end(&m, start);
}

static void
negative_answers_have_a_time_too(void **state)
{
	static const struct {
		unsigned code;
		uint32_t ttl_s, minimum;
		enum dns_status status;
		uint32_t wanted_s;
	} cases[] = {
		{ 0, 900, 300, DNS_NODATA, 300 },
		{ 3, 60, 300, DNS_NXDOMAIN, 60 },
		{ 2, 60, 300, DNS_FAILED, 0 },
		{ 5, 60, 300, DNS_FAILED, 0 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		message_begin(&m, cases[i].code, 15, 0, 1);
		soa(cases[i].ttl_s, cases[i].minimum);
		read_it(DNS_MX);
		assert_int_equal(a.status, cases[i].status);
		assert_int_equal(a.ttl_s, cases[i].wanted_s);
		assert_int_equal(a.n, 0);
		assert_int_equal(a.status == DNS_FAILED, a.why[0] != '\0');
		dns_answer_fini(&a);
	}
	message_begin(&m, 3, 15, 0, 0);
	read_it(DNS_MX);
	assert_int_equal(a.status, DNS_NXDOMAIN);
	assert_int_equal(a.ttl_s, 0);
	/* A question isn't an answer. */
	m.v[2] &= 0x7f;
	read_it(DNS_MX);
	assert_int_equal(a.status, DNS_FAILED);
}

static void
more_than_anybody_needs(void **state)
{
	(void)state;
	message_begin(&m, 0, 15, 1000, 0);
	for (unsigned i = 0; i < 1000; i++)
		put_mx(&m, 300, i, "m.test");
	read_it(DNS_MX);
	assert_int_equal(a.n, DNS_RECORDS_MAX);
	dns_answer_fini(&a);
}

static void
any_bytes(void **state)
{
	uint64_t seed = 20261125;
	struct rng rng = { seed };

	(void)state;
	print_message("seed %llu\n", (unsigned long long)seed);
	for (int i = 0; i < 20000; i++) {
		static const enum dns_type types[] = { DNS_A, DNS_PTR, DNS_MX,
			DNS_TXT, DNS_AAAA };
		size_t n = rng_below(&rng, 6);

		message_begin(&m, 0, 15, 3, 1);
		put_mx(&m, 300, 1, "mx.b.test");
		put_mx(&m, 300, 1, "");
		put_mx(&m, 300, 1, "c.test");
		soa(5, 5);
		while (n-- > 0)
			m.v[rng_below(&rng, m.len)] =
			    (uint8_t)rng_below(&rng, 256);
		m.len -= rng_below(&rng, i % 2 ? m.len : 2);
		read_it(types[rng_below(&rng, 5)]);
		assert_true(a.n <= 3 || a.n <= DNS_RECORDS_MAX);
		assert_int_equal(a.status == DNS_OK, a.n > 0);
		dns_answer_fini(&a);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(mx_hosts),
		cmocka_unit_test(null_mx),
		cmocka_unit_test(text_and_addresses),
		cmocka_unit_test(negative_answers_have_a_time_too),
		cmocka_unit_test(more_than_anybody_needs),
		cmocka_unit_test(any_bytes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
