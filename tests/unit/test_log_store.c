/* SPDX-License-Identifier: ISC */
/* Records wait for their queue id to be known, a while and not more than so
 * many. */
#include "daemon/log_store.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static void
add(struct log_store *s, const char *key, const char *line, int64_t now_us)
{
	struct mta_log log = { .now_utc_us = 1795466400000000 };
	struct mta_record r;
	char copy[300];

	snprintf(copy, sizeof(copy), "Nov 23 20:16:54 mx postfix/%s", line);
	assert_true(mta_log_read(&log, copy, strlen(copy), &r));
	log_store_add(s, key, &r, now_us);
	memset(copy, 'x', sizeof(copy)); /* it keeps what it needs */
}

static void
test_in_order(void **state)
{
	struct log_store s = { 0 };
	struct stored_id *id;

	(void)state;
	add(&s, "Q1", "smtpd[1]: 7F3A61C0012: client=a[::1], orig_queue_id=m.0",
	    0);
	add(&s, "Q1",
	    "smtp[1]: 7F3A61C0012: to=<a@x.example>, relay=none, delay=1, "
	    "dsn=4.4.1, status=deferred (connect to x: refused)",
	    1);
	add(&s, "Q1", "qmgr[1]: 7F3A61C0012: removed", 2);
	add(&s, "Q2", "qmgr[1]: 7F3A61C0013: removed", 3);
	assert_ptr_equal(log_store_find_ident(&s, "m.0"),
	    log_store_find(&s, "Q1"));
	assert_null(log_store_find_ident(&s, "m.1"));
	id = log_store_take(&s, log_store_find(&s, "Q1"));
	assert_int_equal(id->n, 2);
	assert_int_equal(id->first->record.kind, MTA_LOG_DEFERRED);
	assert_memory_equal(id->first->record.recipient.p, "a@x.example", 11);
	assert_memory_equal(id->first->record.reply.p, "connect to x", 12);
	assert_int_equal(id->first->next->record.kind, MTA_LOG_REMOVED);
	stored_id_free(id);
	assert_null(log_store_find(&s, "Q1"));
	log_store_fini(&s);
}

static void
test_bounds(void **state)
{
	struct log_store s = { 0 };
	char key[20];

	(void)state;
	for (int i = 0; i < LOG_STORE_MOST + 5; i++) {
		snprintf(key, sizeof(key), "Q%d", i);
		add(&s, key, "qmgr[1]: 7F3A61C0012: removed", 0);
	}
	assert_int_equal(s.n, LOG_STORE_MOST);
	assert_null(log_store_find(&s, "Q4"));
	assert_non_null(log_store_find(&s, "Q5"));
	for (int i = 0; i < 2 * LOG_STORE_EACH; i++)
		add(&s, "Q5", "qmgr[1]: 7F3A61C0012: removed", 0);
	assert_int_equal(log_store_find(&s, "Q5")->n, LOG_STORE_EACH);
	assert_int_equal(log_store_tick(&s, LOG_STORE_US - 1), 0);
	assert_int_equal(log_store_tick(&s, LOG_STORE_US), LOG_STORE_MOST);
	assert_int_equal(s.n, 0);
	log_store_fini(&s);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_in_order),
		cmocka_unit_test(test_bounds),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
