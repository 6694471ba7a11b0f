/* SPDX-License-Identifier: ISC */
/* SPF as a receiver evaluates it (RFC 7208), over a zone of the test's own. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "conf/base/rng.h"
#include "sink/spf.h"

struct row {
	const char *name;
	enum dns_type type;
	const char *text;
};

static const struct row zone[] = {
	{ "ip4.test", DNS_TXT, "v=spf1 ip4:192.0.2.0/24 -all" },
	{ "one.test", DNS_TXT, "v=spf1 ip4:192.0.2.10 ?all" },
	{ "ip6.test", DNS_TXT, "v=spf1 ip6:2001:db8::/32 ~all" },
	{ "a.test", DNS_TXT, "v=spf1 a/28 -all" },
	{ "a.test", DNS_A, "192.0.2.1" },
	{ "aa.test", DNS_TXT, "v=spf1 a:host.test//64 -all" },
	{ "host.test", DNS_AAAA, "2001:db8::1" },
	{ "mx.test", DNS_TXT, "v=spf1 mx -all" },
	{ "mx.test", DNS_MX, "mail.test" },
	{ "mail.test", DNS_A, "192.0.2.10" },
	{ "include.test", DNS_TXT, "v=spf1 include:ip4.test -all" },
	{ "softly.test", DNS_TXT, "v=spf1 include:one.test ~all" },
	{ "redirect.test", DNS_TXT, "v=spf1 redirect=ip4.test" },
	{ "empty.test", DNS_TXT, "v=spf1" },
	{ "upper.test", DNS_TXT, "V=SPF1 IP4:192.0.2.10 -ALL" },
	{ "exists.test", DNS_TXT,
	    "v=spf1 exists:%{ir}.%{v}.%{d2}.list.test -all" },
	{ "10.2.0.192.in-addr.exists.test.list.test", DNS_A, "127.0.0.2" },
	{ "two.test", DNS_TXT, "v=spf1 -all" },
	{ "two.test", DNS_TXT, "v=spf1 +all" },
	{ "other.test", DNS_TXT, "google-site-verification=x" },
	{ "other.test", DNS_TXT, "v=spf10 +all" },
	{ "badip.test", DNS_TXT, "v=spf1 ip4:192.0.2 -all" },
	{ "badword.test", DNS_TXT, "v=spf1 ipv4:192.0.2.10 -all" },
	{ "badbits.test", DNS_TXT, "v=spf1 ip4:192.0.2.10/33 -all" },
	{ "badmacro.test", DNS_TXT, "v=spf1 exists:%{z}.test -all" },
	{ "dangling.test", DNS_TXT, "v=spf1 include:nothing.test -all" },
	{ "loop.test", DNS_TXT, "v=spf1 include:loop.test -all" },
	{ "void.test", DNS_TXT, "v=spf1 a:n1.test a:n2.test a:n3.test -all" },
	{ "many.test", DNS_TXT,
	    "v=spf1 a a a a a a a a a a ip4:192.0.2.10 a -all" },
	{ "many.test", DNS_A, "198.51.100.1" },
	{ "toomany.test", DNS_TXT,
	    "v=spf1 a a a a a a a a a a a ip4:192.0.2.10 -all" },
	{ "toomany.test", DNS_A, "198.51.100.1" },
	{ "trouble.test", DNS_TXT, "v=spf1 include:servfail.test +all" },
	{ "exp.test", DNS_TXT, "v=spf1 exp=why.test ptr ip4:192.0.2.10 -all" },
	{ "minus.test", DNS_TXT, "v=spf1 -ip4:192.0.2.10 +all" },
	/* RFC 7208 5.6: an address has its own version's length alone. */
	{ "ip4dual.test", DNS_TXT, "v=spf1 ip4:192.0.2.10/24//64 +all" },
	{ "ip4only6.test", DNS_TXT, "v=spf1 ip4:192.0.2.10//64 +all" },
	{ "ip6dual.test", DNS_TXT, "v=spf1 ip6:2001:db8::/32//64 +all" },
	{ "ip6two.test", DNS_TXT, "v=spf1 ip6:2001:db8::/32/64 +all" },
	{ "zeros.test", DNS_TXT, "v=spf1 ip4:192.0.2.10/024 +all" },
	{ "dual.test", DNS_TXT, "v=spf1 a:both.test/24//64 mx/30//126 -all" },
	{ "both.test", DNS_A, "192.0.2.1" },
	{ "both.test", DNS_AAAA, "2001:db8::1" },
	{ "dual.test", DNS_MX, "both.test" },
	{ "turned.test", DNS_TXT, "v=spf1 a:both.test//64/24 +all" },
	{ "slash.test", DNS_TXT, "v=spf1 a:both.test/x +all" },
	{ "bare.test", DNS_TXT, "v=spf1 a: +all" },
	{ "allof.test", DNS_TXT, "v=spf1 all:x" },
	{ "later.test", DNS_TXT, "v=spf1 ip4:192.0.2.10 a:x/99 -all" },
	{ "ptr.test", DNS_TXT, "v=spf1 ptr -all" },
	{ "20.2.0.192.in-addr.arpa", DNS_PTR, "liar.ptr.test" },
	{ "20.2.0.192.in-addr.arpa", DNS_PTR, "mx1.ptr.test" },
	{ "mx1.ptr.test", DNS_A, "192.0.2.20" },
	{ "21.2.0.192.in-addr.arpa", DNS_PTR, "liar.ptr.test" },
	{ "liar.ptr.test", DNS_A, "198.51.100.7" },
	{ "p.test", DNS_TXT, "v=spf1 exists:%{p}.ok.test -all" },
	{ "mx1.ptr.test.ok.test", DNS_A, "127.0.0.2" },
	{ "unknown.ok.test", DNS_A, "127.0.0.2" },
	{ "parts.test", DNS_TXT,
	    "v=spf1 exists:%{l1r-}.%{lr+-}.%{L}.ok.test -all" },
	{ "post.tag.b.post.post-b%2Btag.ok.test", DNS_A, "127.0.0.2" },
	{ "slashed.test", DNS_TXT, "v=spf1 a:%{d2/}.ok.test/24 -all" },
	{ "slashed.test.ok.test", DNS_A, "192.0.2.99" },
	{ "none.test", DNS_TXT, "v=spf1 exists:%{d0}.test -all" },
};

static struct dns_answer answers[200];
static size_t n_answers;

static const struct dns_answer *
ask(void *arg, const char *name, enum dns_type type)
{
	struct dns_answer *a = &answers[n_answers++];
	bool is_there = false;

	(void)arg;
	assert_true(n_answers < 200);
	*a = (struct dns_answer){ .why = "" };
	if (strcmp(name, "servfail.test") == 0) {
		dns_answer_fail(a, "the server failed");
		return a;
	}
	a->v = calloc(8, sizeof(*a->v));
	for (size_t i = 0; i < sizeof(zone) / sizeof(zone[0]); i++) {
		if (strcmp(zone[i].name, name) != 0)
			continue;
		is_there = true;
		if (zone[i].type == type)
			a->v[a->n++].text = strdup(zone[i].text);
	}
	a->status = a->n > 0 ? DNS_OK : is_there ? DNS_NODATA : DNS_NXDOMAIN;
	return a;
}

static void
forget(void)
{
	while (n_answers > 0)
		dns_answer_fini(&answers[--n_answers]);
}

static void
results(void **state)
{
	static const struct {
		const char *domain, *address;
		enum spf_result result;
		const char *why; /* a part of it */
		unsigned n_lookups;
	} cases[] = {
		{ "ip4.test", "192.0.2.10", SPF_PASS, "ip4:192.0.2.0/24", 0 },
		{ "ip4.test", "192.0.3.10", SPF_FAIL, "-all", 0 },
		{ "ip4.test", "2001:db8::1", SPF_FAIL, "-all", 0 },
		{ "one.test", "192.0.2.11", SPF_NEUTRAL, "?all", 0 },
		{ "ip6.test", "2001:db8:1::5", SPF_PASS, "ip6:", 0 },
		{ "ip6.test", "2001:db9::", SPF_SOFTFAIL, "~all", 0 },
		{ "a.test", "192.0.2.15", SPF_PASS, "a/28", 1 },
		{ "a.test", "192.0.2.16", SPF_FAIL, "-all", 1 },
		{ "aa.test", "2001:db8::ffff", SPF_PASS, "a:host", 1 },
		{ "mx.test", "192.0.2.10", SPF_PASS, "mx", 1 },
		{ "mx.test", "192.0.2.11", SPF_FAIL, "-all", 1 },
		{ "include.test", "192.0.2.10", SPF_PASS, "include:", 1 },
		/* What is included doesn't refuse for us. */
		{ "include.test", "192.0.3.1", SPF_FAIL, "include.test", 1 },
		{ "softly.test", "192.0.2.99", SPF_SOFTFAIL, "~all", 1 },
		{ "redirect.test", "192.0.2.10", SPF_PASS, "ip4", 1 },
		{ "redirect.test", "192.0.3.10", SPF_FAIL, "by ip4.test", 1 },
		{ "empty.test", "192.0.2.10", SPF_NEUTRAL, "no all", 0 },
		{ "upper.test", "192.0.2.10", SPF_PASS, "IP4", 0 },
		{ "exists.test", "192.0.2.10", SPF_PASS, "exists", 1 },
		{ "exists.test", "192.0.2.11", SPF_FAIL, "-all", 1 },
		{ "minus.test", "192.0.2.10", SPF_FAIL, "-ip4", 0 },
		{ "exp.test", "192.0.2.10", SPF_PASS, "ip4", 1 },
		{ "other.test", "192.0.2.10", SPF_NONE, "no SPF record", 0 },
		{ "nobody.test", "192.0.2.10", SPF_NONE, "no SPF record", 0 },
		{ "two.test", "192.0.2.10", SPF_PERMERROR, "more than one", 0 },
		{ "badip.test", "192.0.2.10", SPF_PERMERROR, "no network", 0 },
		{ "badword.test", "192.0.2.10", SPF_PERMERROR,
		    "no such mechanism", 0 },
		{ "badbits.test", "192.0.2.10", SPF_PERMERROR, "no sense", 0 },
		{ "badmacro.test", "192.0.2.10", SPF_PERMERROR, "no sense", 0 },
		{ "dangling.test", "192.0.2.10", SPF_PERMERROR,
		    "nothing.test: has no SPF record", 1 },
		{ "loop.test", "192.0.2.10", SPF_PERMERROR, "look-ups", 11 },
		{ "void.test", "192.0.2.10", SPF_PERMERROR, "don't exist", 3 },
		{ "many.test", "192.0.2.10", SPF_PASS, "ip4", 10 },
		{ "toomany.test", "192.0.2.10", SPF_PERMERROR, "look-ups", 11 },
		{ "trouble.test", "192.0.2.10", SPF_TEMPERROR,
		    "the server failed", 1 },
		{ "servfail.test", "192.0.2.10", SPF_TEMPERROR, "failed", 0 },
		{ "ip4dual.test", "192.0.2.10", SPF_PERMERROR, "ip4:", 0 },
		{ "ip4only6.test", "192.0.2.10", SPF_PERMERROR, "ip4:", 0 },
		{ "ip6dual.test", "2001:db8::1", SPF_PERMERROR, "ip6:", 0 },
		{ "ip6two.test", "2001:db8::1", SPF_PERMERROR, "ip6:", 0 },
		{ "zeros.test", "192.0.2.10", SPF_PERMERROR, "no sense", 0 },
		{ "dual.test", "192.0.2.200", SPF_PASS, "a:both", 1 },
		{ "dual.test", "2001:db8::ffff", SPF_PASS, "a:both", 1 },
		{ "dual.test", "2001:db9::1", SPF_FAIL, "-all", 2 },
		{ "turned.test", "192.0.2.10", SPF_PERMERROR, "no sense", 0 },
		{ "slash.test", "192.0.2.10", SPF_PERMERROR, "no sense", 0 },
		{ "bare.test", "192.0.2.10", SPF_PERMERROR, "no sense", 0 },
		{ "allof.test", "192.0.2.10", SPF_PERMERROR, "no sense", 0 },
		/* What stands behind the match counts too (4.6). */
		{ "later.test", "192.0.2.10", SPF_PERMERROR, "a:x/99", 0 },
		{ "ptr.test", "192.0.2.20", SPF_PASS, "ptr", 1 },
		{ "ptr.test", "192.0.2.21", SPF_FAIL, "-all", 1 },
		{ "ptr.test", "2001:db8::9", SPF_FAIL, "-all", 1 },
		{ "p.test", "192.0.2.20", SPF_PASS, "%{p}", 1 },
		{ "p.test", "192.0.2.21", SPF_PASS, "%{p}", 1 },
		{ "parts.test", "192.0.2.21", SPF_PASS, "exists", 1 },
		{ "slashed.test", "192.0.2.10", SPF_PASS, "%{d2/}", 1 },
		{ "none.test", "192.0.2.10", SPF_PERMERROR, "no sense", 0 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char sender[100];
		struct spf s = { .ask = ask,
			.address = cases[i].address,
			.sender = sender,
			.helo = "relay.test" };
		enum spf_result result;

		snprintf(sender, sizeof(sender), "%s@%s",
		    strcmp(cases[i].domain, "parts.test") == 0 ? "post-b+tag"
							       : "postmaster",
		    cases[i].domain);
		result = spf_check(&s, cases[i].domain);
		if (result != cases[i].result ||
		    strstr(s.why, cases[i].why) == NULL ||
		    s.n_lookups != cases[i].n_lookups)
			fail_msg("%s %s: %s, %s, %u look-ups", cases[i].domain,
			    cases[i].address, spf_result_name(result), s.why,
			    s.n_lookups);
		forget();
	}
}

/* Anybody may write a record: whatever stands there, the evaluation ends, and
 * within its look-ups. */
static char hostile[1200];

static const struct dns_answer *
ask_hostile(void *arg, const char *name, enum dns_type type)
{
	struct dns_answer *a = &answers[n_answers++];

	(void)name;
	(void)arg;
	assert_true(n_answers < 200);
	*a = (struct dns_answer){ .status = DNS_OK, .why = "", .n = 1 };
	a->v = calloc(1, sizeof(*a->v));
	a->v[0].text = strdup(type == DNS_TXT ? hostile
		: type == DNS_MX	      ? "mx.test"
		: type == DNS_A		      ? "192.0.2.99"
					      : "2001:db8::99");
	return a;
}

static void
hostile_records(void **state)
{
	static const char *const pieces[] = { " ", "a", "mx", "ptr", "all", "-",
		"~", "?", "include:", "exists:", "redirect=", "exp=", "ip4:",
		"ip6:", "192.0.2.10", "2001:db8::1", "/", "//", "33", "%{",
		"%{ir}", "%{d1r}", "%{s}", "%{h999999}", "%{l2r.-}", "%{D/}",
		"%%", "%_", "}", "x.test", "=", ":", ".", "....", "\xff",
		"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa" };
	uint64_t seed = 20261125;
	struct rng rng = { seed };

	(void)state;
	print_message("seed %llu\n", (unsigned long long)seed);
	for (int i = 0; i < 20000; i++) {
		struct spf s = { .ask = ask_hostile,
			.address = i % 2 ? "192.0.2.10" : "2001:db8::10",
			.sender = "postmaster@a.b.c.test",
			.helo = "relay.test" };
		size_t n = rng_below(&rng, 16), at = 6;

		memcpy(hostile, "v=spf1", 7);
		if (rng_below(&rng, 4) != 0)
			hostile[at++] = ' ';
		hostile[at] = '\0';
		while (n-- > 0 && at < sizeof(hostile) - 80) {
			const char *p = pieces[rng_below(&rng,
			    sizeof(pieces) / sizeof(pieces[0]))];

			strcpy(hostile + at, p);
			at += strlen(p);
		}
		spf_check(&s, "a.b.c.test");
		assert_true(s.n_lookups <= SPF_LOOKUPS_MAX + 11);
		forget();
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(results),
		cmocka_unit_test(hostile_records),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
