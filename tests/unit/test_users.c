/* SPDX-License-Identifier: ISC */
/*
 * The users file: what is taken, beside what is refused with its place. All
 * hashes are of "secret" unless said.
 */
#include "daemon/users.h"

#include <crypt.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "conf/base/rng.h"
#include "conf/base/strbuf.h"

#define Y43	 "J3G8UDCZryneAX6ajx/xMutrs6Waz0thRhGtFKdzfdD"
#define YESCRYPT "$y$j9T$67vmINrfi4DcQCmBSbSQu1$" Y43

static struct conf_stream streams[] = {
	{ .name = (char *)"news" },
	{ .name = (char *)"default" },
};
static const struct conf conf = { .streams = streams, .n_streams = 2 };

static struct users *
load(const char *text, struct strbuf *errors)
{
	return users_load_text("u", text, strlen(text), &conf, errors);
}

static struct users *
load_good(const char *text)
{
	struct strbuf errors = { 0 };
	struct users *users = load(text, &errors);

	if (users == NULL)
		fail_msg("%s", errors.data);
	assert_int_equal(errors.len, 0);
	strbuf_fini(&errors);
	return users;
}

static void
users_are_found_with_their_options(void **state)
{
	struct users *users =
	    load_good("# people\n"
		      "\n"
		      "  \t\n"
		      "shop:" YESCRYPT "\n"
		      "  app@b.example:" YESCRYPT ":stream=news,rate=100/min,"
		      "senders=News.Example.|b\u00fccher.example\r\n"
		      "\tj\u00f6rg:" YESCRYPT ":  \n"
		      "last:" YESCRYPT);
	const struct user *user = users_find(users, "shop");

	(void)state;
	assert_int_equal(users_n(users), 4);
	assert_non_null(user);
	assert_string_equal(user->hash, YESCRYPT);
	assert_string_equal(user->stream, "");
	assert_int_equal(user->senders.n, 0);
	assert_true(rate_is_unlimited(&user->rate));
	assert_int_equal(user->line, 4);

	user = users_find(users, "app@b.example");
	assert_non_null(user);
	assert_string_equal(user->stream, "news");
	assert_int_equal(user->rate.count, 100);
	assert_int_equal(user->rate.window_us, 60000000);
	assert_int_equal(user->senders.n, 2);
	assert_string_equal(user->senders.v[0], "news.example");
	assert_string_equal(user->senders.v[1], "xn--bcher-kva.example");

	assert_non_null(users_find(users, "j\u00f6rg"));
	assert_ptr_equal(users_nth(users, 3), users_find(users, "last"));
	assert_null(users_find(users, "Shop"));
	assert_null(users_find(users, ""));
	assert_null(users_find(users, "# people"));
	assert_int_equal(users_n_weak(users), 0);
	users_unref(users);
}

/* By crypt_gensalt's own list: every method makes hashes that are taken. */
static void
hashes_of_all_methods(void **state)
{
	static const char *const prefixes[] = { "$y$", "$gy$", "$7$", "$2b$",
		"$2a$", "$2y$", "$6$", "$5$", "$sha1", "$md5", "$1$", "_", "",
		"$3$" };
	struct crypt_data *data = calloc(1, sizeof(*data));
	char setting[CRYPT_GENSALT_OUTPUT_SIZE], line[512];
	size_t n_strong = 0;

	(void)state;
	for (size_t i = 0; i < sizeof(prefixes) / sizeof(*prefixes); i++) {
		struct users *users;
		const char *hash;

		assert_non_null(crypt_gensalt_rn(prefixes[i],
		    *prefixes[i] == '$' && prefixes[i][1] == '7' ? 6 : 0, NULL,
		    0, setting, sizeof(setting)));
		hash = crypt_rn("secret", setting, data, sizeof(*data));
		assert_non_null(hash);
		snprintf(line, sizeof(line), "u:%s\n", hash);
		users = load_good(line);
		n_strong += users_n_weak(users) == 0;
		users_unref(users);
	}
	assert_in_range(n_strong, 4, 10);
	free(data);
}

static const struct {
	const char *what;
	const char *text;
	const char *errors;
} mistakes[] = {
	{ "no colon", "shop\n",
	    "u:1:1: a user is written name:hash[:options]\n" },
	{ "no name", ":" YESCRYPT, "u:1:1: the user's name is missing\n" },
	{ "blank in a name", "a b:" YESCRYPT,
	    "u:1:1: a user's name can't have blanks, controls or \":\"\n" },
	{ "control in a name", "a\x01:" YESCRYPT,
	    "u:1:1: a user's name can't have blanks, controls or \":\"\n" },
	{ "Latin-1 name", "  caf\xe9:" YESCRYPT,
	    "u:1:3: the user's name is not UTF-8\n" },
	{ "twice", "a:" YESCRYPT "\n#\na:" YESCRYPT "\n",
	    "u:3:1: \"a\" stands on line 1 already\n" },
	{ "no option text", "a:" YESCRYPT ":news",
	    "u:1:77: an option is written key=value\n" },
	{ "empty option", "a:" YESCRYPT ":stream=news,",
	    "u:1:89: an option is written key=value\n" },
	{ "unknown option", "a:" YESCRYPT ":steam=news",
	    "u:1:77: there is no option \"steam\"; "
	    "there are stream, senders and rate\n" },
	{ "option twice", "a:" YESCRYPT ":stream=news,stream=news",
	    "u:1:89: stream= stands here twice\n" },
	{ "unknown stream", "a:" YESCRYPT ":stream=mews",
	    "u:1:84: no stream is called \"mews\"\n" },
	{ "empty stream", "a:" YESCRYPT ":stream=",
	    "u:1:84: stream= needs a stream's name\n" },
	{ "no domains",
	    "a:" YESCRYPT ":senders=x@a.example|good.example||-.example",
	    "u:1:85: \"x@a.example\" is no domain; "
	    "write senders=a.example|b.example\n"
	    "u:1:110: \"\" is no domain; write senders=a.example|b.example\n"
	    "u:1:111: \"-.example\" is no domain; "
	    "write senders=a.example|b.example\n" },
};

static void
mistakes_have_their_place(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(mistakes) / sizeof(*mistakes); i++) {
		struct strbuf errors = { 0 };

		assert_null(load(mistakes[i].text, &errors));
		if (strcmp(errors.data, mistakes[i].errors) != 0)
			fail_msg("%s: %s", mistakes[i].what, errors.data);
		strbuf_fini(&errors);
	}
}

/* What is no hash, and must not be quoted: it may be a password. */
static const char *const bad_hashes[] = {
	"",
	"secret",
	"correct horse battery staple",
	"Tr0ub4dor&3",
	"*",
	"!",
	"x",
	"!" YESCRYPT,
	"{SHA}5en6G6MezRroT3XKqkdPOmY/BfQ=",
	"$apr1$abcdefgh$0000000000000000000000",
	"$y$",
	"$y$j9T$67vmINrfi4DcQCmBSbSQu1",
	"$y$j9T$67vmINrfi4DcQCmBSbSQu1$",
	"$y$j9T$67vmINrfi4DcQCmBSbSQu1$J3G8UDCZ",
	YESCRYPT "x",
	"$6$salt$short",
	"$2b$05$abcdefghijklmnopqrstuu",
	"$1$ab$xx",
	"$unknown$abc$def",
};

static void
bad_hashes_are_refused_unquoted(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(bad_hashes) / sizeof(*bad_hashes); i++) {
		struct strbuf errors = { 0 };
		char line[256];

		snprintf(line, sizeof(line), "shop:%s:stream=news",
		    bad_hashes[i]);
		if (load(line, &errors) != NULL)
			fail_msg("%s was taken", bad_hashes[i]);
		assert_memory_equal(errors.data, "u:1:6: ", 7);
		if (strlen(bad_hashes[i]) > 1 &&
		    strstr(errors.data + 7, bad_hashes[i]) != NULL)
			fail_msg("quoted: %s", errors.data);
		strbuf_fini(&errors);
	}
}

static void
all_mistakes_at_once(void **state)
{
	struct strbuf errors = { 0 };
	int n = 0;

	(void)state;
	assert_null(load("good:" YESCRYPT
			 "\nbad\n:x:foo=1,stream=no,rate=fast\n",
	    &errors));
	for (const char *p = errors.data; (p = strchr(p, '\n')); p++)
		n++;
	assert_int_equal(n, 6);
	assert_non_null(strstr(errors.data, "u:3:25: "));
	strbuf_fini(&errors);
}

static void
streams_are_free_without_configuration(void **state)
{
	static const char line[] = "a:" YESCRYPT ":stream=mews\n";
	struct users *users =
	    users_load_text("u", line, strlen(line), NULL, NULL);

	(void)state;
	assert_non_null(users);
	assert_string_equal(users_find(users, "a")->stream, "mews");
	users_unref(users);
}

static void
nul_bytes_are_refused(void **state)
{
	static const char text[] = "a:" YESCRYPT "\0:stream=x\n";
	struct strbuf errors = { 0 };

	(void)state;
	assert_null(users_load_text("u", text, sizeof(text) - 1, NULL,
	    &errors));
	assert_string_equal(errors.data,
	    "u:1:1: there is a NUL byte in this line\n");
	strbuf_fini(&errors);
}

static void
nothing_is_a_file_too(void **state)
{
	static const char *const texts[] = { "", "\n", "# only\n", "#", " " };

	(void)state;
	for (size_t i = 0; i < sizeof(texts) / sizeof(*texts); i++) {
		struct users *users = load_good(texts[i]);

		assert_int_equal(users_n(users), 0);
		users_unref(users);
	}
}

static void
names_have_a_length(void **state)
{
	char name[USERS_NAME_MAX + 2];
	struct err err;

	(void)state;
	memset(name, 'n', sizeof(name));
	name[USERS_NAME_MAX] = '\0';
	assert_int_equal(users_check_name(name, &err), 0);
	name[USERS_NAME_MAX] = 'n';
	name[USERS_NAME_MAX + 1] = '\0';
	assert_int_equal(users_check_name(name, &err), -1);
	assert_int_equal(users_check_name("#a", &err), -1);
	assert_int_equal(users_check_name("a#", &err), 0);
	assert_int_equal(users_check_name("a:b", &err), -1);
}

static void
files_are_read(void **state)
{
	char file[] = "/tmp/test_users.XXXXXX";
	int fd = mkstemp(file);
	struct strbuf errors = { 0 }, line = { 0 };
	struct users *users;

	(void)state;
	for (int i = 0; i < 5000; i++) /* over the size of one read */
		strbuf_addf(&line, "user%d:" YESCRYPT "\n", i);
	assert_int_equal(write(fd, line.data, line.len), line.len);
	close(fd);
	users = users_load(file, &conf, &errors);
	assert_non_null(users);
	assert_int_equal(users_n(users), 5000);
	assert_int_equal(users_find(users, "user4999")->line, 5000);
	users_unref(users);
	unlink(file);
	assert_null(users_load("/nonexistent", &conf, &errors));
	assert_null(users_load("/tmp", &conf, &errors));
	assert_string_equal(errors.data,
	    "/nonexistent: No such file or directory\n"
	    "/tmp: it is a directory\n");
	strbuf_fini(&errors);
	strbuf_fini(&line);
}

/* Any bytes: no crash, and never silence about what isn't taken. */
static void
garbage_is_survived(void **state)
{
	static const char pieces[] =
	    ":::==,,||\n\n#$ \t\rabcrstream=senders=rate=";
	struct rng rng = { .state = 4954 };
	char text[200];

	(void)state;
	print_message("seed %llu\n", (unsigned long long)rng.state);
	for (int round = 0; round < 50000; round++) {
		size_t len = (size_t)rng_below(&rng, sizeof(text));
		struct strbuf errors = { 0 };
		struct users *users;

		for (size_t i = 0; i < len; i++)
			text[i] = rng_below(&rng, 20)
			    ? pieces[rng_below(&rng, sizeof(pieces) - 1)]
			    : (char)rng_below(&rng, 256);
		users = users_load_text("u", text, len, &conf, &errors);
		assert_true((users == NULL) == (errors.len > 0));
		users_unref(users);
		strbuf_fini(&errors);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(users_are_found_with_their_options),
		cmocka_unit_test(hashes_of_all_methods),
		cmocka_unit_test(mistakes_have_their_place),
		cmocka_unit_test(bad_hashes_are_refused_unquoted),
		cmocka_unit_test(all_mistakes_at_once),
		cmocka_unit_test(streams_are_free_without_configuration),
		cmocka_unit_test(nul_bytes_are_refused),
		cmocka_unit_test(nothing_is_a_file_too),
		cmocka_unit_test(names_have_a_length),
		cmocka_unit_test(files_are_read),
		cmocka_unit_test(garbage_is_survived),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
