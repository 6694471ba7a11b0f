/* SPDX-License-Identifier: ISC */
/*
 * One transaction: the envelope, the content, and what became of each
 * recipient. With PIPELINING the envelope is one write; with CHUNKING a small
 * message goes along in it, so a delivery takes one round trip.
 *
 * Replies come in the order of the commands, so what the next one answers
 * follows from the counts of `course`. A recipient has its result when its
 * fate is known; one whose RCPT was accepted has only the code until then.
 *
 * What the peer can't take is refused here, with the code that it would have
 * used: a size over its limit (5.3.4), UTF-8 addresses or headers without
 * SMTPUTF8 (5.6.7), 8-bit content without 8BITMIME (5.6.3: RFC 6152 3 forbids
 * to send it, and rewriting would break signatures).
 *
 * The one subtle rule: once the end of the content is written, a loss doesn't
 * tell whether the message was taken: is_lost_reply, deferred, maybe twice.
 */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "conf/base/address.h"
#include "conf/base/xalloc.h"
#include "sink/smtp_client_private.h"

/* ---- results ---- */

/* The only place that asks what a reply means. */
static enum rcpt_fate
judge(const struct transaction *t, const struct reply_fact *fact,
    struct reply_answer *answer_out)
{
	*answer_out = reply_classify(fact);
	(void)t;
	if (fact->code / 100 == 2)
		return FATE_DELIVERED;
	return answer_out->is_final ? FATE_FAILED : FATE_DEFERRED;
}

static struct reply_fact
fact_of_reply(const struct smtp_client *c, enum phase phase)
{
	const struct transaction *t = c->course.t;

	return (struct reply_fact){ .phase = phase,
		.code = c->reply.code,
		.enhanced = c->reply.enhanced,
		.text = c->reply.text.data,
		.provider = t->provider ? t->provider : "" };
}

/* As the peer would have said it. */
static struct reply_fact
fact_of_ours(const struct smtp_client *c, int code, const char *enhanced,
    const char *text)
{
	const struct transaction *t = c->course.t;

	return (struct reply_fact){ .phase = PHASE_MAIL,
		.code = code,
		.enhanced = enhanced,
		.text = text,
		.provider = t->provider ? t->provider : "" };
}

static void
set_result(struct rcpt_result *r, enum rcpt_fate fate,
    const struct reply_fact *fact, const struct reply_answer *answer)
{
	assert(r->fate == FATE_UNKNOWN);
	r->fate = fate;
	r->phase = fact->phase;
	r->code = fact->code;
	snprintf(r->enhanced, sizeof(r->enhanced), "%s", fact->enhanced);
	r->reply = xstrdup(fact->text);
	r->answer = *answer;
}

static void
give_result(struct smtp_client *c, size_t i, const struct reply_fact *fact)
{
	struct transaction *t = c->course.t;
	struct reply_answer answer;
	enum rcpt_fate fate = judge(t, fact, &answer);

	set_result(&t->results[i], fate, fact, &answer);
}

static bool
is_open(const struct transaction *t, size_t i)
{
	return t->results[i].fate == FATE_UNKNOWN;
}

static bool
is_accepted(const struct transaction *t, size_t i)
{
	return is_open(t, i) && t->results[i].code / 100 == 2;
}

/* From `i` on, the first recipient without a result. */
static size_t
seek_open(const struct transaction *t, size_t i)
{
	while (i < t->n_recipients && !is_open(t, i))
		i++;
	return i;
}

static void
give_all(struct smtp_client *c, const struct reply_fact *fact)
{
	struct transaction *t = c->course.t;
	struct reply_answer answer;
	enum rcpt_fate fate = judge(t, fact, &answer);

	for (size_t i = 0; i < t->n_recipients; i++)
		if (is_open(t, i))
			set_result(&t->results[i], fate, fact, &answer);
}

static void
give_untried(struct smtp_client *c, size_t i, const struct reply_fact *fact)
{
	struct transaction *t = c->course.t;
	struct reply_answer answer;

	judge(t, fact, &answer);
	set_result(&t->results[i], FATE_UNTRIED, fact, &answer);
}

/* The connection goes, by a 421 or by itself. It speaks of what was awaited
 * and of what had been accepted; RCPTs behind that weren't tried. */
static void
give_rest(struct smtp_client *c, const struct reply_fact *fact, bool is_whole)
{
	struct course *k = &c->course;
	struct transaction *t = k->t;
	size_t awaited = k->awaits_rcpts > 0 ? seek_open(t, k->next_answer)
					     : t->n_recipients;

	for (size_t i = 0; i < t->n_recipients; i++) {
		if (!is_open(t, i))
			continue;
		if (is_whole || is_accepted(t, i) || i == awaited)
			give_result(c, i, fact);
		else
			give_untried(c, i, fact);
	}
}

/* ---- the end of a transaction ---- */

void
client_send_ready(struct smtp_client *c)
{
	client_enter(c, CLIENT_READY);
	if (c->mail_max > 0 && c->n_sent >= c->mail_max)
		smtp_client_quit(c);
	else
		c->ops.ready(c->ops.arg);
}

static void
forget(struct smtp_client *c)
{
	struct course *k = &c->course;

	if (k->is_begun)
		c->is_wary = k->n_accepted == 0;
	k->t = NULL;
	c->ops.done(c->ops.arg);
}

static void
finish(struct smtp_client *c)
{
	bool is_clean = c->course.is_clean;

	assert(seek_open(c->course.t, 0) == c->course.t->n_recipients);
	forget(c);
	if (is_clean) {
		client_send_ready(c);
		return;
	}
	client_add(c, "RSET\r\n");
	client_enter(c, CLIENT_RSET);
}

/* Our own disk is nobody's fault out there: the route needn't back off. */
static void
give_disk_failure(struct smtp_client *c)
{
	struct transaction *t = c->course.t;
	struct reply_fact fact =
	    fact_of_ours(c, 0, "", "our spool couldn't be read");
	struct reply_answer answer;

	judge(t, &fact, &answer);
	answer.blame = BLAME_NOBODY;
	for (size_t i = 0; i < t->n_recipients; i++)
		if (is_open(t, i))
			set_result(
			    &t->results[i], FATE_DEFERRED, &fact, &answer);
}

/* The connection can't go on either: half a message lies on it. */
void
client_send_disk_failed(struct smtp_client *c)
{
	give_disk_failure(c);
	forget(c);
	client_close(c, false, "our spool couldn't be read");
}

void
client_send_lost(struct smtp_client *c, const char *why)
{
	struct course *k = &c->course;
	struct transaction *t = k->t;
	bool may_be_taken = k->is_end_sent && !k->is_mail_refused &&
	    seek_open(t, 0) < t->n_recipients;
	struct reply_fact fact = { .phase = smtp_client_phase(c),
		.enhanced = "",
		.text = why,
		.provider = t->provider ? t->provider : "" };
	char text[400];

	if (may_be_taken) {
		t->is_lost_reply = true;
		fact.phase = PHASE_EOD;
		snprintf(text, sizeof(text),
		    "the reply to the end of the message was lost, so it may "
		    "arrive twice: %s",
		    why);
		fact.text = text;
	}
	give_rest(c, &fact, may_be_taken || k->awaits_mail);
	forget(c);
}

static void
lose_sync(struct smtp_client *c)
{
	char text[200];

	snprintf(text, sizeof(text), "the reply makes no sense here: %.100s",
	    c->reply.text.data);
	client_send_lost(c, text);
	client_close(c, false, "out of step");
}

/* ---- what the peer can't take ---- */

static bool
has_control(const char *s)
{
	for (; s != NULL && *s != '\0'; s++)
		if ((unsigned char)*s < ' ' || *s == 127)
			return true;
	return false;
}

/* Nothing that could end a command's line and begin another. */
static void
refuse_unsafe(struct smtp_client *c)
{
	struct transaction *t = c->course.t;
	struct reply_fact fact = fact_of_ours(c, 501, "5.1.3",
	    "501 5.1.3 control character in an "
	    "address (not sent)");

	if (has_control(t->envelope->sender) ||
	    has_control(t->envelope->envid)) {
		give_all(c, &fact);
		return;
	}
	for (size_t i = 0; i < t->n_recipients; i++)
		if (has_control(t->recipients[i].address) ||
		    has_control(t->recipients[i].orcpt))
			give_result(c, i, &fact);
}

static void
refuse_size(struct smtp_client *c)
{
	struct transaction *t = c->course.t;
	struct reply_fact fact;
	char text[160];

	if (c->size_max == 0 || t->body_len <= c->size_max)
		return;
	snprintf(text, sizeof(text),
	    "552 5.3.4 %llu octets are more than the %llu that the next hop "
	    "takes (not sent)",
	    (unsigned long long)t->body_len, (unsigned long long)c->size_max);
	fact = fact_of_ours(c, 552, "5.3.4", text);
	give_all(c, &fact);
}

static void
refuse_8bit(struct smtp_client *c)
{
	struct reply_fact fact = fact_of_ours(c, 554, "5.6.3",
	    "554 5.6.3 the message has 8-bit content, and the next hop "
	    "doesn't offer 8BITMIME (not sent)");

	if (c->course.t->envelope->has_8bit && !(c->caps & CAP_8BITMIME))
		give_all(c, &fact);
}

/* Without SMTPUTF8 a message passes that turns out not to need it, and the
 * recipients whose address is ASCII (RFC 6531 3.2). -1 = our disk. */
static int
refuse_utf8(struct smtp_client *c)
{
	struct transaction *t = c->course.t;
	const struct envelope *e = t->envelope;
	struct reply_fact fact = fact_of_ours(c, 553, "5.6.7",
	    "553 5.6.7 an address or header field is UTF-8, and the next hop "
	    "doesn't offer SMTPUTF8 (not sent)");
	int has_header = 0;

	if (c->caps & CAP_SMTPUTF8)
		return 0;
	if (e->smtputf8 && e->has_8bit)
		has_header = client_content_has_utf8_header(t);
	if (has_header < 0)
		return -1;
	if (has_header > 0 || !address_is_ascii(e->sender)) {
		give_all(c, &fact);
		return 0;
	}
	for (size_t i = 0; i < t->n_recipients; i++)
		if (is_open(t, i) &&
		    !address_is_ascii(t->recipients[i].address))
			give_result(c, i, &fact);
	return 0;
}

/* RFC 9422: those over RCPTMAX go in a transaction of their own. */
static void
hold_back_over_limit(struct smtp_client *c)
{
	struct transaction *t = c->course.t;
	struct reply_fact fact = fact_of_ours(c, 452, "4.5.3",
	    "452 4.5.3 too many recipients: over the next hop's RCPTMAX (not "
	    "sent)");
	unsigned long n = 0;

	if (c->rcpt_max == 0)
		return;
	for (size_t i = 0; i < t->n_recipients; i++)
		if (is_open(t, i) && ++n > c->rcpt_max)
			give_untried(c, i, &fact);
}

static int
refuse_what_cannot_go(struct smtp_client *c)
{
	refuse_unsafe(c);
	refuse_size(c);
	if (refuse_utf8(c) < 0)
		return -1;
	refuse_8bit(c);
	hold_back_over_limit(c);
	return 0;
}

/* ---- commands ---- */

static bool
can(const struct smtp_client *c, enum client_cap cap)
{
	return c->caps & cap;
}

static void
write_mail(struct smtp_client *c)
{
	const struct transaction *t = c->course.t;
	const struct envelope *e = t->envelope;

	client_add(c, "MAIL FROM:<");
	client_add(c, e->sender);
	client_add(c, ">");
	if (can(c, CAP_SIZE))
		strbuf_addf(&c->out, " SIZE=%llu",
		    (unsigned long long)t->body_len);
	if (can(c, CAP_8BITMIME) && (e->has_8bit || e->body == BODY_8BITMIME))
		client_add(c, " BODY=8BITMIME");
	if (can(c, CAP_SMTPUTF8) && e->smtputf8)
		client_add(c, " SMTPUTF8");
	if (can(c, CAP_DSN) && e->ret != RET_ABSENT)
		client_add(c, e->ret == RET_FULL ? " RET=FULL" : " RET=HDRS");
	if (can(c, CAP_DSN) && e->envid != NULL) {
		client_add(c, " ENVID=");
		client_add(c, e->envid);
	}
	client_add(c, "\r\n");
	c->course.awaits_mail = true;
}

static void
add_notify(struct smtp_client *c, unsigned notify)
{
	static const struct {
		unsigned bit;
		const char *name;
	} names[] = { { NOTIFY_NEVER, "NEVER" }, { NOTIFY_SUCCESS, "SUCCESS" },
		{ NOTIFY_FAILURE, "FAILURE" }, { NOTIFY_DELAY, "DELAY" } };
	const char *between = " NOTIFY=";

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		if (!(notify & names[i].bit))
			continue;
		client_add(c, between);
		client_add(c, names[i].name);
		between = ",";
	}
}

/* False: all were offered. */
static bool
write_rcpt(struct smtp_client *c)
{
	struct course *k = &c->course;
	size_t i = seek_open(k->t, k->next_offer);
	const struct recipient *r = &k->t->recipients[i];

	if (i == k->t->n_recipients)
		return false;
	client_add(c, "RCPT TO:<");
	client_add(c, r->address);
	client_add(c, ">");
	if (can(c, CAP_DSN)) {
		add_notify(c, r->notify);
		/* An utf-8-addr-unitext goes only with SMTPUTF8, RFC 6533. */
		if (r->orcpt != NULL &&
		    (can(c, CAP_SMTPUTF8) || address_is_ascii(r->orcpt))) {
			client_add(c, " ORCPT=");
			client_add(c, r->orcpt);
		}
	}
	client_add(c, "\r\n");
	k->next_offer = i + 1;
	k->awaits_rcpts++;
	return true;
}

static void
write_data(struct smtp_client *c)
{
	struct course *k = &c->course;

	if (can(c, CAP_CHUNKING)) {
		client_content_begin(c, false);
		return;
	}
	client_add(c, "DATA\r\n");
	k->is_begun = true;
	k->awaits_data = true;
}

/* May the content go before the envelope is answered? RFC 3030 has the server
 * throw it away when the envelope was refused, so it costs but its octets. */
static bool
is_eager(const struct smtp_client *c)
{
	const struct transaction *t = c->course.t;

	return can(c, CAP_CHUNKING) && t->body != NULL &&
	    t->body_len <= CLIENT_PIECE && !c->is_wary;
}

void
smtp_client_send(struct smtp_client *c, struct transaction *t)
{
	struct course *k = &c->course;

	assert(c->state == CLIENT_READY && k->t == NULL);
	*k = (struct course){ .t = t };
	t->is_sent = false;
	t->is_lost_reply = false;
	t->dsn_passed = can(c, CAP_DSN);
	t->n_replies = 0;
	for (size_t i = 0; i < t->n_recipients; i++)
		t->results[i] = (struct rcpt_result){ 0 };
	if (refuse_what_cannot_go(c) < 0)
		give_disk_failure(c);
	if (seek_open(t, 0) == t->n_recipients) {
		k->is_clean = true;
		finish(c);
		return;
	}
	c->n_sent++;
	t->is_sent = true;
	client_enter(c, CLIENT_ENVELOPE);
	write_mail(c);
	if (!can(c, CAP_PIPELINING))
		return;
	while (write_rcpt(c))
		;
	/* With CHUNKING, the large one waits for the envelope's replies. */
	if (is_eager(c) || !can(c, CAP_CHUNKING))
		write_data(c);
}

/* ---- replies ---- */

/* What is to be done when no reply is awaited. */
static void
proceed(struct smtp_client *c)
{
	struct course *k = &c->course;

	if (k->awaits_mail || k->awaits_rcpts > 0 || k->awaits_data ||
	    k->awaits_end) {
		if (k->is_end_sent && c->state == CLIENT_ENVELOPE &&
		    !k->awaits_mail && k->awaits_rcpts == 0)
			client_enter(c, CLIENT_EOD);
		return;
	}
	if (!k->is_mail_refused && !k->is_full && write_rcpt(c))
		return;
	if (k->n_accepted > 0 && !k->is_begun)
		write_data(c);
	else
		finish(c);
}

static void
on_mail(struct smtp_client *c)
{
	struct course *k = &c->course;
	struct reply_fact fact = fact_of_reply(c, PHASE_MAIL);

	k->awaits_mail = false;
	if (fact.code / 100 == 2)
		return;
	k->is_mail_refused = true;
	k->is_clean = true;
	give_all(c, &fact);
}

/* RFC 5321 4.5.3.1.10: 452, once 552; "too many recipients" says it also where
 * the code doesn't. The enhanced code decides, since 452 4.3.1 is a full disk. */
static bool
is_too_many(const struct reply_fact *fact)
{
	if (*fact->enhanced != '\0')
		return strcmp(fact->enhanced + 1, ".5.3") == 0;
	return fact->code == 452 || fact->code == 552 ||
	    strcasestr(fact->text, "too many recipients") != NULL;
}

/* The rest goes in another transaction, at once. */
static void
meet_full(struct smtp_client *c, size_t i, const struct reply_fact *fact)
{
	struct course *k = &c->course;
	struct transaction *t = k->t;

	give_untried(c, i, fact);
	k->is_full = true;
	for (i = k->next_offer; i < t->n_recipients; i++)
		if (is_open(t, i))
			give_untried(c, i, fact);
}

static void
on_rcpt(struct smtp_client *c)
{
	struct course *k = &c->course;
	struct transaction *t = k->t;
	struct reply_fact fact = fact_of_reply(c, PHASE_RCPT);
	size_t i = seek_open(t, k->next_answer);

	k->awaits_rcpts--;
	if (k->is_mail_refused) {
		/* It took part of what it had refused: let it forget that. */
		k->is_clean &= fact.code / 100 != 2;
		return;
	}
	assert(i < t->n_recipients);
	k->next_answer = i + 1;
	if (fact.code / 100 == 2) {
		t->results[i].code = fact.code;
		k->n_accepted++;
	} else if (k->n_accepted > 0 && is_too_many(&fact)) {
		meet_full(c, i, &fact);
	} else {
		give_result(c, i, &fact);
	}
}

static void
on_data(struct smtp_client *c)
{
	struct course *k = &c->course;
	struct reply_fact fact = fact_of_reply(c, PHASE_DATA);

	k->awaits_data = false;
	if (fact.code / 100 != 3) {
		give_all(c, &fact);
		return;
	}
	if (k->n_accepted > 0) {
		client_content_begin(c, true);
		return;
	}
	/* RFC 2920 3.1: no recipient, but it wants a message: an empty one. */
	client_add(c, ".\r\n");
	k->awaits_end = true;
	k->is_clean = true;
	client_enter(c, CLIENT_EOD);
}

static void
on_end(struct smtp_client *c)
{
	struct course *k = &c->course;
	struct reply_fact fact = fact_of_reply(c, PHASE_EOD);

	if (!k->is_end_sent && k->n_accepted > 0) {
		/* Refused before it was read to its end: no way back into
		 * step but a new connection. */
		give_all(c, &fact);
		forget(c);
		client_close(c, false, "refused while it was sent");
		return;
	}
	k->awaits_end = false;
	if (k->n_accepted > 0)
		k->is_clean = k->is_stuffed || fact.code / 100 == 2;
	give_all(c, &fact);
}

/* 2xx where a 3xx belongs, and the other way round. */
static bool
is_nonsense(const struct smtp_client *c, enum phase phase)
{
	int class = c->reply.code / 100;

	if (class > 3)
		return false;
	if (phase == PHASE_DATA && c->course.awaits_data)
		return class == 2 && c->course.n_accepted > 0;
	if (c->state == CLIENT_BODY)
		return true; /* taken before it was sent */
	return class == 3;
}

void
client_send_reply(struct smtp_client *c)
{
	struct course *k = &c->course;
	enum phase phase = smtp_client_phase(c);

	k->t->n_replies++;
	if (is_nonsense(c, phase)) {
		lose_sync(c);
		return;
	}
	if (c->reply.code == 421) {
		/* The connection's end, RFC 5321 3.8. */
		struct reply_fact fact = fact_of_reply(c,
		    c->state == CLIENT_BODY ? PHASE_EOD : phase);

		give_rest(c, &fact, k->awaits_mail);
		forget(c);
		client_close(c, false, "421");
		return;
	}
	if (k->awaits_mail)
		on_mail(c);
	else if (k->awaits_rcpts > 0)
		on_rcpt(c);
	else if (k->awaits_data)
		on_data(c);
	else
		on_end(c);
	if (k->t != NULL && c->state != CLIENT_CLOSED)
		proceed(c);
}
