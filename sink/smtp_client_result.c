/* SPDX-License-Identifier: ISC */
/*
 * What became of each recipient: from a reply, or from what our side saw, to
 * results. A recipient has its result when its fate is known, and never a
 * second one; one whose RCPT was accepted has only the code until then.
 *
 * It must not talk to the peer: smtp_client_send.c does, and decides when.
 */
#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "conf/base/xalloc.h"
#include "sink/smtp_client_private.h"

/* The only place that asks what a reply means. */
static enum rcpt_fate
judge(const struct transaction *t, const struct reply_fact *fact,
    struct reply_answer *answer_out)
{
	*answer_out = reply_rules_ask(t->rules, fact);
	if (fact->code / 100 == 2)
		return FATE_DELIVERED;
	return answer_out->is_final ? FATE_FAILED : FATE_DEFERRED;
}

struct reply_fact
client_fact_of_reply(const struct smtp_client *c, enum phase phase)
{
	const struct transaction *t = c->course.t;

	return (struct reply_fact){ .phase = phase,
		.code = c->reply.code,
		.enhanced = c->reply.enhanced,
		.text = c->reply.text.data,
		.provider = t->provider ? t->provider : "" };
}

struct reply_fact
client_fact_of_ours(const struct smtp_client *c, int code, const char *enhanced,
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

void
client_give_result(struct smtp_client *c, size_t i,
    const struct reply_fact *fact)
{
	struct transaction *t = c->course.t;
	struct reply_answer answer;
	enum rcpt_fate fate = judge(t, fact, &answer);

	set_result(&t->results[i], fate, fact, &answer);
}

bool
client_is_open(const struct transaction *t, size_t i)
{
	return t->results[i].fate == FATE_UNKNOWN;
}

static bool
is_accepted(const struct transaction *t, size_t i)
{
	return client_is_open(t, i) && t->results[i].code / 100 == 2;
}

size_t
client_seek_open(const struct transaction *t, size_t i)
{
	while (i < t->n_recipients && !client_is_open(t, i))
		i++;
	return i;
}

void
client_give_all(struct smtp_client *c, const struct reply_fact *fact)
{
	struct transaction *t = c->course.t;
	struct reply_answer answer;
	enum rcpt_fate fate = judge(t, fact, &answer);

	for (size_t i = 0; i < t->n_recipients; i++)
		if (client_is_open(t, i))
			set_result(&t->results[i], fate, fact, &answer);
}

void
client_give_untried(struct smtp_client *c, size_t i,
    const struct reply_fact *fact)
{
	struct transaction *t = c->course.t;
	struct reply_answer answer;

	judge(t, fact, &answer);
	set_result(&t->results[i], FATE_UNTRIED, fact, &answer);
}

void
client_give_rest(struct smtp_client *c, const struct reply_fact *fact,
    bool is_whole)
{
	struct course *k = &c->course;
	struct transaction *t = k->t;
	size_t awaited = k->awaits_rcpts > 0
	    ? client_seek_open(t, k->next_answer)
	    : t->n_recipients;

	for (size_t i = 0; i < t->n_recipients; i++) {
		if (!client_is_open(t, i))
			continue;
		if (is_whole || is_accepted(t, i) || i == awaited)
			client_give_result(c, i, fact);
		else
			client_give_untried(c, i, fact);
	}
}

void
client_give_disk_failure(struct smtp_client *c)
{
	struct transaction *t = c->course.t;
	struct reply_fact fact =
	    client_fact_of_ours(c, 0, "", "our spool couldn't be read");
	struct reply_answer answer;

	judge(t, &fact, &answer);
	answer.blame = BLAME_NOBODY;
	for (size_t i = 0; i < t->n_recipients; i++)
		if (client_is_open(t, i))
			set_result(&t->results[i], FATE_DEFERRED, &fact,
			    &answer);
}
