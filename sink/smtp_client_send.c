/* SPDX-License-Identifier: ISC */
/*
 * One transaction: the envelope, the content, and what became of each
 * recipient. With PIPELINING the envelope is one write; with CHUNKING a small
 * message goes along in it, so a delivery takes one round trip.
 *
 * Replies come in the order of the commands, so what the next one answers
 * follows from the counts of `course`. Results are given by
 * smtp_client_result.c, what can't be sent at all is found by
 * smtp_client_fit.c.
 *
 * The one subtle rule: once the end of the content is written, a loss doesn't
 * tell whether the message was taken: is_lost_reply, deferred, maybe twice.
 */
#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "conf/base/address.h"
#include "sink/smtp_client_private.h"

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

	assert(client_seek_open(c->course.t, 0) == c->course.t->n_recipients);
	forget(c);
	if (is_clean) {
		client_send_ready(c);
		return;
	}
	client_add(c, "RSET\r\n");
	client_enter(c, CLIENT_RSET);
}

/* The connection can't go on either: half a message lies on it. */
void
client_send_disk_failed(struct smtp_client *c)
{
	client_give_disk_failure(c);
	forget(c);
	client_close(c, false, "our spool couldn't be read");
}

void
client_send_lost(struct smtp_client *c, const char *why)
{
	struct course *k = &c->course;
	struct transaction *t = k->t;
	bool may_be_taken = k->is_end_sent && !k->is_mail_refused &&
	    client_seek_open(t, 0) < t->n_recipients;
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
	client_give_rest(c, &fact, may_be_taken || k->awaits_mail);
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

/* ---- commands ---- */

static bool
can(const struct smtp_client *c, enum client_cap cap)
{
	return c->caps & cap;
}

/* Forgotten by the next hop after each transaction. Only in a pipeline, so it
 * costs no round trip; Postfix, whose it is, offers both. */
static void
write_xforward(struct smtp_client *c)
{
	const struct transaction *t = c->course.t;

	if (t->ident == NULL || !can(c, CAP_XFORWARD_IDENT) ||
	    !can(c, CAP_PIPELINING))
		return;
	client_add(c, "XFORWARD IDENT=");
	client_add(c, t->ident);
	client_add(c, "\r\n");
	c->course.awaits_xforward = true;
}

static void
write_mail(struct smtp_client *c)
{
	const struct transaction *t = c->course.t;
	const struct envelope *e = t->envelope;
	const char *envid = e->envid != NULL ? e->envid : t->envid;

	client_add(c, "MAIL FROM:<");
	client_add(c, e->sender);
	client_add(c, ">");
	if (can(c, CAP_SIZE))
		strbuf_addf(&c->out, " SIZE=%llu",
		    (unsigned long long)client_content_len(t));
	if (can(c, CAP_8BITMIME) && (e->has_8bit || e->body == BODY_8BITMIME))
		client_add(c, " BODY=8BITMIME");
	if (can(c, CAP_SMTPUTF8) && e->smtputf8)
		client_add(c, " SMTPUTF8");
	if (can(c, CAP_DSN) && e->ret != RET_ABSENT)
		client_add(c, e->ret == RET_FULL ? " RET=FULL" : " RET=HDRS");
	if (can(c, CAP_DSN) && envid != NULL) {
		client_add(c, " ENVID=");
		client_add(c, envid);
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
	size_t i = client_seek_open(k->t, k->next_offer);
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
 * throw it away when the envelope was refused, so it costs but its octets.
 * Behind a long envelope it would stop after a piece, half-way, and the
 * reply to MAIL come in between. */
static bool
is_eager(const struct smtp_client *c)
{
	const struct transaction *t = c->course.t;

	return can(c, CAP_CHUNKING) && t->body != NULL &&
	    t->body_len <= CLIENT_PIECE && !c->is_wary &&
	    c->out.len + t->prefix_len < CLIENT_PIECE / 2;
}

void
smtp_client_send(struct smtp_client *c, struct transaction *t)
{
	struct course *k = &c->course;

	assert(c->state == CLIENT_READY && k->t == NULL);
	*k = (struct course){ .t = t };
	t->is_sent = false;
	t->is_lost_reply = false;
	t->ident_passed = false;
	t->dsn_passed = can(c, CAP_DSN);
	t->n_replies = 0;
	for (size_t i = 0; i < t->n_recipients; i++)
		t->results[i] = (struct rcpt_result){ 0 };
	if (client_fit_transaction(c) < 0)
		client_give_disk_failure(c);
	if (client_seek_open(t, 0) == t->n_recipients) {
		k->is_clean = true;
		finish(c);
		return;
	}
	c->n_sent++;
	t->is_sent = true;
	client_enter(c, CLIENT_ENVELOPE);
	write_xforward(c);
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

/* The mail goes without, if it must: we may not be trusted to say it. */
static void
on_xforward(struct smtp_client *c)
{
	c->course.awaits_xforward = false;
	c->course.t->ident_passed = c->reply.code / 100 == 2;
	if (!c->course.t->ident_passed)
		c->caps &= ~(unsigned)CAP_XFORWARD_IDENT;
}

static void
on_mail(struct smtp_client *c)
{
	struct course *k = &c->course;
	struct reply_fact fact = client_fact_of_reply(c, PHASE_MAIL);

	k->awaits_mail = false;
	if (fact.code / 100 == 2)
		return;
	k->is_mail_refused = true;
	k->is_clean = true;
	client_give_all(c, &fact);
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

	client_give_untried(c, i, fact);
	k->is_full = true;
	for (i = k->next_offer; i < t->n_recipients; i++)
		if (client_is_open(t, i))
			client_give_untried(c, i, fact);
}

static void
on_rcpt(struct smtp_client *c)
{
	struct course *k = &c->course;
	struct transaction *t = k->t;
	struct reply_fact fact = client_fact_of_reply(c, PHASE_RCPT);
	size_t i = client_seek_open(t, k->next_answer);

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
		client_give_result(c, i, &fact);
	}
}

static void
on_data(struct smtp_client *c)
{
	struct course *k = &c->course;
	struct reply_fact fact = client_fact_of_reply(c, PHASE_DATA);

	k->awaits_data = false;
	if (fact.code / 100 != 3) {
		client_give_all(c, &fact);
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
	struct reply_fact fact = client_fact_of_reply(c, PHASE_EOD);

	if (!k->is_end_sent && k->n_accepted > 0) {
		/* Refused before it was read to its end: no way back into
		 * step but a new connection. */
		client_give_all(c, &fact);
		forget(c);
		client_close(c, false, "refused while it was sent");
		return;
	}
	k->awaits_end = false;
	if (k->n_accepted > 0)
		k->is_clean = k->is_stuffed || fact.code / 100 == 2;
	client_give_all(c, &fact);
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

	/* Not about the message: it tells nothing of the transaction. */
	if (k->awaits_xforward && c->reply.code != 421) {
		on_xforward(c);
		return;
	}
	k->t->n_replies++;
	if (is_nonsense(c, phase)) {
		lose_sync(c);
		return;
	}
	if (c->reply.code == 421) {
		/* The connection's end, RFC 5321 3.8. */
		struct reply_fact fact = client_fact_of_reply(c,
		    c->state == CLIENT_BODY ? PHASE_EOD : phase);

		client_give_rest(c, &fact, k->awaits_mail);
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
