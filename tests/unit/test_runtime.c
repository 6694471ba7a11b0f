/* SPDX-License-Identifier: ISC */
/* Listening sockets over a reload: what is carried over, what makes room. */
#include "daemon/runtime.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "conf/base/strbuf.h"
#include "conf/base/xalloc.h"
#include "daemon/auth.h"

#define N(a) (sizeof(a) / sizeof((a)[0]))

/* A port of loopback that nobody has. */
static unsigned
free_port(void)
{
	struct sockaddr_in in = { .sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(in);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_int_equal(bind(fd, (struct sockaddr *)&in, len), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&in, &len), 0);
	close(fd);
	return ntohs(in.sin_port);
}

/* `hosts`: with blanks between. */
static struct conf *
conf_of(const char *hosts, unsigned port)
{
	struct strbuf text = { 0 }, errors = { 0 };
	char *mine = xstrdup(hosts), *save = NULL;
	struct conf *conf;

	strbuf_adds(&text,
	    "routes: {r: {next_hop: \"127.0.0.1:1\"}}\n"
	    "listeners:\n");
	for (char *host = strtok_r(mine, " ", &save); host != NULL;
	     host = strtok_r(NULL, " ", &save))
		strbuf_addf(&text,
		    "  - {listen: \"%s:%u\", tls: none, auth: none, trusted: "
		    "127.0.0.1}\n",
		    host, port);
	conf = conf_load_text("test.yaml", text.data, text.len, &errors);
	if (conf == NULL)
		fail_msg("%s", errors.data);
	strbuf_fini(&text);
	free(mine);
	return conf;
}

static bool
can_connect(unsigned port)
{
	struct sockaddr_in in = { .sin_family = AF_INET,
		.sin_port = htons((uint16_t)port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int rc = connect(fd, (struct sockaddr *)&in, sizeof(in));

	close(fd);
	return rc == 0;
}

static void
another_address_of_the_same_port(void **state)
{
	static const struct {
		const char *before, *after;
		bool is_good;
	} rows[] = {
		{ "127.0.0.1", "127.0.0.1", true },
		{ "127.0.0.1", "0.0.0.0", true },
		{ "0.0.0.0", "127.0.0.1", true },
		{ "127.0.0.1 127.0.0.2", "0.0.0.0", true },
		{ "0.0.0.0", "127.0.0.1 127.0.0.2", true },
		{ "127.0.0.1", "127.0.0.2 127.0.0.1", true },
		/* Neither could be started with. */
		{ "127.0.0.1", "127.0.0.1 0.0.0.0", false },
		{ "127.0.0.2", "127.0.0.1 0.0.0.0", false },
	};

	(void)state;
	for (size_t i = 0; i < N(rows); i++) {
		unsigned port = free_port();
		struct conf *a = conf_of(rows[i].before, port);
		struct conf *b = conf_of(rows[i].after, port);
		struct err err = { .text = "" };
		struct runtime *old = runtime_new(a, NULL, 2, &err), *new;

		if (old == NULL)
			fail_msg("%zu: %s", i, err.text);
		new = runtime_new(b, old, 2, &err);
		if ((new != NULL) != rows[i].is_good)
			fail_msg("%s, then %s: %s", rows[i].before,
			    rows[i].after, err.text);
		if (new == NULL)
			assert_non_null(strstr(err.text, "in use"));
		runtime_unref(old);
		assert_int_equal(can_connect(port), new != NULL);
		runtime_unref(new);
		assert_false(can_connect(port));
		conf_unref(a);
		conf_unref(b);
	}
}

/* Somebody else's is no room. */
static void
port_of_another_stays_his(void **state)
{
	unsigned port = free_port();
	struct conf *a = conf_of("127.0.0.1", port);
	struct conf *b = conf_of("0.0.0.0", port);
	struct err err = { .text = "" };
	struct runtime *his = runtime_new(a, NULL, 1, &err);

	(void)state;
	assert_non_null(his);
	assert_null(runtime_new(b, NULL, 1, &err));
	assert_non_null(strstr(err.text, "in use"));
	runtime_unref(his);
	conf_unref(a);
	conf_unref(b);
}

/* What files turn out to be is told at the key that names them. */
static void
files_that_cannot_be_used(void **state)
{
	static const struct {
		const char *text, *error;
	} rows[] = {
		{ "routes: {r: {next_hop: \"127.0.0.1:1\"}}\n"
		  "tls: {certificate: /nonexistent.pem, key: /n.key}\n",
		    "test.yaml:2:20: tls.certificate /nonexistent.pem: No such "
		    "file or directory" },
		{ "routes:\n"
		  "  a: {next_hop: \"127.0.0.1:1\"}\n"
		  "  b: {next_hop: \"127.0.0.1:2\", tls: verify,\n"
		  "      tls_ca: /nonexistent.pem}\n",
		    "test.yaml:4:15: routes.b: tls_ca /nonexistent.pem: No "
		    "such file or directory" },
	};

	(void)state;
	for (size_t i = 0; i < N(rows); i++) {
		struct strbuf errors = { 0 };
		struct conf *conf = conf_load_text("test.yaml", rows[i].text,
		    strlen(rows[i].text), &errors);
		struct err err = { .text = "" };

		if (conf == NULL)
			fail_msg("%s", errors.data);
		assert_int_equal(runtime_check(conf, &err), -1);
		assert_string_equal(err.text, rows[i].error);
		conf_unref(conf);
	}
}

/* The users are read elsewhere. */
static void
users_that_cannot_be_read(void **state)
{
	static const char text[] = "routes: {r: {next_hop: \"127.0.0.1:1\"}}\n"
				   "auth: {users_file: /nonexistent}\n";
	struct strbuf errors = { 0 };
	struct conf *conf =
	    conf_load_text("test.yaml", text, sizeof(text) - 1, &errors);

	(void)state;
	assert_non_null(conf);
	assert_int_equal(auth_check_users(conf, &errors), -1);
	assert_string_equal(errors.data,
	    "test.yaml:2:20: auth.users_file: /nonexistent: No such file or "
	    "directory\n");
	strbuf_fini(&errors);
	conf_unref(conf);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(another_address_of_the_same_port),
		cmocka_unit_test(port_of_another_stays_his),
		cmocka_unit_test(files_that_cannot_be_used),
		cmocka_unit_test(users_that_cannot_be_read),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
