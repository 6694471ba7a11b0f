/* SPDX-License-Identifier: ISC */
/* What /metrics tells of a scheduler with lanes, and what ten thousand of them
 * cost. */
#include "daemon/metrics_page.h"

#include <time.h>

#include "tests/unit/fake_governor.h"

static struct governor g;

static int
start(void **state)
{
	(void)state;
	fake_start(&g);
	return 0;
}

static int
end(void **state)
{
	(void)state;
	fake_stop(&g);
	return 0;
}

/* The whole page; the caller frees it. */
static char *
page(unsigned *n_steps_out)
{
	struct metrics_page *p = metrics_page_new(&g);
	char *text;

	*n_steps_out = 1;
	while (!metrics_page_step(p))
		++*n_steps_out;
	text = strbuf_take(metrics_page_text(p));
	metrics_page_free(p);
	return text;
}

static void
has(const char *text, const char *line)
{
	if (strstr(text, line) == NULL)
		fail_msg("there is no%s", line);
}

static void
tells_of_lanes(void **state)
{
	struct history_answers a = { .n_deferred = 3,
		.n_refused = { [CLASS_RATE] = 2, [CLASS_GREYLIST] = 1 } };
	struct err err;
	unsigned n;
	char *text;

	(void)state;
	fake_add(&g, "gmail", "a@x.test", "b@gmail.com", 0);
	fake_add(&g, "other", "a@x.test", "b@free.test", 0);
	history_answered(g.history, "ip-a/gmail", &a, clock_utc_us());
	assert_int_equal(sched_pause(g.s, PAUSE_LANE, "ip-a/gmail", INT64_MAX,
			     "", clock_mono_us(), &err),
	    0);
	g.unready = "no";
	g.stats.n_messages = 7;
	text = page(&n);
#define GMAIL "{route=\"ip-a\",provider=\"gmail\",site=\"\""
	has(text, "\nflyball_ready 0\n");
	has(text, "\nflyball_spool_messages 7\n");
	has(text, "\nflyball_pauses{kind=\"lane\"} 1\n");
	has(text, "\nflyball_route_up{route=\"ip-b\"} 1\n");
	has(text, "\nflyball_lane_held" GMAIL "} 1\n");
	has(text, "\nflyball_lane_held_by" GMAIL ",gate=\"pause\"} 1\n");
	has(text, "\nflyball_queued_recipients 2\n");
	has(text,
	    "\nflyball_lane_ceiling_recipients_per_second" GMAIL "} 20.000\n");
	has(text,
	    "\nflyball_lane_refused_recipients_total" GMAIL
	    ",class=\"rate\"} 2\n");
	has(text,
	    "\nflyball_lane_refused_recipients_total" GMAIL
	    ",class=\"greylist\"} 1\n");
	has(text,
	    "\nflyball_lane_queued_recipients{route=\"ip-a\",provider="
	    "\"other\",site=\"free.test\"} 1\n");
	assert_null(strstr(text, "class=\"ok\""));
	free(text);
}

static void
each_metric_is_told_once(void **state)
{
	unsigned n;
	char *text;

	(void)state;
	text = page(&n);
	for (const char *p = text; (p = strstr(p, "# TYPE ")) != NULL; p++) {
		char head[100];

		snprintf(head, sizeof(head), "%.*s ",
		    (int)strcspn(p + 7, " ") + 7, p);
		assert_null(strstr(p + 1, head));
	}
	free(text);
}

static void
add_sites(unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		char site[32];
		struct sched_delivery d = { .message = i + 1,
			.n_pending = 2,
			.stream = "default",
			.provider = "other",
			.site = site,
			.expires_us = INT64_MAX };

		snprintf(site, sizeof(site), "s%u.test", i);
		sched_add(g.s, &d, clock_mono_us());
	}
}

static void
sites_have_a_rest(void **state)
{
	unsigned n, n_sites = 0;
	char *text;

	(void)state;
	add_sites(METRICS_SITES_MAX + 500);
	text = page(&n);
	has(text,
	    "\nflyball_lane_queued_recipients{route=\"ip-a\",provider="
	    "\"other\",site=\"(rest)\"} 1000\n");
	assert_null(strstr(text,
	    "flyball_lane_held{route=\"ip-a\",provider=\"other\",site="
	    "\"(rest)\"}"));
	for (const char *p = text;
	     (p = strstr(p, "\nflyball_lane_queued_recipients{")) != NULL; p++)
		n_sites++;
	assert_int_equal(n_sites, METRICS_SITES_MAX + 1);
	free(text);
}

static int64_t
cpu_us(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts);
	return ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}

/* 100 routes x 100 providers, so that none is in the rest. */
static struct conf *
conf_of_many(void)
{
	struct strbuf text = { 0 }, errors = { 0 };
	struct conf *conf;

	strbuf_adds(&text, "providers:\n");
	for (int i = 0; i < 100; i++)
		strbuf_addf(&text,
		    "  p%d: {domains: [p%d.test], rate: [20/s, 20k/h]}\n", i,
		    i);
	strbuf_adds(&text, "routes:\n");
	for (int i = 0; i < 100; i++)
		strbuf_addf(&text,
		    "  r%d: {next_hop: \"127.0.0.1:%d\", plan: new-domain}\n",
		    i, 10000 + i);
	strbuf_adds(&text, "streams:\n");
	for (int i = 0; i < 20; i++)
		strbuf_addf(&text,
		    "  s%d: {match: {user: [u%d]}, routes: [r%d]}\n", i, i, i);
	strbuf_adds(&text, "  default: {routes: [r0]}\n");
	conf = conf_load_text("many", text.data, text.len, &errors);
	if (conf == NULL)
		fail_msg("%s", errors.data);
	strbuf_fini(&text);
	strbuf_fini(&errors);
	return conf;
}

/* A fifth of the lanes have mail. */
static void
add_many(struct sched *s)
{
	struct plan_view plan;
	char name[32];

	for (unsigned i = 0; i < 2000; i++) {
		char stream[16], provider[16];
		struct sched_delivery d = { .message = i + 1,
			.n_pending = 1,
			.stream = stream,
			.provider = provider,
			.site = "",
			.expires_us = INT64_MAX };

		snprintf(stream, sizeof(stream), "s%u", i / 100);
		snprintf(provider, sizeof(provider), "p%u", i % 100);
		sched_add(s, &d, clock_mono_us());
	}
	for (unsigned i = 0; i < 10000; i++) {
		snprintf(name, sizeof(name), "r%u/p%u", i / 100, i % 100);
		assert_true(sched_plan_get(s, name, clock_mono_us(), &plan));
	}
}

static void
ten_thousand_lanes_in_time(void **state)
{
	struct conf *conf = conf_of_many();
	int64_t least_us = INT64_MAX;
	size_t len = 0;
	unsigned n = 0;

	(void)state;
	sched_free(g.s);
	g.s = sched_new(conf, 1);
	sched_utc(g.s, clock_mono_us(), clock_utc_us());
	add_many(g.s);
	for (int i = 0; i < 10; i++) {
		int64_t began_us = cpu_us();
		char *text = page(&n);
		int64_t took_us = cpu_us() - began_us;

		if (took_us < least_us)
			least_us = took_us;
		len = strlen(text);
		free(text);
	}
	sched_free(g.s);
	g.s = NULL;
	conf_unref(conf);
	print_message("10,000 lanes: %lld us of CPU, %u steps, %zu bytes\n",
	    (long long)least_us, n, len);
	assert_true(len > 10000 * 1000);
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
	assert_in_range(least_us, 0, 50000);
#endif
}

static void
tells_of_a_cluster(void **state)
{
	struct cluster cluster;
	unsigned n;
	char *text = page(&n);

	(void)state;
	assert_null(strstr(text, "flyball_cluster"));
	assert_null(strstr(text, "flyball_redis"));
	free(text);
	fake_cluster(&cluster);
	g.cluster = &cluster;
	text = page(&n);
	has(text, "\nflyball_cluster_up 0\n");
	has(text, "\nflyball_cluster_mode{mode=\"share\"} 1\n");
	has(text, "\nflyball_cluster_mode{mode=\"shared\"} 0\n");
	has(text, "\nflyball_cluster_nodes 2\n");
	has(text, "\nflyball_cluster_held_recipients 7\n");
	has(text, "\nflyball_cluster_granted_recipients_total 30\n");
	has(text, "\nflyball_redis_up 0\n");
	has(text, "\nflyball_redis_lag_seconds 0.001500\n");
	assert_null(strstr(text, "flyball_redis_lag_max_seconds"));
	free(text);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(tells_of_lanes, start, end),
		cmocka_unit_test_setup_teardown(each_metric_is_told_once, start,
		    end),
		cmocka_unit_test_setup_teardown(sites_have_a_rest, start, end),
		cmocka_unit_test_setup_teardown(tells_of_a_cluster, start, end),
		cmocka_unit_test_setup_teardown(ten_thousand_lanes_in_time,
		    start, end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
