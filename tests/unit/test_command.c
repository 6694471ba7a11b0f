/* SPDX-License-Identifier: ISC */
/*
 * The admin socket's commands as an operator types them: what each answers,
 * what it changes, what it leaves in the record, who may.
 */
#include "daemon/command.h"

#include <jansson.h>
#include <unistd.h>

#include "conf/base/rng.h"
#include "daemon/command_table.h"
#include "tests/unit/fake_governor.h"

static struct governor g;

static int
setup(void **state)
{
	(void)state;
	fake_start(&g);
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	fake_stop(&g);
	return 0;
}

static const struct command_peer root = { .pid = 42, .may_change = true };
static const struct command_peer guest = { .uid = 65534, .pid = 43 };

/* The whole answer, parsed: it must be one line of valid JSON. */
static json_t *
ask_as(const struct command_peer *peer, const char *line)
{
	struct command *c = command_new(&g, peer, line, strlen(line));
	struct strbuf all = { 0 };
	json_error_t error;
	enum step step;
	json_t *answer;

	do {
		step = command_step(c);
		strbuf_add(&all, command_out(c)->data, command_out(c)->len);
		strbuf_reset(command_out(c));
	} while (step == STEP_MORE || step == STEP_PACED);
	command_free(c);
	assert_true(all.len > 0 && all.data[all.len - 1] == '\n');
	assert_ptr_equal(strchr(all.data, '\n'), all.data + all.len - 1);
	answer = json_loads(all.data, 0, &error);
	if (answer == NULL)
		fail_msg("%s: %s: %s", line, error.text, all.data);
	strbuf_fini(&all);
	return answer;
}

/* The result of a command that must succeed; the caller decrefs it. */
static json_t *
ask(const char *line)
{
	json_t *answer = ask_as(&root, line), *result;

	if (!json_is_true(json_object_get(answer, "ok")))
		fail_msg("%s: %s", line,
		    json_string_value(json_object_get(answer, "error")));
	result = json_incref(json_object_get(answer, "result"));
	assert_non_null(result);
	json_decref(answer);
	return result;
}

static int64_t
number(const json_t *o, const char *key)
{
	json_t *v = json_object_get(o, key);

	if (!json_is_number(v))
		fail_msg("%s is no number", key);
	return (int64_t)json_number_value(v);
}

static const char *
text(const json_t *o, const char *key)
{
	json_t *v = json_object_get(o, key);

	if (!json_is_string(v))
		fail_msg("%s is no string", key);
	return json_string_value(v);
}

/* A refusal whose error (or hint) holds `part`. */
static void
refused_as(const struct command_peer *peer, const char *line, const char *part,
    bool is_usage)
{
	json_t *answer = ask_as(peer, line);
	const char *error, *hint;

	if (!json_is_false(json_object_get(answer, "ok")))
		fail_msg("%s wasn't refused", line);
	error = text(answer, "error");
	hint = text(answer, "hint");
	if (strstr(error, part) == NULL && strstr(hint, part) == NULL)
		fail_msg("%s: \"%s\" (%s) lacks \"%s\"", line, error, hint,
		    part);
	assert_int_equal(json_object_get(answer, "kind") != NULL, is_usage);
	json_decref(answer);
}

static void
did(const char *line)
{
	json_decref(ask(line));
}

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
