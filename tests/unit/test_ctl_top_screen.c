/* SPDX-License-Identifier: ISC */
/* `top` without terminal and daemon: keys pressed, the screen read. */
#include "daemon/ctl_top.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static json_t *
a_lane(const char *name, int queued, double per_s, int refused_ms)
{
	json_t *lane =
	    json_pack("{s:s, s:s, s:i, s:i, s:f, s:i, s:[s], s:n, s:n, s:n}",
		"lane", name, "state", "open", "queued_recipients", queued,
		"retrying", 0, "delivered_per_s", per_s, "in_flight", 1,
		"rates", "20/s", "gate", "because", "last_refusal");

	assert_non_null(lane);
	if (refused_ms >= 0)
		json_object_set_new(lane, "last_refusal",
		    json_pack("{s:i, s:s}", "age_ms", refused_ms, "reply",
			"421 4.7.28 \033[31mslow"));
	return lane;
}

static json_t *
some_lanes(void)
{
	return json_pack("[o, o, o, o]", a_lane("a/gmail", 5, 1, 90000),
	    a_lane("b/gmail", 50, 0, -1), a_lane("a/yahoo", 500, 9, 1000),
	    a_lane("a/aol", 0, 3, -1));
}

static json_t *
a_status(void)
{
	return json_pack("{s:s, s:i, s:{s:i, s:i}, s:[{s:s}, {s:s}]}",
	    "hostname", "relay.test", "uptime_ms", 61000, "totals",
	    "recipients", 555, "in_flight", 4, "alerts", "text",
	    "route b is down", "text", "another");
}

static void
begin(struct top *t)
{
	top_init(t);
	top_update(t, some_lanes(), a_status());
}

/* The screen without its escape sequences; the caller frees it. */
static char *
screen(struct top *t, unsigned width, size_t height)
{
	const struct ctl ctl = { .width = width };
	struct strbuf out = { 0 }, plain = { 0 };

	top_draw(t, &ctl, height, &out);
	for (const char *p = out.data; *p != '\0'; p++) {
		if (*p == '\033') {
			p += 1 + strcspn(p + 2, "HKm") + 1;
			continue;
		}
		if (*p != '\r')
			strbuf_addc(&plain, *p);
	}
	strbuf_fini(&out);
	return strbuf_take(&plain);
}

static void
shows(struct top *t, const char *part)
{
	char *text = screen(t, 160, 24);

	if (strstr(text, part) == NULL)
		fail_msg("lacks \"%s\":\n%s", part, text);
	free(text);
}

static void
press(struct top *t, const char *keys, enum top_want last)
{
	enum top_want want = TOP_NOTHING;

	for (; *keys != '\0'; keys++)
		want = top_key(t, *keys);
	assert_int_equal(want, last);
}

static void
the_screen_fits_whatever_its_size(void **state)
{
	static const struct {
		unsigned width;
		size_t height;
	} sizes[] = { { 80, 24 }, { 200, 50 }, { 40, 8 }, { 20, 3 },
		{ 10, 1 } };
	struct top t;

	(void)state;
	begin(&t);
	for (size_t i = 0; i < sizeof(sizes) / sizeof(*sizes); i++) {
		char *text = screen(&t, sizes[i].width, sizes[i].height);
		size_t n_lines = 1;

		for (const char *p = text; *p != '\0'; p++)
			n_lines += *p == '\n';
		if (sizes[i].height > 5)
			assert_int_equal(n_lines, sizes[i].height);
		assert_non_null(strstr(text, "LANE"));
		free(text);
	}
	top_fini(&t);
}

static void
head_and_alerts(void **state)
{
	struct top t;

	(void)state;
	begin(&t);
	shows(&t, "flyball relay.test  up 1m1s  queued 555  flying 4  13/s");
	shows(&t, "ALERT  route b is down (and 1 more)");
	shows(&t, "1s ago: 421 4.7.28 \\x1b[31mslow");
	top_update(&t, NULL, NULL);
	shows(&t, "no daemon answers");
	top_fini(&t);
}

static void
lanes_are_sorted(void **state)
{
	static const char *const first[] = { "a/yahoo", "a/aol", "a/yahoo",
		"a/yahoo", "a/yahoo" };
	static const char *const second[] = { "b/gmail", "a/gmail", "a/aol",
		"a/gmail", "b/gmail" };
	struct top t;

	(void)state;
	begin(&t);
	for (size_t i = 0; i < 5; i++) {
		char *text = screen(&t, 160, 24);
		const char *a = strstr(text, first[i]);
		const char *b = strstr(text, second[i]);
		const char *titles = strstr(text, "LANE");

		if (a == NULL || b == NULL || a > b || strchr(titles, '\n') > a)
			fail_msg("by %zu:\n%s", i, text);
		free(text);
		press(&t, "s", TOP_DRAW);
	}
	top_fini(&t);
}

static void
the_selection_is_a_lane_not_a_row(void **state)
{
	struct top t;

	(void)state;
	begin(&t);
	assert_string_equal(t.selected, "a/yahoo");
	press(&t, "j", TOP_DRAW);
	assert_string_equal(t.selected, "b/gmail");
	press(&t, "s", TOP_DRAW); /* another order */
	assert_string_equal(t.selected, "b/gmail");
	shows(&t, ">b/gmail");
	top_update(&t, some_lanes(), a_status());
	assert_string_equal(t.selected, "b/gmail");
	press(&t, "jjjjjj", TOP_DRAW); /* the end */
	assert_string_equal(t.selected, "b/gmail");
	assert_int_equal(top_key(&t, TOP_KEY_UP), TOP_DRAW);
	assert_string_equal(t.selected, "a/yahoo");
	/* It goes: another one is selected. */
	top_update(&t, json_pack("[o]", a_lane("z/z", 0, 0, -1)), a_status());
	assert_string_equal(t.selected, "z/z");
	top_fini(&t);
}

static void
nothing_is_changed_without_y(void **state)
{
	struct top t;

	(void)state;
	begin(&t);
	press(&t, "p", TOP_DRAW);
	shows(&t, "pause lane a/yahoo because of top ?");
	press(&t, "n", TOP_DRAW);
	shows(&t, "nothing was changed");
	press(&t, "py", TOP_ASK);
	assert_string_equal(t.words.data, "pause lane a/yahoo because of top");
	top_answer(&t, json_pack("{s:b, s:{}}", "ok", 1, "result"));
	shows(&t, "done: pause lane a/yahoo");
	press(&t, "ay", TOP_ASK);
	assert_string_equal(t.words.data, "rate a/yahoo auto");
	press(&t, "r5/s for 2hx\x7f\r", TOP_DRAW);
	shows(&t, "rate a/yahoo 5/s for 2h ?");
	press(&t, "y", TOP_ASK);
	top_answer(&t, json_pack("{s:b, s:s}", "ok", 0, "error", "may look"));
	shows(&t, "may look");
	press(&t, "r\r", TOP_DRAW); /* nothing typed */
	assert_int_equal(t.mode, TOP_LIST);
	press(&t, "r5\033", TOP_DRAW); /* given up */
	assert_int_equal(t.mode, TOP_LIST);
	top_answer(&t, NULL);
	shows(&t, "no daemon answers");
	top_fini(&t);
}

static void
a_filter_leaves_lanes_out(void **state)
{
	struct top t;
	char *text;

	(void)state;
	begin(&t);
	press(&t, "/gmail\r", TOP_DRAW);
	text = screen(&t, 160, 24);
	assert_non_null(strstr(text, "only gmail"));
	assert_null(strstr(text, "a/yahoo"));
	assert_string_equal(t.selected, "b/gmail");
	free(text);
	press(&t, "/\r", TOP_DRAW);
	shows(&t, "a/yahoo");
	press(&t, "/nothing\r", TOP_DRAW);
	press(&t, "jp", TOP_DRAW);
	top_fini(&t);
}

static void
why_covers_the_list_until_a_key(void **state)
{
	struct top t;

	(void)state;
	begin(&t);
	press(&t, "w", TOP_ASK);
	assert_string_equal(t.words.data, "why a/yahoo");
	top_answer(&t,
	    json_pack("{s:b, s:{s:s, s:s, s:[{s:s, s:b, s:s}]}}", "ok", 1,
		"result", "lane", "a/yahoo", "summary", "it is held", "gates",
		"gate", "pause", "is_open", 0, "text", "by me"));
	shows(&t, "it is held");
	shows(&t, "pause              shut  by me");
	press(&t, "x", TOP_DRAW);
	shows(&t, "LANE");
	press(&t, "q", TOP_QUIT);
	top_fini(&t);
}

static void
any_keys(void **state)
{
	unsigned x = 99;
	struct top t;

	(void)state;
	begin(&t);
	for (int i = 0; i < 20000; i++) {
		x = x * 1103515245 + 12345;
		if (top_key(&t, (int)(x >> 16) % 1004) == TOP_ASK)
			top_answer(&t,
			    json_pack("{s:b, s:{}}", "ok", 1, "result"));
		if (i % 500 == 0) {
			free(screen(&t, (x >> 8) % 100 + 1, (x >> 4) % 40));
			top_update(&t, some_lanes(), a_status());
		}
	}
	top_fini(&t);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_screen_fits_whatever_its_size),
		cmocka_unit_test(head_and_alerts),
		cmocka_unit_test(lanes_are_sorted),
		cmocka_unit_test(the_selection_is_a_lane_not_a_row),
		cmocka_unit_test(nothing_is_changed_without_y),
		cmocka_unit_test(a_filter_leaves_lanes_out),
		cmocka_unit_test(why_covers_the_list_until_a_key),
		cmocka_unit_test(any_keys),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
