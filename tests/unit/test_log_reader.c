/* SPDX-License-Identifier: ISC */
/*
 * The reading thread: every line comes once and in order, in batches, also
 * when the receiver is slow; the journal by a journalctl of the test's own.
 */
#include "daemon/log_reader.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "conf/base/xalloc.h"

#define LOG_KIND 5
#define N_MANY	 20000

struct world {
	struct event_base *base;
	struct mailbox *mailbox;
	struct log_reader *reader;
	char dir[64], path[100];
	struct conf_mta_log log;
	char place[LOG_PLACE_TEXT];
	int n_records, n_batches, n_broken, n_wanted, n_wrong;
	char last[MTA_QUEUE_ID_SIZE];
};

static void
on_letter(struct letter *letter, void *arg)
{
	struct log_batch *b = (struct log_batch *)letter;
	struct world *w = arg;

	assert_int_equal(letter->kind, LOG_KIND);
	w->n_batches++;
	w->n_broken += b->is_broken;
	for (size_t i = 0; i < b->n_records; i++) {
		char expected[20];

		snprintf(expected, sizeof(expected), "7F3A61%06d",
		    w->n_records++);
		span_copy(b->records[i].queue_id, w->last, sizeof(w->last));
		w->n_wrong += strcmp(w->last, expected) != 0;
	}
	if (*b->place != '\0')
		snprintf(w->place, sizeof(w->place), "%s", b->place);
	log_batch_free(b);
	if (w->n_records >= w->n_wanted && w->n_broken == 0)
		event_base_loopbreak(w->base);
	if (w->n_broken > 0 && w->n_wanted == 0)
		event_base_loopbreak(w->base);
}

static void
world_init(struct world *w)
{
	memset(w, 0, sizeof(*w));
	snprintf(w->dir, sizeof(w->dir), "/tmp/flyball-log-XXXXXX");
	assert_non_null(mkdtemp(w->dir));
	snprintf(w->path, sizeof(w->path), "%s/mail.log", w->dir);
	w->log.path = w->path;
	w->base = event_base_new();
	w->mailbox = mailbox_new(w->base, on_letter, NULL, w);
}

static void
world_start(struct world *w)
{
	struct err err;
	char place[LOG_PLACE_TEXT];

	snprintf(place, sizeof(place), "%s", w->place);
	w->reader = log_reader_new(&w->log, MTA_LOG_POSTFIX, w->mailbox,
	    LOG_KIND, &err);
	assert_non_null(w->reader);
	assert_int_equal(log_reader_start(w->reader, place, w->place, &err), 0);
}

static void
world_stop(struct world *w)
{
	log_reader_stop(w->reader);
	mailbox_drain(w->mailbox);
	assert_true(log_reader_is_idle(w->reader));
	log_reader_free(w->reader);
	w->reader = NULL;
}

static void
world_fini(struct world *w)
{
	mailbox_free(w->mailbox);
	event_base_free(w->base);
	unlink(w->path);
	rmdir(w->dir);
}

/* Until so many records came; a test that hangs is ended by its runner. */
static void
wait_for(struct world *w, int n)
{
	w->n_wanted = n;
	while (w->n_records < n)
		event_base_loop(w->base, EVLOOP_ONCE);
}

static void
append(const char *path, int from, int n)
{
	FILE *f = fopen(path, "a");

	assert_non_null(f);
	for (int i = from; i < from + n; i++)
		fprintf(f,
		    "Nov 23 20:16:54 mx postfix/qmgr[1]: 7F3A61%06d: removed\n"
		    "Nov 23 20:16:54 mx postfix/anvil[1]: statistics: x\n",
		    i);
	fclose(f);
}

static void
test_all_in_order_over_restarts(void **state)
{
	struct world w;

	(void)state;
	world_init(&w);
	append(w.path, 0, 0);
	world_start(&w);
	append(w.path, 0, N_MANY);
	wait_for(&w, N_MANY);
	world_stop(&w);
	append(w.path, N_MANY, 10);
	world_start(&w);
	append(w.path, N_MANY + 10, 10);
	wait_for(&w, N_MANY + 20);
	world_stop(&w);
	assert_int_equal(w.n_records, N_MANY + 20);
	assert_int_equal(w.n_wrong, 0);
	assert_true(w.n_batches >= N_MANY / LOG_BATCH_RECORDS);
	world_fini(&w);
}

/* What it has given and what it says of its place agree at any moment. */
static void
test_stopped_in_the_middle(void **state)
{
	struct world w;

	(void)state;
	world_init(&w);
	append(w.path, 0, 0);
	world_start(&w);
	append(w.path, 0, N_MANY);
	for (int n = 500; n < N_MANY; n = w.n_records + 500) {
		wait_for(&w, n);
		world_stop(&w);
		world_start(&w);
	}
	wait_for(&w, N_MANY);
	world_stop(&w);
	assert_int_equal(w.n_records, N_MANY);
	assert_int_equal(w.n_wrong, 0);
	world_fini(&w);
}

static void
test_no_file(void **state)
{
	struct world w;

	(void)state;
	world_init(&w);
	world_start(&w);
	while (w.n_broken == 0)
		event_base_loop(w.base, EVLOOP_ONCE);
	world_stop(&w);
	assert_int_equal(w.n_broken, 1);
	world_fini(&w);
}

/* ---- the journal ---- */

static const char script[] =
    "#!/bin/sh\n"
    "case \"$*\" in *after-cursor=c1*) n=2;; *since=@1*) n=0;; *) n=9;; esac\n"
    "while [ $n -lt 4 ]; do\n"
    /* An entry longer than any that is read, met again at each beginning. */
    "[ $n = 2 ] && head -c 700000 /dev/zero | tr '\\0' x && echo\n"
    /* What anybody may write with logger(1), in a session and in none. */
    "for unit in ',\"_SYSTEMD_UNIT\":\"session-7.scope\"' '' "
    "',\"_SYSTEMD_UNIT\":[\"postfix@-.service\"]'; do\n"
    "printf '{\"__CURSOR\":\"f\",\"UNIT\":\"postfix@-.service\"%s' \"$unit\"\n"
    "printf ',\"SYSLOG_IDENTIFIER\":\"postfix/qmgr\",\"MESSAGE\":\"7F3A61FFFFFF: "
    "removed\"}\\n'\n"
    "done\n"
    "printf '{\"__CURSOR\":\"c%d\",\"__REALTIME_TIMESTAMP\":\"1795466400000000\"'"
    " $n\n"
    "printf ',\"_SYSTEMD_UNIT\":\"postfix@-.service\"'\n"
    "printf ',\"SYSLOG_IDENTIFIER\":\"postfix/qmgr\",\"MESSAGE\":\"7F3A61%06d: "
    "removed\"}\\nnonsense\\n' $n\n"
    "n=$((n+1))\n"
    "done\n"
    "exec sleep 600\n";

static void
make_journalctl(struct world *w, char path[120])
{
	char *search;
	FILE *f;

	snprintf(path, 120, "%s/journalctl", w->dir);
	f = fopen(path, "w");
	assert_non_null(f);
	fputs(script, f);
	fclose(f);
	chmod(path, 0755);
	search = xasprintf("%s:/usr/bin:/bin", w->dir);
	setenv("PATH", search, 1);
	free(search);
	w->log.journal = true;
	w->log.path = (char *)(uintptr_t) "";
}

static void
test_journal(void **state)
{
	char journalctl[120], *path = xstrdup(getenv("PATH"));
	struct world w;

	(void)state;
	world_init(&w);
	make_journalctl(&w, journalctl);
	world_start(&w);
	wait_for(&w, 4);
	world_stop(&w);
	assert_string_equal(w.place, "c3");
	/* And behind a cursor. */
	snprintf(w.place, sizeof(w.place), "c1");
	w.n_records = 2;
	world_start(&w);
	wait_for(&w, 4);
	world_stop(&w);
	assert_int_equal(w.n_wrong, 0);
	setenv("PATH", path, 1);
	free(path);
	unlink(journalctl);
	world_fini(&w);
}

/* Every log of every kind comes once, and then no more. */
static void
configured_logs_come_one_by_one(void **state)
{
	struct conf_mta_log postfix[2], pattern[1];
	struct conf_feedback f = { .postfix_logs = postfix,
		.n_postfix_logs = 2,
		.pattern_logs = pattern,
		.n_pattern_logs = 1 };
	enum mta_log_format format;

	(void)state;
	assert_ptr_equal(log_configured(&f, 0, &format), &postfix[0]);
	assert_int_equal(format, MTA_LOG_POSTFIX);
	assert_ptr_equal(log_configured(&f, 1, &format), &postfix[1]);
	assert_int_equal(format, MTA_LOG_POSTFIX);
	assert_ptr_equal(log_configured(&f, 2, &format), &pattern[0]);
	assert_int_equal(format, MTA_LOG_PATTERN);
	assert_null(log_configured(&f, 3, &format));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(configured_logs_come_one_by_one),
		cmocka_unit_test(test_all_in_order_over_restarts),
		cmocka_unit_test(test_stopped_in_the_middle),
		cmocka_unit_test(test_no_file),
		cmocka_unit_test(test_journal),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
