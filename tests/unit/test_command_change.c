/* SPDX-License-Identifier: ISC */
/* Commands that change something: what each does, and leaves in the record; and
 * lines of garbage. */
#include "tests/unit/command_world.h"

/* ---- changes ---- */

static void
a_change_is_on_record(void **state)
{
	json_t *event;

	(void)state;
	did("pause provider gmail for 5m because \"421 4.7.28\" since noon");
	event = json_loads(g.seen.data, 0, NULL);
	assert_non_null(event);
	assert_string_equal(text(event, "event"), "admin");
	assert_string_equal(text(event, "because"), "421 4.7.28 since noon");
	assert_non_null(strstr(text(event, "command"), "pause provider"));
	assert_int_equal(number(event, "uid"), 0);
	assert_string_equal(text(event, "result"), "ok");
	json_decref(event);
	assert_true(g.n_wakes > 0);
	strbuf_reset(&g.seen);
	did("status");
	did("drop where provider=gmail --dry-run");
	assert_int_equal(g.seen.len, 0);
}

static void
a_rate_is_in_force_at_once_and_taken_back(void **state)
{
	struct lane_view l;
	json_t *r;

	(void)state;
	r = ask("rate ip-a/gmail 5/s,2k/h for 2h because of complaints");
	assert_true(json_is_true(json_object_get(r, "is_overridden")));
	assert_int_equal(json_array_size(json_object_get(r, "rates")), 2);
	assert_in_range(number(r, "remaining_ms"), 7190000, 7200000);
	json_decref(r);
	assert_true(sched_lane_get(g.s, "ip-a/gmail", clock_mono_us(), &l));
	assert_int_equal(l.rates[0].count, 5);
	assert_int_equal(l.n_rates, 2);
	did("rate ip-a/gmail 7/s 3k/h");
	assert_true(sched_lane_get(g.s, "ip-a/gmail", clock_mono_us(), &l));
	assert_int_equal(l.rates[0].count, 7);
	r = ask("rate ip-a/gmail auto");
	assert_true(json_is_false(json_object_get(r, "is_overridden")));
	json_decref(r);
	assert_true(sched_lane_get(g.s, "ip-a/gmail", clock_mono_us(), &l));
	assert_int_equal(l.rates[0].count, 20);
}

static void
dropped_are_gone_and_those_in_flight_are_counted(void **state)
{
	struct sched_totals t;
	struct plan plan;
	json_t *r;

	(void)state;
	for (int i = 0; i < 10; i++)
		fake_add(&g, "gmail", "a@app.test", "r@gmail.com", 0);
	fake_add(&g, "yahoo", "a@app.test", "r@yahoo.com", 0);
	sched_plan(g.s, clock_mono_us(), &plan);
	assert_int_equal(plan.kind, PLAN_DISPATCH);
	r = ask("drop where provider=gmail --dry-run");
	assert_true(json_is_true(json_object_get(r, "dry_run")));
	assert_int_equal(number(r, "matched"), 10);
	json_decref(r);
	sched_totals(g.s, &t);
	assert_int_equal(t.n_deliveries, 11);
	r = ask("drop where provider=gmail because spam");
	assert_int_equal(number(r, "matched"), 10);
	assert_int_equal(number(r, "changed") + number(r, "in_flight"), 10);
	assert_int_equal(number(r, "in_flight"),
	    strcmp(plan.provider, "gmail") == 0);
	json_decref(r);
	sched_totals(g.s, &t);
	assert_int_equal(t.n_deliveries, 11 - 9);
}

static void
mail_is_sent_another_way(void **state)
{
	struct queue_view q;
	json_t *r;

	(void)state;
	fake_add(&g, "gmail", "a@app.test", "r@gmail.com", 0);
	fake_add(&g, "gmail", "a@app.test", "r@gmail.com", 300 * SEC);
	fake_add(&g, "yahoo", "a@app.test", "r@yahoo.com", 0);
	r = ask("reroute where provider=gmail to ip-b --dry-run");
	assert_int_equal(number(r, "matched"), 2);
	json_decref(r);
	r = ask("reroute where provider=gmail to ip-b");
	assert_int_equal(number(r, "changed"), 2);
	json_decref(r);
	assert_true(sched_delivery_get(g.s, 1, 0, &q));
	assert_string_equal(q.lane, "ip-b/gmail");
	assert_string_equal(q.stream, "route:ip-b");
	assert_true(sched_delivery_get(g.s, 2, 0, &q));
	assert_int_equal(q.state, QUEUE_DEFERRED);
	assert_true(sched_delivery_get(g.s, 3, 0, &q));
	assert_string_equal(q.lane, "ip-a/yahoo");
	did("reroute 0000000000001 to default");
	assert_true(sched_delivery_get(g.s, 1, 0, &q));
	assert_string_equal(q.lane, "ip-a/gmail");
	refused_as(&root, "reroute 0000000000001 to nowhere", "no route or",
	    false);
	refused_as(&root, "reroute 0000000000001 ip-b x", "to where", true);
}

static void
bounces_give_the_reason(void **state)
{
	json_t *r, *event;

	(void)state;
	fake_add(&g, "gmail", "a@app.test", "r@gmail.com", 0);
	fake_add(&g, "gmail", "a@app.test", "r@gmail.com", 0);
	r = ask("bounce 0000000000002 because sent by mistake --dry-run");
	assert_int_equal(number(r, "changed"), 1);
	assert_int_equal(g.n_bounces, 0);
	json_decref(r);
	r = ask("bounce 0000000000002 because sent by mistake");
	assert_int_equal(number(r, "changed"), 1);
	assert_int_equal(g.n_bounces, 1);
	assert_string_equal(g.bounce_reply,
	    "returned by the postmaster: sent by mistake");
	event = json_loads(g.seen.data, JSON_DISABLE_EOF_CHECK, NULL);
	assert_string_equal(text(event, "event"), "bounced");
	assert_string_equal(text(event, "recipient"), "r@gmail.com");
	assert_string_equal(text(event, "reply"), g.bounce_reply);
	json_decref(event);
	json_decref(r);
	/* One unknown ID: nothing is done about the others. */
	refused_as(&root, "bounce 0000000000001 0000000000007",
	    "0000000000007 isn't queued", false);
	assert_int_equal(g.n_bounces, 1);
}

static void
retry_makes_the_deferred_due(void **state)
{
	struct queue_view q;
	json_t *r;

	(void)state;
	fake_add(&g, "gmail", "a@app.test", "r@gmail.com", 300 * SEC);
	fake_add(&g, "gmail", "a@app.test", "r@gmail.com", 0);
	r = ask("retry where provider=gmail");
	assert_int_equal(number(r, "matched"), 2);
	assert_int_equal(number(r, "changed"), 1);
	json_decref(r);
	assert_true(sched_delivery_get(g.s, 1, 0, &q));
	assert_int_equal(q.state, QUEUE_WAITING);
	assert_int_equal(q.attempts, 1);
}

static const char *
last_event(void)
{
	const char *end = g.seen.data + g.seen.len - 1;
	const char *begin = memrchr(g.seen.data, '\n', g.seen.len - 1);

	assert_int_equal(*end, '\n');
	return begin != NULL ? begin + 1 : g.seen.data;
}

/* Thousands are changed in paced portions, and breaking off is recorded. */
static void
a_big_change_is_paced(void **state)
{
	const char *line = "drop where older=0s";
	struct command *c = command_new(&g, &root, line, strlen(line));
	struct sched_totals t;
	json_t *event;

	(void)state;
	for (int i = 0; i < 1000; i++)
		fake_add(&g, "gmail", "a@app.test", "r@gmail.com", 0);
	while (command_step(c) == STEP_MORE)
		continue;
	sched_totals(g.s, &t);
	/* A hundred in its last step; on a slow machine some in others. */
	assert_in_range(t.n_deliveries, 1, 900);
	command_free(c);
	event = json_loads(last_event(), 0, NULL);
	assert_string_equal(text(event, "result"), "broken off");
	assert_int_equal(number(event, "n"), 1000 - t.n_deliveries);
	json_decref(event);
}

static void
reload_and_drain(void **state)
{
	json_t *r, *answer;

	(void)state;
	g.reload_notes = "daemon.workers\ndaemon.state_dir\n";
	r = ask("reload");
	assert_int_equal(json_array_size(json_object_get(r, "needs_restart")),
	    2);
	assert_null(json_object_get(r, "not_in_force"));
	json_decref(r);
	g.reload_partly = "log reader: no threads\n";
	r = ask("reload");
	assert_string_equal(json_string_value(json_array_get(
				json_object_get(r, "not_in_force"), 0)),
	    "log reader: no threads");
	json_decref(r);
	g.reload_partly = NULL;
	strbuf_reset(&g.seen);
	g.reload_errors = "f.yaml:1:1: a: wrong\nf.yaml:2:1: b: \"wrong\"\n";
	answer = ask_as(&root, "reload");
	assert_true(json_is_false(json_object_get(answer, "ok")));
	assert_int_equal(json_array_size(json_object_get(answer, "errors")), 2);
	assert_string_equal(json_string_value(json_array_get(
				json_object_get(answer, "errors"), 1)),
	    "f.yaml:2:1: b: \"wrong\"");
	json_decref(answer);
	assert_int_equal(g.seen.len, 0);
	r = ask("drain");
	assert_int_equal(g.n_drains, 1);
	assert_int_equal(number(r, "drain_timeout_ms"), 30000);
	json_decref(r);
}

/* ---- garbage ---- */

#define N_BITS (sizeof(bits) / sizeof(*bits))
static void
fuzzed_lines_are_answered(void **state)
{
	static const char *const bits[] = { "pause", "resume", "rate", "queue",
		"where", "drop", "bounce", "retry", "because", "for", "limit",
		"--dry-run", "provider", "gmail", "ip-a/gmail", "lane",
		"provider=gmail", "older=", "state=", "id=", "sender=<>", "5/s",
		"1h", "99999999999999999999", "\"", "\\", "=", "\xff\xfe", "*",
		"0000000000001", "why", "message", "help", "log", "level", "\t",
		"/", "//", ",", "auto", "route", "status" };
	const uint64_t seed = 20261125;
	struct rng rng = { seed };

	(void)state;
	print_message("seed %llu\n", (unsigned long long)seed);
	fake_add(&g, "gmail", "a@app.test", "r@gmail.com", 0);
	for (int i = 0; i < 20000; i++) {
		char line[512] = "";
		size_t len = 0;
		uint64_t n = rng_below(&rng, 8);

		for (uint64_t j = 0; j < n; j++)
			len += (size_t)snprintf(line + len, sizeof(line) - len,
			    "%s%s", rng_below(&rng, 8) ? " " : "",
			    bits[rng_below(&rng, N_BITS)]);
		if (len > 0 && rng_below(&rng, 16) == 0)
			line[rng_below(&rng, len)] = (char)rng_next(&rng);
		json_decref(ask_as(&root, line));
	}
#undef N_BITS
}

static void
suppressed_addresses_are_kept_found_and_released(void **state)
{
	json_t *r;

	(void)state;
	did("suppress add Nobody@Example.net for 1h because \"550 5.1.1 no\"");
	did("suppress add spam@a.test reason complaint");
	r = ask("suppress check nobody@example.NET");
	assert_true(json_is_true(json_object_get(r, "suppressed")));
	assert_string_equal(text(r, "reason"), "manual");
	assert_string_equal(text(r, "reply"), "550 5.1.1 no");
	assert_true(json_is_string(json_object_get(r, "expires")));
	json_decref(r);
	r = ask("suppress check other@example.net");
	assert_true(json_is_false(json_object_get(r, "suppressed")));
	json_decref(r);
	r = ask("suppress list");
	assert_int_equal(json_array_size(r), 2);
	json_decref(r);
	r = ask("suppress list *@a.test");
	assert_int_equal(json_array_size(r), 1);
	assert_string_equal(text(json_array_get(r, 0), "reason"), "complaint");
	assert_true(json_is_null(json_object_get(json_array_get(r, 0),
	    "expires")));
	json_decref(r);
	r = ask("suppress list limit 1");
	assert_int_equal(json_array_size(r), 1);
	json_decref(r);
	did("suppress remove NOBODY@example.net");
	refused_as(&root, "suppress remove nobody@example.net", "isn't on",
	    false);
	r = ask("suppress list");
	assert_int_equal(json_array_size(r), 1);
	json_decref(r);
	did("suppress add @Gone.test for 1h because \"550 5.1.2 no\"");
	r = ask("suppress check jo@gone.TEST");
	assert_true(json_is_true(json_object_get(r, "suppressed")));
	assert_string_equal(json_string_value(json_object_get(r, "address")),
	    "@gone.test");
	assert_string_equal(json_string_value(json_object_get(r, "reply")),
	    "550 5.1.2 no");
	json_decref(r);
	did("suppress remove @gone.test");
	r = ask("suppress check jo@gone.test");
	assert_true(json_is_false(json_object_get(r, "suppressed")));
	json_decref(r);

	refused_as(&root, "suppress add <a@b.test>", "no address", false);
	refused_as(&root, "suppress add a@b.test reason bad", "none of", true);
	refused_as(&root, "suppress check nobody", "no address", false);
}

static void
a_cluster_is_shown(void **state)
{
	struct cluster cluster;
	json_t *r, *list, *one;

	(void)state;
	refused_as(&root, "cluster", "this relay shares nothing", false);
	r = ask("status");
	assert_true(json_is_null(json_object_get(r, "cluster")));
	json_decref(r);

	fake_cluster(&cluster);
	g.cluster = &cluster;
	g.f.conf.cluster.name = g.f.conf.cluster.prefix =
	    (char *)(uintptr_t) "n1";
	r = ask("cluster");
	assert_string_equal(text(r, "mode"), "share");
	assert_int_equal(number(r, "nodes_alive"), 2);
	assert_int_equal(number(r, "held"), 7);
	assert_true(number(r, "age_ms") >= 5000);
	one = json_object_get(r, "redis");
	assert_string_equal(text(one, "state"), "down");
	assert_true(number(one, "retry_in_ms") > 50000);
	assert_true(json_real_value(json_object_get(one, "lag_ms")) == 1.5);
	assert_true(json_is_null(json_object_get(one, "lag_max_ms")));
	list = json_object_get(r, "nodes");
	assert_int_equal(json_array_size(list), 2);
	one = json_array_get(list, 0);
	assert_string_equal(text(one, "state"), "alive");
	assert_int_equal(number(one, "seen_ms"), 0);
	one = json_array_get(list, 1);
	assert_string_equal(text(one, "state"), "gone");
	assert_true(number(one, "seen_ms") >= 9000);
	assert_true(json_is_null(json_object_get(one, "leases")));
	one = json_array_get(json_object_get(r, "leases"), 0);
	assert_string_equal(text(one, "provider"), "gmail");
	assert_true(json_real_value(json_object_get(one, "share")) == 0.333);
	assert_true(json_is_null(json_object_get(one, "remaining_ms")));
	json_decref(r);

	cluster.trouble = "127.0.0.1:6379: it closed the connection";
	r = ask("status");
	one = json_array_get(json_object_get(r, "alerts"), 0);
	assert_string_equal(text(one, "alert"), "cluster");
	assert_non_null(strstr(text(one, "text"), "closed the connection"));
	one = json_object_get(r, "cluster");
	assert_string_equal(text(one, "mode"), "share");
	assert_string_equal(text(one, "redis"), "down");
	json_decref(r);
}

int
main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		CASE(a_change_is_on_record),
		CASE(a_rate_is_in_force_at_once_and_taken_back),
		CASE(dropped_are_gone_and_those_in_flight_are_counted),
		CASE(mail_is_sent_another_way),
		CASE(bounces_give_the_reason),
		CASE(retry_makes_the_deferred_due),
		CASE(a_big_change_is_paced),
		CASE(suppressed_addresses_are_kept_found_and_released),
		CASE(a_cluster_is_shown),
		CASE(reload_and_drain),
		CASE(fuzzed_lines_are_answered),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
