/* SPDX-License-Identifier: ISC */
/*
 * A next hop that says anything at any time. Each recipient gets one result
 * and no second one, the client never loses its step, and a bare CR or LF
 * never leaves it.
 */
#include "sink/smtp_client.h"

#include "conf/base/strbuf.h"
#include "tests/fuzz/fuzz.h"

#define N_RECIPIENTS 4

struct world {
	struct conf_route route;
	struct smtp_client *client;
	struct envelope envelope;
	struct recipient recipients[N_RECIPIENTS];
	struct rcpt_result results[N_RECIPIENTS];
	struct transaction t;
	struct strbuf sent;
	char body[3000];
	bool wants_tls;
	bool is_busy;
	unsigned n_sent;
	unsigned n_closed;
};

static void
on_start_tls(void *arg)
{
	((struct world *)arg)->wants_tls = true;
}

static void
on_ready(void *arg)
{
	fuzz_check(!((struct world *)arg)->is_busy);
}

static void
on_done(void *arg)
{
	struct world *w = arg;

	fuzz_check(w->is_busy);
	w->is_busy = false;
	for (size_t i = 0; i < w->t.n_recipients; i++) {
		fuzz_check(w->results[i].fate != FATE_UNKNOWN);
		fuzz_check(w->results[i].reply != NULL);
		fuzz_check(w->results[i].fate != FATE_DELIVERED ||
		    w->results[i].code / 100 == 2);
	}
	transaction_fini_results(&w->t);
}

static void
on_close(void *arg, const char *why)
{
	struct world *w = arg;

	fuzz_check(why != NULL);
	fuzz_check(w->n_closed++ == 0);
}

static void
make_world(struct world *w, unsigned how, unsigned size)
{
	static char bad[] = "a.\r\n.b\rc\nd\r\n..\r\n\r\r\n\n";
	const struct client_ops ops = { .start_tls = on_start_tls,
		.ready = on_ready,
		.done = on_done,
		.close = on_close,
		.arg = w };

	w->route.next_hop.host = (char *)"127.0.0.1";
	w->route.tls_name = w->route.tls_ca = w->route.source = w->route.ehlo =
	    w->route.auth.user = w->route.auth.password = (char *)"";
	w->route.tls = how & 1 ? ROUTE_TLS_OPPORTUNISTIC : ROUTE_TLS_NONE;
	if (how & 2)
		w->route.auth.user = w->route.auth.password = (char *)"ann";
	w->envelope.sender = (char *)"s@example.com";
	w->envelope.has_8bit = how & 4;
	w->envelope.smtputf8 = how & 8;
	for (size_t i = 0; i < N_RECIPIENTS; i++) {
		w->recipients[i].address = (char *)"r@example.org";
		w->recipients[i].notify = NOTIFY_FAILURE;
	}
	for (size_t i = 0; i < sizeof(w->body); i++)
		w->body[i] = bad[i * (how & 16 ? 7 : 1) % (sizeof(bad) - 1)];
	w->t = (struct transaction){ .envelope = &w->envelope,
		.recipients = w->recipients,
		.n_recipients = 1 + how % N_RECIPIENTS,
		.results = w->results,
		.body = w->body,
		.body_len = size * sizeof(w->body) / 255 };
	if (how & 32) {
		w->t.prefix = "X-Mark: 1\r\n";
		w->t.prefix_len = strlen(w->t.prefix);
	}
	w->client = smtp_client_new(&w->route, "fuzz.example", &ops);
}

/* Takes what the client wrote; all of it ends with CRLF only. */
static void
drain(struct world *w)
{
	struct strbuf *out = smtp_client_out(w->client);

	while (out->len > 0) {
		strbuf_add(&w->sent, out->data, out->len);
		strbuf_reset(out);
		smtp_client_writable(w->client);
	}
}

static void
check_sent(const struct strbuf *sent)
{
	for (size_t i = 0; i < sent->len; i++) {
		if (sent->data[i] == '\n')
			fuzz_check(i > 0 && sent->data[i - 1] == '\r');
		if (sent->data[i] == '\r' && i + 1 < sent->len)
			fuzz_check(sent->data[i + 1] == '\n');
	}
}

/* Behind each BDAT lie just as many octets as it says, or the input ended
 * before; then a command, or nothing. */
static void
check_chunks(const struct strbuf *sent)
{
	const char *p = sent->data, *end = p + sent->len, *lf;

	while (p < end && (lf = memchr(p, '\n', (size_t)(end - p))) != NULL) {
		bool is_bdat = strncmp(p, "BDAT ", 5) == 0;
		size_t n = is_bdat ? strtoul(p + 5, NULL, 10) : 0;

		if (strncmp(p, "DATA", 4) == 0)
			return; /* dots end that */
		if (!is_bdat)
			fuzz_check(lf[-1] == '\r');
		p = lf + 1;
		if (n > (size_t)(end - p))
			return;
		p += n;
		if (is_bdat && p < end)
			fuzz_check(strncmp(p, "MAIL", 4) == 0 ||
			    strncmp(p, "RSET", 4) == 0 ||
			    strncmp(p, "QUIT", 4) == 0);
	}
}

/* What the pool would do now. */
static void
step(struct world *w)
{
	drain(w);
	if (w->wants_tls) {
		w->wants_tls = false;
		smtp_client_tls_done(w->client, true, "");
		drain(w);
	}
	if (smtp_client_state(w->client) != CLIENT_READY || w->is_busy)
		return;
	if (w->n_sent++ == 5) {
		smtp_client_quit(w->client);
	} else {
		w->is_busy = true;
		smtp_client_send(w->client, &w->t);
	}
	drain(w);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct fuzz in = { data, len };
	struct world *w = xcalloc(1, sizeof(*w));
	unsigned how = fuzz_byte(&in), size = fuzz_byte(&in);

	make_world(w, how, size);
	while (in.len > 0 && smtp_client_state(w->client) != CLIENT_CLOSED) {
		/* A step's bytes end with a byte 1, as no reply has one. */
		const uint8_t *end = memchr(in.data, 1, in.len);
		struct fuzz piece = { in.data,
			end != NULL ? (size_t)(end - in.data) : in.len };
		char *copy = fuzz_exact(&piece);

		smtp_client_input(w->client, copy, piece.len);
		free(copy);
		in.data += piece.len;
		in.len -= piece.len;
		fuzz_byte(&in);
		fuzz_check(smtp_client_timeout_us(w->client) >= 0);
		step(w);
	}
	smtp_client_lost(w->client, "the input's end");
	fuzz_check(!w->is_busy);
	check_sent(&w->sent);
	if (w->sent.len > 0)
		check_chunks(&w->sent);
	strbuf_fini(&w->sent);
	smtp_client_free(w->client);
	free(w);
	return 0;
}
