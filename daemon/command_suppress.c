/* SPDX-License-Identifier: ISC */
/*
 * `suppress list|check|add|remove`: the recipients that aren't written to any
 * more. Sessions' index answers whether; reason, reply and dates are read from
 * the spool.
 */
#include "daemon/command_private.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "conf/base/address.h"
#include "conf/base/units.h"
#include "conf/base/xalloc.h"
#include "daemon/cluster.h"
#include "daemon/suppression_list.h"

#define LIST_LIMIT     100
#define LIST_LIMIT_MAX 1000000

static void
show_entry(struct command *c, const struct suppression_entry *entry)
{
	answer_str(&c->out, "address", entry->address);
	answer_str(&c->out, "reason", suppression_reason_name(entry->reason));
	answer_opt(&c->out, "reply", entry->reply);
	answer_time(&c->out, "added", entry->added_utc_us);
	if (entry->expires_utc_us == INT64_MAX)
		answer_null(&c->out, "expires");
	else
		answer_time(&c->out, "expires", entry->expires_utc_us);
}

static int
take_address(struct command *c, char out[SUPPRESSION_ADDRESS_SIZE])
{
	if (suppression_address_parse(c->args[0], out) == 0)
		return 0;
	err_set(&c->hint,
	    "write local@domain, without angle brackets, or @domain");
	return command_refuse(c, "\"%s\" is no address", c->args[0]);
}

/* ---- reading stored entries ---- */

struct look {
	struct command *c;
	const char *pattern;		 /* NULL: all */
	char next[ADDRESS_PATH_MAX + 4]; /* the key to go on from */
	size_t next_len;
	int64_t n_left;
	bool is_done;
};

/* One entry of the stored list; false: enough for now. */
static bool
look_at(const void *key, size_t key_len, const void *value, size_t value_len,
    void *arg)
{
	struct look *l = arg;
	char address[ADDRESS_PATH_MAX + 1];
	struct suppression_entry entry;
	char *text;

	if (key_len < 2 || memcmp(key, SUPPRESSION_FACT_PREFIX, 2) != 0 ||
	    l->n_left == 0) {
		l->is_done = true;
		return false;
	}
	if (command_is_long(l->c) && key_len < sizeof(l->next)) {
		memcpy(l->next, key, key_len);
		l->next_len = key_len;
		return false;
	}
	text = xstrndup(value, value_len);
	if (suppression_list_entry(key, key_len, text, address, sizeof(address),
		&entry) == 0 &&
	    entry.expires_utc_us > l->c->now_utc_us &&
	    (l->pattern == NULL || pattern_fits(l->pattern, address))) {
		answer_open(&l->c->out, NULL, '{');
		show_entry(l->c, &entry);
		answer_close(&l->c->out, '}');
		l->n_left--;
	}
	free(text);
	return true;
}

static enum step
step_list(struct command *c)
{
	struct look *l = c->state;
	size_t from_len = l->next_len;

	l->next_len = 0;
	if (!l->is_done &&
	    spool_facts_read(governor_reader(c->g), l->next, from_len, look_at,
		l, &c->err) == 0 &&
	    l->next_len > 0)
		return STEP_MORE;
	answer_close(&c->out, ']');
	return STEP_DONE;
}

static void
release_list(struct command *c)
{
	free(c->state);
}

int
command_suppress_list(struct command *c)
{
	int64_t limit = LIST_LIMIT;
	struct look *l;

	if (command_take_limit(c, LIST_LIMIT_MAX, &limit) < 0)
		return -1;
	if (c->n_args > 1)
		return command_misused(c, "one pattern at most");
	l = xcalloc(1, sizeof(*l));
	l->c = c;
	l->pattern = c->n_args > 0 ? c->args[0] : NULL;
	l->n_left = limit;
	memcpy(l->next, SUPPRESSION_FACT_PREFIX, 2);
	l->next_len = 2;
	c->state = l;
	c->release = release_list;
	c->step = step_list;
	answer_open(&c->out, NULL, '[');
	return 0;
}

/* ---- one address ---- */

struct find {
	const char *address;
	struct command *c;
	bool is_found;
};

static bool
show_found(const void *key, size_t key_len, const void *value, size_t value_len,
    void *arg)
{
	struct find *f = arg;
	char address[ADDRESS_PATH_MAX + 1];
	struct suppression_entry entry;
	char *text = xstrndup(value, value_len);

	if (suppression_list_entry(key, key_len, text, address, sizeof(address),
		&entry) == 0 &&
	    strcasecmp(address, f->address) == 0) {
		show_entry(f->c, &entry);
		f->is_found = true;
	}
	free(text);
	return false;
}

int
command_suppress_check(struct command *c)
{
	char address[SUPPRESSION_ADDRESS_SIZE], domain[SUPPRESSION_DOMAIN_SIZE];
	struct find f = { .address = address, .c = c };
	struct strbuf key = { 0 };
	struct suppression_hit hit;
	bool has;

	if (take_address(c, address) < 0)
		return -1;
	has = suppression_list_has(governor_suppressions(c->g), address,
	    c->now_utc_us, &hit);
	if (has && hit.is_domain && suppression_domain_of(address, domain) == 0)
		f.address = domain;
	answer_open(&c->out, NULL, '{');
	answer_bool(&c->out, "suppressed", has);
	if (has) {
		strbuf_addf(&key, "%s%s", SUPPRESSION_FACT_PREFIX, f.address);
		for (size_t i = 2; i < key.len; i++)
			key.data[i] = (char)tolower((unsigned char)key.data[i]);
		spool_facts_read(governor_reader(c->g), key.data, key.len,
		    show_found, &f, NULL);
		strbuf_fini(&key);
		/* In force already, and on its way to the disk. */
		if (!f.is_found)
			answer_str(&c->out, "reason",
			    suppression_reason_name(hit.reason));
	}
	answer_close(&c->out, '}');
	return 0;
}

/* `reason REASON` between the address and the options. */
static int
take_reason(struct command *c, enum suppression_reason *reason_out)
{
	int reason;

	if (c->n_args == 1)
		return 0;
	if (c->n_args != 3 || strcmp(c->args[1], "reason") != 0)
		return command_misused(c,
		    "\"%s\" is none of reason, for, because", c->args[1]);
	reason = suppression_reason_parse(c->args[2]);
	if (reason < 0)
		return command_misused(c,
		    "\"%s\" is none of hard, soft, complaint, manual, domain",
		    c->args[2]);
	*reason_out = (enum suppression_reason)reason;
	return 0;
}

int
command_suppress_add(struct command *c)
{
	struct suppression_entry entry = { .reason = SUPPRESSION_MANUAL,
		.reply = "",
		.added_utc_us = c->now_utc_us };
	char address[SUPPRESSION_ADDRESS_SIZE];
	struct spool_fact *facts = NULL;
	int64_t until_us;

	if (command_take_options(c, &until_us) < 0 ||
	    take_address(c, address) < 0 || take_reason(c, &entry.reason) < 0)
		return -1;
	entry.address = address;
	if (c->because != NULL)
		entry.reply = c->because;
	entry.expires_utc_us = until_us == INT64_MAX
	    ? INT64_MAX
	    : until_us - c->now_us + c->now_utc_us;
	if (!suppression_list_add(governor_suppressions(c->g), &entry, &facts))
		return command_refuse(c, "the suppression list is full");
	governor_store(c->g, facts);
	cluster_suppressed(governor_cluster(c->g), &entry);
	answer_open(&c->out, NULL, '{');
	show_entry(c, &entry);
	answer_close(&c->out, '}');
	return 0;
}

int
command_suppress_remove(struct command *c)
{
	char address[SUPPRESSION_ADDRESS_SIZE];
	struct spool_fact *facts = NULL;
	bool was_there;

	if (take_address(c, address) < 0)
		return -1;
	was_there = suppression_list_remove(governor_suppressions(c->g),
	    address, &facts);
	governor_store(c->g, facts);
	cluster_unsuppressed(governor_cluster(c->g), address);
	if (!was_there)
		return command_refuse(c, "%s isn't on the suppression list",
		    address);
	answer_open(&c->out, NULL, '{');
	answer_str(&c->out, "address", address);
	answer_close(&c->out, '}');
	return 0;
}
