/* SPDX-License-Identifier: ISC */
/*
 * The admin socket with real clients: in order, bounded, for the right users,
 * and none of them able to keep the loop from its other work.
 */
#include "tests/unit/admin_world.h"

/* ---- talking ---- */

static void
lines_are_answered_in_order(void **state)
{
	struct client c;
	json_t *line;

	(void)state;
	client_open(&c);
	client_say(&c, "version\r\nnonsense\nlog le");
	assert_true(client_is_ok(&c));
	assert_false(client_is_ok(&c));
	client_say(&c, "vel info\nhelp version\n");
	line = client_line(&c);
	assert_string_equal(json_string_value(json_object_get(
				json_object_get(line, "result"), "level")),
	    "info");
	json_decref(line);
	assert_true(client_is_ok(&c));
	client_close(&c);
}

/* As `echo status | socat - UNIX:...` does. */
static void
who_closes_its_side_still_gets_answers(void **state)
{
	struct client c;

	(void)state;
	client_open(&c);
	client_say(&c, "status\nversion\nhelp"); /* no newline */
	shutdown(c.fd, SHUT_WR);
	wait_closed(&c);
	assert_int_equal(n_lines(&c), 3);
	client_close(&c);
	client_open(&c);
	shutdown(c.fd, SHUT_WR);
	wait_closed(&c);
	assert_int_equal(c.in.len, 0);
	client_close(&c);
}

static void
a_line_without_end_is_cut_off(void **state)
{
	char *lots = xmalloc(COMMAND_LINE_MAX);
	int64_t end_us = clock_mono_us() + 20 * SEC;
	struct client c;
	json_t *line;

	(void)state;
	memset(lots, 'x', COMMAND_LINE_MAX);
	client_open(&c);
	while (!c.is_closed && clock_mono_us() < end_us) {
		client_send(&c, lots, COMMAND_LINE_MAX);
		turn_loop();
		client_read(&c);
	}
	assert_true(c.is_closed);
	line = client_line(&c);
	assert_true(json_is_false(json_object_get(line, "ok")));
	json_decref(line);
	client_close(&c);
	free(lots);
}

/* ---- bounds ---- */

/* It asks for more and more and reads nothing: what the daemon keeps for it
 * stays small, and other clients are served. */
static void
who_does_not_read_gets_no_more(void **state)
{
	struct client deaf, other;
	size_t sent = 0;

	(void)state;
	for (int i = 0; i < 500; i++)
		fake_add(&g, "gmail", "a@app.test", "r@gmail.com", 0);
	client_open(&deaf);
	for (int i = 0; i < 60; i++) {
		sent += client_send(&deaf, "queue limit 500\n", 16);
		turn_loop();
	}
	assert_int_equal(admin->n_clients, 1);
	assert_true(evbuffer_get_length(bufferevent_get_output(admin->clients
								   ->bev)) <
	    2 * COMMAND_OUT_HIGH);
	assert_true(evbuffer_get_length(bufferevent_get_input(admin->clients
								  ->bev)) <=
	    COMMAND_LINE_MAX + 2);
	client_open(&other);
	client_say(&other, "version\n");
	assert_true(client_is_ok(&other));
	client_close(&other);
	/* When it reads at last, nothing was lost. */
	client_wait(&deaf, sent / 16);
	assert_int_equal(n_lines(&deaf), sent / 16);
	client_close(&deaf);
}

/* A flood of commands leaves the loop most of its time. */
static void
a_flood_leaves_time_for_others(void **state)
{
	struct client c[20];
	int64_t began_us, spent_us = 0;

	(void)state;
	for (int i = 0; i < 300; i++)
		fake_add(&g, "gmail", "a@app.test", "r@gmail.com", 0);
	for (size_t i = 0; i < 20; i++)
		client_open(&c[i]);
	began_us = clock_mono_us();
	while (clock_mono_us() - began_us < SEC) {
		int64_t from_us;

		for (size_t i = 0; i < 20; i++) {
			client_send(&c[i], "queue limit 300\nstatus\n", 23);
			client_read(&c[i]);
			strbuf_reset(&c[i].in);
		}
		/* What one turn of the loop takes at the most. */
		from_us = clock_mono_us();
		event_base_loop(g.base, EVLOOP_NONBLOCK);
		if (clock_mono_us() - from_us > spent_us)
			spent_us = clock_mono_us() - from_us;
	}
	print_message("longest turn %lld us\n", (long long)spent_us);
	/* Generous: the machine may be busy, the sanitizers slow. */
	assert_true(spent_us < SEC);
	for (size_t i = 0; i < 20; i++)
		client_close(&c[i]);
}

static void
the_idle_make_room_for_the_next(void **state)
{
	static struct client c[ADMIN_CLIENTS_MAX];
	struct client next;

	(void)state;
	for (size_t i = 0; i < ADMIN_CLIENTS_MAX; i++) {
		client_open(&c[i]);
		turn_loop();
	}
	assert_int_equal(admin->n_clients, ADMIN_CLIENTS_MAX);
	client_open(&next);
	client_say(&next, "version\n");
	assert_true(client_is_ok(&next));
	assert_int_equal(admin->n_clients, ADMIN_CLIENTS_MAX);
	client_close(&next);
	for (size_t i = 0; i < ADMIN_CLIENTS_MAX; i++)
		client_close(&c[i]);
}

int
main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		CASE(lines_are_answered_in_order),
		CASE(who_closes_its_side_still_gets_answers),
		CASE(a_line_without_end_is_cut_off),
		CASE(who_does_not_read_gets_no_more),
		CASE(a_flood_leaves_time_for_others),
		CASE(the_idle_make_room_for_the_next),
	};

	return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
