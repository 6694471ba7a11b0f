/* SPDX-License-Identifier: ISC */
/*
 * The operator's log, read back from a pipe in stderr's place: fields, both
 * formats, levels, lines of several threads.
 */
#include "conf/base/log.h"

#include <fcntl.h>
#include <jansson.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#define N_THREADS 4
#define N_LINES	  200

static int saved_stderr;
static FILE *captured;

/* From here on, stderr is an unlinked file. */
static void
capture(void)
{
	captured = tmpfile();
	assert_non_null(captured);
	saved_stderr = dup(STDERR_FILENO);
	dup2(fileno(captured), STDERR_FILENO);
}

static void
release(void)
{
	dup2(saved_stderr, STDERR_FILENO);
	close(saved_stderr);
	rewind(captured);
}

/* The one line that was written, without its time in text format. */
static void
captured_line(char *line, size_t size)
{
	release();
	if (fgets(line, (int)size, captured) == NULL)
		*line = '\0';
	fclose(captured);
}

static void
text_fields(void **state)
{
	char line[512];

	(void)state;
	log_init(LOG_LEVEL_INFO, LOG_FORMAT_TEXT);
	capture();
	log_info("deferred", LOG_STR("msg", "4f21"), LOG_INT("wait_ms", -90000),
	    LOG_STR("none", NULL), LOG_STR("reply", "421-4.7.28 \"no\"\r\n=x"),
	    LOG_STR("name", "caf\u00e9"), LOG_STR("raw", "\xff"));
	captured_line(line, sizeof(line));
	assert_int_equal(line[23], 'Z');
	assert_string_equal(line + 24,
	    " level=info event=deferred msg=4f21 wait_ms=-90000 none=\"\""
	    " reply=\"421-4.7.28 \\\"no\\\"\\r\\n=x\" name=\"caf\u00e9\""
	    " raw=\"\xef\xbf\xbd\"\n");
}

static void
peer_cant_forge_a_line(void **state)
{
	char line[512];

	(void)state;
	log_init(LOG_LEVEL_INFO, LOG_FORMAT_TEXT);
	capture();
	log_info("x", LOG_STR("helo", "a\nlevel=error event=fire"),
	    LOG_STR("key", "a=b"), LOG_STR("blank", "a b"));
	captured_line(line, sizeof(line));
	assert_string_equal(line + 24,
	    " level=info event=x helo=\"a\\nlevel=error event=fire\""
	    " key=\"a=b\" blank=\"a b\"\n");
}

static void
json_line(void **state)
{
	char line[512];
	const char *event, *level, *reply;
	json_int_t wait_ms;
	json_t *root;

	(void)state;
	log_init(LOG_LEVEL_INFO, LOG_FORMAT_JSON);
	capture();
	log_warn("deferred", LOG_INT("wait_ms", 1500),
	    LOG_STR("reply", "4\"2\x01\xff"));
	captured_line(line, sizeof(line));
	root = json_loads(line, 0, NULL);
	assert_non_null(root);
	assert_int_equal(json_unpack(root, "{s:s, s:s, s:s, s:I}", "event",
			     &event, "level", &level, "reply", &reply,
			     "wait_ms", &wait_ms),
	    0);
	assert_string_equal(event, "deferred");
	assert_string_equal(level, "warn");
	assert_string_equal(reply, "4\"2\x01\xef\xbf\xbd");
	assert_int_equal(wait_ms, 1500);
	json_decref(root);
}

static void
levels_are_obeyed(void **state)
{
	char line[512];

	(void)state;
	log_init(LOG_LEVEL_WARN, LOG_FORMAT_TEXT);
	capture();
	log_info("quiet");
	log_debug("quiet");
	log_error("loud");
	captured_line(line, sizeof(line));
	assert_string_equal(line + 24, " level=error event=loud\n");
	log_set_level(LOG_LEVEL_DEBUG);
	assert_int_equal(log_level(), LOG_LEVEL_DEBUG);
	assert_true(log_wants(LOG_LEVEL_DEBUG));
}

static int n_evaluated;

static int
costly(void)
{
	return ++n_evaluated;
}

static void
unwanted_fields_cost_nothing(void **state)
{
	(void)state;
	log_init(LOG_LEVEL_INFO, LOG_FORMAT_TEXT);
	log_debug("quiet", LOG_INT("n", costly()));
	assert_int_equal(n_evaluated, 0);
	capture();
	log_info("loud", LOG_INT("n", costly()));
	release();
	fclose(captured);
	assert_int_equal(n_evaluated, 1);
}

static void
level_names(void **state)
{
	static const char *const names[] = { "error", "warn", "info", "debug" };

	(void)state;
	for (int i = 0; i < 4; i++) {
		assert_int_equal(log_level_parse(names[i]), i);
		assert_string_equal(log_level_name((enum log_level)i),
		    names[i]);
	}
	assert_int_equal(log_level_parse("INFO"), -1);
	assert_int_equal(log_level_parse("warning"), -1);
	assert_int_equal(log_level_parse(""), -1);
}

static void *
talk(void *arg)
{
	for (int i = 0; i < N_LINES; i++)
		log_info("talk", LOG_INT("thread", (intptr_t)arg),
		    LOG_STR("text", "the quick brown fox"));
	return NULL;
}

static void
lines_of_threads_stay_whole(void **state)
{
	pthread_t threads[N_THREADS];
	char line[512];
	int n = 0;

	(void)state;
	log_init(LOG_LEVEL_INFO, LOG_FORMAT_JSON);
	capture();
	for (intptr_t i = 0; i < N_THREADS; i++)
		pthread_create(&threads[i], NULL, talk, (void *)i);
	for (int i = 0; i < N_THREADS; i++)
		pthread_join(threads[i], NULL);
	release();
	while (fgets(line, sizeof(line), captured) != NULL) {
		json_t *root = json_loads(line, 0, NULL);

		assert_non_null(root);
		json_decref(root);
		n++;
	}
	fclose(captured);
	assert_int_equal(n, N_THREADS * N_LINES);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(text_fields),
		cmocka_unit_test(peer_cant_forge_a_line),
		cmocka_unit_test(json_line),
		cmocka_unit_test(levels_are_obeyed),
		cmocka_unit_test(unwanted_fields_cost_nothing),
		cmocka_unit_test(level_names),
		cmocka_unit_test(lines_of_threads_stay_whole),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
