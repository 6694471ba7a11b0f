/* SPDX-License-Identifier: ISC */
/*
 * Spools that older versions wrote, as they wrote them (tests/data/spool-*):
 * each is brought up to date with everything in it, and stays so; what a
 * newer one might write is refused by test_spool.c.
 */
#include "daemon/spool.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "daemon/spool_image.h"
#include "tests/unit/spool_fixture.h"

/* What was written, in order: a message to three at two providers, a notice
 * that was tried twice, and one with a large content. A fourth had left. */
static void
unpack(struct world *w, const char *name)
{
	char command[200];

	snprintf(command, sizeof(command),
	    "tar -C %s -xJf tests/data/%s.tar.xz", w->dir, name);
	assert_int_equal(system(command), 0);
}

static const struct added *
nth(struct world *w, size_t i)
{
	assert_true(i < w->n_added);
	return &w->added[i];
}

static void
check_content(struct world *w, uint64_t id, const char *subject, size_t n_lines)
{
	struct spool_message m;
	char line[100], *content, *at;

	assert_int_equal(read_delivery(w, id, 0, &m), 0);
	content = content_of(&m);
	snprintf(line, sizeof(line),
	    "From: app@shop.example\r\nSubject: %s\r\n\r\n", subject);
	assert_memory_equal(content, line, strlen(line));
	at = content + strlen(line);
	for (size_t i = 0; i < n_lines; i++, at += strlen(line)) {
		snprintf(line, sizeof(line), "line %zu of %s\r\n", i, subject);
		assert_memory_equal(at, line, strlen(line));
	}
	assert_int_equal(m.body_len, at - content);
	free(content);
	spool_message_fini(&m);
}

static void
check_first(struct world *w)
{
	struct spool_message m;
	const struct recipient *r;

	assert_int_equal(read_delivery(w, nth(w, 0)->id, 0, &m), 0);
	assert_string_equal(m.envelope.sender, "app@shop.example");
	assert_string_equal(m.envelope.envid, "QQ314159");
	assert_int_equal(m.envelope.ret, RET_HDRS);
	assert_string_equal(m.envelope.stream, "default");
	assert_int_equal(m.envelope.deliveries[0].n_recipients, 2);
	assert_null(m.envelope.deliveries[0].stream);
	r = &m.envelope.deliveries[0].recipients[0];
	assert_string_equal(r->address, "one@gmail.com");
	assert_string_equal(r->orcpt, "rfc822;one@gmail.com");
	assert_int_equal(r->notify, NOTIFY_FAILURE | NOTIFY_DELAY);
	spool_message_fini(&m);
}

static void
check_all(struct world *w)
{
	assert_int_equal(w->n_added, 4);
	assert_int_equal(nth(w, 0)->id, nth(w, 1)->id);
	assert_string_equal(nth(w, 1)->first, "three@yahoo.com");
	assert_string_equal(nth(w, 2)->first, "four@example.net");
	assert_string_equal(nth(w, 2)->provider, "other");
	assert_int_equal(nth(w, 2)->attempts, 2);
	assert_string_equal(nth(w, 3)->first, "five@gmail.com");
	check_first(w);
	check_content(w, nth(w, 0)->id, "small", 5);
	check_content(w, nth(w, 2)->id, "a notice", 3);
	check_content(w, nth(w, 3)->id, "large", 4000);
}

static void
on_finding(enum image_finding kind, const char *text, void *arg)
{
	(void)arg;
	if (kind == IMAGE_DAMAGE)
		fail_msg("%s", text);
}

static void
ignore(struct image_message *m, void *arg)
{
	(void)arg;
	assert_int_equal(image_message_copy(m, -1, NULL), 0);
}

static void
check_soundness(struct world *w)
{
	struct err err = { .text = "" };
	struct spool_image *im =
	    spool_image_open(w->dir, on_finding, NULL, &err);

	if (im == NULL)
		fail_msg("%s", err.text);
	spool_image_each(im, ignore, NULL);
	assert_int_equal(spool_image_stats(im)->n_messages, 3);
	assert_int_equal(spool_image_stats(im)->n_notes, 0);
	spool_image_close(im);
}

static void
older_spools_go_on(void **state)
{
	static const char *const names[] = { "spool-1-three-trees",
		"spool-1-one-tree" };

	(void)state;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		struct world w;
		struct answer a;

		world_init(&w);
		unpack(&w, names[i]);
		world_start(&w);
		check_all(&w);
		a = submit_simple(&w, 7, 100);
		assert_int_equal(a.result, SPOOL_OK);
		assert_true(a.id > nth(&w, 3)->id);
		settle_simple(&w, a.id, SPOOL_DELIVERED);
		world_stop(&w);
		check_soundness(&w);
		/* And again, now that it is up to date. */
		w.n_added = 0;
		world_start(&w);
		check_all(&w);
		world_fini(&w);
	}
}

/* The tools read the last layout only, and say so. */
static void
tools_leave_the_first_layout_alone(void **state)
{
	struct world w;
	struct err err = { .text = "" };

	(void)state;
	world_init(&w);
	unpack(&w, "spool-1-three-trees");
	assert_null(spool_image_open(w.dir, on_finding, NULL, &err));
	assert_non_null(strstr(err.text, "brings it up to date"));
	remove_tree(w.dir);
	assert_int_equal(mkdir(w.dir, 0700), 0);
	unpack(&w, "spool-1-one-tree");
	check_soundness(&w);
	world_fini(&w);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(older_spools_go_on),
		cmocka_unit_test(tools_leave_the_first_layout_alone),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
