/* SPDX-License-Identifier: ISC */
/* Content as it arrives, in pieces, interrupted; and no bare line ends. */
#include "client_world.h"

/* ---- content ---- */

static void
assert_content(const char *caps, const char *body, bool is_streamed,
    const char *taken)
{
	struct world w;

	world_init(&w, caps, "");
	w.t.body = is_streamed ? NULL : body;
	w.t.body_len = strlen(body);
	w.t.body_read = read_string;
	w.t.body_arg = (void *)body;
	world_open(&w);
	world_run(&w);
	world_send(&w);
	assert_fates(&w, body, "D");
	assert_int_equal(w.peer.n_taken, 1);
	assert_string_equal(w.peer.taken.data ? w.peer.taken.data : "", taken);
	world_fini(&w);
}

static void
content_arrives_as_it_was(void **state)
{
	static const char *const bodies[] = { "", "\r\n", ".\r\n", "..\r\n",
		".\r\n.\r\n..\r\n", "a\r\n.\r\nb\r\n", "\r\n.\r\n",
		"a.b\r\n.\r\n", "x: y\r\n\r\n.hidden\r\n",
		"0123456\r\n.23456\r\n", "01234\r\n\r\n.\r\n...\r\n" };
	static const char *const caps[] = { NONE, PIPE, CHUNK, SLOW };

	(void)state;
	for (size_t i = 0; i < sizeof(bodies) / sizeof(bodies[0]); i++)
		for (size_t j = 0; j < sizeof(caps) / sizeof(caps[0]); j++) {
			assert_content(caps[j], bodies[i], false, bodies[i]);
			assert_content(caps[j], bodies[i], true, bodies[i]);
		}
}

/* The peer fails the test at a bare CR or LF in DATA; here both ways. */
static void
bare_line_ends_never_leave(void **state)
{
	static const struct {
		const char *body, *chunked, *stuffed;
	} bodies[] = {
		{ "a\n.\nb\r\n", "a . b\r\n", "a . b\r\n" },
		{ "a\r.\rb\r\n", "a . b\r\n", "a . b\r\n" },
		{ "a\r\r\nb\r\n", "a \r\nb\r\n", "a \r\nb\r\n" },
		{ "\n.\r\n", " .\r\n", " .\r\n" },
		{ "a\r\n\r.\r\nb\r\n", "a\r\n .\r\nb\r\n", "a\r\n .\r\nb\r\n" },
		{ "no end", "no end", "no end\r\n" },
		{ "half an end\r", "half an end ", "half an end \r\n" },
		{ "0123\r\n\r4567\n\r\n", "0123\r\n 4567 \r\n",
		    "0123\r\n 4567 \r\n" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(bodies) / sizeof(bodies[0]); i++)
		for (int streamed = 0; streamed < 2; streamed++) {
			assert_content(CHUNK, bodies[i].body, streamed,
			    bodies[i].chunked);
			assert_content(PIPE, bodies[i].body, streamed,
			    bodies[i].stuffed);
		}
}

struct large {
	uint64_t len;
	uint64_t fails_at; /* 0 = never */
	bool ends_early;
	uint64_t n_reads;
};

static ssize_t
read_large(void *arg, uint64_t offset, char *buf, size_t len)
{
	static const char line[] = ".0123456789 0123456789 0123456789 0123\r\n";
	struct large *l = arg;

	l->n_reads++;
	if (l->fails_at > 0 && offset >= l->fails_at)
		return l->ends_early ? 0 : -1;
	for (size_t i = 0; i < len; i++)
		buf[i] = line[(offset + i) % (sizeof(line) - 1)];
	return (ssize_t)len;
}

static void
send_large(struct world *w, const char *caps, struct large *l)
{
	world_init(w, caps, "");
	w->t.body = NULL;
	w->t.body_len = l->len;
	w->t.body_read = read_large;
	w->t.body_arg = l;
	world_open(w);
	world_run(w);
	world_send(w);
}

static void
large_content_streams_in_little_memory(void **state)
{
	static const char *const caps[] = { NONE, PIPE, CHUNK };

	(void)state;
	for (size_t i = 0; i < 3; i++) {
		struct large l = { .len = 40 * 20000 };
		struct world w;
		char first[80];

		send_large(&w, caps[i], &l);
		assert_fates(&w, "large", "D");
		assert_int_equal(w.peer.taken.len, l.len);
		read_large(&l, 0, first, sizeof(first));
		for (size_t at = 0; at < l.len; at += 80)
			assert_memory_equal(w.peer.taken.data + at, first, 80);
		assert_true(w.biggest_out < 100000);
		/* The envelope was answered before any of it was read. */
		if (strcmp(caps[i], CHUNK) == 0)
			assert_non_null(strstr(w.peer.log.data,
			    "MAIL RCPT |BDAT "));
		world_fini(&w);
	}
}

static void
our_disk_fails_and_nobody_is_blamed(void **state)
{
	static const char *const caps[] = { NONE, PIPE, CHUNK };

	(void)state;
	for (size_t i = 0; i < 6; i++) {
		struct large l = {
			.len = 800000, .fails_at = 300000, .ends_early = i % 2
		};
		struct world w;

		send_large(&w, caps[i / 2], &l);
		assert_fates(&w, "disk", "T");
		assert_int_equal(w.results[0].code, 0);
		assert_int_equal(w.results[0].answer.blame, BLAME_NOBODY);
		assert_false(w.t.is_lost_reply);
		assert_int_equal(w.peer.n_taken, 0);
		assert_int_equal(smtp_client_state(w.client), CLIENT_CLOSED);
		/* Not a word more within the content. */
		assert_null(strstr(w.peer.log.data, "QUIT"));
		assert_null(strstr(w.peer.log.data, "EOD"));
		world_fini(&w);
	}
}

static void
a_refusal_within_large_content_is_heard(void **state)
{
	static const struct {
		const char *caps, *script, *fates;
		int code;
	} cases[] = {
		{ PIPE, "BODY 552 5.3.4 too large!", "F", 552 },
		{ CHUNK, "BODY 452 4.3.1 no room!", "T", 452 },
		{ CHUNK, "BODY 421 4.3.2 bye!", "T", 421 },
		{ PIPE, "BODY 250 fine!", "T", 0 },
		{ PIPE, "BODY !", "T", 0 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct large l = { .len = 800000 };
		struct world w;

		world_init(&w, cases[i].caps, cases[i].script);
		w.t.body = NULL;
		w.t.body_len = l.len;
		w.t.body_read = read_large;
		w.t.body_arg = &l;
		world_open(&w);
		world_run(&w);
		smtp_client_send(w.client, &w.t);
		/* The peer speaks while there is still more to come. */
		while (smtp_client_state(w.client) != CLIENT_BODY)
			assert_true(pump_out(&w) || pump_in(&w));
		peer_feed(&w.peer, smtp_client_out(w.client)->data,
		    smtp_client_out(w.client)->len);
		strbuf_reset(smtp_client_out(w.client));
		world_run(&w);
		assert_fates(&w, cases[i].script, cases[i].fates);
		assert_int_equal(w.results[0].code, cases[i].code);
		assert_false(w.t.is_lost_reply);
		assert_int_equal(smtp_client_state(w.client), CLIENT_CLOSED);
		assert_null(strstr(w.peer.log.data, "QUIT"));
		world_fini(&w);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(content_arrives_as_it_was),
		cmocka_unit_test(bare_line_ends_never_leave),
		cmocka_unit_test(large_content_streams_in_little_memory),
		cmocka_unit_test(our_disk_fails_and_nobody_is_blamed),
		cmocka_unit_test(a_refusal_within_large_content_is_heard),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
