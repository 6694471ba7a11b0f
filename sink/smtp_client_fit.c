/* SPDX-License-Identifier: ISC */
/*
 * What the next hop can't take isn't sent to it, but refused here, with the
 * code that it would have used: a size over its limit (5.3.4), UTF-8 addresses
 * or headers without SMTPUTF8 (5.6.7), 8-bit content without 8BITMIME (5.6.3:
 * RFC 6152 3 forbids to send it, and rewriting would break signatures).
 * Recipients over its RCPTMAX (RFC 9422) wait for a transaction of their own.
 */
#include <stdio.h>
#include <string.h>

#include "conf/base/address.h"
#include "sink/smtp_client_private.h"

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
	struct reply_fact fact = client_fact_of_ours(c, 501, "5.1.3",
	    "501 5.1.3 control character in an "
	    "address (not sent)");

	if (has_control(t->envelope->sender) ||
	    has_control(t->envelope->envid)) {
		client_give_all(c, &fact);
		return;
	}
	for (size_t i = 0; i < t->n_recipients; i++)
		if (has_control(t->recipients[i].address) ||
		    has_control(t->recipients[i].orcpt))
			client_give_result(c, i, &fact);
}

static void
refuse_size(struct smtp_client *c)
{
	struct transaction *t = c->course.t;
	struct reply_fact fact;
	char text[160];

	if (c->size_max == 0 || client_content_len(t) <= c->size_max)
		return;
	snprintf(text, sizeof(text),
	    "552 5.3.4 %llu octets are more than the %llu that the next hop "
	    "takes (not sent)",
	    (unsigned long long)client_content_len(t),
	    (unsigned long long)c->size_max);
	fact = client_fact_of_ours(c, 552, "5.3.4", text);
	client_give_all(c, &fact);
}

static void
refuse_8bit(struct smtp_client *c)
{
	struct reply_fact fact = client_fact_of_ours(c, 554, "5.6.3",
	    "554 5.6.3 the message has 8-bit content, and the next hop "
	    "doesn't offer 8BITMIME (not sent)");

	if (c->course.t->envelope->has_8bit && !(c->caps & CAP_8BITMIME))
		client_give_all(c, &fact);
}

/* Without SMTPUTF8 a message passes that turns out not to need it, and the
 * recipients whose address is ASCII (RFC 6531 3.2). -1 = our disk. */
static int
refuse_utf8(struct smtp_client *c)
{
	struct transaction *t = c->course.t;
	const struct envelope *e = t->envelope;
	struct reply_fact fact = client_fact_of_ours(c, 553, "5.6.7",
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
		client_give_all(c, &fact);
		return 0;
	}
	for (size_t i = 0; i < t->n_recipients; i++)
		if (client_is_open(t, i) &&
		    !address_is_ascii(t->recipients[i].address))
			client_give_result(c, i, &fact);
	return 0;
}

/* RFC 9422: those over RCPTMAX go in a transaction of their own. */
static void
hold_back_over_limit(struct smtp_client *c)
{
	struct transaction *t = c->course.t;
	struct reply_fact fact = client_fact_of_ours(c, 452, "4.5.3",
	    "452 4.5.3 too many recipients: over the next hop's RCPTMAX (not "
	    "sent)");
	unsigned long n = 0;

	if (c->rcpt_max == 0)
		return;
	for (size_t i = 0; i < t->n_recipients; i++)
		if (client_is_open(t, i) && ++n > c->rcpt_max)
			client_give_untried(c, i, &fact);
}

int
client_fit_transaction(struct smtp_client *c)
{
	refuse_unsafe(c);
	refuse_size(c);
	if (refuse_utf8(c) < 0)
		return -1;
	refuse_8bit(c);
	hold_back_over_limit(c);
	return 0;
}
