/* SPDX-License-Identifier: ISC */
/* The link to Redis: coming back, what is published, Sentinels, where it is. */
#include "tests/unit/redis_link_world.h"

/* ---- coming back ---- */

static void
a_server_that_comes_back(void **state)
{
	struct world w;
	struct redis_view v;
	unsigned n_accepted;
	uint16_t port;

	(void)state;
	world_init(&w, NULL);
	start_link(&w, "redis://127.0.0.1:%u", w.redis.port);
	RUN_UNTIL(&w, w.n_up == 1);
	port = w.redis.port;
	fake_redis_stop(&w.redis);
	RUN_UNTIL(&w, w.n_down == 1);
	assert_non_null(strstr(w.reason, "closed the connection"));
	run_for(&w, 1500 * MS);
	assert_int_equal(w.n_down, 1); /* told once, though it tries */
	n_accepted = w.redis.n_accepted;
	fake_redis_start(&w.redis, w.base, port);
	RUN_UNTIL(&w, w.n_up == 2);
	assert_int_equal(w.redis.n_accepted, n_accepted + 1);
	redis_link_view(w.link, &v);
	assert_int_equal(v.n_connects, 2);
	assert_int_equal(v.n_downs, 1);
	world_fini(&w);
}

/* Nobody is there: pauses that grow, and no two alike. */
static void
no_storm(void **state)
{
	struct world w;
	int64_t least[6], most[6], begun_us;
	struct redis_view v;

	(void)state;
	world_init(&w, NULL);
	fake_redis_stop(&w.redis);
	start_link(&w, "redis://127.0.0.1:%u", w.redis.port);
	for (size_t i = 0; i < N(least); i++) {
		/* It was decided between the two moments. */
		do {
			begun_us = clock_mono_us();
			event_base_loop(w.base, EVLOOP_ONCE);
			redis_link_view(w.link, &v);
		} while (v.state != REDIS_WAITING);
		least[i] = v.due_us - clock_mono_us();
		most[i] = v.due_us - begun_us;
		while (v.state == REDIS_WAITING) {
			event_base_loop(w.base, EVLOOP_ONCE);
			redis_link_view(w.link, &v);
		}
	}
	assert_true(least[0] <= 150 * MS);
	assert_true(most[5] >= 900 * MS);
	assert_true(least[5] <= 3000 * MS);
	assert_int_equal(w.n_down, 1);
	world_fini(&w);
}

static void
an_idle_link_is_tried(void **state)
{
	struct world w;

	(void)state;
	world_init(&w, NULL);
	start_link(&w, "redis://127.0.0.1:%u", w.redis.port);
	redis_link_subscribe(w.link, "c");
	RUN_UNTIL(&w, w.n_subscribed == 1);
	RUN_UNTIL(&w, w.redis.n_ping >= 3);
	assert_int_equal(w.n_down, 0);
	w.redis.is_mute = true;
	RUN_UNTIL(&w, w.n_down == 1);
	world_fini(&w);
}

/* ---- what is published ---- */

static void
messages(void **state)
{
	struct world w;

	(void)state;
	world_init(&w, NULL);
	start_link(&w, "redis://127.0.0.1:%u/2", w.redis.port);
	redis_link_subscribe(w.link, "lanes");
	RUN_UNTIL(&w, w.n_subscribed == 1);
	assert_int_equal(w.n_up, 1);
	fake_redis_publish(&w.redis, "lanes@2", "17");
	RUN_UNTIL(&w, w.n_messages == 1);
	assert_string_equal(w.message, "lanes=17");
	/* Channels are of no database, but these are. */
	assert_non_null(strstr(w.redis.log.data, "SUBSCRIBE lanes@2\n"));
	redis_link_subscribe(w.link, "nodes"); /* one more */
	RUN_UNTIL(&w, w.n_subscribed == 2);
	/* Its connection alone is lost: calls go on, it comes back. */
	for (int i = 0; i < FAKE_CONNS; i++)
		if (w.redis.conns[i].fd >= 0 && w.redis.conns[i].is_listening)
			fake_hang_up(&w.redis.conns[i]);
	RUN_UNTIL(&w, w.n_subscribed == 3);
	assert_int_equal(w.n_down, 0);
	fake_redis_publish(&w.redis, "nodes@2", "");
	RUN_UNTIL(&w, w.n_messages == 2);
	assert_string_equal(w.message, "nodes=");
	world_fini(&w);
}

static void
subscriptions_that_are_refused(void **state)
{
	struct world w;
	struct redis_view v;

	(void)state;
	world_init(&w,
	    "SUBSCRIBE -NOPERM this user has no permissions to access one of "
	    "the channels");
	start_link(&w, "redis://127.0.0.1:%u", w.redis.port);
	redis_link_subscribe(w.link, "lanes");
	RUN_UNTIL(&w, w.n_up == 1);
	run_for(&w, 100 * MS);
	redis_link_view(w.link, &v);
	assert_false(v.is_subscribed);
	assert_int_equal(v.state, REDIS_UP);
	assert_int_equal(w.n_subscribed, 0);
	world_fini(&w);
}

/* ---- Sentinels ---- */

static void
sentinels(void **state)
{
	struct world w;
	struct redis_view v;
	char server[64];

	(void)state;
	/* The first one isn't there, the second leads to another server. */
	world_init(&w, NULL);
	fake_redis_start(&w.other, w.base, 0);
	snprintf(w.redis.master, sizeof(w.redis.master), "127.0.0.1 %u",
	    w.other.port);
	w.conf.sentinel_password = (char *)(uintptr_t) "s";
	w.conf.password = (char *)(uintptr_t) "p";
	start_link(&w, "redis-sentinel://127.0.0.1:1,127.0.0.1:%u#main",
	    w.redis.port);
	RUN_UNTIL(&w, w.n_up == 1);
	redis_link_view(w.link, &v);
	snprintf(server, sizeof(server), "127.0.0.1:%u", w.other.port);
	assert_string_equal(v.server, server);
	assert_string_equal(w.redis.log.data,
	    "AUTH s\nSENTINEL get-master-addr-by-name main\n");
	assert_non_null(strstr(w.other.log.data, "AUTH p\n"));
	/* It is voted out, and goes on answering: we move. */
	snprintf(w.redis.master, sizeof(w.redis.master), "127.0.0.1 %u",
	    w.redis.port);
	RUN_UNTIL(&w, w.n_down == 1);
	assert_non_null(strstr(w.reason, "the Sentinels name another server"));
	RUN_UNTIL(&w, w.n_up == 2);
	redis_link_view(w.link, &v);
	snprintf(server, sizeof(server), "127.0.0.1:%u", w.redis.port);
	assert_string_equal(v.server, server);
	world_fini(&w);
}

static void
sentinels_that_dont_help(void **state)
{
	static const struct {
		const char *script, *master, *reason;
	} cases[] = {
		{ NULL, "", "knows no \"main\"" },
		{ "SENTINEL -NOAUTH Authentication required.", "",
		    "cluster.sentinel_password_file is missing" },
		{ "SENTINEL -ERR unknown command 'SENTINEL'", "",
		    "unknown command" },
		{ "SENTINEL ~", "", "no answer for 0.2 s" },
		{ "SENTINEL !", "", "closed the connection" },
		{ "SENTINEL *2\r\n$1\r\nh\r\n$1\r\nx", "", "without a port" },
		{ NULL, "127.0.0.1 1", "127.0.0.1:1: Connection refused" },
	};

	(void)state;
	for (size_t i = 0; i < N(cases); i++) {
		struct world w;

		world_init(&w, cases[i].script);
		strcpy(w.redis.master, cases[i].master);
		start_link(&w, "redis-sentinel://127.0.0.1:%u#main",
		    w.redis.port);
		RUN_UNTIL(&w, w.n_down == 1);
		if (strstr(w.reason, cases[i].reason) == NULL)
			fail_msg("%s: %s", cases[i].reason, w.reason);
		world_fini(&w);
	}
}

/* ---- where it is ---- */

static void
names_and_sockets(void **state)
{
	struct world w;

	(void)state;
	world_init(&w, NULL);
	/* Each of its addresses has its turn: one of them is ours. */
	start_link(&w, "redis://localhost:%u", w.redis.port);
	RUN_UNTIL(&w, w.n_up == 1);
	world_fini(&w);

	world_init(&w, NULL);
	start_link(&w, "unix:///nonexistent/redis.sock");
	RUN_UNTIL(&w, w.n_down == 1);
	assert_string_equal(w.reason,
	    "/nonexistent/redis.sock: No such file or directory");
	world_fini(&w);

	world_init(&w, NULL);
	start_link(&w, "redis://no-such-host.invalid");
	RUN_UNTIL(&w, w.n_down == 1);
	assert_non_null(strstr(w.reason, "no address found"));
	world_fini(&w);
}

static void
write_line(const char *path, const char *line)
{
	FILE *f = fopen(path, "w");

	assert_non_null(f);
	fputs(line, f);
	assert_int_equal(fclose(f), 0);
}

static void
name_servers_that_changed(void **state)
{
	char path[] = "/tmp/test_redis_link.XXXXXX", line[100];
	const char *systems = redis_finder_resolv_conf;
	struct dns_fake before, after;
	struct world w;

	(void)state;
	world_init(&w, NULL);
	dns_fake_start(&before, w.base);
	dns_fake_start(&after, w.base);
	before.last_octet = 2; /* nobody listens there */
	assert_true(close(mkstemp(path)) == 0);
	snprintf(line, sizeof(line), "nameserver %s\n", before.address);
	write_line(path, line);
	redis_finder_resolv_conf = path;
	start_link(&w, "redis://redis.test:%u", w.redis.port);
	RUN_UNTIL(&w, w.n_down == 1);
	assert_true(before.n_asked > 0);
	assert_non_null(strstr(w.reason, "refused"));
	snprintf(line, sizeof(line), "# moved\nnameserver %s\n", after.address);
	write_line(path, line);
	RUN_UNTIL(&w, w.n_up == 1);
	assert_true(after.n_asked > 0);
	redis_finder_resolv_conf = systems;
	assert_int_equal(unlink(path), 0);
	dns_fake_end(&before);
	dns_fake_end(&after);
	world_fini(&w);
}

static void
another_place(void **state)
{
	struct world w;
	struct redis_script *s;
	struct err err;
	char url[64];

	(void)state;
	world_init(&w, NULL);
	fake_redis_start(&w.other, w.base, 0);
	start_link(&w, "redis://127.0.0.1:%u", w.redis.port);
	s = redis_link_script(w.link, "lease", "return 1");
	RUN_UNTIL(&w, w.n_up == 1);
	assert_int_equal(redis_link_configure(w.link, &w.conf, &err), 0);
	run_for(&w, 50 * MS);
	assert_int_equal(w.n_down, 0); /* the same: nothing happens */
	w.conf.redis = (char *)(uintptr_t) "redis://";
	assert_int_equal(redis_link_configure(w.link, &w.conf, &err), -1);
	run_for(&w, 50 * MS);
	assert_int_equal(w.n_down, 0);
	snprintf(url, sizeof(url), "redis://127.0.0.1:%u/4", w.other.port);
	w.conf.redis = url;
	call(&w, s, "a");
	w.is_inside = true;
	assert_int_equal(redis_link_configure(w.link, &w.conf, &err), 0);
	w.is_inside = false;
	RUN_UNTIL(&w, w.n_up == 2);
	assert_int_equal(w.n_answers, 1);
	assert_int_equal(w.outcome, REDIS_LOST);
	assert_non_null(strstr(w.other.log.data, "SELECT 4\n"));
	call(&w, s, "b");
	RUN_UNTIL(&w, w.n_answers == 2);
	assert_string_equal(w.text, "b");
	world_fini(&w);
}

/* The same path, other certificates in it. */
static void
trust_that_changed(void **state)
{
	char path[] = "/tmp/test_redis_link.XXXXXX";
	struct world w;
	struct err err;

	(void)state;
	world_init(&w, NULL);
	assert_true(close(mkstemp(path)) == 0);
	write_line(path, "one\n");
	w.conf.tls_ca = path;
	start_link(&w, "redis://127.0.0.1:%u", w.redis.port);
	RUN_UNTIL(&w, w.n_up == 1);
	write_line(path, "one\n");
	assert_int_equal(redis_link_configure(w.link, &w.conf, &err), 0);
	run_for(&w, 50 * MS);
	assert_int_equal(w.n_down, 0);
	write_line(path, "another\n");
	assert_int_equal(redis_link_configure(w.link, &w.conf, &err), 0);
	RUN_UNTIL(&w, w.n_up == 2);
	assert_int_equal(w.n_down, 1);
	assert_int_equal(unlink(path), 0);
	world_fini(&w);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_server_that_comes_back),
		cmocka_unit_test(no_storm),
		cmocka_unit_test(an_idle_link_is_tried),
		cmocka_unit_test(messages),
		cmocka_unit_test(subscriptions_that_are_refused),
		cmocka_unit_test(sentinels),
		cmocka_unit_test(sentinels_that_dont_help),
		cmocka_unit_test(names_and_sockets),
		cmocka_unit_test(name_servers_that_changed),
		cmocka_unit_test(another_place),
		cmocka_unit_test(trust_that_changed),
	};

	signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
