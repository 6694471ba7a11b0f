/* SPDX-License-Identifier: ISC */
/*
 * Reads the built-in reply rules out of the YAML that the build embeds. They
 * are part of the program: a mistake in them is ours, so it aborts, and the
 * unit test meets it long before an operator does. What an operator writes
 * comes through the key table instead, with better messages.
 */
#include "conf/reply_base.h"

#include <assert.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "conf/base/strbuf.h"
#include "conf/base/units.h"
#include "conf/base/xalloc.h"
#include "conf/reply_terms.h"
#include "conf/tree.h"

/* A class of this file only: two rules in one, for 4xx and for 5xx. */
#define BY_DIGIT "reputation"

static const char embedded[] =
#include "replies.inc"
    ;

/* ---- one rule ---- */

static int
complain(struct err *err_out, const struct node *n, const char *what,
    const char *value)
{
	return err_set(err_out, "line %u: %s '%s'", n->at.line, what, value);
}

/* One name or a list of them. */
static int
read_names(const struct node *n, struct conf_names *names)
{
	bool is_one = n->kind == NODE_SCALAR;
	size_t count = is_one ? 1 : n->n;

	if ((!is_one && n->kind != NODE_LIST) || count == 0)
		return -1;
	names->v = xcalloc(count, sizeof(*names->v));
	for (size_t i = 0; i < count; i++) {
		const struct node *item = is_one ? n : n->v[i];

		if (item->kind != NODE_SCALAR)
			return -1;
		names->v[names->n++] = xstrdup(item->text);
	}
	return 0;
}

static void
names_fini(struct conf_names *names)
{
	for (size_t i = 0; i < names->n; i++)
		free(names->v[i]);
	free(names->v);
}

/* One pattern, or a list of which one must match. NULL: neither. */
static char *
read_match(const struct node *n)
{
	struct conf_names names = { 0 };
	struct strbuf all = { 0 };
	bool is_good = read_names(n, &names) == 0;

	for (size_t i = 0; i < names.n; i++) {
		strbuf_adds(&all, i > 0 ? "|" : "");
		strbuf_adds(&all, names.v[i]);
	}
	names_fini(&names);
	if (is_good)
		return strbuf_take(&all);
	strbuf_fini(&all);
	return NULL;
}

static int
read_member(const struct node *n, struct conf_reply_rule *rule,
    struct err *err_out)
{
	struct {
		const char *key;
		char **field;
	} texts[] = {
		{ "name", &rule->name },
		{ "phase", &rule->phase },
		{ "class", &rule->class },
		{ "blame", &rule->blame },
		{ "code", &rule->code },
	};

	if (strcmp(n->key, "match") == 0) {
		rule->match = read_match(n);
		return rule->match != NULL
		    ? 0
		    : complain(err_out, n, "no pattern:", n->key);
	}
	if (strcmp(n->key, "provider") == 0)
		return read_names(n, &rule->providers) == 0
		    ? 0
		    : complain(err_out, n, "no names:", n->key);
	if (n->kind != NODE_SCALAR)
		return complain(err_out, n, "not one value:", n->key);
	if (strcmp(n->key, "pause") == 0)
		return units_parse_duration(n->text, &rule->pause_us, err_out);
	if (strcmp(n->key, "final") == 0) {
		rule->final = strcmp(n->text, "true") == 0;
		return 0;
	}
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		if (strcmp(n->key, texts[i].key) == 0) {
			*texts[i].field = xstrdup(n->text);
			return 0;
		}
	return complain(err_out, n, "unknown key", n->key);
}

static int
check_rule(const struct node *n, const struct conf_reply_rule *rule,
    struct err *err_out)
{
	bool is_split;

	if (rule->name == NULL || rule->match == NULL || rule->class == NULL)
		return complain(err_out, n, "no name, match or class:",
		    rule->name != NULL ? rule->name : "");
	is_split = strcmp(rule->class, BY_DIGIT) == 0;
	if (!is_split && reply_class_parse(rule->class) < 0)
		return complain(err_out, n, "no class", rule->class);
	if (is_split && rule->code != NULL)
		return complain(err_out, n, "by digit, but code", rule->code);
	if (*rule->blame != '\0' && blame_parse(rule->blame) < 0)
		return complain(err_out, n, "no blame", rule->blame);
	if (phases_parse(rule->phase) == 0)
		return complain(err_out, n, "no phase", rule->phase);
	return 0;
}

static int
read_rule(const struct node *n, struct conf_reply_rule *rule,
    struct err *err_out)
{
	rule->final = -1;
	rule->where = xasprintf("replies.yaml:%u:%u", n->at.line, n->at.column);
	if (n->kind != NODE_MAP)
		return complain(err_out, n, "not a rule", "");
	for (size_t i = 0; i < n->n; i++)
		if (read_member(n->v[i], rule, err_out) != 0)
			return -1;
	if (rule->phase == NULL)
		rule->phase = xstrdup("any");
	if (rule->blame == NULL)
		rule->blame = xstrdup("");
	return check_rule(n, rule, err_out);
}

/* ---- all of them ---- */

static void
names_copy(struct conf_names *to, const struct conf_names *from)
{
	to->v = xcalloc(from->n + 1, sizeof(*to->v));
	for (to->n = 0; to->n < from->n; to->n++)
		to->v[to->n] = xstrdup(from->v[to->n]);
}

static void
split(struct conf_reply_rule *rule, struct conf_reply_rule *second)
{
	*second = *rule;
	second->name = xstrdup(rule->name);
	second->match = xstrdup(rule->match);
	second->phase = xstrdup(rule->phase);
	second->blame = xstrdup(rule->blame);
	second->where = xstrdup(rule->where);
	names_copy(&second->providers, &rule->providers);
	free(rule->class);
	rule->class = xstrdup("reputation-defer");
	rule->code = xstrdup("4");
	second->class = xstrdup("reputation-reject");
	second->code = xstrdup("5");
}

static struct conf_reply_rule *
read_rules(const struct node *root, size_t *n_out, struct err *err_out)
{
	struct conf_reply_rule *rules;

	if (root->kind != NODE_LIST) {
		err_set(err_out, "not a list of rules");
		return NULL;
	}
	rules = xcalloc(2 * root->n + 1, sizeof(*rules));
	for (size_t i = 0; i < root->n; i++) {
		struct conf_reply_rule *rule = &rules[(*n_out)++];

		if (read_rule(root->v[i], rule, err_out) != 0) {
			reply_base_free(rules, *n_out);
			*n_out = 0;
			return NULL;
		}
		if (strcmp(rule->class, BY_DIGIT) == 0)
			split(rule, &rules[(*n_out)++]);
	}
	return rules;
}

struct conf_reply_rule *
reply_base_read(const char *text, size_t len, size_t *n_out,
    struct err *err_out)
{
	struct mistakes mistakes = { 0 };
	struct node *root = tree_parse("replies.yaml", text, len, &mistakes);
	struct conf_reply_rule *rules = NULL;
	struct strbuf said = { 0 };

	*n_out = 0;
	if (root != NULL && mistakes.n == 0) {
		rules = read_rules(root, n_out, err_out);
	} else {
		mistakes_write(&mistakes, &said);
		err_set(err_out, "%s", said.data != NULL ? said.data : "");
	}
	node_free(root);
	mistakes_fini(&mistakes);
	strbuf_fini(&said);
	return rules;
}

void
reply_base_free(struct conf_reply_rule *rules, size_t n)
{
	for (size_t i = 0; rules != NULL && i < n; i++) {
		struct conf_reply_rule *r = &rules[i];

		free(r->name);
		free(r->match);
		free(r->phase);
		free(r->class);
		free(r->blame);
		free(r->where);
		free(r->code);
		names_fini(&r->providers);
	}
	free(rules);
}

static struct conf_reply_rule *base;
static size_t n_base;

static void
base_read(void)
{
	struct err err = { "" };

	base = reply_base_read(embedded, sizeof(embedded) - 1, &n_base, &err);
	if (base == NULL)
		fprintf(stderr, "replies.yaml: %s\n", err.text);
	assert(base != NULL);
}

const struct conf_reply_rule *
reply_base(size_t *n_out)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;

	pthread_once(&once, base_read);
	*n_out = n_base;
	return base;
}
