/* SPDX-License-Identifier: ISC */
/*
 * DATA and BDAT: leads the content from the client through the reader (line
 * ends, dots) and the header scan into the spool's body, with our Received
 * field in front and missing fields added, and hands the whole to the
 * session's owner.
 *
 * Content that can't be kept is still read to its end, as its sender goes on
 * sending it; what remains of it is the refusal that the end is answered with.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "conf/base/clock.h"
#include "conf/base/log.h"
#include "conf/base/xalloc.h"
#include "daemon/smtp_session_private.h"

#define REPLY_TOO_BIG "552 5.3.4 Message size exceeds the limit"
#define REPLY_DISK    "451 4.3.0 Can't keep the message now, try later"

/* ---- the way into the body ---- */

static void
content_drop(struct smtp_session *s)
{
	if (s->content.body != NULL)
		body_free(s->content.body);
	s->content.body = NULL;
}

static void
content_refuse(struct smtp_session *s, const char *reply)
{
	s->content.refusal = reply;
	content_drop(s);
}

static void
content_keep(struct smtp_session *s, const char *data, size_t len)
{
	struct err err;

	if (s->content.body == NULL || len == 0)
		return;
	if (body_add(s->content.body, data, len, &err) == 0)
		return;
	log_warn("body_failed", LOG_STR("client", s->client),
	    LOG_STR("error", err.text));
	content_refuse(s, REPLY_DISK);
}

static void
on_span(const char *data, size_t len, void *arg)
{
	struct smtp_session *s = arg;

	if (s->content.body != NULL)
		header_scan_add(&s->content.header, data, len);
}

static void
on_pass(const char *data, size_t len, void *arg)
{
	content_keep(arg, data, len);
}

/* Everybody who may send here is a submitter, so RFC 6409 8 lets us add what
 * his program forgot. */
static void
on_fields_end(void *arg)
{
	struct smtp_session *s = arg;
	struct strbuf fields = { 0 };
	char date[CLOCK_RFC5322_SIZE];
	int64_t now_utc_us = clock_utc_us();
	uint64_t random;

	if (!s->content.header.has_date) {
		clock_rfc5322(now_utc_us, date);
		strbuf_addf(&fields, "Date: %s\r\n", date);
	}
	if (!s->content.header.has_message_id) {
		if (getrandom(&random, sizeof(random), 0) != sizeof(random))
			random = (uint64_t)(uintptr_t)s;
		strbuf_addf(&fields, "Message-ID: <%llx.%016llx@%s>\r\n",
		    (unsigned long long)now_utc_us, (unsigned long long)random,
		    s->conf->daemon.hostname);
	}
	content_keep(s, fields.data, fields.len);
	strbuf_fini(&fields);
}

/* RFC 3848, and RFC 6531 4.3 for messages that need SMTPUTF8. */
static void
add_protocol(const struct smtp_session *s, struct strbuf *out)
{
	strbuf_adds(out, "with ");
	if (!s->is_esmtp) {
		strbuf_adds(out, "SMTP");
		return;
	}
	strbuf_adds(out, s->envelope.smtputf8 ? "UTF8SMTP" : "ESMTP");
	if (s->is_tls)
		strbuf_addc(out, 'S');
	if (s->identity != NULL)
		strbuf_addc(out, 'A');
}

/*
 * RFC 5321 4.4. The user's name is nobody's business who reads the mail, and
 * neither is one recipient another's: `for` only with a single one.
 */
static void
content_add_received(struct smtp_session *s)
{
	const struct delivery *d = s->envelope.deliveries;
	struct strbuf field = { 0 };
	char date[CLOCK_RFC5322_SIZE];

	strbuf_reserve(&field, 1023);
	strbuf_addf(&field, "Received: from %s (%s)\r\n\tby %s (flyball) ",
	    s->helo, s->client, s->conf->daemon.hostname);
	add_protocol(s, &field);
	if (s->tls_text != NULL && *s->tls_text != '\0')
		strbuf_addf(&field, " (%s)", s->tls_text);
	if (d->n_recipients == 1)
		strbuf_addf(&field, "\r\n\tfor <%s>", d->recipients[0].address);
	clock_rfc5322(clock_utc_us(), date);
	strbuf_addf(&field, ";\r\n\t%s\r\n", date);
	content_keep(s, field.data, field.len);
	strbuf_fini(&field);
}

/* -1: our side can't keep anything now. */
static int
content_begin(struct smtp_session *s)
{
	struct session_content *c = &s->content;

	content_reader_init(&c->reader, on_span, s);
	c->header_ops = (struct header_scan_ops){
		.pass = on_pass, .fields_end = on_fields_end, .arg = s
	};
	header_scan_init(&c->header, &c->header_ops, s->wanted,
	    s->header_values, s->n_wanted);
	c->refusal = NULL;
	c->body = s->ops.body_new(s->ops.arg);
	if (c->body == NULL) {
		c->refusal = REPLY_DISK;
		return -1;
	}
	content_add_received(s);
	return 0;
}

void
session_content_forget(struct smtp_session *s)
{
	content_drop(s);
	s->content.refusal = NULL;
	s->chunk = (struct session_chunk){ 0 };
	header_scan_init(&s->content.header, NULL, s->wanted, s->header_values,
	    s->n_wanted);
}

/* ---- the end ---- */

static const char *
content_refusal(const struct smtp_session *s)
{
	const struct session_content *c = &s->content;

	if (c->reader.n_bytes > (uint64_t)s->conf->limits.message_size_bytes)
		return REPLY_TOO_BIG;
	if (c->reader.faults & CONTENT_BARE_NEWLINE)
		return "550 5.6.11 Bare CR or LF in the message: lines end "
		       "with CRLF";
	if (c->reader.faults & CONTENT_NUL)
		return "550 5.6.11 NUL in the message";
	if (c->reader.faults & CONTENT_LINE_LONG)
		return "550 5.6.0 A line of the message is too long";
	if (c->refusal != NULL)
		return c->refusal;
	if (c->header.n_received > s->conf->limits.received_hops)
		return "554 5.4.6 Too many Received fields: a mail loop";
	return NULL;
}

static void
content_submit(struct smtp_session *s)
{
	struct envelope envelope = s->envelope;
	struct body *body = s->content.body;

	envelope.arrived_utc_us = clock_utc_us();
	envelope.has_8bit = s->content.reader.has_8bit;
	envelope.size_bytes = body_len(body);
	s->envelope = (struct envelope){ 0 };
	s->content.body = NULL;
	session_enter(s, SESSION_SUBMIT_WAIT);
	s->ops.submit(s->ops.arg, &envelope, body);
}

static void
content_end(struct smtp_session *s)
{
	const char *refusal;

	if (s->content.body != NULL && s->content.reader.faults == 0)
		header_scan_end(&s->content.header);
	refusal = content_refusal(s);
	if (refusal == NULL && s->envelope.deliveries->n_recipients == 0) {
		/* All of them were dropped by the suppression list. */
		session_reply(s, "250 2.0.0 Ok");
		session_reset(s);
		return;
	}
	if (refusal == NULL) {
		content_submit(s);
		return;
	}
	log_info("message_refused", LOG_STR("client", s->client),
	    LOG_STR("sender", s->envelope.sender), LOG_STR("reply", refusal));
	session_reply(s, refusal);
	session_reset(s);
}

void
smtp_session_submit_done(struct smtp_session *s, enum spool_result result,
    uint64_t message)
{
	char id[MESSAGE_ID_SIZE];

	if (s->state != SESSION_SUBMIT_WAIT)
		return;
	session_begin(s);
	switch (result) {
	case SPOOL_OK:
		s->n_bad = 0;
		session_replyf(s, "250 2.0.0 Ok: queued as %s",
		    message_id_format(message, id));
		break;
	case SPOOL_FULL:
		session_reply(s, "452 4.3.1 Queue is full, try later");
		break;
	case SPOOL_FAILED:
		session_reply(s, REPLY_DISK);
		break;
	}
	session_reset(s);
	session_end(s);
}

void
smtp_session_submit_refused(struct smtp_session *s, const char *reply)
{
	if (s->state != SESSION_SUBMIT_WAIT)
		return;
	session_begin(s);
	if (reply[0] != '2')
		log_info("message_refused", LOG_STR("client", s->client),
		    LOG_STR("reply", reply));
	session_reply(s, reply);
	session_reset(s);
	session_end(s);
}

/* ---- DATA ---- */

const char *
session_data_check(const struct smtp_session *s, const char *args)
{
	(void)args;
	return s->state == SESSION_MAIL ? "554 5.5.1 No valid recipients"
					: NULL;
}

void
session_data(struct smtp_session *s, char *args)
{
	(void)args;
	if (content_begin(s) < 0) {
		session_reply(s, REPLY_DISK);
		session_reset(s);
		return;
	}
	session_enter(s, SESSION_DATA);
	session_reply(s, "354 End data with <CR><LF>.<CR><LF>");
}

/* ---- BDAT ---- */

static void
chunk_end(struct smtp_session *s)
{
	struct session_chunk chunk = s->chunk;
	const char *refusal = chunk.refusal;

	s->chunk = (struct session_chunk){ 0 };
	if (refusal != NULL) {
		session_enter(s, chunk.back);
		session_reply_bad(s, refusal);
		return;
	}
	session_enter(s, SESSION_BDAT);
	if (chunk.is_last) {
		content_reader_chunk_end(&s->content.reader);
		content_end(s);
		return;
	}
	refusal = content_refusal(s);
	if (refusal != NULL)
		session_reply(s, refusal);
	else
		session_replyf(s, "250 2.0.0 %llu octets received",
		    (unsigned long long)chunk.size);
}

static const char *
chunk_misplaced(const struct smtp_session *s)
{
	if (s->state == SESSION_RCPT || s->state == SESSION_BDAT)
		return NULL;
	if (s->state == SESSION_MAIL)
		return "554 5.5.1 No valid recipients";
	return session_misplaced(s);
}

/*
 * The octets of a chunk follow whatever we think of it, so a refused one is
 * read too, or its content would be taken for commands. Where the size can't
 * be read nobody knows where commands go on: then the session ends.
 */
void
session_bdat(struct smtp_session *s, char *args)
{
	struct session_chunk chunk = { 0 };

	if (smtp_bdat_parse(args, &chunk.size, &chunk.is_last) < 0) {
		session_reply(s, "501 5.5.4 Syntax: BDAT size [LAST]");
		session_reply(s,
		    "421 4.7.0 No telling where the chunk ends, "
		    "closing");
		session_close(s, "malformed BDAT", false);
		return;
	}
	chunk.n_left = chunk.size;
	chunk.back = s->state;
	chunk.refusal = chunk_misplaced(s);
	/* Nothing kept is needed to say no at the end of the chunk. */
	if (s->state == SESSION_RCPT)
		content_begin(s);
	s->chunk = chunk;
	session_enter(s, SESSION_CHUNK);
	if (chunk.size == 0)
		chunk_end(s);
}

/* ---- bytes ---- */

/* Once it is too big it is only read; what was kept goes at once. */
static void
content_watch_size(struct smtp_session *s)
{
	if (s->content.reader.faults != 0 ||
	    s->content.reader.n_bytes >
		(uint64_t)s->conf->limits.message_size_bytes)
		content_drop(s);
}

static size_t
chunk_input(struct smtp_session *s, const char *data, size_t len)
{
	if (len > s->chunk.n_left)
		len = (size_t)s->chunk.n_left;
	if (s->chunk.refusal == NULL) {
		content_reader_chunk(&s->content.reader, data, len);
		content_watch_size(s);
	}
	s->chunk.n_left -= len;
	if (s->chunk.n_left == 0)
		chunk_end(s);
	return len;
}

size_t
session_content_input(struct smtp_session *s, const char *data, size_t len)
{
	bool is_done;
	size_t n;

	if (s->state == SESSION_CHUNK)
		return chunk_input(s, data, len);
	n = content_reader_data(&s->content.reader, data, len, &is_done);
	content_watch_size(s);
	if (is_done)
		content_end(s);
	return n;
}
