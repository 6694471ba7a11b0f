/* SPDX-License-Identifier: ISC */
#ifndef FLYBALL_REDIS_LINK_WORLD_H
#define FLYBALL_REDIS_LINK_WORLD_H

/*
 * The link to Redis on one loop with a server that does as it is told. Included
 * by the tests of the link.
 */
#include "daemon/redis_link.h"

#include <signal.h>

#include "conf/base/clock.h"
#include "daemon/redis_finder.h"
#include "tests/unit/fake_redis.h"

#include "tests/unit/dns_fake.h"

#define MS   INT64_C(1000)
#define N(a) (sizeof(a) / sizeof((a)[0]))

struct world {
	struct event_base *base;
	struct fake_redis redis, other;
	struct redis_link *link;
	char url[120];
	struct conf_cluster conf;
	unsigned n_up, n_down, n_subscribed, n_messages, n_answers;
	char reason[400], message[100];
	/* Of the last answer. */
	enum redis_outcome outcome;
	char text[300];
	int64_t took_us;
	bool is_inside;	       /* a call of ours is on the stack */
	struct strbuf answers; /* "0 a\n": outcome and text, of all */
};

static char empty[] = "";

static inline void
on_up(void *arg)
{
	struct world *w = arg;

	assert_false(w->is_inside);
	w->n_up++;
}

static inline void
on_down(const char *reason, void *arg)
{
	struct world *w = arg;

	assert_false(w->is_inside);
	w->n_down++;
	snprintf(w->reason, sizeof(w->reason), "%s", reason);
}

static inline void
on_subscribed(void *arg)
{
	((struct world *)arg)->n_subscribed++;
}

static inline void
on_message(struct redis_bytes channel, struct redis_bytes payload, void *arg)
{
	struct world *w = arg;

	w->n_messages++;
	snprintf(w->message, sizeof(w->message), "%.*s=%.*s", (int)channel.len,
	    channel.v, (int)payload.len, payload.v);
}

static inline void
on_answer(const struct redis_answer *a, void *arg)
{
	struct world *w = arg;

	assert_false(w->is_inside);
	w->n_answers++;
	w->outcome = a->outcome;
	w->took_us = a->answered_us - a->sent_us;
	assert_true((a->outcome == REDIS_ANSWERED) == (a->reply != NULL));
	assert_true((a->outcome == REDIS_ANSWERED) == (a->error == NULL));
	snprintf(w->text, sizeof(w->text), "%s",
	    a->reply == NULL		? a->error
		: a->reply->str != NULL ? a->reply->str
					: "?");
	strbuf_addf(&w->answers, "%d %s\n", a->outcome, w->text);
}

static inline void
start_link(struct world *w, const char *fmt, ...)
{
	static const struct redis_handlers handlers = { on_up, on_down,
		on_subscribed, on_message };
	struct err err = { "" };
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(w->url, sizeof(w->url), fmt, ap);
	va_end(ap);
	w->conf.redis = w->url;
	w->link = redis_link_new(w->base, &w->conf, &handlers, w, &err);
	if (w->link == NULL)
		fail_msg("%s", err.text);
}

/* What waits for silence waits for a short one; for the others a machine that
 * stands still for a moment is none. */
static inline void
world_init(struct world *w, const char *script)
{
	memset(w, 0, sizeof(*w));
	w->base = event_base_new();
	w->redis.script = script;
	fake_redis_start(&w->redis, w->base, 0);
	w->other.fd = -1;
	w->conf = (struct conf_cluster){ .is_given = true,
		.password = empty,
		.sentinel_password = empty,
		.tls_ca = empty,
		.name = (char *)(uintptr_t) "n1",
		.timeout_us = 5000 * MS };
	if (script != NULL && strchr(script, '~') != NULL)
		w->conf.timeout_us = 200 * MS;
}

static inline void
world_fini(struct world *w)
{
	redis_link_free(w->link);
	fake_redis_fini(&w->redis);
	fake_redis_fini(&w->other);
	strbuf_fini(&w->answers);
	event_base_loop(w->base, EVLOOP_NONBLOCK);
	event_base_free(w->base);
}

/* Runs the loop until the condition holds; a minute is for slow machines. */
#define RUN_UNTIL(w, condition)                                      \
	do {                                                         \
		int64_t deadline_us = clock_mono_us() + 60000 * MS;  \
		while (!(condition)) {                               \
			if (clock_mono_us() > deadline_us)           \
				fail_msg("waiting for " #condition); \
			event_base_loop((w)->base, EVLOOP_ONCE);     \
		}                                                    \
	} while (0)

static inline void
run_for(struct world *w, int64_t span_us)
{
	struct timeval tv = { span_us / 1000000, span_us % 1000000 };

	event_base_loopexit(w->base, &tv);
	event_base_dispatch(w->base);
}

static inline void
call(struct world *w, struct redis_script *script, const char *text)
{
	const struct redis_bytes key = { "k", 1 }, arg = { text, strlen(text) };

	w->is_inside = true;
	redis_link_call(w->link, script, &key, 1, &arg, 1, 0, on_answer, w);
	w->is_inside = false;
}

#endif
