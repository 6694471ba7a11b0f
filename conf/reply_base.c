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
#include <stdlib.h>
#include <string.h>

#include <yaml.h>

#include "conf/base/strbuf.h"
#include "conf/base/units.h"
#include "conf/base/xalloc.h"
#include "conf/reply_terms.h"

static const char embedded[] =
#include "replies.inc"
    ;

/* A class of this file only: two rules in one, for 4xx and for 5xx. */
#define BY_DIGIT "reputation"

/* ---- one rule ---- */

static int
complain(struct err *err_out, const yaml_node_t *node, const char *what,
    const char *value)
{
	return err_set(err_out, "line %zu: %s '%s'", node->start_mark.line + 1,
	    what, value);
}

static const char *
scalar(const yaml_node_t *node)
{
	return node->type == YAML_SCALAR_NODE
	    ? (const char *)node->data.scalar.value
	    : NULL;
}

/* One name or a list of them. */
static int
read_names(yaml_document_t *doc, const yaml_node_t *node,
    struct conf_names *names)
{
	yaml_node_item_t *item, *end;

	if (node->type == YAML_SCALAR_NODE) {
		names->v = xcalloc(1, sizeof(*names->v));
		names->v[names->n++] = xstrdup(scalar(node));
		return 0;
	}
	if (node->type != YAML_SEQUENCE_NODE)
		return -1;
	item = node->data.sequence.items.start;
	end = node->data.sequence.items.top;
	names->v = xcalloc((size_t)(end - item), sizeof(*names->v));
	for (; item < end; item++) {
		const char *name = scalar(yaml_document_get_node(doc, *item));

		if (name == NULL)
			return -1;
		names->v[names->n++] = xstrdup(name);
	}
	return 0;
}

/* One pattern, or a list of which one must match. */
static char *
read_match(yaml_document_t *doc, const yaml_node_t *node)
{
	struct conf_names names = { 0 };
	struct strbuf all = { 0 };
	bool is_good = read_names(doc, node, &names) == 0 && names.n > 0;

	for (size_t i = 0; i < names.n; i++) {
		strbuf_adds(&all, i > 0 ? "|" : "");
		strbuf_adds(&all, names.v[i]);
		free(names.v[i]);
	}
	free(names.v);
	if (is_good)
		return strbuf_take(&all);
	strbuf_fini(&all);
	return NULL;
}

static int
read_pair(yaml_document_t *doc, const yaml_node_pair_t *pair,
    struct conf_reply_rule *rule, struct err *err_out)
{
	const yaml_node_t *node = yaml_document_get_node(doc, pair->value);
	const char *key = scalar(yaml_document_get_node(doc, pair->key));
	const char *value = scalar(node);
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

	if (key == NULL)
		return complain(err_out, node, "a key that is no word near",
		    value != NULL ? value : "");
	if (strcmp(key, "provider") == 0)
		return read_names(doc, node, &rule->providers) == 0
		    ? 0
		    : complain(err_out, node, "no list of names:", key);
	if (strcmp(key, "match") == 0 && rule->match == NULL) {
		rule->match = read_match(doc, node);
		return rule->match != NULL ?
		    0 :
		    complain(err_out, node, "no pattern:", key);
	}
	if (value == NULL)
		return complain(err_out, node, "not one value:", key);
	if (strcmp(key, "pause") == 0)
		return units_parse_duration(value, &rule->pause_us, err_out);
	if (strcmp(key, "final") == 0) {
		rule->final = strcmp(value, "true") == 0;
		return 0;
	}
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		if (strcmp(key, texts[i].key) == 0 && *texts[i].field == NULL) {
			*texts[i].field = xstrdup(value);
			return 0;
		}
	return complain(err_out, node, "unknown or repeated key", key);
}

static int
read_rule(yaml_document_t *doc, const yaml_node_t *node,
    struct conf_reply_rule *rule, struct err *err_out)
{
	yaml_node_pair_t *pair;

	rule->final = -1;
	rule->where = xasprintf("replies.yaml:%zu", node->start_mark.line + 1);
	if (node->type != YAML_MAPPING_NODE)
		return complain(err_out, node, "not a rule", "");
	for (pair = node->data.mapping.pairs.start;
	     pair < node->data.mapping.pairs.top; pair++)
		if (read_pair(doc, pair, rule, err_out) != 0)
			return -1;
	if (rule->phase == NULL)
		rule->phase = xstrdup("any");
	if (rule->blame == NULL)
		rule->blame = xstrdup("");
	if (rule->name == NULL || rule->match == NULL || rule->class == NULL)
		return complain(err_out, node, "no name, match or class:",
		    rule->name != NULL ? rule->name : "");
	if (reply_class_parse(rule->class) < 0 &&
	    (strcmp(rule->class, BY_DIGIT) != 0 || rule->code != NULL))
		return complain(err_out, node, "no class", rule->class);
	if (*rule->blame != '\0' && blame_parse(rule->blame) < 0)
		return complain(err_out, node, "no blame", rule->blame);
	if (phases_parse(rule->phase) == 0)
		return complain(err_out, node, "no phase", rule->phase);
	return 0;
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
read_rules(yaml_document_t *doc, size_t *n_out, struct err *err_out)
{
	yaml_node_t *root = yaml_document_get_root_node(doc);
	struct conf_reply_rule *rules;
	yaml_node_item_t *items;
	size_t n;

	if (root == NULL || root->type != YAML_SEQUENCE_NODE) {
		err_set(err_out, "line 1: not a list of rules");
		return NULL;
	}
	items = root->data.sequence.items.start;
	n = (size_t)(root->data.sequence.items.top - items);
	rules = xcalloc(2 * n + 1, sizeof(*rules));
	for (size_t i = 0; i < n; i++) {
		struct conf_reply_rule *rule = &rules[(*n_out)++];

		if (read_rule(doc, yaml_document_get_node(doc, items[i]), rule,
			err_out) != 0) {
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
	struct conf_reply_rule *rules = NULL;
	yaml_parser_t parser;
	yaml_document_t doc;

	*n_out = 0;
	if (!yaml_parser_initialize(&parser))
		abort(); /* out of memory */
	yaml_parser_set_input_string(&parser, (const unsigned char *)text, len);
	if (yaml_parser_load(&parser, &doc)) {
		rules = read_rules(&doc, n_out, err_out);
		yaml_document_delete(&doc);
	} else {
		err_set(err_out, "line %zu: %s", parser.problem_mark.line + 1,
		    parser.problem != NULL ? parser.problem : "no YAML");
	}
	yaml_parser_delete(&parser);
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
		for (size_t k = 0; k < r->providers.n; k++)
			free(r->providers.v[k]);
		free(r->providers.v);
	}
	free(rules);
}

static struct conf_reply_rule *base;
static size_t n_base;

static void
base_read(void)
{
	struct err err;

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
