/* SPDX-License-Identifier: ISC */
/*
 * The notices that a settlement leaves to the sender: whether there is one, to
 * whom, about whom, and that it came with the same commit. What stands in one
 * is test_dsn.c's.
 */
#include "daemon/spool.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/unit/spool_fixture.h"

/* ---- one recipient, one fate ---- */

struct notice_case {
	const char *name;
	const char *sender;
	uint8_t notify;
	enum dsn_ret ret;
	enum spool_fate fate;
	const char *status, *reply;
	bool dsn_passed, delay_warning;
	size_t content_len;
	const char *holds[4]; /* parts of the notice; none: no notice */
	const char *lacks;
};

#define NONE         \
	{            \
		NULL \
	}

static const struct notice_case cases[] = {
	{ "failed", SENDER, 0, RET_ABSENT, SPOOL_FAILED_FOR_GOOD, "5.1.1",
	    "550 5.1.1 no such user", false, false, 500,
	    { "Action: failed\r\nStatus: 5.1.1\r\n",
		"Diagnostic-Code: smtp; 550 5.1.1 no such user\r\n",
		"Final-Recipient: rfc822; rcpt@gmail.com\r\n",
		"Remote-MTA: dns; mx.example\r\n" },
	    "message/rfc822\r\n" },
	{ "failed, but not to be told", SENDER, NOTIFY_NEVER, RET_ABSENT,
	    SPOOL_FAILED_FOR_GOOD, "5.1.1", "550 no", false, false, 500, NONE,
	    NULL },
	{ "failed, only success is asked for", SENDER, NOTIFY_SUCCESS,
	    RET_ABSENT, SPOOL_FAILED_FOR_GOOD, "5.1.1", "550 no", false, false,
	    500, NONE, NULL },
	{ "failed, no sender", "", 0, RET_ABSENT, SPOOL_FAILED_FOR_GOOD,
	    "5.1.1", "550 no", false, false, 500, NONE, NULL },
	{ "dropped", SENDER, NOTIFY_FAILURE, RET_ABSENT, SPOOL_DROPPED, "",
	    NULL, false, false, 500, NONE, NULL },
	{ "delivered", SENDER, 0, RET_ABSENT, SPOOL_DELIVERED, "2.0.0", NULL,
	    false, false, 500, NONE, NULL },
	{ "delivered, success is asked for", SENDER, NOTIFY_SUCCESS, RET_ABSENT,
	    SPOOL_DELIVERED, "2.1.5", NULL, false, false, 500,
	    { "Action: relayed\r\nStatus: 2.1.5\r\n" }, NULL },
	{ "delivered, and the next hop tells", SENDER, NOTIFY_SUCCESS,
	    RET_ABSENT, SPOOL_DELIVERED, "2.1.5", NULL, true, false, 500, NONE,
	    NULL },
	{ "whole", SENDER, 0, RET_FULL, SPOOL_FAILED_FOR_GOOD, "5.0.0",
	    "550 no", false, false, 500, { "Content-Type: message/rfc822\r\n" },
	    "rfc822-headers" },
	{ "whole, but too large", SENDER, 0, RET_FULL, SPOOL_FAILED_FOR_GOOD,
	    "5.0.0", "550 no", false, false, 100000,
	    { "Content-Type: text/rfc822-headers\r\n", "Subject: test\r\n" },
	    "message/rfc822\r\n" },
	{ "status from the reply", SENDER, 0, RET_ABSENT, SPOOL_FAILED_FOR_GOOD,
	    "", "554-5.7.1 blocked\n554 5.7.1 really", false, false, 500,
	    { "Status: 5.7.1\r\n" }, NULL },
	{ "status from nothing", SENDER, 0, RET_ABSENT, SPOOL_FAILED_FOR_GOOD,
	    "", "554 blocked", false, false, 500, { "Status: 5.0.0\r\n" },
	    NULL },
	{ "expired", SENDER, 0, RET_ABSENT, SPOOL_FAILED_FOR_GOOD, "4.4.7",
	    NULL, false, false, 500, { "Status: 5.4.7\r\n" },
	    "Diagnostic-Code" },
	{ "kept", SENDER, 0, RET_ABSENT, SPOOL_KEEP, "4.2.2", "452 4.2.2 full",
	    false, false, 500, NONE, NULL },
	{ "kept, time for a word", SENDER, 0, RET_ABSENT, SPOOL_KEEP, "4.2.2",
	    "452 4.2.2 full", false, true, 500,
	    { "Action: delayed\r\nStatus: 4.2.2\r\n", "Will-Retry-Until: ",
		"Diagnostic-Code: smtp; 452 4.2.2 full\r\n" },
	    NULL },
	{ "kept, but delay isn't asked for", SENDER, NOTIFY_FAILURE, RET_ABSENT,
	    SPOOL_KEEP, "4.2.2", "452 4.2.2 full", false, true, 500, NONE,
	    NULL },
};

/* Settles the one recipient of a new message as the case says. */
static uint64_t
settle_case(struct world *w, const struct notice_case *c)
{
	struct spool_request *q = submission_new(w->spool, c->sender);
	struct delivery *d = submission_to(q, "gmail", "rcpt@gmail.com", NULL);
	uint64_t id;

	d->recipients->notify = c->notify;
	q->envelope.ret = c->ret;
	assert_int_equal(body_fill(q->body, 1, c->content_len), 0);
	id = submit_and_wait(w, q).id;
	w->n_added = 0;
	q = settlement_new(id, 0, 1);
	q->rcpts[0].fate = c->fate;
	strcpy(q->rcpts[0].status, c->status);
	q->rcpts[0].reply = xstrdup(c->reply);
	q->rcpts[0].dsn_passed = c->dsn_passed;
	q->delay_warning = c->delay_warning;
	q->next_hop = xstrdup("mx.example:25");
	assert_int_equal(submit_and_wait(w, q).result, SPOOL_OK);
	return id;
}

static void
check_notice(struct world *w, const struct notice_case *c)
{
	struct spool_message m;
	char *text;

	assert_int_equal(w->n_added, 1);
	assert_string_equal(w->added[0].stream, SPOOL_DSN_STREAM);
	assert_string_equal(w->added[0].first, c->sender);
	assert_int_equal(read_delivery(w, w->added[0].id, 0, &m), 0);
	assert_string_equal(m.envelope.sender, "");
	assert_int_equal(m.envelope.deliveries->recipients->notify,
	    NOTIFY_NEVER);
	assert_int_equal(m.envelope.size_bytes, m.body_len);
	text = content_of(&m);
	for (int i = 0; i < 4 && c->holds[i] != NULL; i++)
		if (strstr(text, c->holds[i]) == NULL)
			fail_msg("no %s in %s", c->holds[i], text);
	if (c->lacks != NULL && strstr(text, c->lacks) != NULL)
		fail_msg("%s in %s", c->lacks, text);
	free(text);
	spool_message_fini(&m);
	/* And about a notice there is none. */
	settle_simple(w, w->added[0].id, SPOOL_FAILED_FOR_GOOD);
	assert_int_equal(w->n_added, 1);
}

static void
notice_by_fate_and_wish(void **state)
{
	struct world w;

	(void)state;
	world_init(&w);
	world_start(&w);
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		const struct notice_case *c = &cases[i];
		uint64_t commits = stats_of(&w).n_commits;
		uint64_t id;

		print_message("%s\n", c->name);
		id = settle_case(&w, c);
		assert_int_equal(stats_of(&w).n_commits, commits + 2);
		if (c->holds[0] != NULL)
			check_notice(&w, c);
		else
			assert_int_equal(w.n_added, 0);
		if (c->fate == SPOOL_KEEP)
			settle_simple(&w, id, SPOOL_DROPPED);
		assert_int_equal(stats_of(&w).n_messages, 0);
		assert_int_equal(stats_of(&w).n_deliveries, 0);
		assert_int_equal(stats_of(&w).n_bytes, 0);
		assert_int_equal(count_body_files(w.dir), 0);
	}
	world_fini(&w);
}

/* ---- several of them ---- */

static void
one_settlement_several_notices(void **state)
{
	struct world w;
	struct spool_request *q;
	struct delivery *d;
	uint64_t id, commits;

	(void)state;
	world_init(&w);
	world_start(&w);
	q = submission_new(w.spool, SENDER);
	d = submission_to(q, "gmail", "failed@gmail.com", "kept@gmail.com",
	    "moved@gmail.com", "relayed@gmail.com", "too@gmail.com", NULL);
	d->recipients[3].notify = NOTIFY_SUCCESS;
	body_fill(q->body, 1, 500);
	id = submit_and_wait(&w, q).id;
	w.n_added = 0;
	commits = stats_of(&w).n_commits;
	q = settlement_new(id, 0, 5);
	q->rcpts[0].fate = SPOOL_FAILED_FOR_GOOD;
	q->rcpts[1].fate = SPOOL_KEEP;
	q->rcpts[2].fate = SPOOL_MOVE;
	q->rcpts[3].fate = SPOOL_DELIVERED;
	q->rcpts[4].fate = SPOOL_FAILED_FOR_GOOD;
	q->delay_warning = true;
	assert_int_equal(submit_and_wait(&w, q).result, SPOOL_OK);
	assert_int_equal(stats_of(&w).n_commits, commits + 1);
	/* Failed, delayed, relayed; and the moved one's delivery. */
	assert_int_equal(w.n_added, 4);
	assert_int_equal(stats_of(&w).n_messages, 4);
	assert_int_equal(stats_of(&w).n_deliveries, 5);
	for (size_t i = 0; i < 3; i++)
		assert_string_equal(w.added[i].stream, SPOOL_DSN_STREAM);
	assert_string_equal(w.added[3].first, "moved@gmail.com");

	/* Warned once: neither the kept nor the moved one again. */
	w.n_added = 0;
	for (uint32_t number = 0; number < 2; number++) {
		q = settlement_new(id, number, 1);
		q->rcpts[0].fate = SPOOL_KEEP;
		q->delay_warning = true;
		submit_and_wait(&w, q);
	}
	assert_int_equal(w.n_added, 0);
	world_fini(&w);
}

static void
expired_message_tells_the_last_reply(void **state)
{
	struct world w;
	struct spool_request *q;
	struct spool_message m;
	uint64_t id;
	char *text;

	(void)state;
	world_init(&w);
	world_start(&w);
	id = submit_simple(&w, 1, 500).id;
	q = settlement_new(id, 0, 1);
	q->rcpts[0].fate = SPOOL_KEEP;
	q->rcpts[0].reply = xstrdup("450 4.2.1 the user is receiving too much");
	submit_and_wait(&w, q);
	w.n_added = 0;
	q = settlement_new(id, 0, 1);
	q->rcpts[0].fate = SPOOL_FAILED_FOR_GOOD;
	strcpy(q->rcpts[0].status, "4.4.7");
	submit_and_wait(&w, q);
	assert_int_equal(w.n_added, 1);
	assert_int_equal(read_delivery(&w, w.added[0].id, 0, &m), 0);
	text = content_of(&m);
	assert_non_null(strstr(text, "Status: 5.4.7\r\n"));
	assert_non_null(strstr(text,
	    "Diagnostic-Code: smtp; 450 4.2.1 the user is receiving too "
	    "much\r\n"));
	free(text);
	spool_message_fini(&m);
	world_fini(&w);
}

static void
classify(const char *mailbox, char **provider_out, char **site_out, void *arg)
{
	(void)arg;
	*provider_out = xasprintf("to-%s", mailbox);
	*site_out = xstrdup("");
}

static void
notice_goes_where_its_address_belongs(void **state)
{
	struct world w;
	struct spool_ops ops;
	uint64_t id;

	(void)state;
	world_init(&w);
	ops = world_ops(&w);
	ops.classify = classify;
	w.spool = spool_open(&w.conf, &ops, NULL);
	assert_non_null(w.spool);
	assert_int_equal(spool_start(w.spool, NULL), 0);
	id = submit_simple(&w, 1, 100).id;
	settle_simple(&w, id, SPOOL_FAILED_FOR_GOOD);
	assert_int_equal(w.n_added, 2);
	assert_string_equal(w.added[1].provider, "to-" SENDER);
	world_fini(&w);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(notice_by_fate_and_wish),
		cmocka_unit_test(one_settlement_several_notices),
		cmocka_unit_test(expired_message_tells_the_last_reply),
		cmocka_unit_test(notice_goes_where_its_address_belongs),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
