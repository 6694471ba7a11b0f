/* SPDX-License-Identifier: ISC */
#ifndef FLYBALL_PROVIDER_WORLD_YAML_H
#define FLYBALL_PROVIDER_WORLD_YAML_H

#include <stddef.h>

#include <yaml.h>

#include "conf/base/err.h"
#include "tests/provider/world.h"

/*
 * Maps of a YAML document read into structs by tables of keys: a row says a
 * key's name, its type, and where in the struct it goes. All return 0, or -1
 * with the place and the mistake in the loader's err.
 */
struct loader {
	yaml_document_t doc;
	const char *path;
	struct err *err;
	struct world *world;
};

enum type {
	T_RATE,	    /* double, recipients a second */
	T_NUMBER,   /* double */
	T_SHARE,    /* double, from "5%" */
	T_DURATION, /* int64_t us */
	T_COUNT,    /* unsigned */
	T_U64,
	T_SIZE, /* int64_t bytes */
	T_BOOL,
	T_TEXT,	 /* char *, owned */
	T_TEXTS, /* struct world_texts */
	T_VOICE,
	T_PHASE,
	T_OUTAGE,
	T_CALL, /* a function reads it */
};

typedef int reader(struct loader *ld, yaml_node_t *node, void *base);

struct key {
	const char *name;
	enum type type;
	size_t offset;
	reader *call;
};

/* Always -1: "FILE:LINE:COLUMN: ..." */
int yaml_complain(struct loader *ld, const yaml_node_t *node, const char *fmt,
    ...) __attribute__((format(printf, 3, 4)));
const char *yaml_scalar(const yaml_node_t *node); /* NULL: it is none */
yaml_node_t *yaml_node_at(struct loader *ld, int id);
/* A row's value; base is where its offset counts from. */
int yaml_read_value(struct loader *ld, yaml_node_t *node, const struct key *key,
    void *base);
/* A map; the table ends with a row without a name. */
int yaml_read_map(struct loader *ld, yaml_node_t *node, const struct key *keys,
    void *base);
/* One of some words; its index goes to *out. */
int yaml_read_word(const char *s, const char *const *words, int n, int *out,
    struct err *err);

void texts_add(struct world_texts *t, const char *s);
void texts_clear(struct world_texts *t);

#endif
