/* SPDX-License-Identifier: ISC */
/*
 * The notices that a settlement owes to the sender, as messages of our own:
 * null reverse-path, to the old sender, in the stream SPOOL_DSN_STREAM. They
 * are made inside the transaction that settles, so there is exactly one of
 * each, whatever happens. What a notice says is sink/dsn.c's; here is decided
 * about whom, and what of the message is quoted.
 *
 * A null sender is never written to, and an answer to a notice bounces into
 * nothing: NOTIFY=NEVER.
 */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "conf/base/address.h"
#include "conf/base/log.h"
#include "conf/base/xalloc.h"
#include "daemon/spool_private.h"
#include "sink/dsn.h"
#include "sink/smtp_reply.h"

/* RET=FULL returns the whole content up to this, else the header section. */
#define QUOTED_BYTES_MAX 65536

struct quoted {
	char *data;
	size_t len;	    /* of data */
	size_t headers_len; /* with the last field's CRLF */
	bool is_whole;
};

/* ---- the content ---- */

static char *
read_file(const struct spool *spool, uint64_t id, size_t *len_out)
{
	char name[BODY_NAME_SIZE];
	char *data = xmalloc(QUOTED_BYTES_MAX);
	int fd =
	    openat(spool->bodies_fd, body_name(id, name), O_RDONLY | O_CLOEXEC);
	ssize_t n = fd >= 0 ? pread(fd, data, QUOTED_BYTES_MAX, 0) : -1;

	if (fd >= 0)
		close(fd);
	if (n < 0)
		log_warn("notice_without_content", LOG_STR("body", name));
	*len_out = n > 0 ? (size_t)n : 0;
	return data;
}

/* The header section ends before the first empty line; where that isn't in
 * sight, behind the last whole line. */
static size_t
headers_end(const char *data, size_t len)
{
	const char *end;

	if (len >= 2 && memcmp(data, "\r\n", 2) == 0)
		return 0;
	end = memmem(data, len, "\r\n\r\n", 4);
	if (end != NULL)
		return (size_t)(end - data) + 2;
	while (len >= 2 && memcmp(data + len - 2, "\r\n", 2) != 0)
		len--;
	return len >= 2 ? len : 0;
}

static void
quote(struct turn *t, const struct envelope *e, struct quoted *out)
{
	MDB_val body;

	if (record_get_body(&t->spool->store, t->txn, e->id, &body) == 0) {
		out->len = body.mv_size;
		if (out->len > QUOTED_BYTES_MAX)
			out->len = QUOTED_BYTES_MAX;
		out->data = xmemdup(body.mv_data, out->len);
	} else {
		out->data = read_file(t->spool, e->id, &out->len);
	}
	out->is_whole = out->len == e->size_bytes;
	out->headers_len = headers_end(out->data, out->len);
}

/* ---- about whom ---- */

static const char *const default_status[] = {
	[DSN_FAILED] = "5.0.0",
	[DSN_DELAYED] = "4.0.0",
	[DSN_DELIVERED] = "2.0.0",
	[DSN_RELAYED] = "2.0.0",
};

/* What was decided, else what the reply says, else the bare class. Its class
 * is the outcome's: a 4.4.7 that has ended is a 5.4.7. */
static void
set_status(struct dsn_recipient *row, const struct spool_rcpt *said)
{
	const char *bare = default_status[row->action];

	if (said != NULL)
		memcpy(row->status, said->status, sizeof(row->status));
	if (*row->status == '\0' && row->reply != NULL)
		smtp_enhanced_of(row->reply, row->status);
	if (*row->status == '\0')
		memcpy(row->status, bare, strlen(bare) + 1);
	row->status[0] = bare[0];
}

static bool
is_case(enum dsn_action action, const struct spool_request *q,
    const struct delivery *d, size_t i)
{
	enum spool_fate fate = i < q->n_rcpts ? q->rcpts[i].fate : SPOOL_KEEP;

	switch (action) {
	case DSN_FAILED:
		return fate == SPOOL_FAILED_FOR_GOOD;
	case DSN_RELAYED:
		return fate == SPOOL_DELIVERED && !q->rcpts[i].dsn_passed;
	case DSN_DELAYED:
		return q->delay_warning && !d->delay_warned &&
		    (fate == SPOOL_KEEP || fate == SPOOL_MOVE);
	case DSN_DELIVERED:
		break;
	}
	return false;
}

static size_t
choose_recipients(struct turn *t, enum dsn_action action,
    const struct spool_request *q, const struct envelope *e,
    const struct delivery *d, struct dsn_recipient *out)
{
	size_t n = 0;

	for (size_t i = 0; i < d->n_recipients; i++) {
		const struct recipient *r = &d->recipients[i];
		const struct spool_rcpt *said =
		    i < q->n_rcpts ? &q->rcpts[i] : NULL;
		struct dsn_recipient *row = &out[n];

		if (!is_case(action, q, d, i) || !dsn_is_wanted(e, r, action))
			continue;
		*row = (struct dsn_recipient){ .recipient = r,
			.action = action,
			.reply = said ? said->reply : NULL,
			.remote_mta = q->next_hop };
		/* Expired, or only waiting: the last thing that was said. */
		if (row->reply == NULL &&
		    (action == DSN_FAILED || action == DSN_DELAYED))
			row->reply = d->last_reply;
		set_status(row, said);
		if (action == DSN_DELAYED)
			row->will_retry_until_utc_us =
			    e->arrived_utc_us + t->spool->settings.expire_us;
		n++;
	}
	return n;
}

/* ---- the notice ---- */

static void
address_notice(struct spool *spool, const char *to, struct envelope *out)
{
	struct delivery *d = xcalloc(1, sizeof(*d));

	*out = (struct envelope){ .arrived_utc_us = spool_io.utc_us(),
		.sender = xstrdup(""),
		.stream = xstrdup(SPOOL_DSN_STREAM),
		.user = xstrdup(""),
		.client = xstrdup(""),
		.helo = xstrdup(""),
		.deliveries = d,
		.n_deliveries = 1 };
	if (spool->ops.classify != NULL) {
		spool->ops.classify(to, &d->provider, &d->site, spool->ops.arg);
	} else {
		d->provider = xstrdup("other");
		d->site = xstrdup(address_domain(to));
	}
	delivery_add(d, to)->notify = NOTIFY_NEVER;
}

static bool
has_high_bit(const struct strbuf *b)
{
	for (size_t i = 0; i < b->len; i++)
		if ((unsigned char)b->data[i] > 127)
			return true;
	return false;
}

static void
write_notice(struct turn *t, const struct envelope *e,
    const struct dsn_recipient *rows, size_t n_rows, const struct quoted *text,
    struct notice *out)
{
	bool wants_whole =
	    e->ret == RET_FULL && rows->action == DSN_FAILED && text->is_whole;
	struct dsn_report report = {
		.reporting_mta = t->spool->settings.hostname,
		.envelope = e,
		.recipients = rows,
		.n_recipients = n_rows,
		.headers = text->data,
		.headers_len = text->headers_len,
		.body = wants_whole ? text->data : NULL,
		.body_len = wants_whole ? text->len : 0,
		.now_utc_us = spool_io.utc_us(),
	};
	struct envelope *n = &out->envelope;

	address_notice(t->spool, e->sender, n);
	out->content = (struct strbuf){ 0 };
	dsn_write(&report, &out->content, &n->smtputf8);
	n->has_8bit = has_high_bit(&out->content);
	n->body = n->has_8bit ? BODY_8BITMIME : BODY_ABSENT;
	n->size_bytes = out->content.len;
	n->content_crc = content_crc(0, out->content.data, out->content.len);
	n->has_crc = true;
}

size_t
notices_make(struct turn *t, const struct spool_request *q,
    const struct envelope *e, const struct delivery *d,
    struct notice out[NOTICES_MAX])
{
	static const enum dsn_action actions[NOTICES_MAX] = { DSN_FAILED,
		DSN_DELAYED, DSN_RELAYED };
	struct dsn_recipient *rows;
	struct quoted text = { 0 };
	size_t n = 0;

	if (*e->sender == '\0')
		return 0;
	rows = xcalloc(d->n_recipients, sizeof(*rows));
	for (size_t i = 0; i < NOTICES_MAX; i++) {
		size_t n_rows = choose_recipients(t, actions[i], q, e, d, rows);

		if (n_rows == 0)
			continue;
		if (text.data == NULL)
			quote(t, e, &text);
		write_notice(t, e, rows, n_rows, &text, &out[n++]);
	}
	free(text.data);
	free(rows);
	return n;
}

void
notice_fini(struct notice *n)
{
	envelope_fini(&n->envelope);
	strbuf_fini(&n->content);
}
