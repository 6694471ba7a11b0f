/* SPDX-License-Identifier: ISC */
/*
 * The keys of cluster: what stands there when little is given, and each
 * mistake with its place.
 */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "conf/base/strbuf.h"
#include "conf/conf.h"

#define N(a)   (sizeof(a) / sizeof((a)[0]))
#define ROUTES "routes: {a: {next_hop: \"127.0.0.1:1\"}}\n"

static struct conf *
load(const char *text, struct strbuf *errors)
{
	return conf_load_text("f", text, strlen(text), errors);
}

static void
defaults(void **state)
{
	struct strbuf errors = { 0 };
	struct conf *conf =
	    load("daemon: {hostname: relay7.example.com}\n" ROUTES
		 "cluster: {redis: \"redis://r\"}\n",
		&errors);
	const struct conf_cluster *c = &conf->cluster;

	(void)state;
	assert_true(c->is_given);
	assert_string_equal(c->redis, "redis://r");
	assert_string_equal(c->name, "relay7.example.com");
	assert_string_equal(c->prefix, "flyball");
	assert_string_equal(c->password, "");
	assert_string_equal(c->tls_ca, "");
	assert_int_equal(c->lease_us, 1000000);
	assert_int_equal(c->timeout_us, 1000000);
	assert_int_equal(c->on_loss, ON_LOSS_SHARE);
	conf_unref(conf);
	strbuf_fini(&errors);
}

static void
mistakes(void **state)
{
	static const struct {
		const char *keys, *says;
	} cases[] = {
		{ "{}", "cluster.redis: is missing" },
		{ "{redis: \"\"}", "cluster.redis: is empty" },
		{ "{redis: \"redis://h/x\"}",
		    "cluster.redis: \"x\" is no database's number" },
		{ "{redis: \"redis://u@h\"}",
		    "cluster.redis: names a user, who needs a password_file" },
		{ "{redis: \"redis://h\", password_file: /nonexistent/p}",
		    "cluster.password_file: can't read" },
		{ "{redis: \"redis://h\", password: x}",
		    "cluster.password: there is no such key (did you mean "
		    "password_file?)" },
		{ "{redis: \"redis://h\", sentinel_password_file: /dev/null}",
		    "cluster.sentinel_password_file: \"/dev/null\" is empty" },
		{ "{redis: \"redis://h\", tls_ca: /x}",
		    "asks for no TLS (did you mean rediss://?)" },
		{ "{redis: \"redis-sentinel://h#n\", tls_ca: /x}",
		    "asks for no TLS (did you mean rediss-sentinel://?)" },
		{ "{redis: \"redis://h\", lease: 100ms}",
		    "cluster.lease: \"100ms\" is too small; the least is "
		    "0.2s" },
		{ "{redis: \"redis://h\", lease: 11s}",
		    "cluster.lease: \"11s\" is too large" },
		{ "{redis: \"redis://h\", prefix: \"a{b\"}",
		    "cluster.prefix: is up to 64 letters" },
		{ "{redis: \"redis://h\", prefix: \"\"}",
		    "cluster.prefix: is empty" },
		{ "{redis: \"redis://h\", name: \"a b\"}",
		    "cluster.name: a name is up to 64 letters" },
		{ "{redis: \"redis://h\", on_loss: split}",
		    "cluster.on_loss: \"split\" isn't one of share or hold" },
	};

	(void)state;
	for (size_t i = 0; i < N(cases); i++) {
		struct strbuf errors = { 0 };
		char text[300];

		snprintf(text, sizeof(text), ROUTES "cluster: %s\n",
		    cases[i].keys);
		if (load(text, &errors) != NULL)
			fail_msg("%s was taken", cases[i].keys);
		if (strstr(errors.data, cases[i].says) == NULL)
			fail_msg("%s: says %s", cases[i].keys, errors.data);
		assert_int_equal(strncmp(errors.data, "f:2:", 4), 0);
		strbuf_fini(&errors);
	}
}

static void
the_password_is_read_and_never_written(void **state)
{
	char path[] = "/tmp/flyball-secret-XXXXXX", text[300];
	int fd = mkstemp(path);
	struct strbuf errors = { 0 }, out = { 0 };
	struct conf *conf;

	(void)state;
	assert_int_equal(write(fd, "open sesame\n", 12), 12);
	close(fd);
	snprintf(text, sizeof(text),
	    ROUTES "cluster: {redis: \"redis://u@h\", password_file: %s}\n",
	    path);
	conf = load(text, &errors);
	unlink(path);
	assert_non_null(conf);
	assert_string_equal(conf->cluster.password, "open sesame");
	conf_dump(conf, &out);
	assert_null(strstr(out.data, "sesame"));
	conf_unref(conf);
	strbuf_fini(&out);
	strbuf_fini(&errors);
}

static void
what_needs_a_restart(void **state)
{
	static const struct {
		const char *before, *after, *keys;
	} cases[] = {
		{ "cluster: {redis: \"redis://h\", name: a}",
		    "cluster: {redis: \"redis://i\", name: a, "
		    "on_loss: hold, timeout: 2s}",
		    "" },
		{ "cluster: {redis: \"redis://h\", name: a}",
		    "cluster: {redis: \"redis://h\", name: b}",
		    "cluster.name\n" },
		{ "cluster: {redis: \"redis://h\", name: a}",
		    "cluster: {redis: \"redis://h\", name: a, prefix: p}",
		    "cluster.prefix\n" },
		{ "cluster: {redis: \"redis://h\", name: a}",
		    "cluster: {redis: \"redis://h\", name: a, lease: 2s}",
		    "cluster.lease\n" },
		{ "", "cluster: {redis: \"redis://h\", name: a}",
		    "cluster.name\ncluster.prefix\ncluster.lease\n" },
		{ "cluster: {redis: \"redis://h\", name: a}", "",
		    "cluster.name\ncluster.prefix\ncluster.lease\n" },
	};

	(void)state;
	for (size_t i = 0; i < N(cases); i++) {
		struct strbuf errors = { 0 }, keys = { 0 };
		char before[300], after[300];
		struct conf *a, *b;

		snprintf(before, sizeof(before), ROUTES "%s\n",
		    cases[i].before);
		snprintf(after, sizeof(after), ROUTES "%s\n", cases[i].after);
		a = load(before, &errors);
		b = load(after, &errors);
		assert_non_null(a);
		assert_non_null(b);
		conf_needs_restart(a, b, &keys);
		assert_string_equal(keys.data ? keys.data : "", cases[i].keys);
		conf_unref(a);
		conf_unref(b);
		strbuf_fini(&keys);
		strbuf_fini(&errors);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(defaults),
		cmocka_unit_test(mistakes),
		cmocka_unit_test(the_password_is_read_and_never_written),
		cmocka_unit_test(what_needs_a_restart),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
