/* SPDX-License-Identifier: ISC */
/*
 * One server session on its socket: feeds the session's machine from the
 * stream, keeps its deadlines, and carries what takes time (passwords, the
 * commit) to other threads and back.
 *
 * The subtle rule: an answer from another thread may come when the client is
 * long gone. So a session that awaits one outlives its stream (`stream` is
 * NULL then) and goes with the answer.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <utlist.h>

#include <arpa/inet.h>

#include "conf/base/clock.h"
#include "conf/base/log.h"
#include "conf/base/log_limit.h"
#include "conf/base/xalloc.h"
#include "daemon/session_io_private.h"
#include "sink/tls.h"

/* Whoever is slow to read its last replies holds up our end for so long. */
#define DRAINING_US 5000000

/* Whoever connects can cause one. */
static struct log_limit tls_failed = { .event = "tls_failed" };

static const struct stream_ops session_stream_ops;

/* ---- life ---- */

static void
session_release(struct session_io *s)
{
	struct worker *w = s->worker;

	if (s->n_awaited > 0 || s->stream != NULL)
		return;
	DL_DELETE(w->sessions, s);
	w->n_sessions--;
	atomic_fetch_sub(&w->shared->n_sessions, 1);
	smtp_session_free(s->smtp);
	conf_unref(s->conf);
	free(s);
	worker_check_drained(w);
}

/* The client is gone, or shall go once what is written is out. */
static void
session_close(struct session_io *s, bool flush)
{
	struct worker *w = s->worker;

	if (s->stream == NULL)
		return;
	if (s->is_abusive)
		peer_penalise(w->shared->peers, (struct sockaddr *)&s->peer,
		    clock_mono_us(), s->conf->limits.penalty_us);
	peer_release(w->shared->peers, (struct sockaddr *)&s->peer);
	if (flush)
		stream_free_flush(s->stream);
	else
		stream_free(s->stream);
	s->stream = NULL;
	session_release(s);
}

static int64_t
parting_timeout_us(const struct session_io *s)
{
	int64_t command_us = s->conf->limits.command_timeout_us;

	if (s->worker->is_draining && command_us > DRAINING_US)
		return DRAINING_US;
	return command_us;
}

/* It may read what it was told: a client that misses the 250 for its mail sends
 * that mail again. Meanwhile it keeps its place in all counts, and has as long
 * as for a command. */
static void
session_part(struct session_io *s)
{
	if (s->is_abusive || !stream_drain(s->stream)) {
		session_close(s, true);
		return;
	}
	s->is_parting = true;
	stream_set_timeout(s->stream, parting_timeout_us(s));
}

static bool
has_unread_replies(const struct session_io *s)
{
	return stream_queued(s->stream) >= STREAM_LOW_WATER;
}

/* The machine says until when the client has time: all chunks of a message
 * share one deadline, and no reply moves it. */
static void
keep_time(struct session_io *s)
{
	int64_t deadline_us = smtp_session_deadline_us(s->smtp);
	int64_t left_us;

	/* Nobody is to blame for the time that our own disk takes; a TLS
	 * handshake is the client's. */
	if (s->n_awaited > 0) {
		s->deadline_us = 0;
		stream_set_timeout(s->stream, 0);
		return;
	}
	if (deadline_us == s->deadline_us)
		return;
	s->deadline_us = deadline_us;
	if (deadline_us == INT64_MAX)
		left_us = smtp_session_timeout_us(s->smtp);
	else
		left_us = deadline_us - clock_mono_us();
	stream_set_timeout(s->stream, left_us > 0 ? left_us : 1);
}

/* After an answer from elsewhere: the client's time begins now. */
static void
begin_time(struct session_io *s)
{
	smtp_session_input(s->smtp, "", 0, clock_mono_us());
}

/* After any step of the machine; may free s. */
static void
session_after(struct session_io *s)
{
	if (s->stream == NULL) {
		session_release(s);
		return;
	}
	if (s->is_closing) {
		session_part(s);
		return;
	}
	keep_time(s);
	/* A client that closes its side behind the last dot gets its answer.
	 * One that doesn't read its replies isn't heard until it does: they
	 * would pile up here without end. */
	if (s->n_awaited > 0 || has_unread_replies(s))
		stream_hold(s->stream);
}

/* ---- the machine's wishes ---- */

static void
on_write(void *arg, const char *data, size_t len)
{
	struct session_io *s = arg;

	if (s->stream != NULL)
		stream_write(s->stream, data, len);
}

static void
on_close(void *arg, const char *why, bool abusive)
{
	struct session_io *s = arg;

	log_debug("session_end", LOG_STR("client", s->client),
	    LOG_STR("why", why));
	s->is_closing = true;
	s->is_abusive = abusive;
}

static void
on_start_tls(void *arg)
{
	struct session_io *s = arg;

	/* A renewed certificate holds for old sessions' STARTTLS too. */
	stream_start_tls(s->stream, SSL_new(s->worker->rt->server_tls), true);
}

static void
deliver_auth(struct session_io *s, struct auth_identity *who, bool temporary)
{
	bool was_stepping = s->is_stepping;

	s->n_awaited--;
	/* Also of one who hung up without waiting for the answer. */
	if (who == NULL && !temporary)
		peer_failed_auth(s->worker->shared->peers,
		    (struct sockaddr *)&s->peer, &s->conf->limits,
		    clock_mono_us());
	if (s->stream == NULL) {
		auth_identity_free(who);
		session_release(s);
		return;
	}
	s->is_stepping = true;
	smtp_session_auth_done(s->smtp, who, temporary);
	s->is_stepping = was_stepping;
	if (was_stepping)
		return;
	begin_time(s);
	stream_resume(s->stream);
	session_after(s);
}

/* On a thread of the password pool, or, for a remembered one, on ours. */
static void
on_password_checked(struct auth_identity *who_take, bool temporary, void *arg)
{
	struct session_io *s = arg;
	struct answer *answer;

	if (pthread_equal(pthread_self(), s->worker->thread)) {
		deliver_auth(s, who_take, temporary);
		return;
	}
	answer = xcalloc(1, sizeof(*answer));
	answer->session = s;
	answer->who = who_take;
	answer->is_temporary = temporary;
	mailbox_post(s->worker->mailbox, &answer->letter, WORKER_AUTHENTICATED);
}

static void
on_check_password(void *arg, const char *user, const char *password)
{
	struct session_io *s = arg;

	s->n_awaited++;
	auth_check(s->worker->shared->auth, user, password, on_password_checked,
	    s);
}

static struct body *
on_body_new(void *arg)
{
	struct session_io *s = arg;

	return body_new(s->worker->shared->spool);
}

static bool
on_may_submit(void *arg, const struct auth_identity *who, unsigned n_recipients)
{
	struct session_io *s = arg;

	return rate_limiter_take(s->worker->shared->submissions, who->name,
	    &who->rate, n_recipients, clock_mono_us());
}

static void
tell_suppressed(struct session_io *s, const char *mailbox,
    enum suppression_reason reason)
{
	struct suppressed_letter *letter = xcalloc(1, sizeof(*letter));

	letter->reason = reason;
	letter->recipient = xstrdup(mailbox);
	letter->client = xstrdup(s->client);
	mailbox_post(s->worker->shared->governor, &letter->letter,
	    GOVERNOR_SUPPRESSED);
}

static const char *
on_suppressed(void *arg, const char *mailbox)
{
	struct session_io *s = arg;
	struct worker_shared *shared = s->worker->shared;
	struct suppression_hit hit;

	if (s->listener->is_reports)
		return NULL;
	if (!suppression_list_has(shared->suppressions, mailbox, clock_utc_us(),
		&hit))
		return NULL;
	if (atomic_load(&shared->wants_events))
		tell_suppressed(s, mailbox, hit.reason);
	return suppression_refusal(&hit);
}

/* ---- answers ---- */

static void
deliver_commit(struct session_io *s, const struct answer *answer)
{
	s->n_awaited--;
	if (answer->refusal == NULL && answer->result == SPOOL_OK) {
		atomic_fetch_add(&s->worker->shared->n_accepted, 1);
		histogram_note(&s->worker->accept_times,
		    clock_mono_us() - s->submitted_us);
	}
	if (s->stream == NULL) {
		session_release(s);
		return;
	}
	if (answer->refusal != NULL)
		smtp_session_submit_refused(s->smtp, answer->refusal);
	else
		smtp_session_submit_done(s->smtp, answer->result,
		    answer->message);
	begin_time(s);
	stream_resume(s->stream);
	session_after(s);
}

void
session_io_answer(struct letter *letter_take)
{
	struct answer *answer = (struct answer *)letter_take;

	if (letter_take->kind == WORKER_COMMITTED)
		deliver_commit(answer->session, answer);
	else
		deliver_auth(answer->session, answer->who,
		    answer->is_temporary);
	free(answer->refusal);
	free(answer);
}

/* ---- the stream's news ---- */

static size_t
on_input(void *arg, const char *data, size_t len)
{
	struct session_io *s = arg;
	size_t used;

	s->is_stepping = true;
	used = smtp_session_input(s->smtp, data, len, clock_mono_us());
	s->is_stepping = false;
	session_after(s);
	return used;
}

static void
greet(struct session_io *s)
{
	s->is_stepping = true;
	smtp_session_greet(s->smtp);
	s->is_stepping = false;
	session_after(s);
}

/* `tls_text`: of implicit TLS; NULL: in clear. */
static void
session_begin(struct session_io *s, const char *tls_text)
{
	static const struct session_ops template = {
		.write = on_write,
		.start_tls = on_start_tls,
		.check_password = on_check_password,
		.submit = session_submit,
		.body_new = on_body_new,
		.may_submit = on_may_submit,
		.suppressed = on_suppressed,
		.close = on_close,
	};
	struct session_ops ops = template;
	struct session_setup setup = { .conf = s->conf,
		.listener = s->listener,
		.has_tls_context = s->worker->rt->server_tls != NULL,
		.is_tls = tls_text != NULL,
		.tls_text = tls_text,
		.now_us = clock_mono_us() };

	ops.arg = s;
	snprintf(setup.client, sizeof(setup.client), "%s", s->client);
	for (size_t i = 0; i < s->listener->n_trusted; i++)
		setup.is_trusted |= conf_cidr_contains(&s->listener->trusted[i],
		    (struct sockaddr *)&s->peer);
	s->smtp = smtp_session_new(&setup, &ops);
}

static void
on_tls_done(void *arg, bool ok)
{
	struct session_io *s = arg;
	char text[128];

	if (!ok) {
		if (log_limit_take(&tls_failed, clock_mono_us()))
			log_info("tls_failed", LOG_STR("client", s->client),
			    LOG_STR("error", stream_error(s->stream)));
		session_close(s, false);
		return;
	}
	tls_describe(stream_ssl(s->stream), text, sizeof(text));
	if (s->smtp == NULL) { /* implicit TLS: the session begins now */
		session_begin(s, text);
		greet(s);
		return;
	}
	smtp_session_tls_done(s->smtp, text);
	begin_time(s);
	session_after(s);
}

/* The client reads again. */
static void
on_writable(void *arg)
{
	struct session_io *s = arg;

	if (s->is_parting)
		session_close(s, true);
	else if (s->n_awaited == 0)
		stream_resume(s->stream);
}

static void
on_ended(void *arg, enum stream_end how)
{
	struct session_io *s = arg;

	if (s->is_stepping) { /* the machine is on the stack: not now */
		s->is_closing = true;
		return;
	}
	if (s->is_parting || s->smtp == NULL) {
		session_close(s, false);
	} else if (how == STREAM_EOF) {
		session_part(s);
	} else if (how == STREAM_TIMEOUT) {
		smtp_session_timed_out(s->smtp);
		session_close(s, true);
	} else {
		session_close(s, false);
	}
}

static const struct stream_ops session_stream_ops = {
	.input = on_input,
	.tls_done = on_tls_done,
	.writable = on_writable,
	.ended = on_ended,
};

static void
describe_client(struct session_io *s)
{
	const struct sockaddr_in *v4 = (struct sockaddr_in *)&s->peer;
	const struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)&s->peer;
	char text[INET6_ADDRSTRLEN] = "";

	if (s->peer.ss_family == AF_INET) {
		inet_ntop(AF_INET, &v4->sin_addr, text, sizeof(text));
		snprintf(s->client, sizeof(s->client), "[%s]", text);
	} else if (IN6_IS_ADDR_V4MAPPED(&v6->sin6_addr)) {
		inet_ntop(AF_INET, v6->sin6_addr.s6_addr + 12, text,
		    sizeof(text));
		snprintf(s->client, sizeof(s->client), "[%s]", text);
	} else {
		inet_ntop(AF_INET6, &v6->sin6_addr, text, sizeof(text));
		snprintf(s->client, sizeof(s->client), "[IPv6:%s]", text);
	}
}

void
session_io_start(struct worker *w, int fd, const struct sockaddr *peer,
    const struct conf_listener *listener)
{
	struct session_io *s = xcalloc(1, sizeof(*s));

	s->worker = w;
	s->conf = conf_ref(w->rt->conf);
	s->listener = listener;
	memcpy(&s->peer, peer,
	    peer->sa_family == AF_INET6 ? sizeof(struct sockaddr_in6)
					: sizeof(struct sockaddr_in));
	describe_client(s);
	DL_APPEND(w->sessions, s);
	w->n_sessions++;
	atomic_fetch_add(&w->shared->n_sessions, 1);
	s->stream = stream_new(w->base, fd, &session_stream_ops, s);
	if (listener->tls == LISTENER_TLS_IMPLICIT) {
		stream_set_timeout(s->stream,
		    s->conf->limits.command_timeout_us);
		stream_start_tls(s->stream, SSL_new(w->rt->server_tls), true);
		return;
	}
	session_begin(s, NULL);
	greet(s);
}

void
session_io_shutdown_all(struct worker *w)
{
	struct session_io *s, *next;

	DL_FOREACH_SAFE(w->sessions, s, next) {
		if (s->stream == NULL)
			continue;
		/* Nothing is under way in a TLS handshake, and whoever is slow
		 * with it would hold up our end. */
		if (s->is_parting) {
			stream_set_timeout(s->stream, parting_timeout_us(s));
			continue;
		}
		if (s->smtp == NULL ||
		    (smtp_session_is_waiting(s->smtp) && s->n_awaited == 0)) {
			session_close(s, false);
			continue;
		}
		s->is_stepping = true;
		smtp_session_shutdown(s->smtp);
		s->is_stepping = false;
		session_after(s);
	}
}

/* Those that await an answer end with it; the rest at once. */
void
session_io_close_all(struct worker *w)
{
	struct session_io *s, *next;

	DL_FOREACH_SAFE(w->sessions, s, next) {
		session_close(s, true);
	}
}
