/* SPDX-License-Identifier: ISC */
/*
 * No configuration is accepted in which a stranger may send, unless it says
 * open_relay: every combination of what a listener can be, and strangers from
 * all over the world tried against each that is accepted.
 */
#include "conf/conf.h"

#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "conf/base/rng.h"
#include "conf/base/strbuf.h"

#define N(a) (sizeof(a) / sizeof((a)[0]))

static struct conf *
load(const char *text)
{
	struct strbuf errors = { 0 };
	struct conf *conf = conf_load_text("f", text, strlen(text), &errors);

	assert_true(conf != NULL || errors.len > 0);
	strbuf_fini(&errors);
	return conf;
}

/* ---- how wide ---- */

static struct conf *
load_trusted(const char *trusted, const char *more)
{
	char text[400];

	snprintf(text, sizeof(text),
	    "listeners: [{listen: \"[::]:25\", tls: none, auth: none, "
	    "trusted: [%s]%s}]\nroutes: {r: {next_hop: \"192.0.2.1:25\"}}\n",
	    trusted, more);
	return load(text);
}

static void
width(void **state)
{
	static const struct {
		const char *trusted;
		bool is_wide;
	} cases[] = {
		{ "127.0.0.0/8, \"::1\"", false },
		{ "10.0.0.0/8, 172.16.0.0/12, 192.168.0.0/16", false },
		{ "\"fc00::/7\", \"fe80::/10\", 100.64.0.0/10", false },
		{ "192.0.2.0/24", false },
		{ "17.0.0.0/8", false },
		{ "\"2001:db8::/32\"", false },
		{ "\"2003::/16\"", false },
		{ "\"::ffff:192.0.2.0/120\"", false },
		{ "0.0.0.0/0", true },
		{ "\"::/0\"", true },
		{ "0.0.0.0/1, 128.0.0.0/1", true },
		{ "0.0.0.0/1", true },
		{ "16.0.0.0/7", true },
		{ "16.0.0.0/8, 17.0.0.0/9", true },
		{ "\"2000::/3\"", true },
		{ "\"2000::/15\"", true },
		{ "\"2003::/17\", \"2003:8000::/17\"", false },
		{ "\"2003::/16\", \"2004::/64\"", true },
		{ "\"::/1\", \"8000::/1\"", true },
		{ "\"::ffff:0:0/96\"", true },
		{ "\"::/80\"", true },
		{ "\"::/64\"", true },
		{ "\"::/16\"", true },
		{ "10.0.0.0/7", true },
		{ "\"fc00::/6\"", true },
	};

	(void)state;
	for (size_t i = 0; i < N(cases); i++) {
		struct conf *conf = load_trusted(cases[i].trusted, "");

		if ((conf == NULL) != cases[i].is_wide)
			fail_msg("%s", cases[i].trusted);
		conf_unref(conf);
		conf = load_trusted(cases[i].trusted, ", open_relay: true");
		if ((conf != NULL) != cases[i].is_wide)
			fail_msg("%s, with the word", cases[i].trusted);
		conf_unref(conf);
	}
}

/* 300 networks, each a /16: none of them wide, all together a relay. */
static void
many_small_ones_are_wide(void **state)
{
	struct strbuf text = { 0 };
	struct conf *conf;

	(void)state;
	strbuf_adds(&text,
	    "listeners: [{listen: \"[::]:25\", tls: none, auth: "
	    "none, trusted: [");
	for (int i = 0; i < 300; i++)
		strbuf_addf(&text, "%s%d.%d.0.0/16", i ? ", " : "",
		    11 + i / 256, i % 256);
	strbuf_adds(&text, "]}]\nroutes: {r: {next_hop: \"192.0.2.1:25\"}}\n");
	conf = load(text.data);
	assert_null(conf);
	strbuf_fini(&text);
}

/* ---- strangers ---- */

static bool
is_trusted(const struct conf_listener *l, const char *address)
{
	struct sockaddr_in6 v6 = { .sin6_family = AF_INET6 };
	struct sockaddr_in v4 = { .sin_family = AF_INET };
	const struct sockaddr *a = (const struct sockaddr *)&v6;
	bool result = false;

	if (inet_pton(AF_INET, address, &v4.sin_addr) == 1)
		a = (const struct sockaddr *)&v4;
	else
		assert_int_equal(inet_pton(AF_INET6, address, &v6.sin6_addr),
		    1);
	for (size_t i = 0; i < l->n_trusted; i++)
		result |= conf_cidr_contains(&l->trusted[i], a);
	return result;
}

/* From all public IPv4 space and 2000::/3, evenly. */
static void
stranger(struct rng *rng, size_t i, char out[INET6_ADDRSTRLEN])
{
	if (i % 2 == 0)
		snprintf(out, INET6_ADDRSTRLEN, "%d.%d.%d.%d",
		    (int)(11 + rng_below(rng, 80)), (int)rng_below(rng, 256),
		    (int)rng_below(rng, 256), (int)rng_below(rng, 256));
	else
		snprintf(out, INET6_ADDRSTRLEN, "%x:%x::%x",
		    (unsigned)(0x2000 + rng_below(rng, 0x2000)),
		    (unsigned)rng_below(rng, 65536),
		    (unsigned)rng_below(rng, 65536));
}

#define STRANGERS 200

static void
let_strangers_try(const struct conf *conf, const char *text, struct rng *rng)
{
	const struct conf_listener *l = &conf->listeners[0];
	char address[INET6_ADDRSTRLEN];
	size_t n_let_in = 0;

	for (size_t i = 0; i < STRANGERS; i++) {
		stranger(rng, i, address);
		n_let_in += is_trusted(l, address);
	}
	/* Of one /8 a few may come; of an open relay, half or all. */
	if (n_let_in > STRANGERS / 10 && strstr(text, "open_relay") == NULL)
		fail_msg("%zu strangers: %s", n_let_in, text);
	if (l->auth == LISTENER_AUTH_REQUIRED)
		assert_true(conf->auth.users_file[0] != '\0');
	else
		assert_true(l->n_trusted > 0);
	if (l->auth == LISTENER_AUTH_REQUIRED && l->tls == LISTENER_TLS_NONE)
		assert_true(l->plaintext_auth &&
		    is_trusted(
			&(struct conf_listener){
			    .trusted =
				&(struct conf_cidr){
				    .address = { .s6_addr = { [10] = 0xff,
						     [11] = 0xff,
						     [12] = 127 } },
				    .prefix_bits = 104 },
			    .n_trusted = 1 },
			l->listen.host));
}

static void
no_combination_is_an_open_relay(void **state)
{
	static const char *const listens[] = { "127.0.0.1:25", "0.0.0.0:25",
		"[::]:25" };
	static const char *const tlss[] = { "", ", tls: none",
		", tls: starttls", ", tls: implicit" };
	static const char *const auths[] = { "", ", auth: required",
		", auth: none" };
	static const char *const plains[] = { "", ", plaintext_auth: true" };
	static const char *const words[] = { "", ", open_relay: true" };
	static const char *const users[] = { "", "auth: {users_file: /u}\n" };
	static const char *const trusteds[] = { "", ", trusted: []",
		", trusted: [127.0.0.0/8]", ", trusted: [10.0.0.0/8]",
		", trusted: [17.0.0.0/8]", ", trusted: [0.0.0.0/0]",
		", trusted: [0.0.0.0/1, 128.0.0.0/1]", ", trusted: \"::/0\"",
		", trusted: [\"::ffff:0.0.0.0/96\"]",
		", trusted: [\"2000::/3\", 0.0.0.0/2]" };
	const size_t n = N(listens) * N(tlss) * N(auths) * N(plains) *
	    N(words) * N(users) * N(trusteds);
	struct rng rng = { 4711 };
	size_t n_accepted = 0;

	(void)state;
	for (size_t k = 0; k < n; k++) {
		size_t i = k;
		char text[500];
		struct conf *conf;

		const char *listen = listens[i % N(listens)];
		i /= N(listens);
		const char *tls = tlss[i % N(tlss)];
		i /= N(tlss);
		const char *auth = auths[i % N(auths)];
		i /= N(auths);
		const char *plain = plains[i % N(plains)];
		i /= N(plains);
		const char *word = words[i % N(words)];
		i /= N(words);
		const char *file = users[i % N(users)];
		i /= N(users);
		snprintf(text, sizeof(text),
		    "listeners: [{listen: \"%s\"%s%s%s%s%s}]\n%s"
		    "tls: {certificate: /c, key: /k}\n"
		    "routes: {r: {next_hop: \"192.0.2.1:25\"}}\n",
		    listen, tls, auth, plain, word, trusteds[i], file);
		conf = load(text);
		if (conf == NULL)
			continue;
		n_accepted++;
		let_strangers_try(conf, text, &rng);
		conf_unref(conf);
	}
	print_message("%zu of %zu accepted\n", n_accepted, n);
	assert_true(n_accepted > 50 && n_accepted < n / 2);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(width),
		cmocka_unit_test(many_small_ones_are_wide),
		cmocka_unit_test(no_combination_is_an_open_relay),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
