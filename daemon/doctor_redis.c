/* SPDX-License-Identifier: ISC */
/*
 * The Redis that relays share: whether it can be reached and used as the
 * daemon will use it, how quick it is, and whether it is set up to keep what
 * is counted in it. It writes one key of its own, and takes it away again.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "conf/base/clock.h"
#include "conf/base/xalloc.h"
#include "conf/redis_url.h"
#include "daemon/doctor.h"
#include "daemon/redis_link.h"

#define SUBJECT	 "redis"
#define N_PINGS	 11
#define CLOCK_US 1000000 /* off by more is worth a note */
/* All that cluster asks of Redis, so that an ACL which lacks some is found. */
static const char trial[] =
    "local k = KEYS[1]\n"
    "redis.call('HSET', k, 'at', redis.call('TIME')[1])\n"
    "redis.call('HMGET', k, 'at')\n"
    "redis.call('HGETALL', k)\n"
    "redis.call('HDEL', k, 'at')\n"
    "redis.call('SET', k, cmsgpack.pack({1}), 'PX', 1000)\n"
    "redis.call('GET', k)\n"
    "redis.call('PEXPIRE', k, 1000)\n"
    "redis.call('PUBLISH', ARGV[1], '')\n"
    "redis.call('DEL', k)\n"
    "return redis.call('TIME')";

struct examination {
	struct doctor *d;
	struct redis_link *link;
	bool is_up, is_down;
	char reason[400];
	/* Of the last call. */
	bool is_answered;
	enum redis_outcome outcome;
	int64_t took_us;
	char *text; /* the reply or the error */
};

static void
on_up(void *arg)
{
	((struct examination *)arg)->is_up = true;
}

static void
on_down(const char *reason, void *arg)
{
	struct examination *e = arg;

	e->is_down = true;
	snprintf(e->reason, sizeof(e->reason), "%s", reason);
}

static void
on_subscribed(void *arg)
{
	(void)arg;
}

static void
on_message(struct redis_bytes channel, struct redis_bytes payload, void *arg)
{
	(void)channel;
	(void)payload;
	(void)arg;
}

/* The text of a reply, or of an array's first element. */
static const char *
text_of(const struct redis_answer *a)
{
	const struct redisReply *r = a->reply;

	if (r == NULL)
		return a->error;
	if (r->type == REDIS_REPLY_ARRAY && r->elements > 0)
		r = r->element[0];
	return r->str != NULL ? r->str : "";
}

static void
on_answer(const struct redis_answer *a, void *arg)
{
	struct examination *e = arg;

	e->is_answered = true;
	e->outcome = a->outcome;
	e->took_us = a->answered_us - a->sent_us;
	free(e->text);
	e->text = xstrdup(text_of(a));
}

static void
run_until(struct examination *e, const bool *flag)
{
	while (!*flag && !e->is_down &&
	    event_base_loop(e->d->base, EVLOOP_ONCE) == 0)
		;
}

/* True: it was answered, by no error. */
static bool
ask(struct examination *e, const char *word)
{
	const struct redis_bytes argv = { word, strlen(word) };

	e->is_answered = false;
	redis_link_command(e->link, &argv, 1, 0, on_answer, e);
	run_until(e, &e->is_answered);
	return e->is_answered && e->outcome == REDIS_ANSWERED;
}

/* ---- what is found ---- */

static int
compare(const void *a, const void *b)
{
	int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

	return (x > y) - (x < y);
}

static void
check_speed(struct examination *e)
{
	struct redis_view v;
	const size_t middle = N_PINGS / 2;
	int64_t took_us[N_PINGS];
	double median_ms, worst_ms, lease_ms;

	for (int i = 0; i < N_PINGS; i++) {
		if (!ask(e, "PING"))
			return;
		took_us[i] = e->took_us;
	}
	qsort(took_us, N_PINGS, sizeof(took_us[0]), compare);
	median_ms = (double)took_us[middle] / 1e3;
	worst_ms = (double)took_us[N_PINGS - 1] / 1e3;
	lease_ms = (double)e->d->conf->cluster.lease_us / 1e3;
	redis_link_view(e->link, &v);
	doctor_say(e->d, median_ms > lease_ms / 10 ? FINDING_WARN : FINDING_OK,
	    SUBJECT,
	    median_ms > lease_ms / 10 ? "is far for so short a lease"
				      : "can be reached",
	    "put it nearer, or make cluster.lease longer",
	    "Redis %s at %s; it answers in %.2f ms, %.2f at the most",
	    v.version, v.server, median_ms, worst_ms);
}

static void
check_use(struct examination *e)
{
	const struct conf_cluster *c = &e->d->conf->cluster;
	struct redis_script *script =
	    redis_link_script(e->link, "trial", trial);
	char *key = xasprintf("{%s}doctor:%s", c->prefix, c->name);
	char *channel = xasprintf("{%s}doctor", c->prefix);
	const struct redis_bytes k = { key, strlen(key) },
				 a = { channel, strlen(channel) };
	int64_t off_us;

	e->is_answered = false;
	redis_link_call(e->link, script, &k, 1, &a, 1, 0, on_answer, e);
	run_until(e, &e->is_answered);
	if (e->is_answered && e->outcome == REDIS_FULL) {
		doctor_say(e->d, FINDING_FAIL, SUBJECT, "is full",
		    "raise its maxmemory: relays need about 1 KiB a lane", "%s",
		    e->text);
	} else if (!e->is_answered || e->outcome != REDIS_ANSWERED) {
		doctor_say(e->d, FINDING_FAIL, SUBJECT,
		    "doesn't let us do what relays do",
		    "its user needs ACL rules as ~{flyball}* &{flyball}* "
		    "+@all -@admin -@dangerous +info, with cluster.prefix in "
		    "the braces",
		    "%s", e->is_answered ? e->text : e->reason);
	} else {
		off_us = strtoll(e->text, NULL, 10) * 1000000 -
		    clock_utc_us() / 1000000 * 1000000;
		if (off_us > CLOCK_US || off_us < -CLOCK_US)
			doctor_say(e->d, FINDING_NOTE, SUBJECT,
			    "its clock isn't ours",
			    "keep both right with chrony: limits go by "
			    "Redis' clock, plan days by ours",
			    "off by %lld s", (long long)off_us / 1000000);
	}
	free(channel);
	free(key);
}

static bool
info_has(const char *info, const char *line)
{
	const char *p = strstr(info, line);

	return p != NULL && (p == info || p[-1] == '\n') &&
	    strcspn(p, "\r\n") == strlen(line);
}

static void
check_settings(struct examination *e)
{
	struct redis_url url;

	if (!ask(e, "INFO")) {
		doctor_say(e->d, FINDING_NOTE, SUBJECT,
		    "doesn't tell how it is set up",
		    "allow its user INFO (ACL rule +info)", "%s",
		    e->text != NULL ? e->text : e->reason);
		return;
	}
	if (!info_has(e->text, "maxmemory:0") &&
	    !info_has(e->text, "maxmemory_policy:noeviction"))
		doctor_say(e->d, FINDING_WARN, SUBJECT,
		    "may throw away what relays count",
		    "set maxmemory-policy noeviction, or give relays a Redis "
		    "of their own",
		    "it has a maxmemory and evicts keys");
	if (info_has(e->text, "aof_enabled:0"))
		doctor_say(e->d, FINDING_NOTE, SUBJECT,
		    "forgets what was sent when it restarts",
		    "set appendonly yes; without it each relay's own count is "
		    "the floor, which loses that of relays that are gone",
		    "appendonly is off");
	if (redis_url_parse(e->d->conf->cluster.redis, &url, NULL) < 0)
		return;
	if (url.place == REDIS_AT_SENTINELS &&
	    info_has(e->text, "connected_slaves:0"))
		doctor_say(e->d, FINDING_WARN, SUBJECT,
		    "has no replica that could take over",
		    "add one, or name the server itself", "connected_slaves:0");
	redis_url_fini(&url);
}

static bool
is_near(const char *server)
{
	return server[0] == '/' || strncmp(server, "127.", 4) == 0 ||
	    strncmp(server, "[::1]", 5) == 0;
}

static void
check_privacy(struct examination *e)
{
	struct redis_view v;
	struct redis_url url;

	redis_link_view(e->link, &v);
	if (redis_url_parse(e->d->conf->cluster.redis, &url, NULL) < 0)
		return;
	if (!url.is_tls && !is_near(v.server))
		doctor_say(e->d, FINDING_WARN, SUBJECT,
		    "is spoken with in clear over a network",
		    "write rediss:// (TLS), or lead a tunnel to a socket", "%s",
		    v.server);
	redis_url_fini(&url);
}

void
doctor_check_redis(struct doctor *d)
{
	static const struct redis_handlers handlers = { on_up, on_down,
		on_subscribed, on_message };
	const struct conf_cluster *c = &d->conf->cluster;
	struct examination e = { .d = d };
	struct err err;

	if (!c->is_given)
		return;
	e.link = redis_link_new(d->base, c, &handlers, &e, &err);
	if (e.link == NULL) {
		doctor_say(d, FINDING_FAIL, SUBJECT, "can't be used",
		    "see cluster", "%s", err.text);
		return;
	}
	run_until(&e, &e.is_up);
	if (e.is_up) {
		check_speed(&e);
		check_use(&e);
		check_settings(&e);
		check_privacy(&e);
	}
	if (e.is_down)
		doctor_say(d, FINDING_FAIL, SUBJECT, "can't be reached",
		    "start it, or mend cluster.redis; until then relays go by "
		    "cluster.on_loss",
		    "%s", e.reason);
	redis_link_free(e.link);
	free(e.text);
}
