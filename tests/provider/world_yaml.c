/* SPDX-License-Identifier: ISC */
/*
 * The reader beneath world.c: knows YAML and units, and nothing of providers.
 * The first mistake ends it, with its place.
 */
#include "tests/provider/world_yaml.h"

#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "conf/base/units.h"
#include "conf/base/xalloc.h"
#include "tests/provider/voice.h"

int
yaml_complain(struct loader *ld, const yaml_node_t *node, const char *fmt, ...)
{
	char text[300];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	return err_set(ld->err, "%s:%zu:%zu: %s", ld->path,
	    node->start_mark.line + 1, node->start_mark.column + 1, text);
}

const char *
yaml_scalar(const yaml_node_t *node)
{
	return node->type == YAML_SCALAR_NODE
	    ? (const char *)node->data.scalar.value
	    : NULL;
}

yaml_node_t *
yaml_node_at(struct loader *ld, int id)
{
	return yaml_document_get_node(&ld->doc, id);
}

/* ---- values ---- */

static int
read_rate(const char *s, double *out, struct err *err)
{
	struct rate rate;

	if (units_parse_rate(s, &rate, err) != 0)
		return -1;
	*out = rate_is_unlimited(&rate)
	    ? INFINITY
	    : (double)rate.count * 1e6 / (double)rate.window_us;
	return 0;
}

static int
read_number(const char *s, double *out, struct err *err)
{
	char *end;

	*out = strtod(s, &end);
	if (end == s || *end != '\0' || !(*out >= 0))
		return err_set(err, "\"%s\" is no number", s);
	return 0;
}

static int
read_share(const char *s, double *out, struct err *err)
{
	char *end;

	*out = strtod(s, &end) / 100;
	if (end == s || strcmp(end, "%") != 0 || !(*out >= 0))
		return err_set(err, "\"%s\" is no share (5%%)", s);
	return 0;
}

int
yaml_read_word(const char *s, const char *const *names, int n, int *out,
    struct err *err)
{
	for (int i = 0; i < n; i++) {
		if (names[i] != NULL && strcmp(names[i], s) == 0) {
			*out = i;
			return 0;
		}
	}
	return err_set(err, "unknown word \"%s\"", s);
}

static const char *const phases[] = { NULL, "mail", "rcpt", "eod" };
static const char *const outages[] = { "reset", "hang", "421" };
static const char *const bools[] = { "false", "true" };

static int
read_words(const char *s, enum type type, void *at, struct err *err)
{
	const struct provider_voice *voice;
	int64_t count;
	int word = 0;

	switch (type) {
	case T_COUNT:
		if (units_parse_count(s, &count, err) != 0)
			return -1;
		*(unsigned *)at = (unsigned)count;
		return 0;
	case T_VOICE:
		voice = voice_find(s);
		if (voice == NULL)
			return err_set(err, "no voice is called \"%s\"", s);
		*(const struct provider_voice **)at = voice;
		return 0;
	case T_PHASE:
		if (yaml_read_word(s, phases, 4, &word, err) != 0)
			return -1;
		*(enum provider_phase *)at = (enum provider_phase)word;
		return 0;
	case T_OUTAGE:
		if (yaml_read_word(s, outages, 3, &word, err) != 0)
			return -1;
		*(enum provider_outage *)at = (enum provider_outage)word;
		return 0;
	case T_BOOL:
		if (yaml_read_word(s, bools, 2, &word, err) != 0)
			return -1;
		*(bool *)at = word;
		return 0;
	default:
		return err_set(err, "not a word");
	}
}

static int
read_scalar(const char *s, enum type type, void *at, struct err *err)
{
	char *end;

	switch (type) {
	case T_RATE:
		return read_rate(s, at, err);
	case T_NUMBER:
		return read_number(s, at, err);
	case T_SHARE:
		return read_share(s, at, err);
	case T_DURATION:
		return units_parse_duration(s, at, err);
	case T_SIZE:
		return units_parse_size(s, at, err);
	case T_U64:
		errno = 0;
		*(uint64_t *)at = strtoull(s, &end, 10);
		return *s == '\0' || *end != '\0' || errno != 0
		    ? err_set(err, "\"%s\" is no number", s)
		    : 0;
	case T_TEXT:
		free(*(char **)at);
		*(char **)at = xstrdup(s);
		return 0;
	default:
		return read_words(s, type, at, err);
	}
}

void
texts_clear(struct world_texts *t)
{
	for (size_t i = 0; i < t->n; i++)
		free(t->v[i]);
	free(t->v);
	*t = (struct world_texts){ 0 };
}

void
texts_add(struct world_texts *t, const char *s)
{
	t->v = xrealloc(t->v, (t->n + 1) * sizeof(*t->v));
	t->v[t->n++] = xstrdup(s);
}

static int
read_texts(struct loader *ld, yaml_node_t *node, struct world_texts *out)
{
	texts_clear(out);
	if (node->type != YAML_SEQUENCE_NODE)
		return yaml_complain(ld, node, "a list is wanted");
	for (yaml_node_item_t *it = node->data.sequence.items.start;
	     it < node->data.sequence.items.top; it++) {
		const char *s = yaml_scalar(yaml_node_at(ld, *it));

		if (s == NULL)
			return yaml_complain(ld, node,
			    "a list of words is wanted");
		texts_add(out, s);
	}
	return 0;
}

int
yaml_read_value(struct loader *ld, yaml_node_t *node, const struct key *key,
    void *base)
{
	char *at = (char *)base + key->offset;
	struct err why;

	if (key->type == T_CALL)
		return key->call(ld, node, at);
	if (key->type == T_TEXTS)
		return read_texts(ld, node, (struct world_texts *)at);
	if (yaml_scalar(node) == NULL)
		return yaml_complain(ld, node, "%s: a single value is wanted",
		    key->name);
	if (read_scalar(yaml_scalar(node), key->type, at, &why) != 0)
		return yaml_complain(ld, node, "%s: %s", key->name, why.text);
	return 0;
}

/* Reads a map by its keys; base is where their offsets count from. */
int
yaml_read_map(struct loader *ld, yaml_node_t *node, const struct key *keys,
    void *base)
{
	if (node->type != YAML_MAPPING_NODE)
		return yaml_complain(ld, node, "a map is wanted");
	for (yaml_node_pair_t *p = node->data.mapping.pairs.start;
	     p < node->data.mapping.pairs.top; p++) {
		yaml_node_t *name = yaml_node_at(ld, p->key);
		const struct key *key = keys;

		while (key->name != NULL && yaml_scalar(name) != NULL &&
		    strcmp(key->name, yaml_scalar(name)) != 0)
			key++;
		if (key->name == NULL || yaml_scalar(name) == NULL)
			return yaml_complain(ld, name, "unknown key \"%s\"",
			    yaml_scalar(name) != NULL ? yaml_scalar(name)
						      : "?");
		if (yaml_read_value(ld, yaml_node_at(ld, p->value), key,
			base) != 0)
			return -1;
	}
	return 0;
}
