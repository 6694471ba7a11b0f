/* SPDX-License-Identifier: ISC */
/*
 * MAIL and RCPT: who may send, from where, to whom and how many. Fills the
 * envelope that goes to the session's owner with the content. Only syntax,
 * rights and limits are judged; where a recipient's mail goes is the
 * scheduler's business.
 */
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "conf/base/xalloc.h"
#include "daemon/smtp_session_private.h"

void
session_reset(struct smtp_session *s)
{
	session_content_forget(s);
	envelope_fini(&s->envelope);
	s->envelope = (struct envelope){ 0 };
	if (s->state > SESSION_READY && s->state != SESSION_CLOSED)
		session_enter(s, SESSION_READY);
}

const char *
session_mail_check(const struct smtp_session *s, const char *args)
{
	(void)args;
	if (s->is_trusted || s->identity != NULL)
		return NULL;
	if (!session_auth_is_offered(s))
		return "530 5.7.0 Must issue a STARTTLS command first";
	return "530 5.7.0 Authentication required";
}

/* The null sender is everybody's: notices must be able to leave (RFC 5321
 * 4.5.5). A user's list of domains doesn't hold for it. */
static bool
sender_is_allowed(const struct smtp_session *s, const char *domain)
{
	const struct conf_names *allowed;
	char text[ADDRESS_DOMAIN_MAX + 1];
	size_t i;

	if (s->identity == NULL || s->identity->sender_domains.n == 0)
		return true;
	allowed = &s->identity->sender_domains;
	for (i = 0; i < allowed->n; i++)
		if (domain_normalise(allowed->v[i], text) == 0 &&
		    strcmp(text, domain) == 0)
			return true;
	return false;
}

static const char *
mail_refusal(const struct smtp_session *s, const struct smtp_mail *m)
{
	char domain[ADDRESS_DOMAIN_MAX + 1];
	uint64_t limit = (uint64_t)s->conf->limits.message_size_bytes;

	if (*m->path != '\0') {
		if (domain_normalise(address_domain(m->path), domain) < 0)
			return "553 5.1.7 Sender's domain is none";
		if (!sender_is_allowed(s, domain))
			return "553 5.7.1 Sender's domain is not allowed for "
			       "this user";
	}
	if (m->size_bytes > limit)
		return "552 5.3.4 Message size exceeds the limit";
	return NULL;
}

void
session_mail(struct smtp_session *s, char *args)
{
	struct envelope *e = &s->envelope;
	struct smtp_mail mail;
	const char *refusal = smtp_mail_parse(args, &mail);

	if (refusal != NULL) {
		session_reply_bad(s, refusal);
		return;
	}
	refusal = mail_refusal(s, &mail);
	if (refusal != NULL) {
		session_reply(s, refusal);
		return;
	}
	e->sender = xstrdup(mail.path);
	e->envid = *mail.envid != '\0' ? xstrdup(mail.envid) : NULL;
	e->ret = mail.ret;
	e->body = mail.body;
	e->smtputf8 = mail.smtputf8;
	e->user = xstrdup(s->identity != NULL ? s->identity->name : "");
	e->client = xstrdup(s->client);
	e->helo = xstrdup(s->helo);
	e->deliveries = xcalloc(1, sizeof(*e->deliveries));
	e->n_deliveries = 1;
	session_enter(s, SESSION_MAIL);
	session_reply(s, "250 2.1.0 Ok");
}

static const char *
rcpt_refusal(struct smtp_session *s, const struct smtp_rcpt *r)
{
	char domain[ADDRESS_DOMAIN_MAX + 1];

	if (domain_normalise(address_domain(r->path), domain) < 0)
		return "550 5.1.2 Recipient's domain is none";
	if (s->envelope.deliveries->n_recipients >= s->conf->limits.recipients)
		return "452 4.5.3 Too many recipients";
	if (s->identity != NULL && s->ops.may_submit != NULL &&
	    !s->ops.may_submit(s->ops.arg, s->identity, 1))
		return "450 4.7.1 This user's rate of submission is reached";
	return NULL;
}

static const char *
suppressed_reply(const struct smtp_session *s, const char *mailbox)
{
	return s->conf->suppression.action != SUPPRESSION_OFF &&
		s->ops.suppressed != NULL
	    ? s->ops.suppressed(s->ops.arg, mailbox)
	    : NULL;
}

/* With `drop` the application never learns of it: the recipient is accepted
 * and left out. */
static bool
rcpt_suppressed(struct smtp_session *s, const char *mailbox)
{
	const char *reply = suppressed_reply(s, mailbox);

	if (reply == NULL)
		return false;
	if (s->conf->suppression.action == SUPPRESSION_REJECT) {
		session_reply(s, reply);
		return true;
	}
	session_enter(s, SESSION_RCPT);
	session_reply(s, "250 2.1.5 Ok");
	return true;
}

/*
 * A refused recipient isn't a bad command: a list with dirt in it is the
 * everyday case, and its good addresses must get through.
 */
void
session_rcpt(struct smtp_session *s, char *args)
{
	struct smtp_rcpt rcpt;
	struct recipient *added;
	const char *refusal =
	    smtp_rcpt_parse(args, s->envelope.smtputf8, &rcpt);

	if (refusal == NULL)
		refusal = rcpt_refusal(s, &rcpt);
	if (refusal != NULL) {
		session_reply(s, refusal);
		return;
	}
	if (rcpt_suppressed(s, rcpt.path))
		return;
	added = delivery_add(s->envelope.deliveries, rcpt.path);
	added->orcpt = *rcpt.orcpt != '\0' ? xstrdup(rcpt.orcpt) : NULL;
	added->notify = rcpt.notify;
	session_enter(s, SESSION_RCPT);
	session_reply(s, "250 2.1.5 Ok");
}
