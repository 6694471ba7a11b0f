/* SPDX-License-Identifier: ISC */
/* Name servers and blocklists in the file: what is taken, and what isn't. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "conf/base/strbuf.h"
#include "conf/conf.h"

static struct conf *
load(const char *text, struct strbuf *errors)
{
	char file[500];

	snprintf(file, sizeof(file),
	    "routes: {a: {next_hop: \"127.0.0.1:1\"}}\n%s\n", text);
	return conf_load_text("f", file, strlen(file), errors);
}

static void
defaults(void **state)
{
	struct strbuf errors = { 0 };
	struct conf *c = load("", &errors);

	(void)state;
	assert_non_null(c);
	assert_int_equal(c->dns.servers.n, 0);
	assert_int_equal(c->dns.timeout_us, 5000000);
	assert_true(c->dns.mx);
	assert_int_equal(c->blocklists.zones.n, 0);
	assert_int_equal(c->blocklists.every_us, 900000000);
	assert_int_equal(c->blocklists.on_listed, LISTED_PAUSE);
	conf_unref(c);
	strbuf_fini(&errors);
}

static void
taken(void **state)
{
	static const char *const servers[] = { "192.0.2.53", "192.0.2.53:5353",
		"2001:db8::53", "[2001:db8::53]", "[2001:db8::53]:65535",
		"::1" };

	(void)state;
	for (size_t i = 0; i < sizeof(servers) / sizeof(servers[0]); i++) {
		struct strbuf errors = { 0 };
		char text[100];
		struct conf *c;

		snprintf(text, sizeof(text), "dns: {servers: [\"%s\"]}",
		    servers[i]);
		c = load(text, &errors);
		if (c == NULL)
			fail_msg("%s: %s", servers[i], errors.data);
		assert_string_equal(c->dns.servers.v[0], servers[i]);
		conf_unref(c);
		strbuf_fini(&errors);
	}
}

static void
refused(void **state)
{
	static const struct {
		const char *text, *why;
	} cases[] = {
		{ "dns: {servers: [ns.example.net]}", "is no name server" },
		{ "dns: {servers: [\"192.0.2.53:\"]}", "is no name server" },
		{ "dns: {servers: [\"192.0.2.53:0\"]}", "is no name server" },
		{ "dns: {servers: [\"192.0.2.53:70000\"]}",
		    "is no name server" },
		{ "dns: {servers: [\"[192.0.2.53]:53\"]}",
		    "is no name server" },
		{ "dns: {servers: [\"[::1]53\"]}", "is no name server" },
		{ "dns: {servers: [\"[::1\"]}", "is no name server" },
		{ "dns: {timeout: 0s}", "dns.timeout" },
		{ "dns: {timeout: 2m}", "dns.timeout" },
		{ "dns: {mx: perhaps}", "dns.mx" },
		{ "dns: {server: 192.0.2.53}", "did you mean" },
		{ "blocklists: {zones: [a b]}", "blocklists.zones" },
		{ "blocklists: {every: 10ms}", "blocklists.every" },
		{ "blocklists: {on_listed: stop}", "pause" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct strbuf errors = { 0 };
		struct conf *c = load(cases[i].text, &errors);

		if (c != NULL)
			fail_msg("accepted: %s", cases[i].text);
		if (strstr(errors.data, cases[i].why) == NULL)
			fail_msg("%s: %s", cases[i].text, errors.data);
		strbuf_fini(&errors);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(defaults),
		cmocka_unit_test(taken),
		cmocka_unit_test(refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
