/* SPDX-License-Identifier: ISC */
/* Rules across keys: each contradiction with its place, and beside it what is
 * so near that it might be taken for one. */
#include "conf/conf.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "conf/base/strbuf.h"

#define N(a) (sizeof(a) / sizeof((a)[0]))

static void
check(const char *text, const char *wanted)
{
	struct strbuf errors = { 0 };
	struct conf *conf = conf_load_text("f", text, strlen(text), &errors);

	if (wanted == NULL) {
		if (conf == NULL)
			fail_msg("%s\n%s", text, errors.data);
	} else {
		if (conf != NULL)
			fail_msg("accepted: %s", text);
		assert_string_equal(errors.data, wanted);
	}
	conf_unref(conf);
	strbuf_fini(&errors);
}

#define WIDE                                                                \
	"so much of the world is trusted that this were an open relay; if " \
	"it is meant, say open_relay: true"
#define ROUTE "routes: {r: {next_hop: \"192.0.2.1:25\"}}\n"

static void
listeners(void **state)
{
	static const struct {
		const char *text, *error;
	} cases[] = {
		{ "listeners: []\n",
		    "f:2:12: listeners: is empty: no mail could come in\n" },
		{ "daemon: {http: {listen: \"127.0.0.1:2525\"}}\n"
		  "listeners: [{listen: \"[::]:2525\", tls: none, auth: "
		  "none, trusted: [\"::1\"]}]\n",
		    "f:2:25: daemon.http.listen: is the address of "
		    "listeners[0]\n" },
		{ "daemon: {http: {listen: \"192.0.2.1:25\"}}\n",
		    "f:1:24: routes.r.next_hop: is daemon.http.listen: no "
		    "mail goes there\n" },
		{ "daemon: {http: {listen: \"127.0.0.1:8025\"}}\n"
		  "listeners: [{listen: \"127.0.0.2:8025\", tls: none, "
		  "auth: none, trusted: [\"::1\"]}]\n",
		    NULL },
		{ "daemon: {http: {listen: \"localhost:8025\"}}\n",
		    "f:2:25: daemon.http.listen: a listener needs an address; "
		    "write 127.0.0.1:8025 or [::]:8025\n" },
		{ "listeners:\n  - {listen: \"127.0.0.1:1\", tls: none, auth: "
		  "none}\n",
		    "f:3:5: listeners[0].trusted: auth: none needs trusted, "
		    "the networks whose clients may send; without it this "
		    "were an open relay\n" },
		{ "listeners:\n  - {listen: \"127.0.0.1:1\", tls: none, auth: "
		  "none, trusted: []}\n",
		    "f:3:61: listeners[0].trusted: auth: none needs trusted, "
		    "the networks whose clients may send; without it this "
		    "were an open relay\n" },
		{ "listeners:\n  - {listen: \"127.0.0.1:1\", tls: none, auth: "
		  "none, trusted: [10.0.0.0/8, \"::/0\"]}\n",
		    "f:3:74: listeners[0].trusted[1]: with ::/0 " WIDE "\n" },
		{ "listeners:\n  - {listen: \"127.0.0.1:1\", tls: none, auth: "
		  "none, trusted: 0.0.0.0/0}\n",
		    "f:3:61: listeners[0].trusted[0]: with 0.0.0.0/0 " WIDE
		    "\n" },
		{ "listeners:\n  - {listen: \"127.0.0.1:1\", tls: none, auth: "
		  "none, trusted: [10.1.0.0/8]}\n",
		    "f:3:62: listeners[0].trusted: \"10.1.0.0/8\" has bits "
		    "behind its prefix (did you mean 10.0.0.0/8?)\n" },
		{ "listeners: [{listen: \"0.0.0.0:1\", auth: none, trusted: "
		  "192.0.0.0/8}]\ntls: {certificate: /c, key: /k}\n",
		    NULL },
		{ "listeners: [{listen: \"0.0.0.0:1\", auth: none, trusted: "
		  "0.0.0.0/0, open_relay: true}]\n"
		  "tls: {certificate: /c, key: /k}\n",
		    NULL },
		{ "listeners: [{listen: \"127.0.0.1:1\", tls: none, auth: "
		  "none, trusted: \"::1\", open_relay: true}]\n",
		    "f:2:88: listeners[0].open_relay: trusted isn't so wide "
		    "that it were needed\n" },
		{ "listeners:\n  - listen: \"[::]:587\"\n",
		    "f:3:5: listeners[0].auth: required needs "
		    "auth.users_file\n"
		    "f:3:5: listeners[0].tls: needs tls.certificate and "
		    "tls.key\n" },
		{ "listeners: [{listen: \"[::]:587\"}]\nauth: {users_file: "
		  "/u}\ntls: {certificate: /c, key: /k}\n",
		    NULL },
		{ "listeners: [{listen: \"127.0.0.1:1\", tls: none}]\nauth: "
		  "{users_file: /u}\n",
		    "f:2:13: listeners[0].auth: AUTH is offered under TLS "
		    "only: give tls, or plaintext_auth: true on a loopback "
		    "address\n" },
		{ "listeners: [{listen: \"127.0.0.1:1\", tls: none, "
		  "plaintext_auth: true}]\nauth: {users_file: /u}\n",
		    NULL },
		{ "listeners: [{listen: \"[::1]:1\", tls: none, "
		  "plaintext_auth: on}]\nauth: {users_file: /u}\n",
		    NULL },
		{ "listeners: [{listen: \"192.0.2.7:1\", tls: none, "
		  "plaintext_auth: true}]\nauth: {users_file: /u}\n",
		    "f:2:64: listeners[0].plaintext_auth: passwords may go "
		    "unencrypted on a loopback address only\n" },
		{ "listeners: [{listen: \"127.0.0.1:1\", tls: none, auth: "
		  "none, trusted: fe80::/10, plaintext_auth: true}]\n",
		    "f:2:96: listeners[0].plaintext_auth: means nothing with "
		    "auth: none\n" },
		{ "listeners:\n"
		  "  - &x {listen: \"127.0.0.1:7\", tls: none, auth: none, "
		  "trusted: fe80::/10}\n"
		  "  - {listen: \"127.0.0.1:8\", tls: none, auth: none, "
		  "trusted: fe80::/10}\n"
		  "  - {listen: \"[::ffff:127.0.0.1]:7\", tls: none, auth: "
		  "none, trusted: fe80::/10}\n",
		    "f:3:5: listeners: anchors (&) aren't supported; write it "
		    "out\n"
		    "f:5:14: listeners[2].listen: is the address of "
		    "listeners[0]\n" },
		{ "listeners:\n"
		  "  - {listen: \"127.0.0.1:0\", tls: none, auth: none, "
		  "trusted: fe80::/10}\n"
		  "  - {listen: \"127.0.0.1:0\", tls: none, auth: none, "
		  "trusted: fe80::/10}\n",
		    NULL },
		{ "tls: {certificate: /c}\n",
		    "f:2:20: tls.certificate: needs tls.key\n" },
		{ "tls: {key: /c}\n",
		    "f:2:12: tls.key: needs tls.certificate\n" },
	};

	(void)state;
	for (size_t i = 0; i < N(cases); i++) {
		struct strbuf text = { 0 };

		strbuf_addf(&text, "%s%s", ROUTE, cases[i].text);
		check(text.data, cases[i].error);
		strbuf_fini(&text);
	}
}

#define LISTEN(address)                   \
	"listeners: [{listen: \"" address \
	"\", tls: none, auth: none, trusted: fe80::/10}]\n"

static void
routes(void **state)
{
	static const struct {
		const char *text, *error;
	} cases[] = {
		{ "limits: {}\n", "f:1:1: routes: is missing\n" },
		{ "routes:\n",
		    "f:1:8: routes: is empty: name at least one, as {main: "
		    "{next_hop: \"127.0.0.1:10025\"}}\n" },
		{ LISTEN("127.0.0.1:25") "routes: {r: {next_hop: "
					 "\"127.0.0.1:25\"}}\n",
		    "f:2:24: routes.r.next_hop: is listeners[0]: mail would "
		    "go in circles\n" },
		{ LISTEN("[::]:25") "routes: {r: {next_hop: "
				    "\"localhost:25\"}}\n",
		    "f:2:24: routes.r.next_hop: is listeners[0]: mail would "
		    "go in circles\n" },
		{ LISTEN("0.0.0.0:25") "routes: {r: {next_hop: "
				       "\"127.0.0.9:25\"}}\n",
		    "f:2:24: routes.r.next_hop: is listeners[0]: mail would "
		    "go in circles\n" },
		{ LISTEN("127.0.0.1:25") "routes: {r: {next_hop: "
					 "\"127.0.0.2:25\"}}\n",
		    NULL },
		{ LISTEN("127.0.0.1:25") "routes: {r: {next_hop: "
					 "\"127.0.0.1:26\"}}\n",
		    NULL },
		{ "routes: {r: {next_hop: \"127.0.0.1:2525\"}}\n",
		    "f:1:24: routes.r.next_hop: is listeners[0]: mail would "
		    "go in circles\n" },
		{ "routes: {r: {next_hop: \"192.0.2.1:25\", source: "
		  "\"::1\"}}\n",
		    "f:1:48: routes.r.source: ::1 can't reach 192.0.2.1: one "
		    "is IPv4, the other IPv6\n" },
		{ "routes: {r: {next_hop: \"mx.test:25\", auth: {user: "
		  "a}}}\n",
		    "f:1:51: routes.r.auth.user: needs auth.password_file\n" },
		{ "routes: {r: {next_hop: \"mx.test:25\", tls: none, auth: "
		  "{user: a, password_file: /proc/version}}}\n",
		    "f:1:49: routes.r.auth: the password would go unencrypted "
		    "to another machine; give tls: required or verify\n" },
		{ "routes: {r: {next_hop: \"127.0.0.1:25\", tls: none, auth: "
		  "{user: a, password_file: /proc/version}}}\n",
		    NULL },
		{ "routes: {r: {next_hop: \"a.test:25\", providers: {gmial: "
		  "{rate: 1/s}}}}\n",
		    "f:1:49: routes.r.providers.gmial: there is no provider "
		    "\"gmial\" (did you mean gmail?)\n" },
		{ "routes: {r: {next_hop: \"a.test:25\", providers: {p: "
		  "{rate: [1/5s, 1/6s, 1/7s, 1/8s, 1/9s]}}}}\n"
		  "providers: {p: {domains: p.test, rate: [1/1s, 1/2s, 1/3s, "
		  "1/4s]}}\n",
		    "f:1:49: routes.r.providers.p: with the provider's own "
		    "rates these are more than 8\n" },
		{ "routes: {r: {next_hop: \"a.test:25\", providers: {p: "
		  "{rate: [1/5s, 1/6s, 1/7s, 1/8s, 1/4s]}}}}\n"
		  "providers: {p: {domains: p.test, rate: [1/1s, 1/2s, 1/3s, "
		  "1/4s]}}\n",
		    NULL },
		{ "routes: {r: {next_hop: \"a.test:25\", backoff: {first: "
		  "2m}}}\n",
		    "f:1:37: routes.r.backoff: max is shorter than first\n" },
		{ "routes: {r: {next_hop: \"a.test:25\", adapt: {suspend: "
		  "{for: 2h, max: 1h}}}}\n",
		    "f:1:37: routes.r.adapt: suspend.max is shorter than "
		    "suspend.for (1h and 2h)\n" },
		{ "routes: {r: {next_hop: \"a.test:25\", adapt: {suspend: "
		  "{for: 2d}}}}\n",
		    "f:1:37: routes.r.adapt: suspend.max is shorter than "
		    "suspend.for (1d, by adapt and 2d)\n" },
		{ "routes: {r: {next_hop: \"a.test:25\", adapt: {suspend: "
		  "{for: 2d}}}}\nadapt: {suspend: {max: 3d}}\n",
		    NULL },
		{ "routes: {r: {next_hop: \"127.0.0.1:2600\"}}\n"
		  "feedback: {reports: {listen: \"127.0.0.1:2600\"}}\n",
		    "f:1:24: routes.r.next_hop: is feedback.reports.listen: "
		    "mail would be refused there\n" },
		{ "routes: {r: {next_hop: \"a.test:25\"}}\n"
		  "feedback: {reports: {listen: \"127.0.0.1:2600\"}}\n",
		    NULL },
	};

	(void)state;
	for (size_t i = 0; i < N(cases); i++)
		check(cases[i].text, cases[i].error);
}

static void
the_rest(void **state)
{
	static const struct {
		const char *text, *error;
	} cases[] = {
		{ "streams: {s: {routes: [rr, r]}}\n",
		    "f:2:24: streams.s.routes[0]: there is no route \"rr\" "
		    "(did you mean r?)\n" },
		{ "streams: {s: {routes: []}}\n",
		    "f:2:23: streams.s.routes: is empty\n" },
		{ "streams: {default: {match: {user: x}, routes: r}}\n",
		    "f:2:21: streams.default.match: default takes what no "
		    "other stream matches; it can't have a match of its "
		    "own\n" },
		{ "streams: {s: {match: {listener: \"127.0.0.1:2526\"}, "
		  "routes: r}}\n",
		    "f:2:33: streams.s.match.listener[0]: there is no "
		    "listener \"127.0.0.1:2526\" (did you mean "
		    "127.0.0.1:2525?)\n" },
		{ "streams: {s: {match: {listener: [], user: x}, routes: "
		  "r}}\n",
		    NULL },
		{ "providers: {gmial: {rate: 1/s}}\n",
		    "f:2:13: providers.gmial: isn't built in and claims "
		    "nothing: give domains or mx (did you mean gmail?)\n" },
		{ "providers: {a: {domains: [x.test, gmail.com]}, b: {mx: "
		  "google.com, domains: [y.test, x.test]}}\n",
		    "f:2:86: providers.b.domains[1]: x.test belongs to a "
		    "already\n" },
		{ "providers: {other: {mx: a.test}}\n",
		    "f:2:13: providers.other: takes what no provider claims; "
		    "it can't claim domains or mx itself\n" },
		{ "providers: {p: {mx: a.test, adapt: {suspend: {for: 2h, "
		  "max: 1h}}}}\n",
		    "f:2:29: providers.p.adapt: suspend.max is shorter than "
		    "suspend.for (1h and 2h)\n" },
		{ "providers: {p: {mx: a.test, adapt: {suspend: {max: "
		  "30m}}}}\n",
		    "f:2:29: providers.p.adapt: suspend.max is shorter than "
		    "suspend.for (30m and 1h, by adapt)\n" },
		{ "feedback: {reports: {listen: \"127.0.0.1:2525\"}}\n",
		    "f:2:30: feedback.reports.listen: is the address of "
		    "listeners[0]\n" },
		{ "feedback: {reports: {listen: \"127.0.0.1:80\"}}\n"
		  "daemon: {http: {listen: \"127.0.0.1:80\"}}\n",
		    "f:3:25: daemon.http.listen: is the address of "
		    "feedback.reports.listen\n" },
		{ "daemon: {state_dir: \"\", admin_socket: {path: \"\"}}\n",
		    "f:2:21: daemon.state_dir: is empty\n"
		    "f:2:46: daemon.admin_socket.path: is empty\n" },
		{ "daemon: {admin_socket: {path: "
		  "/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
		  "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa}}\n",
		    "f:2:31: daemon.admin_socket.path: is too long for a "
		    "socket; 107 bytes are the most\n" },
		{ "tls: {min_version: \"\"}\n",
		    "f:2:20: tls.min_version: is empty\n" },
		{ "providers: {p: {mx: a.test, replies: [{match: a, class: "
		  "rate, phase: \"\"}]}}\n",
		    "f:2:70: providers.p.replies[0].phase: is empty\n" },
		{ "spool: {retry: {first: 5h}}\n",
		    "f:2:9: spool.retry: max is shorter than first\n" },
		{ "spool: {expire: 1h, delay_warning: 1h}\n",
		    "f:2:36: spool.delay_warning: is not before spool.expire: "
		    "it would never be sent\n" },
		{ "spool: {expire: 1h, delay_warning: 59m}\n", NULL },
		{ "adapt: {suspend: {for: 25h}}\n",
		    "f:2:1: adapt: suspend.max is shorter than "
		    "suspend.for (1d and 25h)\n" },
	};

	(void)state;
	for (size_t i = 0; i < N(cases); i++) {
		struct strbuf text = { 0 };

		strbuf_addf(&text, "%s%s", ROUTE, cases[i].text);
		check(text.data, cases[i].error);
		strbuf_fini(&text);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(listeners),
		cmocka_unit_test(routes),
		cmocka_unit_test(the_rest),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
