/* SPDX-License-Identifier: ISC */
/*
 * Loading: all mistakes at once, each with its place and what to write
 * instead; and no bytes, however bad, bring it down.
 */
#include "conf/conf.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "conf/base/rng.h"
#include "conf/base/strbuf.h"
#include "conf/base/xalloc.h"
#include "tests/unit/conf_full.h"

#define N(a) (sizeof(a) / sizeof((a)[0]))

static void
all_mistakes_at_once(void **state)
{
	static const char text[] =
	    "daemon:\n"
	    "  hostnam: x\n"
	    "  workers: 0\n"
	    "  log: {level: verbose, format: [a]}\n"
	    "  admin_socket: {mode: \"999\"}\n"
	    "  timezone: Europe/Berlim\n"
	    "tls: 7\n"
	    "limits:\n"
	    "  mesage_size: 5\n"
	    "  recipients: many\n"
	    "  sessions: [1]\n"
	    "  data_timeout:\n"
	    "providers:\n"
	    "  gmail: {rate: 20/fortnight}\n"
	    "  x: {domains: [a.com, A.com], rate: [1/s, 2/s]}\n"
	    "  y: {domains: [a.com, \"*.b.com\", \"bad domain\"]}\n"
	    "  z: {domains: [c.com], replies: [{match: x, class: rat, phase: "
	    "dat}, {match: 'a(b', class: rate}]}\n"
	    "routes:\n"
	    "  a: {next_hop: x}\n"
	    "  a: {next_hop: y}\n"
	    "  c: {tls: verfy}\n"
	    "  bad/name: {next_hop: \"10.0.0.1:25\"}\n"
	    "  d: [x]\n"
	    "spool: {retry: {jitter: 200%}, expire: 1e3, min_free: -1}\n"
	    "anchor: 5\n";
	static const char wanted[] =
	    "f:2:3: daemon.hostnam: there is no such key (did you mean "
	    "hostname?)\n"
	    "f:3:12: daemon.workers: \"0\" is too small; the least is 1\n"
	    "f:4:16: daemon.log.level: \"verbose\" isn't one of error, warn, "
	    "info or debug\n"
	    "f:4:33: daemon.log.format: must be a word, not a list\n"
	    "f:5:24: daemon.admin_socket.mode: \"999\" is no file mode; write "
	    "\"0660\"\n"
	    "f:6:13: daemon.timezone: there is no time zone "
	    "\"Europe/Berlim\"; write Europe/Berlin, UTC or system\n"
	    "f:7:6: tls: must be a map of keys, not text\n"
	    "f:9:3: limits.mesage_size: there is no such key (did you mean "
	    "message_size?)\n"
	    "f:10:15: limits.recipients: \"many\" is no number; write 1000, "
	    "100k or 2M\n"
	    "f:11:13: limits.sessions: must be a number, not a list\n"
	    "f:12:16: limits.data_timeout: has no value; it must be a "
	    "duration\n"
	    "f:14:17: providers.gmail.rate: \"20/fortnight\" is no rate; "
	    "write 20/s, 600/min, 5000/h, 20k/day, 10/30s or unlimited\n"
	    "f:15:24: providers.x.domains: \"a.com\" is named twice\n"
	    "f:15:44: providers.x.rate: there are two rates for one length of "
	    "time\n"
	    "f:16:24: providers.y.domains: write \".b.com\" for a domain and "
	    "all below it\n"
	    "f:16:35: providers.y.domains: \"bad domain\" is no domain\n"
	    "f:17:53: providers.z.replies[0].class: there is no class \"rat\" "
	    "(did you mean rate?)\n"
	    "f:17:65: providers.z.replies[0].phase: there is no phase \"dat\" "
	    "(did you mean data?)\n"
	    "f:17:79: providers.z.replies[1].match: at its character 4: "
	    "missing closing parenthesis\n"
	    "f:19:17: routes.a.next_hop: \"x\" has no port; write "
	    "192.0.2.1:25, [2001:db8::1]:25 or mail.example.com:587\n"
	    "f:20:3: routes.a: given twice; the first one is in line 19\n"
	    "f:21:6: routes.c.next_hop: is missing\n"
	    "f:21:12: routes.c.tls: \"verfy\" isn't one of none, "
	    "opportunistic, required or verify (did you mean verify?)\n"
	    "f:22:3: routes.bad/name: a name is up to 64 letters, digits, "
	    "\".\", \"_\" or \"-\", and begins with a letter or digit\n"
	    "f:23:6: routes.d: must be a map of keys, not a list\n"
	    "f:24:25: spool.retry.jitter: \"200%\" is too large; the most is "
	    "90%\n"
	    "f:24:40: spool.expire: \"1e3\" is no duration; write 500ms, 30s, "
	    "5m, 4h, 7d or 1h30m\n"
	    "f:24:55: spool.min_free: \"-1\" is no size; write 64KiB, 50MiB, "
	    "10GiB, 20MB or 4096\n"
	    "f:25:1: anchor: there is no such key\n";
	struct strbuf errors = { 0 };

	(void)state;
	assert_null(conf_load_text("f", text, sizeof(text) - 1, &errors));
	assert_string_equal(errors.data, wanted);
	strbuf_fini(&errors);
}

static void
endpoints(void **state)
{
	static const struct {
		const char *text, *host;
		unsigned port;
	} good[] = {
		{ "127.0.0.1:10025", "127.0.0.1", 10025 },
		{ "[::1]:25", "::1", 25 },
		{ "[::ffff:1.2.3.4]:1", "::ffff:1.2.3.4", 1 },
		{ "Mail.Example.COM:587", "mail.example.com", 587 },
		{ "localhost:65535", "localhost", 65535 },
	};
	static const char *const bad[] = { "", ":25", "a", "a:", "a:b",
		"a:65536", "a:0", "a:-1", "a: 25", "a:25 ", "::1:25", "[::1]",
		"[::1]25", "[::1:25", "[1.2.3.4]:25", "[x]:25", "a b:25",
		"http://a:25", "a:025000", "a:25:25", "-a:25" };

	(void)state;
	for (size_t i = 0; i < N(good) + N(bad); i++) {
		struct strbuf text = { 0 }, errors = { 0 };
		struct conf *conf;

		strbuf_addf(&text, "routes: {r: {next_hop: '%s'}}\n",
		    i < N(good) ? good[i].text : bad[i - N(good)]);
		conf = conf_load_text("f", text.data, text.len, &errors);
		if (i < N(good)) {
			assert_non_null(conf);
			assert_string_equal(conf->routes[0].next_hop.host,
			    good[i].host);
			assert_int_equal(conf->routes[0].next_hop.port,
			    good[i].port);
		} else {
			assert_null(conf);
			assert_non_null(strstr(errors.data,
			    "f:1:24: routes.r.next_hop: "));
		}
		conf_unref(conf);
		strbuf_fini(&text);
		strbuf_fini(&errors);
	}
}

static void
files_that_cannot_be_read(void **state)
{
	struct strbuf errors = { 0 };

	(void)state;
	assert_null(conf_load("/nonexistent/f.yaml", &errors));
	assert_string_equal(errors.data,
	    "/nonexistent/f.yaml: can't be read: No such file or "
	    "directory\n");
	strbuf_reset(&errors);
	assert_null(conf_load("/tmp", &errors));
	assert_string_equal(errors.data,
	    "/tmp: can't be read: Is a directory\n");
	strbuf_fini(&errors);
}

/* What `make install` puts there works as it is. */
static void
the_installed_file(void **state)
{
	struct strbuf errors = { 0 };
	struct conf *conf = conf_load("contrib/flyball.yaml", &errors);

	(void)state;
	if (conf == NULL)
		fail_msg("%s", errors.data);
	assert_int_equal(conf->n_routes, 1);
	assert_string_equal(conf->routes[0].next_hop.host, "127.0.0.1");
	assert_int_equal(conf->n_listeners, 1);
	assert_string_equal(conf->listeners[0].listen.host, "127.0.0.1");
	conf_unref(conf);
	strbuf_fini(&errors);
}

/* A stream that names no routes has them all, as the file has them. */
static void
routes_of_streams(void **state)
{
	static const char text[] =
	    "routes: {b: {next_hop: h:25}, a: {next_hop: h:26}}\n"
	    "streams: {all: {}, one: {routes: a}}\n";
	struct strbuf errors = { 0 };
	struct conf *conf =
	    conf_load_text("f", text, sizeof(text) - 1, &errors);

	(void)state;
	if (conf == NULL)
		fail_msg("%s", errors.data);
	assert_int_equal(conf->n_streams, 3); /* and default */
	for (size_t i = 0; i < 3; i++) {
		const struct conf_stream *st = &conf->streams[i];
		bool is_one = strcmp(st->name, "one") == 0;

		assert_int_equal(st->routes.n, is_one ? 1 : 2);
		assert_string_equal(st->routes.v[0], is_one ? "a" : "b");
		if (!is_one)
			assert_string_equal(st->routes.v[1], "a");
	}
	conf_unref(conf);
	strbuf_fini(&errors);
}

/* As many entries as there may be are read in no time to speak of. */
static void
many_names(void **state)
{
	struct strbuf text = { 0 }, errors = { 0 };
	struct conf *conf;

	(void)state;
	strbuf_adds(&text,
	    "routes: {a: {next_hop: \"127.0.0.1:1\"}}\n"
	    "senders:\n");
	for (int i = 0; i < 20000; i++)
		strbuf_addf(&text, "  d%d.test: {plan: new-domain}\n", i);
	conf = conf_load_text("f", text.data, text.len, &errors);
	if (conf == NULL)
		fail_msg("%s", errors.data);
	assert_int_equal(conf->n_senders, 20000);
	assert_string_equal(conf->senders[19999].domain, "d19999.test");
	conf_unref(conf);
	strbuf_fini(&text);
	strbuf_fini(&errors);
}

static void
password_files(void **state)
{
	static const struct {
		const char *content, *error; /* NULL: good */
	} cases[] = {
		{ "secret\n", NULL },
		{ "secret", NULL },
		{ "secret with blanks \n", NULL },
		{ "", "is empty" },
		{ "\n", "is empty" },
		{ "a\nb\n", "isn't one line of text" },
	};
	char file[] = "/tmp/flyball-test-XXXXXX";

	(void)state;
	close(mkstemp(file));
	for (size_t i = 0; i < N(cases); i++) {
		struct strbuf text = { 0 }, errors = { 0 };
		FILE *f = fopen(file, "w");
		struct conf *conf;

		fputs(cases[i].content, f);
		fclose(f);
		strbuf_addf(&text,
		    "routes:\n"
		    "  r:\n"
		    "    next_hop: \"127.0.0.1:1\"\n"
		    "    auth: {user: u, password_file: %s}\n",
		    file);
		conf = conf_load_text("f", text.data, text.len, &errors);
		if (cases[i].error == NULL) {
			assert_non_null(conf);
			assert_memory_equal(conf->routes[0].auth.password,
			    cases[i].content,
			    strcspn(cases[i].content, "\n") + 0);
		} else {
			assert_null(conf);
			assert_non_null(strstr(errors.data, cases[i].error));
			assert_non_null(strstr(errors.data,
			    "f:4:36: routes.r.auth.password_file: "));
		}
		conf_unref(conf);
		strbuf_fini(&text);
		strbuf_fini(&errors);
	}
	unlink(file);
}

/* ---- nothing brings it down ---- */

static void
try(const char *text, size_t len)
{
	struct strbuf errors = { 0 };
	struct conf *conf = conf_load_text("f", text, len, &errors);

	assert_true((conf == NULL) == (errors.len > 0));
	/* Each mistake is one line that begins with the file. */
	for (const char *p = errors.data; p != NULL && *p != '\0';
	     p = strchr(p, '\n') + 1) {
		assert_int_equal(p[0], 'f');
		assert_int_equal(p[1], ':');
	}
	conf_unref(conf);
	strbuf_fini(&errors);
}

static void
every_truncation(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(conf_full) - 1; i += 3)
		try(conf_full, i);
}

static void
random_damage(void **state)
{
	static const char *const pieces[] = { "{", "}", "[", "]", ":", " ",
		"\n", "- ", ", ", "~", "0", "-1", "999999999999999999999",
		"unlimited", "\"", "'", "#", "a", "x.test", "127.0.0.1:25",
		"{}", "[]", "default", "other", "&a ", "*a", "\xff", "%", "/s",
		"99%", "  " };
	uint64_t seed = 20261125;
	struct rng rng = { seed };

	(void)state;
	print_message("seed %llu\n", (unsigned long long)seed);
	for (int i = 0; i < 1500; i++) {
		struct strbuf text = { 0 };
		size_t n = 1 + rng_below(&rng, 3);

		strbuf_adds(&text, conf_full);
		while (n-- > 0) {
			const char *piece = pieces[rng_below(&rng, N(pieces))];
			size_t at = rng_below(&rng, text.len);
			size_t cut = rng_below(&rng, 12);
			char *rest;

			if (cut > text.len - at)
				cut = text.len - at;
			rest = xstrdup(text.data + at + cut);
			text.len = at;
			strbuf_adds(&text, piece);
			strbuf_adds(&text, rest);
			free(rest);
		}
		try(text.data, text.len);
		strbuf_fini(&text);
	}
}

/* Every node of a whole file, replaced by each kind of node. */
static void
wrong_kinds_everywhere(void **state)
{
	static const char *const kinds[] = { "7", "{}", "[]", "{a: 1}",
		"[a, {b: c}]", "" };
	const char *p = conf_full;

	(void)state;
	while ((p = strchr(p, ':')) != NULL) {
		size_t at = (size_t)(p - conf_full) + 1;
		size_t end = at + strcspn(conf_full + at, ",}]\n");

		p++;
		for (size_t i = 0; i < N(kinds); i++) {
			struct strbuf text = { 0 };

			strbuf_add(&text, conf_full, at);
			strbuf_addf(&text, " %s", kinds[i]);
			strbuf_adds(&text, conf_full + end);
			try(text.data, text.len);
			strbuf_fini(&text);
		}
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(all_mistakes_at_once),
		cmocka_unit_test(endpoints),
		cmocka_unit_test(files_that_cannot_be_read),
		cmocka_unit_test(the_installed_file),
		cmocka_unit_test(routes_of_streams),
		cmocka_unit_test(many_names),
		cmocka_unit_test(password_files),
		cmocka_unit_test(every_truncation),
		cmocka_unit_test(random_damage),
		cmocka_unit_test(wrong_kinds_everywhere),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
