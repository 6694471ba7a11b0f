/* SPDX-License-Identifier: ISC */
/*
 * The link to Redis as a whole: finding the server, logging in, being up,
 * coming back. The governor's cluster part owns one. What goes over it stands
 * in redis_link_calls.c and redis_link_listen.c.
 *
 * One door leads down, redis_link_drop(), and one up, become_up(). Handlers and
 * answers run from on_turn() alone, never under a callback of a connection.
 */
#include "daemon/redis_link.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "conf/base/clock.h"
#include "conf/base/log.h"
#include "conf/base/xalloc.h"
#include "conf/key_types.h"
#include "daemon/redis_link_private.h"
#include "sink/tls.h"

#define MS	       INT64_C(1000)
#define SEC	       (1000 * MS)
/* The first attempt comes soon, since most often a server was restarted; later
 * ones so that fifty nodes are no burden to one that starts. */
#define BACKOFF_US     (100 * MS)
#define BACKOFF_MAX_US (2 * SEC)
#define WRONG_US       (5 * SEC)
#define WRONG_MAX_US   (30 * SEC)
#define TICK_US	       (500 * MS)
#define WATCH_US       (5 * SEC)  /* Sentinels are asked again */
#define RETOLD_US      (30 * SEC) /* another reason is told */

static void connect_again(struct redis_link *l);

/* ---- states ---- */

static void
arm_tick(struct redis_link *l, int64_t now_us)
{
	int64_t due_us = now_us + TICK_US, wait_us;
	struct timeval tv;

	if (l->state == REDIS_WAITING && l->due_us < due_us)
		due_us = l->due_us;
	if (l->listener.due_us != 0 && l->listener.due_us < due_us)
		due_us = l->listener.due_us;
	wait_us = due_us > now_us ? due_us - now_us : 0;
	tv = (struct timeval){ wait_us / SEC, wait_us % SEC };
	event_add(l->tick, &tv);
}

static void
enter(struct redis_link *l, enum redis_state state)
{
	bool was_up = l->state == REDIS_UP;

	l->state = state;
	if (was_up != (state == REDIS_UP))
		l->since_us = clock_mono_us();
}

void
redis_link_wake(struct redis_link *l)
{
	static const struct timeval now = { 0, 0 };

	/* A timer: an event activated by hand would run in this same turn, and
	 * a caller that calls again at once would keep the loop for itself. */
	event_add(l->turn, &now);
}

/* From 50 to 150 percent of the pause: nodes that lost one server together
 * don't come back together. */
int64_t
redis_link_backoff_us(struct redis_link *l, unsigned n_tries, bool is_wrong)
{
	int64_t wait_us = is_wrong ? WRONG_US : BACKOFF_US;
	int64_t max_us = is_wrong ? WRONG_MAX_US : BACKOFF_MAX_US;

	for (; n_tries > 0 && wait_us < max_us; n_tries--)
		wait_us *= 2;
	wait_us = wait_us < max_us ? wait_us : max_us;
	return wait_us / 2 + (int64_t)rng_below(&l->rng, (uint64_t)wait_us);
}

static void
close_connection(struct redis_link *l, const char *why)
{
	if (l->conn != NULL)
		l->received_bytes += redis_conn_received_bytes(l->conn);
	redis_conn_free(l->conn);
	l->conn = NULL;
	l->is_logged_in = false;
	redis_finder_stop(l->finder);
	redis_listener_close(l);
	redis_calls_lost(l, why);
}

/* `why` is a whole sentence here. */
static void
go_down(struct redis_link *l, const char *why, bool is_wrong)
{
	int64_t now_us = clock_mono_us();

	l->n_downs += l->state == REDIS_UP;
	snprintf(l->reason, sizeof(l->reason), "%s", why);
	l->is_wrong = is_wrong;
	enter(l, REDIS_WAITING);
	close_connection(l, l->reason);
	l->due_us = now_us + redis_link_backoff_us(l, l->n_tries++, is_wrong);
	log_debug("redis", LOG_STR("down", l->reason),
	    LOG_INT("wait_ms", (l->due_us - now_us) / MS));
	arm_tick(l, now_us);
	redis_link_wake(l);
}

void
redis_link_drop(struct redis_link *l, const char *why, bool is_wrong)
{
	char reason[sizeof(l->reason)];

	snprintf(reason, sizeof(reason), "%s: %.230s", l->peer.text, why);
	go_down(l, reason, is_wrong);
}

static void
become_up(struct redis_link *l)
{
	l->is_logged_in = true;
	l->n_tries = 0;
	l->reason[0] = '\0';
	l->n_connects++;
	l->watched_us = clock_mono_us();
	enter(l, REDIS_UP);
	redis_calls_load_scripts(l);
	redis_listener_open(l);
	redis_link_wake(l);
}

/* ---- the connection ---- */

static void
on_opened(void *arg)
{
	(void)arg;
}

static void
on_replied(const struct redisReply *r, void *arg)
{
	struct redis_link *l = arg;
	char why[300];

	if (l->is_logged_in) {
		redis_calls_replied(l, r);
		return;
	}
	switch (redis_login_reply(&l->login, r, &l->facts, why, sizeof(why))) {
	case REDIS_LOGIN_GOES_ON:
		return;
	case REDIS_LOGIN_DONE:
		become_up(l);
		return;
	case REDIS_LOGIN_REFUSED:
		redis_link_drop(l, why, false);
		return;
	case REDIS_LOGIN_WRONG:
		redis_link_drop(l, why, true);
		return;
	}
}

static void
on_ended(const char *why, void *arg)
{
	redis_link_drop(arg, why, false);
}

SSL *
redis_link_tls(const struct redis_peer *peer, void *arg)
{
	struct redis_link *l = arg;

	if (l->tls == NULL)
		return NULL;
	l->tls_policy->next_hop.host = (char *)(uintptr_t)peer->host;
	return tls_client_new(l->tls, l->tls_policy);
}

static void
open_connection(struct redis_link *l)
{
	static const struct redis_conn_ops ops = {
		.opened = on_opened,
		.replied = on_replied,
		.ended = on_ended,
	};

	SSL *tls = redis_link_tls(&l->peer, l);

	memset(&l->facts, 0, sizeof(l->facts));
	if (l->url.is_tls && tls == NULL) {
		redis_link_drop(l, "TLS can't be begun", false);
		return;
	}
	l->conn =
	    redis_conn_open(l->base, &l->peer, tls, l->timeout_us, &ops, l);
	redis_login_begin(&l->login, l->conn, &l->url, l->password, l->name,
	    false);
}

/* While we are connected it is the Sentinels' word on who is the master. */
static void
on_found(const struct redis_peer *peer, const char *why, void *arg)
{
	struct redis_link *l = arg;
	char reason[sizeof(l->reason)];

	if (l->state == REDIS_UP) {
		if (peer == NULL || strcmp(peer->text, l->peer.text) == 0)
			return;
		snprintf(reason, sizeof(reason),
		    "the Sentinels name another server, %s", peer->text);
		redis_link_drop(l, reason, false);
		return;
	}
	if (peer == NULL) {
		go_down(l, why, false);
		return;
	}
	l->peer = *peer;
	open_connection(l);
}

static void
connect_again(struct redis_link *l)
{
	enter(l, REDIS_CONNECTING);
	redis_finder_start(l->finder);
}

/* ---- time ---- */

static void
tick_up(struct redis_link *l, int64_t now_us)
{
	if (redis_conn_is_idle(l->conn, now_us))
		redis_calls_ping(l);
	redis_listener_tick(l, now_us);
	if (l->url.place != REDIS_AT_SENTINELS ||
	    now_us - l->watched_us < WATCH_US ||
	    redis_finder_is_busy(l->finder))
		return;
	l->watched_us = now_us;
	redis_finder_start(l->finder);
}

static void
on_tick(evutil_socket_t fd, short what, void *arg)
{
	struct redis_link *l = arg;
	int64_t now_us = clock_mono_us();

	(void)fd;
	(void)what;
	if (l->state == REDIS_WAITING && l->due_us <= now_us)
		connect_again(l);
	else if (l->state == REDIS_UP)
		tick_up(l, now_us);
	arm_tick(l, now_us);
}

/* ---- telling the owner ---- */

static void
tell_down(struct redis_link *l)
{
	int64_t now_us = clock_mono_us();

	if (l->reason[0] == '\0' || strcmp(l->reason, l->told_reason) == 0)
		return;
	if (l->told_reason[0] != '\0' && now_us - l->told_us < RETOLD_US)
		return;
	l->is_told_up = false;
	l->told_us = now_us;
	snprintf(l->told_reason, sizeof(l->told_reason), "%s", l->reason);
	l->handlers.on_down(l->told_reason, l->arg);
}

static void
on_turn(evutil_socket_t fd, short what, void *arg)
{
	struct redis_link *l = arg;

	(void)fd;
	(void)what;
	if (l->state == REDIS_UP && !l->is_told_up) {
		l->is_told_up = true;
		l->told_reason[0] = '\0';
		l->handlers.on_up(l->arg);
	} else if (l->state != REDIS_UP) {
		tell_down(l);
	}
	if (l->wants_told_subscribed) {
		l->wants_told_subscribed = false;
		l->handlers.on_subscribed(l->arg);
	}
	redis_calls_run_done(l);
}

/* ---- life ---- */

/* Takes over where Redis is. Nothing is changed when it fails. */
static int
set_place(struct redis_link *l, const struct conf_cluster *conf,
    struct err *err_out)
{
	struct conf_route policy = { .tls = ROUTE_TLS_VERIFY,
		.tls_ca = conf->tls_ca,
		.tls_name = (char *)(uintptr_t) "" };
	struct tls_trust trust = tls_trust_of(conf->tls_ca);
	struct redis_url url;
	SSL_CTX *tls = NULL;

	if (redis_url_parse(conf->redis, &url, err_out) < 0)
		return -1;
	if (url.is_tls) {
		tls = tls_client_context(&policy, err_out);
		if (tls == NULL) {
			redis_url_fini(&url);
			return -1;
		}
	}
	tls_client_context_free(l->tls);
	redis_url_fini(&l->url);
	l->tls = tls;
	l->trust = trust;
	l->url = url;
	free(l->url_text);
	free(l->tls_ca);
	key_free_secret(&l->password);
	key_free_secret(&l->sentinel_password);
	l->url_text = xstrdup(conf->redis);
	l->tls_ca = xstrdup(conf->tls_ca);
	l->password = xstrdup(conf->password);
	l->sentinel_password = xstrdup(conf->sentinel_password);
	*l->tls_policy = policy;
	l->tls_policy->tls_ca = l->tls_ca;
	l->timeout_us = conf->timeout_us;
	return 0;
}

static void
make_finder(struct redis_link *l)
{
	redis_finder_free(l->finder);
	l->finder = redis_finder_new(l->base, &l->url, l->sentinel_password,
	    l->timeout_us, redis_link_tls, on_found, l);
}

struct redis_link *
redis_link_new(struct event_base *base, const struct conf_cluster *conf,
    const struct redis_handlers *handlers, void *arg, struct err *err_out)
{
	struct redis_link *l = xcalloc(1, sizeof(*l));

	l->tls_policy = xcalloc(1, sizeof(*l->tls_policy));
	if (set_place(l, conf, err_out) < 0) {
		free(l->tls_policy);
		free(l);
		return NULL;
	}
	l->base = base;
	l->handlers = *handlers;
	l->arg = arg;
	l->name = xstrdup(conf->name);
	l->tick = evtimer_new(base, on_tick, l);
	l->turn = evtimer_new(base, on_turn, l);
	l->since_us = clock_mono_us();
	if (getrandom(&l->rng.state, sizeof(l->rng.state), GRND_NONBLOCK) < 0)
		l->rng.state = (uint64_t)clock_utc_us();
	redis_calls_init(l);
	make_finder(l);
	connect_again(l);
	arm_tick(l, l->since_us);
	return l;
}

static bool
is_same_place(const struct redis_link *l, const struct conf_cluster *conf)
{
	struct tls_trust trust = tls_trust_of(conf->tls_ca);

	return strcmp(l->url_text, conf->redis) == 0 &&
	    strcmp(l->password, conf->password) == 0 &&
	    strcmp(l->sentinel_password, conf->sentinel_password) == 0 &&
	    strcmp(l->tls_ca, conf->tls_ca) == 0 &&
	    memcmp(&l->trust, &trust, sizeof(trust)) == 0 &&
	    l->timeout_us == conf->timeout_us;
}

int
redis_link_configure(struct redis_link *l, const struct conf_cluster *conf,
    struct err *err_out)
{
	if (is_same_place(l, conf))
		return 0;
	if (set_place(l, conf, err_out) < 0)
		return -1;
	redis_link_drop(l, "it was configured anew", false);
	make_finder(l);
	l->n_tries = 0;
	connect_again(l);
	return 0;
}

void
redis_link_free(struct redis_link *l)
{
	if (l == NULL)
		return;
	l->is_closing = true;
	enter(l, REDIS_WAITING);
	close_connection(l, "the link is closed");
	redis_calls_fini(l);
	redis_listener_fini(l);
	redis_finder_free(l->finder);
	event_free(l->tick);
	event_free(l->turn);
	tls_client_context_free(l->tls);
	redis_url_fini(&l->url);
	key_free_secret(&l->password);
	key_free_secret(&l->sentinel_password);
	free(l->url_text);
	free(l->tls_ca);
	free(l->tls_policy);
	free(l->name);
	free(l);
}

/* ---- what it is like ---- */

bool
redis_link_is_up(const struct redis_link *l)
{
	return l->state == REDIS_UP;
}

void
redis_link_view(const struct redis_link *l, struct redis_view *out)
{
	const struct redis_calls *c = &l->calls;
	const struct redis_listener *s = &l->listener;

	*out = (struct redis_view){
		.state = l->state,
		.is_subscribed =
		    s->n_channels > 0 && s->n_held >= s->n_channels,
		.since_us = l->since_us,
		.due_us = l->state == REDIS_WAITING ? l->due_us : 0,
		.reason = l->reason,
		.server = l->peer.text,
		.version = l->facts.version,
		.run_id = l->facts.run_id,
		.lag_us = c->lag_us,
		.lag_max_us = c->lag_max_us[0] > c->lag_max_us[1]
		    ? c->lag_max_us[0]
		    : c->lag_max_us[1],
		.n_calls = c->n_sent,
		.n_sent = c->n_calls,
		.n_answered = c->n_answered,
		.n_failed = c->n_failed,
		.n_connects = l->n_connects,
		.n_downs = l->n_downs,
		.n_sent_bytes = c->n_sent_bytes,
		.n_received_bytes = l->received_bytes,
	};
	if (l->conn != NULL)
		out->n_received_bytes += redis_conn_received_bytes(l->conn);
	if (s->conn != NULL)
		out->n_received_bytes += redis_conn_received_bytes(s->conn);
}
