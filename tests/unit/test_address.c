/* SPDX-License-Identifier: ISC */
/*
 * Paths, mailboxes and domains: examples of RFC 5321, 5322, 6531 and what
 * people really send, accepted beside refused.
 */
#include "conf/base/address.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "conf/base/rng.h"

#define X10 "xxxxxxxxxx"
#define X60 X10 X10 X10 X10 X10 X10
#define L63 X60 "xxx"

static const struct {
	const char *path;
	const char *mailbox;
	size_t used;
} paths[] = {
	{ "<>", "", 2 },
	{ "<a@b>", "a@b", 5 },
	{ "<a@b> SIZE=1", "a@b", 5 },
	{ "<Smith@bar.com>", "Smith@bar.com", 15 },
	{ "<jones@XYZ.COM>", "jones@XYZ.COM", 15 },
	{ "<userc@d.bar.org>", "userc@d.bar.org", 17 },
	{ "<@hosta.int,@jkl.org:userc@d.bar.org>", "userc@d.bar.org", 37 },
	{ "<@[192.0.2.1]:a@b>", "a@b", 18 },
	{ "<postmaster>", "postmaster", 12 },
	{ "<PostMaster>", "PostMaster", 12 },
	{ "<\"Joe.\\\\Blow\"@example.com>", "\"Joe.\\\\Blow\"@example.com",
	    26 },
	{ "<\"a b\"@c.example>", "\"a b\"@c.example", 17 },
	{ "<\"a>b@c\"@d.example>", "\"a>b@c\"@d.example", 19 },
	{ "<\"\"@d.example>", "\"\"@d.example", 14 },
	{ "<\"a\\\"b\"@d.example>", "\"a\\\"b\"@d.example", 18 },
	{ "<a+b=c/d{e}|f~g!#$%&'*?^_`@b.example>",
	    "a+b=c/d{e}|f~g!#$%&'*?^_`@b.example", 37 },
	{ "<a.b.c@b.example>", "a.b.c@b.example", 17 },
	{ "<a@[127.0.0.1]>", "a@[127.0.0.1]", 15 },
	{ "<a@[IPv6:::1]>", "a@[IPv6:::1]", 14 },
	{ "<a@[ipv6:2001:db8::7334]>", "a@[ipv6:2001:db8::7334]", 25 },
	{ "<a@1.2.3.example>", "a@1.2.3.example", 17 },
	{ "<a@x--y.example>", "a@x--y.example", 16 },
	{ "<a@" L63 ".example>", "a@" L63 ".example", 75 },
	{ "<" X60 "xxxx@b>", X60 "xxxx@b", 68 },
};

static void
paths_are_read(void **state)
{
	char out[ADDRESS_PATH_MAX + 1];
	size_t i, used;

	(void)state;
	for (i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
		print_message("%s\n", paths[i].path);
		assert_int_equal(address_parse_path(paths[i].path,
				     strlen(paths[i].path), false, out, &used),
		    ADDRESS_OK);
		assert_string_equal(out, paths[i].mailbox);
		assert_int_equal(used, paths[i].used);
	}
}

static const struct {
	const char *path;
	enum address_result result;
} bad_paths[] = {
	{ "", ADDRESS_SYNTAX },
	{ "a@b", ADDRESS_SYNTAX },
	{ "<", ADDRESS_SYNTAX },
	{ "<a", ADDRESS_SYNTAX },
	{ "<a>", ADDRESS_SYNTAX },
	{ "<postmasters>", ADDRESS_SYNTAX },
	{ "<a@b", ADDRESS_SYNTAX },
	{ "<a@>", ADDRESS_SYNTAX },
	{ "<@b>", ADDRESS_SYNTAX },
	{ "< a@b>", ADDRESS_SYNTAX },
	{ "<a @b>", ADDRESS_SYNTAX },
	{ "<a@ b>", ADDRESS_SYNTAX },
	{ "<a@b >", ADDRESS_SYNTAX },
	{ "<a@b@c>", ADDRESS_SYNTAX },
	{ "<.a@b>", ADDRESS_SYNTAX },
	{ "<a.@b>", ADDRESS_SYNTAX },
	{ "<a..c@b>", ADDRESS_SYNTAX },
	{ "<a@.b>", ADDRESS_SYNTAX },
	{ "<a@b.>", ADDRESS_SYNTAX },
	{ "<a@b..c>", ADDRESS_SYNTAX },
	{ "<a@-b>", ADDRESS_SYNTAX },
	{ "<a@b->", ADDRESS_SYNTAX },
	{ "<a@b.-c>", ADDRESS_SYNTAX },
	{ "<a@b_c.example>", ADDRESS_SYNTAX },
	{ "<a@b,c>", ADDRESS_SYNTAX },
	{ "<a,c@b>", ADDRESS_SYNTAX },
	{ "<a(comment)@b>", ADDRESS_SYNTAX },
	{ "<a:c@b>", ADDRESS_SYNTAX },
	{ "<a;c@b>", ADDRESS_SYNTAX },
	{ "<a<c@b>", ADDRESS_SYNTAX },
	{ "<a\\c@b>", ADDRESS_SYNTAX },
	{ "<a\tc@b>", ADDRESS_SYNTAX },
	{ "<a\rc@b>", ADDRESS_SYNTAX },
	{ "<a\nc@b>", ADDRESS_SYNTAX },
	{ "<a@b\r>", ADDRESS_SYNTAX },
	{ "<\"a@b>", ADDRESS_SYNTAX },
	{ "<\"a\"b@c>", ADDRESS_SYNTAX },
	{ "<\"a\nb\"@c>", ADDRESS_SYNTAX },
	{ "<\"a\\\nb\"@c>", ADDRESS_SYNTAX },
	{ "<\"a\tb\"@c>", ADDRESS_SYNTAX },
	{ "<\"a\\", ADDRESS_SYNTAX },
	{ "<\"a\x7f\"@c>", ADDRESS_SYNTAX },
	{ "<a@[127.0.0.1>", ADDRESS_SYNTAX },
	{ "<a@[127.0.0]>", ADDRESS_SYNTAX },
	{ "<a@[127.0.0.256]>", ADDRESS_SYNTAX },
	{ "<a@[IPv6:127.0.0.1]>", ADDRESS_SYNTAX },
	{ "<a@[::1]>", ADDRESS_SYNTAX },
	{ "<a@[]>", ADDRESS_SYNTAX },
	{ "<a@[IPv6:]>", ADDRESS_SYNTAX },
	{ "<a@[x-tag:data]>", ADDRESS_SYNTAX },
	{ "<@a@b>", ADDRESS_SYNTAX },
	{ "<@a,b:c@d>", ADDRESS_SYNTAX },
	{ "<@a:>", ADDRESS_SYNTAX },
	{ "<@a:@b:c@d>", ADDRESS_SYNTAX },
	{ "<a@" L63 "x.example>", ADDRESS_SYNTAX },
	{ "<" X60 "xxxxx@b>", ADDRESS_TOO_LONG },
	{ "<a@" L63 "." L63 "." L63 "." L63 ">", ADDRESS_TOO_LONG },
	{ "<\xc3\xa9@b>", ADDRESS_NEEDS_UTF8 },
	{ "<a@b\xc3\xbc"
	  "cher.example>",
	    ADDRESS_NEEDS_UTF8 },
	{ "<\xc3@b>", ADDRESS_SYNTAX },
	{ "<\xff@b>", ADDRESS_SYNTAX },
};

static void
bad_paths_are_refused(void **state)
{
	char out[ADDRESS_PATH_MAX + 1];
	size_t i, used;

	(void)state;
	for (i = 0; i < sizeof(bad_paths) / sizeof(bad_paths[0]); i++) {
		print_message("%s\n", bad_paths[i].path);
		assert_int_equal(address_parse_path(bad_paths[i].path,
				     strlen(bad_paths[i].path), false, out,
				     &used),
		    bad_paths[i].result);
		assert_string_equal(out, "");
	}
}

/* A NUL is no end of the path where the length says otherwise. */
static void
nul_is_refused(void **state)
{
	static const char path[] = "<a\0b@c>";
	static const char literal[] = "<a@[127.0.0.1\0]>";
	char out[ADDRESS_PATH_MAX + 1];
	size_t used;

	(void)state;
	assert_int_equal(address_parse_path(path, sizeof(path) - 1, true, out,
			     &used),
	    ADDRESS_SYNTAX);
	assert_int_equal(address_parse_path(literal, sizeof(literal) - 1, true,
			     out, &used),
	    ADDRESS_SYNTAX);
}

static void
utf8_is_taken_when_asked_for(void **state)
{
	static const char *const good[] = {
		"\xc3\xa9@b.example",
		"a\xc3\xa9.b@b\xc3\xbc"
		"cher.example",
		"\xe7\x94\xa8\xe6\x88\xb7@\xe4\xbe\x8b\xe5\xad\x90.\xe5\xb9\xbf"
		"\xe5\x91\x8a",
		"\xf0\x9f\x92\xa9@b.example",
		"\"\xc3\xa9 x\"@b.example",
	};
	static const char *const bad[] = {
		"\xc0\x80@b",	      /* overlong */
		"\xe0\x80\x80@b",     /* overlong */
		"\xed\xa0\x80@b",     /* surrogate */
		"\xf4\x90\x80\x80@b", /* above U+10FFFF */
		"\xf0\x80\x80\x80@b", /* overlong */
		"\xc3@b",	      /* cut */
		"\x80@b",	      /* no start */
		"a@\xc3",
		"\"\xc3\"@b",
	};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		assert_int_equal(address_check_mailbox(good[i], true),
		    ADDRESS_OK);
		assert_int_equal(address_check_mailbox(good[i], false),
		    ADDRESS_NEEDS_UTF8);
	}
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(address_check_mailbox(bad[i], true),
		    ADDRESS_SYNTAX);
}

static void
mailboxes_are_whole_strings(void **state)
{
	(void)state;
	assert_int_equal(address_check_mailbox("a@b", false), ADDRESS_OK);
	assert_int_equal(address_check_mailbox("a@b ", false), ADDRESS_SYNTAX);
	assert_int_equal(address_check_mailbox("<a@b>", false), ADDRESS_SYNTAX);
	assert_int_equal(address_check_mailbox("postmaster", false),
	    ADDRESS_SYNTAX);
	assert_int_equal(address_check_mailbox("", false), ADDRESS_SYNTAX);
}

static void
domain_is_behind_the_last_at(void **state)
{
	(void)state;
	assert_string_equal(address_domain("a@b.example"), "b.example");
	assert_string_equal(address_domain("\"a@b\"@c"), "c");
	assert_string_equal(address_domain("postmaster"), "");
	assert_string_equal(address_domain(""), "");
}

static void
domains_are_normalised(void **state)
{
	static const struct {
		const char *from, *to;
	} good[] = {
		{ "Example.COM", "example.com" },
		{ "example.com.", "example.com" },
		{ "localhost", "localhost" },
		{ "b\xc3\xbc"
		  "cher.example",
		    "xn--bcher-kva.example" },
		{ "B\xc3\x9c"
		  "CHER.example",
		    "xn--bcher-kva.example" },
		{ "XN--BCHER-KVA.example", "xn--bcher-kva.example" },
		{ "fa\xc3\x9f.example", "xn--fa-hia.example" },
		{ "\xe4\xbe\x8b\xe5\xad\x90\xe3\x80\x82"
		  "example",
		    "xn--fsqu00a.example" },
		{ "[IPv6:2001:DB8::1]", "[ipv6:2001:db8::1]" },
		{ "[127.0.0.1]", "[127.0.0.1]" },
	};
	static const char *const bad[] = { "", ".", "..", "a..b", ".a", "-a",
		"a-", "a b", "a_b", "a@b", "[1]", "[", "a\xff", "a\xc3\xbc_b",
		"a\xc3\xbc..b", "\xc3\xbc@x", "\xc3\xbc/", "a \xc3\xbc",
		"\xe2\x80\x8b", L63 "x.example", L63 "." L63 "." L63 "." L63 };
	char out[ADDRESS_DOMAIN_MAX + 1];
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		print_message("%s\n", good[i].from);
		assert_int_equal(domain_normalise(good[i].from, out), 0);
		assert_string_equal(out, good[i].to);
	}
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		print_message("%s\n", bad[i]);
		assert_int_equal(domain_normalise(bad[i], out), -1);
		assert_string_equal(out, "");
	}
}

/* Whatever is read as a path is a mailbox by itself, and holds nothing that
 * could end a line or the path. */
static void
random_paths_are_read_safely(void **state)
{
	static const char alphabet[] = "<<>>@@@..ab1-\"\\ ,:[]\r\n\t\xc3\xa9_";
	struct rng rng = { 20261124 };
	char path[24], out[ADDRESS_PATH_MAX + 1];
	size_t i, n, n_good = 0;

	(void)state;
	print_message("seed %llu\n", (unsigned long long)rng.state);
	for (i = 0; i < 500000; i++) {
		size_t len = 1 + rng_below(&rng, sizeof(path) - 1), used;

		path[0] = '<';
		for (n = 1; n < len; n++)
			path[n] =
			    alphabet[rng_below(&rng, sizeof(alphabet) - 1)];
		if (address_parse_path(path, len, true, out, &used) !=
		    ADDRESS_OK)
			continue;
		n_good++;
		assert_true(used <= len && path[used - 1] == '>');
		assert_true(strpbrk(out, "\r\n\t") == NULL);
		if (*out != '\0')
			assert_int_equal(address_check_mailbox(out, true),
			    ADDRESS_OK);
	}
	assert_true(n_good > 100);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(paths_are_read),
		cmocka_unit_test(bad_paths_are_refused),
		cmocka_unit_test(nul_is_refused),
		cmocka_unit_test(utf8_is_taken_when_asked_for),
		cmocka_unit_test(mailboxes_are_whole_strings),
		cmocka_unit_test(domain_is_behind_the_last_at),
		cmocka_unit_test(domains_are_normalised),
		cmocka_unit_test(random_paths_are_read_safely),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
