/* SPDX-License-Identifier: ISC */
/*
 * What is published: the link's second connection, since one that subscribes
 * can't do much else. It is opened once the first one is up, to the same
 * server, and comes back by itself; what is missed meanwhile nobody repeats,
 * which the owner is told.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <utlist.h>

#include "conf/base/clock.h"
#include "conf/base/log.h"
#include "conf/base/xalloc.h"
#include "daemon/redis_link_private.h"

static void
fail(struct redis_link *l, const char *why, bool is_wrong)
{
	struct redis_listener *s = &l->listener;

	redis_listener_close(l);
	/* Once for each time that it stood. */
	if (s->n_tries == 0)
		log_warn("redis", LOG_STR("server", l->peer.text),
		    LOG_STR("subscription", why));
	s->due_us =
	    clock_mono_us() + redis_link_backoff_us(l, s->n_tries++, is_wrong);
}

void
redis_link_channel(const struct redis_link *l, const char *channel,
    char out[REDIS_LINK_CHANNEL_SIZE])
{
	if (l->url.database == 0)
		snprintf(out, REDIS_LINK_CHANNEL_SIZE, "%s", channel);
	else
		snprintf(out, REDIS_LINK_CHANNEL_SIZE, "%s@%u", channel,
		    l->url.database);
}

static void
subscribe(struct redis_link *l, const struct redis_channel *channel)
{
	char name[REDIS_LINK_CHANNEL_SIZE];

	redis_link_channel(l, channel->name, name);
	redis_conn_say(l->listener.conn,
	    (const char *const[]){ "SUBSCRIBE", name, NULL });
}

static void
on_opened(void *arg)
{
	(void)arg;
}

static void
on_published(struct redis_bytes channel, struct redis_bytes payload, void *arg)
{
	struct redis_link *l = arg;
	const char *at =
	    l->url.database != 0 ? memrchr(channel.v, '@', channel.len) : NULL;

	if (at != NULL)
		channel.len = (size_t)(at - channel.v);
	l->handlers.on_message(channel, payload, l->arg);
}

static void
on_ended(const char *why, void *arg)
{
	fail(arg, why, false);
}

static void
meet_login(struct redis_link *l, const struct redisReply *r)
{
	struct redis_facts unused;
	char why[300];

	switch (redis_login_reply(&l->listener.login, r, &unused, why,
	    sizeof(why))) {
	case REDIS_LOGIN_GOES_ON:
		return;
	case REDIS_LOGIN_REFUSED:
		fail(l, why, false);
		return;
	case REDIS_LOGIN_WRONG:
		fail(l, why, true);
		return;
	case REDIS_LOGIN_DONE:
		l->listener.is_logged_in = true;
		for (struct redis_channel *c = l->listener.channels; c != NULL;
		     c = c->next)
			subscribe(l, c);
	}
}

static bool
is_subscribed(const struct redisReply *r)
{
	return r->type == REDIS_REPLY_ARRAY && r->elements == 3 &&
	    r->element[0]->type == REDIS_REPLY_STRING &&
	    strcmp(r->element[0]->str, "subscribe") == 0;
}

/* To SUBSCRIBE or to PING. */
static void
on_replied(const struct redisReply *r, void *arg)
{
	struct redis_link *l = arg;
	struct redis_listener *s = &l->listener;

	if (!s->is_logged_in) {
		meet_login(l, r);
		return;
	}
	if (r->type == REDIS_REPLY_ERROR) {
		fail(l, r->str, strncmp(r->str, "NOPERM", 6) == 0);
		return;
	}
	if (!is_subscribed(r))
		return;
	s->n_held++;
	if (s->n_held < s->n_channels)
		return;
	s->n_tries = 0;
	l->wants_told_subscribed = true;
	redis_link_wake(l);
}

void
redis_listener_open(struct redis_link *l)
{
	static const struct redis_conn_ops ops = {
		.opened = on_opened,
		.replied = on_replied,
		.published = on_published,
		.ended = on_ended,
	};
	struct redis_listener *s = &l->listener;
	SSL *tls;

	redis_listener_close(l);
	s->due_us = 0;
	if (s->channels == NULL || l->state != REDIS_UP)
		return;
	tls = redis_link_tls(&l->peer, l);
	if (l->url.is_tls && tls == NULL) {
		fail(l, "TLS can't be begun", false);
		return;
	}
	s->conn =
	    redis_conn_open(l->base, &l->peer, tls, l->timeout_us, &ops, l);
	redis_login_begin(&s->login, s->conn, &l->url, l->password, l->name,
	    true);
}

void
redis_listener_close(struct redis_link *l)
{
	struct redis_listener *s = &l->listener;

	if (s->conn != NULL)
		l->received_bytes += redis_conn_received_bytes(s->conn);
	redis_conn_free(s->conn);
	s->conn = NULL;
	s->is_logged_in = false;
	s->n_held = 0;
	s->due_us = 0;
	l->wants_told_subscribed = false;
}

/* Opens it again when it is time; looks whether the server still answers. */
void
redis_listener_tick(struct redis_link *l, int64_t now_us)
{
	struct redis_listener *s = &l->listener;

	if (s->due_us != 0 && s->due_us <= now_us)
		redis_listener_open(l);
	else if (s->is_logged_in && redis_conn_is_idle(s->conn, now_us))
		redis_conn_say(s->conn, (const char *const[]){ "PING", NULL });
}

void
redis_link_subscribe(struct redis_link *l, const char *channel)
{
	struct redis_listener *s = &l->listener;
	struct redis_channel *c = xcalloc(1, sizeof(*c));

	c->name = xstrdup(channel);
	LL_APPEND(s->channels, c);
	s->n_channels++;
	if (s->is_logged_in)
		subscribe(l, c);
	else if (s->conn == NULL && s->due_us == 0)
		redis_listener_open(l);
}

void
redis_listener_fini(struct redis_link *l)
{
	struct redis_channel *c, *tmp;

	redis_listener_close(l);
	LL_FOREACH_SAFE(l->listener.channels, c, tmp) {
		free(c->name);
		free(c);
	}
}
