/* SPDX-License-Identifier: ISC */
/* What is passed along with a message, and what is refused by ourselves. */
#include "client_world.h"

/* ---- parameters, and what can't be sent ---- */

#define ALL  "SIZE 1000;8BITMIME;SMTPUTF8;DSN;PIPELINING"
#define UTF8 "caf\xc3\xa9"

struct param_row {
	const char *name;
	const char *caps;
	struct envelope envelope; /* sender NULL: the usual one */
	struct recipient recipients[2];
	const char *body; /* NULL: the usual one */
	bool is_streamed;
	const char *fates;
	const char *reply; /* the first recipient's, begins so; NULL: any */
	const char *lines; /* MAIL and RCPT; "" = none sent */
};

static const struct param_row param_rows[] = {
	{ .name = "nothing offered, nothing passed",
	    .caps = PIPE,
	    .envelope = { .body = BODY_7BIT,
		.ret = RET_HDRS,
		.envid = (char *)"x" },
	    .recipients = { { .notify = NOTIFY_NEVER,
		.orcpt = (char *)"rfc822;a@b" } },
	    .fates = "D",
	    .lines = "MAIL FROM:<sender@example.com>\n"
		     "RCPT TO:<rcpt@example.org>\n" },
	{ .name = "all passed",
	    .caps = ALL,
	    .envelope = { .body = BODY_8BITMIME,
		.ret = RET_FULL,
		.envid = (char *)"QQ+2B1",
		.smtputf8 = true },
	    .recipients = { { .notify = NOTIFY_SUCCESS | NOTIFY_FAILURE |
		    NOTIFY_DELAY,
		.orcpt = (char *)"rfc822;a+2Bb@c" } },
	    .fates = "D",
	    .lines = "MAIL FROM:<sender@example.com> SIZE=31 BODY=8BITMIME "
		     "SMTPUTF8 RET=FULL ENVID=QQ+2B1\n"
		     "RCPT TO:<rcpt@example.org> NOTIFY=SUCCESS,FAILURE,DELAY "
		     "ORCPT=rfc822;a+2Bb@c\n" },
	{ .name = "null sender, NOTIFY=NEVER",
	    .caps = ALL,
	    .envelope = { .sender = (char *)"", .ret = RET_HDRS },
	    .recipients = { { .notify = NOTIFY_NEVER } },
	    .fates = "D",
	    .lines = "MAIL FROM:<> SIZE=31 RET=HDRS\n"
		     "RCPT TO:<rcpt@example.org> NOTIFY=NEVER\n" },
	{ .name = "8-bit that didn't say so",
	    .caps = ALL,
	    .envelope = { .has_8bit = true },
	    .fates = "D",
	    .lines = "MAIL FROM:<sender@example.com> SIZE=31 BODY=8BITMIME\n"
		     "RCPT TO:<rcpt@example.org>\n" },
	{ .name = "8-bit not taken",
	    .caps = PIPE,
	    .envelope = { .has_8bit = true },
	    .fates = "F",
	    .reply = "554 5.6.3",
	    .lines = "" },
	{ .name = "8-bit not taken by HELO",
	    .caps = NULL,
	    .envelope = { .has_8bit = true },
	    .fates = "F",
	    .reply = "554 5.6.3",
	    .lines = "" },
	{ .name = "BODY=8BITMIME, but 7-bit",
	    .caps = PIPE,
	    .envelope = { .body = BODY_8BITMIME },
	    .fates = "D",
	    .lines = "MAIL FROM:<sender@example.com>\n"
		     "RCPT TO:<rcpt@example.org>\n" },
	{ .name = "just the size", .caps = "SIZE 31", .fates = "D" },
	{ .name = "too large",
	    .caps = "SIZE 30",
	    .fates = "F",
	    .reply = "552 5.3.4",
	    .lines = "" },
	{ .name = "SIZE 0 is no limit", .caps = "SIZE 0", .fates = "D" },
	{ .name = "SIZE alone is no limit", .caps = "SIZE", .fates = "D" },
	{ .name = "UTF-8 recipient, taken",
	    .caps = ALL,
	    .envelope = { .smtputf8 = true },
	    .recipients = { { .address = (char *)UTF8 "@example.org" } },
	    .fates = "D" },
	{ .name = "one UTF-8 recipient, not taken",
	    .caps = PIPE,
	    .envelope = { .smtputf8 = true },
	    .recipients = { { .address = (char *)UTF8 "@example.org" },
		{ .address = (char *)"b@example.org" } },
	    .fates = "FD",
	    .reply = "553 5.6.7",
	    .lines = "MAIL FROM:<sender@example.com>\n"
		     "RCPT TO:<b@example.org>\n" },
	{ .name = "UTF-8 sender, not taken",
	    .caps = "8BITMIME",
	    .envelope = { .smtputf8 = true,
		.sender = (char *)UTF8 "@example.com" },
	    .fates = "F",
	    .reply = "553 5.6.7",
	    .lines = "" },
	{ .name = "SMTPUTF8 without need",
	    .caps = PIPE,
	    .envelope = { .smtputf8 = true },
	    .fates = "D" },
	{ .name = "UTF-8 body only",
	    .caps = "8BITMIME",
	    .envelope = { .smtputf8 = true, .has_8bit = true },
	    .body = "Subject: x\r\n\r\n" UTF8 "\r\n",
	    .fates = "D" },
	{ .name = "UTF-8 header",
	    .caps = "8BITMIME",
	    .envelope = { .smtputf8 = true, .has_8bit = true },
	    .body = "Subject: " UTF8 "\r\n\r\n" UTF8 "\r\n",
	    .fates = "F",
	    .reply = "553 5.6.7",
	    .lines = "" },
	{ .name = "UTF-8 header, from a file",
	    .caps = "8BITMIME",
	    .envelope = { .smtputf8 = true, .has_8bit = true },
	    .body = "Subject: " UTF8 "\r\n\r\n" UTF8 "\r\n",
	    .is_streamed = true,
	    .fates = "F",
	    .reply = "553 5.6.7",
	    .lines = "" },
	{ .name = "UTF-8 body, from a file",
	    .caps = "8BITMIME",
	    .envelope = { .smtputf8 = true, .has_8bit = true },
	    .body = "Subject: x\r\n\r\n" UTF8 "\r\n",
	    .is_streamed = true,
	    .fates = "D" },
	{ .name = "UTF-8 ORCPT goes only with SMTPUTF8",
	    .caps = "DSN",
	    .recipients = { { .orcpt = (char *)"utf-8;" UTF8 "@b" } },
	    .fates = "D",
	    .lines = "MAIL FROM:<sender@example.com>\n"
		     "RCPT TO:<rcpt@example.org>\n" },
	{ .name = "injected command",
	    .caps = PIPE,
	    .recipients = { { .address = (char *)"a@b>\r\nRCPT TO:<c@d" },
		{ .address = (char *)"b@example.org" } },
	    .fates = "FD",
	    .reply = "501 5.1.3",
	    .lines = "MAIL FROM:<sender@example.com>\n"
		     "RCPT TO:<b@example.org>\n" },
	{ .name = "injected by the sender",
	    .caps = PIPE,
	    .envelope = { .sender = (char *)"a@b>\nRSET" },
	    .fates = "F",
	    .reply = "501 5.1.3",
	    .lines = "" },
};

static void
run_param_row(const struct param_row *row)
{
	struct world w;
	const char *lines;

	world_init(&w, row->caps, "");
	w.t.n_recipients = strlen(row->fates);
	w.envelope = row->envelope;
	if (w.envelope.sender == NULL)
		w.envelope.sender = (char *)"sender@example.com";
	for (size_t i = 0; i < w.t.n_recipients; i++) {
		w.recipients[i] = row->recipients[i];
		if (w.recipients[i].address == NULL)
			w.recipients[i].address = (char *)"rcpt@example.org";
	}
	if (row->body != NULL) {
		w.t.body = row->is_streamed ? NULL : row->body;
		w.t.body_len = strlen(row->body);
		w.t.body_read = read_string;
		w.t.body_arg = (void *)row->body;
	}
	world_open(&w);
	world_run(&w);
	strbuf_reset(&w.peer.lines);
	world_send(&w);
	assert_fates(&w, row->name, row->fates);
	if (row->reply != NULL &&
	    strncmp(w.results[0].reply, row->reply, strlen(row->reply)) != 0)
		fail_msg("%s: %s", row->name, w.results[0].reply);
	lines = w.peer.lines.data ? w.peer.lines.data : "";
	if (row->lines != NULL &&
	    strncmp(lines, row->lines, strlen(row->lines)) != 0)
		fail_msg("%s: said %s", row->name, lines);
	if (row->lines != NULL && *row->lines == '\0')
		assert_string_equal(lines, "");
	assert_int_equal(w.t.dsn_passed, peer_offers(&w.peer, "DSN"));
	/* Refused by ourselves: the connection stays, no permit is used. */
	assert_int_equal(smtp_client_state(w.client), CLIENT_READY);
	assert_int_equal(w.t.is_sent, w.peer.n_taken > 0);
	world_fini(&w);
}

static void
what_is_offered_is_passed_and_the_rest_refused(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(param_rows) / sizeof(param_rows[0]); i++)
		run_param_row(&param_rows[i]);
}

static void
our_own_refusals_are_classified_like_theirs(void **state)
{
	struct world w;

	(void)state;
	world_init(&w, "SIZE 5", "");
	world_open(&w);
	world_run(&w);
	world_send(&w);
	assert_int_equal(w.results[0].code, 552);
	assert_string_equal(w.results[0].enhanced, "5.3.4");
	assert_int_equal(w.results[0].answer.class, CLASS_CONTENT);
	assert_int_equal(w.results[0].answer.blame, BLAME_MESSAGE);
	assert_int_equal(w.results[0].phase, PHASE_MAIL);
	world_fini(&w);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
		    what_is_offered_is_passed_and_the_rest_refused),
		cmocka_unit_test(our_own_refusals_are_classified_like_theirs),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
