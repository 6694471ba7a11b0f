/* SPDX-License-Identifier: ISC */
/*
 * A client's bytes against the whole session: in one piece and cut, with
 * answers at once and late, it is told the same; what is kept of a message
 * holds no bare CR or LF; what lay in clear behind STARTTLS is nobody's.
 */
#include "daemon/smtp_session.h"

#include "conf/base/log.h"
#include "conf/base/rng.h"
#include "conf/base/strbuf.h"
#include "tests/fuzz/fuzz.h"

/* ---- a body and a configuration of our own ---- */

struct body {
	struct strbuf data;
};

static unsigned n_bodies;

struct body *
body_new(struct spool *spool)
{
	(void)spool;
	n_bodies++;
	return xcalloc(1, sizeof(struct body));
}

int
body_add(struct body *b, const void *data, size_t len, struct err *err_out)
{
	(void)err_out;
	strbuf_add(&b->data, data, len);
	return 0;
}

uint64_t
body_len(const struct body *b)
{
	return b->data.len;
}

void
body_free(struct body *b)
{
	n_bodies--;
	strbuf_fini(&b->data);
	free(b);
}

struct conf *
conf_ref(const struct conf *conf)
{
	return (struct conf *)conf;
}

void
conf_unref(const struct conf *conf)
{
	(void)conf;
}

static char host[] = "mx.example";
static struct conf_header_match match = { (char *)"X-Stream", (char *)"*" };
static struct conf_stream stream = {
	.match = { .header = &match, .n_header = 1 },
};
static const struct conf_listener listeners[] = {
	{ .tls = LISTENER_TLS_NONE, .auth = LISTENER_AUTH_NONE },
	{ .tls = LISTENER_TLS_STARTTLS, .auth = LISTENER_AUTH_REQUIRED },
	{ .tls = LISTENER_TLS_NONE,
	    .auth = LISTENER_AUTH_REQUIRED,
	    .plaintext_auth = true },
};
static const struct conf conf = {
	.daemon = { .hostname = host },
	.limits = { .message_size_bytes = 2000,
	    .recipients = 3,
	    .command_timeout_us = 300000000,
	    .data_timeout_us = 600000000,
	    .auth_failures = 2,
	    .bad_commands = 20,
	    .received_hops = 2 },
	.streams = &stream,
	.n_streams = 1,
};

/* ---- the session's owner ---- */

enum due { NOTHING, TLS_DUE, AUTH_DUE, SUBMIT_DUE };

struct server {
	struct smtp_session *s;
	struct strbuf told; /* replies */
	struct strbuf kept; /* what became of messages */
	bool is_late;
	bool has_started_tls;
	bool is_closed;
	enum due due;
	bool is_good;
};

static void
answer(struct server *v)
{
	enum due due = v->due;
	struct auth_identity *who = NULL;

	v->due = NOTHING;
	switch (due) {
	case NOTHING:
		return;
	case TLS_DUE:
		smtp_session_tls_done(v->s, "TLSv1.3 X");
		return;
	case AUTH_DUE:
		if (v->is_good) {
			who = xcalloc(1, sizeof(*who));
			who->name = xstrdup("ann");
			who->stream = xstrdup("");
		}
		smtp_session_auth_done(v->s, who, false);
		return;
	case SUBMIT_DUE:
		smtp_session_submit_done(v->s, SPOOL_OK, 1);
		return;
	}
}

static void
set_due(struct server *v, enum due due)
{
	fuzz_check(v->due == NOTHING && !v->is_closed);
	v->due = due;
	if (!v->is_late)
		answer(v);
}

static void
on_write(void *arg, const char *data, size_t len)
{
	struct server *v = arg;

	fuzz_check(len > 0 && !v->is_closed);
	for (size_t i = 0; i < len; i++)
		fuzz_check(data[i] != '\0' &&
		    (data[i] != '\n' || (i > 0 && data[i - 1] == '\r')));
	strbuf_add(&v->told, data, len);
}

static void
on_start_tls(void *arg)
{
	struct server *v = arg;

	v->has_started_tls = true;
	set_due(v, TLS_DUE);
}

static void
on_check_password(void *arg, const char *user, const char *password)
{
	struct server *v = arg;

	v->is_good = strcmp(user, "ann") == 0 && *password != '\0';
	set_due(v, AUTH_DUE);
}

static void
check_envelope(const struct envelope *e)
{
	const struct delivery *d = &e->deliveries[0];

	fuzz_check(e->n_deliveries == 1);
	fuzz_check(d->n_recipients >= 1 && d->n_recipients <= 3);
	for (size_t i = 0; i < d->n_recipients; i++)
		fuzz_check(strpbrk(d->recipients[i].address, "\r\n") == NULL);
	fuzz_check(strpbrk(e->sender, "\r\n") == NULL);
}

static void
check_content(const struct strbuf *text)
{
	fuzz_check(text->len > 2);
	fuzz_check(memcmp(text->data + text->len - 2, "\r\n", 2) == 0);
	for (size_t i = 0; i < text->len; i++) {
		fuzz_check(text->data[i] != '\0');
		if (text->data[i] == '\n')
			fuzz_check(i > 0 && text->data[i - 1] == '\r');
		if (text->data[i] == '\r')
			fuzz_check(text->data[i + 1] == '\n');
	}
}

static void
on_submit(void *arg, struct envelope *envelope_take, struct body *body_take)
{
	struct server *v = arg;
	const char *value = smtp_session_header(v->s, "X-Stream");

	check_envelope(envelope_take);
	check_content(&body_take->data);
	fuzz_check(body_take->data.len == envelope_take->size_bytes);
	strbuf_addf(&v->kept, "(message <%s> %zu stream %s)\n",
	    envelope_take->sender, envelope_take->deliveries[0].n_recipients,
	    value ? value : "-");
	envelope_fini(envelope_take);
	*envelope_take = (struct envelope){ 0 };
	body_free(body_take);
	set_due(v, SUBMIT_DUE);
}

static struct body *
on_body_new(void *arg)
{
	(void)arg;
	return body_new(NULL);
}

static bool
on_may_submit(void *arg, const struct auth_identity *who, unsigned n)
{
	(void)arg;
	fuzz_check(n == 1);
	return who != NULL;
}

static void
on_close(void *arg, const char *why, bool abusive)
{
	struct server *v = arg;

	fuzz_check(!v->is_closed);
	v->is_closed = true;
	strbuf_addf(&v->told, "(closed: %s %d)\n", why, abusive);
}

static void
open_session(struct server *v, unsigned kind)
{
	static const struct session_ops template = { .write = on_write,
		.start_tls = on_start_tls,
		.check_password = on_check_password,
		.submit = on_submit,
		.body_new = on_body_new,
		.may_submit = on_may_submit,
		.close = on_close };
	struct session_ops ops = template;
	struct session_setup setup = { .conf = &conf,
		.listener = &listeners[kind % 3],
		.client = "[192.0.2.1]",
		.is_trusted = kind < 3,
		.has_tls_context = kind % 3 == 1 };

	ops.arg = v;
	v->s = smtp_session_new(&setup, &ops);
	smtp_session_greet(v->s);
}

static void
feed(struct server *v, const struct fuzz *in, uint64_t seed)
{
	struct rng rng = { seed };
	size_t at = 0;

	while (at < in->len && !v->is_closed && !v->has_started_tls) {
		size_t n = seed == 0 ? in->len - at : 1 + rng_below(&rng, 30);
		struct fuzz piece;
		char *copy;

		if (n > in->len - at)
			n = in->len - at;
		piece = (struct fuzz){ in->data + at, n };
		copy = fuzz_exact(&piece);
		n = smtp_session_input(v->s, copy, n, (int64_t)at);
		free(copy);
		at += n;
		fuzz_check(n > 0 || v->due != NOTHING);
		answer(v);
	}
}

/* Cut as the seed says; 0: not at all. */
static void
run(unsigned kind, const struct fuzz *in, uint64_t seed, bool is_late,
    struct strbuf *told_out)
{
	struct server v = { .is_late = is_late };

	open_session(&v, kind);
	feed(&v, in, seed);
	/* How much lay behind STARTTLS depends on the cuts, and all of it is
	 * thrown away. */
	if (!v.is_closed && seed % 2 == 1)
		smtp_session_shutdown(v.s);
	smtp_session_free(v.s);
	fuzz_check(n_bodies == 0);
	/* Replies are written at a turn's end, so only both apart compare. */
	strbuf_add(&v.told, v.kept.data, v.kept.len);
	strbuf_fini(&v.kept);
	*told_out = v.told;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct fuzz in = { data, len };
	unsigned kind = fuzz_byte(&in) % 6;
	uint64_t seed = 2 + 2 * (uint64_t)fuzz_byte(&in);
	struct strbuf whole, cut, shut;

	log_init(LOG_LEVEL_ERROR, LOG_FORMAT_TEXT);
	run(kind, &in, 0, false, &whole);
	run(kind, &in, seed, true, &cut);
	fuzz_check(strcmp(whole.data, cut.data) == 0);
	run(kind, &in, seed + 1, true, &shut);
	strbuf_fini(&whole);
	strbuf_fini(&cut);
	strbuf_fini(&shut);
	return 0;
}
