/* SPDX-License-Identifier: ISC */
/* A snapshot in use: references, look-ups, what limits come to, networks. */
#include "conf/conf.h"

#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "conf/base/strbuf.h"

#define SEC  INT64_C(1000000)
#define N(a) (sizeof(a) / sizeof((a)[0]))

static struct conf *
load(const char *text)
{
	struct strbuf errors = { 0 };
	struct conf *conf = conf_load_text("f", text, strlen(text), &errors);

	if (conf == NULL)
		fail_msg("%s", errors.data);
	strbuf_fini(&errors);
	return conf;
}

static void
the_smallest_useful_file(void **state)
{
	struct conf *conf =
	    load("routes: {main: {next_hop: \"127.0.0.1:10025\"}}\n");
	const struct conf_provider *p;
	const struct conf_listener *l = &conf->listeners[0];

	(void)state;
	/* Mail of this machine alone is taken. */
	assert_int_equal(conf->n_listeners, 1);
	assert_string_equal(l->listen.text, "127.0.0.1:2525");
	assert_string_equal(l->listen.host, "127.0.0.1");
	assert_int_equal(l->listen.port, 2525);
	assert_int_equal(l->tls, LISTENER_TLS_NONE);
	assert_int_equal(l->auth, LISTENER_AUTH_NONE);
	assert_int_equal(l->n_trusted, 2);
	assert_int_equal(conf->n_streams, 1);
	assert_string_equal(conf->streams[0].name, "default");
	assert_int_equal(conf->streams[0].routes.n, 1);
	assert_string_equal(conf->streams[0].routes.v[0], "main");
	assert_true(conf->daemon.workers > 0);
	assert_true(conf->daemon.hostname[0] != '\0');
	assert_true(conf->n_providers >= 27);
	p = &conf->providers[conf->n_providers - 1];
	assert_string_equal(p->name, "other");
	assert_true(p->is_other && p->is_builtin);
	assert_false(conf->providers[0].is_other);
	assert_int_equal(conf->limits.message_size_bytes, 50 << 20);
	assert_int_equal(conf->spool.retry.factor_permille, 2000);
	assert_int_equal(conf->spool.expire_us, 5 * 86400 * SEC);
	assert_int_equal(conf->routes[0].timeouts.data_done_us, 600 * SEC);
	assert_string_equal(conf->routes[0].auth.password, "");
	assert_int_equal(conf->adapt.given, 0xfff);
	assert_true(conf->adapt.enabled);
	conf_unref(conf);
}

static void
references(void **state)
{
	struct conf *conf =
	    load("routes: {main: {next_hop: \"127.0.0.1:10025\"}}\n");
	struct conf *same = conf_ref(conf);

	(void)state;
	assert_ptr_equal(conf, same);
	conf_unref(conf);
	assert_string_equal(same->routes[0].name, "main");
	conf_unref(same);
	conf_unref(NULL);
}

/* The operator's keys go over the built-in ones, one by one. */
static void
providers_are_merged(void **state)
{
	struct conf *conf =
	    load("routes: {main: {next_hop: \"127.0.0.1:10025\"}}\n"
		 "providers:\n"
		 "  gmail: {rate: 1/s}\n"
		 "  yahoo: {domains: [yahoo.com], connections: unlimited}\n"
		 "  mine: {mx: [.MX.Example.COM], domains: [.exämple.net]}\n"
		 "  other: {rate: unlimited, connections: 2}\n");
	struct conf *plain =
	    load("routes: {main: {next_hop: \"127.0.0.1:10025\"}}\n");
	const struct conf_provider *p, *was;

	(void)state;
	assert_int_equal(conf->n_providers, plain->n_providers + 1);
	p = conf_provider(conf, "gmail");
	was = conf_provider(plain, "gmail");
	assert_int_equal(p->limits.rates.n, 1);
	assert_int_equal(p->limits.rates.v[0].count, 1);
	assert_int_equal(p->limits.connections, was->limits.connections);
	assert_int_equal(p->domains.n, was->domains.n);
	assert_true(p->is_builtin);
	p = conf_provider(conf, "yahoo");
	assert_int_equal(p->domains.n, 1);
	assert_int_equal(p->limits.connections, 0);
	assert_false(p->is_builtin); /* it claims what the operator says */
	p = conf_provider(conf, "mine");
	assert_string_equal(p->mx.v[0], "mx.example.com");
	assert_string_equal(p->domains.v[0], ".xn--exmple-cua.net");
	assert_true(rate_is_unlimited(&p->limits.rates.v[0]));
	assert_false(p->is_builtin);
	p = &conf->providers[conf->n_providers - 1];
	assert_true(p->is_other);
	assert_int_equal(p->limits.connections, 2);
	assert_null(conf_provider(conf, "nobody"));
	conf_unref(conf);
	conf_unref(plain);
}

static void
limits_of_a_lane_are_the_smaller(void **state)
{
	struct conf *conf =
	    load("routes:\n"
		 "  a:\n"
		 "    next_hop: \"127.0.0.1:10025\"\n"
		 "    providers:\n"
		 "      p: {rate: [5/s, 100/min, 1k/h], burst: 3, "
		 "connections: 9, messages_per_connection: 5}\n"
		 "      q: {rate: 7/s}\n"
		 "      r: {rate: unlimited, connections: 1}\n"
		 "  b: {next_hop: \"127.0.0.1:10026\"}\n"
		 "providers:\n"
		 "  p: {domains: [p.test], rate: [10/s, 50/min], burst: 20, "
		 "connections: 4, messages_per_connection: 50}\n"
		 "  q: {domains: [q.test]}\n"
		 "  r: {domains: [r.test], rate: 2/s}\n");
	const struct conf_route *a = conf_route(conf, "a");
	const struct conf_route *b = conf_route(conf, "b");
	struct conf_limit_set s;

	(void)state;
	s = conf_lane_limits(a, conf_provider(conf, "p"));
	assert_int_equal(s.rates.n, 3);
	assert_int_equal(s.rates.v[0].count, 5);
	assert_int_equal(s.rates.v[1].count, 50);
	assert_int_equal(s.rates.v[2].count, 1000);
	assert_int_equal(s.rates.v[2].window_us, 3600 * SEC);
	assert_int_equal(s.burst, 3);
	assert_int_equal(s.connections, 4);
	assert_int_equal(s.messages_per_connection, 5);
	assert_int_equal(s.recipients_per_message, 100);
	s = conf_lane_limits(a, conf_provider(conf, "q"));
	assert_int_equal(s.rates.n, 1);
	assert_int_equal(s.rates.v[0].count, 7);
	assert_int_equal(s.connections, 0);
	s = conf_lane_limits(a, conf_provider(conf, "r"));
	assert_int_equal(s.rates.v[0].count, 2);
	assert_int_equal(s.connections, 1);
	s = conf_lane_limits(b, conf_provider(conf, "p"));
	assert_int_equal(s.rates.v[0].count, 10);
	assert_int_equal(s.connections, 4);
	conf_unref(conf);
}

static void
adaptation_of_a_lane(void **state)
{
	struct conf *conf =
	    load("adapt: {floor: 2/min, react: {hold: 90s}}\n"
		 "providers:\n"
		 "  gmail: {adapt: {react: {hold: 30s, decrease: 20%}, "
		 "enabled: false}}\n"
		 "routes:\n"
		 "  a: {next_hop: \"127.0.0.1:1\", adapt: {react: "
		 "{decrease: 30%}}}\n"
		 "  b: {next_hop: \"127.0.0.1:2\"}\n");
	const struct conf_provider *gmail = conf_provider(conf, "gmail");
	struct conf_adapt x;

	(void)state;
	assert_int_equal(gmail->adapt.given,
	    ADAPT_HOLD | ADAPT_DECREASE | ADAPT_ENABLED);
	x = conf_lane_adapt(conf, conf_route(conf, "a"), gmail);
	assert_false(x.enabled);
	assert_int_equal(x.react.hold_us, 30 * SEC);
	assert_int_equal(x.react.decrease_permille, 300);
	assert_int_equal(x.floor.count, 2);
	assert_int_equal(x.suspend.sample, 20);
	x = conf_lane_adapt(conf, conf_route(conf, "b"),
	    conf_provider(conf, "yahoo"));
	assert_true(x.enabled);
	assert_int_equal(x.react.hold_us, 90 * SEC);
	assert_int_equal(x.react.decrease_permille, 150);
	conf_unref(conf);
}

static void
default_stream_is_last(void **state)
{
	struct conf *conf =
	    load("routes: {a: {next_hop: \"127.0.0.1:1\"}, "
		 "b: {next_hop: \"127.0.0.1:2\"}}\n"
		 "streams:\n"
		 "  default: {routes: b, priority: bulk}\n"
		 "  x: {routes: [a], match: {header: {X-A: \"*\"}, "
		 "sender_domain: .Example.NET}}\n");

	(void)state;
	assert_int_equal(conf->n_streams, 2);
	assert_string_equal(conf->streams[0].name, "x");
	assert_string_equal(conf->streams[0].match.sender_domain.v[0],
	    ".example.net");
	assert_string_equal(conf->streams[0].match.header[0].name, "X-A");
	assert_string_equal(conf->streams[1].name, "default");
	assert_string_equal(conf->streams[1].routes.v[0], "b");
	assert_ptr_equal(conf_stream(conf, "x"), &conf->streams[0]);
	assert_int_equal(conf->streams[1].priority, PRIORITY_BULK);
	conf_unref(conf);
}

static void
networks(void **state)
{
	static const struct {
		const char *network, *address;
		bool is_in;
	} cases[] = {
		{ "127.0.0.0/8", "127.1.2.3", true },
		{ "127.0.0.0/8", "128.0.0.1", false },
		{ "127.0.0.0/8", "::ffff:127.0.0.1", true },
		{ "127.0.0.0/8", "::1", false },
		{ "192.0.2.1", "192.0.2.1", true },
		{ "192.0.2.1", "192.0.2.2", false },
		{ "192.0.2.128/25", "192.0.2.127", false },
		{ "192.0.2.128/25", "192.0.2.200", true },
		{ "10.0.0.0/15", "10.1.255.255", true },
		{ "10.0.0.0/15", "10.2.0.0", false },
		{ "::1", "::1", true },
		{ "::1", "::2", false },
		{ "2001:db8::/33", "2001:db8:7fff::1", true },
		{ "2001:db8::/33", "2001:db8:8000::1", false },
	};

	(void)state;
	for (size_t i = 0; i < N(cases); i++) {
		struct sockaddr_storage ss = { 0 };
		struct sockaddr_in *in = (void *)&ss;
		struct sockaddr_in6 *in6 = (void *)&ss;
		struct strbuf text = { 0 };
		struct conf *conf;

		strbuf_addf(&text,
		    "listeners: [{listen: \"127.0.0.1:2525\", tls: none, "
		    "auth: none, trusted: \"%s\"}]\n"
		    "routes: {a: {next_hop: \"127.0.0.1:1\"}}\n",
		    cases[i].network);
		conf = load(text.data);
		if (inet_pton(AF_INET, cases[i].address, &in->sin_addr) == 1)
			in->sin_family = AF_INET;
		else if (inet_pton(AF_INET6, cases[i].address,
			     &in6->sin6_addr) == 1)
			in6->sin6_family = AF_INET6;
		assert_int_not_equal(ss.ss_family, 0);
		assert_int_equal(conf_cidr_contains(&conf->listeners[0]
							 .trusted[0],
				     (struct sockaddr *)&ss),
		    cases[i].is_in);
		ss.ss_family = AF_UNIX;
		assert_false(conf_cidr_contains(&conf->listeners[0].trusted[0],
		    (struct sockaddr *)&ss));
		conf_unref(conf);
		strbuf_fini(&text);
	}
}

static void
what_needs_a_restart(void **state)
{
	static const char *const head =
	    "routes: {a: {next_hop: \"127.0.0.1:1\"}}\n";
	static const struct {
		const char *old, *new, *keys;
		size_t n;
	} cases[] = {
		{ "", "", "", 0 },
		{ "daemon: {workers: 1}", "daemon: {workers: 2}",
		    "daemon.workers\n", 1 },
		{ "", "daemon: {state_dir: /x, drain_timeout: 1s}",
		    "daemon.state_dir\n", 1 },
		{ "daemon: {admin_socket: {path: /x, mode: \"0600\"}}",
		    "daemon: {admin_socket: {path: /y, group: mail}}",
		    "daemon.admin_socket.path\ndaemon.admin_socket.mode\n"
		    "daemon.admin_socket.group\n",
		    3 },
		{ "limits: {recipients: 5}",
		    "daemon: {hostname: a.b, log: {level: debug}}", "", 0 },
	};

	(void)state;
	for (size_t i = 0; i < N(cases); i++) {
		struct strbuf a = { 0 }, b = { 0 }, keys = { 0 };
		struct conf *old, *new;

		strbuf_addf(&a, "%s%s\n", head, cases[i].old);
		strbuf_addf(&b, "%s%s\n", head, cases[i].new);
		old = load(a.data);
		new = load(b.data);
		assert_int_equal(conf_needs_restart(old, new, &keys),
		    cases[i].n);
		assert_string_equal(keys.data ? keys.data : "", cases[i].keys);
		conf_unref(old);
		conf_unref(new);
		strbuf_fini(&a);
		strbuf_fini(&b);
		strbuf_fini(&keys);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_smallest_useful_file),
		cmocka_unit_test(references),
		cmocka_unit_test(providers_are_merged),
		cmocka_unit_test(limits_of_a_lane_are_the_smaller),
		cmocka_unit_test(adaptation_of_a_lane),
		cmocka_unit_test(default_stream_is_last),
		cmocka_unit_test(networks),
		cmocka_unit_test(what_needs_a_restart),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
