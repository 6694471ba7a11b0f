/* SPDX-License-Identifier: ISC */
/*
 * Checking passwords: right and wrong ones, reloads while checks are under
 * way, the full queue, the end. Most users here have md5crypt hashes: weak,
 * but made in no time.
 */
#include "daemon/auth.h"

#include <crypt.h>
#include <dlfcn.h>
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

#include "conf/base/clock.h"
#include "conf/base/strbuf.h"
#include "conf/base/xalloc.h"

static char file[] = "/tmp/test_auth.XXXXXX";
static char empty[] = "";
static struct conf_stream streams[] = {
	{ .name = (char *)"news" },
	{ .name = (char *)"default" },
};

static struct conf
make_conf(int64_t cache_ttl_us)
{
	struct conf conf = { .streams = streams, .n_streams = 2 };

	conf.auth.users_file = file;
	conf.auth.cache_ttl_us = cache_ttl_us;
	return conf;
}

static char *
make_hash(const char *setting, const char *password)
{
	struct crypt_data *data = calloc(1, sizeof(*data));
	char *hash;

	hash = xstrdup(crypt_rn(password, setting, data, sizeof(*data)));
	assert_non_null(hash);
	free(data);
	return hash;
}

/* Users a, b, ... with password "secret-a", "secret-b", ... */
static void
write_users(unsigned n, const char *setting, const char *options)
{
	FILE *f = fopen(file, "w");

	assert_non_null(f);
	for (unsigned i = 0; i < n; i++) {
		char password[] = "secret-a";
		char *hash;

		password[7] = (char)('a' + i);
		hash = make_hash(setting, password);
		fprintf(f, "%c:%s:%s\n", 'a' + (int)i, hash, options);
		free(hash);
	}
	fclose(f);
}

static int
make_file(void **state)
{
	int fd = mkstemp(file);

	(void)state;
	log_init(LOG_LEVEL_ERROR, LOG_FORMAT_TEXT);
	close(fd);
	return fd < 0;
}

static int
remove_file(void **state)
{
	(void)state;
	return unlink(file);
}

static struct auth *
make_auth(const struct conf *conf)
{
	struct err err = { .text = "" };
	struct auth *a = auth_new(conf, &err);

	if (a == NULL)
		fail_msg("%s", err.text);
	return a;
}

/* ---- asking and waiting ---- */

struct verdict {
	pthread_mutex_t lock;
	pthread_cond_t wake;
	unsigned n_answers;
	unsigned n_good, n_temporary;
	struct auth_identity *who; /* the last one */
	pthread_t thread;
};

#define VERDICT                                    \
	{                                          \
		.lock = PTHREAD_MUTEX_INITIALIZER, \
		.wake = PTHREAD_COND_INITIALIZER   \
	}

static void
on_answer(struct auth_identity *who_take, bool temporary, void *arg)
{
	struct verdict *v = arg;

	pthread_mutex_lock(&v->lock);
	auth_identity_free(v->who);
	v->who = who_take;
	v->n_answers++;
	v->n_good += who_take != NULL;
	v->n_temporary += temporary;
	v->thread = pthread_self();
	pthread_cond_signal(&v->wake);
	pthread_mutex_unlock(&v->lock);
}

static void
wait_for(struct verdict *v, unsigned n_answers)
{
	pthread_mutex_lock(&v->lock);
	while (v->n_answers < n_answers)
		pthread_cond_wait(&v->wake, &v->lock);
	pthread_mutex_unlock(&v->lock);
}

/* 1 = good, 0 = refused, -1 = temporary. */
static int
ask(struct auth *a, const char *user, const char *password, bool *at_once_out)
{
	struct verdict v = VERDICT;
	bool at_once;
	int result;

	at_once = auth_check(a, user, password, on_answer, &v);
	wait_for(&v, 1);
	if (at_once_out != NULL)
		*at_once_out = at_once;
	assert_int_equal(at_once, pthread_equal(v.thread, pthread_self()));
	result = v.n_temporary ? -1 : v.who != NULL;
	if (v.who != NULL)
		assert_string_equal(v.who->name, user);
	auth_identity_free(v.who);
	return result;
}

/* ---- tests ---- */

static const struct {
	const char *user, *password;
	int result;
} checks[] = {
	{ "a", "secret-a", 1 },
	{ "b", "secret-b", 1 },
	{ "a", "secret-b", 0 },
	{ "A", "secret-a", 0 },
	{ "a", "", 0 },
	{ "a", "secret-a ", 0 },
	{ "nobody", "secret-a", 0 },
	{ "", "", 0 },
	{ "", "secret-a", 0 },
};

static void
passwords_are_checked(void **state)
{
	struct conf conf = make_conf(0);
	struct auth *a;

	(void)state;
	write_users(3, "$1$abcdefgh$", "");
	a = make_auth(&conf);
	for (size_t i = 0; i < sizeof(checks) / sizeof(*checks); i++)
		if (ask(a, checks[i].user, checks[i].password, NULL) !=
		    checks[i].result)
			fail_msg("%s %s", checks[i].user, checks[i].password);
	auth_free(a);
}

static void
long_passwords_are_refused(void **state)
{
	struct conf conf = make_conf(0);
	char password[2000];
	struct auth *a;

	(void)state;
	write_users(1, "$1$abcdefgh$", "");
	a = make_auth(&conf);
	for (size_t len = 500; len < sizeof(password); len += 300) {
		memset(password, 'x', len);
		password[len] = '\0';
		assert_int_equal(ask(a, "a", password, NULL), 0);
	}
	auth_free(a);
}

static void
identity_has_the_options(void **state)
{
	struct conf conf = make_conf(0);
	struct verdict v = VERDICT;
	struct auth *a;

	(void)state;
	write_users(1, "$1$abcdefgh$",
	    "stream=news,senders=A.example|b.example,rate=100/min");
	a = make_auth(&conf);
	auth_check(a, "a", "secret-a", on_answer, &v);
	wait_for(&v, 1);
	assert_non_null(v.who);
	assert_string_equal(v.who->stream, "news");
	assert_int_equal(v.who->sender_domains.n, 2);
	assert_string_equal(v.who->sender_domains.v[0], "a.example");
	assert_int_equal(v.who->rate.count, 100);
	auth_free(a);
	/* It is the caller's: the file may change. */
	assert_string_equal(v.who->sender_domains.v[1], "b.example");
	auth_identity_free(v.who);
}

static void
good_passwords_are_remembered(void **state)
{
	struct conf conf = make_conf(60000000);
	struct err err;
	struct auth *a;
	bool at_once;

	(void)state;
	write_users(2, "$1$abcdefgh$", "");
	a = make_auth(&conf);
	assert_int_equal(ask(a, "a", "secret-a", &at_once), 1);
	assert_false(at_once);
	assert_int_equal(ask(a, "a", "secret-a", &at_once), 1);
	assert_true(at_once);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(ask(a, "a", "secret-b", &at_once), 0);
		assert_false(at_once);
		assert_int_equal(ask(a, "nobody", "secret-a", &at_once), 0);
		assert_false(at_once);
	}
	/* The same password under another salt: to be checked again. */
	write_users(1, "$1$hgfedcba$", "stream=news");
	assert_int_equal(auth_reload(a, &conf, &err), 0);
	assert_int_equal(ask(a, "a", "secret-a", &at_once), 1);
	assert_false(at_once);
	assert_int_equal(ask(a, "a", "secret-a", &at_once), 1);
	assert_true(at_once);
	/* A user who is gone, another's password. */
	assert_int_equal(ask(a, "b", "secret-b", &at_once), 0);
	conf.auth.cache_ttl_us = 0;
	assert_int_equal(auth_reload(a, &conf, &err), 0);
	assert_int_equal(ask(a, "a", "secret-a", &at_once), 1);
	assert_false(at_once);
	auth_free(a);
}

static void
bad_file_leaves_the_old_one(void **state)
{
	struct conf conf = make_conf(0);
	struct err err = { .text = "" };
	char wanted[256];
	struct auth *a;
	FILE *f;

	(void)state;
	write_users(1, "$1$abcdefgh$", "");
	a = make_auth(&conf);
	f = fopen(file, "w");
	fputs("a:plain\nb\n", f);
	fclose(f);
	assert_int_equal(auth_reload(a, &conf, &err), -1);
	snprintf(wanted, sizeof(wanted),
	    "%s:1:3: the password hash is not whole; "
	    "`flyballctl passwd` makes a new one\n"
	    "%s:2:1: a user is written name:hash[:options]",
	    file, file);
	assert_string_equal(err.text, wanted);
	assert_int_equal(ask(a, "a", "secret-a", NULL), 1);
	auth_free(a);
	assert_null(auth_new(&conf, &err));
	conf.auth.users_file = (char *)"/nonexistent/users";
	assert_null(auth_new(&conf, &err));
	assert_string_equal(err.text,
	    "/nonexistent/users: No such file or directory");
}

static void
many_mistakes_fit_into_a_sentence(void **state)
{
	struct conf conf = make_conf(0);
	struct strbuf errors = { 0 };
	struct err err = { .text = "" };
	const char *more;
	int n_lines = 0;
	FILE *f = fopen(file, "w");

	(void)state;
	for (int i = 0; i < 1000; i++)
		fputs("x\n", f);
	fclose(f);
	assert_null(auth_new(&conf, &err));
	more = strstr(err.text, "\nand ");
	assert_non_null(more);
	for (const char *p = err.text; p < more; p++)
		n_lines += *p == '\n';
	assert_int_equal(atoi(more + 5) + n_lines + 1, 1000);
	assert_int_equal(auth_check_users(&conf, &errors), -1);
	conf.auth.users_file = empty;
	assert_int_equal(auth_check_users(&conf, &errors), 0);
	strbuf_fini(&errors);
}

static void
without_a_file_nobody_is_known(void **state)
{
	struct conf conf = make_conf(60000000);
	struct auth *a;

	(void)state;
	conf.auth.users_file = empty;
	a = make_auth(&conf);
	assert_int_equal(ask(a, "a", "secret-a", NULL), 0);
	assert_int_equal(ask(a, "a", "", NULL), 0);
	auth_free(a);
}

static void
full_queue_says_come_back(void **state)
{
	struct conf conf = make_conf(0);
	struct verdict v = VERDICT;
	unsigned n_at_once = 0;
	struct auth *a;

	(void)state;
	write_users(1, "$y$j8T$abcdefgh$", "");
	a = make_auth(&conf);
	for (int i = 0; i < 400; i++)
		n_at_once += auth_check(a, "a", "secret-a", on_answer, &v);
	assert_in_range(n_at_once, 1, 400 - 256);
	wait_for(&v, n_at_once + 1); /* one was hashed, or found the end */
	auth_free(a);
	/* All of them have their answer, exactly one. */
	assert_int_equal(v.n_answers, 400);
	assert_int_equal(v.n_good + v.n_temporary, 400);
	assert_true(v.n_good >= 1);
	assert_true(v.n_temporary >= n_at_once);
	auth_identity_free(v.who);
}

static void
end_answers_those_who_wait(void **state)
{
	struct conf conf = make_conf(0);
	struct verdict v = VERDICT;
	struct auth *a;

	(void)state;
	write_users(1, "$y$j9T$abcdefgh$", "");
	a = make_auth(&conf);
	for (int i = 0; i < 100; i++)
		auth_check(a, "a", "secret-a", on_answer, &v);
	auth_free(a);
	assert_int_equal(v.n_answers, 100);
	assert_true(v.n_temporary > 50);
	auth_identity_free(v.who);
	auth_free(NULL);
}

/* ---- what it costs ---- */

static _Atomic unsigned n_hashes;
static char last_method[16];

/* In libcrypt's place: counts, and hands on. */
char *
crypt_rn(const char *phrase, const char *setting, void *data, int size)
{
	char *(*real)(const char *, const char *, void *, int);

	*(void **)&real = dlsym(RTLD_NEXT, "crypt_rn");
	n_hashes++;
	snprintf(last_method, sizeof(last_method), "%.7s", setting);
	return real(phrase, setting, data, size);
}

/* Nobody may learn from the time whether a name exists: so what takes the time
 * is counted. */
static void
unknown_names_cost_the_same(void **state)
{
	static const struct {
		const char *user, *password;
		unsigned n;
	} cases[] = {
		{ "a", "wrong", 1 },
		{ "nobody", "wrong", 1 },
		{ "nobody", "secret-a", 1 },
		{ "A", "secret-a", 1 },
		{ "", "x", 1 },
		{ "a", "secret-a", 1 }, /* remembered from here */
		{ "a", "secret-a", 0 },
		{ "a", "secret-b", 1 },
		{ "a", "secret-", 1 },
		{ "nobody", "secret-a", 1 },
	};
	struct conf conf = make_conf(60000000);
	struct auth *a;

	(void)state;
	write_users(1, "$y$j8T$abcdefgh$", "");
	a = make_auth(&conf);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		n_hashes = 0;
		ask(a, cases[i].user, cases[i].password, NULL);
		if (n_hashes != cases[i].n)
			fail_msg("%s, %s: %u hashes", cases[i].user,
			    cases[i].password, n_hashes);
		assert_string_equal(last_method, "$y$j8T$");
	}
	auth_free(a);
}

/* ---- threads ---- */

struct asker {
	struct auth *a;
	struct verdict verdict;
};

static void *
ask_much(void *arg)
{
	struct asker *asker = arg;

	for (unsigned i = 0; i < 150; i++) {
		auth_check(asker->a, i % 3 ? "a" : "nobody", "secret-a",
		    on_answer, &asker->verdict);
		wait_for(&asker->verdict, i + 1);
	}
	return NULL;
}

static void
reload_while_threads_ask(void **state)
{
	struct asker askers[3];
	pthread_t threads[3];
	struct conf conf = make_conf(1000);
	struct err err;
	struct auth *a;

	(void)state;
	write_users(2, "$1$abcdefgh$", "");
	a = make_auth(&conf);
	for (int i = 0; i < 3; i++) {
		askers[i] = (struct asker){ .a = a, .verdict = VERDICT };
		pthread_create(&threads[i], NULL, ask_much, &askers[i]);
	}
	for (int i = 0; i < 100; i++) {
		conf.auth.cache_ttl_us = i % 2 ? 1000000 : 0;
		assert_int_equal(auth_reload(a, &conf, &err), 0);
	}
	for (int i = 0; i < 3; i++) {
		pthread_join(threads[i], NULL);
		assert_int_equal(askers[i].verdict.n_good, 100);
		assert_int_equal(askers[i].verdict.n_temporary, 0);
		auth_identity_free(askers[i].verdict.who);
	}
	auth_free(a);
}

/* ---- lines ---- */

static void
lines_that_are_made_are_good(void **state)
{
	struct conf conf = make_conf(0);
	struct strbuf line = { 0 };
	struct err err = { .text = "" };
	struct auth *a;
	FILE *f;

	(void)state;
	assert_int_equal(auth_make_line("shop", "p\u00e4ss w:rd", NULL, &line,
			     &err),
	    0);
	assert_int_equal(auth_make_line("j\u00f6rg", "x",
			     "stream=news,rate=5/s", &line, &err),
	    0);
	assert_memory_equal(line.data, "shop:$y$", 8);
	assert_non_null(strstr(line.data, ":stream=news,rate=5/s\n"));
	f = fopen(file, "w");
	fputs(line.data, f);
	fclose(f);
	a = make_auth(&conf);
	assert_int_equal(ask(a, "shop", "p\u00e4ss w:rd", NULL), 1);
	assert_int_equal(ask(a, "j\u00f6rg", "x", NULL), 1);
	assert_int_equal(ask(a, "j\u00f6rg", "y", NULL), 0);
	auth_free(a);
	strbuf_fini(&line);
}

static const struct {
	const char *user, *password, *options, *error;
} bad_lines[] = {
	{ "", "p", NULL, "the user's name is missing" },
	{ "a:b", "p", NULL,
	    "a user's name can't have blanks, controls or \":\"" },
	{ "a\nb", "p", NULL,
	    "a user's name can't have blanks, controls or \":\"" },
	{ "a", "", NULL, "the password is empty" },
	{ "a", "\xff", NULL, "the password is not UTF-8" },
	{ "a", "a\tb", NULL, "the password has a control character" },
	{ "a", "p", "a\nroot:x", "an option has a line end" },
	{ "a", "p", "steam=x",
	    "there is no option \"steam\"; there are stream, senders and rate" },
	{ "a", "p", "stream", "an option is written key=value" },
};

static void
bad_lines_are_not_made(void **state)
{
	struct strbuf line = { 0 };
	char password[513];
	struct err err;

	(void)state;
	for (size_t i = 0; i < sizeof(bad_lines) / sizeof(*bad_lines); i++) {
		assert_int_equal(auth_make_line(bad_lines[i].user,
				     bad_lines[i].password,
				     bad_lines[i].options, &line, &err),
		    -1);
		assert_string_equal(err.text, bad_lines[i].error);
	}
	memset(password, 'x', 512);
	password[512] = '\0';
	assert_int_equal(auth_make_line("a", password, NULL, &line, &err), -1);
	password[511] = '\0';
	assert_int_equal(line.len, 0);
	assert_int_equal(auth_make_line("a", password, NULL, &line, &err), 0);
	strbuf_fini(&line);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(passwords_are_checked),
		cmocka_unit_test(long_passwords_are_refused),
		cmocka_unit_test(identity_has_the_options),
		cmocka_unit_test(good_passwords_are_remembered),
		cmocka_unit_test(bad_file_leaves_the_old_one),
		cmocka_unit_test(many_mistakes_fit_into_a_sentence),
		cmocka_unit_test(without_a_file_nobody_is_known),
		cmocka_unit_test(full_queue_says_come_back),
		cmocka_unit_test(end_answers_those_who_wait),
		cmocka_unit_test(unknown_names_cost_the_same),
		cmocka_unit_test(reload_while_threads_ask),
		cmocka_unit_test(lines_that_are_made_are_good),
		cmocka_unit_test(bad_lines_are_not_made),
	};

	return cmocka_run_group_tests(tests, make_file, remove_file);
}
