/* SPDX-License-Identifier: ISC */
/*
 * Redis URLs: every form that is taken, and that what isn't says what to write
 * in its place.
 */
#include "conf/redis_url.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#define N(a) (sizeof(a) / sizeof((a)[0]))

static void
assert_text(const char *got, const char *wanted)
{
	if (wanted == NULL)
		assert_null(got);
	else
		assert_string_equal(got, wanted);
}

static void
urls_that_are_right(void **state)
{
	static const struct {
		const char *text;
		enum redis_place place;
		bool is_tls;
		const char *hosts; /* their texts, blanks between */
		unsigned database;
		const char *path, *user, *name;
	} cases[] = {
		{ "redis://127.0.0.1:6379/0", REDIS_AT_HOST, false,
		    "127.0.0.1:6379", 0, NULL, NULL, NULL },
		{ "redis://redis.example", REDIS_AT_HOST, false,
		    "redis.example:6379", 0, NULL, NULL, NULL },
		{ "REDIS://redis.example/", REDIS_AT_HOST, false,
		    "redis.example:6379", 0, NULL, NULL, NULL },
		{ "redis://relay@[::1]:7000/15", REDIS_AT_HOST, false,
		    "[::1]:7000", 15, NULL, "relay", NULL },
		{ "redis://[2001:db8::1]", REDIS_AT_HOST, false,
		    "[2001:db8::1]:6379", 0, NULL, NULL, NULL },
		{ "redis://a%40b%2Fc@h", REDIS_AT_HOST, false, "h:6379", 0,
		    NULL, "a@b/c", NULL },
		{ "redis://@h", REDIS_AT_HOST, false, "h:6379", 0, NULL, NULL,
		    NULL },
		{ "rediss://h:6380/1", REDIS_AT_HOST, true, "h:6380", 1, NULL,
		    NULL, NULL },
		{ "unix:///run/redis/redis.sock", REDIS_AT_SOCKET, false, "", 0,
		    "/run/redis/redis.sock", NULL, NULL },
		{ "unix:///run/a%20b@c?db=3", REDIS_AT_SOCKET, false, "", 3,
		    "/run/a b@c", NULL, NULL },
		{ "unix://u@/run/r.sock?db=3", REDIS_AT_SOCKET, false, "", 3,
		    "/run/r.sock", "u", NULL },
		{ "redis-sentinel://a,b:7,[::1]/2#main", REDIS_AT_SENTINELS,
		    false, "a:26379 b:7 [::1]:26379", 2, NULL, NULL, "main" },
		{ "rediss-sentinel://u@a#my%20main", REDIS_AT_SENTINELS, true,
		    "a:26379", 0, NULL, "u", "my main" },
	};

	(void)state;
	for (size_t i = 0; i < N(cases); i++) {
		char hosts[200] = "";
		struct redis_url url;
		struct err err = { "" };

		if (redis_url_parse(cases[i].text, &url, &err) < 0)
			fail_msg("%s: %s", cases[i].text, err.text);
		for (size_t j = 0; j < url.n_hosts; j++) {
			strcat(hosts, j > 0 ? " " : "");
			strcat(hosts, url.hosts[j].text);
		}
		assert_int_equal(url.place, cases[i].place);
		assert_int_equal(url.is_tls, cases[i].is_tls);
		assert_string_equal(hosts, cases[i].hosts);
		assert_int_equal(url.database, cases[i].database);
		assert_text(url.path, cases[i].path);
		assert_text(url.user, cases[i].user);
		assert_text(url.name, cases[i].name);
		redis_url_fini(&url);
	}
}

static void
urls_that_are_wrong(void **state)
{
	static const struct {
		const char *text, *says;
	} cases[] = {
		{ "", "is no Redis URL; write redis://HOST" },
		{ "127.0.0.1:6379", "is no Redis URL" },
		{ "http://h", "is no Redis URL" },
		{ "reds://h", "did you mean redis://?" },
		{ "redis-sentinal://h#n", "did you mean redis-sentinel://?" },
		{ "redis-socket:///x", "write unix:///PATH" },
		{ "redis+socket:///x", "write unix:///PATH" },
		{ "sentinel://h", "write redis-sentinel://HOST,HOST#NAME" },
		{ "redis://:secret@h", "password doesn't stand in this file" },
		{ "redis://u:se/c@ret@h", "password doesn't stand" },
		{ "redis-sentinel://u:p@h#n", "password doesn't stand" },
		{ "unix://u:p@/x", "password doesn't stand" },
		{ "redis://", "\"\" is no host" },
		{ "redis://h o", "\"h o\" is no host" },
		{ "redis://h:0", "no port from 1 to 65535" },
		{ "redis://h:65536", "no port from 1 to 65535" },
		{ "redis://h:", "no port from 1 to 65535" },
		{ "redis://h:6379x", "no port from 1 to 65535" },
		{ "redis://[::1", "is no host" },
		{ "redis://[h]", "is no host" },
		{ "redis://[::1]6379", "no port" },
		{ "redis://::1", "no port" },
		{ "redis://h/x", "\"x\" is no database's number" },
		{ "redis://h/-1", "is no database's number" },
		{ "redis://h/1/2", "\"1/2\" is no database's number" },
		{ "redis://h/99999999999999999999", "is no database's" },
		{ "redis://h#n", "only Sentinels need one" },
		{ "redis://h?timeout=1", "they are keys of cluster" },
		{ "redis://h,i", "Redis Cluster isn't spoken" },
		{ "redis://u%zz@h", "is no user's name" },
		{ "redis://u%00@h", "is no user's name" },
		{ "redis-sentinel://a,b", "write #mymaster at its end" },
		{ "redis-sentinel://a,b/0#", "write #mymaster at its end" },
		{ "redis-sentinel://a/mymaster#x", "goes behind #" },
		{ "redis-sentinel://a,,b#n", "\"\" is no host" },
		{ "redis-sentinel://a,b,c,d,e,f,g,h,i,j,k,l,m,n,o,p,q#n",
		    "names more than 16 Sentinels" },
		{ "unix://run/redis.sock", "three slashes" },
		{ "unix:///x?database=1", "only ?db=NUMBER" },
		{ "unix:///x#n", "only ?db=NUMBER" },
		{ "unix:///x?db=y", "is no database's number" },
		{ "unix:///%", "is no socket's path" },
		{ "unix:///aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
		  "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
		  "aaaa",
		    "is no socket's path" },
	};

	(void)state;
	for (size_t i = 0; i < N(cases); i++) {
		struct redis_url url;
		struct err err = { "" };

		if (redis_url_parse(cases[i].text, &url, &err) == 0)
			fail_msg("%s was taken", cases[i].text);
		if (strstr(err.text, cases[i].says) == NULL)
			fail_msg("%s: says %s", cases[i].text, err.text);
		assert_int_equal(url.n_hosts, 0);
		assert_null(url.path);
		assert_null(url.user);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(urls_that_are_right),
		cmocka_unit_test(urls_that_are_wrong),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
