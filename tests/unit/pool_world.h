/* SPDX-License-Identifier: ISC */
#ifndef FLYBALL_POOL_WORLD_H
#define FLYBALL_POOL_WORLD_H

/*
 * A pool, and next hops on loopback that follow scripts, on one event loop.
 * The i-th connection to a server plays its i-th script, the last one being
 * that of all others.
 */
#include "sink/pool.h"

#include "scripted_peer.h"

#include <arpa/inet.h>
#include <event2/event_struct.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include "conf/base/clock.h"
#include "sink/stream.h"
#include "sink/tls.h"
#include "tls_fixture.h"

#define HELLO	   "Subject: hello\r\n\r\n.dot\r\nhello\r\n"
#define N_SESSIONS 32

/* ---- next hops ---- */

struct server;

struct session {
	struct server *server;
	struct stream *stream;
	struct peer peer;
};

struct server {
	struct event_base *base;
	struct event event;
	int fd;
	struct sockaddr_in at;
	char where[40]; /* "127.0.0.1:4711" */
	const char *caps;
	const char *scripts[8];
	SSL_CTX *tls;
	bool is_implicit;
	bool breaks_tls;   /* closes where the handshake would begin */
	bool is_mute;	   /* no greeting */
	bool is_piecemeal; /* replies in two writes, and with Nagle */
	struct session sessions[N_SESSIONS];
	size_t n_sessions;
	int n_resumed; /* TLS */
	struct sockaddr_in last_client;
};

/* As Postfix does: the first reply by itself, the rest after it. */
static inline void
push_in_pieces(struct session *s)
{
	struct strbuf *out = &s->peer.out;
	int fd = stream_fd(s->stream), off = 0;
	char *lf = memchr(out->data, '\n', out->len);
	size_t len = (size_t)(lf + 1 - out->data);

	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &off, sizeof(off));
	assert_true(send(fd, out->data, len, 0) == (ssize_t)len);
	strbuf_consume(out, len);
	if (out->len > 0)
		assert_true(send(fd, out->data, out->len, 0) > 0);
	strbuf_reset(out);
}

static inline void
session_push(struct session *s)
{
	struct peer *p = &s->peer;

	if (s->server->is_piecemeal && p->out.len > 0 && !p->is_gone)
		push_in_pieces(s);
	if (p->out.len > 0)
		stream_write(s->stream, p->out.data, p->out.len);
	strbuf_reset(&p->out);
	if (p->is_gone) {
		stream_free_flush(s->stream);
		s->stream = NULL;
	} else if (p->wants_tls) {
		p->wants_tls = false;
		p->has_tls = true;
		if (s->server->breaks_tls)
			stream_free_flush(s->stream);
		else
			stream_start_tls(s->stream, SSL_new(s->server->tls),
			    true);
		if (s->server->breaks_tls)
			s->stream = NULL;
	}
}

static inline size_t
on_session_input(void *arg, const char *data, size_t len)
{
	struct session *s = arg;

	peer_feed(&s->peer, data, len);
	session_push(s);
	return len;
}

static inline void
session_greet(struct session *s)
{
	if (s->server->is_mute)
		return;
	peer_greet(&s->peer);
	session_push(s);
}

static inline void
on_session_tls(void *arg, bool ok)
{
	struct session *s = arg;

	if (!ok) {
		stream_free(s->stream);
		s->stream = NULL;
		return;
	}
	s->server->n_resumed +=
	    SSL_session_reused((SSL *)(uintptr_t)stream_ssl(s->stream));
	if (s->server->is_implicit)
		session_greet(s);
}

static inline void
on_session_ended(void *arg, enum stream_end how)
{
	struct session *s = arg;

	(void)how;
	stream_free(s->stream);
	s->stream = NULL;
}

static const struct stream_ops session_ops = { .input = on_session_input,
	.tls_done = on_session_tls,
	.ended = on_session_ended };

static inline void
on_accept(evutil_socket_t fd, short what, void *arg)
{
	struct server *v = arg;
	struct session *s = &v->sessions[v->n_sessions];
	socklen_t len = sizeof(v->last_client);
	size_t script = 0;
	int client = accept4(fd, (struct sockaddr *)&v->last_client, &len,
	    SOCK_NONBLOCK);

	(void)what;
	assert_true(client >= 0 && v->n_sessions < N_SESSIONS);
	while (script < v->n_sessions && v->scripts[script + 1] != NULL)
		script++;
	s->server = v;
	s->peer =
	    (struct peer){ .caps = v->caps, .script = v->scripts[script] };
	v->n_sessions++;
	s->stream = stream_new(v->base, client, &session_ops, s);
	if (v->is_implicit)
		stream_start_tls(s->stream, SSL_new(v->tls), true);
	else
		session_greet(s);
}

static inline bool
server_open_at(struct server *v, struct event_base *base, const char *address,
    uint16_t port)
{
	socklen_t len = sizeof(v->at);

	memset(v, 0, sizeof(*v));
	v->base = base;
	v->caps = "PIPELINING;8BITMIME";
	v->at.sin_family = AF_INET;
	v->at.sin_port = htons(port);
	inet_pton(AF_INET, address, &v->at.sin_addr);
	v->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
	if (bind(v->fd, (struct sockaddr *)&v->at, len) < 0) {
		close(v->fd);
		return false;
	}
	assert_int_equal(listen(v->fd, 64), 0);
	getsockname(v->fd, (struct sockaddr *)&v->at, &len);
	snprintf(v->where, sizeof(v->where), "%s:%u", address,
	    ntohs(v->at.sin_port));
	event_assign(&v->event, base, v->fd, EV_READ | EV_PERSIST, on_accept,
	    v);
	event_add(&v->event, NULL);
	return true;
}

static inline void
server_open(struct server *v, struct event_base *base)
{
	assert_true(server_open_at(v, base, "127.0.0.1", 0));
}

static inline void
server_use_tls(struct server *v, struct pki *pki, const char *certificate)
{
	struct conf_tls tls = { .certificate =
				    tls_file(pki, certificate, ".pem"),
		.key = tls_file(pki, certificate, ".key"),
		.min_version = (char *)"1.2" };
	struct err err;

	v->tls = tls_server_context(&tls, &err);
	assert_non_null(v->tls);
}

static inline void
server_close(struct server *v)
{
	event_del(&v->event);
	close(v->fd);
	for (size_t i = 0; i < v->n_sessions; i++) {
		stream_free(v->sessions[i].stream);
		peer_fini(&v->sessions[i].peer);
	}
	SSL_CTX_free(v->tls);
}

static inline int
server_n_taken(const struct server *v)
{
	int n = 0;

	for (size_t i = 0; i < v->n_sessions; i++)
		n += v->sessions[i].peer.n_taken;
	return n;
}

/* Whether the i-th session was told this. */
static inline bool
was_told(const struct server *v, size_t i, const char *what)
{
	const struct peer *p = &v->sessions[i].peer;

	return (p->lines.len > 0 && strstr(p->lines.data, what) != NULL) ||
	    (p->log.len > 0 && strstr(p->log.data, what) != NULL);
}

/* ---- configuration ---- */

/* `routes` is the YAML below the key; the first is the default one's. */
static inline struct conf *
make_conf(const char *routes)
{
	struct strbuf text = { 0 }, errors = { 0 };
	struct conf *conf;

	strbuf_addf(&text,
	    "daemon: {hostname: flyball.example}\n"
	    "routes:\n%s"
	    "streams:\n  default: {routes: [r]}\n",
	    routes);
	conf = conf_load_text("test", text.data, text.len, &errors);
	if (conf == NULL)
		fail_msg("%s", errors.data);
	strbuf_fini(&text);
	strbuf_fini(&errors);
	return conf;
}

/* ---- jobs ---- */

struct test_job {
	struct pool_job job;
	struct envelope envelope;
	struct recipient recipient;
	struct rcpt_result result;
	int n_done;
};

/* Made once, kept to the end. */
static inline const struct reply_rules *
built_in_rules(void)
{
	static const struct reply_rules *rules;

	if (rules == NULL)
		rules = reply_rules_new(NULL, NULL);
	return rules;
}

static inline void
job_init(struct test_job *j)
{
	memset(j, 0, sizeof(*j));
	j->envelope.sender = (char *)"sender@example.com";
	j->recipient.address = (char *)"rcpt@example.org";
	j->job.transaction = (struct transaction){ .envelope = &j->envelope,
		.rules = built_in_rules(),
		.recipients = &j->recipient,
		.n_recipients = 1,
		.results = &j->result,
		.provider = "other",
		.body = HELLO,
		.body_len = strlen(HELLO) };
	j->job.arg = j;
}

static inline void
job_fini(struct test_job *j)
{
	transaction_fini_results(&j->job.transaction);
	free(j->job.refusal);
}

static inline void
on_job_done(struct pool_job *job, void *arg)
{
	(void)arg;
	((struct test_job *)job->arg)->n_done++;
}

/* ---- the loop ---- */

static inline void
turn(struct event_base *base)
{
	event_base_loop(base, EVLOOP_ONCE | EVLOOP_NONBLOCK);
}

/* Until `is_so`, for at most five seconds. */
#define run_until(base, is_so)                                \
	do {                                                  \
		int64_t end_us_ = clock_mono_us() + 5000000;  \
		while (!(is_so) && clock_mono_us() < end_us_) \
			turn(base);                           \
		assert_true(is_so);                           \
	} while (0)

#endif
