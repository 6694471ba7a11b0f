/* SPDX-License-Identifier: ISC */
/*
 * Envelopes as bytes on disk and back, and the ids that people see. The spool
 * writes and reads them; the sessions fill them. Pure: no I/O, no clock.
 *
 * The form: one octet of version, then the fields in order. Numbers are LEB128
 * (signed ones zigzag first), a string is its length + 1 and its octets, 0
 * standing for NULL. Id and number aren't in it: they are the keys.
 *
 * The one subtle rule: what is read may be any bytes (a damaged disk, another
 * program's file). A count is believed only as far as bytes are there for it,
 * a string holds no NUL, and what is left over makes the whole invalid.
 */
#include "sink/envelope.h"

#include <stdlib.h>
#include <string.h>

#include "conf/base/xalloc.h"

/* 1 had no checksum, and at first no stream in a delivery. */
#define VERSION		2
#define RECIPIENT_LEAST 3 /* octets that the shortest recipient takes */

/* ---- ids ---- */

static const char digits[] = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";

char *
message_id_format(uint64_t id, char out[MESSAGE_ID_SIZE])
{
	for (int i = MESSAGE_ID_SIZE - 2; i >= 0; i--) {
		out[i] = digits[id & 31];
		id >>= 5;
	}
	out[MESSAGE_ID_SIZE - 1] = '\0';
	return out;
}

/* Crockford: case doesn't matter, I and L are read as 1, O as 0. */
static int
digit_value(char c)
{
	const char *at;

	if (c >= 'a' && c <= 'z')
		c = (char)(c - 'a' + 'A');
	if (c == 'I' || c == 'L')
		return 1;
	if (c == 'O')
		return 0;
	at = c != '\0' ? strchr(digits, c) : NULL;
	return at ? (int)(at - digits) : -1;
}

int
message_id_parse(const char *text, uint64_t *id_out)
{
	uint64_t id = 0;
	int i;

	for (i = 0; i < MESSAGE_ID_SIZE - 1; i++) {
		int value = digit_value(text[i]);

		if (value < 0 || (i == 0 && value > 15))
			return -1;
		id = id << 5 | (uint64_t)value;
	}
	if (text[i] != '\0')
		return -1;
	*id_out = id;
	return 0;
}

/* ---- life ---- */

static void
recipient_fini(struct recipient *r)
{
	free(r->address);
	free(r->orcpt);
	*r = (struct recipient){ 0 };
}

void
delivery_fini(struct delivery *d)
{
	for (size_t i = 0; i < d->n_recipients; i++)
		recipient_fini(&d->recipients[i]);
	free(d->recipients);
	free(d->provider);
	free(d->site);
	free(d->last_reply);
	free(d->stream);
	*d = (struct delivery){ 0 };
}

void
envelope_fini(struct envelope *e)
{
	for (size_t i = 0; i < e->n_deliveries; i++)
		delivery_fini(&e->deliveries[i]);
	free(e->deliveries);
	free(e->sender);
	free(e->envid);
	free(e->stream);
	free(e->user);
	free(e->client);
	free(e->helo);
	*e = (struct envelope){ 0 };
}

struct recipient *
delivery_add(struct delivery *d, const char *address)
{
	size_t size = (d->n_recipients + 1) * sizeof(struct recipient);
	struct recipient *r;

	d->recipients = xrealloc(d->recipients, size);
	r = &d->recipients[d->n_recipients++];
	*r = (struct recipient){ .address = xstrdup(address) };
	return r;
}

/* ---- writing ---- */

static void
put_number(struct strbuf *out, uint64_t value)
{
	char buf[10];
	size_t n = 0;

	while (value > 127) {
		buf[n++] = (char)(value | 128);
		value >>= 7;
	}
	buf[n++] = (char)value;
	strbuf_add(out, buf, n);
}

static void
put_signed(struct strbuf *out, int64_t value)
{
	put_number(out, (uint64_t)value << 1 ^ (uint64_t)(value >> 63));
}

static void
put_string(struct strbuf *out, const char *s)
{
	size_t len;

	if (s == NULL) {
		put_number(out, 0);
		return;
	}
	len = strlen(s);
	put_number(out, len + 1);
	strbuf_add(out, s, len);
}

/* Of the envelope's flags octet. */
#define FLAG_SMTPUTF8 1
#define FLAG_8BIT     2
#define FLAG_CRC      4

void
envelope_encode(const struct envelope *e, struct strbuf *out)
{
	strbuf_reserve(out, 256);
	strbuf_addc(out, VERSION);
	put_signed(out, e->arrived_utc_us);
	put_string(out, e->sender);
	put_string(out, e->envid);
	put_number(out, e->ret);
	put_number(out, e->body);
	put_number(out,
	    (e->smtputf8 ? FLAG_SMTPUTF8 : 0u) |
		(e->has_8bit ? FLAG_8BIT : 0u) | (e->has_crc ? FLAG_CRC : 0u));
	put_string(out, e->stream);
	put_string(out, e->user);
	put_string(out, e->client);
	put_string(out, e->helo);
	put_number(out, e->size_bytes);
	put_number(out, e->content_crc);
}

void
delivery_encode(const struct delivery *d, struct strbuf *out)
{
	strbuf_reserve(out, 128);
	strbuf_addc(out, VERSION);
	put_string(out, d->provider);
	put_string(out, d->site);
	put_number(out, d->attempts);
	put_signed(out, d->due_utc_us);
	put_number(out, d->delay_warned);
	put_string(out, d->last_reply);
	put_string(out, d->stream);
	put_number(out, d->n_recipients);
	for (size_t i = 0; i < d->n_recipients; i++) {
		const struct recipient *r = &d->recipients[i];

		put_string(out, r->address);
		put_string(out, r->orcpt);
		put_number(out, r->notify);
	}
}

/* ---- reading ---- */

/* What isn't right sets is_bad, and all that is read after it is nothing: so
 * the fields can be read in a row and one look at the end is enough. */
struct reader {
	const uint8_t *p, *end;
	unsigned version;
	bool is_bad;
};

static uint64_t
get_number(struct reader *r, uint64_t most)
{
	uint64_t value = 0;
	unsigned shift = 0;

	while (!r->is_bad && r->p < r->end) {
		uint8_t octet = *r->p++;

		if (shift == 63 && octet > 1)
			break;
		value |= (uint64_t)(octet & 127) << shift;
		if (octet < 128) {
			r->is_bad = value > most;
			return r->is_bad ? 0 : value;
		}
		shift += 7;
	}
	r->is_bad = true;
	return 0;
}

static int64_t
get_signed(struct reader *r)
{
	uint64_t value = get_number(r, UINT64_MAX);

	return (int64_t)(value >> 1 ^ (0 - (value & 1)));
}

static char *
get_string(struct reader *r)
{
	uint64_t len = get_number(r, UINT64_MAX);
	const char *s = (const char *)r->p;

	if (r->is_bad || len-- == 0)
		return NULL;
	if (len > (uint64_t)(r->end - r->p) ||
	    memchr(s, '\0', (size_t)len) != NULL) {
		r->is_bad = true;
		return NULL;
	}
	r->p += len;
	return xstrndup(s, (size_t)len);
}

/* A string that must be there. */
static char *
get_text(struct reader *r)
{
	char *s = get_string(r);

	if (s == NULL)
		r->is_bad = true;
	return s;
}

static struct reader
begin(const void *data, size_t len)
{
	struct reader r = { .p = data, .end = (const uint8_t *)data + len };

	if (len > 0)
		r.version = *r.p++;
	if (r.version < 1 || r.version > VERSION)
		r.is_bad = true;
	return r;
}

static bool
is_whole(const struct reader *r)
{
	return !r->is_bad && r->p == r->end;
}

int
envelope_decode(const void *data, size_t len, struct envelope *out)
{
	struct reader r = begin(data, len);
	uint64_t flags;

	*out = (struct envelope){ 0 };
	out->arrived_utc_us = get_signed(&r);
	out->sender = get_text(&r);
	out->envid = get_string(&r);
	out->ret = (enum dsn_ret)get_number(&r, RET_HDRS);
	out->body = (enum body_type)get_number(&r, BODY_8BITMIME);
	flags = get_number(&r, FLAG_SMTPUTF8 | FLAG_8BIT | FLAG_CRC);
	out->smtputf8 = flags & FLAG_SMTPUTF8;
	out->has_8bit = flags & FLAG_8BIT;
	out->has_crc = flags & FLAG_CRC;
	out->stream = get_string(&r);
	out->user = get_string(&r);
	out->client = get_string(&r);
	out->helo = get_string(&r);
	out->size_bytes = get_number(&r, UINT64_MAX);
	if (r.version > 1)
		out->content_crc = (uint32_t)get_number(&r, UINT32_MAX);
	if (is_whole(&r))
		return 0;
	envelope_fini(out);
	return -1;
}

static void
get_recipients(struct reader *r, struct delivery *out)
{
	uint64_t n = get_number(r, UINT32_MAX);

	if (r->is_bad || n > (uint64_t)(r->end - r->p) / RECIPIENT_LEAST) {
		r->is_bad = true;
		return;
	}
	out->recipients = xcalloc(n ? (size_t)n : 1, sizeof(*out->recipients));
	while (!r->is_bad && out->n_recipients < n) {
		struct recipient *to = &out->recipients[out->n_recipients++];

		to->address = get_text(r);
		to->orcpt = get_string(r);
		to->notify = (uint8_t)get_number(r, UINT8_MAX);
	}
}

/* False: it isn't such a delivery. */
static bool
get_delivery(struct reader *r, bool has_stream, struct delivery *out)
{
	*out = (struct delivery){ 0 };
	out->provider = get_text(r);
	out->site = get_string(r);
	out->attempts = (uint32_t)get_number(r, UINT32_MAX);
	out->due_utc_us = get_signed(r);
	out->delay_warned = get_number(r, 1) != 0;
	out->last_reply = get_string(r);
	if (has_stream)
		out->stream = get_string(r);
	get_recipients(r, out);
	if (is_whole(r))
		return true;
	delivery_fini(out);
	return false;
}

int
delivery_decode(const void *data, size_t len, struct delivery *out)
{
	struct reader r = begin(data, len), first = r;

	if (get_delivery(&r, true, out))
		return 0;
	return r.version == 1 && get_delivery(&first, false, out) ? 0 : -1;
}
