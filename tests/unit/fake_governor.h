/* SPDX-License-Identifier: ISC */
#ifndef FLYBALL_FAKE_GOVERNOR_H
#define FLYBALL_FAKE_GOVERNOR_H

/*
 * A governor for tests of the admin socket: a real scheduler over a hand-made
 * configuration, a real event log that is kept in memory, and a spool that is
 * an array. It takes the place of governor.c and spool.c in the test's
 * binary, so it can be included once only.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "conf/base/clock.h"
#include "conf/base/strbuf.h"
#include "conf/base/xalloc.h"
#include "daemon/cluster.h"
#include "daemon/event_log.h"
#include "daemon/governor.h"
#include "daemon/history.h"
#include "daemon/suppression_list.h"
#include "tests/unit/conf_fixture.h"

#define FAKE_MESSAGES_MAX 4096

/* What it would tell of a cluster. */
struct cluster {
	struct cluster_view view;
	struct cluster_node_view nodes[4];
	size_t n_nodes;
	struct cluster_lease_view leases[4];
	size_t n_leases;
	const char *trouble;
};

struct governor {
	struct cluster *cluster; /* NULL: it is alone */
	struct fixture f;
	struct sched *s;
	struct event_base *base;
	struct event_log *events;
	struct history *history;
	struct governor_times times;
	const char *unready;
	struct event_follower *follower;
	struct strbuf seen; /* the event log's lines */
	struct spool_stats stats;
	struct envelope *messages[FAKE_MESSAGES_MAX + 1]; /* by id */
	uint64_t n_messages;
	unsigned n_wakes, n_bounces, n_drains, n_reads;
	char *bounce_reply;
	const char *reload_errors; /* NULL = it succeeds */
	const char *reload_notes;
	const char *reload_partly;
	struct suppression_list *suppressions;
	struct spool_fact *facts; /* stored, the newest first */
};

struct sched *
governor_sched(struct governor *g)
{
	return g->s;
}

const struct conf *
governor_conf(const struct governor *g)
{
	return &g->f.conf;
}

/* Two relays, of which the other is gone, and one lease. */
static inline void
fake_cluster(struct cluster *c)
{
	*c = (struct cluster){ .n_nodes = 2, .n_leases = 1 };
	c->view = (struct cluster_view){ .mode = CLUSTER_SHARE,
		.mode_since_utc_us = clock_utc_us() - 5000000,
		.why = "127.0.0.1:6379: it closed the connection",
		.scheme = 1,
		.n_nodes = 2,
		.n_lanes = 1,
		.n_held = 7,
		.n_tokens_taken = 30,
		.clock_offset_us = -2500,
		.link = { .state = REDIS_WAITING,
		    .reason = "it closed the connection",
		    .server = "127.0.0.1:6379",
		    .version = "7.0.15",
		    .run_id = "",
		    .due_us = clock_mono_us() + 60000000,
		    .lag_us = 1500,
		    .lag_max_us = -1 } };
	c->nodes[0] = (struct cluster_node_view){ .name = "n1",
		.version = "1.0",
		.scheme = 1,
		.is_self = true,
		.is_alive = true,
		.seen_utc_us = clock_utc_us() + 1000000, /* clocks differ */
		.n_leases = 1 };
	c->nodes[1] = (struct cluster_node_view){ .name = "n2",
		.version = "",
		.seen_utc_us = clock_utc_us() - 9000000,
		.n_leases = -1 };
	c->leases[0] = (struct cluster_lease_view){ .route = "ip-a",
		.provider = "gmail",
		.n_held = 7,
		.share_permille = 333,
		.wanted = 50,
		.granted = 20 };
}

struct cluster *
governor_cluster(struct governor *g)
{
	return g->cluster;
}

void
governor_plan_soon(struct governor *g)
{
	g->n_wakes++;
}

void
cluster_view(const struct cluster *c, struct cluster_view *out)
{
	*out = c->view;
}

const char *
cluster_mode_name(enum cluster_mode mode)
{
	static const char *const names[] = { "joining", "shared", "share",
		"hold", "refused" };

	return names[mode];
}

void
cluster_suppressed(struct cluster *c, const struct suppression_entry *entry)
{
	(void)c;
	(void)entry;
}

void
cluster_unsuppressed(struct cluster *c, const char *address)
{
	(void)c;
	(void)address;
}

const char *
cluster_trouble(const struct cluster *c)
{
	return c != NULL ? c->trouble : NULL;
}

void
cluster_nodes_each(const struct cluster *c,
    void (*each)(const struct cluster_node_view *node, void *arg), void *arg)
{
	for (size_t i = 0; i < c->n_nodes; i++)
		each(&c->nodes[i], arg);
}

void
cluster_leases_each(const struct cluster *c,
    void (*each)(const struct cluster_lease_view *lease, void *arg), void *arg)
{
	for (size_t i = 0; i < c->n_leases; i++)
		each(&c->leases[i], arg);
}

/* The fakes below take the governor for what they are asked of. */
struct spool *
governor_spool(struct governor *g)
{
	return (struct spool *)g;
}

struct spool_reader *
governor_reader(struct governor *g)
{
	return (struct spool_reader *)g;
}

struct event_log *
governor_events(struct governor *g)
{
	return g->events;
}

struct history *
governor_history(struct governor *g)
{
	return g->history;
}

void
governor_times(struct governor *g, struct governor_times *out)
{
	*out = g->times;
}

const char *
governor_http(const struct governor *g)
{
	(void)g;
	return "127.0.0.1:8025";
}

const char *
governor_unready(struct governor *g)
{
	return g->unready;
}

struct event_base *
governor_base(struct governor *g)
{
	return g->base;
}

int64_t
governor_started_utc_us(const struct governor *g)
{
	(void)g;
	return clock_utc_us() - 60 * SEC;
}

void
governor_load(const struct governor *g, struct governor_load *out)
{
	*out = (struct governor_load){ .n_sessions = 3,
		.n_accepted = g->n_messages };
}

void
governor_wake(struct governor *g)
{
	g->n_wakes++;
}

void
governor_logs_each(const struct governor *g,
    void (*each)(const struct governor_log_view *v, void *arg), void *arg)
{
	(void)g;
	(void)each;
	(void)arg;
}

void
governor_log_alerts_each(const struct governor *g,
    void (*each)(const char *text, void *arg), void *arg)
{
	(void)g;
	(void)each;
	(void)arg;
}

static inline bool
fake_take(struct governor *g, uint64_t message, uint32_t number)
{
	return sched_remove(g->s, message, number);
}

bool
governor_bounce(struct governor *g, uint64_t message, uint32_t number,
    const char *reply)
{
	free(g->bounce_reply);
	g->bounce_reply = xstrdup(reply);
	g->n_bounces++;
	return fake_take(g, message, number);
}

bool
governor_drop(struct governor *g, uint64_t message, uint32_t number)
{
	return fake_take(g, message, number);
}

int
governor_reload(struct governor *g, struct strbuf *errors_out,
    struct strbuf *notes_out)
{
	if (g->reload_errors != NULL) {
		strbuf_adds(errors_out, g->reload_errors);
		return -1;
	}
	if (g->reload_partly != NULL)
		strbuf_adds(errors_out, g->reload_partly);
	if (g->reload_notes != NULL)
		strbuf_adds(notes_out, g->reload_notes);
	return 0;
}

void
governor_drain(struct governor *g)
{
	g->n_drains++;
}

void
spool_stats(struct spool *spool, struct spool_stats *out)
{
	*out = ((struct governor *)spool)->stats;
}

static inline void
fake_copy(const struct envelope *from, struct envelope *to)
{
	struct strbuf bytes = { 0 };

	envelope_encode(from, &bytes);
	assert_int_equal(envelope_decode(bytes.data, bytes.len, to), 0);
	strbuf_reset(&bytes);
	to->id = from->id;
	to->n_deliveries = from->n_deliveries;
	to->deliveries = xcalloc(from->n_deliveries, sizeof(*to->deliveries));
	for (size_t i = 0; i < from->n_deliveries; i++) {
		delivery_encode(&from->deliveries[i], &bytes);
		assert_int_equal(delivery_decode(bytes.data, bytes.len,
				     &to->deliveries[i]),
		    0);
		to->deliveries[i].number = from->deliveries[i].number;
		strbuf_reset(&bytes);
	}
	strbuf_fini(&bytes);
}

int
spool_read_message(struct spool_reader *r, uint64_t message,
    struct envelope *out, struct err *err_out)
{
	struct governor *g = (struct governor *)r;

	(void)err_out;
	g->n_reads++;
	*out = (struct envelope){ 0 };
	if (message == 0 || message > g->n_messages ||
	    g->messages[message] == NULL)
		return 1;
	fake_copy(g->messages[message], out);
	return 0;
}

bool
governor_reroute(struct governor *g, uint64_t message, uint32_t number,
    const char *stream)
{
	return sched_reroute(g->s, message, number, stream, clock_mono_us());
}

struct suppression_list *
governor_suppressions(struct governor *g)
{
	return g->suppressions;
}

void
governor_store(struct governor *g, struct spool_fact *facts_take)
{
	while (facts_take != NULL) {
		struct spool_fact *f = facts_take;

		facts_take = f->next;
		f->next = g->facts;
		g->facts = f;
	}
}

static inline int
fake_compare(const struct spool_fact *f, const void *key, size_t len)
{
	int order = memcmp(f->bytes, key, len < f->key_len ? len : f->key_len);

	return order != 0 ? order : (f->key_len > len) - (f->key_len < len);
}

/* The newest word on the first key from there on; NULL: there is none. */
static inline const struct spool_fact *
fake_next_fact(const struct governor *g, const void *from, size_t len,
    bool is_after)
{
	const struct spool_fact *best = NULL;

	for (const struct spool_fact *f = g->facts; f != NULL; f = f->next)
		if (fake_compare(f, from, len) >= (is_after ? 1 : 0) &&
		    (best == NULL ||
			fake_compare(f, best->bytes, best->key_len) < 0))
			best = f;
	return best;
}

int
spool_facts_read(struct spool_reader *r, const void *from, size_t from_len,
    bool (*each)(const void *key, size_t key_len, const void *value,
	size_t value_len, void *arg),
    void *arg, struct err *err_out)
{
	struct governor *g = (struct governor *)r;
	const struct spool_fact *f = fake_next_fact(g, from, from_len, false);

	(void)err_out;
	while (f != NULL &&
	    (f->is_removed ||
		each(f->bytes, f->key_len, f->bytes + f->key_len, f->value_len,
		    arg)))
		f = fake_next_fact(g, f->bytes, f->key_len, true);
	return 0;
}

/* ---- for tests ---- */

static inline void
fake_keep_line(const char *line, size_t len, void *arg)
{
	struct governor *g = arg;

	strbuf_add(&g->seen, line, len);
}

static inline void
fake_start(struct governor *g)
{
	struct conf_provider *p;

	memset(g, 0, sizeof(*g));
	fixture_init(&g->f);
	g->f.conf.file = (char *)"/etc/flyball/flyball.yaml";
	g->f.conf.daemon.event_log = (char *)"";
	g->f.conf.daemon.hostname = (char *)"relay.test";
	g->f.conf.daemon.admin_socket.path = (char *)"";
	g->f.conf.daemon.admin_socket.group = (char *)"";
	g->f.conf.daemon.drain_timeout_us = 30 * SEC;
	g->f.conf.spool.max_messages = 1000;
	g->f.conf.spool.max_bytes = 1000000;
	p = fixture_provider(&g->f, "gmail");
	fixture_rate(&p->limits, 20, SEC);
	p->limits.connections = 4;
	p->is_builtin = true;
	fixture_provider(&g->f, "yahoo");
	fixture_route(&g->f, "ip-a", 10);
	fixture_route(&g->f, "ip-b", 10);
	fixture_stream(&g->f, "news", PRIORITY_BULK, 1, "ip-a", "ip-b", NULL);
	fixture_stream(&g->f, "default", PRIORITY_NORMAL, 1, "ip-a", NULL);
	g->s = sched_new(&g->f.conf, 1);
	g->suppressions = suppression_list_new(NULL);
	g->base = event_base_new();
	g->history = history_new(NULL);
	g->events = event_log_open("", NULL);
	g->follower = event_log_follow(g->events, fake_keep_line, g);
}

static inline void
fake_stop(struct governor *g)
{
	for (uint64_t i = 1; i <= g->n_messages; i++) {
		if (g->messages[i] != NULL)
			envelope_fini(g->messages[i]);
		free(g->messages[i]);
	}
	event_log_unfollow(g->events, g->follower);
	event_log_close(g->events);
	history_free(g->history);
	event_base_free(g->base);
	sched_free(g->s);
	suppression_list_free(g->suppressions);
	spool_facts_free(g->facts);
	free(g->bounce_reply);
	strbuf_fini(&g->seen);
}

/* A message to one recipient; returns its id. `wait_us` > 0: deferred. */
static inline uint64_t
fake_add(struct governor *g, const char *provider, const char *sender,
    const char *recipient, int64_t wait_us)
{
	int64_t now_us = clock_mono_us();
	struct envelope *e = xcalloc(1, sizeof(*e));
	struct sched_delivery d = {
		.n_pending = 1,
		.stream = "news",
		.provider = provider,
		.site = strcmp(provider, "other") ? "" : "free.test",
		.expires_us = now_us + 432000 * SEC,
		.due_us = wait_us > 0 ? now_us + wait_us : 0,
		.attempts = wait_us > 0,
	};

	assert_true(g->n_messages < FAKE_MESSAGES_MAX);
	d.message = e->id = ++g->n_messages;
	g->messages[e->id] = e;
	e->arrived_utc_us = clock_utc_us() - 10 * SEC;
	e->sender = xstrdup(sender);
	e->stream = xstrdup(d.stream);
	e->user = xstrdup("");
	e->client = xstrdup("192.0.2.1");
	e->helo = xstrdup("client.test");
	e->size_bytes = 1234;
	e->deliveries = xcalloc(1, sizeof(*e->deliveries));
	e->n_deliveries = 1;
	e->deliveries[0].provider = xstrdup(provider);
	e->deliveries[0].site = xstrdup(d.site);
	if (wait_us > 0)
		e->deliveries[0].last_reply = xstrdup("450 4.2.0 later\n\"x\"");
	delivery_add(&e->deliveries[0], recipient);
	sched_add(g->s, &d, now_us);
	return d.message;
}

#endif
