/* SPDX-License-Identifier: ISC */
/*
 * What a session has taken goes to the spool, or to whoever reads reports, and
 * the answer comes back as a letter. Called by the session's machine, on its
 * worker; worker_committed() by whoever writes the spool.
 */
#include <stdlib.h>
#include <string.h>

#include "conf/base/address.h"
#include "conf/base/clock.h"
#include "conf/base/xalloc.h"
#include "daemon/session_io_private.h"
#include "daemon/submission.h"

static const char *
find_header(const char *name, void *arg)
{
	struct session_io *s = arg;

	return smtp_session_header(s->smtp, name);
}

static const struct conf_stream *
choose_stream(struct session_io *s, const struct envelope *e)
{
	const struct auth_identity *who = smtp_session_identity(s->smtp);
	char domain[ADDRESS_DOMAIN_MAX + 1] = "";
	struct message_facts facts = {
		.user = who ? who->name : "",
		.user_stream = who && who->stream ? who->stream : "",
		.sender_domain = domain,
		.listener = s->listener->listen.text,
		.header = find_header,
		.arg = s,
	};

	if (*e->sender != '\0' &&
	    domain_normalise(address_domain(e->sender), domain) < 0)
		*domain = '\0';
	return stream_match(s->worker->rt->conf, &facts);
}

/* By the same way as the spool's answer: never within the session's call. */
static void
answer_later(struct session_io *s, struct spool_request *request,
    char *reply_take)
{
	struct answer *answer = xcalloc(1, sizeof(*answer));

	answer->session = s;
	answer->refusal = reply_take;
	spool_request_free(request);
	mailbox_post(s->worker->mailbox, &answer->letter, WORKER_COMMITTED);
}

/* malloc'd; NULL: it can't be read back. */
static char *
read_whole(struct body *body, size_t len)
{
	char *data = xmalloc(len + 1);
	size_t done = 0;

	while (done < len) {
		ssize_t n = body_read(body, done, data + done, len - done);

		if (n <= 0) {
			free(data);
			return NULL;
		}
		done += (size_t)n;
	}
	return data;
}

/* Mail that is read here and goes nowhere; what to answer. */
static const char *
take_report(struct session_io *s, struct body *body)
{
	struct report_letter *letter;
	char *data;

	if (body_len(body) > REPORT_BYTES_MAX)
		return "552 5.3.4 Too large for a report";
	data = read_whole(body, (size_t)body_len(body));
	if (data == NULL)
		return "451 4.3.0 Can't read the message now, try later";
	letter = xcalloc(1, sizeof(*letter));
	mail_report_read(&letter->report, data, (size_t)body_len(body));
	free(data);
	if (letter->report.kind == REPORT_NONE) {
		mail_report_fini(&letter->report);
		free(letter);
		return "550 5.7.1 Neither a delivery status nor a complaint: "
		       "only reports are taken here";
	}
	letter->client = xstrdup(s->client);
	mailbox_post(s->worker->shared->governor, &letter->letter,
	    GOVERNOR_REPORT);
	return "250 2.0.0 Ok: report read";
}

void
session_submit(void *arg, struct envelope *envelope_take,
    struct body *body_take)
{
	struct session_io *s = arg;
	struct spool_request *request = xcalloc(1, sizeof(*request));
	struct envelope *e = &request->envelope;
	char text[256];

	request->kind = SPOOL_SUBMIT;
	*e = *envelope_take;
	*envelope_take = (struct envelope){ 0 };
	request->body = body_take;
	request->owner = s;
	if (s->listener->is_reports) {
		s->n_awaited++;
		answer_later(s, request, xstrdup(take_report(s, body_take)));
		return;
	}
	free(e->stream);
	e->stream = xstrdup(choose_stream(s, e)->name);
	e->arrived_utc_us = clock_utc_us();
	s->submitted_us = clock_mono_us();
	submission_split(e, s->worker->rt->index);
	s->n_awaited++;
	if (full_plans_meets(s->worker->shared->full_plans, s->worker->rt->conf,
		e, text, sizeof(text))) {
		answer_later(s, request, xasprintf("452 4.3.2 %s", text));
		return;
	}
	if (s->worker->n_sessions == 1)
		spool_write(s->worker->shared->spool, request);
	else
		spool_submit(s->worker->shared->spool, request);
}

void
worker_committed(struct spool_request *request_take)
{
	struct session_io *s = request_take->owner;
	struct answer *answer = xcalloc(1, sizeof(*answer));

	answer->session = s;
	answer->result = request_take->result;
	answer->message = request_take->envelope.id;
	spool_request_free(request_take);
	mailbox_post(s->worker->mailbox, &answer->letter, WORKER_COMMITTED);
}
