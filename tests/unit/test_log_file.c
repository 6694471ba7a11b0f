/* SPDX-License-Identifier: ISC */
/* Following a log through all that happens to logs. */
#include "daemon/log_file.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "conf/base/strbuf.h"

struct world {
	char dir[64], path[100], old[110];
	struct log_file *f;
	struct strbuf seen; /* lines, each with a blank behind it */
	int stop_after;	    /* lines; 0: never */
};

static void
append(const char *path, const char *text)
{
	FILE *f = fopen(path, "a");

	assert_non_null(f);
	fputs(text, f);
	fclose(f);
}

static void
world_init(struct world *w)
{
	*w = (struct world){ .dir = "/tmp/flyball-log-XXXXXX" };
	assert_non_null(mkdtemp(w->dir));
	snprintf(w->path, sizeof(w->path), "%s/mail.log", w->dir);
	snprintf(w->old, sizeof(w->old), "%s.1", w->path);
}

static void
world_fini(struct world *w)
{
	log_file_free(w->f);
	strbuf_fini(&w->seen);
	unlink(w->path);
	unlink(w->old);
	rmdir(w->dir);
}

static bool
on_line(const char *line, size_t len, void *arg)
{
	struct world *w = arg;

	strbuf_add(&w->seen, line, len < 20 ? len : 20);
	strbuf_addc(&w->seen, ' ');
	return --w->stop_after != 0;
}

/* All that there is, and a few looks at nothing. */
static const char *
read_all(struct world *w)
{
	struct err err;

	strbuf_reset(&w->seen);
	strbuf_adds(&w->seen, "");
	for (int quiet = 0; quiet < 5;) {
		int64_t n = log_file_read(w->f, on_line, w, 1 << 20, &err);

		if (n < 0)
			return "missing";
		quiet = n == 0 ? quiet + 1 : 0;
	}
	return w->seen.data;
}

/* As a restart: from the place alone, through its text. */
static void
restart(struct world *w)
{
	struct log_place place, again;
	char text[LOG_PLACE_SIZE];

	assert_true(log_file_place(w->f, &place));
	log_file_free(w->f);
	log_place_format(&place, text);
	assert_int_equal(log_place_parse(text, &again), 0);
	w->f = log_file_new(w->path, &again);
}

static void
test_only_what_comes(void **state)
{
	struct world w;

	(void)state;
	world_init(&w);
	append(w.path, "old\n");
	w.f = log_file_new(w.path, NULL);
	assert_string_equal(read_all(&w), "");
	append(w.path, "a\nb\n");
	assert_string_equal(read_all(&w), "a b ");
	world_fini(&w);
}

static void
test_a_file_that_comes_later(void **state)
{
	struct world w;

	(void)state;
	world_init(&w);
	w.f = log_file_new(w.path, NULL);
	assert_string_equal(read_all(&w), "missing");
	append(w.path, "a\n");
	assert_string_equal(read_all(&w), "a ");
	world_fini(&w);
	/* And when a restart lies between. */
	world_init(&w);
	w.f = log_file_new(w.path, NULL);
	append(w.path, "a\n");
	restart(&w);
	assert_string_equal(read_all(&w), "a ");
	assert_int_equal(log_file_n_gaps(w.f), 0);
	world_fini(&w);
}

static void
test_a_line_in_pieces(void **state)
{
	struct world w;

	(void)state;
	world_init(&w);
	append(w.path, "");
	w.f = log_file_new(w.path, NULL);
	append(w.path, "a\nhal");
	assert_string_equal(read_all(&w), "a ");
	restart(&w);
	append(w.path, "f\n");
	assert_string_equal(read_all(&w), "half ");
	world_fini(&w);
}

/* The writer goes on with the old file for a moment. */
static void
test_rotation(void **state)
{
	struct world w;
	struct err err;

	(void)state;
	world_init(&w);
	append(w.path, "");
	w.f = log_file_new(w.path, NULL);
	append(w.path, "a\n");
	assert_string_equal(read_all(&w), "a ");
	append(w.path, "b\n");
	rename(w.path, w.old);
	append(w.path, "d\n");
	strbuf_reset(&w.seen);
	assert_true(log_file_read(w.f, on_line, &w, 1 << 20, &err) > 0);
	assert_int_equal(log_file_read(w.f, on_line, &w, 1 << 20, &err), 0);
	append(w.old, "c\n");
	assert_true(log_file_read(w.f, on_line, &w, 1 << 20, &err) > 0);
	assert_string_equal(w.seen.data, "b c ");
	assert_string_equal(read_all(&w), "d ");
	assert_int_equal(log_file_n_gaps(w.f), 0);
	world_fini(&w);
}

static void
test_rotation_while_we_were_down(void **state)
{
	struct world w;

	(void)state;
	world_init(&w);
	append(w.path, "");
	w.f = log_file_new(w.path, NULL);
	append(w.path, "a\n");
	assert_string_equal(read_all(&w), "a ");
	append(w.path, "b\n");
	rename(w.path, w.old);
	append(w.path, "c\n");
	restart(&w);
	assert_string_equal(read_all(&w), "b c ");
	assert_int_equal(log_file_n_gaps(w.f), 0);
	/* And when the old one was taken away: a gap, and the new one. */
	append(w.path, "d\n");
	unlink(w.old);
	rename(w.path, w.old);
	unlink(w.old);
	append(w.path, "e\n");
	restart(&w);
	assert_string_equal(read_all(&w), "e ");
	assert_int_equal(log_file_n_gaps(w.f), 1);
	world_fini(&w);
}

/* The second rotation comes before the first was noticed. */
static void
test_two_rotations(void **state)
{
	struct world w;
	char older[120];

	(void)state;
	world_init(&w);
	snprintf(older, sizeof(older), "%s.2", w.path);
	append(w.path, "");
	w.f = log_file_new(w.path, NULL);
	append(w.path, "a\n");
	assert_string_equal(read_all(&w), "a ");
	usleep(20000); /* so that the file system's clock tells them apart */
	append(w.path, "b\n");
	rename(w.path, older);
	usleep(20000);
	append(w.path, "c\n");
	rename(w.path, w.old);
	usleep(20000);
	append(w.path, "d\n");
	restart(&w);
	assert_string_equal(read_all(&w), "b c d ");
	unlink(older);
	world_fini(&w);
}

static void
test_truncation(void **state)
{
	struct world w;

	(void)state;
	world_init(&w);
	append(w.path, "");
	w.f = log_file_new(w.path, NULL);
	append(w.path, "first\nsecond\n");
	assert_string_equal(read_all(&w), "first second ");
	assert_int_equal(truncate(w.path, 0), 0);
	append(w.path, "x\n");
	assert_string_equal(read_all(&w), "x ");
	/* Written anew and longer than it was: its beginning tells. */
	assert_int_equal(truncate(w.path, 0), 0);
	append(w.path, "1\n2\n3\n4\n5\n6\n");
	assert_string_equal(read_all(&w), "1 2 3 4 5 6 ");
	world_fini(&w);
}

static void
test_a_restart_neither_repeats_nor_skips(void **state)
{
	struct world w;
	struct strbuf all = { 0 }, expected = { 0 };
	struct err err;

	(void)state;
	world_init(&w);
	append(w.path, "");
	w.f = log_file_new(w.path, NULL);
	assert_int_equal(log_file_read(w.f, on_line, &w, 100, &err), 0);
	for (int i = 0; i < 1000; i++) {
		char line[20];

		snprintf(line, sizeof(line), "%d\n", i);
		append(w.path, line);
		strbuf_addf(&expected, "%d ", i);
	}
	for (int i = 1; all.len < expected.len && i < 500; i++) {
		strbuf_reset(&w.seen);
		w.stop_after = i % 7 + 1;
		log_file_read(w.f, on_line, &w, 1 << 20, &err);
		strbuf_add(&all, w.seen.data, w.seen.len);
		restart(&w);
	}
	assert_string_equal(all.data, expected.data);
	strbuf_fini(&all);
	strbuf_fini(&expected);
	world_fini(&w);
}

static void
test_a_line_that_is_too_long(void **state)
{
	struct world w;
	char *line = malloc(300001);

	(void)state;
	world_init(&w);
	append(w.path, "");
	w.f = log_file_new(w.path, NULL);
	read_all(&w);
	memset(line, 'x', 300000);
	line[300000] = '\0';
	append(w.path, line);
	append(w.path, "\nb\n");
	assert_string_equal(read_all(&w), "b ");
	free(line);
	world_fini(&w);
}

static void
test_bad_places(void **state)
{
	static const char *const bad[] = { "", "1", "1 2 3", "1 2 3 4x",
		"1 2 3 999", "a b c d" };
	struct log_place place;

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(log_place_parse(bad[i], &place), -1);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_only_what_comes),
		cmocka_unit_test(test_a_file_that_comes_later),
		cmocka_unit_test(test_a_line_in_pieces),
		cmocka_unit_test(test_rotation),
		cmocka_unit_test(test_rotation_while_we_were_down),
		cmocka_unit_test(test_two_rotations),
		cmocka_unit_test(test_truncation),
		cmocka_unit_test(test_a_restart_neither_repeats_nor_skips),
		cmocka_unit_test(test_a_line_that_is_too_long),
		cmocka_unit_test(test_bad_places),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
