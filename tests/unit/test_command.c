/* SPDX-License-Identifier: ISC */
/*
 * The admin socket's commands as an operator types them: what each answers, and
 * who may. What they change is test_command_change.c's.
 */
#include "tests/unit/command_world.h"

/* ---- every row ---- */

static void
each_example_is_understood(void **state)
{
	(void)state;
	fake_add(&g, "gmail", "a@app.test", "r@gmail.com", 0);
	for (size_t i = 0; i < COMMAND_COUNT; i++) {
		const struct command_row *row = &command_rows[i];
		json_t *answer = ask_as(&root, row->example);

		if (row->role == ROLE_OFFLINE) {
			json_decref(answer);
			refused_as(&root, row->example, "flyballctl", true);
			continue;
		}
		if (json_object_get(answer, "kind") != NULL)
			fail_msg("%s: %s", row->example, text(answer, "error"));
		json_decref(answer);
	}
}

static void
who_may_only_look_changes_nothing(void **state)
{
	(void)state;
	for (size_t i = 0; i < COMMAND_COUNT; i++) {
		const struct command_row *row = &command_rows[i];

		if (row->role == ROLE_CHANGE)
			refused_as(&guest, row->example, "may look", false);
		else if (row->role == ROLE_READ)
			json_decref(ask_as(&guest, row->example));
	}
	assert_int_equal(g.n_drains, 0);
	assert_int_equal(g.seen.len, 0);
}

static const struct {
	const char *line, *part;
	bool is_usage;
} refusals[] = {
	{ "", "empty", true },
	{ "   ", "empty", true },
	{ "stauts", "status", true },
	{ "pause \"", "quote", true },
	{ "status now", "no words", true },
	{ "lane", "needs more", true },
	{ "lane a b", "too many", true },
	{ "lane ip-a/aol", "no lane", false },
	{ "lane ip-b/gmail", "no mail yet", false },
	{ "why nothing", "neither", false },
	{ "why 0000000000099", "isn't queued", false },
	{ "message 0000000000099", "isn't queued", false },
	{ "message x", "no message ID", false },
	{ "pause", "usage: pause", true },
	{ "pause planet mars", "there are: route", true },
	{ "pause provider gmial", "gmail", false },
	{ "pause provider gmail for", "duration", true },
	{ "pause provider gmail for ever", "ever", true },
	{ "pause provider gmail for 0s", "at once", true },
	{ "pause provider gmail because", "no text", true },
	{ "pause provider gmail yahoo", "yahoo", true },
	{ "resume provider gmail", "isn't paused", false },
	{ "rate ip-a/gmail", "needs more", true },
	{ "rate ip-a/gmail fast", "fast", true },
	{ "rate ip-a/gmail 5/s,", "", false },
	{ "rate ip-a/gmail ,", "no rate", true },
	{ "rate ip-a/gmail auto for 5m", "no duration", true },
	{ "rate ip-a/aol 5/s", "no lane", false },
	{ "forget ip-a/aol", "no lane", false },
	{ "forget ip-a/gmail ip-b/gmail", "one lane", true },
	{ "rate ip-a/gmail 1/s,2/s,3/s,4/s,5/s,6/s,7/s,8/s,9/s", "at most",
	    true },
	{ "queue limit", "no number", true },
	{ "queue limit 0", "limit is", true },
	{ "queue limit 10001", "limit is", true },
	{ "queue limit -1", "limit is", true },
	{ "queue where", "condition", true },
	{ "queue where colour=red", "no key", true },
	{ "queue where provider=gmail soon", "soon", true },
	{ "queue gmail", "no message ID", true },
	{ "drop", "needs more", true },
	{ "drop --dry-run", "drop what", true },
	{ "drop where", "condition", true },
	{ "drop 0000000000099", "isn't queued", false },
	{ "bounce because x", "bounce what", true },
	{ "log level loud", "loud", true },
	{ "help flying", "no command", false },
	{ "passwd shop", "flyballctl passwd", true },
};

static void
wrong_words_are_refused(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(refusals) / sizeof(*refusals); i++)
		if (*refusals[i].part != '\0')
			refused_as(&root, refusals[i].line, refusals[i].part,
			    refusals[i].is_usage);
	assert_int_equal(g.seen.len, 0); /* none of it is on record */
}

static void
a_nul_in_a_line_is_refused(void **state)
{
	struct command *c = command_new(&g, &root, "status\0x", 8);

	(void)state;
	assert_int_equal(command_step(c), STEP_DONE);
	assert_non_null(strstr(command_out(c)->data, "NUL"));
	command_free(c);
}

/* ---- sight ---- */

static void
status_tells_what_there_is(void **state)
{
	json_t *r, *o;

	(void)state;
	fake_add(&g, "gmail", "a@app.test", "r@gmail.com", 0);
	fake_add(&g, "gmail", "a@app.test", "r@gmail.com", 300 * SEC);
	g.stats.free_bytes = 5;
	g.f.conf.spool.min_free_bytes = 10;
	g.stats.n_messages = 950;
	did("pause route ip-b because \"it is listed\"");
	did("rate ip-a/gmail 5/s for 1h");
	r = ask("status");
	o = json_object_get(r, "totals");
	assert_int_equal(number(o, "deliveries"), 2);
	assert_int_equal(number(o, "deferred"), 1);
	assert_string_equal(text(o, "oldest_message"), "0000000000001");
	assert_int_equal(number(json_object_get(r, "load"), "sessions"), 3);
	o = json_array_get(json_object_get(r, "pauses"), 0);
	assert_string_equal(text(o, "kind"), "route");
	assert_string_equal(text(o, "name"), "ip-b");
	assert_string_equal(text(o, "because"), "it is listed");
	assert_true(json_is_null(json_object_get(o, "until")));
	o = json_array_get(json_object_get(r, "overrides"), 0);
	assert_string_equal(text(o, "lane"), "ip-a/gmail");
	assert_in_range(number(o, "remaining_ms"), 3590000, 3600000);
	assert_int_equal(json_array_size(json_object_get(r, "routes")), 2);
	assert_int_equal(json_array_size(json_object_get(r, "alerts")), 2);
	json_decref(r);
}

static void
a_route_that_is_down_is_an_alert(void **state)
{
	json_t *r, *o;

	(void)state;
	sched_route_down(g.s, 0, "connect: refused", clock_mono_us());
	r = ask("status");
	assert_int_equal(json_array_size(json_object_get(r, "alerts")), 1);
	o = json_array_get(json_object_get(r, "alerts"), 0);
	assert_non_null(strstr(text(o, "text"), "connect: refused"));
	o = json_array_get(json_object_get(r, "routes"), 0);
	assert_string_equal(text(o, "state"), "down");
	json_decref(r);
}

static void
lanes_are_filtered_and_in_order(void **state)
{
	json_t *r;

	(void)state;
	fake_add(&g, "yahoo", "a@app.test", "r@yahoo.com", 0);
	fake_add(&g, "gmail", "a@app.test", "r@gmail.com", 0);
	fake_add(&g, "other", "a@app.test", "r@free.test", 0);
	r = ask("lanes");
	assert_int_equal(json_array_size(r), 3);
	assert_string_equal(text(json_array_get(r, 0), "lane"), "ip-a/gmail");
	assert_string_equal(text(json_array_get(r, 1), "lane"),
	    "ip-a/other:free.test");
	assert_string_equal(text(json_array_get(r, 1), "site"), "free.test");
	json_decref(r);
	r = ask("lanes gmail");
	assert_int_equal(json_array_size(r), 1);
	assert_int_equal(number(json_array_get(r, 0), "rate_per_s"), 20);
	assert_string_equal(text(json_array_get(r, 0), "state"), "open");
	json_decref(r);
	r = ask("lanes *yahoo");
	assert_int_equal(json_array_size(r), 1);
	json_decref(r);
	r = ask("lanes hotmail");
	assert_int_equal(json_array_size(r), 0);
	json_decref(r);
}

/* More than one step's worth, each lane once. */
static void
thousands_of_lanes_come_in_steps(void **state)
{
	struct command *c = command_new(&g, &root, "lanes", 5);
	struct strbuf all = { 0 };
	unsigned n_steps = 0;
	json_t *answer;
	enum step step;

	(void)state;
	for (int i = 0; i < 3000; i++) {
		char site[32];
		struct sched_delivery d = { .message = 1 + (uint64_t)i,
			.n_pending = 1,
			.stream = "news",
			.provider = "other",
			.site = site,
			.expires_us = INT64_MAX };

		snprintf(site, sizeof(site), "site-%d.test", i);
		sched_add(g.s, &d, clock_mono_us());
	}
	do {
		step = command_step(c);
		assert_true(command_out(c)->len < COMMAND_OUT_HIGH + 4096);
		strbuf_add(&all, command_out(c)->data, command_out(c)->len);
		strbuf_reset(command_out(c));
		n_steps++;
	} while (step == STEP_MORE);
	command_free(c);
	assert_true(n_steps > 10);
	answer = json_loads(all.data, 0, NULL);
	assert_non_null(answer);
	assert_int_equal(json_array_size(json_object_get(answer, "result")),
	    3000);
	json_decref(answer);
	strbuf_fini(&all);
}

static void
why_says_it_in_a_sentence(void **state)
{
	const char *summary;
	json_t *r, *d;

	(void)state;
	fake_add(&g, "gmail", "a@app.test", "r@gmail.com", 0);
	fake_add(&g, "gmail", "a@app.test", "r@gmail.com", 0);
	did("pause provider gmail for 2h because they are angry");
	r = ask("why ip-a/gmail");
	summary = text(r, "summary");
	assert_ptr_equal(strstr(summary,
			     "ip-a/gmail is held: provider gmail is paused "
			     "for another 2h: they are angry. Since "),
	    summary);
	assert_non_null(strstr(summary, ", until "));
	assert_non_null(strstr(summary, "2 recipients are queued"));
	assert_true(json_is_true(json_object_get(r, "is_held")));
	d = json_array_get(json_object_get(r, "gates"), 0);
	assert_string_equal(text(d, "gate"), "pause");
	assert_true(json_is_false(json_object_get(d, "is_open")));
	json_decref(r);
	r = ask("why 0000000000002");
	d = json_array_get(json_object_get(r, "deliveries"), 0);
	assert_non_null(strstr(text(d, "text"), "behind 1 other of stream"));
	assert_non_null(strstr(text(d, "summary"), "they are angry"));
	json_decref(r);
	did("resume provider gmail");
	r = ask("why ip-a/gmail");
	assert_non_null(strstr(text(r, "summary"), "is open"));
	json_decref(r);
	fake_add(&g, "yahoo", "a@app.test", "r@yahoo.com", 300 * SEC);
	r = ask("why 0000000000003");
	d = json_array_get(json_object_get(r, "deliveries"), 0);
	assert_non_null(strstr(text(d, "text"), "deferred (attempt 1)"));
	assert_string_equal(text(d, "reply"), "450 4.2.0 later\n\"x\"");
	json_decref(r);
}

static void
a_message_shows_all_of_it(void **state)
{
	json_t *r, *d;

	(void)state;
	fake_add(&g, "gmail", "a@app.test", "r@gmail.com", 300 * SEC);
	r = ask("message 0000000000001");
	assert_string_equal(text(r, "sender"), "a@app.test");
	assert_int_equal(number(r, "size_bytes"), 1234);
	assert_in_range(number(r, "age_ms"), 10000, 20000);
	d = json_array_get(json_object_get(r, "deliveries"), 0);
	assert_string_equal(text(d, "state"), "deferred");
	assert_string_equal(text(d, "lane"), "ip-a/gmail");
	assert_in_range(number(d, "due_in_ms"), 290000, 300000);
	assert_string_equal(json_string_value(json_array_get(json_object_get(d,
								 "recipients"),
				0)),
	    "r@gmail.com");
	json_decref(r);
	/* The scheduler let it go, the disk doesn't know yet. */
	sched_remove(g.s, 1, 0);
	r = ask("message 0000000000001");
	d = json_array_get(json_object_get(r, "deliveries"), 0);
	assert_string_equal(text(d, "state"), "settling");
	json_decref(r);
}

static void
the_queue_is_selected(void **state)
{
	static const struct {
		const char *line;
		size_t n;
	} cases[] = {
		{ "queue", 6 },
		{ "queue limit 2", 2 },
		{ "queue where provider=gmail", 4 },
		{ "queue where provider=gmail limit 3", 3 },
		{ "queue where provider=gmail state=deferred", 1 },
		{ "queue where state=waiting", 5 },
		{ "queue where sender=B@app.test", 2 },
		{ "queue where sender=*@app.test", 5 },
		{ "queue where sender=<>", 1 },
		{ "queue where sender=b@app.test sender=<>", 3 },
		{ "queue where recipient=r5@*", 1 },
		{ "queue where domain=free.test", 1 },
		{ "queue where site=free.test", 1 },
		{ "queue where stream=news lane=ip-a/*", 6 },
		{ "queue where route=ip-b", 0 },
		{ "queue where older=5s", 6 },
		{ "queue where older=1h", 0 },
		{ "queue where younger=1h", 6 },
		{ "queue where attempts>0", 1 },
		{ "queue where attempts=0 provider=yahoo", 1 },
		{ "queue where id=0000000000002 id=0000000000003", 2 },
		{ "queue 0000000000002", 1 },
		{ "queue where id=0000000000002 provider=yahoo", 0 },
	};

	(void)state;
	fake_add(&g, "gmail", "a@app.test", "r1@gmail.com", 0);
	fake_add(&g, "gmail", "a@app.test", "r2@gmail.com", 0);
	fake_add(&g, "gmail", "b@app.test", "r3@gmail.com", 300 * SEC);
	fake_add(&g, "gmail", "", "r4@gmail.com", 0);
	fake_add(&g, "yahoo", "b@app.test", "r5@yahoo.com", 0);
	fake_add(&g, "other", "a@app.test", "r6@free.test", 0);
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		json_t *r = ask(cases[i].line);

		if (json_array_size(r) != cases[i].n)
			fail_msg("%s: %zu, not %zu", cases[i].line,
			    json_array_size(r), cases[i].n);
		json_decref(r);
	}
}

static void
envelopes_are_read_only_where_needed(void **state)
{
	json_t *r;

	(void)state;
	for (int i = 0; i < 50; i++)
		fake_add(&g, i == 7 ? "yahoo" : "gmail", "a@app.test",
		    "r@x.test", 0);
	g.n_reads = 0;
	r = ask("retry where provider=yahoo sender=a@app.test --dry-run");
	assert_int_equal(number(r, "matched"), 1);
	assert_int_equal(g.n_reads, 1);
	json_decref(r);
}

static void
providers_and_help(void **state)
{
	json_t *r;

	(void)state;
	r = ask("providers");
	assert_int_equal(json_array_size(r), 3);
	json_decref(r);
	r = ask("providers gma");
	assert_int_equal(json_array_size(r), 1);
	assert_string_equal(json_string_value(json_array_get(
				json_object_get(json_array_get(r, 0), "rates"),
				0)),
	    "20/s");
	json_decref(r);
	r = ask("help pause");
	assert_non_null(strstr(text(r, "doc"), "unpunished"));
	json_decref(r);
	r = ask("help log level");
	assert_string_equal(text(r, "role"), "change");
	json_decref(r);
	r = ask("help");
	assert_true(json_array_size(r) > 10);
	json_decref(r);
}

static void
the_last_events_come_from_the_file(void **state)
{
	char path[] = "/tmp/test_command.XXXXXX";
	int fd = mkstemp(path);
	json_t *r;

	(void)state;
	g.f.conf.daemon.event_log = (char *)"";
	refused_as(&root, "events", "names no file", false);
	assert_int_equal(event_log_reopen(g.events, path, NULL), 0);
	g.f.conf.daemon.event_log = path;
	r = ask("events");
	assert_int_equal(json_array_size(r), 0);
	json_decref(r);
	for (int i = 0; i < 5000; i++) { /* more than is looked at */
		event_begin(g.events, i % 10 ? "delivered" : "bounced",
		    clock_utc_us());
		event_int(g.events, "i", i);
		event_str(g.events, "reply",
		    "250 xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"
		    "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"
		    "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"
		    "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx");
		event_end(g.events);
	}
	r = ask("events");
	assert_int_equal(json_array_size(r), 20);
	assert_int_equal(number(json_array_get(r, 0), "i"), 4980);
	assert_int_equal(number(json_array_get(r, 19), "i"), 4999);
	json_decref(r);
	r = ask("events event=bounced limit 3");
	assert_int_equal(json_array_size(r), 3);
	assert_int_equal(number(json_array_get(r, 0), "i"), 4970);
	json_decref(r);
	refused_as(&root, "events limit 1000 event=nothing", "no condition",
	    true);
	event_log_flush(g.events);
	assert_int_equal(lseek(fd, 0, SEEK_END) > (1 << 20), 1);
	assert_true(write(fd, "no JSON\n", 8) == 8);
	r = ask("events limit 2");
	assert_int_equal(json_array_size(r), 1);
	json_decref(r);
	close(fd);
	unlink(path);
	refused_as(&root, "events", path, false);
	g.f.conf.daemon.event_log = (char *)"/dev/null";
	refused_as(&root, "events", "is no file", false);
	refused_as(&root, "events bounced", "no condition", true);
	g.f.conf.daemon.event_log = NULL;
}

int
main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		CASE(each_example_is_understood),
		CASE(who_may_only_look_changes_nothing),
		CASE(wrong_words_are_refused),
		CASE(a_nul_in_a_line_is_refused),
		CASE(status_tells_what_there_is),
		CASE(a_route_that_is_down_is_an_alert),
		CASE(lanes_are_filtered_and_in_order),
		CASE(thousands_of_lanes_come_in_steps),
		CASE(why_says_it_in_a_sentence),
		CASE(a_message_shows_all_of_it),
		CASE(the_queue_is_selected),
		CASE(envelopes_are_read_only_where_needed),
		CASE(providers_and_help),
		CASE(the_last_events_come_from_the_file),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
