/* SPDX-License-Identifier: ISC */
/*
 * Suppressed recipients, for all: each addition and removal goes into a stream
 * of Redis, which the others read once a second from where they were. Who
 * starts reads it from its begin, and takes in what it hasn't. The stream keeps
 * the last STREAM_MAX of them; what is suppressed while Redis is gone isn't
 * told.
 *
 * The subtle rule: the stream's order is what holds. So one's own entries count
 * as all others: what this relay removed after another one added it must stay
 * removed when all is read again, and what it added after another one removed
 * it must stay.
 */
#include <stdlib.h>
#include <string.h>

#include <hiredis/hiredis.h>

#include "conf/base/clock.h"
#include "conf/base/log.h"
#include "conf/base/xalloc.h"
#include "daemon/cluster_private.h"
#include "daemon/suppression_list.h"

#define STREAM_MAX   "20000"
#define READ_AT_ONCE "500"
#define REPLY_MAX    500

static void
on_added(const struct redis_answer *a, void *arg)
{
	(void)a;
	(void)arg;
}

static void
add(struct cluster *c, const char *address, const char *reason,
    int64_t expires_utc_us, const char *reply)
{
	struct cluster_args args = { .n = 0 };
	size_t len = strlen(reply);

	if (c == NULL || !c->is_joined || c->is_leaving)
		return;
	cluster_arg_str(&args, "XADD");
	cluster_arg_str(&args, c->key_suppressed);
	cluster_arg_str(&args, "MAXLEN");
	cluster_arg_str(&args, "~");
	cluster_arg_str(&args, STREAM_MAX);
	cluster_arg_str(&args, "*");
	cluster_arg_str(&args, "node");
	cluster_arg_str(&args, c->conf->name);
	cluster_arg_str(&args, "address");
	cluster_arg_str(&args, address);
	cluster_arg_str(&args, "reason");
	cluster_arg_str(&args, reason);
	cluster_arg_str(&args, "until");
	cluster_arg_int(&args,
	    expires_utc_us == INT64_MAX ? 0 : expires_utc_us);
	cluster_arg_str(&args, "reply");
	args.v[args.n++] =
	    (struct redis_bytes){ reply, len < REPLY_MAX ? len : REPLY_MAX };
	redis_link_command(c->link, args.v, args.n, 0, on_added, NULL);
	c->n_lessons_sent++;
}

void
cluster_suppressed(struct cluster *c, const struct suppression_entry *e)
{
	add(c, e->address, suppression_reason_name(e->reason),
	    e->expires_utc_us, e->reply != NULL ? e->reply : "");
}

void
cluster_unsuppressed(struct cluster *c, const char *address)
{
	add(c, address, "removed", INT64_MAX, "");
}

/* ---- hearing ---- */

/* Of the pairs of an entry; "" where it has none of that name. */
static const char *
field(const struct redisReply *pairs, const char *name)
{
	for (size_t i = 0; i + 1 < pairs->elements; i += 2)
		if (strcmp(cluster_reply_str(pairs, i), name) == 0)
			return cluster_reply_str(pairs, i + 1);
	return "";
}

static void
take_in(struct cluster *c, const struct redisReply *pairs,
    struct spool_fact **facts)
{
	struct suppression_list *list = governor_suppressions(c->g);
	char address[SUPPRESSION_ADDRESS_SIZE];
	const char *reason = field(pairs, "reason");
	int64_t until = strtoll(field(pairs, "until"), NULL, 10);
	int64_t utc_us = clock_utc_us();
	struct suppression_entry entry = {
		.address = address,
		.reply = field(pairs, "reply"),
		.added_utc_us = utc_us,
		.expires_utc_us = until > 0 ? until : INT64_MAX,
	};

	if (suppression_address_parse(field(pairs, "address"), address) < 0)
		return;
	if (strcmp(reason, "removed") == 0) {
		c->n_lessons_heard +=
		    suppression_list_remove(list, address, facts);
		return;
	}
	if (suppression_reason_parse(reason) < 0 ||
	    entry.expires_utc_us <= utc_us ||
	    suppression_list_has(list, address, utc_us, NULL))
		return;
	entry.reason =
	    (enum suppression_reason)suppression_reason_parse(reason);
	if (!suppression_list_add(list, &entry, facts))
		return;
	c->n_lessons_heard++;
	log_info("lesson", LOG_STR("from", field(pairs, "node")),
	    LOG_STR("suppressed", address), LOG_STR("reason", reason));
}

static void
on_read(const struct redis_answer *a, void *arg)
{
	struct cluster *c = arg;
	const struct redisReply *r = a->reply, *entries;
	struct spool_fact *facts = NULL;

	c->is_reading_suppressed = false;
	/* [[key, [[id, [name, value, ...]], ...]]], or nil. */
	if (c->is_leaving || a->outcome != REDIS_ANSWERED ||
	    r->type != REDIS_REPLY_ARRAY || r->elements != 1 ||
	    r->element[0]->type != REDIS_REPLY_ARRAY ||
	    r->element[0]->elements != 2)
		return;
	entries = r->element[0]->element[1];
	if (entries->type != REDIS_REPLY_ARRAY)
		return;
	for (size_t i = 0; i < entries->elements; i++) {
		const struct redisReply *e = entries->element[i];

		if (e->type != REDIS_REPLY_ARRAY || e->elements != 2 ||
		    e->element[1]->type != REDIS_REPLY_ARRAY)
			continue;
		snprintf(c->suppressed_id, sizeof(c->suppressed_id), "%s",
		    cluster_reply_str(e, 0));
		take_in(c, e->element[1], &facts);
	}
	governor_store(c->g, facts);
	if (entries->elements == strtoul(READ_AT_ONCE, NULL, 10))
		cluster_read_suppressed(c);
}

void
cluster_read_suppressed(struct cluster *c)
{
	struct cluster_args args = { .n = 0 };

	if (c->is_reading_suppressed)
		return;
	c->is_reading_suppressed = true;
	cluster_arg_str(&args, "XREAD");
	cluster_arg_str(&args, "COUNT");
	cluster_arg_str(&args, READ_AT_ONCE);
	cluster_arg_str(&args, "STREAMS");
	cluster_arg_str(&args, c->key_suppressed);
	cluster_arg_str(&args,
	    c->suppressed_id[0] != '\0' ? c->suppressed_id : "0-0");
	redis_link_command(c->link, args.v, args.n, 0, on_read, c);
}
