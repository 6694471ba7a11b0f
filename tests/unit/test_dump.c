/* SPDX-License-Identifier: ISC */
/* What is dumped loads to the same snapshot, and holds no secret. */
#include "conf/conf.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "conf/base/strbuf.h"
#include "tests/unit/conf_full.h"

static struct conf *
load(const char *text)
{
	struct strbuf errors = { 0 };
	struct conf *conf = conf_load_text("f", text, strlen(text), &errors);

	if (conf == NULL)
		fail_msg("%s\n%s", errors.data, text);
	strbuf_fini(&errors);
	return conf;
}

static void
check_round_trip(const char *text)
{
	struct conf *first = load(text), *second;
	struct strbuf a = { 0 }, b = { 0 }, keys = { 0 };

	conf_dump(first, &a);
	second = load(a.data);
	conf_dump(second, &b);
	assert_string_equal(a.data, b.data);
	assert_int_equal(conf_needs_restart(first, second, &keys), 0);
	assert_int_equal(first->n_providers, second->n_providers);
	for (size_t i = 0; i < first->n_providers; i++) {
		const struct conf_provider *p = &first->providers[i];
		const struct conf_provider *q = &second->providers[i];

		assert_string_equal(p->name, q->name);
		assert_int_equal(p->is_builtin, q->is_builtin);
		assert_int_equal(p->adapt.given, q->adapt.given);
		assert_memory_equal(&p->limits, &q->limits, sizeof(p->limits));
	}
	conf_unref(first);
	conf_unref(second);
	strbuf_fini(&a);
	strbuf_fini(&b);
	strbuf_fini(&keys);
}

static void
round_trips(void **state)
{
	(void)state;
	check_round_trip("routes: {a: {next_hop: \"127.0.0.1:1\"}}\n");
	check_round_trip(conf_full);
}

static void
every_value_is_in_it(void **state)
{
	static const char *const lines[] = {
		"  hostname: relay.example.com\n",
		"  workers: 3\n",
		"  state_dir: \"/tmp/a state: dir\"\n",
		"    mode: \"0600\"\n",
		"  event_log: \"-\"\n",
		"    level: debug\n",
		"  drain_timeout: 1.5s\n",
		"    trusted: [10.0.0.0/8, \"2001:db8::/32\"]\n",
		"  min_version: 1.3\n",
		"  max_messages: 1000\n",
		"  max_bytes: 2GB\n",
		"    factor: 1.75\n",
		"    jitter: 12.5%\n",
		"  servers: [192.0.2.53, \"127.0.0.1:5353\", \"[::1]:53\"]\n"
		"  timeout: 0.7s\n  mx: false\n",
		"  zones: [zen.example.net, dbl.example.net]\n  every: 7m\n"
		"  on_listed: alert\n",
		"    rate: [1/s, 20k/day]\n",
		"      suspend:\n        for: 2h\n"
		"        overflow: next_route\n",
		"    domains: [.xn--exmple-cua.net, example.net]\n",
		"        match: \"^421 \\\"x\\\\.y\\\"\"\n",
		"      - name: mine.replies[0]\n",
		"        final: false\n",
		"      rcpt: 10s\n",
		"        rate: [30/min]\n        connections: 1\n",
		"      mine: {}\n",
		"    address: \"2001:db8::1\"\n",
		"      floor: 7/h\n",
		"      header: {X-Kind: \"a: b\", X-Any: \"*\"}\n",
		"    decrease: 0.1%\n",
		"  news.example.com:\n    plan: new-domain\n",
		"    start: 2026-12-01\n",
		"    window: \"07:30-24:00\"\n",
		"    schedule: {from: 50, growth: [{until: 1000, by: 200%}, "
		"{by: 110.5%}], to: 100000}\n",
		"    total: {volumes: [1, 2, 2, 1000]}\n",
		"      gmail:\n        volumes: [5, 6]\n",
		"        growth: 150%\n",
		"      deferred: off\n",
		"      bounced: \"<7%\"\n",
		"        deferred: never\n        rejected: 5%\n",
		"      step_back_after: never\n      restart_after: 1h\n",
		"    done: keep\n",
		"    day: 20s\n    window: \"0.5s-15s\"\n",
		"    day: 1h\n    window: all\n    count: sending_days\n"
		"    schedule: {volumes: [1, 5]}\n",
		"  ratio: 300%\n",
		"  domain_ttl: 3h\n  action: drop\n",
		"  bounced: 0.5%\n  sample: 100\n  action: alert\n",
		"  redis: \"redis-sentinel://h1,[::1]:7/2#main\"\n",
		"  name: n-1\n  prefix: \"a:b\"\n  lease: 0.5s\n"
		"  timeout: 2s\n  on_loss: hold\n",
	};
	struct conf *conf = load(conf_full);
	struct strbuf out = { 0 };

	(void)state;
	conf_dump(conf, &out);
	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++)
		if (strstr(out.data, lines[i]) == NULL &&
		    /* The name has brackets, so it is quoted. */
		    strstr(lines[i], "mine.replies") == NULL)
			fail_msg("no %s in\n%s", lines[i], out.data);
	assert_non_null(strstr(out.data, "- name: \"mine.replies[0]\"\n"));
	conf_unref(conf);
	strbuf_fini(&out);
}

/* What isn't given and does something by being there isn't written. */
static void
what_is_off_stays_off(void **state)
{
	struct conf *conf = load("routes: {a: {next_hop: \"127.0.0.1:1\"}}\n");
	struct strbuf out = { 0 };

	(void)state;
	conf_dump(conf, &out);
	assert_null(strstr(out.data, "spike_guard"));
	assert_null(strstr(out.data, "list_health"));
	assert_null(strstr(out.data, "cluster"));
	assert_non_null(strstr(out.data, "suppression:\n  hard: 1\n"));
	assert_false(conf->spike_guard.is_given);
	conf_unref(conf);
	strbuf_fini(&out);
}

static void
passwords_are_left_out(void **state)
{
	char file[] = "/tmp/flyball-test-XXXXXX", text[300];
	int fd = mkstemp(file);
	struct strbuf out = { 0 };
	struct conf *conf;

	(void)state;
	assert_true(fd >= 0);
	assert_int_equal(write(fd, "open sesame\r\n", 13), 13);
	close(fd);
	snprintf(text, sizeof(text),
	    "routes: {a: {next_hop: \"127.0.0.1:1\", auth: {user: u, "
	    "password_file: %s}}}\n",
	    file);
	conf = load(text);
	assert_string_equal(conf->routes[0].auth.password, "open sesame");
	conf_dump(conf, &out);
	assert_null(strstr(out.data, "sesame"));
	assert_non_null(strstr(out.data, file));
	conf_unref(conf);
	unlink(file);
	strbuf_fini(&out);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(round_trips),
		cmocka_unit_test(every_value_is_in_it),
		cmocka_unit_test(what_is_off_stays_off),
		cmocka_unit_test(passwords_are_left_out),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
